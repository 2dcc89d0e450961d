public import Primitives
public import TaskLedger
public import Views

/// A schedule as a client asks for it.
public struct ScheduleDraft: Hashable, Sendable {
    public var name: String
    public var timing: ScheduleSettings.Timing
    /// Milliseconds.
    public var jitter: UInt32
    public var overlap: OverlapPolicy
    public var catchUp: CatchUpPolicy
    public var isPaused: Bool
    /// What it submits: without keys, a time, or dependencies.
    public var task: TaskSpec
    /// What the queue says when it fires, since the task does not.
    public var inherited: ScheduleSettings.Inherited

    public init(
        name: String, timing: ScheduleSettings.Timing, jitter: UInt32 = 0, overlap: OverlapPolicy = .skip,
        catchUp: CatchUpPolicy = .none, isPaused: Bool = false, task: TaskSpec,
        inherited: ScheduleSettings.Inherited = []
    ) {
        self.name = name
        self.timing = timing
        self.jitter = jitter
        self.overlap = overlap
        self.catchUp = catchUp
        self.isPaused = isPaused
        self.task = task
        self.inherited = inherited
    }
}

/// What became of a change of a schedule.
public enum ScheduleOutcome: Hashable, Sendable {
    /// The schedule as it is now.
    case made(ScheduleReport)
    case changed(ScheduleReport)
    case deleted
    /// The node knows no such time zone, and why: 422.
    case unknownTimeZone(String)
    /// Its task has a callback, and this node has no secret to sign it with: 422.
    case callbackUnsigned
    /// No node has a handler for its task's type: 422.
    case unknownTaskType(nearest: String?)
    case refused(SettingsRefusal)
    /// Nothing was done, and why: 503.
    case unavailable(String)
    /// It was not done yet, and why: 503. It may still be.
    case unconfirmed(String)
}

/// Everything that is known about a schedule.
public struct ScheduleReport: Hashable, Sendable {
    public var draft: ScheduleDraft
    public var version: UInt64
    public var createdAt: Timestamp
    /// Since when it is as it is.
    public var changedAt: Timestamp
    /// When it fires next, ascending, without its jitter; none if it is paused.
    public var next: [Timestamp]
    /// The node that decides about its firings; nil: there is none at the moment.
    public var home: NodeName?
    /// The newest last, as far as its home knows: that begins anew with every home.
    public var recent: [PastFiring]
    /// Why its next firing is late, or there is none.
    public var problem: String?

    public init(
        draft: ScheduleDraft, version: UInt64, createdAt: Timestamp, changedAt: Timestamp, next: [Timestamp],
        home: NodeName?, recent: [PastFiring] = [], problem: String? = nil
    ) {
        self.draft = draft
        self.version = version
        self.createdAt = createdAt
        self.changedAt = changedAt
        self.next = next
        self.home = home
        self.recent = recent
        self.problem = problem
    }
}

extension QueueSettings {
    /// What a task gets from its queue, where it does not name its own.
    package func fill(_ inherited: ScheduleSettings.Inherited, of spec: inout TaskSpec) {
        if inherited.contains(.retry), let retry {
            let retries = spec.retry.maxRetries
            spec.retry = retry
            spec.retry.maxRetries = retries
        }
        if inherited.contains(.maxRetries), let maxRetries { spec.retry.maxRetries = maxRetries }
        if inherited.contains(.timeout), let timeout { spec.timeout = timeout }
    }
}
