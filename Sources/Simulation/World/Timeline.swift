import EventLoop
import Glibc
package import Primitives

/// The clock of a world, and everything that is to happen in it, by time. One thread; what is due at one instant
/// happens in the order in which it was scheduled.
///
/// An event belongs to a process, or to the world. Events of a paused process are parked until it goes on, those of a
/// dead one are dropped.
///
/// `@unchecked`: only touched by the thread that made it, which `assertThread` checks wherever a job comes in.
package final class Timeline: @unchecked Sendable {
    package private(set) var now = Instant.zero
    package var trace: Trace
    package private(set) var eventCount: UInt64 = 0
    package var afterEvent: (() -> Void)?

    /// Draws what processes do on their own: yields, slices.
    var random: SeededGenerator
    private let yieldThreshold: UInt64
    private let thread = pthread_self()
    private var heap = TimerHeap()
    private var isRunning = false
    /// Whose code runs now, and on which of its executors.
    private(set) var current: VirtualProcess?
    private(set) var isOnLoop = false
    /// Processes that ended: jobs may still refer to their executors. A few hundred bytes each.
    private var graveyard: [VirtualProcess] = []

    init(seed: UInt64, trace: TraceOutput, yieldChance: Double) {
        random = SeededGenerator(seed: seed)
        self.trace = Trace(trace)
        yieldThreshold = yieldChance >= 1 ? .max : UInt64(max(0, yieldChance) * 0x1p64)
        PoolGuard.install()
    }

    func assertThread() {
        precondition(
            pthread_equal(pthread_self(), thread) != 0,
            "A job of a simulated node came from another thread: some task has escaped to the global pool.")
    }

    // MARK: Scheduling

    /// For the world: clients, faults, the network.
    @discardableResult
    package func schedule(after delay: Duration, _ action: @escaping () -> Void) -> VirtualTimer {
        schedule(.world, for: nil, at: now + max(delay, .zero), action)
    }

    @discardableResult
    func schedule(
        _ kind: Trace.Kind, for process: VirtualProcess?, node: Int = -1, at due: Instant, detail: UInt64 = 0,
        _ action: @escaping () -> Void
    ) -> VirtualTimer {
        let timer = VirtualTimer(kind, process, node: node, due: max(due, now), detail: detail, timeline: self, action)
        heap.push(timer, due: timer.due)
        return timer
    }

    /// Again, at its changed `due`.
    func reschedule(_ timer: VirtualTimer) { heap.push(timer, due: timer.due) }

    func cancelled() { heap.cancelled() }

    // MARK: Running

    /// - Returns: whether `condition` came to hold. If it did not, the clock shows `limit` afterwards.
    @discardableResult
    func run(until limit: Instant, _ condition: () -> Bool) -> Bool {
        assertThread()
        precondition(!isRunning, "A world is not run from within an event.")
        isRunning = true
        PoolGuard.enter()
        defer {
            isRunning = false
            PoolGuard.leave()
        }
        if condition() { return true }
        while let timer = heap.pop(dueBy: limit) {
            now = timer.due
            dispatch(timer)
            if condition() { return true }
        }
        now = max(now, limit)
        return false
    }

    private func dispatch(_ timer: VirtualTimer) {
        guard let process = timer.process else {
            guard let action = timer.take() else { return }
            note(timer, node: timer.node)
            action()
            afterEvent?()
            return
        }
        guard process.admits(timer), let action = timer.take() else { return }
        note(timer, node: process.index)
        process.handle(timer.kind, action)
        afterEvent?()
    }

    private func note(_ timer: VirtualTimer, node: Int) {
        eventCount += 1
        trace.fold(timer.kind, node: node, at: now, timer.detail)
    }

    /// Runs code of a process, in place.
    func enter<Value>(_ process: VirtualProcess?, isOnLoop: Bool, _ body: () throws -> Value) rethrows -> Value {
        let outer = (current, self.isOnLoop)
        current = process
        self.isOnLoop = isOnLoop
        defer { (current, self.isOnLoop) = outer }
        return try body()
    }

    func drawsYield() -> Bool { random.next() < yieldThreshold }

    /// Takes back what a process has been waiting for.
    func removeEvents(of process: VirtualProcess) -> [VirtualTimer] {
        heap.removeAll { $0.process === process }.sorted { $0.due < $1.due }
    }

    /// Nothing of this process happens any more.
    func bury(_ process: VirtualProcess) {
        withExtendedLifetime(removeEvents(of: process)) {}
        graveyard.append(process)
    }

    /// Nothing happens any more at all.
    func end() {
        let dropped = heap.removeAll { _ in true }
        withExtendedLifetime(dropped) {}
        afterEvent = nil
    }
}
