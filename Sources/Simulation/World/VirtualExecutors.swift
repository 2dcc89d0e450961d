/// Runs the jobs of actors.
///
/// The executors know their process, which outlives them: the timeline keeps it when it is dead. `@unchecked`:
/// `process` is set once, before the first job.
final class VirtualSerialExecutor: SerialExecutor, @unchecked Sendable {
    unowned(unsafe) var process: VirtualProcess?

    func enqueue(_ job: consuming ExecutorJob) { process?.enqueue(UnownedJob(job), on: .actor) }
    func isIsolatingCurrentContext() -> Bool? { process?.isCurrent }

    func checkIsolated() {
        precondition(
            process?.isCurrent == true, "This actor lives on the loop of a simulated node, and nobody is on it.")
    }
}

/// Runs tasks on the loop that prefer it. `@unchecked`: as above.
final class VirtualLoopTaskExecutor: TaskExecutor, @unchecked Sendable {
    unowned(unsafe) var process: VirtualProcess?

    func enqueue(_ job: consuming ExecutorJob) { process?.enqueue(UnownedJob(job), on: .loopTask) }
}

/// Stands for the threads of Swift's pool. `@unchecked`: as above.
final class VirtualPoolExecutor: TaskExecutor, @unchecked Sendable {
    unowned(unsafe) var process: VirtualProcess?

    func enqueue(_ job: consuming ExecutorJob) { process?.enqueue(UnownedJob(job), on: .pool) }
}
