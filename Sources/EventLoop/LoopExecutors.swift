/// Runs the jobs of actors on the loop.
///
/// A class of its own beside `LoopTaskExecutor`: the two kinds of job are started by different calls, and one class
/// that conformed to both protocols could not tell them apart.
final class LoopSerialExecutor: SerialExecutor {
    private let queue: JobQueue

    init(queue: JobQueue) { self.queue = queue }

    func enqueue(_ job: consuming ExecutorJob) {
        queue.enqueue(.actor(UnownedJob(job), asUnownedSerialExecutor()), owner: self)
    }

    /// Callbacks of C run on the loop's thread outside of any job: `assumeIsolated` has to work in them.
    func isIsolatingCurrentContext() -> Bool? { queue.isCurrent }

    func checkIsolated() {
        precondition(queue.isCurrent, "This actor lives on its node's event loop, and the caller is on another thread.")
    }
}

/// Runs tasks on the loop that prefer it, so that they need no detour through the global pool between two actors of it.
final class LoopTaskExecutor: TaskExecutor {
    private let queue: JobQueue

    init(queue: JobQueue) { self.queue = queue }

    func enqueue(_ job: consuming ExecutorJob) {
        queue.enqueue(.task(UnownedJob(job), asUnownedTaskExecutor()), owner: self)
    }
}
