import Primitives

@testable import TaskLedger

/// What tests look at inside of an owner.
extension TaskOwner {
    func committed(of ledger: LedgerID) -> UInt64? { index(of: ledger).map { ledgers[$0].primary.committed } }

    /// What is derived from the states of tasks, counted anew; a sentence about the first thing that differs.
    func derivedFault() -> String? {
        var pending = 0
        for owned in ledgers {
            let state = owned.primary.state
            var depth: [String: [Int]] = [:]
            var (open, cost) = (0, 0)
            var leased: [TaskID] = []
            for record in state.tasks.values {
                if !record.spec.isWorkflow {
                    depth[record.spec.queue, default: Array(repeating: 0, count: TaskStatus.allCases.count)][
                        Int(record.status.rawValue)] += 1
                }
                cost += record.cost
                if !record.status.isFinal { open += 1 }
                if record.status == .pending {
                    let isAccounted = owned.restsUntil == nil || owned.resting.contains { $0.id == record.id }
                    if revoked[record.id] == nil, !isAccounted { return "\(record.id) neither rests nor is ready" }
                    if revoked[record.id] == nil, owned.restsUntil == nil { pending += 1 }
                } else if revoked[record.id] != nil, !record.status.isFinal {
                    return "\(record.id) rests as \(record.status)"
                }
                if record.status == .processing { leased.append(record.id) }
                if (record.lease != nil) != (record.status == .processing) {
                    return "\(record.id) has a lease as \(record.status)"
                }
                if record.status != .blocked, (record.due != nil) != (record.status == .scheduled) {
                    return "\(record.id) is due as \(record.status)"
                }
            }
            if depth != state.depth { return "depth of \(owned.primary.id) is \(state.depth), counted \(depth)" }
            if open != state.openCount {
                return "openCount of \(owned.primary.id) is \(state.openCount), counted \(open)"
            }
            if cost != state.cost { return "cost of \(owned.primary.id) is \(state.cost), counted \(cost)" }
            if leased.sorted() != state.leased { return "leased of \(owned.primary.id) is \(state.leased)" }
        }
        if pending != readyCount { return "readyCount is \(readyCount), counted \(pending)" }
        if let fault = readyFault() { return fault }
        for attempt in doubtful.values where lease(of: attempt) == nil {
            return "a doubt about \(attempt.id) has no lease"
        }
        return reserved < 0 ? "\(reserved) slots are reserved" : nil
    }

    /// The ready queue holds the tasks that are ready, and none of them has lapsed when its turn comes.
    private func readyFault() -> String? {
        let queued = readyOf.values.reduce(0, +)
        if queued != ready.count { return "the ready queue says that it has \(ready.count) tasks, counted \(queued)" }
        var rest = ready
        var count = 0
        while let item = rest.popHead() {
            guard live(item) != nil else { return "\(item.id) has lapsed, and has a turn" }
            count += 1
        }
        return count == readyCount ? nil : "the ready queue has \(count) tasks, counted \(readyCount)"
    }

    /// What should not be left when nothing goes on any more; a sentence about the first thing that is.
    func leftover(copies: Int) -> String? {
        if !doubtful.isEmpty { return "doubts about \(doubtful.keys.sorted())" }
        if readyCount != 0 { return "\(readyCount) tasks are ready" }
        if reserved != 0 { return "\(reserved) slots are reserved" }
        if restingCount != 0 { return "\(restingCount) tasks rest" }
        if let solitary { return "\(solitary) holds all slots" }
        for owned in ledgers {
            if let fault = owned.primary.leftover(copies: copies) { return "\(owned.primary.id): \(fault)" }
        }
        return nil
    }
}

extension LedgerPrimary {
    func leftover(copies: Int) -> String? {
        if committed != copy.last.sequence { return "committed up to \(committed) of \(copy.last.sequence)" }
        if let follower = followers.first(where: { !$0.isBackup }) { return "\(follower.holder) is still learning" }
        if followers.count + 1 < copies { return "\(followers.count) backups" }
        if let follower = followers.first(where: { $0.acknowledged != copy.last.sequence }) {
            return "\(follower.holder) has acknowledged \(follower.acknowledged) of \(copy.last.sequence)"
        }
        return nil
    }
}

// Tables that are not about the journal: whatever is appended is durable at once.

extension LedgerPrimary {
    mutating func commitAtOnce() -> [Action] {
        _ = takeUnwritten()
        madeDurable(upTo: copy.last.sequence)
        return takeCommitted()
    }
}

extension TaskOwner {
    mutating func collectAtOnce(into effects: inout [OwnerEffect]) {
        _ = takeUnwritten()
        madeDurable(awaitingDurability)
        collect(into: &effects)
    }
}

extension Replica {
    mutating func handle(_ request: AppendRequest) -> ReplicaReply {
        var records: [JournalRecord] = []
        return handle(request, into: &records)
    }

    mutating func handle(_ request: CopyRequest) -> ReplicaReply {
        var records: [JournalRecord] = []
        return handle(request, into: &records)
    }

    mutating func seal(_ term: Term) {
        var records: [JournalRecord] = []
        seal(term, into: &records)
    }
}
