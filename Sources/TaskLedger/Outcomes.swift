public import Primitives

/// How an attempt ended, as its executor reports it.
public enum AttemptOutcome: Hashable, Sendable {
    case completed(TaskResult)
    case failed(TaskFailure)
    /// It was stopped since its owner asked for that.
    case stopped
    /// It was never begun, and will not be: the executor drains, or was fenced.
    case released
}

/// What an executor tells the owner: again and again, until it is settled.
public struct AttemptReport: Hashable, Sendable {
    public var attempt: AttemptID
    public var outcome: AttemptOutcome

    public init(attempt: AttemptID, outcome: AttemptOutcome) {
        self.attempt = attempt
        self.outcome = outcome
    }
}

/// Taking outcomes (rule R6), and what follows from them.
///
/// | outcome | counts if | then |
/// | --- | --- | --- |
/// | completed | the task is open, whatever attempt it is of this run | `completed`; another executor is stopped |
/// | failed | it is the current attempt | `rescheduled`, or `failed` when retries cannot help or are used up |
/// | stopped | it is the current attempt | `cancelled` if that was wanted, else ready again, or `failed` if `at_most_once` |
/// | released | it is the current attempt | `cancelled` if that was wanted, else ready again; nobody blamed |
///
/// The executor may forget an outcome when the entry that it led to is committed, or when it does not count and never
/// will: the task has its outcome (a second one is counted), or a later attempt is known. A task that this owner does not
/// know is not settled: another owner's tail may still bring it.
extension TaskOwner {
    public mutating func take(
        _ report: AttemptReport, from executor: NodeID, at now: Instant, timestamp: Timestamp,
        into effects: inout [OwnerEffect]
    ) {
        let attempt = report.attempt
        if solitary == attempt.id, executor == me { solitary = nil }
        guard let index = index(of: attempt.ledger) else { return }
        guard let record = ledgers[index].primary.state[attempt.id] else {
            discardForgotten(report, from: executor, in: index)
            return
        }
        #if PLANTED_BUGS
        if PlantedBug.isActive(.secondOutcomeTaken), record.status.isFinal, case .completed(let result) = report.outcome
        {
            return self.record(
                .completed(attempt.id, attempt.token, result: result, by: executor.name, at: timestamp), in: index)
        }
        #endif
        if record.status.isFinal {
            discard(report, record, from: executor, in: index)
            return
        }
        if let start = record.startedAt, record.lease?.token == attempt.token {
            durations.measured(.milliseconds(timestamp.milliseconds - start.milliseconds), of: record.spec.type)
            switch report.outcome {
            case .completed, .failed: meterRun(record, from: start, at: now, timestamp)
            case .stopped, .released: break
            }
        }
        defer {
            if ledgers[index].primary.state[attempt.id]?.status.isFinal == true {
                meter(record.spec.queue, at: now) { $0.completions += 1 }
            }
        }
        let settle = Action.settle(attempt, executor)
        guard attempt.token.run == record.run else {
            // An earlier run has its outcome, or this one would not have begun.
            if attempt.token.run < record.run { return discard(report, record, from: executor, in: index) }
            ledgers[index].primary.whenCommitted(settle)
            return
        }
        if case .completed(let result) = report.outcome {
            if let lease = record.lease, lease.token != attempt.token {
                effects.append(
                    .stop(AttemptID(ledger: attempt.ledger, id: attempt.id, token: lease.token), at: lease.holder))
            }
            self.record(
                .completed(
                    attempt.id, attempt.token, result: result, by: executor.name,
                    at: endTime(of: record, in: index, timestamp)), in: index, then: .ended(attempt.id))
            ledgers[index].primary.whenCommitted(settle)
            return
        }
        #if PLANTED_BUGS
        if PlantedBug.isActive(.staleTokenAccepted), let lease = record.lease,
            case .failed(let failure) = report.outcome
        {
            return fail(record, lease, failure, by: executor.name, in: index, at: now, timestamp: timestamp)
        }
        #endif
        guard let lease = record.lease, lease.token == attempt.token else {
            // Superseded if a later token is known; before that it may yet be adopted as the current one.
            let newest =
                record.lease?.token ?? Token(run: record.run, term: attempt.token.term, attempt: record.attempts)
            if newest > attempt.token || record.lease == nil && record.attempts >= attempt.token.attempt {
                // The entry that made it obsolete may be the one that this very report led to.
                ledgers[index].primary.whenCommitted(settle)
            }
            return
        }
        switch report.outcome {
        case .completed:
            break
        case .failed(let failure):
            fail(record, lease, failure, by: executor.name, in: index, at: now, timestamp: timestamp)
        case .released where !record.isCancelRequested:
            self.record(.interrupted(record.id, lease.token, isBlamed: false, at: timestamp), in: index)
        case .stopped, .released:
            // It may have begun: an at_most_once task that was stopped for an owner of the past is not started again.
            interrupt(record, lease, isBlamed: false, in: index, timestamp: timestamp)
        }
        ledgers[index].primary.whenCommitted(settle)
    }

