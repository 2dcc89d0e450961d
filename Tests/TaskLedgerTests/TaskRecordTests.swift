import Primitives
import Testing

@testable import TaskLedger

/// The fold of one task's events: every state with every event.
@Suite struct TaskRecordTests {
    static let id = Sample.task(1)
    static let events: [LedgerEvent] = [
        .accepted(Sample.acceptance(1)), .leased(id, Sample.lease(2)), .started(id, Sample.token(1), at: Sample.at),
        .completed(id, Sample.token(1), result: [1], by: Sample.name("x"), at: Sample.at),
        .failed(id, Sample.token(1), Sample.failure, by: nil, at: Sample.at),
        .rescheduled(id, Sample.token(1), Sample.failure, due: Sample.instant(5), at: Sample.at),
        .interrupted(id, Sample.token(1), isBlamed: true, at: Sample.at), .cancelRequested(id, at: Sample.at),
        .cancelled(id, at: Sample.at),
        .expired(id, at: Sample.at), .duplicateDiscarded(id), .forgotten(id),
        .changed(id, .high, due: Sample.instant(9), at: Sample.at), .changed(id, .low, due: nil, at: Sample.at),
        .retried(id, run: 2, enqueuedAt: Sample.instant(8), at: Sample.at),
    ]

    /// In each state, with a first attempt behind it where the state has one.
    static func record(_ status: TaskStatus) -> TaskRecord {
        var record = TaskRecord(Sample.acceptance(1, due: status == .scheduled ? Sample.instant(3) : nil))
        switch status {
        case .scheduled, .pending, .blocked: break
        case .processing: record.apply(.leased(id, Sample.lease(1)))
        case .completed: record.apply(events[3])
        case .failed: record.apply(events[4])
        case .cancelled: record.apply(events[8])
        case .expired: record.apply(events[9])
        }
        return record
    }

    /// What each event makes of a task that is scheduled, pending, processing; "=" changes nothing at all.
    static let table: [(event: Int, after: [String])] = [
        (0, ["=", "=", "="]), (1, ["processing", "processing", "processing"]), (2, ["=", "=", "processing"]),
        (3, ["completed", "completed", "completed"]), (4, ["failed", "failed", "failed"]),
        (5, ["=", "=", "scheduled"]),
        (6, ["=", "=", "pending"]), (7, ["scheduled", "pending", "processing"]),
        (8, ["cancelled", "cancelled", "cancelled"]), (9, ["expired", "expired", "expired"]),
        (10, ["scheduled", "pending", "processing"]),
        (11, ["=", "=", "="]), (12, ["scheduled", "scheduled", "="]), (13, ["pending", "pending", "="]),
        (14, ["=", "=", "="]),
    ]

    @Test(arguments: table) func openTaskFollowsTheTable(event: Int, after: [String]) {
        for (status, expected) in zip([TaskStatus.scheduled, .pending, .processing], after) {
            let before = Self.record(status)
            var record = before
            record.apply(Self.events[event])
            if expected == "=" {
                #expect(record == before)
            } else {
                #expect(record.status.name == expected)
                #expect(record != before)
            }
            #expect((record.lease != nil) == (record.status == .processing))
            #expect((record.due != nil) == (record.status == .scheduled))
            #expect((record.finishedAt != nil) == record.status.isFinal)
        }
    }

    @Test(arguments: [TaskStatus.completed, .failed, .cancelled, .expired])
    func finalStateIsLeftOnlyByANewRun(status: TaskStatus) {
        for event in Self.events {
            let before = Self.record(status)
            var record = before
            record.apply(event)
            if case .duplicateDiscarded = event {
                #expect(record.duplicatesDiscarded == 1)
                #expect(record.status == status)
            } else if case .retried = event {
                #expect(record.status == .pending)
                #expect(record.run == 2)
                #expect(record.attempts == 0 && record.failures == 0 && record.finishedAt == nil)
                #expect(record.enqueuedAt == Sample.instant(8))
                #expect(record.resultToken == Token(run: 2, term: Term(0), attempt: 0))
            } else {
                #expect(record == before)
            }
        }
    }

    @Test func eventsOfAnotherAttemptChangeNothing() {
        let before = Self.record(.processing)
        let late: [LedgerEvent] = [
            .started(Self.id, Sample.token(9), at: Sample.at),
            .interrupted(Self.id, Sample.token(9), isBlamed: true, at: Sample.at),
            .rescheduled(Self.id, Sample.token(9), Sample.failure, due: .zero, at: Sample.at),
        ]
        for event in late {
            var record = before
            record.apply(event)
            #expect(record == before)
        }
    }

    @Test func attemptsFailuresAndInterruptionsAreCountedApart() {
        var record = Self.record(.pending)
        record.apply(.leased(Self.id, Sample.lease(1)))
        record.apply(.rescheduled(Self.id, Sample.token(1), Sample.failure, due: .zero, at: Sample.at))
        record.becomeDue()
        record.apply(.leased(Self.id, Sample.lease(2)))
        record.apply(.interrupted(Self.id, Sample.token(2), isBlamed: false, at: Sample.at))
        record.apply(.leased(Self.id, Sample.lease(3)))
        record.apply(.interrupted(Self.id, Sample.token(3), isBlamed: true, at: Sample.at))
        #expect((record.attempts, record.failures, record.interruptions) == (3, 1, 1))
        #expect(!record.isSuspectedPoison)
    }
}

/// What a ledger counts while it folds.
@Suite struct LedgerStateTests {
    @Test func countsFollowEveryEventAndEmptyQueuesAreForgotten() {
        var state = LedgerState()
        state.apply(.accepted(Sample.acceptance(1)))
        state.apply(.accepted(Sample.acceptance(1)))
        state.apply(.accepted(Sample.acceptance(2, due: .zero)))
        #expect(state.openCount == 2)
        #expect(state.depth["default"] == [1, 0, 1, 0, 0, 0, 0, 0])
        state.becomeDue(Sample.task(2))
        state.apply(.leased(Sample.task(1), Sample.lease(1)))
        #expect(state.leased == [Sample.task(1)])
        #expect(state.depth["default"] == [0, 0, 1, 1, 0, 0, 0, 0])
        state.apply(.completed(Sample.task(1), Sample.token(1), result: [1, 2], by: Sample.name("x"), at: Sample.at))
        #expect(state.leased.isEmpty)
        #expect(state.openCount == 1)
        state.apply(.forgotten(Sample.task(2)))
        #expect(state[Sample.task(2)] != nil, "an open task is not forgotten")
        state.apply(.forgotten(Sample.task(1)))
        state.apply(.expired(Sample.task(2), at: Sample.at))
        state.apply(.forgotten(Sample.task(2)))
        #expect(state.depth.isEmpty)
        #expect(state.cost == 0)
        #expect(state.openCount == 0)
    }

    @Test func recordOfASnapshotReplacesWhatWasKnown() {
        var state = LedgerState()
        state.apply(.accepted(Sample.acceptance(1)))
        var record = TaskRecord(Sample.acceptance(1))
        record.apply(.leased(Sample.task(1), Sample.lease(1)))
        state.insert(record)
        #expect(state.depth["default"]?[Int(TaskStatus.pending.rawValue)] == 0)
        #expect(state.leased == [Sample.task(1)])
        #expect(state.openCount == 1)
    }
}
