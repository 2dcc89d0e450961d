import Primitives
import Testing

@testable import TaskLedger

/// Firings of schedules at their home: one task for each, whoever considers it and however often.
@Suite struct FiringTests {
    private static let spec = TaskSpec(type: "t", payload: Array("1".utf8))

    private static func firing(_ second: Int64, version: UInt64 = 3) -> Firing {
        Firing(schedule: "nightly", version: version, time: Timestamp(milliseconds: second * 1000))
    }

    private static func fire(
        _ bench: inout OwnerBench, _ firing: Firing, _ number: UInt64, _ overlap: OverlapPolicy = .queue
    ) throws -> FiringDecision {
        let spec = spec.task(of: firing, delay: 0)
        return try bench.owner.fire(
            spec, id: Sample.task(number), overlap: overlap, home: Sample.ledger, request: number, at: bench.now,
            timestamp: Sample.at, into: &bench.effects)
    }

    @Test func keysTellTheFiringAndNoClientHasThem() throws {
        let firing = Firing(schedule: "a.b-c", version: .max, time: Timestamp(milliseconds: 1_700_000_000_123))
        let task = Self.spec.task(of: firing, delay: 500)
        #expect(task.firing == firing)
        #expect(task.delay == 500 && task.idempotency?.window == Limits.firingMemory)
        #expect(TaskSpec.isReserved(key: try #require(task.orderingKey)))
        #expect(TaskSpec.isReserved(key: try #require(task.idempotency?.key)))
        #expect(Self.spec.firing == nil)
        #expect(KeyedSubmissionTests.spec(key: "3/5", order: "schedule/a").firing == nil)
        let later = Self.spec.task(of: Self.firing(1), delay: 0)
        #expect(later.homeSlot == Self.spec.task(of: Self.firing(2), delay: 0).homeSlot)
        var expiring = Self.spec
        expiring.expiry = 1000
        #expect(expiring.task(of: firing, delay: 500).expiry == 1500, "it has all of its time")
    }

    @Test func oneTaskForEachTimeAndVersion() throws {
        var bench = KeyedSubmissionTests.bench()
        #expect(try Self.fire(&bench, Self.firing(1), 1) == .decided(.fired(Sample.task(1))))
        #expect(try Self.fire(&bench, Self.firing(1), 2) == .decided(.fired(Sample.task(1))), "again")
        #expect(try Self.fire(&bench, Self.firing(2), 3) == .decided(.fired(Sample.task(3))))
        #expect(try Self.fire(&bench, Self.firing(1, version: 4), 4) == .decided(.fired(Sample.task(4))))
        #expect(bench.owner.openCount == 3)
    }

    @Test func theMarkIsTheLatestTimeOfTheVersion() throws {
        var bench = KeyedSubmissionTests.bench()
        func last(_ version: UInt64) -> Int64? {
            bench.owner.lastFiring(of: "nightly", version: version, in: Sample.ledger).map { $0.milliseconds / 1000 }
        }
        #expect(last(3) == nil)
        _ = try Self.fire(&bench, Self.firing(5), 1)
        _ = try Self.fire(&bench, Self.firing(9), 2, .skip)
        _ = try Self.fire(&bench, Self.firing(7, version: 4), 3)
        #expect(last(3) == 9 && last(4) == 7)
        _ = try Self.fire(&bench, Self.firing(6), 4)
        #expect(last(3) == 9, "an earlier one moves nothing")
        // Long after the key is free the mark tells.
        bench.now += .seconds(86_400)
        for second in 0..<UInt64(5) {
            _ = try Self.fire(&bench, Self.firing(100 + Int64(second), version: 4), 9 + second)
        }
        #expect(last(3) == 9 && last(4) == 104)
    }

