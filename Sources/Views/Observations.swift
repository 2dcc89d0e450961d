public import Primitives

/// A primary's request to list a learner. Void in any view but the one it names: the learner held everything committed
/// when it was asked for, and the primary waits for it only until it installs a later view (rule R2).
public struct LearnerAsk: Hashable, Sendable {
    public var ledger: LedgerID
    public var view: UInt64
    public var term: Term
    public var learner: StoreHolder

    public init(ledger: LedgerID, view: UInt64, term: Term, learner: StoreHolder) {
        self.ledger = ledger
        self.view = view
        self.term = term
        self.learner = learner
    }
}

/// A primary's complaint about a listed backup: its link has been down for a second, it is full, or it lags too far.
public struct BackupComplaint: Hashable, Sendable {
    public var ledger: LedgerID
    public var view: UInt64
    public var term: Term
    public var backup: StoreHolder

    public init(ledger: LedgerID, view: UInt64, term: Term, backup: StoreHolder) {
        self.ledger = ledger
        self.view = view
        self.term = term
        self.backup = backup
    }
}

/// A primary's word that a ledger holds nothing any more, and takes nothing in.
public struct DrainedLedger: Hashable, Sendable {
    public var ledger: LedgerID
    public var view: UInt64
    public var term: Term

    public init(ledger: LedgerID, view: UInt64, term: Term) {
        self.ledger = ledger
        self.view = view
        self.term = term
    }
}

/// A primary's word that everything it knows of some key slots' keys is bound in the ledgers that these slots are to belong
/// to, and that it accepts nothing more for them in this view.
public struct ShippedSlots: Hashable, Sendable {
    public var ledger: LedgerID
    public var view: UInt64
    public var term: Term
    public var moves: [SlotMove]

    public init(ledger: LedgerID, view: UInt64, term: Term, moves: [SlotMove]) {
        self.ledger = ledger
        self.view = view
        self.term = term
        self.moves = moves
    }
}

/// How far a replica has come: the term of its last entry, and its length.
public struct ReplicaPosition: Hashable, Sendable {
    public var ledger: LedgerID
    public var replica: StoreHolder
    public var term: Term
    public var sequence: UInt64

    public init(ledger: LedgerID, replica: StoreHolder, term: Term, sequence: UInt64) {
        self.ledger = ledger
        self.replica = replica
        self.term = term
        self.sequence = sequence
    }
}

/// What gossip says about one node: suspicion, never truth.
public struct ObservedNode: Hashable, Sendable {
    public enum Condition: Hashable, Sendable {
        case alive
        /// It may be gone: nothing is changed on its account.
        case suspect
        /// Gone without a word.
        case gone
        /// Gone as announced.
        case left
    }

    /// The newest generation known.
    public var id: NodeID
    public var profile: MemberProfile
    public var condition: Condition
    public var isDraining: Bool
    /// This generation's process is gone for certain: two saw it, or one where there was no other; or it has said
    /// itself that it leaves.
    public var isExitProven: Bool
    /// It answers the observer now. What gossip says of it may be old: an observer that was stopped finds it unread.
    public var isLinked: Bool

    public init(
        id: NodeID, profile: MemberProfile, condition: Condition, isDraining: Bool = false, isExitProven: Bool = false,
        isLinked: Bool = true
    ) {
        self.id = id
        self.profile = profile
        self.condition = condition
        self.isDraining = isDraining
        self.isExitProven = isExitProven
        self.isLinked = isLinked
    }
}

/// Everything that may call for another view, as one node sees it.
///
/// `nodes` contains the observer itself, alive and as it is now.
/// A member of the view that `nodes` does not mention, or mentions with an older generation, counts as a suspect: it
/// stays. After a cold start it is for the observer to call a member `.gone` that never showed up.
public struct Observations: Hashable, Sendable {
    /// The planner sorts them: one of each name.
    public var nodes: [ObservedNode]
    public var asks: [LearnerAsk]
    /// Learners that were asked for and failed since, though they may seem alive. A view is made even if nothing else
    /// in it changes, or the primary would wait for them for ever.
    public var failedAsks: [LearnerAsk]
    public var unreachableBackups: [BackupComplaint]
    public var drainedLedgers: [DrainedLedger]
    /// What is to be changed in the settings.
    public var changes: [SettingsChange]
    public var shippedSlots: [ShippedSlots]
    /// Answers to `ViewPlanner.positionsWanted`.
    public var positions: [ReplicaPosition]
    /// What `TieBreaker` says: a mark that a view with two voters may carry, and whether the one that it carries is of
    /// no use any more.
    public var tieMark: UInt64?
    public var isTieMarkLost: Bool

    public init(
        nodes: [ObservedNode] = [], asks: [LearnerAsk] = [], failedAsks: [LearnerAsk] = [],
        unreachableBackups: [BackupComplaint] = [], drainedLedgers: [DrainedLedger] = [],
        changes: [SettingsChange] = [], shippedSlots: [ShippedSlots] = [], positions: [ReplicaPosition] = [],
        tieMark: UInt64? = nil, isTieMarkLost: Bool = false
    ) {
        self.nodes = nodes
        self.asks = asks
        self.failedAsks = failedAsks
        self.unreachableBackups = unreachableBackups
        self.drainedLedgers = drainedLedgers
        self.changes = changes
        self.shippedSlots = shippedSlots
        self.positions = positions
        self.tieMark = tieMark
        self.isTieMarkLost = isTieMarkLost
    }
}
