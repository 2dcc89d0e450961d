public import Primitives

/// One piece of news about one generation of a node. Spread by every message until it was sent often enough.
public enum Rumor: Hashable, Sendable {
    /// Told first by the member itself, which alone raises its incarnation.
    case alive(NodeID, Incarnation, MemberProfile)
    /// `by` did not get an answer. `hasProof`: it saw with its own eyes that the process has ended (`ExitEvidence`).
    case suspect(NodeID, Incarnation, by: NodeName, hasProof: Bool)
    /// `by` waited for a refutation, in vain; or `isProven`: two members saw that the process has ended, or one where
    /// there was no other.
    case dead(NodeID, Incarnation, by: NodeName, isProven: Bool)
    /// Told first by the member itself.
    case left(NodeID, Incarnation)

    /// Whom it is about.
    public var subject: NodeID {
        switch self {
        case .alive(let id, _, _), .suspect(let id, _, _, _), .dead(let id, _, _, _), .left(let id, _): id
        }
    }

    public var incarnation: Incarnation {
        switch self {
        case .alive(_, let incarnation, _), .suspect(_, let incarnation, _, _), .dead(_, let incarnation, _, _),
            .left(_, let incarnation):
            incarnation
        }
    }

    /// The state that it claims.
    public var state: MemberState {
        switch self {
        case .alive: .alive
        case .suspect: .suspect
        case .dead: .dead
        case .left: .left
        }
    }

    /// A proof, of one member or of two.
    var hasProof: Bool {
        switch self {
        case .suspect(_, _, _, let hasProof): hasProof
        case .dead(_, _, _, let isProven): isProven
        case .alive, .left: false
        }
    }

    /// What `record` says, as news told by `teller`.
    init(_ record: MemberRecord, toldBy teller: NodeName) {
        switch record.state {
        case .alive: self = .alive(record.id, record.incarnation, record.profile)
        case .suspect: self = .suspect(record.id, record.incarnation, by: teller, hasProof: false)
        case .dead: self = .dead(record.id, record.incarnation, by: teller, isProven: record.isExitProven)
        case .left: self = .left(record.id, record.incarnation)
        }
    }
}
