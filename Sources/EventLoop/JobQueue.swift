import CLibuv
import Dispatch
import Glibc
import Synchronization

/// Something to run on the loop. The executors are held by the loop, which outlives every job that it runs.
enum LoopJob: Sendable {
    case actor(UnownedJob, UnownedSerialExecutor)
    case task(UnownedJob, UnownedTaskExecutor)
    case action(@Sendable () -> Void)

    func run() {
        switch self {
        case .actor(let job, let executor): job.runSynchronously(on: executor)
        case .task(let job, let executor): job.runSynchronously(on: executor)
        case .action(let action): action()
        }
    }
}

/// The jobs of a loop, in the order in which they were handed over.
///
/// Jobs from the loop's own thread are appended without a lock; those of other threads go to an inbox, and only the one
/// that finds it empty wakes the loop. Draining takes at most `batch` jobs, so that a chain of jobs cannot starve I/O.
///
/// - open: jobs run on the loop's thread.
/// - closed, once the loop's thread is about to end: jobs run on a serial queue, since an actor may outlive its loop
///   and
///   a job that is dropped leaks its task.
///
/// `@unchecked`: `local` and `head` are touched only by the loop's thread while the queue is open, and by nobody after
/// that; everything else is behind `shared` or atomic.
final class JobQueue: @unchecked Sendable {
    /// Jobs of one drain.
    static let batch = 512
    /// Jobs that may still run on the loop's thread when it closes; the rest, if there is one, goes to the serial
    /// queue.
    static let finalJobs = 1 << 20

    private struct Shared {
        var inbox: [LoopJob] = []
        var wake: WakeHandle?
        var isClosed = false
    }

    /// `@unchecked`: `uv_async_send` is the one function of libuv that any thread may call, and it is called under the
    /// lock under which the handle is taken away before it is closed.
    struct WakeHandle: @unchecked Sendable {
        let async: UnsafeMutablePointer<uv_async_t>
    }

    private let shared = Lock(Shared())
    /// The loop's thread; 0 before it runs and after it has closed.
    private let thread = Atomic<UInt>(0)
    private let late = DispatchQueue(label: "apus.loop.late")
    private let lateKey = DispatchSpecificKey<Bool>()
    private let isLate = Atomic<Bool>(false)

    private var local: [LoopJob] = []
    private var head = 0

    init() { late.setSpecific(key: lateKey, value: true) }

    /// Whether the caller runs where the jobs run.
    var isCurrent: Bool {
        if thread.load(ordering: .relaxed) == UInt(pthread_self()) { return true }
        return isLate.load(ordering: .acquiring) && DispatchQueue.getSpecific(key: lateKey) == true
    }

    /// The calling thread is the one that drains. `wake` is valid until `silence()`.
    func bindToCurrentThread(wake: WakeHandle) {
        thread.store(UInt(pthread_self()), ordering: .relaxed)
        shared.withLock { shared in
            shared.wake = wake
            if !shared.inbox.isEmpty { uv_async_send(wake.async) }
        }
    }

    /// - Parameter owner: what keeps the job's executor alive if the loop does not any more.
    func enqueue(_ job: LoopJob, owner: some AnyObject & Sendable) {
        if thread.load(ordering: .relaxed) == UInt(pthread_self()) {
            local.append(job)
            return
        }
        shared.withLock { shared in
            if shared.isClosed {
                late.async { withExtendedLifetime(owner) { job.run() } }
                return
            }
            shared.inbox.append(job)
            if shared.inbox.count == 1, let wake = shared.wake { uv_async_send(wake.async) }
        }
    }

    /// Runs what is there, at most `batch` jobs, each after `beforeEach`. Returns whether jobs remain. Only on the loop.
    func drain(_ beforeEach: () -> Void = {}) -> Bool {
        collect()
        var budget = Self.batch
        while budget > 0, head < local.count {
            let job = local[head]
            head += 1
            budget -= 1
            beforeEach()
            job.run()
        }
        if head == local.count {
            local.removeAll(keepingCapacity: local.capacity <= 4 * Self.batch)
            head = 0
        } else if head >= 2 * Self.batch {
            // A chain that enqueues itself never lets the queue become empty.
            local.removeSubrange(..<head)
            head = 0
        }
        return head < local.count
    }

    private func collect() {
        shared.withLock { shared in
            guard !shared.inbox.isEmpty else { return }
            if local.isEmpty {
                swap(&local, &shared.inbox)
            } else {
                local.append(contentsOf: shared.inbox)
                shared.inbox.removeAll(keepingCapacity: true)
            }
        }
    }

    /// No thread touches the wake handle after this.
    func silence() { shared.withLock { $0.wake = nil } }

    /// Runs what is left, at most about `finalJobs`, and sends the rest and all later jobs to the serial queue. Only
    /// on the loop's thread, or with 0 by whoever drops a loop that never started.
    func close(owner: some AnyObject & Sendable, finalJobs: Int) {
        var budget = finalJobs
        while true {
            while budget > 0, drain() { budget -= Self.batch }
            budget -= 1
            let isClosed = shared.withLock { shared in
                guard budget <= 0 || (shared.inbox.isEmpty && head == local.count) else { return false }
                shared.isClosed = true
                // Two threads may not own the queue: this one gives it up before the serial queue can start.
                thread.store(0, ordering: .relaxed)
                isLate.store(true, ordering: .releasing)
                for job in local[head...] + shared.inbox {
                    late.async { withExtendedLifetime(owner) { job.run() } }
                }
                shared.inbox = []
                local = []
                head = 0
                return true
            }
            if isClosed { return }
        }
    }
}