    /// The task has its outcome already.
    private mutating func discard(_ report: AttemptReport, _ record: TaskRecord, from executor: NodeID, in index: Int) {
        if isDuplicate(report, of: record.finalToken, in: index) {
            counters.duplicatesDiscarded += 1
            self.record(.duplicateDiscarded(record.id), in: index)
        }
        ledgers[index].primary.whenCommitted(.settle(report.attempt, executor))
    }

    /// The task had its outcome, and its record is gone. A task that was never known is not settled.
    private mutating func discardForgotten(_ report: AttemptReport, from executor: NodeID, in index: Int) {
        guard let final = ledgers[index].primary.state.forgotten[report.attempt.id] else { return }
        if isDuplicate(report, of: final, in: index) { counters.duplicatesDiscarded += 1 }
        ledgers[index].primary.whenCommitted(.settle(report.attempt, executor))
    }

    /// Whether this is a second outcome. The same report again, since its answer was lost, is none; nor is an attempt that
    /// did nothing. A duplicate comes again until it is settled, and counts once.
    private mutating func isDuplicate(_ report: AttemptReport, of final: Token?, in index: Int) -> Bool {
        switch report.outcome {
        case .stopped, .released: return false
        case .completed, .failed:
            guard final != report.attempt.token else { return false }
            if ledgers[index].discarded.count >= Limits.forgottenTasks { ledgers[index].discarded.removeAll() }
            return ledgers[index].discarded.insert(report.attempt).inserted
        }
    }

    private mutating func fail(
        _ record: TaskRecord, _ lease: Lease, _ failure: TaskFailure, by executor: NodeName?, in index: Int,
        at now: Instant,
        timestamp: Timestamp
    ) {
        if record.isCancelRequested {
            self.record(.cancelled(record.id, at: timestamp), in: index, then: .ended(record.id))
        } else if failure.isRetryable, record.failures < record.spec.retry.maxRetries,
            record.spec.delivery == .atLeastOnce
        {
            // What the handler knows about the other end is better than any policy.
            let rest =
                failure.retryAfter.map { .milliseconds(Int64(min($0, Limits.retryAfterMilliseconds))) }
                ?? record.spec.retry.delay(beforeRetry: record.failures + 1, using: &generator)
            self.record(.rescheduled(record.id, lease.token, failure, due: now + rest, at: timestamp), in: index)
        } else {
            self.record(
                .failed(record.id, lease.token, failure, by: executor, at: timestamp), in: index,
                then: .ended(record.id))
        }
    }

    /// The lease is void: its holder is gone, or never got it. Costs no retry; keeps the task's place in the queue.
    ///
    /// A task that may start only once, and may have, ends here. So does one that was cut off so often that it must be what
    /// takes its nodes down.
    mutating func interrupt(_ record: TaskRecord, _ lease: Lease, isBlamed: Bool, in index: Int, timestamp: Timestamp) {
        #if PLANTED_BUGS
        let isBlamed = isBlamed && !PlantedBug.isActive(.poisonNotCounted)
        if PlantedBug.isActive(.cancelForgotten), record.isCancelRequested {
            return self.record(.interrupted(record.id, lease.token, isBlamed: isBlamed, at: timestamp), in: index)
        }
        if PlantedBug.isActive(.onceStartedAgain), record.spec.delivery == .atMostOnce {
            return self.record(.interrupted(record.id, lease.token, isBlamed: isBlamed, at: timestamp), in: index)
        }
        #endif
        doubtful[record.id] = nil
        if solitary == record.id { solitary = nil }
        if record.isCancelRequested {
            self.record(.cancelled(record.id, at: timestamp), in: index, then: .ended(record.id))
        } else if record.spec.delivery == .atMostOnce {
            let failure = TaskFailure(
                type: "interrupted",
                message: "\(lease.holder.name) was lost while it had the task, which may be started only once",
                isRetryable: false)
            self.record(
                .failed(record.id, lease.token, failure, by: nil, at: timestamp), in: index, then: .ended(record.id))
        } else if isBlamed, record.interruptions + 1 >= Limits.interruptions {
            let failure = TaskFailure(
                type: "poison",
                message: "\(record.interruptions + 1) nodes were lost while they ran it, the last \(lease.holder.name)",
                isRetryable: false)
            self.record(
                .failed(record.id, lease.token, failure, by: nil, at: timestamp), in: index, then: .ended(record.id))
        } else {
            self.record(.interrupted(record.id, lease.token, isBlamed: isBlamed, at: timestamp), in: index)
        }
    }

    /// An executor of another node began these attempts.
    public mutating func began(_ attempts: [AttemptID], at now: Instant, timestamp: Timestamp) {
        for attempt in attempts where lease(of: attempt)?.isStarted == false {
            if let index = index(of: attempt.ledger) {
                if let record = task(attempt.id) { meterStart(record, attempt: record.attempts, at: now) }
                record(.started(attempt.id, attempt.token, at: timestamp), in: index)
            }
        }
    }
}
