import Primitives
import Testing

@testable import TaskLedger

/// Tasks with one ordering key: one at a time, in the order of their acceptance.
@Suite struct OrderingTests {
    static func bench(_ count: UInt64, delay: UInt64 = 0) throws -> OwnerBench {
        var bench = KeyedSubmissionTests.bench()
        for number in 1...count {
            _ = try bench.submitKeyed(
                KeyedSubmissionTests.spec(order: "o", delay: number == 1 ? delay : 0), id: Sample.task(100 - number))
        }
        return bench
    }

    private func statuses(_ bench: OwnerBench, _ count: UInt64) -> [TaskStatus?] {
        (1...count).map { bench.owner.task(Sample.task(100 - $0))?.status }
    }

    @Test func oneAfterTheOther() throws {
        var bench = try Self.bench(3)
        #expect(statuses(bench, 3) == [.pending, .blocked, .blocked])
        for number: UInt64 in 1...3 {
            let starts = bench.turn().starts
            #expect(starts.map(\.id) == [Sample.task(100 - number)])
            #expect(bench.turn().starts.isEmpty)
            bench.report(try #require(starts.first).attempt, .completed([]))
            bench.collect()
        }
        #expect(statuses(bench, 3) == [.completed, .completed, .completed])
        #expect(bench.owner.derivedFault() == nil)
    }

    enum Ending: CaseIterable { case failed, cancelled, expired }

    @Test(arguments: Ending.allCases) func howeverItEndsTheNextOneGoes(ending: Ending) throws {
        var bench = KeyedSubmissionTests.bench()
        var first = KeyedSubmissionTests.spec(order: "o")
        if ending == .expired { (first.delay, first.expiry) = (500, 1000) }
        _ = try bench.submitKeyed(first, id: Sample.task(1))
        _ = try bench.submitKeyed(KeyedSubmissionTests.spec(order: "o"), id: Sample.task(2))
        switch ending {
        case .failed:
            bench.report(try #require(bench.turn().starts.first).attempt, .failed(Sample.finalFailure))
        case .cancelled: _ = bench.cancel(Sample.task(1))
        case .expired:
            bench.now += .seconds(2)
            bench.wake()
        }
        bench.collect()
        #expect(bench.owner.task(Sample.task(1))?.status.isFinal == true)
        #expect(bench.turn().starts.map(\.id) == [Sample.task(2)])
    }

    @Test func aRetryKeepsItsPlace() throws {
        var bench = try Self.bench(2)
        bench.report(try #require(bench.turn().starts.first).attempt, .failed(Sample.failure))
        bench.collect()
        #expect(statuses(bench, 2) == [.scheduled, .blocked])
        #expect(bench.turn().starts.isEmpty)
        bench.now += .seconds(10)
        bench.wake()
        #expect(bench.turn().starts.map(\.id) == [Sample.task(99)])
    }

    @Test func aDelayHoldsUpThoseBehind() throws {
        var bench = try Self.bench(2, delay: 5000)
        #expect(statuses(bench, 2) == [.scheduled, .blocked])
        #expect(bench.turn().starts.isEmpty)
        bench.now += .seconds(6)
        bench.wake()
        #expect(bench.turn().starts.map(\.id) == [Sample.task(99)])
    }

    @Test func whatIsCancelledInTheMiddleIsPassedOver() throws {
        var bench = try Self.bench(3)
        _ = bench.cancel(Sample.task(98))
        bench.report(try #require(bench.turn().starts.first).attempt, .completed([]))
        bench.collect()
        #expect(bench.turn().starts.map(\.id) == [Sample.task(97)])
    }

    @Test func aNewRunJoinsAtTheEnd() throws {
        var bench = try Self.bench(2)
        bench.report(try #require(bench.turn().starts.first).attempt, .failed(Sample.finalFailure))
        bench.collect()
        bench.archived(Sample.task(99))
        #expect(bench.carryOut(.retry, for: Sample.task(99)) == .done)
        #expect(statuses(bench, 2) == [.blocked, .pending])
        #expect(
            bench.owner.waitCause(of: try #require(bench.owner.task(Sample.task(99))), at: bench.now)
                == .order(behind: 1))
    }

    /// Whoever has a whole copy knows the order, though the ids descend; and one that was made while tasks ended knows who
    /// is first.
    @Test func aCopyKeepsTheOrder() throws {
        var bench = try Self.bench(3)
        bench.stepDown()
        let old = try #require(
            bench.effects.lazy.compactMap { if case .deposed(let copy) = $0 { copy } else { nil } }.first)
        var copy = LedgerCopy(id: old.id, last: old.last, seen: old.seen)
        for id in old.state.sortedIDs { if let record = old.state[id] { copy.insert(record) } }
        var other = KeyedSubmissionTests.bench()
        other.stepDown()
        other.install(view: 3, term: 2, copy: copy, slots: KeyedSubmissionTests.allSlots)
        #expect(statuses(other, 3) == [.pending, .blocked, .blocked])

        // The first one has ended before its record was copied: the second was copied as blocked.
        var late = LedgerCopy(id: old.id, last: old.last, seen: old.seen)
        for number: UInt64 in [97, 98] { if let record = old.state[Sample.task(number)] { late.insert(record) } }
        other = KeyedSubmissionTests.bench()
        other.stepDown()
        other.install(view: 3, term: 2, copy: late, slots: KeyedSubmissionTests.allSlots)
        #expect(statuses(other, 3) == [nil, .pending, .blocked])
    }
}
