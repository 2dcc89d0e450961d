public import Primitives

/// A member of a view: one generation of a node.
public struct Member: Hashable, Sendable {
    public var id: NodeID
    public var profile: MemberProfile
    /// It gives away what it has and will leave. A generation that drains never ceases to, so what one proposer has heard all
    /// later ones know, even those that gossip has not reached yet.
    public var isDraining: Bool

    public init(id: NodeID, profile: MemberProfile, isDraining: Bool = false) {
        self.id = id
        self.profile = profile
        self.isDraining = isDraining
    }

    /// As a replica of ledgers.
    public var replica: StoreHolder { StoreHolder(name: id.name, store: profile.store) }
    /// As a voter.
    public var voter: StoreHolder { StoreHolder(name: id.name, store: profile.disk) }
}

/// Who decides about one ledger, and who holds copies of it.
public struct LedgerAssignment: Hashable, Sendable {
    public var id: LedgerID
    /// Rises with every change of the primary, and when a primary comes back from a restart.
    public var term: Term
    public var primary: StoreHolder
    /// Ascending by name, without the primary.
    public var backups: [StoreHolder]
    /// For whom the ledger was made. Once that node's store has left the view, the ledger only drains.
    public var founder: StoreHolder

    public init(id: LedgerID, term: Term, primary: StoreHolder, backups: [StoreHolder], founder: StoreHolder) {
        self.id = id
        self.term = term
        self.primary = primary
        self.backups = backups
        self.founder = founder
    }

    /// Everybody whose copy counts.
    public var replicas: [StoreHolder] { [primary] + backups }
}

/// A ledger that a view gave up: every store that held a copy is known to be lost.
public struct LedgerLoss: Hashable, Sendable {
    public var ledger: LedgerID
    /// Who was its last primary.
    public var primary: NodeName
    /// The view that removed it.
    public var view: UInt64

    public init(ledger: LedgerID, primary: NodeName, view: UInt64) {
        self.ledger = ledger
        self.primary = primary
        self.view = view
    }
}

/// A view: the one truth about who is a member, who votes, who owns and who backs up (rule R1).
///
/// View n + 1 is chosen by single-decree Paxos among the voters of view n, so every number has one content. Nothing
/// that must be unique is computed from anything else: gossip only suspects. A forced view (`ForcedViews.swift`)
/// follows n without a majority, under a number far above.
///
/// Invariants (`validate`): members, voters and backups ascend by name; a name stands once in each; there are 1 to
/// `Limits.voters` voters, each a member with that disk; a mark of the tie-breaker stands only where there are two;
/// exits ascend and are no members; ledger numbers ascend from 1 and are below `nextLedger`; there are
/// `Limits.keySlots` slots, each of a listed ledger (or all are of ledger 0 while there is no ledger); moves ascend by
/// slot, each to another listed ledger. Replicas need
/// not be members: a ledger whose copies are all away stays listed, and is unavailable.
public struct View: Hashable, Sendable {
    public var number: UInt64
    public var cluster: ClusterID
    public var members: [Member]
    public var voters: [StoreHolder]
    public var ledgers: [LedgerAssignment]
    public var nextLedger: LedgerID
    /// Which ledger each key slot belongs to.
    public var slots: [LedgerID]
    /// Slots that are to move: only from here, and only when their ledger's primary says that it is ready (`SlotPlan`).
    public var moves: [SlotMove]
    public var settings: ClusterSettings
    /// The most recent losses, oldest first: at most `Limits.lostLedgers`.
    public var losses: [LedgerLoss]
    /// Members of the view before that are no members of this one, and whose process is proven to be gone: nothing that
    /// they could still start needs to be waited for (rule R3). They never cause a view; ascending.
    public var exits: [NodeID]
    /// With two voters: the mark in the registry that makes claims about the next view count (`TieBreaker`). Nil: no
    /// claim counts, only proof.
    public var tieMark: UInt64?

    public init(
        number: UInt64, cluster: ClusterID, members: [Member], voters: [StoreHolder], ledgers: [LedgerAssignment],
        nextLedger: LedgerID, slots: [LedgerID], moves: [SlotMove] = [], settings: ClusterSettings,
        losses: [LedgerLoss] = [],
        exits: [NodeID] = [], tieMark: UInt64? = nil
    ) {
        self.number = number
        self.cluster = cluster
        self.members = members
        self.voters = voters
        self.ledgers = ledgers
        self.nextLedger = nextLedger
        self.slots = slots
        self.moves = moves
        self.settings = settings
        self.losses = losses
        self.exits = exits
        self.tieMark = tieMark
    }

    public func member(_ name: NodeName) -> Member? { members.first { $0.id.name == name } }
    public func member(_ id: NodeID) -> Member? { members.first { $0.id == id } }
    /// The ledger whose primary decides about a key.
    public func home(of slot: KeySlot) -> LedgerAssignment? { ledger(slots[Int(slot.rawValue)]) }
    public func slots(of ledger: LedgerID) -> Set<KeySlot> {
        Set(slots.indices.lazy.filter { slots[$0] == ledger }.map { KeySlot(rawValue: UInt8($0)) })
    }
    public func moves(from ledger: LedgerID) -> [SlotMove] {
        moves.filter { slots[Int($0.slot.rawValue)] == ledger }
    }
    public func ledger(_ id: LedgerID) -> LedgerAssignment? { ledgers.first { $0.id == id } }

    /// Whether the primary is a member and still has the store that it was listed with: else the tasks answer 503.
    public func isAvailable(_ ledger: LedgerAssignment) -> Bool {
        member(ledger.primary.name)?.replica == ledger.primary
    }

    /// More than half of the voters.
    public var majority: Int { voters.count / 2 + 1 }
}
