import Foundation
import Synchronization
import TaskExecution

/// Threads for work that blocks or computes for long (decoding images, reading tables, writing files), so that Swift's
/// cooperative pool stays free for what awaits. They are threads of their own: on Linux, Dispatch's queues share their
/// threads with that pool, and busy ones would starve it.
///
/// As many jobs run at a time as there are cores; others wait in order, at most `HandlerLimits.offloadedJobs` with
/// those that run, and one more fails with `busy`, which is retried.
///
/// A job whose Swift task is cancelled finds its flag set, and throws as soon as it looks; one that still waits does
/// not start. `run` returns when the job has ended, so nothing of an attempt goes on behind its back.
final class OffloadPool: Sendable {
    static let shared = OffloadPool(width: ProcessInfo.processInfo.activeProcessorCount)

    private let queue: JobQueue
    private let width: Int
    /// Jobs that wait or run.
    private let jobs = Atomic(0)

    init(width: Int) {
        let queue = JobQueue()
        self.queue = queue
        self.width = width
        for number in 1...width {
            let thread = Thread { while let job = queue.next() { job() } }
            thread.name = "handlers-\(number)"
            thread.start()
        }
    }

    /// Nothing waits then: who runs a job holds the pool.
    deinit { queue.close(threads: width) }

    func run<Value: Sendable>(
        _ job: @escaping @Sendable (CancellationFlag) throws -> Value
    ) async throws -> Value {
        defer { jobs.subtract(1, ordering: .relaxed) }
        guard jobs.add(1, ordering: .relaxed).newValue <= HandlerLimits.offloadedJobs else {
            throw HandlerError(
                type: "busy",
                message: "\(HandlerLimits.offloadedJobs) jobs of this node wait for a thread, or have one",
                isRetryable: true)
        }
        let flag = CancellationFlag()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                queue.add {
                    continuation.resume(
                        with: Result {
                            try flag.check()
                            return try job(flag)
                        })
                }
            }
        } onCancel: {
            flag.cancel()
        }
    }
}

/// Whether a job should stop. Set once, from any thread; read by the job now and then.
final class CancellationFlag: Sendable {
    private let flag = Atomic(false)

    var isCancelled: Bool { flag.load(ordering: .relaxed) }

    func cancel() { flag.store(true, ordering: .relaxed) }

    func check() throws(CancellationError) {
        if isCancelled { throw CancellationError() }
    }
}

/// First in, first out, between any threads. Its length is bounded by who adds.
private final class JobQueue: Sendable {
    typealias Job = @Sendable () -> Void

    private let waiting = Mutex<[Job]>([])
    /// Counts jobs that wait; more than there are once the queue is closed.
    private let available = DispatchSemaphore(value: 0)

    func add(_ job: @escaping Job) {
        waiting.withLock { $0.append(job) }
        available.signal()
    }

    /// Waits for a job. Nil: the queue is closed, and the thread should end.
    func next() -> Job? {
        available.wait()
        return waiting.withLock { $0.isEmpty ? nil : $0.removeFirst() }
    }

    func close(threads: Int) {
        for _ in 0..<threads { available.signal() }
    }
}
