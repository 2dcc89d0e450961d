public import Primitives

/// What the registry is good for when two voters have lost each other: whoever first claims the number of the next view
/// may decide it alone (`ViewAgreement+Alone`).
///
/// A registry is a cache. It may be emptied, or lose what it has: then the other one could claim the number again, and
/// the view would have two contents. So a claim counts only while a **mark** is there:
///
/// 1. Before a view with two voters is proposed, the proposer writes a mark of its own, a random key, into the
///    registry, once. A mark whose writing has failed is never used. The mark is a part of the proposed view.
/// 2. Who claims the number n + 1 looks afterwards whether the mark of view n is still there. If it is, nothing has
///    been lost since before view n was decided, the claims of n + 1 included. Looking writes another name where the
///    mark is missing, so that nothing makes it appear again.
/// 3. Claims outlive marks (`Limits.claimTTL`).
///
/// A mark serves any number of views. One that is missing, or a registry that cannot be reached, makes this node wish
/// for a view with another mark, or without one, while there are two to decide it; a registry that comes back is not
/// trusted before it has stayed for a while, longer each time that it did not. A registry that starts again and says so
/// is another one (`connected(isFresh:)`): it may have come back without the newest of what it held, but with the mark.
///
/// What remains: a store that restarts with older content while *no* process of a voter that holds a view of before is
/// connected, or that is replaced without its run id changing (a proxy), or that drops claims, which are younger,
/// before marks to make room. Redis must not evict keys of Apus.
public struct TieBreaker: Sendable {
    public enum Event: Hashable, Sendable {
        /// Calls have a chance. `isFresh`: the store is another one than before, or was emptied.
        case connected(isFresh: Bool)
        case disconnected
        /// - Parameter isVoter: whether this node votes about the next one.
        case installed(View, isVoter: Bool)
        /// What `ViewAgreement` asks for.
        case claim(number: UInt64, mark: UInt64)
        /// Whose name the key has, now that the question was put; nil: it could not be.
        case answered(Query, NodeName?)
        case tick
    }

    public enum Effect: Hashable, Sendable {
        /// Write the name under the key for so long, unless there is one, and say which is there: `.answered`.
        case ask(Query)
        /// For `ViewAgreement.Event.claimGranted`.
        case granted(number: UInt64)
        /// The other one may go on without this node, or has.
        case taken(number: UInt64, by: NodeName)
        /// `mark` or `isLost` is another one: ask the planner.
        case changed
    }

    public struct Query: Hashable, Sendable {
        let id: UInt64
        /// A number of a view, or a mark: those have the highest bit.
        public let key: UInt64
        public let name: NodeName
        public let ttl: Duration
    }

    private enum Purpose: Hashable, Sendable {
        case write(mark: UInt64)
        case look(mark: UInt64)
        case claim(number: UInt64, mark: UInt64)
        case confirm(number: UInt64, mark: UInt64)
    }

    private static let written = constant("mark")
    private static let missing = constant("missing")

    private static func constant(_ text: String) -> NodeName {
        guard let name = NodeName(text) else { preconditionFailure("\(text) is a name") }
        return name
    }

    private let myself: NodeName
    private var random: SeededGenerator
    private var lastQuery: UInt64 = 0
    private var asked: [UInt64: Purpose] = [:]

    private var isConnected = false
    private var wasConnected = false
    private var view: View?
    private var isVoter = false
    /// Written, and in no view yet.
    private var spare: UInt64?
    private var writeAt = Instant.zero
    private var lookAt = Instant.distantFuture
    /// The view's mark, if it was seen to be missing, or may have been.
    private var lost: UInt64?
    /// Before that, no view is wished for that has a mark again.
    private var calmUntil = Instant.zero
    private var calm = Limits.tieCalm
    private var isCalming = false

    public init(_ myself: NodeName, seed: UInt64) {
        self.myself = myself
        random = SeededGenerator(seed: seed)
    }

    /// A mark for the next view.
    public func mark(at now: Instant) -> UInt64? { isConnected && now >= calmUntil ? spare : nil }

    /// Whether claims by the mark of the installed view do not count any more.
    public var isLost: Bool { view?.tieMark.map { !isConnected || lost == $0 } ?? false }

    /// When to send `.tick`; nil: nothing is due.
    public var nextDeadline: Instant? {
        guard isConnected, isVoter, isNarrow else { return nil }
        var due = lookAt
        if spare == nil, !isWriting { due = min(due, writeAt) }
        if isCalming { due = min(due, calmUntil) }
        return due == .distantFuture ? nil : due
    }

