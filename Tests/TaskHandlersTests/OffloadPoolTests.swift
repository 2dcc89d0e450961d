import Foundation
import Synchronization
import TaskExecution
import Testing

@testable import TaskHandlers

@Suite(.timeLimit(.minutes(1))) struct OffloadPoolTests {
    /// Occupies one thread of a pool until it is opened, or cancelled by the end of the test.
    final class Gate: Sendable {
        private let opened = Atomic(false)
        private let entered = Atomic(false)

        func open() { opened.store(true, ordering: .releasing) }

        func hold(_ flag: CancellationFlag) throws {
            entered.store(true, ordering: .releasing)
            while !opened.load(ordering: .acquiring) {
                try flag.check()
                sched_yield()
            }
        }

        func whenEntered() async {
            while !entered.load(ordering: .acquiring) { await Task.yield() }
        }
    }

    @Test func aRunningJobSeesThatItIsCancelled() async {
        let pool = OffloadPool(width: 1)
        let gate = Gate()
        let task = Task { try await pool.run { try gate.hold($0) } }
        await gate.whenEntered()
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test func aCancelledJobThatWaitsDoesNotStart() async throws {
        let pool = OffloadPool(width: 1)
        let gate = Gate()
        async let first: Void = pool.run { try gate.hold($0) }
        await gate.whenEntered()
        let second = Task { try await pool.run { _ in Issue.record("it started") } }
        second.cancel()
        gate.open()
        await #expect(throws: CancellationError.self) { try await second.value }
        try await first
    }

    @Test func aJobBeyondTheLimitIsRefusedAndMayBeTriedAgain() async throws {
        let pool = OffloadPool(width: 1)
        let gate = Gate()
        let jobs = HandlerLimits.offloadedJobs + 10
        let refused = await withTaskGroup(of: HandlerError?.self) { group in
            for _ in 0..<jobs {
                group.addTask {
                    do {
                        try await pool.run { try gate.hold($0) }
                        return nil
                    } catch {
                        return error as? HandlerError
                    }
                }
            }
            // The pool holds as many as it may: those beyond are the first to end.
            var refused: [HandlerError] = []
            for await outcome in group {
                if let outcome { refused.append(outcome) }
                if refused.count == 10 { gate.open() }
            }
            return refused
        }
        #expect(refused.count == 10)
        #expect(refused.allSatisfy { $0.type == "busy" && $0.isRetryable })
    }
}
