import DequeModule
public import Primitives

/// What a client wants of a task that does not run.
public enum TaskWish: Hashable, Sendable {
    /// Of a task that waits: another priority, or another time from now in milliseconds (0: at once). Nil stays as it
    /// is.
    case change(priority: Priority?, delay: UInt64?)
    /// Of a task that ended without success: a new run.
    case retry
    /// Of a dead letter: to be forgotten.
    case purge
}

/// What came of a wish.
public enum WishDecision: UInt8, Hashable, Sendable, CaseIterable {
    case done = 1
    case unknown
    /// An executor has it.
    case running
    /// It has ended: nothing is left to be changed.
    case ended
    /// It has not ended: there is nothing to be run again, and no dead letter.
    case notEnded
    /// It has completed: whoever wants it again submits it again.
    case completed
    /// It ended otherwise than by failing: it is no dead letter.
    case noLetter
    /// It would expire before it may start.
    case wouldExpire
    /// There is no room for another open task.
    case full
    /// Its end is not committed yet, or its former executor may still begin it: a moment later it can be told.
    case unsettled
    /// It is a workflow, or belongs to one that is not over.
    case inWorkflow
}

/// Carrying out what clients want of tasks that do not run.
///
/// | | waits | has a lease | completed | failed | cancelled, expired |
/// | --- | --- | --- | --- | --- | --- |
/// | change | `changed` | running | ended | ended | ended |
/// | retry | notEnded | notEnded | completed | `retried` | `retried` |
/// | purge | notEnded | notEnded | noLetter | `forgotten` | noLetter |
///
/// A new run starts from nothing: no attempts, no failures, no interruptions, no expiry; its place in the queue is that
/// of a task that is submitted now. Tokens of it are above all of the runs before.
extension TaskOwner {
    /// - Parameter request: `accepted(request)` follows once the decision is committed, if it is `done`.
    public mutating func carryOut(
        _ wish: TaskWish, for id: TaskID, request: UInt64, at now: Instant, timestamp: Timestamp
    ) -> WishDecision {
        guard let index = index(of: id), let record = ledgers[index].primary.state[id] else { return .unknown }
        if let refusal = refusal(of: wish, for: record, in: index, at: now) { return refusal }
        defer { whenTellable(.accepted(request: request), in: index) }
        switch wish {
        case .change(let priority, let delay): change(record, priority, delay, in: index, at: now, timestamp)
        case .retry: retry(record, in: index, at: now, timestamp)
        case .purge: forgetLetter(id, in: index)
        }
        return .done
    }

    private func refusal(
        of wish: TaskWish, for record: TaskRecord, in index: Int, at now: Instant
    ) -> WishDecision? {
        guard isTellable(record), !record.owesCallback else { return .unsettled }
        let isChange = if case .change = wish { true } else { false }
        if record.spec.isWorkflow || !isChange && isHeldByWorkflow(record.id, in: index) { return .inWorkflow }
        switch (wish, record.status) {
        case (.change(_, let delay), .pending), (.change(_, let delay), .scheduled), (.change(_, let delay), .blocked):
            if revoked[record.id] != nil { return .unsettled }
            let due = delay.map { now + .milliseconds(Int64($0)) } ?? record.due
            if let due, let expires = record.expires, due >= expires { return .wouldExpire }
            return nil
        case (.change, .processing): return .running
        case (.change, .completed), (.change, .failed), (.change, .cancelled), (.change, .expired): return .ended
        case (.retry, .failed), (.retry, .cancelled), (.retry, .expired):
            return room > 0 && !ledgers[index].primary.isCongested ? nil : .full
        case (.retry, .completed): return .completed
        case (.purge, .failed): return nil
        case (.purge, .completed), (.purge, .cancelled), (.purge, .expired): return .noLetter
        case (.retry, _), (.purge, _): return .notEnded
        }
    }

    private mutating func change(
        _ record: TaskRecord, _ priority: Priority?, _ delay: UInt64?, in index: Int, at now: Instant,
        _ timestamp: Timestamp
    ) {
        let due = delay.map { $0 == 0 ? nil : now + .milliseconds(Int64($0)) } ?? record.due
        self.record(
            .changed(record.id, priority ?? record.spec.priority, due: due, at: timestamp), in: index)
        guard let changed = ledgers[index].primary.state[record.id], changed.status == record.status else { return }
        switch changed.status {
        case .pending:
            unqueue(record, in: index)
            if !rests(record.id, in: index) { ready.lapse(item(record, ledgers[index].primary.id)) }
            queue(changed, in: index)
        case .scheduled:
            if let due { alarms.insert(Alarm(at: due, id: record.id, ledger: ledgers[index].primary.id)) }
        case .blocked, .processing, .completed, .failed, .cancelled, .expired:
            break
        }
    }

    mutating func retry(_ record: TaskRecord, in index: Int, at now: Instant, _ timestamp: Timestamp) {
        if record.status == .failed {
            letterGoes(record.id, in: index)
        } else if let position = ledgers[index].archived.firstIndex(of: record.id) {
            ledgers[index].archived.remove(at: position)
        } else {
            ledgers[index].unarchived = max(0, ledgers[index].unarchived - 1)
        }
        self.record(
            .retried(record.id, run: record.run + 1, enqueuedAt: now, at: timestamp), in: index)
    }
}
