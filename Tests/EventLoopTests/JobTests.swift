import Dispatch
import Primitives
import Synchronization
import Testing

@testable import EventLoop

/// An actor of the loop, as a node has them.
actor Counter {
    private let loop: EventLoop
    private(set) var value = 0
    private(set) var log: [Int] = []

    init(loop: EventLoop) { self.loop = loop }

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.serialExecutor }

    func increment() { value += 1 }
    func note(_ number: Int) { log.append(number) }
    func isOnLoop() -> Bool { loop.isCurrent }

    /// Two hops between actors of the loop; true if all of it ran there.
    func bounce(off other: Counter) async -> Bool {
        let before = loop.isCurrent
        await other.increment()
        return before && loop.isCurrent
    }
}

struct JobTests {
    @Test func jobsOfOneThreadRunInOrder() async throws {
        try await withLoop { loop in
            let record = Record<Int>()
            for number in 0..<5000 { loop.execute { record.append(number) } }
            let values = try await record.wait(count: 5000)
            #expect(values == Array(0..<5000))
        }
    }

    @Test func jobsHandedOverBeforeTheStartRunAfterIt() async throws {
        let loop = try EventLoop(name: "test")
        let record = Record<Bool>()
        loop.execute { record.append(loop.isCurrent) }
        #expect(record.values == [])
        loop.start()
        #expect(try await record.wait(count: 1) == [true])
        await loop.shutdown()
    }

    @Test func noWakeUpIsLostUnderManyThreads() async throws {
        try await withLoop { loop in
            let threads = 8
            let jobs = 5000
            let done = Atomic<Int>(0)
            let record = Record<Int>()
            let last = Mutex([Int](repeating: -1, count: threads))
            for thread in 0..<threads {
                DispatchQueue(label: "\(thread)").async {
                    for number in 0..<jobs {
                        loop.execute {
                            last.withLock { last in
                                if last[thread] != number - 1 { record.append(-1) }
                                last[thread] = number
                            }
                            if done.add(1, ordering: .relaxed).newValue == threads * jobs { record.append(1) }
                        }
                    }
                }
            }
            let values = try await record.wait(count: 1)
            #expect(values == [1])
        }
    }

    /// One job at a time, each handed over when the loop has gone to wait. The heartbeat would run them all, one each.
    @Test func everySingleJobWakesTheLoop() async throws {
        try await withLoop { loop in
            let start = loop.now
            let jobs = 200
            for number in 0..<jobs {
                let answer = try await loop.run { number }
                #expect(answer == number)
            }
            let elapsed: Duration = loop.now - start
            #expect(elapsed < EventLoop.heartbeat * (jobs / 2))
        }
    }

    /// While jobs remain the loop does not wait for I/O, which would last a heartbeat each time.
    @Test func jobsBeyondABatchDoNotWaitForTheHeartbeat() async throws {
        try await withLoop { loop in
            let turns = 100
            let record = Record<Int>()
            @Sendable func chain(_ rest: Int) {
                if rest == 0 { record.append(0) } else { loop.execute { chain(rest - 1) } }
            }
            let start = loop.now
            loop.execute { chain(turns * 2 * JobQueue.batch) }
            try await record.wait(count: 1)
            let elapsed: Duration = loop.now - start
            #expect(elapsed < EventLoop.heartbeat * (turns / 2))
        }
    }

    @Test func aChainOfJobsDoesNotStarveTimers() async throws {
        try await withLoop { loop in
            let record = Record<String>()
            let isOver = Atomic<Bool>(false)
            @Sendable func chain() { if !isOver.load(ordering: .relaxed) { loop.execute(chain) } }
            loop.execute {
                chain()
                _ = loop.schedule(after: .milliseconds(5)) {
                    isOver.store(true, ordering: .relaxed)
                    record.append("timer")
                }
            }
            let values = try await record.wait(count: 1)
            #expect(values == ["timer"])
        }
    }

    @Test func actorsRunOnTheLoop() async throws {
        try await withLoop { loop in
            let counter = Counter(loop: loop)
            #expect(await counter.isOnLoop())
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<1000 { group.addTask { await counter.increment() } }
            }
            #expect(await counter.value == 1000)
        }
    }

    @Test func aTaskThatPrefersTheLoopNeverLeavesIt() async throws {
        try await withLoop { loop in
            let first = Counter(loop: loop)
            let second = Counter(loop: loop)
            let task = Task(executorPreference: loop.taskExecutor) {
                var isAlways = loop.isCurrent
                for _ in 0..<100 {
                    isAlways = await first.bounce(off: second) && isAlways && loop.isCurrent
                }
                return isAlways
            }
            #expect(await task.value)
            #expect(await second.value == 100)
        }
    }

    @Test func callbacksAreIsolatedToTheActorsOfTheLoop() async throws {
        try await withLoop { loop in
            let counter = Counter(loop: loop)
            let record = Record<Int>()
            loop.execute {
                counter.assumeIsolated { $0.note(1) }
                _ = loop.schedule(after: .zero) { counter.assumeIsolated { $0.note(2) } }
                _ = loop.schedule(after: .milliseconds(1)) {
                    counter.assumeIsolated { $0.note(3) }
                    record.append(0)
                }
            }
            try await record.wait(count: 1)
            #expect(await counter.log == [1, 2, 3])
        }
    }

    @Test func onlyTheLoopsThreadIsCurrent() async throws {
        try await withLoop { loop in
            #expect(!loop.isCurrent)
            let other = try EventLoop(name: "other")
            other.start()
            #expect(try await other.run { loop.isCurrent } == false)
            await other.shutdown()
            #expect(try await loop.run { loop.isCurrent })
        }
    }

    /// `assumeIsolated` on a foreign thread traps: no data race goes unseen.
    @Test func assumingIsolationElsewhereTraps() async throws {
        await #expect(processExitsWith: .failure) {
            let loop = try EventLoop(name: "test")
            loop.start()
            trespass(Counter(loop: loop))
        }
    }
}

/// On the calling thread, whichever it is.
private func trespass(_ counter: Counter) { counter.assumeIsolated { $0.note(1) } }
