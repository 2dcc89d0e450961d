import Primitives
import Synchronization
import Testing

@testable import EventLoop

struct TimerTests {
    @Test func timersFireInTheOrderOfTheirTimes() async throws {
        try await withLoop { loop in
            let record = Record<Int>()
            loop.execute {
                for delay in [30, 10, 20, 0, 40] {
                    _ = loop.schedule(after: .milliseconds(delay)) { record.append(delay) }
                }
            }
            let values = try await record.wait(count: 5)
            #expect(values == [0, 10, 20, 30, 40])
        }
    }

    @Test func timersOfOneTimeFireInTheOrderOfTheCalls() async throws {
        try await withLoop { loop in
            let record = Record<Int>()
            loop.execute {
                for number in 0..<200 { _ = loop.schedule(after: .milliseconds(5)) { record.append(number) } }
            }
            let values = try await record.wait(count: 200)
            // The calls may straddle a millisecond, and stay in order.
            #expect(values == Array(0..<200))
        }
    }

    @Test(arguments: [Duration.microseconds(300), .milliseconds(1), .microseconds(2700), .milliseconds(15)])
    func noTimerIsEarly(delay: Duration) async throws {
        try await withLoop { loop in
            let record = Record<Duration>()
            for round in 0..<20 {
                loop.execute {
                    let start = loop.now
                    // A turn that has lasted for a while does not count against the timer.
                    while loop.now - start < .microseconds(700) {}
                    let scheduled = loop.now
                    _ = loop.schedule(after: delay) { record.append(loop.now - scheduled) }
                }
                try await record.wait(count: round + 1)
            }
            for elapsed in record.values { #expect(elapsed >= delay) }
        }
    }

    @Test func aCancelledTimerDoesNotFire() async throws {
        try await withLoop { loop in
            let record = Record<String>()
            loop.execute {
                let cancelled = loop.schedule(after: .milliseconds(5)) { record.append("cancelled") }
                let immediate = loop.schedule(after: .zero) { record.append("cancelled") }
                let late = loop.schedule(after: .milliseconds(20)) { record.append("late") }
                cancelled.cancel()
                cancelled.cancel()
                immediate.cancel()
                _ = loop.schedule(after: .milliseconds(30)) {
                    // After it has fired, cancelling is harmless.
                    late.cancel()
                    record.append("last")
                }
            }
            let value = try await record.wait { $0.contains("last") } == ["late", "last"]
            #expect(value)
        }
    }

    @Test func timersOfOneTurnCanCancelEachOther() async throws {
        try await withLoop { loop in
            let record = Record<String>()
            loop.execute {
                let victim = Mutex<(any ScheduledAction)?>(nil)
                _ = loop.schedule(after: .milliseconds(5)) {
                    record.append("first")
                    victim.withLock { $0 }?.cancel()
                }
                let second = loop.schedule(after: .milliseconds(5)) { record.append("second") }
                victim.withLock { $0 = second }
                _ = loop.schedule(after: .milliseconds(20)) { record.append("last") }
            }
            let value = try await record.wait { $0.contains("last") } == ["first", "last"]
            #expect(value)
        }
    }

    /// An action that schedules itself with no delay lets other timers and I/O through.
    @Test func aTimerOfZeroThatSchedulesItselfStarvesNobody() async throws {
        try await withLoop { loop in
            let record = Record<Int>()
            let isOver = Atomic<Bool>(false)
            let rounds = Atomic<Int>(0)
            @Sendable func again() {
                rounds.add(1, ordering: .relaxed)
                if !isOver.load(ordering: .relaxed) { _ = loop.schedule(after: .zero, again) }
            }
            loop.execute {
                again()
                _ = loop.schedule(after: .milliseconds(10)) {
                    isOver.store(true, ordering: .relaxed)
                    record.append(rounds.load(ordering: .relaxed))
                }
            }
            let counts = try await record.wait(count: 1)
            #expect(counts[0] > 1)
        }
    }

    @Test func timersScheduleTimers() async throws {
        try await withLoop { loop in
            let record = Record<Int>()
            @Sendable func step(_ number: Int) {
                record.append(number)
                if number < 20 { _ = loop.schedule(after: .milliseconds(1)) { step(number + 1) } }
            }
            loop.execute { step(0) }
            let values = try await record.wait(count: 21)
            #expect(values == Array(0...20))
        }
    }
}
