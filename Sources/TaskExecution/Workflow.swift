public import Primitives

/// A task that a handler adds, while it runs, to the workflow that its own task is a step of.
public struct ChildTask: Sendable, Hashable {
    /// How it is called in the workflow. One that is there already is not added again, so an attempt that is repeated adds
    /// what the one before it could not.
    public var ref: String
    public var taskType: String
    /// JSON.
    public var payload: [UInt8]
    /// Tasks that it waits for: their places before it, in the same call.
    public var dependsOn: [Int]

    public init(ref: String, taskType: String, payload: [UInt8], dependsOn: [Int] = []) {
        self.ref = ref
        self.taskType = taskType
        self.payload = payload
        self.dependsOn = dependsOn
    }
}

/// The workflow that a handler's task is a step of. It does not end as long as the handler runs.
public struct WorkflowAccess: Sendable {
    public let id: TaskID
    /// How the handler's own task is called in it.
    public let ref: String
    private let adding: @Sendable ([ChildTask]) async throws(HandlerError) -> [TaskID]

    public init(
        id: TaskID, ref: String, adding: @escaping @Sendable ([ChildTask]) async throws(HandlerError) -> [TaskID]
    ) {
        self.id = id
        self.ref = ref
        self.adding = adding
    }

    /// Adds all of them, or none. What is not said of them, their queue, priority, retries and timeout, is as it is with the
    /// handler's own task.
    ///
    /// - Returns: their ids, in order, also of those that were there already.
    /// - Throws: `workflow_over` if it takes no more tasks, `unknown_task_type`, `workflow_full`; or `workflow_unavailable`,
    ///   which may be tried again.
    public func add(_ tasks: [ChildTask]) async throws(HandlerError) -> [TaskID] { try await adding(tasks) }
}
