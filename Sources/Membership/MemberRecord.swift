public import Primitives

/// What is believed of one generation of a node.
public enum MemberState: UInt8, Hashable, Sendable, CaseIterable {
    /// Can transition to: suspect, dead, left.
    case alive
    /// Did not answer. Can transition to: alive (by a higher incarnation of its own), dead, left.
    case suspect
    /// Gone without a word. Final for the generation, save that a belated farewell turns it into `left`.
    case dead
    /// Gone as announced. Final for the generation.
    case left

    /// Counts as a member: it is probed and gossiped to.
    public var isLiving: Bool {
        switch self {
        case .alive, .suspect: true
        case .dead, .left: false
        }
    }
}

/// What one node knows of another (or of itself): a row of the member table, and the unit of a push-pull.
public struct MemberRecord: Hashable, Sendable {
    public var id: NodeID
    public var profile: MemberProfile
    public var state: MemberState
    public var incarnation: Incarnation
    /// Since when it has been in `state`, as far as is known here.
    public var since: Instant
    /// As last told by itself.
    public var load: LoadDigest
    /// The view that it said it had installed; 0: none, or nothing heard yet.
    public var viewNumber: UInt64
    /// When `load` and `viewNumber` were told; nil: not yet.
    public var heardAt: Instant?
    /// Its process has ended, as two members saw, or one where there was no other (rule R3): nothing that it could
    /// still start needs to be waited for. Only of those who are not living, and then for good.
    public var isExitProven: Bool

    public init(
        id: NodeID, profile: MemberProfile, state: MemberState = .alive, incarnation: Incarnation = Incarnation(0),
        since: Instant, load: LoadDigest = LoadDigest(), viewNumber: UInt64 = 0, heardAt: Instant? = nil,
        isExitProven: Bool = false
    ) {
        self.id = id
        self.profile = profile
        self.state = state
        self.incarnation = incarnation
        self.since = since
        self.load = load
        self.viewNumber = viewNumber
        self.heardAt = heardAt
        self.isExitProven = isExitProven
    }
}
