public import Primitives

/// A task that is enqueued later, by a workflow.
public struct Errand: Hashable, Sendable {
    public var type: String
    public var payload: [UInt8]
    public var queue: String
    public var priority: Priority
    public var retry: RetryPolicy
    /// Milliseconds that one attempt may take.
    public var timeout: UInt32

    public init(
        type: String, payload: [UInt8] = Array("null".utf8), queue: String = "default", priority: Priority = .normal,
        retry: RetryPolicy = RetryPolicy(), timeout: UInt32 = 300_000
    ) {
        self.type = type
        self.payload = payload
        self.queue = queue
        self.priority = priority
        self.retry = retry
        self.timeout = timeout
    }

    var cost: Int { 64 + payload.count + type.utf8.count + queue.utf8.count }
}

/// What a workflow does beyond its steps.
public struct WorkflowPlan: Hashable, Sendable {
    public enum Occasion: UInt8, Sendable, CaseIterable {
        case success = 1
        case failure
        case always

        /// The names that clients see.
        public var name: String {
            switch self {
            case .success: "on_success"
            case .failure: "on_failure"
            case .always: "always"
            }
        }
    }

    public struct Callback: Hashable, Sendable {
        public var occasion: Occasion
        public var errand: Errand

        public init(_ occasion: Occasion, _ errand: Errand) {
            self.occasion = occasion
            self.errand = errand
        }
    }

    /// What has not begun is cancelled when a step fails; else what does not depend on that step goes on.
    public var stopsOnFailure: Bool
    /// One of an occasion at most.
    public var callbacks: [Callback]

    public init(stopsOnFailure: Bool = true, callbacks: [Callback] = []) {
        self.stopsOnFailure = stopsOnFailure
        self.callbacks = callbacks
    }

    var cost: Int { callbacks.reduce(16) { $0 + $1.errand.cost } }
}

/// What a task is in its workflow.
public struct WorkflowPart: Hashable, Sendable {
    public enum Role: Hashable, Sendable {
        /// The workflow itself: never run, `blocked` until all is over.
        case root(WorkflowPlan)
        case step
        /// Undoes a step that has completed.
        case compensation(TaskID)
        case callback(WorkflowPlan.Occasion)
    }

    /// The root's id.
    public var workflow: TaskID
    /// How the client calls the task: unique among the steps.
    public var ref: String
    public var role: Role
    /// What undoes this step, should another one fail.
    public var compensation: Errand?

    public init(workflow: TaskID, ref: String, role: Role, compensation: Errand? = nil) {
        self.workflow = workflow
        self.ref = ref
        self.role = role
        self.compensation = compensation
    }

    public var isStep: Bool { role == .step }

    var cost: Int {
        var cost = 48 + ref.utf8.count + (compensation?.cost ?? 0)
        if case .root(let plan) = role { cost += plan.cost }
        return cost
    }

    /// Without payloads.
    var outline: WorkflowPart {
        var copy = self
        copy.compensation?.payload = []
        if case .root(var plan) = role {
            for index in plan.callbacks.indices { plan.callbacks[index].errand.payload = [] }
            copy.role = .root(plan)
        }
        return copy
    }
}

extension TaskSpec {
    /// A workflow, and no task.
    public var isWorkflow: Bool { if case .root? = workflow?.role { true } else { false } }

    /// Whoever submits tasks cannot have chosen it: the owner of the workflow enqueues it.
    var isEnqueuedByWorkflow: Bool {
        switch workflow?.role {
        case .compensation, .callback: true
        case .root, .step, nil: false
        }
    }
}

extension Limits {
    /// About how many bytes all tasks of a workflow may take as they are submitted: they are one entry of a ledger.
    public static let workflowBytes = 4 << 20
}
