public import Primitives

/// What has happened to a queue's tasks in the last minute, at their owner: measured in `parts` parts, the oldest of which goes
/// as a new one begins.
public struct QueueStatistics: Hashable, Sendable {
    /// Accepted.
    public var arrivals: UInt64 = 0
    /// That have got their outcome by an attempt.
    public var completions: UInt64 = 0
    /// From when a task was due to when its first attempt was granted or started; not of tasks that waited for others.
    public var waits = DurationSketch()
    /// From the beginning of an attempt to its outcome.
    public var runs = DurationSketch()
    /// How long was measured.
    public var span = Duration.zero

    public init() {}

    /// Together with those of another node.
    public mutating func add(_ other: QueueStatistics) {
        arrivals += other.arrivals
        completions += other.completions
        waits.add(other.waits)
        runs.add(other.runs)
        span = max(span, other.span)
    }
}

struct QueueMeter: Sendable {
    private static let parts = 6
    private static let part = Limits.meterWindow / parts

    private let begin: Instant
    private var recent: [QueueStatistics] = []
    /// The number of the last one.
    private var last: Int64 = 0

    /// - Parameter begin: when the process began to measure.
    init(begin: Instant) { self.begin = begin }

    /// The part that `now` is in.
    mutating func note(at now: Instant, _ change: (inout QueueStatistics) -> Void) {
        advance(to: now)
        change(&recent[recent.count - 1])
    }

    private mutating func advance(to now: Instant) {
        let number = max(last, (now - begin).nanoseconds / Self.part.nanoseconds)
        if recent.isEmpty || number - last >= Int64(Self.parts) {
            recent = [QueueStatistics()]
        } else {
            for _ in last..<number { recent.append(QueueStatistics()) }
            recent.removeFirst(max(0, recent.count - Self.parts))
        }
        last = number
    }

    func isIdle(at now: Instant) -> Bool {
        (now - begin).nanoseconds / Self.part.nanoseconds - last >= Int64(Self.parts)
    }

    func statistics(at now: Instant) -> QueueStatistics {
        var meter = self
        meter.advance(to: now)
        var sum = meter.recent.reduce(into: QueueStatistics()) { $0.add($1) }
        let inPart = Duration.nanoseconds((now - begin).nanoseconds % Self.part.nanoseconds)
        sum.span = min(now - begin, Self.part * (Self.parts - 1) + inPart)
        return sum
    }
}

/// Measuring queues.
extension TaskOwner {
    /// Queues that were not used for a while make room for others; beyond the limit nothing is measured.
    mutating func meter(_ queue: String, at now: Instant, _ change: (inout QueueStatistics) -> Void) {
        if meters[queue] == nil, meters.count >= Limits.meteredQueues {
            guard now - lastMeterSweep > Limits.meterWindow else { return }
            lastMeterSweep = now
            meters = meters.filter { !$0.value.isIdle(at: now) }
            guard meters.count < Limits.meteredQueues else { return }
        }
        meters[queue, default: QueueMeter(begin: began ?? now)].note(at: now, change)
        if began == nil { began = now }
    }

    /// Of a workflow's tasks; it is none itself.
    mutating func meterArrivals(_ specs: [TaskSpec], at now: Instant) {
        for spec in specs where !spec.isWorkflow { meter(spec.queue, at: now) { $0.arrivals += 1 } }
    }

    /// - Parameter attempt: the number of the lease whose attempt begins.
    mutating func meterStart(_ record: TaskRecord, attempt: UInt32, at now: Instant) {
        // Of what waited for other tasks nobody knows how long it has been ready.
        let isFirst =
            record.run == 1 && attempt == record.idleLeases + 1 && record.changes == 0
            && record.spec.dependencies.parents.isEmpty
        meter(record.spec.queue, at: now) { statistics in
            guard isFirst else { return }
            statistics.waits.add(max(.zero, now - record.enqueuedAt - .milliseconds(Int64(record.spec.delay))))
        }
    }

    /// An attempt has completed or failed.
    mutating func meterRun(_ record: TaskRecord, from start: Timestamp, at now: Instant, _ timestamp: Timestamp) {
        meter(record.spec.queue, at: now) { statistics in
            statistics.runs.add(.milliseconds(max(0, timestamp.milliseconds - start.milliseconds)))
        }
    }

    /// Nil: nothing was measured.
    public func statistics(of queue: String, at now: Instant) -> QueueStatistics? {
        meters[queue].map { $0.statistics(at: now) }
    }

    /// How long the oldest ready task of a queue has been waiting.
    public func oldestAge(of queue: String, at now: Instant) -> Duration? {
        readyOf[queue] == nil ? nil : ready.oldest(of: queue).map { max(.zero, now - $0) }
    }
}

extension Limits {
    /// What is told of a queue is about this time.
    public static let meterWindow = Duration.seconds(60)
    /// Queues that are measured, at most 5 KiB each.
    public static let meteredQueues = 1000
}
