import Dispatch
import Primitives
import Synchronization
import Testing

@testable import EventLoop

struct ShutdownTests {
    @Test func jobsHandedOverBeforeTheShutdownRun() async throws {
        let loop = try EventLoop(name: "test")
        loop.start()
        let count = Atomic<Int>(0)
        for _ in 0..<10_000 { loop.execute { count.add(1, ordering: .relaxed) } }
        await loop.shutdown()
        #expect(count.load(ordering: .relaxed) == 10_000)
    }

    @Test func timersThatDidNotFireNeverDo() async throws {
        let loop = try EventLoop(name: "test")
        loop.start()
        let marker = Marker()
        try await loop.run { [weak marker] in
            for _ in 0..<100 { _ = loop.schedule(after: .seconds(3600)) { [marker] in _ = marker } }
        }
        await loop.shutdown()
        #expect(Marker.living.load(ordering: .relaxed) == 1)
        withExtendedLifetime(marker) {}
    }

    private final class Marker: Sendable {
        static let living = Atomic<Int>(0)
        init() { Self.living.add(1, ordering: .relaxed) }
        deinit { Self.living.subtract(1, ordering: .relaxed) }
    }

    @Test func hooksRunInOrderOnTheLoopAndOpenNothing() async throws {
        let loop = try EventLoop(name: "test")
        loop.start()
        let record = Record<String>()
        try await loop.run {
            for name in ["a", "b", "c"] {
                loop.addShutdownHook { record.append(loop.isCurrent ? name : "elsewhere") }
            }
            let removed = loop.addShutdownHook { record.append("removed") }
            loop.removeShutdownHook(removed)
            loop.addShutdownHook {
                _ = loop.schedule(after: .zero) { record.append("scheduled") }
                do {
                    _ = try UDPSocket(on: loop, bind: loopback) { _, _ in }
                    record.append("opened")
                } catch { record.append("refused") }
            }
        }
        await loop.shutdown()
        #expect(record.values == ["a", "b", "c", "refused"])
    }

    @Test func repeatedShutdownsAllReturn() async throws {
        let loop = try EventLoop(name: "test")
        loop.start()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 { group.addTask { await loop.shutdown() } }
        }
        await loop.shutdown()
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                loop.stop()
                continuation.resume()
            }
        }
    }

    @Test func actorsOutliveTheirLoop() async throws {
        let loop = try EventLoop(name: "test")
        loop.start()
        let counter = Counter(loop: loop)
        await counter.increment()
        await loop.shutdown()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<1000 { group.addTask { await counter.increment() } }
        }
        #expect(await counter.value == 1001)
        let record = Record<Bool>()
        loop.execute { counter.assumeIsolated { _ in record.append(loop.isCurrent) } }
        #expect(try await record.wait(count: 1) == [true])
        #expect(await Task(executorPreference: loop.taskExecutor) { await counter.value }.value == 1001)
    }

    @Test func noJobIsLostAcrossTheShutdown() async throws {
        for _ in 0..<20 {
            let loop = try EventLoop(name: "test")
            loop.start()
            let counter = Counter(loop: loop)
            async let work: Void = withTaskGroup(of: Void.self) { group in
                for _ in 0..<500 { group.addTask { await counter.increment() } }
            }
            await loop.shutdown()
            await work
            #expect(await counter.value == 500)
        }
    }

    @Test func aChainThatNeverEndsDoesNotHoldTheShutdownUp() async throws {
        let loop = try EventLoop(name: "test")
        loop.start()
        let isOver = Atomic<Bool>(false)
        @Sendable func chain() { if !isOver.load(ordering: .relaxed) { loop.execute(chain) } }
        loop.execute(chain)
        await loop.shutdown()
        isOver.store(true, ordering: .relaxed)
    }

    @Test func aLoopThatNeverStartedIsReleased() async throws {
        let record = Record<Int>()
        weak var weakLoop: EventLoop?
        do {
            let loop = try EventLoop(name: "test")
            weakLoop = loop
            loop.execute { record.append(1) }
        }
        #expect(weakLoop == nil)
        #expect(try await record.wait(count: 1) == [1])
    }

    @Test func aLoopIsReleasedAfterItsShutdown() async throws {
        weak var weakLoop: EventLoop?
        let record = Record<Int>()
        do {
            let loop = try EventLoop(name: "test")
            weakLoop = loop
            loop.start()
            _ = try await loop.run { loop.schedule(after: .seconds(1000)) { record.append(1) } }
            await loop.shutdown()
        }
        // The thread lets go of the loop a moment after it has told.
        let start = ContinuousClock.now
        while weakLoop != nil, start.duration(to: .now) < .seconds(10) { await Task.yield() }
        #expect(weakLoop == nil)
    }
}
