import Primitives
import Testing

@testable import Schedules

/// What a home considers, in which order, and what it remembers.
@Suite struct TimetableTests {
    private static func at(_ seconds: Int64) -> Timestamp { Timestamp(milliseconds: seconds * 1000) }

    private static func plan(
        _ name: String = "s", version: UInt64 = 1, term: UInt64 = 1, since: Int64 = 0, catchUp: CatchUpPolicy = .none,
        isPaused: Bool = false
    ) -> Timetable.Plan {
        Timetable.Plan(
            name: name, version: version, term: term, since: at(since), catchUp: catchUp, isPaused: isPaused)
    }

    private static func table(_ plans: Timetable.Plan..., seconds: Int64 = 10) -> Timetable {
        var table = Timetable()
        install(plans, in: &table, seconds: seconds)
        return table
    }

    private static func install(_ plans: [Timetable.Plan], in table: inout Timetable, seconds: Int64 = 10) {
        table.install(plans, at: at(0)) { plan throws(ScheduleError) in
            if plan.name == "odd" { throw ScheduleError("no such time zone") }
            return (.interval(milliseconds: seconds * 1000, from: plan.since), nil)
        }
    }

    /// Decides all that is due.
    private static func decideAll(_ table: inout Timetable, at now: Timestamp) -> [String] {
        var decided: [String] = []
        while let due = table.next(at: now) {
            decided.append("\(due.name)\(due.version)@\(due.time.milliseconds / 1000)")
            table.decided(due)
        }
        return decided
    }

    @Test func eachTimeIsDueOnceAndTheNextLookIsAtTheNextTime() {
        var table = Self.table(Self.plan())
        #expect(Self.decideAll(&table, at: Self.at(1)) == [])
        #expect(table.nextLook == Self.at(10))
        #expect(Self.decideAll(&table, at: Self.at(25)) == ["s1@10", "s1@20"])
        #expect(Self.decideAll(&table, at: Self.at(25)) == [])
        #expect(table.nextLook == Self.at(30))
    }

    @Test(arguments: [
        (CatchUpPolicy.none, 1000, ["s1@940", "s1@950", "s1@960", "s1@970", "s1@980", "s1@990", "s1@1000"]),
        (.one, 1000, ["s1@930", "s1@940", "s1@950", "s1@960", "s1@970", "s1@980", "s1@990", "s1@1000"]),
    ])
    func aNewHomeLooksBackAsFarAsThePolicyWants(policy: CatchUpPolicy, now: Int, expected: [String]) {
        var table = Self.table(Self.plan(catchUp: policy))
        #expect(Self.decideAll(&table, at: Self.at(Int64(now))) == expected)
    }

    @Test func whoMakesUpForAllMakesUpForTheLastOnesOnly() {
        var table = Self.table(Self.plan(catchUp: .all))
        let few = Self.decideAll(&table, at: Self.at(900))
        #expect(few.count == 90 && few.first == "s1@10")
        var late = Self.table(Self.plan(catchUp: .all))
        let many = Self.decideAll(&late, at: Self.at(100_000))
        #expect(many.count == Limits.caughtUpFirings && many.last == "s1@100000")
        var rare = Self.table(Self.plan(catchUp: .all), seconds: 86_400)
        let week = Self.decideAll(&rare, at: Self.at(30 * 86_400))
        #expect(week.count == 7, "\(week)")
    }

    @Test func nothingBeforeItsBeginningIsDue() {
        var table = Self.table(Self.plan(since: 95, catchUp: .all))
        #expect(table.nextLook == Self.at(95))
        #expect(Self.decideAll(&table, at: Self.at(90)) == [])
        #expect(Self.decideAll(&table, at: Self.at(116)) == ["s1@105", "s1@115"])
    }

    @Test func whatCannotBeDecidedHoldsUpItsScheduleOnlyAndIsTriedAgain() throws {
        var table = Self.table(Self.plan("a", catchUp: .all), Self.plan("b", catchUp: .all))
        let now = Self.at(20)
        let found = table.next(at: now)
        let first = try #require(found)
        #expect(first.name == "a" && first.time == Self.at(10))
        table.failed(first, "full", at: now)
        #expect(Self.decideAll(&table, at: now) == ["b1@10", "b1@20"])
        #expect(table.states(of: "a").first?.problem == "full")
        #expect(table.nextLook == Timestamp(milliseconds: now.milliseconds + Limits.firingRetry))
        #expect(Self.decideAll(&table, at: Self.at(21)) == ["a1@10", "a1@20"])
        #expect(table.states(of: "a").first?.problem == nil)
    }

