import EventLoop
import Primitives

package enum PauseKind: Equatable, Sendable {
    /// SIGSTOP: the clocks go on.
    case stopped
    /// The machine sleeps: CLOCK_MONOTONIC stands still, CLOCK_BOOTTIME goes on.
    case asleep
}

/// One process: the loop that its actors run on, and the pool for its handlers. The simulation's `Scheduler`.
///
/// Jobs of the loop run in the order in which they were handed over. Between two of them the loop may yield (the chance
/// is the world's): it goes on some microseconds later, and what arrives in the meantime queues up behind, or, if it is
/// a timer, comes first, as on the libuv loop.
///
/// Tasks: one that begins or is resumed goes on in the order of the jobs, or, drawn, up to 21 us later, as one that
/// comes back from the pool does. Between its actors and the pool a task hops at once, without a turn of the queue.
/// That is no refinement: the optimiser removes hops to an executor on which nothing happens, so a hop that took its
/// turn would make a release build another world than a debug build.
///
/// - alive -> paused -> alive: its events are parked; when it goes on the pause observer is told first.
/// - alive, paused -> dying: nothing that it does reaches anybody any more. Its jobs still run, at once and unseen, so
///   that its tasks come to an end and their memory is freed. -> dead: what still arrives is dropped.
///
/// `@unchecked`: only touched by the world's thread.
final class VirtualProcess: Scheduler, @unchecked Sendable {
    enum Life { case alive, paused, dying, dead }

    enum Place { case actor, loopTask, pool }

    private enum Job {
        case task(UnownedJob, Place)
        case action(() -> Void)
    }

    /// Jobs of one instant; more, and something spins.
    static let spinLimit = 5_000_000
    /// Jobs and timers that a dying process may still run.
    static let dyingJobs = 1_000_000
    static let dyingTimers = 10_000
    /// How far a dying process's clock jumps: whatever waits for a deadline has met it.
    private static let afterlife = Duration.seconds(1_000_000)

    let timeline: Timeline
    let clock: VirtualClock
    /// Of its node; for the trace.
    let index: Int
    private(set) var life = Life.alive
    private var jobs: [Job] = []
    private var head = 0
    /// The task that runs, and where it wants to go on.
    private var running: UInt = 0
    private var hop: (job: UnownedJob, place: Place)?
    /// The loop has yielded, and goes on later.
    private var isYielding = false
    private var parked: [VirtualTimer] = []
    private var pausedAt: (true: Instant, kind: PauseKind)?
    /// How long the machine has slept since the process began.
    private(set) var suspendedFor = Duration.zero
    private var pauseObserver: (threshold: Duration, report: @Sendable (Duration) -> Void)?
    private(set) var lastTurn: Instant
    private let jitterSeed: UInt64
    var random: SeededGenerator
    /// What a dying process wanted to do later.
    private var lastTimers: [VirtualTimer] = []
    /// By number; never iterated without sorting.
    var sleepers: [UInt64: Sleeper] = [:]
    var lastSleeper: UInt64 = 0
    /// Jobs that came when it was dead: their tasks will never end.
    private(set) var lostJobs = 0

    private let actorExecutor = VirtualSerialExecutor()
    private let loopTaskExecutor = VirtualLoopTaskExecutor()
    private let pool = VirtualPoolExecutor()
    let serialExecutor: UnownedSerialExecutor

    init(timeline: Timeline, clock: VirtualClock, index: Int, seed: UInt64) {
        self.timeline = timeline
        self.clock = clock
        self.index = index
        random = SeededGenerator(seed: seed)
        jitterSeed = random.next()
        lastTurn = clock.now
        serialExecutor = actorExecutor.asUnownedSerialExecutor()
        actorExecutor.process = self
        loopTaskExecutor.process = self
        pool.process = self
    }

    // MARK: Scheduler

    var taskExecutor: any TaskExecutor { loopTaskExecutor }
    /// For handlers, and for calls of clients.
    var poolExecutor: any TaskExecutor { pool }
    var now: Instant { life == .dying ? clock.now + Self.afterlife : clock.now }
    var boottime: Instant { life == .dying ? clock.boottime + Self.afterlife : clock.boottime }
    var microsecondsSince1970: UInt64 { clock.microsecondsSince1970 }

    func execute(_ job: @escaping @Sendable () -> Void) { enqueue(.action(job)) }

    /// As `execute`, for what stays on the world's thread.
    func perform(_ job: @escaping () -> Void) { enqueue(.action(job)) }

    /// At a whole millisecond of the process's clock, not before the delay has passed, and up to 0.6 ms late: the same
    /// for all that is due in that millisecond, so that they keep their order.
    func schedule(after delay: Duration, _ action: @escaping @Sendable () -> Void) -> any ScheduledAction {
        precondition(isCurrent, "Only on the loop: hand the call over with `execute`.")
        return schedule(.timer, after: delay, action)
    }

