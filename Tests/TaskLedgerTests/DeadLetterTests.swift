import Primitives
import Testing

@testable import TaskLedger

/// Dead letters stay, are bounded, and are swept.
@Suite struct DeadLetterTests {
    static func fail(_ bench: inout OwnerBench, _ count: Int, type: String = "t") throws -> [TaskID] {
        try (0..<count).map { _ in
            var spec = TaskOwnerTests.spec()
            spec.type = type
            let id = try #require(try bench.submit(spec).first)
            bench.owner.slotsFree(1)
            let start = try #require(bench.turn().starts.first)
            bench.report(start.attempt, .failed(Sample.finalFailure))
            bench.collect()
            bench.effects = []
            return id
        }
    }

    private static func sweep(_ bench: inout OwnerBench, isPurge: Bool, type: String? = nil) -> (done: Int, left: Int) {
        bench.owner.sweepLetters(isPurge: isPurge, at: bench.now, timestamp: Sample.at, request: { 4 }) { record in
            type == nil || record.spec.type == type
        }
    }

    @Test(arguments: [true, false]) func theyStayThoughTheRegistryHasThem(isHome: Bool) throws {
        var bench = OwnerBench(slots: 1)
        let ids = try Self.fail(&bench, 3)
        bench.install(view: 2, isHome: isHome)
        for id in ids { bench.archived(id) }
        bench.owner.boundLetters(wallClock: Sample.at)
        #expect(ids.map(bench.status) == [.failed, .failed, .failed])
        #expect(bench.owner.letters.count == 3)
        #expect(bench.owner.letters.oldest == Sample.at)
        let isDrained = bench.isDrained()
        #expect(!isDrained)
        #expect(bench.owner.unarchivedCount == 0)
    }

    @Test func theOldestGoFirstWhenTheyAreTooOld() throws {
        var bench = OwnerBench(slots: 1)
        let ids = try Self.fail(&bench, 2)
        let end = Timestamp(milliseconds: Sample.at.milliseconds + Limits.deadLetterMilliseconds + 1)
        bench.owner.boundLetters(wallClock: end)
        #expect(bench.owner.letters.count == 2, "the registry does not have their outcomes")
        bench.archived(ids[0])
        bench.owner.boundLetters(wallClock: end)
        #expect(ids.map(bench.status) == [nil, .failed])
        #expect(bench.owner.letters.dropped == 1)
        #expect(bench.owner.unarchivedCount == 1)
        #expect(bench.owner.derivedFault() == nil)
    }

    @Test func theyAreBoundedInNumber() throws {
        var bench = OwnerBench(slots: 1, maxQueued: 100_000)
        bench.stepDown()
        var copy = LedgerCopy(id: Sample.ledger)
        for number in 1...UInt64(Limits.deadLetters + 2) {
            _ = copy.append(.accepted(Sample.acceptance(number)), in: Term(1))
            _ = copy.append(.leased(Sample.task(number), Sample.lease(1)), in: Term(1))
            // The last ones failed first.
            let at = Timestamp(milliseconds: 100_000 - Int64(number))
            _ = copy.append(
                .failed(Sample.task(number), Sample.token(1), Sample.failure, by: nil, at: at), in: Term(1))
        }
        bench.effects = []
        bench.install(view: 2, term: 2, copy: copy)
        bench.collect()
        for number in 1...UInt64(Limits.deadLetters + 2) { bench.archived(Sample.task(number)) }
        bench.owner.boundLetters(wallClock: Timestamp(milliseconds: 100_000))
        #expect(bench.owner.letters.count == Limits.deadLetters)
        #expect(bench.status(Sample.task(UInt64(Limits.deadLetters + 2))) == nil)
        #expect(bench.status(Sample.task(1)) == .failed)
        #expect(bench.owner.letters.dropped == 2)
    }

    @Test func aSweepRunsThoseThatFitAgain() throws {
        var bench = OwnerBench(slots: 1)
        let first = try Self.fail(&bench, 2, type: "a")
        let second = try Self.fail(&bench, 1, type: "b")
        let swept = Self.sweep(&bench, isPurge: false, type: "a")
        #expect(swept == (2, 0))
        bench.collect()
        let isConfirmed = bench.effects.contains { if case .accepted(request: 4) = $0 { true } else { false } }
        #expect(isConfirmed)
        #expect((first + second).map(bench.status) == [.pending, .pending, .failed])
        #expect(bench.owner.readyCount == 2)
        #expect(bench.owner.letters.count == 1)
        let again = Self.sweep(&bench, isPurge: false, type: "a")
        #expect(again == (0, 0))
        #expect(bench.owner.derivedFault() == nil)
    }

    @Test func aSweepForgets() throws {
        var bench = OwnerBench(slots: 1)
        let ids = try Self.fail(&bench, 3)
        bench.archived(ids[0])
        let swept = Self.sweep(&bench, isPurge: true)
        #expect(swept == (3, 0))
        #expect(ids.allSatisfy { bench.status($0) == nil })
        #expect(bench.owner.unarchivedCount == 0)
        #expect(bench.owner.letters.count == 0 && bench.owner.letters.cost == 0)
    }

    @Test func aSweepTakesWhatThereIsRoomFor() throws {
        var bench = OwnerBench(slots: 1, maxQueued: 3)
        let ids = try Self.fail(&bench, 3)
        #expect(bench.owner.room == 0)
        for id in ids { bench.archived(id) }
        _ = try bench.submit(TaskOwnerTests.spec())
        let swept = Self.sweep(&bench, isPurge: false)
        #expect(swept == (2, 1))
    }

    @Test func oneThatFailsAgainIsADeadLetterOnce() throws {
        var bench = OwnerBench(slots: 1)
        let id = try #require(try Self.fail(&bench, 1).first)
        for run in 2...200 as ClosedRange<UInt32> {
            let decision = bench.carryOut(.retry, for: id)
            #expect(decision == .done)
            bench.owner.slotsFree(1)
            let start = try #require(bench.turn().starts.first)
            #expect(start.token.run == run)
            bench.report(start.attempt, .failed(Sample.finalFailure))
            bench.collect()
            bench.owner.boundLetters(wallClock: Sample.at)
        }
        #expect(bench.owner.letters.count == 1)
        #expect(bench.owner.unarchivedCount == 1)
        let record = try #require(bench.owner.task(id))
        #expect(record.history.steps.count == Limits.historySteps)
        #expect(Int(record.history.cut) == 2 * 199 - Limits.historySteps)
        let swept = Self.sweep(&bench, isPurge: true)
        #expect(swept == (1, 0))
    }

    @Test func theRegistryIsToldAgainOfThoseThatItHasLost() throws {
        var bench = OwnerBench(slots: 1)
        let id = try #require(try Self.fail(&bench, 1).first)
        bench.archived(id)
        bench.owner.rewriteOutcomes()
        bench.collect()
        let isTold = bench.effects.contains { if case .ended(let record) = $0 { record.id == id } else { false } }
        #expect(isTold)
        #expect(bench.owner.unarchivedCount == 1)
    }
}
