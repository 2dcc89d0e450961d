import EventLoop
import Primitives
import Testing

@testable import Simulation

/// What a test of one process needs. `@unchecked`: only touched by the thread of the test.
final class Bench: @unchecked Sendable {
    let timeline: Timeline
    let clock: VirtualClock
    let process: VirtualProcess

    init(seed: UInt64 = 1, yieldChance: Double = 0.05, drift: Double = 0) {
        timeline = Timeline(seed: seed, trace: .hash, yieldChance: yieldChance)
        clock = VirtualClock(timeline: timeline, greatestDrift: drift, seed: seed)
        process = VirtualProcess(timeline: timeline, clock: clock, index: 0, seed: seed)
    }

    func run(_ duration: Duration) { _ = timeline.run(until: timeline.now + duration) { false } }
}

/// Notes what happens. `@unchecked`: only touched by the thread of the test.
final class Notes: @unchecked Sendable {
    var all: [String] = []
    func add(_ note: String) { all.append(note) }
}

private actor Scribe {
    nonisolated let process: VirtualProcess
    nonisolated var unownedExecutor: UnownedSerialExecutor { process.serialExecutor }
    let notes: Notes

    init(_ process: VirtualProcess, _ notes: Notes) {
        self.process = process
        self.notes = notes
    }

    func write(_ note: String) { notes.add(note) }
    nonisolated func writeNow(_ note: String) { assumeIsolated { $0.write(note) } }
}

@Suite struct ProcessTests {
    @Test func jobs_run_in_the_order_in_which_they_were_handed_over_whatever_the_loop_yields() {
        let bench = Bench(yieldChance: 0.5)
        let notes = Notes()
        for number in 0..<100 { bench.process.execute { notes.add("\(number)") } }
        bench.run(.seconds(1))
        #expect(notes.all == (0..<100).map(String.init))
    }

    @Test func a_timer_is_never_early_and_at_most_two_milliseconds_late() {
        for seed in UInt64(1)...50 {
            let bench = Bench(seed: seed, drift: 0.01)
            let notes = Notes()
            let delay = Duration.microseconds(Int64(seed) * 700)
            bench.process.execute {
                let began = bench.process.now
                _ = bench.process.schedule(after: delay) {
                    let late = bench.process.now - began - delay
                    notes.add(late >= .zero && late < .milliseconds(2) ? "well" : "late by \(late), seed \(seed)")
                }
            }
            bench.run(.seconds(1))
            #expect(notes.all == ["well"])
        }
    }

    @Test func timers_of_one_millisecond_keep_the_order_of_the_calls() {
        let bench = Bench()
        let notes = Notes()
        bench.process.execute {
            for number in 0..<10 {
                _ = bench.process.schedule(after: .milliseconds(5)) { notes.add("\(number)") }
            }
        }
        bench.run(.seconds(1))
        #expect(notes.all == (0..<10).map(String.init))
    }

    @Test func a_cancelled_timer_does_not_fire_and_is_forgotten() {
        let bench = Bench()
        let notes = Notes()
        bench.process.execute {
            for number in 0..<2000 {
                let timer = bench.process.schedule(after: .seconds(1)) { notes.add("\(number)") }
                if number != 7 { timer.cancel() }
                timer.cancel()
                if number == 7 { notes.add("cancelled after all") }
            }
        }
        bench.run(.seconds(2))
        #expect(notes.all == ["cancelled after all"])
    }

    @Test func actors_are_isolated_on_the_loop_and_only_there() {
        let bench = Bench()
        let notes = Notes()
        let scribe = Scribe(bench.process, notes)
        bench.process.execute { scribe.writeNow("in place") }
        Task.detached(executorPreference: bench.process.poolExecutor) {
            await scribe.write("hopped, on the loop: \(bench.process.isCurrent)")
            notes.add("back, on the loop: \(bench.process.isCurrent)")
        }
        bench.run(.seconds(1))
        #expect(notes.all == ["in place", "hopped, on the loop: false", "back, on the loop: false"])
    }

    @Test func a_paused_process_does_nothing_and_hears_of_the_pause_first() {
        for kind in [PauseKind.stopped, .asleep] {
            let bench = Bench()
            let notes = Notes()
            let process = bench.process
            process.observePauses(longerThan: .seconds(1)) { gap in
                notes.add(gap >= .seconds(10) && gap < .seconds(11) ? "paused" : "wrong: \(gap)")
            }
            process.execute { _ = process.schedule(after: .milliseconds(20)) { notes.add("timer") } }
            bench.run(.milliseconds(10))
            process.pause(kind)
            let before = process.now
            bench.timeline.schedule(after: .seconds(1)) { process.deliver(.datagram) { notes.add("datagram") } }
            bench.run(.seconds(10))
            #expect(notes.all == [])
            #expect((process.now - before < .seconds(1)) == (kind == .asleep))
            process.resume()
            bench.run(.seconds(1))
            #expect(notes.all.first == "paused")
            #expect(Set(notes.all) == ["paused", "timer", "datagram"])
        }
    }

