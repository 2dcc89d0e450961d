import Primitives
import Testing

@testable import TaskLedger

@Suite struct QueueMeterTests {
    @Test func what_is_told_is_about_the_last_minute() {
        let begin = Sample.instant(0)
        var meter = QueueMeter(begin: begin)
        for second in 0..<300 { meter.note(at: begin + .seconds(second)) { $0.arrivals += 1 } }
        let told = meter.statistics(at: begin + .seconds(299))
        #expect(told.span == .seconds(59))
        #expect((58...61).contains(told.arrivals), "\(told.arrivals)")
        #expect(meter.statistics(at: begin + .seconds(400)).arrivals == 0)
        #expect(meter.isIdle(at: begin + .seconds(400)))
        #expect(!meter.isIdle(at: begin + .seconds(310)))
    }

    @Test func an_owner_measures_what_its_tasks_do() throws {
        var bench = OwnerBench(slots: 1)
        func spec(_ delay: UInt64 = 0) -> TaskSpec {
            var spec = TaskOwnerTests.spec()
            spec.queue = "mail"
            spec.delay = delay
            return spec
        }
        _ = try bench.submit(spec(), spec())
        _ = try bench.submit(spec(1000))
        bench.now += .milliseconds(400)
        #expect(bench.owner.oldestAge(of: "mail", at: bench.now) == .milliseconds(400))
        let start = try #require(bench.turn().starts.first)
        bench.report(start.attempt, .completed([]))
        bench.now += .milliseconds(1600)
        bench.wake()
        bench.owner.slotsFree(1)
        let next = try #require(bench.turn().starts.first)
        bench.report(next.attempt, .failed(Sample.finalFailure))
        bench.owner.slotsFree(1)
        _ = bench.turn()
        let told = try #require(bench.owner.statistics(of: "mail", at: bench.now))
        #expect(told.arrivals == 3)
        #expect(told.completions == 2)
        #expect(told.waits.total == 3)
        // 400 ms, 2 s, and the delayed one a second after it was due.
        let longest = try #require(told.waits.quantile(1))
        #expect(abs(longest.secondsValue - 2) < 0.13)
        let middle = try #require(told.waits.quantile(0.5))
        #expect(abs(middle.secondsValue - 1) < 0.07)
        #expect(bench.owner.statistics(of: "other", at: bench.now) == nil)
        #expect(bench.owner.oldestAge(of: "mail", at: bench.now) == nil)
    }

    /// What another node has taken waits until it begins there.
    @Test func what_is_granted_waits_for_its_beginning() throws {
        var bench = OwnerBench(slots: 1)
        var spec = TaskOwnerTests.spec()
        spec.queue = "mail"
        _ = try bench.submit(spec)
        let attempt = try #require(bench.grant().first).attempt
        #expect(bench.owner.statistics(of: "mail", at: bench.now)?.waits.total == 0)
        bench.now += .milliseconds(700)
        bench.owner.began([attempt], at: bench.now, timestamp: Sample.at)
        bench.owner.began([attempt], at: bench.now + .seconds(9), timestamp: Sample.at)
        let waits = try #require(bench.owner.statistics(of: "mail", at: bench.now)).waits
        #expect(waits.total == 1)
        #expect(abs(try #require(waits.quantile(0.5)).secondsValue - 0.7) < 0.05)
    }

    @Test func only_so_many_queues_are_measured_and_idle_ones_make_room() throws {
        var bench = OwnerBench(slots: 1, maxQueued: 10_000)
        func submit(_ number: Int) throws {
            var spec = TaskOwnerTests.spec()
            spec.queue = "q\(number)"
            _ = try bench.submit(spec)
        }
        for number in 0...Limits.meteredQueues { try submit(number) }
        #expect(bench.owner.meters.count == Limits.meteredQueues)
        #expect(bench.owner.statistics(of: "q\(Limits.meteredQueues)", at: bench.now) == nil)
        bench.now += Limits.meterWindow * 2
        try submit(5000)
        #expect(bench.owner.statistics(of: "q5000", at: bench.now)?.arrivals == 1)
        #expect(bench.owner.meters.count == 1)
    }
}
