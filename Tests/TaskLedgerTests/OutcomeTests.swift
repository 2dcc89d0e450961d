import Primitives
import Testing

@testable import TaskLedger

/// Rule R6: which outcome counts, and what the executor is told.
@Suite struct OutcomeTests {
    enum Relation: CaseIterable { case current, earlier, later, otherRun }
    static let outcomes: [AttemptOutcome] = [.completed([1]), .failed(Sample.finalFailure), .stopped, .released]

    /// A task whose second attempt is under way at the thief.
    static func bench(_ delivery: TaskSpec.Delivery = .atLeastOnce) throws -> (bench: OwnerBench, current: AttemptID) {
        var bench = OwnerBench()
        _ = try bench.submit(TaskOwnerTests.spec(retries: 0, delivery: delivery))
        let first = try #require(bench.grant().first)
        bench.report(first.attempt, .released, from: Sample.thief)
        let second = try #require(bench.grant().first)
        return (bench, second.attempt)
    }

    static func attempt(_ current: AttemptID, _ relation: Relation) -> AttemptID {
        let token =
            switch relation {
            case .current: current.token
            case .earlier: Sample.token(1)
            case .later: Sample.token(3)
            case .otherRun: Sample.token(2, run: 2)
            }
        return AttemptID(ledger: current.ledger, id: current.id, token: token)
    }

    static func isSettled(_ effects: [OwnerEffect], _ attempt: AttemptID) -> Bool {
        effects.contains { if case .settled([attempt], for: Sample.thief) = $0 { true } else { false } }
    }

    @Test(arguments: Relation.allCases, outcomes.indices)
    func openTaskTakesOutcomesByTheTable(relation: Relation, outcome: Int) throws {
        var (bench, current) = try Self.bench()
        let attempt = Self.attempt(current, relation)
        bench.report(attempt, Self.outcomes[outcome], from: Sample.thief)
        let expected: TaskStatus =
            switch (relation, outcome) {
            case (.otherRun, _): .processing
            case (_, 0): .completed
            case (.current, 1): .failed
            case (.current, _): .pending
            default: .processing
            }
        #expect(bench.status(current.id) == expected)
        bench.collect()
        // An outcome of an attempt that is not known yet is kept: it may be adopted as the current one.
        let isKept = relation == .later && outcome != 0
        #expect(Self.isSettled(bench.effects, attempt) == !isKept)
        let isOtherStopped = bench.effects.contains {
            if case .stop(current, Sample.thief) = $0 { true } else { false }
        }
        #expect(isOtherStopped == (outcome == 0 && (relation == .earlier || relation == .later)))
        #expect(bench.owner.derivedFault() == nil)
    }

    @Test func outcomeIsSettledOnlyOnceItIsCommitted() throws {
        var (bench, current) = try Self.bench()
        bench.install(view: 2, backups: [Sample.replica("b")])
        for outcome in [AttemptOutcome.failed(Sample.failure), .failed(Sample.failure), .completed([1]), .stopped] {
            bench.report(current, outcome, from: Sample.thief)
            bench.collect()
            #expect(!Self.isSettled(bench.effects, current), "\(outcome)")
        }
        bench.install(view: 3)
        bench.collect()
        #expect(Self.isSettled(bench.effects, current))
    }

    @Test func secondOutcomeIsCountedOnceHoweverOftenItComes() throws {
        var (bench, current) = try Self.bench()
        bench.report(current, .completed([1]), from: Sample.thief)
        bench.report(current, .completed([1]), from: Sample.thief)
        #expect(bench.owner.counters.duplicatesDiscarded == 0)
        for _ in 0..<3 { bench.report(Self.attempt(current, .earlier), .completed([2]), from: Sample.thief) }
        bench.report(Self.attempt(current, .later), .released, from: Sample.thief)
        #expect(bench.owner.counters.duplicatesDiscarded == 1)
        let record = try #require(bench.owner.task(current.id))
        #expect((record.result, record.duplicatesDiscarded) == ([1], 1))
    }

