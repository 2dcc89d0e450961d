public import Primitives
public import TaskLedger

/// A workflow as a client asks for it: its tasks are not accepted yet, so they name each other by their place.
public struct WorkflowDraft: Sendable, Hashable {
    public struct Step: Sendable, Hashable {
        public var ref: String
        /// Its dependencies name tasks outside of the workflow, which exist already.
        public var spec: TaskSpec
        /// Steps before it, by their place in `steps`.
        public var parents: [Int]
        public var compensation: Errand?

        public init(ref: String, spec: TaskSpec, parents: [Int] = [], compensation: Errand? = nil) {
            self.ref = ref
            self.spec = spec
            self.parents = parents
            self.compensation = compensation
        }
    }

    public var name: String?
    public var plan: WorkflowPlan
    /// 1...`Limits.workflowTasks`; no cycles.
    public var steps: [Step]
    /// Its key stands for the workflow and all its tasks.
    public var idempotency: TaskSpec.Idempotency?
    /// Whom to tell when all of it has ended.
    public var callbackURL: String?

    public init(
        name: String? = nil, plan: WorkflowPlan = WorkflowPlan(), steps: [Step],
        idempotency: TaskSpec.Idempotency? = nil, callbackURL: String? = nil
    ) {
        self.name = name
        self.plan = plan
        self.steps = steps
        self.idempotency = idempotency
        self.callbackURL = callbackURL
    }

    /// The task type of workflows, which no node serves.
    public static let taskType = "workflow"
    /// The metadata under which a workflow has its name.
    public static let nameLabel = "name"

    /// The workflow and its tasks, under these ids.
    public func specs(ids: [TaskID]) -> [TaskSpec] {
        [root(ids[0])] + specs(of: ids[0], ids: Array(ids.dropFirst()))
    }

    /// The tasks alone, in a workflow that exists.
    public func specs(of workflow: TaskID, ids: [TaskID]) -> [TaskSpec] {
        steps.map { step in
            var spec = step.spec
            spec.dependencies.parents = step.parents.map { ids[$0] } + spec.dependencies.parents
            spec.workflow = WorkflowPart(
                workflow: workflow, ref: step.ref, role: .step, compensation: step.compensation)
            return spec
        }
    }

    private func root(_ id: TaskID) -> TaskSpec {
        var root = TaskSpec(type: Self.taskType)
        if let name { root.metadata = [TaskSpec.Label(key: Self.nameLabel, value: name)] }
        root.resultTTL = steps.map(\.spec.resultTTL).max() ?? root.resultTTL
        root.workflow = WorkflowPart(workflow: id, ref: "", role: .root(plan))
        root.idempotency = idempotency
        root.callbackURL = callbackURL
        return root
    }

    /// About how many bytes it takes.
    public var cost: Int {
        steps.reduce(0) { $0 + $1.spec.cost + ($1.compensation?.payload.count ?? 0) + 128 }
            + plan.callbacks.reduce(0) { $0 + $1.errand.payload.count + 128 }
    }

    /// Whether anybody is to be told of the end of any of it.
    public var hasCallbacks: Bool { callbackURL != nil || steps.contains { $0.spec.callbackURL != nil } }

    /// Every task type that it needs.
    public var taskTypes: Set<String> {
        Set(steps.map(\.spec.type) + steps.compactMap(\.compensation?.type) + plan.callbacks.map(\.errand.type))
    }
}

public enum WorkflowSubmission: Sendable, Hashable {
    /// The workflow, then its tasks in the order of the steps.
    case accepted([AcceptedTask])
    /// It was accepted before, for the same request under the same idempotency key.
    case repeated(TaskID)
    /// Nothing was accepted. `step`: by whose fault, if it is that of one.
    case refused(SubmissionRefusal, step: Int?)
    /// No node of the cluster has handlers for these types: the nearest known name of the first.
    case unknownTaskTypes([String], nearest: String?)
}

/// A workflow and all its tasks.
public struct WorkflowSnapshot: Sendable, Hashable {
    public var root: TaskSnapshot
    /// In the order in which they were accepted.
    public var tasks: [TaskSnapshot]
    /// The step by which it fails, once that is decided.
    public var failedBy: TaskID?

    public init(root: TaskSnapshot, tasks: [TaskSnapshot], failedBy: TaskID?) {
        self.root = root
        self.tasks = tasks
        self.failedBy = failedBy
    }
}

/// What came of more tasks for a workflow.
public enum WorkflowExtension: Sendable, Hashable {
    /// In the order of the steps.
    case accepted([TaskID])
    case refused(SubmissionRefusal, step: Int?)
    case unknownTaskTypes([String], nearest: String?)
    /// It takes no more tasks: 409.
    case over
    /// Another one is called so since: 409.
    case taken
    case unknown
    case unavailable(String)
    /// The owner did not answer in time: ask for the workflow. 504.
    case unconfirmed(String)
}

public enum WorkflowLookup: Sendable, Hashable {
    case found(WorkflowSnapshot)
    /// It ended, and no ledger holds it any more: its JSON document, as it was written.
    case archived([UInt8])
    case unknown
    case expired
    case unavailable(String)
}
