import Primitives
import Testing

@testable import TaskLedger

/// What has happened to a task is told as it was, from the record alone.
@Suite struct TaskHistoryTests {
    private static let id = Sample.task(1)

    private static func at(_ milliseconds: Int64) -> Timestamp { Timestamp(milliseconds: milliseconds) }

    private static func lease(_ attempt: UInt32, run: UInt32 = 1, at: Int64, isStarted: Bool) -> LedgerEvent {
        .leased(
            id,
            Lease(
                token: Sample.token(attempt, run: run), holder: Sample.thief, at: Self.at(at), isStarted: isStarted))
    }

    private static func told(_ events: [LedgerEvent]) -> [String] {
        var record = TaskRecord(Sample.acceptance(1))
        for event in events {
            record.apply(event)
            record.becomeDue()
        }
        return record.transitions(acceptedBy: Sample.me.name).map { transition in
            "\(transition.kind.rawValue) \(transition.node?.rawValue ?? "-") \(transition.run)/"
                + "\(transition.attempt.map(String.init) ?? "-") \(transition.at.milliseconds)"
                + (transition.failure.map { " " + $0.type } ?? "")
        }
    }

    @Test func anOrdinaryLife() {
        #expect(Self.told([]) == ["accepted me 1/- 0"])
        let events = [
            Self.lease(1, at: 5, isStarted: false), .started(Self.id, Sample.token(1), at: Self.at(6)),
            .completed(Self.id, Sample.token(1), result: [], by: Sample.thief.name, at: Self.at(9)),
        ]
        #expect(
            Self.told(events) == [
                "accepted me 1/- 0", "leased thief 1/1 5", "started thief 1/1 6", "completed thief 1/1 9",
            ])
        #expect(Self.told(Array(events.prefix(1))) == ["accepted me 1/- 0", "leased thief 1/1 5"])
    }

    @Test func everyAttemptAndRunIsTold() {
        let failure = Sample.failure
        let events: [LedgerEvent] = [
            Self.lease(1, at: 5, isStarted: true),
            .rescheduled(Self.id, Sample.token(1), failure, due: .zero, at: Self.at(6)),
            Self.lease(2, at: 7, isStarted: false),
            .interrupted(Self.id, Sample.token(2), isBlamed: false, at: Self.at(8)),
            .changed(Self.id, .high, due: nil, at: Self.at(9)),
            Self.lease(3, at: 10, isStarted: true), .cancelRequested(Self.id, at: Self.at(11)),
            .failed(Self.id, Sample.token(3), failure, by: Sample.thief.name, at: Self.at(12)),
            .retried(Self.id, run: 2, enqueuedAt: .zero, at: Self.at(13)),
            .cancelled(Self.id, at: Self.at(14)), .retried(Self.id, run: 3, enqueuedAt: .zero, at: Self.at(15)),
            Self.lease(1, run: 3, at: 16, isStarted: true),
        ]
        #expect(
            Self.told(events) == [
                "accepted me 1/- 0", "leased thief 1/1 5", "started thief 1/1 5", "attempt_failed thief 1/1 6 e",
                "leased thief 1/2 7", "interrupted thief 1/2 8", "changed - 1/- 9", "cancel_requested - 1/- 11",
                "leased thief 1/3 10", "started thief 1/3 10", "failed thief 1/3 12 e", "retried - 2/- 13",
                "cancelled - 2/- 14", "retried - 3/- 15", "leased thief 3/1 16", "started thief 3/1 16",
            ])
    }

    /// An attempt whose owner died ends after all, while another one runs: each is told once, with its own node.
    @Test func anAttemptThatWasGivenUpMayEndTheTask() {
        let events: [LedgerEvent] = [
            Self.lease(1, at: 5, isStarted: true),
            .interrupted(Self.id, Sample.token(1), isBlamed: false, at: Self.at(6)),
            .leased(
                Self.id,
                Lease(token: Sample.token(2), holder: Sample.me, at: Self.at(7), isStarted: true)),
            .completed(Self.id, Sample.token(1), result: [], by: Sample.thief.name, at: Self.at(9)),
        ]
        #expect(
            Self.told(events) == [
                "accepted me 1/- 0", "leased thief 1/1 5", "started thief 1/1 5", "interrupted thief 1/1 6",
                "leased me 1/2 7", "started me 1/2 7", "interrupted me 1/2 9", "completed thief 1/1 9",
            ])
    }

    @Test func onlyTheNewestStepsAreKeptAndOthersCounted() {
        var record = TaskRecord(Sample.acceptance(1))
        for attempt in 1...UInt32(Limits.historySteps + 5) {
            record.apply(Self.lease(attempt, at: Int64(attempt), isStarted: true))
            record.apply(
                .rescheduled(Self.id, Sample.token(attempt), Sample.failure, due: .zero, at: Self.at(Int64(attempt))))
            record.becomeDue()
        }
        #expect(record.history.steps.count == Limits.historySteps)
        #expect(record.history.cut == 5)
        #expect(record.history.steps.first?.token?.attempt == 6)
    }

    @Test func longErrorsAreCutBetweenTwoCharacters() {
        var failure = Sample.failure
        failure.message = String(repeating: "\u{E9}", count: 2000)
        let short = failure.shortened
        #expect((Limits.historyErrorBytes - 1...Limits.historyErrorBytes).contains(short.message.utf8.count))
        #expect(failure.message.hasPrefix(short.message))
        #expect(Sample.failure.shortened == Sample.failure)
    }

    @Test func theHistoryCountsAmongTheBytesOfALedger() {
        var state = LedgerState()
        state.apply(.accepted(Sample.acceptance(1)))
        let before = state.cost
        state.apply(Self.lease(1, at: 1, isStarted: true))
        state.apply(.rescheduled(Self.id, Sample.token(1), Sample.failure, due: .zero, at: Self.at(2)))
        #expect(state.cost > before)
        state.apply(.cancelled(Self.id, at: Self.at(3)))
        state.apply(.forgotten(Self.id))
        #expect(state.cost == 0)
    }
}