    @Test(arguments: [AttemptOutcome.stopped, .released, .failed(Sample.failure)])
    func cancelledTaskDoesNotComeBack(outcome: AttemptOutcome) throws {
        var (bench, current) = try Self.bench()
        #expect(bench.cancel(current.id) == .requested)
        bench.report(current, outcome, from: Sample.thief)
        #expect(bench.status(current.id) == .cancelled)
    }

    @Test func successBeatsTheWishToCancel() throws {
        var (bench, current) = try Self.bench()
        _ = bench.cancel(current.id)
        bench.report(current, .completed([1]), from: Sample.thief)
        #expect(bench.status(current.id) == .completed)
    }

    @Test func stoppedAtMostOnceTaskIsNotStartedAgain() throws {
        var (bench, current) = try Self.bench(.atMostOnce)
        bench.report(current, .stopped, from: Sample.thief)
        #expect(bench.status(current.id) == .failed)
    }

    @Test func solitaryTaskOfAForgottenLedgerFreesTheNode() throws {
        var bench = OwnerBench()
        bench.owner.solitary = Sample.task(77)
        let attempt = AttemptID(ledger: LedgerID(9), id: Sample.task(77), token: Sample.token(1))
        bench.report(attempt, .completed([]))
        #expect(bench.owner.solitary == nil)
    }
}

/// How a ledger gets a new primary, and what becomes of its leases.
@Suite struct TakeoverTests {
    /// Two tasks: one leased to the thief, one to the old primary, which had begun it.
    static func copy() -> LedgerCopy {
        var copy = LedgerCopyTests.copy((1...3).map { Sample.entry(1, $0) })
        _ = copy.append(.leased(Sample.task(1), Sample.lease(1)), in: .first)
        _ = copy.append(.leased(Sample.task(2), Sample.lease(1, at: Sample.node("old"), isStarted: true)), in: .first)
        return copy
    }

    static func bench() -> OwnerBench {
        var bench = OwnerBench()
        bench.stepDown()
        bench.effects = []
        bench.install(view: 2, term: 2, isHome: false, copy: copy())
        return bench
    }

    /// What takes its executor down as soon as it begins is never seen to begin.
    @Test func whatIsLostWithItsHolderTwiceIsBlamedThoughNobodySawItBegin() {
        let (first, second) = (Sample.task(1), Sample.task(2))
        var copy = LedgerCopyTests.copy((1...2).map { Sample.entry(1, $0) })
        _ = copy.append(.leased(first, Sample.lease(1, at: Sample.node("old"))), in: .first)
        _ = copy.append(.interrupted(first, Sample.token(1), isBlamed: false, at: Sample.at), in: .first)
        _ = copy.append(.leased(first, Sample.lease(2, at: Sample.node("old"))), in: .first)
        _ = copy.append(.leased(second, Sample.lease(1, at: Sample.node("old"))), in: .first)
        var bench = OwnerBench()
        bench.stepDown()
        bench.install(view: 2, term: 2, isHome: false, copy: copy)
        #expect(bench.owner.task(first)?.interruptions == 1)
        #expect(bench.owner.task(second)?.interruptions == 0)
        #expect(bench.owner.derivedFault() == nil)
    }

