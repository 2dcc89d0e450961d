public import Primitives
public import TaskLedger
public import Views

/// What a node does for its clients, whatever protocol they speak. `Node` implements it; `HTTPAPI` calls it.
///
/// Callable from any thread. No call waits longer than its own deadline: what the cluster cannot answer in time is an
/// error that says so.
public protocol ClusterService: Sendable {
    /// The name of the node that answers.
    var nodeName: NodeName { get }

    /// Accepts tasks, each on its own: the outcomes stand in the order of the specs. Returns when every task is durable at
    /// its owner and at every listed backup, or refused.
    func submit(_ specs: [TaskSpec]) async -> [SubmissionOutcome]

    /// Looks a task up in the whole cluster. With `wait`, returns as soon as it has an outcome, or after that time.
    func task(_ id: TaskID, wait: Duration?) async -> TaskLookup

    /// The state of a task at an earlier time.
    func task(_ id: TaskID, at time: Timestamp) async -> EarlierLookup

    /// Newest first, from the whole cluster.
    func tasks(_ query: TaskQuery) async -> TaskPage

    /// Cancels a task that waits; asks the executor to stop one that runs.
    func cancel(_ id: TaskID) async -> CancelOutcome

    /// Changes a task that waits, or runs one that has ended again, or forgets a dead letter.
    func carryOut(_ wish: TaskWish, for id: TaskID) async -> WishOutcome
    /// Runs dead letters of the whole cluster again, or forgets them.
    func sweepLetters(_ sweep: LetterSweep) async -> SweepOutcome
    /// What has happened to a task, and why it does not run.
    func story(of id: TaskID) async -> StoryLookup

    /// What clients can submit: the types that there are handlers for, ascending.
    var taskTypes: [String] { get }
    /// Whether tasks are taken whose ends are told to others (`callback_url`).
    var signsCallbacks: Bool { get }

    /// What holds for the whole cluster, as far as this node knows; nil: it is a member of none.
    var settings: ClusterSettings? { get }
    /// Those that hold now: with every change that any node has answered before. Nil: no majority of the voters has lately told
    /// this node that there are no others.
    func currentSettings() async -> ClusterSettings?
    /// Changes them for the whole cluster. Returns once every node goes by the new ones, or can start and accept nothing
    /// before it does.
    func change(_ operation: SettingsOperation) async -> SettingsOutcome

    /// Makes a schedule, or changes it.
    func setSchedule(_ draft: ScheduleDraft) async -> ScheduleOutcome
    func deleteSchedule(_ name: String) async -> ScheduleOutcome
    /// All of them, ascending by name, or the one of this name, with what their homes know.
    func schedules(_ name: String?) async -> [ScheduleReport]

    /// Accepts a workflow: all its tasks, or nothing.
    func submit(_ workflow: WorkflowDraft) async -> WorkflowSubmission
    /// Adds tasks to a workflow that is open: all of them, or none.
    func extend(_ id: TaskID, with more: WorkflowDraft) async -> WorkflowExtension
    /// A workflow with the state of all its tasks.
    func workflow(_ id: TaskID) async -> WorkflowLookup

    func workers() async -> [NodeWorkers]
    func queues() async -> [QueueSummary]
    func cluster() async -> ClusterReport
    func health() async -> NodeHealth

    /// Whether the node makes progress: its loop turned within the last second.
    func isLive() async -> Bool
    /// Nil if the node takes submissions, else why it does not.
    func unreadiness() async -> String?

    /// What is missing, and what it would cost to go on without it; nil: this node knows of no cluster yet.
    func recovery() async -> RecoveryReport?
    /// Goes on without the voters and the copies that are missing: an operator says that they will not come back.
    func recover() async -> RecoveryOutcome

    /// Takes no new work, finishes or hands over what it has. With `leave`, the process ends after that.
    func drain(leave: Bool) async
}

/// One accepted task, as the 202 tells it.
public struct AcceptedTask: Sendable, Hashable {
    public enum Durability: String, Sendable {
        /// At as many nodes as the cluster's setting asks for.
        case replicated
        /// At fewer, since there are not enough living nodes.
        case degraded
        /// At one node, as the setting says.
        case local
    }

