import CLibuv
import Dispatch
import Glibc
public import Primitives

/// One libuv loop on one thread: where a node's actors run, and where its sockets, timers and files call back.
///
/// Life: `init` -> `start` -> `shutdown` (or `stop`). Jobs may be handed over at any time: before `start` they wait,
/// after the shutdown they run on a serial queue. One turn of the loop is: timers, a batch of jobs, waiting for I/O,
/// the callbacks of I/O, a batch of jobs. While jobs remain it does not wait.
///
/// Shutdown, in this order: hooks run in the order in which they were added, in which components close what they have;
/// what is in flight in libuv's pool ends and calls back; timers that did not fire never will; jobs that were handed
/// over run; the loop closes; the thread ends. After its start only a shutdown ends a loop: its thread keeps it alive.
///
/// SIGPIPE is blocked on the loop's thread (C libraries that write to sockets raise it), and so is in children that
/// are spawned from it.
///
/// `@unchecked`: `uv` and the stored variables are touched only by the loop's thread, before `start` only by `init`,
/// and in `deinit`, if the loop never started, only by the last owner. The rest is atomic or behind a lock.
public final class EventLoop: Scheduler, @unchecked Sendable {
    /// The loop turns at least this often unless something holds it up.
    public static let heartbeat: Duration = .milliseconds(100)

    public let name: String
    public let taskExecutor: any TaskExecutor
    public var serialExecutor: UnownedSerialExecutor { actorExecutor.asUnownedSerialExecutor() }

    let uv: UnsafeMutablePointer<uv_loop_t>
    private let actorExecutor: LoopSerialExecutor
    private let queue: JobQueue
    private let clock = LoopClock()
    private let lifecycle = Lock(Lifecycle.idle([]))

    private let wake: UnsafeMutablePointer<uv_async_t>
    private let beforeWait: UnsafeMutablePointer<uv_prepare_t>
    private let afterWait: UnsafeMutablePointer<uv_check_t>
    private let noWait: UnsafeMutablePointer<uv_idle_t>
    private let pulse: UnsafeMutablePointer<uv_timer_t>

    private var isNoted = false
    /// By CLOCK_BOOTTIME.
    private var lastSign = LoopClock.boottime()
    private var isClosing = false
    private var hooks: [(id: Int, run: @Sendable () -> Void)] = []
    private var nextHook = 0
    private var pauseObserver: (threshold: Duration, report: @Sendable (Duration) -> Void)?

    private enum Lifecycle {
        /// Not started. Who waits for the shutdown is kept in each state but the last.
        case idle([@Sendable () -> Void])
        case running([@Sendable () -> Void])
        case closing([@Sendable () -> Void])
        case closed
    }

    /// - Parameter name: of the thread, for debuggers; the system keeps its first 15 bytes.
    public init(name: String) throws(SystemError) {
        self.name = name
        queue = JobQueue()
        actorExecutor = LoopSerialExecutor(queue: queue)
        taskExecutor = LoopTaskExecutor(queue: queue)
        uv = .allocate(capacity: 1)
        wake = .allocate(capacity: 1)
        beforeWait = .allocate(capacity: 1)
        afterWait = .allocate(capacity: 1)
        noWait = .allocate(capacity: 1)
        pulse = .allocate(capacity: 1)
        do throws(SystemError) {
            try check(uv_loop_init(uv), "create an event loop")
            let result = uv_async_init(uv, wake) { handle in EventLoop.of(handle).beginTurn() }
            if result < 0 { uv_loop_close(uv) }
            try check(result, "create the wake-up of an event loop")
        } catch {
            Self.release(uv, wake, beforeWait, afterWait, noWait, pulse)
            throw error
        }
        // These cannot fail.
        uv_prepare_init(uv, beforeWait)
        uv_check_init(uv, afterWait)
        uv_idle_init(uv, noWait)
        uv_timer_init(uv, pulse)
        let me = Unmanaged.passUnretained(self).toOpaque()
        wake.pointee.data = me
        uv.pointee.data = me
        beforeWait.pointee.data = me
        afterWait.pointee.data = me
        noWait.pointee.data = me
        pulse.pointee.data = me
    }

    deinit {
        // The thread holds the loop, so either it has closed or it never was.
        let neverStarted = lifecycle.withLock { if case .idle = $0 { true } else { false } }
        if neverStarted {
            closeHandles()
            queue.close(owner: Executors(actorExecutor, taskExecutor), finalJobs: 0)
        }
        Self.release(uv, wake, beforeWait, afterWait, noWait, pulse)
    }

