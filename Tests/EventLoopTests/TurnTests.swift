import Dispatch
import Glibc
import Primitives
import Testing

@testable import EventLoop

struct TurnTests {
    @Test func anIdleLoopTurnsWithItsHeartbeat() async throws {
        try await withLoop { loop in
            let first = loop.lastTurn
            let record = Record<LoopTurn>()
            loop.execute { _ = loop.schedule(after: .milliseconds(350)) { record.append(loop.lastTurn) } }
            let turn = try await record.wait(count: 1)[0]
            #expect(turn.number >= first.number + 3)
            #expect(turn.monotonic > first.monotonic && turn.boottime > first.boottime)
            #expect(loop.now - turn.monotonic < .seconds(5))
        }
    }

    @Test func aHeldLoopIsSeenFromOutside() async throws {
        try await withLoop { loop in
            let isSeen = DispatchSemaphore(value: 0)
            let entered = Record<Bool>()
            loop.execute {
                entered.append(true)
                entered.append(isSeen.wait(timeout: .now() + 20) == .success)
            }
            try await entered.wait(count: 1)
            while entered.values.count < 2, loop.boottime - loop.lastTurn.boottime < .milliseconds(200) {
                await Task.yield()
            }
            isSeen.signal()
            #expect(try await entered.wait(count: 2) == [true, true])
        }
    }

    @Test func aPauseIsReportedBeforeAnyCallbackThatFollowsIt() async throws {
        try await withLoop { loop in
            let record = Record<String>()
            let (receiver, sender) = try await loop.run {
                (
                    try UDPSocket(on: loop, bind: loopback) { _, _ in record.append("datagram") },
                    try UDPSocket(on: loop, bind: loopback) { _, _ in }
                )
            }
            loop.execute {
                loop.observePauses(longerThan: .milliseconds(150)) { gap in
                    #expect(gap >= .milliseconds(250))
                    record.append("pause")
                }
                sender.send([1], to: receiver.localAddress)
                loop.execute { loop.execute { record.append("job") } }
                usleep(250_000)
            }
            let values = try await record.wait { $0.contains("datagram") && $0.contains("pause") }
            #expect(values.firstIndex(of: "pause") ?? .max < values.firstIndex(of: "datagram") ?? .max)
        }
    }

    /// The process is stopped in the middle of a batch of jobs: none of the jobs after it runs unaware.
    @Test func aPauseInTheMiddleOfABatchIsReportedBeforeTheNextJob() async throws {
        try await withLoop { loop in
            let record = Record<String>()
            loop.execute {
                loop.observePauses(longerThan: .milliseconds(150)) { _ in record.append("pause") }
                loop.execute { record.append("before") }
                loop.execute { usleep(250_000) }
                for _ in 0..<3 { loop.execute { record.append("after") } }
            }
            let values = try await record.wait { $0.count(where: { $0 == "after" }) == 3 }
            #expect(values == ["before", "pause", "after", "after", "after"])
        }
    }

    /// Timers run first in a turn of libuv's loop, before anything that waits for I/O.
    @Test func aPauseIsReportedBeforeATimerThatFellDueInIt() async throws {
        try await withLoop { loop in
            let record = Record<String>()
            loop.execute {
                loop.observePauses(longerThan: .milliseconds(150)) { _ in record.append("pause") }
                for delay in [20, 30, 40] {
                    _ = loop.schedule(after: .milliseconds(delay)) {
                        record.append("timer")
                        if delay == 20 { usleep(250_000) }
                    }
                }
            }
            let values = try await record.wait { $0.count(where: { $0 == "timer" }) == 3 }
            #expect(values == ["timer", "pause", "timer", "timer"])
        }
    }

    /// Each pause once, however many looks at the clock follow.
    @Test func aPauseIsReportedOnce() async throws {
        try await withLoop { loop in
            let record = Record<String>()
            loop.execute {
                loop.observePauses(longerThan: .milliseconds(150)) { gap in
                    #expect(gap >= .milliseconds(200) && gap < .seconds(10))
                    record.append("pause")
                }
                loop.execute { usleep(200_000) }
                loop.execute {}
                loop.execute { usleep(200_000) }
                loop.execute { _ = loop.schedule(after: .milliseconds(50)) { record.append("over") } }
            }
            let values = try await record.wait { $0.contains("over") }
            #expect(values == ["pause", "pause", "over"])
        }
    }

    @Test func waitingForIOIsNoPause() async throws {
        try await withLoop { loop in
            let record = Record<String>()
            try await loop.run {
                loop.observePauses(longerThan: .seconds(2)) { _ in record.append("pause") }
                _ = loop.schedule(after: .milliseconds(450)) { record.append("over") }
            }
            #expect(try await record.wait(count: 1) == ["over"])
        }
    }
}