    @Test func a_machine_that_sleeps_moves_its_timers() {
        let bench = Bench()
        let notes = Notes()
        let process = bench.process
        process.execute {
            _ = process.schedule(after: .seconds(5)) { notes.add("5 s") }
            _ = process.schedule(after: .seconds(30)) { notes.add("30 s") }
        }
        bench.run(.seconds(1))
        process.pause(.asleep)
        bench.run(.seconds(20))
        process.resume()
        bench.run(.milliseconds(3900))
        #expect(notes.all == [])
        bench.run(.milliseconds(200))
        #expect(notes.all == ["5 s"])
        bench.run(.milliseconds(24_500))
        #expect(notes.all == ["5 s"])
        bench.run(.milliseconds(1000))
        #expect(notes.all == ["5 s", "30 s"])
    }

    @Test func sleeping_ends_with_time_with_cancellation_and_with_the_process() {
        let bench = Bench()
        let notes = Notes()
        let process = bench.process
        func sleeper(_ name: String, _ length: Duration, isCancellable: Bool = true) -> Task<Void, Never> {
            Task.detached(executorPreference: process.poolExecutor) {
                do {
                    try await process.sleep(for: length, isCancellable: isCancellable)
                    notes.add("\(name) slept")
                } catch {
                    notes.add("\(name) woken")
                }
            }
        }
        _ = sleeper("a", .seconds(1))
        let b = sleeper("b", .seconds(9))
        let c = sleeper("c", .seconds(4), isCancellable: false)
        _ = sleeper("d", .seconds(90))
        bench.run(.seconds(2))
        process.execute {
            b.cancel()
            c.cancel()
        }
        bench.run(.seconds(3))
        #expect(notes.all == ["a slept", "b woken", "c slept"])
        process.die()
        process.runOut()
        process.bury()
        #expect(notes.all == ["a slept", "b woken", "c slept", "d woken"])
        #expect(process.lostJobs == 0)
    }

    @Test func nothing_of_a_dead_process_happens_and_what_it_holds_is_freed() {
        final class Treasure: Sendable {}
        weak var treasure: Treasure?
        let bench = Bench()
        let notes = Notes()
        do {
            let held = Treasure()
            treasure = held
            let process = bench.process
            process.execute {
                _ = process.schedule(after: .seconds(5)) { withExtendedLifetime(held) { notes.add("timer") } }
            }
            Task.detached(executorPreference: process.poolExecutor) {
                // Woken when the process dies: the task ends, and gives back what it holds.
                try? await process.sleep(for: .seconds(100))
                withExtendedLifetime(held) {}
            }
        }
        bench.run(.seconds(1))
        #expect(treasure != nil)
        bench.process.die()
        bench.process.runOut()
        bench.process.bury()
        notes.all = []
        bench.process.execute { notes.add("late") }
        bench.run(.seconds(200))
        #expect(notes.all == [])
        #expect(treasure == nil)
        #expect(bench.process.lostJobs == 1)
    }

    @Test func the_runtime_has_the_hooks_that_notice_an_escape() {
        #expect(PoolGuard.isInstalled)
    }

    @Test func a_task_that_escapes_to_the_global_pool_ends_the_process() async {
        await #expect(processExitsWith: .failure) {
            let bench = Bench()
            bench.process.execute { Task.detached {} }
            bench.run(.seconds(1))
        }
    }

    @Test func the_same_seed_gives_the_same_trace_and_another_seed_another() {
        func hash(_ seed: UInt64) -> UInt64 {
            let bench = Bench(seed: seed, yieldChance: 0.3)
            let process = bench.process
            @Sendable func again(_ count: Int) {
                guard count > 0 else { return }
                _ = process.schedule(after: .milliseconds(3)) { again(count - 1) }
                for _ in 0..<5 { process.execute {} }
                Task.detached(executorPreference: process.poolExecutor) { try? await process.sleep(for: .seconds(1)) }
            }
            process.execute { again(50) }
            bench.run(.seconds(2))
            return bench.timeline.trace.hash
        }
        #expect(hash(1) == hash(1))
        #expect(hash(1) != hash(2))
    }

    @Test func clocks_drift_and_jump_each_on_its_own() {
        let timeline = Timeline(seed: 1, trace: .hash, yieldChance: 0)
        let clock = VirtualClock(timeline: timeline, greatestDrift: 0.01, seed: 3)
        let began = (clock.now, clock.microsecondsSince1970)
        _ = timeline.run(until: timeline.now + .seconds(1000)) { false }
        let expected = Double(1_000_000_000) * (1 + Double(clock.drift) / 1_000_000)
        #expect(clock.drift != 0)
        #expect(abs(Double((clock.now - began.0).nanoseconds) / 1000 - expected) < 2)
        #expect(abs(Double(clock.microsecondsSince1970 - began.1) - expected) < 2)
        let before = (clock.now, clock.microsecondsSince1970)
        clock.jumpWall(by: .seconds(-60))
        #expect(clock.now == before.0)
        #expect(clock.microsecondsSince1970 == before.1 - 60_000_000)
        clock.setDrift(-5000)
        #expect(clock.now == before.0)
        #expect(abs(Int64(clock.microsecondsSince1970) - Int64(before.1) + 60_000_000) <= 1)
        let later = clock.now
        _ = timeline.run(until: timeline.now + .seconds(100)) { false }
        #expect(clock.now - later == .milliseconds(99_500))
    }
}
