public import Primitives

/// What runs tasks of one type. A value of it serves many tasks at a time.
public protocol TaskHandler: Sendable {
    /// The `task_type` that it serves.
    var taskType: String { get }

    /// Runs one attempt. Returns the result as JSON of at most `Limits.resultBytes`. Throws `HandlerError` to say what went
    /// wrong and whether trying again may help; any other error is retried. Cooperates with cancellation: a task that
    /// was cancelled, or whose time is up, has its Swift task cancelled.
    func run(_ attempt: TaskAttempt) async throws -> [UInt8]
}

/// What a handler is told about the attempt that it runs.
public struct TaskAttempt: Sendable {
    public let id: TaskID
    /// JSON, byte for byte as the client sent it.
    public let payload: [UInt8]
    /// Ordered: a greater token was granted later. Hand it to systems that can refuse what is older.
    public let token: Token
    /// Where handlers may write files: a folder of this node.
    public let workDirectory: String
    /// Which node runs it.
    public let node: NodeName
    /// The tasks that this one has waited for, in the order in which its client named them.
    public let parents: [ParentTask]
    /// Nil: it is no step of a workflow.
    public let workflow: WorkflowAccess?
    /// Asks the cluster for a result that is too large to be handed on.
    private let fetch: @Sendable (TaskID) async -> [UInt8]?

    public init(
        id: TaskID, payload: [UInt8], token: Token, workDirectory: String, node: NodeName, parents: [ParentTask] = [],
        workflow: WorkflowAccess? = nil,
        fetch: @escaping @Sendable (TaskID) async -> [UInt8]? = { _ in nil }
    ) {
        self.id = id
        self.payload = payload
        self.token = token
        self.workDirectory = workDirectory
        self.node = node
        self.parents = parents
        self.workflow = workflow
        self.fetch = fetch
    }

    /// What a task returned that this one has waited for; nil: nothing. A large result is fetched from its owner, or from
    /// the registry: if neither can be asked, or its time is up, this fails, and may be tried again.
    public func result(of parent: ParentTask) async throws(HandlerError) -> [UInt8]? {
        if let result = parent.result { return result }
        guard parent.resultBytes > 0 else { return nil }
        guard let result = await fetch(parent.id) else {
            throw HandlerError(
                type: "parent_result_unavailable",
                message:
                    "the result of task \(parent.id) (\(parent.resultBytes) bytes) cannot be had: its owner and the "
                    + "registry do not tell it", isRetryable: true)
        }
        return result
    }
}

/// A task that another one has waited for.
public struct ParentTask: Sendable {
    public let id: TaskID
    /// `completed`, `failed`, `cancelled`, `expired` or `lost` (nobody knew any more); nil: it had not ended when enough of the
    /// others had.
    public let status: String?
    /// JSON; nil as well if it is too large: `TaskAttempt.result(of:)` fetches it then.
    public let result: [UInt8]?
    /// Of the result, here or not.
    public let resultBytes: Int
    /// Why it failed: a stable word, and a sentence.
    public let failure: (type: String, message: String)?

    public init(
        id: TaskID, status: String?, result: [UInt8]?, resultBytes: Int, failure: (type: String, message: String)? = nil
    ) {
        self.id = id
        self.status = status
        self.result = result
        self.resultBytes = resultBytes
        self.failure = failure
    }
}

/// A failure that a handler describes itself.
public struct HandlerError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A stable word for programs, `[a-z_]+`: `invalid_payload`, `too_large` ...
    public var type: String
    /// A sentence for people: what was wrong, what was expected, what to try.
    public var message: String
    /// Whether trying again may help. False sends the task to the dead letters at once.
    public var isRetryable: Bool
    /// How long to rest before the next attempt, whatever the task's policy says, at most a day: what a server's
    /// `Retry-After` told. Nil: as the policy says. It counts as one of the task's retries.
    public var retryAfter: Duration?

    public init(type: String, message: String, isRetryable: Bool, retryAfter: Duration? = nil) {
        self.type = type
        self.message = message
        self.isRetryable = isRetryable
        self.retryAfter = retryAfter
    }

    /// The payload is not what the handler takes: no retry can help.
    public static func invalidPayload(_ message: String) -> HandlerError {
        HandlerError(type: "invalid_payload", message: message, isRetryable: false)
    }

    public var description: String { "\(type): \(message)" }
}
