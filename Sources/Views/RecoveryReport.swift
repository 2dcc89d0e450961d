public import Primitives

/// What an operator should know before a view is forced: who is missing, and what would be given up.
public struct RecoveryReport: Hashable, Sendable {
    public struct Ledger: Hashable, Sendable {
        public var id: LedgerID
        /// Whose node it was made for.
        public var founder: NodeName
        public var primary: NodeName
        /// Everybody whose copy counts.
        public var replicas: [NodeName]
        /// Of those, who is there with that copy.
        public var living: [NodeName]
    }

    /// A voter of the view that is not there.
    public struct MissingVoter: Hashable, Sendable {
        public var name: NodeName
        /// The node is there, but with another disk: the one that voted is lost or not mounted.
        public var hasOtherDisk: Bool
    }

    public var viewNumber: UInt64
    public var voters: Int
    public var missingVoters: [MissingVoter]
    /// Forcing a view gives these up: no listed copy is alive. Their tasks are gone, unless a disk comes back before.
    public var lostLedgers: [Ledger]
    /// These go on.
    public var keptLedgers: [Ledger]

    /// What the planner would force after `view`.
    public init(_ view: View, _ observed: Observations) {
        viewNumber = view.number
        voters = view.voters.count
        missingVoters = view.voters.filter { !ViewPlanner.isThere($0, observed) }.map { voter in
            MissingVoter(
                name: voter.name,
                hasOtherDisk: observed.nodes.contains { $0.id.name == voter.name && $0.condition == .alive })
        }
        let situation = Situation(view, ViewPlanner.withoutTheMissing(view, observed))
        let ledgers = view.ledgers.map { ledger in
            Ledger(
                id: ledger.id, founder: ledger.founder.name, primary: ledger.primary.name,
                replicas: ledger.replicas.map(\.name),
                living: ledger.replicas.filter(situation.isAlive).map(\.name))
        }
        lostLedgers = ledgers.filter(\.living.isEmpty)
        keptLedgers = ledgers.filter { !$0.living.isEmpty }
    }

    /// Voters that are there.
    public var livingVoters: Int { voters - missingVoters.count }
    /// How many have to be there for a view to be decided as usual.
    public var majority: Int { voters / 2 + 1 }
    /// With a majority the cluster decides by itself, and forcing a view is refused.
    public var isNeeded: Bool { livingVoters < majority }
}
