public import Primitives

/// What came of a wish to cancel.
public enum CancelDecision: Hashable, Sendable {
    /// It will not run.
    case cancelled
    /// Its executor was asked to stop; a success that comes earlier wins.
    case requested
    /// It had ended before.
    case finished
    case unknown
}

extension TaskOwner {
    /// - Parameter request: `accepted(request)` follows once the decision is committed; not for `finished` and `unknown`.
    public mutating func cancel(
        _ id: TaskID, request: UInt64, timestamp: Timestamp, into effects: inout [OwnerEffect]
    ) -> CancelDecision {
        guard let index = index(of: id), let record = ledgers[index].primary.state[id] else { return .unknown }
        guard !record.status.isFinal else { return .finished }
        defer { whenTellable(.accepted(request: request), in: index) }
        return end(record, in: index, timestamp: timestamp, into: &effects)
    }

    /// Cancels an open task, or has it stopped.
    mutating func end(
        _ record: TaskRecord, in index: Int, timestamp: Timestamp, into effects: inout [OwnerEffect]
    ) -> CancelDecision {
        let id = record.id
        if record.spec.isWorkflow {
            if !record.isCancelRequested { self.record(.cancelRequested(id, at: timestamp), in: index) }
            stirred.insert(id)
            return .requested
        }
        guard let lease = record.lease else {
            self.record(.cancelled(id, at: timestamp), in: index, then: .ended(id))
            return .cancelled
        }
        if !record.isCancelRequested { self.record(.cancelRequested(id, at: timestamp), in: index) }
        effects.append(
            .stop(AttemptID(ledger: ledgers[index].primary.id, id: id, token: lease.token), at: lease.holder))
        return .requested
    }
}