    // MARK: - Scheduler

    public var now: Instant { LoopClock.monotonic() }
    /// CLOCK_BOOTTIME, which goes on while the machine sleeps. From any thread.
    public var boottime: Instant { LoopClock.boottime() }
    public var microsecondsSince1970: UInt64 { LoopClock.microsecondsSince1970() }

    public func execute(_ job: @escaping @Sendable () -> Void) { queue.enqueue(.action(job), owner: self) }

    /// Never early; late by at most a millisecond if the loop is free. Actions that are due in the same millisecond
    /// run in the order of the calls. With a delay of zero or less the action runs after the jobs that are there, so
    /// one that schedules itself again lets I/O through. During a shutdown the action never runs.
    public func schedule(after delay: Duration, _ action: @escaping @Sendable () -> Void) -> any ScheduledAction {
        assertCurrent()
        let timer = LoopTimer(action)
        guard !isClosing else {
            timer.cancel()
            return timer
        }
        if delay <= .zero {
            execute { timer.fire() }
        } else {
            timer.start(on: uv, due: now + delay)
        }
        return timer
    }

    // MARK: - For components and watchdogs

    /// Whether the caller runs on the loop.
    public var isCurrent: Bool { queue.isCurrent }

    /// When the loop last turned. From any thread.
    public var lastTurn: LoopTurn { clock.lastTurn }

    /// `report` is told of every gap of CLOCK_BOOTTIME between two signs of life that exceeds `threshold`, before the next
    /// callback or job runs, whichever it is. A sign of life is the beginning of a job or a callback, or of a wait. (So one
    /// that takes longer than `threshold` is a pause like any other.) `threshold` has to exceed `heartbeat`. Only on the
    /// loop.
    public func observePauses(longerThan threshold: Duration, _ report: @escaping @Sendable (Duration) -> Void) {
        assertCurrent()
        precondition(threshold > Self.heartbeat, "A wait of a heartbeat's length is no pause.")
        pauseObserver = (threshold, report)
        lastSign = LoopClock.boottime()
    }

    /// `hook` runs on the loop when it begins to shut down. Only on the loop, and not during a shutdown.
    @discardableResult
    public func addShutdownHook(_ hook: @escaping @Sendable () -> Void) -> Int {
        assertCurrent()
        precondition(!isClosing, "The loop is shutting down: check `isShuttingDown` first.")
        nextHook += 1
        hooks.append((nextHook, hook))
        return nextHook
    }

    public func removeShutdownHook(_ id: Int) {
        assertCurrent()
        hooks.removeAll { $0.id == id }
    }

    /// Whether the shutdown has begun, so that nothing new can be opened. Only on the loop.
    public var isShuttingDown: Bool { isClosing }

    func assertCurrent() { precondition(isCurrent, "Only on the loop: hand the call over with `execute`.") }

    /// Called first by every callback of libuv.
    func beginTurn() {
        guard !isNoted else { return watch() }
        isNoted = true
        note(isNewTurn: true)
    }

    private func note(isNewTurn: Bool) {
        watch(clock.note(isNewTurn: isNewTurn))
    }

    /// In the middle of a turn: the process may be stopped between two jobs of one batch.
    private func watch() {
        if pauseObserver != nil { watch(LoopClock.boottime()) }
    }

    private func watch(_ now: Instant) {
        let gap = now - lastSign
        lastSign = now
        if let pauseObserver, gap > pauseObserver.threshold { pauseObserver.report(gap) }
    }

    // MARK: - Life

