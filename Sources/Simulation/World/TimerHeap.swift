import EventLoop
import Primitives

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
        _ kind: Trace.Kind, _ process: VirtualProcess?, node: Int = -1, due: Instant, detail: UInt64,
        timeline: Timeline,
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

/// A binary heap of timers by time and order. Cancelled ones stay until they come up, or until they are the greater
/// part.
struct TimerHeap {
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
