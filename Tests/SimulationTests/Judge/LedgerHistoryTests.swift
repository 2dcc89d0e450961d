import Primitives
import TaskLedger
import Testing

@testable import Simulation

/// The checker of what primaries commit: each thing that must not be is found, and nothing else.
struct LedgerHistoryTests {
    private let ledger = LedgerID(1)
    private let task = TaskID(high: 7 << 16 | 0x7000, low: 1 << 63)

    private func served(_ events: [LedgerEvent], terms: [UInt64]? = nil, committed: UInt64? = nil) -> ServedLedger {
        var copy = LedgerCopy(id: ledger)
        for (index, event) in events.enumerated() { _ = copy.append(event, in: Term(terms?[index] ?? 1)) }
        return ServedLedger(copy: copy, term: Term(terms?.last ?? 1), committed: committed ?? UInt64(events.count))
    }

    private var accepted: LedgerEvent {
        .accepted(
            Acceptance(
                id: task, spec: TaskSpec(type: "t"), enqueuedAt: .zero, due: nil, expires: nil))
    }

    private func leased(_ token: Token) throws -> LedgerEvent {
        let name = try #require(NodeName("n1"))
        return .leased(
            task,
            Lease(
                token: token, holder: NodeID(name: name, generation: Generation(1)), at: Timestamp(milliseconds: 0),
                isStarted: true))
    }

    private func token(_ attempt: UInt32, term: UInt64 = 1) -> Token {
        Token(run: 1, term: Term(term), attempt: attempt)
    }

    private func completed(_ token: Token) throws -> LedgerEvent {
        .completed(
            task, token, result: [], by: try #require(NodeName("n1")), at: Timestamp(milliseconds: Int64(token.attempt))
        )
    }

    private func failed(_ token: Token) -> LedgerEvent {
        .failed(
            task, token, TaskFailure(type: "f", message: "", isRetryable: false), by: nil,
            at: Timestamp(milliseconds: 0))
    }

    private var changed: LedgerEvent { .changed(task, .high, due: nil, at: Timestamp(milliseconds: 0)) }

    private func retried(_ run: UInt32) -> LedgerEvent {
        .retried(task, run: run, enqueuedAt: .zero, at: Timestamp(milliseconds: 0))
    }

    @Test
    func aSecondRunHasAnOutcomeOfItsOwn() throws {
        var history = LedgerHistory(id: ledger)
        let second = Token(run: 2, term: Term(1), attempt: 1)
        let events = [
            accepted, changed, try leased(token(1)), failed(token(1)), retried(2), changed, try leased(second),
            try completed(second),
        ]
        let problem = history.take(served(events), at: 0)
        #expect(problem == nil)
        #expect(history.tasks[task]?.end?.token == second)
        #expect(history.tasks[task]?.earlierEnds == [1: token(1)])
    }

    @Test
    func anOrdinaryLifeIsFine() throws {
        var history = LedgerHistory(id: ledger)
        let events = [
            accepted, try leased(token(1)),
            .interrupted(task, token(1), isBlamed: true, at: Timestamp(milliseconds: 0)), try leased(token(2)),
            try completed(token(2)), .forgotten(task),
        ]
        for count in 1...events.count {
            let problem = history.take(served(Array(events.prefix(count))), at: 0)
            #expect(problem == nil)
        }
        #expect(history.entryCount == events.count)
        #expect(history.tasks[task]?.isForgotten == true)
    }

