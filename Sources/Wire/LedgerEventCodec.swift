import Primitives
public import TaskLedger

// Entries of ledgers. The tags of events are never given to another meaning: journals keep them.

extension ByteWriter {
    public mutating func place(_ value: Place) {
        varint(value.term.rawValue)
        varint(value.sequence)
    }

    public mutating func ledgerEntry(_ value: LedgerEntry) {
        place(value.place)
        ledgerEvent(value.event)
    }

    public mutating func ledgerEvent(_ value: LedgerEvent) {
        uint8(value.tag)
        if case .accepted(let acceptance) = value { return self.acceptance(acceptance) }
        if case .acceptedTogether(let all) = value { return array(all) { $0.acceptance($1) } }
        if case .bound(let bindings) = value { return array(bindings) { $0.keyBinding($1) } }
        guard let task = value.task else { preconditionFailure("an event of no task") }
        taskID(task)
        switch value {
        case .accepted, .acceptedTogether, .bound, .duplicateDiscarded, .forgotten:
            break
        case .calledBack(_, let acceptance):
            self.acceptance(acceptance)
        case .workflowFailing(_, let step, let at):
            taskID(step)
            timestamp(at)
        case .workflowEnded(_, let status, let failure, let at):
            uint8(status.rawValue)
            optional(failure) { $0.taskFailure($1) }
            timestamp(at)
        case .leased(_, let lease):
            self.lease(lease)
        case .started(_, let token, let at):
            self.token(token)
            timestamp(at)
        case .completed(_, let token, let result, let executor, let at):
            self.token(token)
            taskResult(result)
            nodeName(executor)
            timestamp(at)
        case .failed(_, let token, let failure, let executor, let at):
            self.token(token)
            taskFailure(failure)
            optional(executor) { $0.nodeName($1) }
            timestamp(at)
        case .rescheduled(_, let token, let failure, let due, let at):
            self.token(token)
            taskFailure(failure)
            instant(due)
            timestamp(at)
        case .interrupted(_, let token, let isBlamed, let at):
            self.token(token)
            bool(isBlamed)
            timestamp(at)
        case .cancelRequested(_, let at), .cancelled(_, let at), .expired(_, let at):
            timestamp(at)
        case .changed(_, let priority, let due, let at):
            self.priority(priority)
            optional(due) { $0.instant($1) }
            timestamp(at)
        case .retried(_, let run, let enqueuedAt, let at):
            varint(UInt64(run))
            instant(enqueuedAt)
            timestamp(at)
        case .resultMoved(_, let token, let holders):
            self.token(token)
            array(holders) { $0.storeHolder($1) }
        case .dependencyEnded(_, let parent, let outcome, let at):
            taskID(parent)
            parentOutcome(outcome)
            timestamp(at)
        }
    }
}

extension ByteReader {
    /// A term above which there can be others.
    mutating func term() throws(WireError) -> Term { Term(try number(upTo: Limits.placeNumber, "term")) }

    public mutating func place() throws(WireError) -> Place {
        Place(term: try term(), sequence: try number(upTo: Limits.placeNumber, "sequence number"))
    }

    public mutating func ledgerEntry() throws(WireError) -> LedgerEntry {
        LedgerEntry(place: try place(), event: try ledgerEvent())
    }

    public mutating func ledgerEvent() throws(WireError) -> LedgerEvent {
        switch try uint8() {
        case 1: .accepted(try acceptance())
        case 2: .leased(try taskID(), try lease())
        case 3: .started(try taskID(), try attemptToken(), at: try timestamp())
        case 4:
            .completed(
                try taskID(), try attemptToken(), result: try taskResult(),
                by: try nodeName(), at: try timestamp())
        case 5:
            .failed(
                try taskID(), try attemptToken(), try taskFailure(),
                by: try optional { (reader) throws(WireError) in try reader.nodeName() }, at: try timestamp())
        case 6:
            .rescheduled(
                try taskID(), try attemptToken(), try taskFailure(), due: try instant(), at: try timestamp())
        case 7: .interrupted(try taskID(), try attemptToken(), isBlamed: try bool(), at: try timestamp())
        case 8: .cancelRequested(try taskID(), at: try timestamp())
        case 9: .cancelled(try taskID(), at: try timestamp())
        case 10: .expired(try taskID(), at: try timestamp())
        case 11: .duplicateDiscarded(try taskID())
        case 12: .forgotten(try taskID())
        case 13: .changed(try taskID(), try priority(), due: try optionalInstant(), at: try timestamp())
        case 14: .retried(try taskID(), run: try counter("run"), enqueuedAt: try instant(), at: try timestamp())
        case 21:
            .dependencyEnded(try taskID(), try taskID(), try parentOutcome(), at: try timestamp())
        case 22: .acceptedTogether(try acceptedTogether())
        case 23: .workflowFailing(try taskID(), by: try taskID(), at: try timestamp())
        case 24:
            .workflowEnded(
                try taskID(), try finalStatus(),
                try optional { (reader) throws(WireError) in try reader.taskFailure() }, at: try timestamp())
        case 15: .bound(try keyBindings())
        case 25: .resultMoved(try taskID(), try attemptToken(), to: try resultHolders())
        case 26: .calledBack(try taskID(), try acceptance())
        default: throw .invalid("kind of ledger event")
        }
    }
}

extension LedgerEvent {
    /// Never given to another meaning.
    fileprivate var tag: UInt8 {
        switch self {
        case .accepted: 1
        case .leased: 2
        case .started: 3
        case .completed: 4
        case .failed: 5
        case .rescheduled: 6
        case .interrupted: 7
        case .cancelRequested: 8
        case .cancelled: 9
        case .expired: 10
        case .duplicateDiscarded: 11
        case .forgotten: 12
        case .changed: 13
        case .retried: 14
        case .dependencyEnded: 21
        case .acceptedTogether: 22
        case .workflowFailing: 23
        case .workflowEnded: 24
        case .resultMoved: 25
        case .bound: 15
        case .calledBack: 26
        }
    }
}

extension Limits {
    /// Terms and sequence numbers that a peer may speak of: the next one never overflows.
    static let placeNumber: UInt64 = 1 << 62
}
