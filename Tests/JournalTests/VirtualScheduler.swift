import EventLoop
import Primitives

/// Runs what is handed over on the test's thread, when told to, on a clock of its own.
///
/// `@unchecked`: only used by one test, on one thread.
final class VirtualScheduler: Scheduler, @unchecked Sendable {
    private final class Action: ScheduledAction, @unchecked Sendable {
        var run: (@Sendable () -> Void)?
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
        func cancel() { run = nil }
    }

    /// Not used by what is tested.
    private final class NoExecutor: SerialExecutor, TaskExecutor {
        func enqueue(_ job: consuming ExecutorJob) { preconditionFailure("Nothing here is asynchronous.") }
    }

    private let executor = NoExecutor()
    private var jobs: [@Sendable () -> Void] = []
    private var timers: [(due: Instant, action: Action)] = []
    private(set) var now = Instant(nanoseconds: 1_000_000_000)

    var serialExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
    var taskExecutor: any TaskExecutor { executor }
    var microsecondsSince1970: UInt64 { 1_700_000_000_000_000 + UInt64(now.nanoseconds / 1000) }

    func execute(_ job: @escaping @Sendable () -> Void) { jobs.append(job) }

    func schedule(after delay: Duration, _ action: @escaping @Sendable () -> Void) -> any ScheduledAction {
        let action = Action(action)
        timers.append((now + delay, action))
        return action
    }

    /// Runs jobs until none is left.
    func settle() {
        while !jobs.isEmpty {
            let batch = jobs
            jobs = []
            for job in batch { job() }
        }
    }

    /// Lets time pass, with all that falls due in it.
    func advance(_ duration: Duration) {
        let end = now + duration
        settle()
        while let index = timers.indices.min(by: { timers[$0].due < timers[$1].due }), timers[index].due <= end {
            let timer = timers.remove(at: index)
            now = max(now, timer.due)
            timer.action.run?()
            settle()
        }
        now = end
    }
}