    public var id: TaskID
    public var status: TaskStatus
    public var owner: NodeName
    public var durability: Durability
    /// Nodes that hold the task, the owner first.
    public var holders: [NodeName]
    public var createdAt: Timestamp
    /// It was accepted before, for the same request under the same idempotency key; `status` is that of then.
    public var isRepeated: Bool

    public init(
        id: TaskID, status: TaskStatus, owner: NodeName, durability: Durability, holders: [NodeName],
        createdAt: Timestamp, isRepeated: Bool = false
    ) {
        self.id = id
        self.status = status
        self.owner = owner
        self.durability = durability
        self.holders = holders
        self.createdAt = createdAt
        self.isRepeated = isRepeated
    }
}

public enum SubmissionOutcome: Sendable, Hashable {
    case accepted(AcceptedTask)
    /// Nothing was accepted.
    case refused(SubmissionRefusal)
}

/// What a queue may hold in the whole cluster; nil: it has no such bound.
public struct QueueBounds: Sendable, Hashable {
    /// Open tasks.
    public var length: UInt32?
    public var bytes: UInt64?

    public init(length: UInt32? = nil, bytes: UInt64? = nil) {
        self.length = length
        self.bytes = bytes
    }
}

public enum SubmissionRefusal: Sendable, Hashable {
    /// The cluster holds as many tasks as it may: 503 with `Retry-After` in seconds.
    case full(retryAfter: Int)
    /// As many tasks of its queue, or bytes of them, are open as may be: 503 with `Retry-After` in seconds.
    case queueFull(String, limit: QueueBounds, retryAfter: Int)
    /// Every node that could take it has a full disk: 507. Ascending by name.
    case diskFull([FullDisk])
    /// No node can take work now, and why: 503.
    case unavailable(String)
    /// No node of the cluster has a handler for this type; the nearest known name if there is one: 422.
    case unknownTaskType(nearest: String?)
    /// Tasks that it is to wait for are not there, or their results' time is up: their positions. 422.
    case unknownParents([Int])
    /// Sent to the node that has to decide, which did not answer in time. It may have been accepted: ask for the id. 504.
    case unconfirmed(TaskID)
    /// Its idempotency key stands for this task, which was accepted for another request: 422.
    case keyConflict(TaskID)
    /// It has a callback, and this node has no secret to sign it with: 422.
    case callbackUnsigned
    /// Whether a request with its idempotency key was accepted cannot be told yet: 409, and the same may be sent again.
    case keyPending
}

extension SubmissionRefusal {
    /// What is told when two nodes refuse: that which is over first. A full queue empties by itself; a full disk needs
    /// somebody, so all of them are named; what keeps one node from taking tasks says nothing of the others.
    package func weighed(against other: SubmissionRefusal) -> SubmissionRefusal {
        switch (self, other) {
        case (.diskFull(let disks), .diskFull(let more)):
            .diskFull((disks + more).sorted { $0.node < $1.node })
        // As soon as any of them has room.
        case (.full(let mine), .full(let other)): .full(retryAfter: min(mine, other))
        case (.full, .diskFull), (.unknownTaskType, _), (.unknownParents, _), (.unconfirmed, _), (.keyConflict, _),
            (.keyPending, _), (.queueFull, _), (.callbackUnsigned, _):
            self
        case (.diskFull, _), (.full, _), (.unavailable, _): other
        }
    }
}

/// A node that has no room for its journal.
public struct FullDisk: Sendable, Hashable {
    public var node: NodeName
    /// Its data folder: what has to be given room.
    public var folder: String

    public init(node: NodeName, folder: String) {
        self.node = node
        self.folder = folder
    }
}

/// Everything that is known about a task.
public struct TaskSnapshot: Sendable, Hashable {
    public var id: TaskID
    public var spec: TaskSpec
    public var status: TaskStatus
    public var owner: NodeName?
    /// Attempts that began, in this run of the task.
    public var attempt: UInt32
    /// A manual retry begins a new one; 1 is the first.
    public var run: UInt32
    public var interruptions: UInt32
    /// The node whose slot runs, or ran, the last attempt.
    public var worker: NodeName?
    /// That node, if it is not the owner.
    public var stolenBy: NodeName?
    public var createdAt: Timestamp
    /// Of the last attempt.
    public var startedAt: Timestamp?
    /// Of the outcome.
    public var finishedAt: Timestamp?
    /// When a scheduled task is due.
    public var dueAt: Timestamp?
    /// Of a completed task; nil as well if it is detached, and was not fetched or cannot be had.
    public var result: [UInt8]?
    /// The token of the attempt that completed it, or failed it for good.
    public var finalToken: Token?
    /// Who keeps the result, if the ledger does not.
    public var detached: DetachedResult?
    /// Of the last failed attempt.
    public var failure: TaskFailure?
    public var isCancelRequested: Bool
    /// Outcomes that came after the first one.
    public var duplicatesDiscarded: UInt32
    /// Of the tasks that it depends on, in the order of its dependencies; nil: not known yet.
    public var parents: [ParentOutcome?]