/// Why a task does not run.
@Suite struct ExplainingTests {
    private static func cause(_ bench: OwnerBench, _ id: TaskID) throws -> WaitCause {
        bench.owner.waitCause(of: try #require(bench.owner.task(id)), at: bench.now)
    }

    @Test func everyCauseHasItsName() throws {
        var bench = OwnerBench(slots: 1)
        var late = TaskOwnerTests.spec()
        late.delay = 1000
        let ids = try bench.submit(
            TaskOwnerTests.spec(5, retries: 1), TaskOwnerTests.spec(5), TaskOwnerTests.spec(7), late)
        #expect(
            try ids.map { try Self.cause(bench, $0) } == [
                .behind(1, isMore: false), .behind(2, isMore: false), .next, .notDue,
            ])
        bench.owner.isPaused = true
        #expect(try Self.cause(bench, ids[2]) == .ownerPaused)
        bench.owner.isPaused = false
        let start = try #require(bench.turn().starts.first)
        #expect(try Self.cause(bench, start.id) == .runs)
        bench.report(start.attempt, .completed([]))
        #expect(try Self.cause(bench, start.id) == .ended)
        let grant = try #require(bench.grant().first)
        #expect(try Self.cause(bench, grant.id) == .granted)
        bench.report(grant.attempt, .failed(Sample.failure), from: Sample.thief)
        #expect([.retryRest, .ended].contains(try Self.cause(bench, grant.id)))
        #expect(bench.owner.readyCount == 1)
    }

    @Test func whatWasTakenOverRests() throws {
        var bench = OwnerBench()
        bench.stepDown()
        var copy = LedgerCopy(id: Sample.ledger)
        _ = copy.append(.accepted(Sample.acceptance(1)), in: Term(1))
        let end = bench.now + .seconds(2)
        bench.install(view: 2, term: 2, restsUntil: end, copy: copy)
        #expect(try Self.cause(bench, Sample.task(1)) == .fence(until: end))
    }

    @Test func aCountAheadHasABound() throws {
        var bench = OwnerBench(maxQueued: 100_000)
        for _ in 0...Limits.countedAhead { _ = try bench.submit(TaskOwnerTests.spec(8)) }
        let id = try #require(try bench.submit(TaskOwnerTests.spec(1)).first)
        #expect(try Self.cause(bench, id) == .behind(Limits.countedAhead, isMore: true))
    }
}
