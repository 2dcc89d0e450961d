public import Primitives

/// Settings that hold for the whole cluster. They change only by a view: see `SettingsChange`.
public struct ClusterSettings: Hashable, Sendable {
    /// How many nodes hold each task, the primary included: 1...5.
    public var copies: UInt8
    /// Of queues that have any, ascending by name: at most `Limits.configuredQueues`.
    public var queues: [QueueSettings]
    /// Ascending by name: at most `Limits.subscriptions`.
    public var subscriptions: [Subscription]
    /// Ascending by name: at most `Limits.schedules`, and `Limits.schedulesBytes` in all.
    public var schedules: [ScheduleSettings]
    /// The changes that led here, the newest last: at most `Limits.appliedChanges`. Whoever asked for one sees by it what
    /// became of it.
    public var applied: [AppliedChange]

    public init(
        copies: UInt8 = 2, queues: [QueueSettings] = [], subscriptions: [Subscription] = [],
        schedules: [ScheduleSettings] = [],
        applied: [AppliedChange] = []
    ) {
        self.copies = copies
        self.queues = queues
        self.subscriptions = subscriptions
        self.schedules = schedules
        self.applied = applied
    }

    /// Of a queue, whether or not anything is set for it.
    public func queue(_ name: String) -> QueueSettings {
        let place = place(of: name)
        return place < queues.count && queues[place].name == name ? queues[place] : QueueSettings(name: name)
    }

    /// Where the queue stands, or would.
    private func place(of name: String) -> Int {
        var (low, high) = (0, queues.count)
        while low < high {
            let middle = (low + high) / 2
            if queues[middle].name < name { low = middle + 1 } else { high = middle }
        }
        return low
    }

    mutating func set(_ queue: QueueSettings) throws(SettingsRefusal) {
        let place = place(of: queue.name)
        let isKnown = place < queues.count && queues[place].name == queue.name
        if queue == QueueSettings(name: queue.name) {
            if isKnown { queues.remove(at: place) }
        } else if isKnown {
            queues[place] = queue
        } else {
            guard queues.count < Limits.configuredQueues else { throw .tooManyQueues }
            queues.insert(queue, at: place)
        }
    }
}

/// What is set for the tasks of one queue.
public struct QueueSettings: Hashable, Sendable {
    public let name: String
    /// Nothing of it starts; what runs goes on.
    public var isPaused = false
    /// Open tasks in the whole cluster beyond which submissions are refused; nil: only the nodes' own bounds hold.
    public var maxLength: UInt32?
    /// About how many bytes those may take, likewise.
    public var maxBytes: UInt64?
    /// For tasks that do not name their own; nil: as everywhere.
    public var maxRetries: UInt16?
    /// Likewise. Its `maxRetries` is 0 and means nothing.
    public var retry: RetryPolicy?
    /// Milliseconds; likewise.
    public var timeout: UInt32?
    /// Its share of the starts, as long as several queues have ready tasks of the same priority: 1...`Limits.queueWeight`.
    public var weight: UInt16 = 1
    /// Starts in the whole cluster, in thousandths of one a second: 1...`Limits.queueRate`.
    public var rate: UInt32?
    /// Tasks that run at the same time in the whole cluster: from 1 on.
    public var concurrency: UInt32?

    public init(name: String) { self.name = name }

    func validate() throws(ViewError) {
        func require(_ holds: Bool, _ what: String) throws(ViewError) {
            guard holds else { throw .malformed("\(what) of the queue \(name)") }
        }
        guard NodeName.isValid(name) else { throw .malformed("the name of a queue") }
        try require(self != QueueSettings(name: name), "empty settings")
        try require(maxRetries.map { $0 <= Limits.retries } ?? true, "retries")
        try require(retry.map { $0.maxRetries == 0 && $0.jitter <= 1000 } ?? true, "retry")
        try require(timeout.map { $0 <= Limits.timeoutSeconds * 1000 } ?? true, "timeout")
        try require((1...Limits.queueWeight).contains(weight), "weight")
        try require(maxBytes.map { $0 <= Limits.queueBytes } ?? true, "bytes")
        try require(rate.map { (1...Limits.queueRate).contains($0) } ?? true, "rate")
        try require(concurrency != 0, "concurrency")
    }
}

extension Limits {
    /// Queues that have settings of their own.
    public static let configuredQueues = 1000
    public static let queueWeight: UInt16 = 1000
    /// A million starts a second.
    public static let queueRate: UInt32 = 1_000_000_000
    /// Bytes that the open tasks of a queue may be limited to.
    public static let queueBytes: UInt64 = 1 << 50
    /// Changes of settings that a view tells of.
    public static let appliedChanges = 256
    /// Changes of settings that one view makes; others wait for the next.
    public static let changesPerView = 64
}