    /// As `schedule`, for what stands for other threads of the process.
    func schedule(
        _ kind: Trace.Kind, after delay: Duration, _ action: @escaping () -> Void
    ) -> VirtualTimer {
        guard delay > .zero, life == .alive || life == .paused else {
            let timer = VirtualTimer(kind, self, due: timeline.now, detail: 0, timeline: timeline, action)
            switch life {
            case .alive, .paused: execute { timer.take()?() }
            case .dying: lastTimers.append(timer)
            case .dead: _ = timer.take()
            }
            return timer
        }
        let now = clock.now
        let due = (now + min(delay, .seconds(1_000_000_000))).nanoseconds
        let tick = due / 1_000_000 + (due % 1_000_000 == 0 ? 0 : 1)
        var mixed = (UInt64(bitPattern: tick) ^ jitterSeed) &* 0x9E37_79B9_7F4A_7C15
        mixed ^= mixed >> 32
        let jitter = Int64(mixed % 600_000)
        let wait = clock.trueDuration(.nanoseconds(tick * 1_000_000 + jitter - now.nanoseconds))
        let timer = timeline.schedule(kind, for: self, at: timeline.now + wait, action)
        timer.suspendedFor = suspendedFor
        return timer
    }

    func observePauses(longerThan threshold: Duration, _ report: @escaping @Sendable (Duration) -> Void) {
        pauseObserver = (threshold, report)
    }

    /// Whether what it does has any effect.
    var isAlive: Bool { life == .alive || life == .paused }

    var isCurrent: Bool { timeline.isOnLoop && timeline.current === self }

    // MARK: Jobs

    func enqueue(_ job: UnownedJob, on place: Place) {
        timeline.assertThread()
        if running != 0, Self.identity(of: job) == running {
            hop = (job, place)
        } else if isAlive, timeline.random.next() & 1 == 0 {
            let delay = Duration.nanoseconds(Int64(1000 + timeline.random.next() % 20_000))
            timeline.schedule(.pool, for: self, at: timeline.now + delay) { [self] in run(job, on: place) }
        } else {
            enqueue(.task(job, place))
        }
    }

    /// The runtime hands over the same job for a task again and again: its address.
    private static func identity(of job: UnownedJob) -> UInt { unsafeBitCast(job, to: UInt.self) }

    private func enqueue(_ job: Job) {
        timeline.assertThread()
        guard life != .dead else {
            lostJobs += 1
            return
        }
        jobs.append(job)
        // Handed over by nobody of this process (a client, the composition of the node): it needs a turn of its own.
        if timeline.current !== self { yield(for: 1000) }
    }

    private func run(_ job: Job) {
        switch job {
        case .task(let job, let place): run(job, on: place)
        case .action(let action): action()
        }
    }

    /// Until the task ends or waits.
    private func run(_ job: UnownedJob, on place: Place) {
        var next: (job: UnownedJob, place: Place)? = (job, place)
        running = Self.identity(of: job)
        while let (job, place) = next {
            timeline.enter(self, isOnLoop: place != .pool) {
                switch place {
                case .actor: job.runSynchronously(on: serialExecutor)
                case .loopTask: job.runSynchronously(on: loopTaskExecutor.asUnownedTaskExecutor())
                case .pool: job.runSynchronously(on: pool.asUnownedTaskExecutor())
                }
            }
            next = hop
            hop = nil
        }
        running = 0
    }

    // MARK: Events

    /// Datagrams that wait for a paused process.
    private(set) var parkedDatagrams = 0

    /// Something from outside arrives now, in an event that is not the process's own.
    func deliver(_ kind: Trace.Kind, _ action: @escaping () -> Void) {
        switch life {
        case .alive: handle(kind, action)
        case .paused:
            parked.append(VirtualTimer(kind, self, due: timeline.now, detail: 0, timeline: timeline, action))
            if kind == .datagram { parkedDatagrams += 1 }
        case .dying, .dead: break
        }
    }

    /// Whether an event may happen now. If not it was parked or dropped.
    func admits(_ timer: VirtualTimer) -> Bool {
        switch life {
        case .dead, .dying: return false
        case .paused:
            parked.append(timer)
            return false
        case .alive: break
        }
        if timer.kind == .timer, timer.suspendedFor < suspendedFor {
            timer.due = timeline.now + (suspendedFor - timer.suspendedFor)
            timer.suspendedFor = suspendedFor
            timeline.reschedule(timer)
            return false
        }
        return true
    }

    /// What has happened to the process, on the loop or, for what its other threads do, beside it.
    func handle(_ kind: Trace.Kind, _ action: @escaping () -> Void) {
        switch kind {
        case .slice:
            isYielding = false
        case .timer:
            timeline.enter(self, isOnLoop: true, action)
        case .connect, .segment:
            timeline.enter(self, isOnLoop: false, action)
        default:
            if isYielding {
                jobs.append(.action(action))
            } else {
                timeline.enter(self, isOnLoop: true, action)
            }
        }
        if !isYielding { turn() }
    }

