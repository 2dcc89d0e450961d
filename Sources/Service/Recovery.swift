public import Primitives

/// What an operator should know before the cluster is told to go on without what is missing.
public struct RecoveryReport: Sendable, Hashable {
    public struct Ledger: Sendable, Hashable {
        public var id: LedgerID
        /// The node that it was made for: where its tasks were submitted.
        public var founder: NodeName
        public var primary: NodeName
        /// Everybody whose copy counts.
        public var replicas: [NodeName]
        /// Of those, who is there with that copy.
        public var living: [NodeName]

        public init(id: LedgerID, founder: NodeName, primary: NodeName, replicas: [NodeName], living: [NodeName]) {
            self.id = id
            self.founder = founder
            self.primary = primary
            self.replicas = replicas
            self.living = living
        }
    }

    /// A voter of the view that is not there.
    public struct MissingVoter: Sendable, Hashable {
        public var name: NodeName
        /// The node is there, but with another disk: the one that voted is lost or not mounted.
        public var hasOtherDisk: Bool

        public init(name: NodeName, hasOtherDisk: Bool) {
            self.name = name
            self.hasOtherDisk = hasOtherDisk
        }
    }

    public var answeredBy: NodeName
    /// The view that this node has: what is missing, is missing of it.
    public var viewNumber: UInt64
    public var voters: Int
    /// How many of them have to be there for the cluster to decide by itself.
    public var majority: Int
    public var missingVoters: [MissingVoter]
    /// Going on gives these up: no copy that counts is there. Their tasks are gone, unless a disk comes back before.
    public var lostLedgers: [Ledger]
    /// These go on.
    public var keptLedgers: [Ledger]
    /// False: a majority is there, the cluster decides by itself, and `recover` is refused.
    public var isNeeded: Bool

    public init(
        answeredBy: NodeName, viewNumber: UInt64, voters: Int, majority: Int, missingVoters: [MissingVoter],
        lostLedgers: [Ledger], keptLedgers: [Ledger], isNeeded: Bool
    ) {
        self.answeredBy = answeredBy
        self.viewNumber = viewNumber
        self.voters = voters
        self.majority = majority
        self.missingVoters = missingVoters
        self.lostLedgers = lostLedgers
        self.keptLedgers = keptLedgers
        self.isNeeded = isNeeded
    }
}

public enum RecoveryOutcome: Sendable, Hashable {
    /// This node goes on in a new view, without what the report says is missing.
    case forced(viewNumber: UInt64, RecoveryReport)
    /// Nothing was done, and why: 409.
    case refused(String)
    /// It was begun, and is not done yet: ask again. 503.
    case unavailable(String)
}