    @Test
    func whatMustNotBeCommittedIsFound() throws {
        let cases: [(Property, [LedgerEvent])] = [
            (
                .tokenTwice,
                [
                    accepted, try leased(token(1)),
                    .interrupted(task, token(1), isBlamed: false, at: Timestamp(milliseconds: 0)), try leased(token(1)),
                ]
            ),
            (
                .tokenTwice,
                [
                    accepted, try leased(token(2)),
                    .interrupted(task, token(2), isBlamed: false, at: Timestamp(milliseconds: 0)), try leased(token(1)),
                ]
            ),
            (.tokenTwice, [accepted, try leased(token(1, term: 9))]),
            (.tokenTwice, [accepted, try leased(token(1)), try completed(token(1)), try leased(token(2))]),
            (.twoOutcomes, [accepted, try leased(token(1)), try completed(token(1)), try completed(token(2))]),
            (
                .twoOutcomes,
                [
                    accepted, try leased(token(1)), try completed(token(1)),
                    .cancelled(task, at: Timestamp(milliseconds: 0)),
                ]
            ),
            (
                .staleFailure,
                [
                    accepted, try leased(token(1)),
                    .interrupted(task, token(1), isBlamed: false, at: Timestamp(milliseconds: 0)), failed(token(1)),
                ]
            ),
            (
                .staleFailure,
                [
                    accepted, try leased(token(2)),
                    .interrupted(task, token(1), isBlamed: false, at: Timestamp(milliseconds: 0)),
                ]
            ),
            (.impossibleChange, [accepted, try leased(token(1)), changed]),
            (.impossibleChange, [accepted, try leased(token(1)), try completed(token(1)), changed]),
            (.impossibleChange, [accepted, retried(2)]),
            (.impossibleChange, [accepted, .cancelled(task, at: Timestamp(milliseconds: 0)), retried(3)]),
            (
                .tokenTwice,
                [accepted, try leased(token(1)), failed(token(1)), retried(2), try leased(token(2))]
            ),
            (
                .staleFailure,
                [accepted, try leased(token(1)), failed(token(1)), retried(2), try completed(token(1))]
            ),
            (.resurrected, [accepted, accepted]),
            (.resurrected, [accepted, try leased(token(1)), try completed(token(1)), .forgotten(task), accepted]),
        ]
        for (property, events) in cases {
            var history = LedgerHistory(id: ledger)
            let before = history.take(served(Array(events.dropLast())), at: 0)
            #expect(before == nil, "\(property) too early: \(events)")
            let problem = history.take(served(events), at: 0)
            #expect(problem?.0 == property, "\(events)")
        }
    }

    @Test
    func anotherEntryAtACommittedPlaceIsFound() throws {
        var history = LedgerHistory(id: ledger)
        let first = history.take(served([accepted, try leased(token(1))]), at: 0)
        #expect(first == nil)
        let second = history.take(
            served(
                [accepted, try leased(token(1, term: 2)), .cancelRequested(task, at: Timestamp(milliseconds: 0))],
                terms: [1, 2, 2]), at: 1)
        #expect(second?.0 == .conflictingCommits)
    }

    @Test
    func twoNodesThatCommitInOneTermAreFound() throws {
        var history = LedgerHistory(id: ledger)
        let first = history.take(served([accepted]), at: 0)
        #expect(first == nil)
        let second = history.take(served([accepted, .cancelRequested(task, at: Timestamp(milliseconds: 0))]), at: 1)
        #expect(second?.0 == .twoPrimaries)
    }

    @Test
    func aPrimaryThatKnowsLessOfWhatIsCommittedIsFine() throws {
        var history = LedgerHistory(id: ledger)
        let first = history.take(served([accepted, try leased(token(1))]), at: 0)
        #expect(first == nil)
        let second = history.take(served([accepted, try leased(token(1))], committed: 1), at: 1)
        #expect(second == nil)
    }

    @Test
    func aCopyHoldsWhatIsCommittedOrNot() throws {
        var history = LedgerHistory(id: ledger)
        let whole = served([accepted, try leased(token(1)), try completed(token(1))], committed: 2)
        _ = history.take(whole, at: 0)
        #expect(history.isHeld(by: whole.copy) == true)
        #expect(history.isHeld(by: served([accepted]).copy) == false)
        #expect(history.isHeld(by: served([accepted, try leased(token(1))], terms: [1, 2]).copy) == false)
        #expect(history.isHeld(by: LedgerCopy(id: ledger)) == false)
    }
}
