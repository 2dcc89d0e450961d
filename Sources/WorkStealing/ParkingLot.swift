import DequeModule
public import Primitives

/// The victim's machine: requests of thieves that wait for work, and how much each gets.
///
/// First come, first served, one share each: with r ready tasks and t waiting thieves a thief gets at most r / (t + 1), at
/// least one, so that the victim and every thief end with about the same. A thief's later request replaces its earlier one;
/// a request lapses after `Limits.parkTime`.
public struct ParkingLot: Sendable {
    public struct Request: Hashable, Sendable {
        public var thief: NodeID
        public var wanted: Int
        public var minimumPriority: UInt8
        public var lapses: Instant
    }

    private var requests: Deque<Request> = []

    public init() {}

    public var isEmpty: Bool { requests.isEmpty }
    /// Tasks that thieves wait for, and may get if there are some.
    public var wanted: Int { requests.reduce(0) { $0 + $1.wanted } }

    public mutating func park(_ thief: NodeID, wanted: Int, minimumPriority: UInt8, at now: Instant) {
        let request = Request(
            thief: thief, wanted: min(wanted, Limits.stolenTasks), minimumPriority: minimumPriority,
            lapses: now + Limits.parkTime)
        if let index = requests.firstIndex(where: { $0.thief == thief }) {
            if wanted > 0 { requests[index] = request } else { requests.remove(at: index) }
        } else if wanted > 0, requests.count < Limits.members {
            requests.append(request)
        }
    }

    /// What could not be served waits on, for as long as it would have.
    public mutating func putBack(_ request: Request) {
        if !requests.contains(where: { $0.thief == request.thief }) { requests.append(request) }
    }

    public mutating func remove(_ thief: NodeID) { requests.removeAll { $0.thief == thief } }

    /// The next thief to serve and how many tasks it may get, with `ready` tasks to give; nil if nobody waits.
    public mutating func next(ready: Int, at now: Instant) -> (request: Request, limit: Int)? {
        while let first = requests.first, first.lapses <= now { requests.removeFirst() }
        guard ready > 0, let first = requests.first else { return nil }
        return (first, min(first.wanted, max(1, ready / (requests.count + 1))))
    }

    /// The first thief got `count` tasks. With tasks `left` it has its share, and asks again when it wants more; else the
    /// rest of its request waits, at the end.
    public mutating func served(_ count: Int, left: Int) {
        guard var first = requests.popFirst() else { return }
        first.wanted -= count
        if left == 0, first.wanted > 0 { requests.append(first) }
    }
}
