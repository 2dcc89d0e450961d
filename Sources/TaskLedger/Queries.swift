public import Primitives

/// Reading what this node owns.
extension TaskOwner {
    public func task(_ id: TaskID) -> TaskRecord? {
        index(of: id).flatMap { ledgers[$0].primary.state[id] }
    }

    /// Whether a ledger of this node had the task, with an outcome, and was let go of it not long ago.
    public func hasForgotten(_ id: TaskID) -> Bool { ledgers.contains { $0.primary.state.forgotten[id] != nil } }

    /// Which ledger of this node has the task.
    public func ledger(of id: TaskID) -> LedgerID? {
        index(of: id).flatMap { ledgers[$0].primary.state.has(id) ? ledgers[$0].primary.id : nil }
    }

    /// Whether what is known of the task may be told: an outcome only once it is committed (rule R5).
    public func isTellable(_ record: TaskRecord) -> Bool {
        !record.status.isFinal || !uncommittedEnds.contains(record.id)
    }

    /// The term in which this node serves a ledger; nil if it does not.
    public func term(of ledger: LedgerID) -> Term? { index(of: ledger).map { ledgers[$0].primary.term } }

    public var ownedLedgers: [LedgerID] { ledgers.map(\.primary.id) }

    public func openCount(of ledger: LedgerID) -> Int? {
        index(of: ledger).map { ledgers[$0].primary.state.openCount }
    }

    /// About how many bytes the tasks take.
    public var liveCost: Int { ledgers.reduce(0) { $0 + $1.primary.state.cost } }

    /// The copy of a ledger that this node serves.
    public func copy(of ledger: LedgerID) -> LedgerCopy? { index(of: ledger).map { ledgers[$0].primary.copy } }

    /// A ledger that this node serves, for checkers.
    public func served(_ ledger: LedgerID) -> ServedLedger? {
        index(of: ledger).map { index in
            let primary = ledgers[index].primary
            return ServedLedger(copy: primary.copy, term: primary.term, committed: primary.committed)
        }
    }

    public var openCount: Int { ledgers.reduce(0) { $0 + $1.primary.state.openCount } }

    /// Outcomes that the registry lacks.
    public var unarchivedCount: Int { ledgers.reduce(0) { $0 + $1.unarchived } }

    /// How many tasks of each queue are in each status.
    public func depth() -> [(queue: String, counts: [Int])] {
        var total: [String: [Int]] = [:]
        for owned in ledgers {
            for (queue, counts) in owned.primary.state.depth {
                total[queue] = total[queue].map { zip($0, counts).map(+) } ?? counts
            }
        }
        return total.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// The newest tasks that fit, newest first.
    public func tasks(before: TaskID?, limit: Int, where fits: (TaskRecord) -> Bool) -> [TaskRecord] {
        // Only ids are gathered and sorted: records are large.
        var found: [TaskID] = []
        for owned in ledgers {
            for (id, record) in owned.primary.state.tasks {
                if let before, id >= before { continue }
                if fits(record) { found.append(id) }
            }
        }
        found.sort(by: >)
        return found.prefix(limit).compactMap(task)
    }

    /// The backups of a ledger and whether they are as many as wanted.
    public func backups(of ledger: LedgerID) -> [StoreHolder] {
        index(of: ledger).map { ledgers[$0].primary.backups } ?? []
    }
}

/// A ledger as its primary sees it.
public struct ServedLedger: Sendable {
    public var copy: LedgerCopy
    public var term: Term
    /// Up to here everything is committed.
    public var committed: UInt64

    public init(copy: LedgerCopy, term: Term, committed: UInt64) {
        self.copy = copy
        self.term = term
        self.committed = committed
    }
}