    /// Starts the thread. Once.
    public func start() {
        lifecycle.withLock { state in
            guard case .idle(let waiters) = state else { preconditionFailure("A loop is started once.") }
            state = .running(waiters)
        }
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        var thread = pthread_t()
        let result = pthread_create(
            &thread, &attributes,
            { argument in
                if let argument { Unmanaged<EventLoop>.fromOpaque(argument).takeRetainedValue().runThread() }
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        pthread_attr_destroy(&attributes)
        precondition(result == 0, "The system refused a thread for the event loop: errno \(result).")
    }

    /// Shuts the loop down; returns when it is closed. From any thread but the loop's; repeated calls wait for the
    /// first.
    public func shutdown() async {
        await withCheckedContinuation { continuation in beginShutdown { continuation.resume() } }
    }

    /// `shutdown`, blocking.
    public func stop() {
        precondition(!isCurrent, "The loop cannot wait for its own end.")
        let semaphore = DispatchSemaphore(value: 0)
        beginShutdown { semaphore.signal() }
        semaphore.wait()
    }

    private func beginShutdown(_ done: @escaping @Sendable () -> Void) {
        enum Next { case begin, wait, done }
        let next: Next = lifecycle.withLock { state in
            switch state {
            case .idle: preconditionFailure("A loop is started before it is shut down.")
            case .running(let waiters):
                state = .closing(waiters + [done])
                return .begin
            case .closing(let waiters):
                state = .closing(waiters + [done])
                return .wait
            case .closed: return .done
            }
        }
        switch next {
        case .begin: execute { [self] in closeComponents() }
        case .wait: break
        case .done: done()
        }
    }

    private func runThread() {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        apus_name_thread(name)

        uv_prepare_start(beforeWait) { handle in EventLoop.of(handle).prepareToWait() }
        uv_check_start(afterWait) { handle in
            let loop = EventLoop.of(handle)
            loop.beginTurn()
            _ = loop.queue.drain(loop.watch)
        }
        let period = UInt64(Self.heartbeat.milliseconds)
        uv_timer_start(pulse, { handle in EventLoop.of(handle).beginTurn() }, period, period)
        queue.bindToCurrentThread(wake: JobQueue.WakeHandle(async: wake))
        uv_run(uv, UV_RUN_DEFAULT)

        // Nothing is open but the loop's own handles.
        queue.silence()
        closeHandles()
        queue.close(owner: Executors(actorExecutor, taskExecutor), finalJobs: JobQueue.finalJobs)
        let waiters: [@Sendable () -> Void] = lifecycle.withLock { state in
            guard case .closing(let waiters) = state else { return [] }
            state = .closed
            return waiters
        }
        for waiter in waiters { waiter() }
    }

    private func prepareToWait() {
        note(isNewTurn: false)
        if queue.drain(watch) {
            uv_idle_start(noWait) { _ in }
        } else {
            uv_idle_stop(noWait)
        }
        isNoted = false
    }

    /// Runs on the loop. When everything is closed that is closed here, `uv_run` returns.
    private func closeComponents() {
        isClosing = true
        let hooks = hooks
        self.hooks = []
        for hook in hooks { hook.run() }
        pauseObserver = nil
        for handle in ownHandles { uv_unref(handle) }
        uv_walk(
            uv,
            { handle, argument in
                guard let handle, uv_handle_get_type(handle) == UV_TIMER, handle.pointee.data != argument else {
                    return
                }
                LoopTimer.of(handle).cancel()
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    private var ownHandles: [UnsafeMutablePointer<uv_handle_t>] {
        [
            handle(wake), handle(beforeWait), handle(afterWait), handle(noWait), handle(pulse),
        ]
    }

    private func closeHandles() {
        for handle in ownHandles { uv_close(handle, nil) }
        uv_run(uv, UV_RUN_DEFAULT)
        let result = uv_loop_close(uv)
        precondition(result == 0, "A component left a handle open on the event loop \(name).")
    }

    /// The one to which a loop of libuv belongs.
    static func running(_ uv: UnsafeMutablePointer<uv_loop_t>) -> EventLoop {
        guard let data = uv.pointee.data else { preconditionFailure("a loop of libuv that is not ours") }
        return Unmanaged<EventLoop>.fromOpaque(data).takeUnretainedValue()
    }

    private static func of(_ pointer: UnsafeMutablePointer<some Any>?) -> EventLoop {
        guard let pointer, let data = uv_handle_get_data(handle(pointer)) else {
            preconditionFailure("libuv called back without its handle")
        }
        return Unmanaged<EventLoop>.fromOpaque(data).takeUnretainedValue()
    }

    private static func release(_ pointers: UnsafeMutableRawPointer...) {
        for pointer in pointers { pointer.deallocate() }
    }
}

/// Keeps executors alive for jobs that run after the loop is gone.
private final class Executors: Sendable {
    let actors: LoopSerialExecutor
    let tasks: any TaskExecutor

    init(_ actors: LoopSerialExecutor, _ tasks: any TaskExecutor) {
        self.actors = actors
        self.tasks = tasks
    }
}

/// Every handle of libuv begins with the fields of `uv_handle_t`.
func handle(_ pointer: UnsafeMutablePointer<some Any>) -> UnsafeMutablePointer<uv_handle_t> {
    UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: uv_handle_t.self)
}
