import Primitives
import Testing

@testable import Schedules

@Suite struct ScheduleTimingTests {
    private static func at(_ seconds: Int64) -> Timestamp { Timestamp(milliseconds: seconds * 1000) }
    private static let minutely = ScheduleTiming.interval(milliseconds: 60_000, from: at(30))

    @Test func intervalsAreCountedFromTheirBeginning() {
        #expect(Self.minutely.next(after: Self.at(-500)) == Self.at(30))
        #expect(Self.minutely.next(after: Self.at(29)) == Self.at(30))
        #expect(Self.minutely.next(after: Self.at(30)) == Self.at(90))
        #expect(Self.minutely.next(after: Timestamp(milliseconds: 89_999)) == Self.at(90))
    }

    /// Nobody looked from 30 s to 1000 s: 16 firings, of which that of 990 s is in time.
    @Test(arguments: [
        (CatchUpPolicy.none, [990]), (.one, [930, 990]),
        (.all, [90, 150, 210, 270, 330, 390, 450, 510, 570, 630, 690, 750, 810, 870, 930, 990]),
    ])
    func whatWasMissedIsMadeUpForAsThePolicySays(policy: CatchUpPolicy, expected: [Int64]) {
        let due = DueFirings(Self.minutely, after: Self.at(30), at: Self.at(1000), catchUp: policy)
        #expect(due.times == expected.map(Self.at))
        #expect(due.considered == Self.at(1000))
        let next = DueFirings(Self.minutely, after: due.considered, at: Self.at(1050), catchUp: policy)
        #expect(next.times == [Self.at(1050)])
    }

    /// However one looks, each firing comes once and in order; with `all`, none is missing.
    @Test(arguments: CatchUpPolicy.allCases, 1...30 as ClosedRange<UInt64>)
    func everyFiringComesOnceHoweverOftenOneLooks(policy: CatchUpPolicy, seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let timing =
            Bool.random(using: &random)
            ? Self.minutely : .cron(CronTimes(try CronExpression("*/7 * * * *"), in: .utc))
        var (now, considered) = (Self.at(0), Self.at(0))
        var fired: [Timestamp] = []
        for _ in 0..<200 {
            let step = Int64.random(in: -5...Int64.random(in: 1...40_000, using: &random), using: &random)
            now = Timestamp(milliseconds: max(0, now.milliseconds + step * 100))
            let due = DueFirings(timing, after: considered, at: now, catchUp: policy)
            #expect(due.considered >= considered)
            #expect(due.times.count <= Limits.firingsAtOnce)
            fired += due.times
            considered = due.considered
        }
        #expect(zip(fired, fired.dropFirst()).allSatisfy { $0 < $1 })
        var expected: [Timestamp] = []
        var time = Self.at(0)
        while let next = timing.next(after: time), next <= considered {
            expected.append(next)
            time = next
        }
        if policy == .all { #expect(fired == expected) } else { #expect(Set(fired).isSubset(of: expected)) }
    }

    @Test func aLongAbsenceIsMadeUpForInPortions() throws {
        let secondly = ScheduleTiming.interval(milliseconds: 1000, from: Self.at(0))
        var considered = Self.at(0)
        var count = 0
        for _ in 0..<10 {
            let due = DueFirings(secondly, after: considered, at: Self.at(950), catchUp: .all)
            considered = due.considered
            count += due.times.count
        }
        #expect(count == 950)
        let year = DueFirings(secondly, after: Self.at(0), at: Self.at(366 * 86_400), catchUp: .one)
        #expect(year.times.first == Self.at(366 * 86_400 - 61), "the last that is late")
        #expect(year.times.count == 62)
    }

    @Test func overlapsAreDecidedByThePolicy() {
        for policy in OverlapPolicy.allCases { #expect(policy.decide(isPreviousOpen: false) == .fire) }
        #expect(
            OverlapPolicy.allCases.map { $0.decide(isPreviousOpen: true) } == [.leaveOut, .fireBehind, .cancelAndFire])
    }

    @Test func jitterIsTheSameEverywhereAndSpread() {
        let values = (0..<1000).map {
            DueFirings.jitter(of: Self.at($0 * 60), schedule: "nightly", version: 3, upTo: 10_000)
        }
        #expect(
            values
                == (0..<1000).map {
                    DueFirings.jitter(of: Self.at($0 * 60), schedule: "nightly", version: 3, upTo: 10_000)
                })
        #expect(values.allSatisfy { $0 <= 10_000 })
        let mean = values.reduce(0, +) / 1000
        #expect((4500...5500).contains(mean), "\(mean)")
        #expect(DueFirings.jitter(of: Self.at(0), schedule: "a", version: 1, upTo: 0) == 0)
        let others = Set(
            ["a", "b", "c", "d"].map { DueFirings.jitter(of: Self.at(0), schedule: $0, version: 1, upTo: 1 << 40) })
        #expect(others.count == 4)
    }
}
