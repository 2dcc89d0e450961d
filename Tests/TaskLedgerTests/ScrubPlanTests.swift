import Primitives
import Testing

@testable import TaskLedger

@Suite struct ScrubPlanTests {
    private static func id(_ number: UInt64) -> ResultID {
        ResultID(task: TaskID(high: 1, low: number), token: Token(run: 1, term: .first, attempt: 1))
    }

    private static func at(_ seconds: Int64) -> Instant { .zero + .seconds(seconds) }

    @Test func eachIsLookedAtOnceInEveryPass() {
        let all = (1...3).map(Self.id)
        var plan = ScrubPlan(every: .seconds(240), at: .zero)
        #expect(plan.next(at: Self.at(9)) { all } == nil, "a node that starts has other things to do")
        var seen: [ResultID] = []
        while let id = plan.next(at: Self.at(10), among: { all }) { seen.append(id) }
        #expect(seen == all)
        #expect(plan.next(at: Self.at(249)) { all } == nil)
        #expect(plan.next(at: Self.at(250)) { all } == all[0])
    }

    @Test func aLongPassIsNotBegunAnew() {
        let all = (1...3).map(Self.id)
        var plan = ScrubPlan(every: .seconds(240), at: .zero)
        #expect(plan.next(at: Self.at(10)) { all } == all[0])
        #expect(plan.next(at: Self.at(255)) { [] } == all[1])
        #expect(plan.next(at: Self.at(600)) { [] } == all[2])
        #expect(plan.next(at: Self.at(600)) { all } == all[0], "the next one is due, and begins at once")
    }

    @Test func whatIsInDoubtComesFirstAndOnce() {
        let all = (1...2).map(Self.id)
        let doubtful = Self.id(9)
        var plan = ScrubPlan(every: .seconds(240), at: .zero)
        plan.doubt(doubtful)
        plan.doubt(doubtful)
        #expect(plan.next(at: Self.at(10)) { all } == doubtful)
        #expect(plan.next(at: Self.at(10)) { all } == all[0])
        plan.doubt(all[1])
        #expect(plan.next(at: Self.at(10)) { all } == all[1])
        #expect(plan.next(at: Self.at(10)) { all } == all[1], "its turn in the pass stays")
        #expect(plan.next(at: Self.at(10)) { all } == nil)
    }

    @Test func doubtsAreBounded() {
        var plan = ScrubPlan(every: .seconds(240), at: .zero)
        for number in 1...UInt64(Limits.doubtfulResults + 5) { plan.doubt(Self.id(number)) }
        var count = 0
        while plan.next(at: .zero, among: { [] }) != nil { count += 1 }
        #expect(count == Limits.doubtfulResults)
    }
}