    @Test func whatIsTooLateBeforeItCouldBeDecidedIsLeftOut() throws {
        var table = Self.table(Self.plan())
        let found = table.next(at: Self.at(10))
        let due = try #require(found)
        table.failed(due, "full", at: Self.at(10))
        #expect(Self.decideAll(&table, at: Self.at(75)) == ["s1@20", "s1@30", "s1@40", "s1@50", "s1@60", "s1@70"])
    }

    @Test func aViewThatChangesNothingOfItChangesNothing() {
        var table = Self.table(Self.plan())
        _ = Self.decideAll(&table, at: Self.at(25))
        table.happened(
            PastFiring(time: Self.at(20), outcome: .fired(TaskID(high: 1, low: 1))),
            to: Timetable.Due(name: "s", version: 1, time: Self.at(20)))
        Self.install([Self.plan("a"), Self.plan()], in: &table)
        #expect(table.states(of: "s").first?.recent.count == 1)
        #expect(Self.decideAll(&table, at: Self.at(25)) == ["a1@10", "a1@20"])
        // A change, another term, or the way back from another home: nothing is known.
        for plan in [Self.plan(version: 2, since: 22), Self.plan(version: 2, term: 2, since: 22)] {
            Self.install([plan], in: &table)
            #expect(table.states(of: "s").first?.recent.isEmpty == true)
            #expect(Self.decideAll(&table, at: Self.at(43)) == ["s2@32", "s2@42"])
        }
        Self.install([], in: &table)
        #expect(table.nextLook == nil && table.next(at: Self.at(1000)) == nil)
    }

    @Test func whatIsPausedOrUnknownHereIsNotLookedAt() {
        var table = Self.table(Self.plan("a", isPaused: true), Self.plan("odd"))
        #expect(table.nextLook == nil && table.next(at: Self.at(1000)) == nil)
        #expect(table.states(of: nil).map(\.problem) == [nil, "no such time zone"])
    }

    @Test func aClockThatIsSetBackFiresNothingTwice() {
        var table = Self.table(Self.plan())
        #expect(Self.decideAll(&table, at: Self.at(20)) == ["s1@10", "s1@20"])
        #expect(Self.decideAll(&table, at: Self.at(5)) == [])
        #expect(Self.decideAll(&table, at: Self.at(30)) == ["s1@30"])
    }

    @Test func onlyTheLastFiringsAreTold() {
        var table = Self.table(Self.plan())
        for number in 0..<Int64(Limits.recentFirings + 3) {
            table.happened(
                PastFiring(time: Self.at(number), outcome: .leftOut(TaskID(high: 1, low: 1))),
                to: Timetable.Due(name: "s", version: 1, time: Self.at(number)))
        }
        #expect(table.states(of: "s").first?.recent.map(\.time) == (3...12).map { Self.at($0) })
    }

    /// A new home begins where an earlier one has ended.
    @Test(
        arguments: [
            (nil, ["s1@970", "s1@980", "s1@990", "s1@1000"]), (970, ["s1@980", "s1@990", "s1@1000"]),
            (1000, []), (5000, []),
        ] as [(Int?, [String])])
    func whatIsDecidedIsNotLookedAt(decided: Int?, expected: [String]) {
        var table = Timetable()
        table.install([Self.plan(since: 960, catchUp: .all)], at: Self.at(1001)) { plan throws(ScheduleError) in
            (.interval(milliseconds: 10_000, from: plan.since), decided.map { Self.at(Int64($0)) })
        }
        #expect(Self.decideAll(&table, at: Self.at(1001)) == expected)
        #expect(Self.decideAll(&table, at: Self.at(1010)) == ["s1@1010"])
    }

    @Test func howFarAHomeLooksBackIsTheSameForCronAndIntervals() throws {
        let cron = ScheduleTiming.cron(CronTimes(try CronExpression("*/10 * * * * *"), in: .utc))
        let every = ScheduleTiming.interval(milliseconds: 10_000, from: Self.at(0))
        let looks: [Int64] = [5, 700, 1009, 1010, 100_000, 2_592_000]
        for second in looks {
            let now = Self.at(second)
            let times = [cron, every].map { timing in
                let start = timing.beginning(after: Self.at(0), at: now, catchUp: .all)
                return DueFirings(timing, after: start, at: now, catchUp: .all).times
            }
            #expect(times[0] == times[1], "at \(second)")
            #expect(times[0].count == min(100, Int(second) / 10))
        }
    }
}
