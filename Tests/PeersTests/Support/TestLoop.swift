import Dispatch
import EventLoop
import Primitives
import Synchronization

/// A `Scheduler` on a serial queue: one thing at a time, in order.
final class TestLoop: Scheduler, SerialExecutor, TaskExecutor {
    private final class Action: ScheduledAction {
        private let action: Mutex<(@Sendable () -> Void)?>

        init(_ action: @escaping @Sendable () -> Void) { self.action = Mutex(action) }

        func cancel() { action.withLock { $0 = nil } }

        func run() {
            let due = action.withLock { action in
                defer { action = nil }
                return action
            }
            due?()
        }
    }

    private let queue = DispatchQueue(label: "test loop")
    private let batches = Mutex(0)

    /// How often `execute` was called.
    var executeCount: Int { batches.withLock { $0 } }

    var serialExecutor: UnownedSerialExecutor { asUnownedSerialExecutor() }
    var taskExecutor: any TaskExecutor { self }
    var now: Instant { Instant(nanoseconds: Int64(DispatchTime.now().uptimeNanoseconds)) }
    var microsecondsSince1970: UInt64 { 0 }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }

    func execute(_ job: @escaping @Sendable () -> Void) {
        batches.withLock { $0 += 1 }
        queue.async(execute: job)
    }

    func schedule(after delay: Duration, _ action: @escaping @Sendable () -> Void) -> any ScheduledAction {
        let scheduled = Action(action)
        queue.asyncAfter(deadline: .now() + .nanoseconds(Int(delay.nanoseconds))) { scheduled.run() }
        return scheduled
    }

    /// Runs `body` on the loop and waits for it.
    func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: body()) }
        }
    }
}