    public mutating func handle(_ event: Event, at now: Instant, into effects: inout [Effect]) {
        switch event {
        case .connected(let isFresh):
            if !isConnected, wasConnected { beginCalm(at: now) }
            if isFresh {
                asked.removeAll()
                spare = nil
                lost = view?.tieMark
            }
            (isConnected, wasConnected) = (true, true)
            effects.append(.changed)
        case .disconnected:
            guard isConnected else { return }
            isConnected = false
            asked.removeAll()
            effects.append(.changed)
        case .installed(let view, let isVoter): install(view, isVoter: isVoter, at: now)
        case .claim(let number, let mark): claim(number, mark, into: &effects)
        case .answered(let query, let name): take(query, name, at: now, into: &effects)
        case .tick: break
        }
        act(at: now, into: &effects)
    }

    /// There may be two voters soon.
    private var isNarrow: Bool { view.map { $0.voters.count <= 3 } ?? false }
    private var isWriting: Bool { asked.values.contains { if case .write = $0 { true } else { false } } }

    private mutating func install(_ view: View, isVoter: Bool, at now: Instant) {
        let before = self.view
        self.view = view
        self.isVoter = isVoter
        // Somebody else had a reason.
        if before?.tieMark != nil, view.tieMark == nil, view.voters.count == 2, isConnected { beginCalm(at: now) }
        guard view.tieMark != before?.tieMark else { return }
        lost = nil
        if view.tieMark == spare { spare = nil }
        lookAt = view.tieMark == nil ? .distantFuture : now
    }

    private mutating func beginCalm(at now: Instant) {
        calmUntil = now + calm
        calm = min(calm * 2, Limits.longestTieCalm)
        isCalming = true
    }

    private mutating func act(at now: Instant, into effects: inout [Effect]) {
        if isCalming, now >= calmUntil {
            isCalming = false
            effects.append(.changed)
        }
        guard isConnected, isVoter, isNarrow else { return }
        if spare == nil, !isWriting, now >= writeAt {
            let mark = random.next() | 1 << 63
            ask(.write(mark: mark), mark, Self.written, Limits.tieMarkTTL, into: &effects)
        }
        if now >= lookAt, let mark = view?.tieMark {
            lookAt = now + Limits.tieMarkInterval
            ask(.look(mark: mark), mark, Self.missing, Limits.tieMarkTTL, into: &effects)
        }
    }

    private mutating func ask(
        _ purpose: Purpose, _ key: UInt64, _ name: NodeName, _ ttl: Duration, into effects: inout [Effect]
    ) {
        lastQuery += 1
        asked[lastQuery] = purpose
        effects.append(.ask(Query(id: lastQuery, key: key, name: name, ttl: ttl)))
    }

    private mutating func claim(_ number: UInt64, _ mark: UInt64, into effects: inout [Effect]) {
        guard isConnected, !isLost, view?.tieMark == mark, view?.number == number &- 1 else { return }
        let isAsked = asked.values.contains {
            switch $0 {
            case .claim(number, _), .confirm(number, _): true
            case .claim, .confirm, .write, .look: false
            }
        }
        if !isAsked { ask(.claim(number: number, mark: mark), number, myself, Limits.claimTTL, into: &effects) }
    }

    private mutating func take(
        _ query: Query, _ name: NodeName?, at now: Instant, into effects: inout [Effect]
    ) {
        // Nil: it was put to a store that is not the one of now, or to a connection that is gone.
        guard let purpose = asked.removeValue(forKey: query.id) else { return }
        switch purpose {
        case .write(let mark):
            if name == Self.written {
                spare = mark
                effects.append(.changed)
            } else {
                writeAt = now + Limits.tieRetry
            }
        case .look(let mark):
            look(mark, name, into: &effects)
            if name == Self.written, now - calmUntil > Limits.longestTieCalm { calm = Limits.tieCalm }
        case .claim(let number, let mark):
            guard let name else { return }
            guard name == myself else { return effects.append(.taken(number: number, by: name)) }
            ask(.confirm(number: number, mark: mark), mark, Self.missing, Limits.tieMarkTTL, into: &effects)
        case .confirm(let number, let mark):
            look(mark, name, into: &effects)
            if name == Self.written { effects.append(.granted(number: number)) }
        }
    }

    private mutating func look(_ mark: UInt64, _ name: NodeName?, into effects: inout [Effect]) {
        guard let name, name != Self.written, view?.tieMark == mark, lost != mark else { return }
        lost = mark
        effects.append(.changed)
    }
}

extension Limits {
    /// How long a mark is remembered by the registry. Afterwards it is lost, and another one takes its place.
    public static let tieMarkTTL = Duration.seconds(30 * 86_400)
    /// How long a claim is: longer than any mark that was there when it was made.
    public static let claimTTL = tieMarkTTL * 2
    /// How often it is looked whether the mark is still there.
    public static let tieMarkInterval = Duration.seconds(10)
    /// After a mark could not be written.
    public static let tieRetry = Duration.seconds(1)
    /// How long a registry that was away has to stay before it counts again; doubles with every time.
    public static let tieCalm = Duration.seconds(5)
    public static let longestTieCalm = Duration.seconds(600)
}