    public init(
        id: TaskID, spec: TaskSpec, status: TaskStatus, owner: NodeName?, attempt: UInt32 = 0,
        run: UInt32 = 1, interruptions: UInt32 = 0,
        worker: NodeName? = nil, stolenBy: NodeName? = nil, createdAt: Timestamp, startedAt: Timestamp? = nil,
        finishedAt: Timestamp? = nil, dueAt: Timestamp? = nil, result: [UInt8]? = nil, finalToken: Token? = nil,
        detached: DetachedResult? = nil,
        failure: TaskFailure? = nil,
        isCancelRequested: Bool = false, duplicatesDiscarded: UInt32 = 0, parents: [ParentOutcome?] = []
    ) {
        self.id = id
        self.spec = spec
        self.status = status
        self.owner = owner
        self.attempt = attempt
        self.run = run
        self.interruptions = interruptions
        self.worker = worker
        self.stolenBy = stolenBy
        self.createdAt = createdAt
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.dueAt = dueAt
        self.result = result
        self.finalToken = finalToken
        self.detached = detached
        self.failure = failure
        self.isCancelRequested = isCancelRequested
        self.duplicatesDiscarded = duplicatesDiscarded
        self.parents = parents
    }

    /// The task that tells somebody of the end of this run; nil: it has not ended, or nobody is to be told.
    public var deliveryID: TaskID? {
        guard status.isFinal, spec.callbackURL != nil, let finishedAt else { return nil }
        return TaskID(after: id, run: run, endedAt: finishedAt)
    }
}

public enum TaskLookup: Sendable, Hashable {
    case found(TaskSnapshot)
    /// It ended, and no ledger holds it any more: the registry does. The JSON document of the task, as it was written; to be
    /// passed on as it is (200).
    case archived([UInt8])
    /// Nobody has it, and everybody who could was asked: 404.
    case unknown
    /// It ended, and its result's time is up: 410.
    case expired
    /// Somebody who may have it cannot be asked now, and why: 503.
    case unavailable(String)
}

public struct TaskQuery: Sendable, Hashable {
    public var statuses: Set<TaskStatus>
    public var queue: String?
    public var taskType: String?
    /// Ended at least so long ago.
    public var age: Duration?
    /// The type of the last failure, or a part of its message.
    public var error: String?
    /// 1...`Limits.pageTasks`
    public var limit: Int
    /// Only tasks older than this one.
    public var before: TaskID?
    /// Workflows, and no tasks; else the other way round.
    public var isOfWorkflows = false
    /// Only the tasks of this schedule.
    public var schedule: String?

    public init(
        statuses: Set<TaskStatus> = [], queue: String? = nil, taskType: String? = nil, age: Duration? = nil,
        error: String? = nil, limit: Int = 50, before: TaskID? = nil
    ) {
        self.statuses = statuses
        self.queue = queue
        self.taskType = taskType
        self.age = age
        self.error = error
        self.limit = limit
        self.before = before
    }
}

public struct TaskPage: Sendable, Hashable {
    public var tasks: [TaskSnapshot]
    /// For the next page; nil if this is the last.
    public var next: TaskID?
    /// Nodes that did not answer: what they own is missing from the page.
    public var missing: [NodeName]

    public init(tasks: [TaskSnapshot], next: TaskID?, missing: [NodeName]) {
        self.tasks = tasks
        self.next = next
        self.missing = missing
    }
}

public enum CancelOutcome: Sendable, Hashable {
    /// It will not run.
    case cancelled(TaskSnapshot)
    /// It runs; its executor was asked to stop.
    case requested(TaskSnapshot)
    /// It had ended before: 409.
    case finished(TaskSnapshot)
    /// It ended long before, and is only in the registry: 409.
    case archived
    case unknown
    case unavailable(String)
}