    @Test func aFiringThatOnlyAnEarlierPrimaryKnowsIsAdoptedIfNothingLaterIsDecided() throws {
        for (decided, adopts) in [(Int64(1), true), (3, false)] {
            var bench = KeyedSubmissionTests.bench()
            _ = try Self.fire(&bench, Self.firing(decided), 1)
            let spec = Self.spec.task(of: Self.firing(2), delay: 0)
            bench.owner.adopt(
                [LedgerEntry(place: Sample.place(1, 9), event: .accepted(Sample.acceptance(7, spec)))],
                into: Sample.ledger, timestamp: Sample.at, effects: &bench.effects)
            #expect((bench.owner.task(Sample.task(7)) != nil) == adopts)
        }
    }

    @Test func anotherPrimaryKnowsWhatWasDecided() throws {
        var bench = KeyedSubmissionTests.bench()
        _ = try Self.fire(&bench, Self.firing(1), 1)
        _ = try Self.fire(&bench, Self.firing(2), 2, .skip)
        bench.install(view: 3, term: 2, slots: KeyedSubmissionTests.allSlots)
        #expect(try Self.fire(&bench, Self.firing(1), 5) == .decided(.fired(Sample.task(1))))
        #expect(try Self.fire(&bench, Self.firing(2), 6, .queue) == .decided(.leftOut(Sample.task(1))))
        #expect(bench.owner.openCount == 1)
    }

    @Test(arguments: [
        (OverlapPolicy.skip, PastFiring.Outcome.leftOut(Sample.task(1)), 1),
        (.queue, .fired(Sample.task(2)), 2), (.replace, .fired(Sample.task(2)), 1),
    ])
    func whatIsOpenIsTreatedAsThePolicySays(overlap: OverlapPolicy, outcome: PastFiring.Outcome, open: Int) throws {
        var bench = KeyedSubmissionTests.bench(slots: 0)
        _ = try Self.fire(&bench, Self.firing(1), 1, overlap)
        #expect(try Self.fire(&bench, Self.firing(2), 2, overlap) == .decided(outcome))
        #expect(bench.owner.openCount == open)
        let second = bench.owner.task(Sample.task(2))
        switch overlap {
        case .skip: #expect(second == nil)
        case .queue: #expect(second?.status == .blocked)
        case .replace:
            #expect(second?.status == .pending)
            #expect(bench.owner.task(Sample.task(1))?.status == .cancelled)
        }
    }

    @Test func aRunningTaskIsToldToStopAndTheNextWaitsForItsEnd() throws {
        var bench = KeyedSubmissionTests.bench(slots: 1)
        _ = try Self.fire(&bench, Self.firing(1), 1, .replace)
        _ = bench.turn()
        #expect(bench.owner.task(Sample.task(1))?.status == .processing)
        _ = try Self.fire(&bench, Self.firing(2), 2, .replace)
        #expect(bench.owner.task(Sample.task(1))?.isCancelRequested == true)
        #expect(bench.owner.task(Sample.task(2))?.status == .blocked)
    }

    @Test func whatIsNotAtHomeHereIsNotDecided() throws {
        var bench = KeyedSubmissionTests.bench()
        bench.install(view: 3, slots: [])
        #expect(throws: KeyedRefusal.notHome) { try Self.fire(&bench, Self.firing(1), 1) }
        let slot = try #require(Self.spec.task(of: Self.firing(1), delay: 0).homeSlot)
        bench.install(
            view: 4, slots: KeyedSubmissionTests.allSlots, moves: [SlotMove(slot: slot, to: LedgerID(9))])
        #expect(throws: KeyedRefusal.moving) { try Self.fire(&bench, Self.firing(1), 1) }
    }

    @Test func aFullNodeDecidesNothingAndCancelsNothing() throws {
        var bench = KeyedSubmissionTests.bench(slots: 0)
        _ = try Self.fire(&bench, Self.firing(1), 1, .replace)
        bench.owner.setRules(["default": QueueRules(maxLength: 1)])
        #expect(try Self.fire(&bench, Self.firing(2), 2, .replace) == .queueFull)
        #expect(bench.owner.task(Sample.task(1))?.status == .pending)
        // To leave one out takes no room.
        #expect(try Self.fire(&bench, Self.firing(2), 2, .skip) == .decided(.leftOut(Sample.task(1))))
    }
}