    @Test func leasesOfMembersStayInDoubtAndThoseOfOthersAreVoid() {
        var bench = Self.bench()
        #expect(bench.status(Sample.task(2)) == .pending)
        #expect(bench.owner.task(Sample.task(2))?.interruptions == 1)
        #expect(bench.owner.readyCount == 2)
        let doubts = bench.owner.doubts()
        #expect(doubts.map(\.holder) == [Sample.thief])
        let attempt = AttemptID(ledger: Sample.ledger, id: Sample.task(1), token: Sample.token(1))
        #expect(doubts.first?.attempts == [attempt])
        bench.owner.holds([attempt], not: [], at: bench.now, timestamp: Sample.at)
        #expect(bench.owner.doubts().isEmpty)
        #expect(bench.status(Sample.task(1)) == .processing)
        bench.owner.holds([], not: [attempt], at: bench.now, timestamp: Sample.at)
        #expect(bench.status(Sample.task(1)) == .pending)
        #expect(bench.owner.task(Sample.task(1))?.interruptions == 0, "nobody is blamed for what never came")
        #expect(bench.owner.derivedFault() == nil)
        #expect(bench.turn().starts.allSatisfy { $0.token.term == Term(2) })
    }

    @Test func ledgerThatStaysInAHigherTermKeepsItsCopy() throws {
        var bench = OwnerBench()
        let id = try #require(try bench.submit(TaskOwnerTests.spec()).first)
        bench.effects = []
        bench.install(view: 2, term: 2)
        #expect(bench.status(id) == .pending)
        #expect(!bench.effects.contains { if case .deposed = $0 { true } else { false } })
        #expect(bench.owner.derivedFault() == nil)
    }

    /// A view that is obsolete already: a later one may count on this copy.
    @Test func copyThatHasSeenAHigherTermIsGivenBack() {
        var copy = Self.copy()
        copy.see(Term(5))
        var bench = OwnerBench()
        bench.stepDown()
        bench.effects = []
        bench.install(view: 2, term: 2, copy: copy)
        #expect(bench.owner.ownedLedgers.isEmpty)
        let given = bench.effects.compactMap { if case .deposed(let copy) = $0 { copy } else { nil } }
        #expect(given.map(\.last) == [copy.last])
    }

    @Test func unknownTasksAreAdoptedOnceAndOutcomesOfOpenOnesApplied() {
        var bench = Self.bench()
        let tail = [
            Sample.entry(1, 2),
            LedgerEntry(
                place: Sample.place(1, 6),
                event: .completed(Sample.task(1), Sample.token(1), result: [9], by: Sample.name("x"), at: Sample.at)),
            LedgerEntry(place: Sample.place(1, 7), event: .accepted(Sample.acceptance(50))),
        ]
        bench.adopt(tail)
        #expect(bench.status(Sample.task(1)) == .completed)
        #expect(bench.status(Sample.task(50)) == .pending)
        // Both end and are forgotten; the tail comes again.
        for id in [Sample.task(2), Sample.task(50)] {
            _ = bench.cancel(id)
            bench.archived(id)
            #expect(bench.status(id) == nil)
        }
        bench.adopt(tail)
        #expect(bench.status(Sample.task(2)) == nil, "its entry is in this history: it was forgotten")
        #expect(bench.status(Sample.task(50)) == nil, "it was adopted before")
    }

    @Test func foreignLedgerIsDrainedWhenAllIsArchived() {
        var bench = Self.bench()
        for number in 1...3 as ClosedRange<UInt64> {
            let isEarly = bench.isDrained()
            #expect(!isEarly)
            let id = Sample.task(number)
            _ = bench.cancel(id)
            if let lease = bench.owner.task(id)?.lease {
                bench.report(AttemptID(ledger: Sample.ledger, id: id, token: lease.token), .stopped, from: lease.holder)
            }
            bench.archived(id)
        }
        let isDrained = bench.isDrained()
        #expect(isDrained)

        // The voters may delete it from now on: what it adopted would go with it. In the next view it may take it.
        let tail = [LedgerEntry(place: Sample.place(1, 90), event: .accepted(Sample.acceptance(90)))]
        var isAdopted = bench.isAdopted(tail)
        #expect(!isAdopted && bench.status(Sample.task(90)) == nil)
        let copy = bench.stepDown()
        bench.install(view: 3, term: 3, isHome: false, copy: copy)
        isAdopted = bench.isAdopted(tail)
        #expect(isAdopted && bench.status(Sample.task(90)) == .pending)
    }
}
