public import Primitives
public import TaskLedger

/// What came of a wish.
public enum WishOutcome: Sendable, Hashable {
    /// The task afterwards; nil: it was purged.
    case done(TaskSnapshot?)
    /// Nothing was done, since the task is not in a state for it: 409.
    case refused(WishDecision, TaskSnapshot?)
    /// It ended long before, and is only in the registry: 409.
    case archived
    case unknown
    /// 503.
    case unavailable(String)
    /// The owner did not answer in time: it may have been done. 504.
    case unconfirmed(String)
}

/// Which dead letters to run again, or to forget.
public struct LetterSweep: Sendable, Hashable {
    public var isPurge: Bool
    public var queue: String?
    public var taskType: String?
    /// Failed at least so long ago.
    public var age: Duration?
    /// The type of the last failure, or a part of its message.
    public var error: String?

    public init(
        isPurge: Bool, queue: String? = nil, taskType: String? = nil, age: Duration? = nil, error: String? = nil
    ) {
        self.isPurge = isPurge
        self.queue = queue
        self.taskType = taskType
        self.age = age
        self.error = error
    }
}

public struct SweepOutcome: Sendable, Hashable {
    public var done: Int
    /// Others that fit, for which there is no room now.
    public var left: Int
    /// Nodes that did not answer: of their dead letters some may have been dealt with.
    public var missing: [NodeName]

    public init(done: Int, left: Int, missing: [NodeName]) {
        self.done = done
        self.left = left
        self.missing = missing
    }
}

/// What has happened to a task, and why it does not run.
public struct TaskStory: Sendable, Hashable {
    public var task: TaskSnapshot
    /// In the order in which they happened.
    public var transitions: [TaskTransition]
    /// Earlier ones that the ledger does not keep: attempts, changes and runs.
    public var cut: Int
    public var explanation: Explanation

    public init(task: TaskSnapshot, transitions: [TaskTransition], cut: Int, explanation: Explanation) {
        self.task = task
        self.transitions = transitions
        self.cut = cut
        self.explanation = explanation
    }
}

public enum StoryLookup: Sendable, Hashable {
    case found(TaskStory)
    /// Only the registry has it: the task's JSON document.
    case archived([UInt8])
    case unknown
    /// It ended, and its result's time is up: 410.
    case expired
    /// Nobody who may own it can be asked now, and why.
    case unavailable(String)
}

/// What a task was like at an earlier time.
public enum EarlierLookup: Sendable, Hashable {
    /// Without an owner, since nobody knows any more who that was.
    case found(TaskSnapshot)
    /// It was accepted later.
    case notAccepted(at: Timestamp)
    /// What happened to it then is not kept any more; its history begins at this time.
    case notKept(since: Timestamp)
    /// Only the registry has it, which knows how it ended, and nothing before.
    case archived
    case unknown
    /// It ended, and its result's time is up: 410.
    case expired
    /// Nobody who may own it can be asked now, and why.
    case unavailable(String)
}

/// Why a task does not run, for programs and for people.
public struct Explanation: Sendable, Hashable {
    public enum Reason: String, Sendable, CaseIterable {
        /// It has its outcome.
        case ended
        /// It runs.
        case running
        /// A node was given it, and has not begun.
        case granted
        /// A client wants it to start later.
        case notDue = "not_due"
        /// It rests before its next attempt.
        case retryRest = "retry_rest"
        /// It waits for other tasks.
        case dependencies
        /// Tasks with the same ordering key come before it.
        case order
        /// Its ledger has just changed owners: until the earlier one cannot start it any more.
        case fenced
        /// Its queue is paused.
        case queuePaused = "queue_paused"
        /// As many of its queue have started as may in this time, in the whole cluster.
        case rateLimit = "rate_limit"
        /// As many of its queue run as may, in the whole cluster.
        case concurrency
        /// The node that counts what its queue starts cannot be asked, or does not know enough yet.
        case homeUnreachable = "home_unreachable"
        /// Its owner drains, or may not start tasks.
        case ownerPaused = "owner_paused"
        /// It was interrupted so often that it has to run alone on a node.
        case solitude
        /// Other ready tasks come first.
        case behind
        /// It is the next one.
        case next
        /// No node that answers has a handler for its type.
        case noHandler = "no_handler"
        /// Whoever owns it cannot be asked.
        case ownerUnreachable = "owner_unreachable"
    }

    public var reason: Reason
    /// A sentence.
    public var detail: String
    /// Tasks that come before it.
    public var ahead: Int?
    /// When that is over, if that is known.
    public var until: Timestamp?
    /// The tasks that it waits for.
    public var waitsFor: [TaskID]

    public init(
        reason: Reason, detail: String, ahead: Int? = nil, until: Timestamp? = nil, waitsFor: [TaskID] = []
    ) {
        self.reason = reason
        self.detail = detail
        self.ahead = ahead
        self.until = until
        self.waitsFor = waitsFor
    }
}
