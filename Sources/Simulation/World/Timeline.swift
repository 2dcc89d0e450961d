import EventLoop
import Glibc
package import Primitives

/// The clock of a world, and everything that is to happen in it, by time. One thread; what is due at one instant happens in
/// the order in which it was scheduled.
///
/// An event belongs to a process, or to the world. Events of a paused process are parked until it goes on, those of a dead
/// one are dropped.
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

    fileprivate func cancelled() { heap.cancelled() }

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

/// Something that is to happen, once. Waiting -> taken or cancelled.
///
/// `@unchecked`: only touched by the world's thread.
package final class VirtualTimer: ScheduledAction, @unchecked Sendable {
    let kind: Trace.Kind
    let process: VirtualProcess?
    /// Of an event that is not a process's: whom it concerns.
    let node: Int
    let detail: UInt64
    var due: Instant
    /// What the process's `suspendedFor` was when this was scheduled: a machine that slept has moved its timers.
    var suspendedFor = Duration.zero
    private var action: (() -> Void)?
    private unowned let timeline: Timeline

    init(
        _ kind: Trace.Kind, _ process: VirtualProcess?, node: Int = -1, due: Instant, detail: UInt64, timeline: Timeline,
        _ action: @escaping () -> Void
    ) {
        self.kind = kind
        self.process = process
        self.node = node
        self.due = due
        self.detail = detail
        self.action = action
        self.timeline = timeline
    }

    var isWaiting: Bool { action != nil }

    package func cancel() {
        guard action != nil else { return }
        action = nil
        timeline.cancelled()
    }

    func take() -> (() -> Void)? {
        defer { action = nil }
        return action
    }
}

/// A binary heap of timers by time and order. Cancelled ones stay until they come up, or until they are the greater part.
private struct TimerHeap {
    private struct Entry {
        var due: Int64
        var order: UInt64
        /// Retained.
        var timer: Unmanaged<VirtualTimer>

        static func < (a: Entry, b: Entry) -> Bool { a.due != b.due ? a.due < b.due : a.order < b.order }
    }

    private var entries: [Entry] = []
    private var order: UInt64 = 0
    private var cancelledCount = 0

    mutating func push(_ timer: VirtualTimer, due: Instant) {
        order += 1
        entries.append(Entry(due: due.nanoseconds, order: order, timer: .passRetained(timer)))
        siftUp(entries.count - 1)
    }

    mutating func cancelled() {
        cancelledCount += 1
        if cancelledCount > 256, cancelledCount > entries.count / 2 { _ = removeAll { _ in false } }
    }

    /// The next that is waiting, if it is due.
    mutating func pop(dueBy limit: Instant) -> VirtualTimer? {
        while let first = entries.first, first.due <= limit.nanoseconds {
            let last = entries.removeLast()
            if !entries.isEmpty {
                entries[0] = last
                siftDown(0)
            }
            let timer = first.timer.takeRetainedValue()
            if timer.isWaiting { return timer }
            cancelledCount -= 1
        }
        return nil
    }

    /// Removes those that `condition` names, and all that were cancelled.
    /// - Returns: those, so that what they hold is released when the heap is whole again.
    mutating func removeAll(_ condition: (VirtualTimer) -> Bool) -> [VirtualTimer] {
        var kept: [Entry] = []
        var dropped: [VirtualTimer] = []
        kept.reserveCapacity(entries.count)
        for entry in entries {
            let isKept = entry.timer._withUnsafeGuaranteedRef { $0.isWaiting && !condition($0) }
            if isKept { kept.append(entry) } else { dropped.append(entry.timer.takeRetainedValue()) }
        }
        entries = kept
        cancelledCount = 0
        for index in stride(from: entries.count / 2 - 1, through: 0, by: -1) { siftDown(index) }
        return dropped
    }

    private mutating func siftUp(_ start: Int) {
        entries.withUnsafeMutableBufferPointer { entries in
            let moving = entries[start]
            var hole = start
            while hole > 0 {
                let parent = (hole - 1) / 2
                guard moving < entries[parent] else { break }
                entries[hole] = entries[parent]
                hole = parent
            }
            entries[hole] = moving
        }
    }

    private mutating func siftDown(_ start: Int) {
        entries.withUnsafeMutableBufferPointer { entries in
            let moving = entries[start]
            var hole = start
            while true {
                var child = 2 * hole + 1
                guard child < entries.count else { break }
                if child + 1 < entries.count, entries[child + 1] < entries[child] { child += 1 }
                guard entries[child] < moving else { break }
                entries[hole] = entries[child]
                hole = child
            }
            entries[hole] = moving
        }
    }
}