    private func turn() {
        lastTurn = clock.now
        guard head < jobs.count else { return }
        let first = head
        timeline.enter(self, isOnLoop: true) {
            while head < jobs.count {
                let job = jobs[head]
                head += 1
                run(job)
                precondition(head - first < Self.spinLimit, "Node \(index) spins: its jobs beget jobs without end.")
                if head < jobs.count, timeline.drawsYield() {
                    yield(for: Int64(1000 + timeline.random.next() % 30_000))
                    break
                }
            }
        }
        timeline.trace.fold(UInt64(head - first))
        if head == jobs.count {
            jobs.removeAll(keepingCapacity: jobs.count <= 1024)
            head = 0
        } else if head > 1024 {
            jobs.removeSubrange(..<head)
            head = 0
        }
    }

    private func yield(for nanoseconds: Int64) {
        guard !isYielding, life == .alive || life == .paused else { return }
        isYielding = true
        timeline.schedule(.slice, for: self, at: timeline.now + .nanoseconds(nanoseconds)) {}
    }

    // MARK: Pauses

    func pause(_ kind: PauseKind) {
        guard life == .alive else { return }
        life = .paused
        pausedAt = (timeline.now, kind)
        if kind == .asleep { clock.fallAsleep() }
        timeline.trace.fold(.pause, node: index, at: timeline.now)
    }

    func resume() {
        guard life == .paused, let (since, kind) = pausedAt else { return }
        life = .alive
        pausedAt = nil
        timeline.trace.fold(.resume, node: index, at: timeline.now)
        let length = timeline.now - since
        if kind == .asleep { suspendedFor += clock.wakeUp() }
        // The last sign of life was up to a heartbeat before the pause.
        let gap = length + .nanoseconds(Int64(timeline.random.next() % 100_000_000))
        if let pauseObserver, gap > pauseObserver.threshold {
            timeline.enter(self, isOnLoop: true) { pauseObserver.report(gap) }
        }
        let waiting = parked
        parked = []
        parkedDatagrams = 0
        // Timers come before what has arrived, or everything comes as it would have: both happen.
        let timersFirst = timeline.random.next() & 1 == 0
        if timersFirst {
            for timer in waiting where timer.kind == .timer { retake(timer, kind, since) }
            for timer in waiting where timer.kind != .timer { retake(timer, kind, since) }
        } else {
            for timer in waiting { retake(timer, kind, since) }
        }
        yield(for: 1000)
    }

    private func retake(_ timer: VirtualTimer, _ kind: PauseKind, _ since: Instant) {
        guard timer.isWaiting else { return }
        if timer.kind == .timer, kind == .asleep {
            // It had so long to go when the machine fell asleep.
            timer.due = timeline.now + max(timer.due - since, .zero)
            timer.suspendedFor = suspendedFor
        } else {
            timer.due = timeline.now
        }
        timeline.reschedule(timer)
    }

    // MARK: Death

    /// From now on nothing that it does reaches anybody. Those who serve the process have been told, and fail what it
    /// has asked of them.
    func die() {
        guard life == .alive || life == .paused else { return }
        if case (_, .asleep)? = pausedAt { _ = clock.wakeUp() }
        pausedAt = nil
        life = .dying
        pauseObserver = nil
        let waiting = timeline.removeEvents(of: self) + parked
        parked = []
        for timer in waiting {
            switch timer.kind {
            case .timer: lastTimers.append(timer)
            case .pool: if let action = timer.take() { jobs.append(.action(action)) }
            default: break
            }
        }
        for key in sleepers.keys.sorted() { sleepers[key]?.wake(false) }
    }

    /// Runs what a dying process still has to run, timers as well, until nothing is left: every task that waits for
    /// something comes to an end.
    func runOut() {
        precondition(life == .dying, "Only the dying run out.")
        PoolGuard.enter()
        defer { PoolGuard.leave() }
        var budget = Self.dyingJobs
        var timers = 0
        timeline.enter(self, isOnLoop: true) {
            while budget > 0 {
                budget -= 1
                if head < jobs.count {
                    head += 1
                    run(jobs[head - 1])
                } else if timers < lastTimers.count, timers < Self.dyingTimers {
                    timers += 1
                    lastTimers[timers - 1].take()?()
                } else {
                    break
                }
            }
        }
        lastTimers = []
        jobs.removeSubrange(..<head)
        head = 0
    }

    /// Nothing of it runs any more.
    func bury() {
        life = .dead
        lostJobs += jobs.count
        jobs = []
        sleepers = [:]
        timeline.bury(self)
    }
}
