import Peers
import Primitives

/// Who waits for an answer.
enum VirtualAsker {
    case peer(PeerCompletion)
    case address(@Sendable (Result<Introduction, PeerError>) -> Void)
}

/// The requests of one connection that have no answer yet. As `Peers.RequestTable`, on a virtual clock.
struct VirtualRequests {
    struct Entry {
        let number: UInt32
        let asker: VirtualAsker
        let deadline: Instant
        /// When the frame was handed to the connection; nil while it waits for the link.
        var sentAt: Instant?
    }

    /// Ascending by number: they are few.
    private var entries: [Entry] = []
    private var lastNumber: UInt32 = 0
    private(set) var earliestDeadline: Instant?

    mutating func add(_ asker: VirtualAsker, deadline: Instant, sentAt: Instant?) -> UInt32? {
        guard entries.count < Limits.requestsInFlight else { return nil }
        lastNumber += 1
        entries.append(Entry(number: lastNumber, asker: asker, deadline: deadline, sentAt: sentAt))
        earliestDeadline = min(earliestDeadline ?? deadline, deadline)
        return lastNumber
    }

    private func index(of number: UInt32) -> Int? {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].number < number { low = middle + 1 } else { high = middle }
        }
        return low < entries.count && entries[low].number == number ? low : nil
    }

    mutating func markSent(_ number: UInt32, at now: Instant) -> Bool {
        guard let index = index(of: number) else { return false }
        entries[index].sentAt = now
        return true
    }

    mutating func take(_ number: UInt32) -> Entry? { index(of: number).map { entries.remove(at: $0) } }

    /// Removes what is due, oldest first, and makes `earliestDeadline` exact.
    mutating func expire(at now: Instant) -> [Entry] {
        let due = entries.filter { $0.deadline <= now }
        entries.removeAll { $0.deadline <= now }
        earliestDeadline = entries.map(\.deadline).min()
        return due.sorted { ($0.deadline, $0.number) < ($1.deadline, $1.number) }
    }

    mutating func removeAll() -> [Entry] {
        defer {
            entries = []
            earliestDeadline = nil
        }
        return entries
    }
}

/// As `Peers.Silence`, on a virtual clock.
struct VirtualSilence {
    private(set) var since: Instant?
    private var receivedAt: Instant?

    mutating func received(at now: Instant) {
        since = nil
        receivedAt = now
    }

    mutating func expired(sentAt: Instant) {
        if let receivedAt, receivedAt >= sentAt { return }
        since = min(since ?? sentAt, sentAt)
    }
}

/// As `Peers.Hello`: who speaks, and whom it means to speak to. Every node of a world speaks the same version.
struct VirtualHello {
    var clusterName: String
    var cluster: ClusterID?
    var node: NodeID
    var expected: NodeID?

    static let version: UInt16 = VersionRange.current.highest

    func judge(_ theirs: VirtualHello) -> Result<UInt16, Refusal> {
        guard theirs.clusterName == clusterName else { return .failure(.clusterName(theirs.clusterName)) }
        if let cluster, let other = theirs.cluster, other != cluster { return .failure(.cluster(other)) }
        guard theirs.node != node else { return .failure(.itself) }
        if let expected, expected != theirs.node { return .failure(.wrongNode(actual: theirs.node)) }
        if let meant = theirs.expected, meant != node { return .failure(.wrongNode(actual: node)) }
        return .success(Self.version)
    }
}

/// As `Peers.Redial`: at once, after 1 ms and 4 ms, then after 20 ms doubling up to 1 s, with jitter.
struct VirtualRedial {
    private(set) var attempts = 0
    private var random: SeededGenerator

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    mutating func next() -> Duration {
        let quick: [Duration] = [.zero, .milliseconds(1), .milliseconds(4)]
        defer { attempts += 1 }
        if attempts < quick.count { return quick[attempts] }
        let delay = min(Int64(20_000_000) << Int64(min(attempts - quick.count, 6)), 1_000_000_000)
        return .nanoseconds(Int64.random(in: delay / 2...delay, using: &random))
    }

    mutating func linkEnded(after uptime: Duration) {
        if uptime >= .milliseconds(100) { attempts = 0 }
    }
}
