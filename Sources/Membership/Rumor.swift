public import Primitives

/// One piece of news about one generation of a node. Spread by every message until it was sent often enough.
public enum Rumor: Hashable, Sendable {
    /// Told first by the member itself, which alone raises its incarnation.
    case alive(NodeID, Incarnation, MemberProfile)
    /// `by` did not get an answer. `hasProof`: it saw the connection reset *and* a new one refused.
    case suspect(NodeID, Incarnation, by: NodeName, hasProof: Bool)
    /// `by` waited for a refutation, in vain.
    case dead(NodeID, Incarnation, by: NodeName)
    /// Told first by the member itself.
    case left(NodeID, Incarnation)

    /// Whom it is about.
    public var subject: NodeID {
        switch self {
        case .alive(let id, _, _), .suspect(let id, _, _, _), .dead(let id, _, _), .left(let id, _): id
        }
    }

    public var incarnation: Incarnation {
        switch self {
        case .alive(_, let incarnation, _), .suspect(_, let incarnation, _, _), .dead(_, let incarnation, _),
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

    /// What `record` says, as news told by `teller`.
    init(_ record: MemberRecord, toldBy teller: NodeName) {
        switch record.state {
        case .alive: self = .alive(record.id, record.incarnation, record.profile)
        case .suspect: self = .suspect(record.id, record.incarnation, by: teller, hasProof: false)
        case .dead: self = .dead(record.id, record.incarnation, by: teller)
        case .left: self = .left(record.id, record.incarnation)
        }
    }
}
