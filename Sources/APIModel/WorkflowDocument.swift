public import Primitives
public import Service
import TaskLedger

/// Answer of `GET /api/workflows/{id}`: the graph, with the state of every task.
public struct WorkflowDocument: Hashable, Sendable, Decodable {
    public struct Task: Hashable, Sendable, Decodable {
        /// As its client calls it; of a callback the occasion; of a compensation the step that it undoes.
        public var ref: String
        public var id: TaskID
        /// `step`, `compensation` or `callback`.
        public var role: String
        public var taskType: String
        public var status: String
        /// The tasks that it waits for, as they are called in this workflow; one of elsewhere by its id.
        public var dependsOn: [String]
        public var attempt: UInt32
        public var worker: String?
        public var startedAt: Timestamp?
        public var finishedAt: Timestamp?
        public var error: TaskDocument.Failure?

        enum CodingKeys: String, CodingKey {
            case ref, id, role, status, attempt, worker, error
            case taskType = "task_type"
            case dependsOn = "depends_on"
            case startedAt = "started_at"
            case finishedAt = "finished_at"
        }
    }

    public struct Edge: Hashable, Sendable, Decodable {
        public var from: String
        public var to: String

        enum CodingKeys: String, CodingKey { case from, to }
    }

    /// Of the steps.
    public struct Progress: Hashable, Sendable, Decodable {
        public var total: Int
        public var completed: Int
        /// Failed or expired.
        public var failed: Int
        public var cancelled: Int
        public var running: Int
        public var waiting: Int

        enum CodingKeys: String, CodingKey { case total, completed, failed, cancelled, running, waiting }
    }

    public var id: TaskID
    public var name: String?
    /// `running`, `failing` (nothing more begins), `compensating`, `calling_back`, `completed`, `failed` or `cancelled`.
    public var status: String
    /// The owner: the node that decides about it.
    public var node: String?
    /// `stop` or `continue`.
    public var onTaskFailure: String
    public var isCancelRequested: Bool
    /// The step by which it fails.
    public var failedBy: String?
    public var createdAt: Timestamp
    public var finishedAt: Timestamp?
    public var error: TaskDocument.Failure?
    /// Without its status.
    public var callback: TaskDocument.Callback?
    public var progress: Progress
    public var tasks: [Task]
    public var edges: [Edge]

    enum CodingKeys: String, CodingKey {
        case id, name, status, node, error, callback, progress, tasks, edges
        case onTaskFailure = "on_task_failure"
        case isCancelRequested = "cancel_requested"
        case failedBy = "failed_by"
        case createdAt = "created_at"
        case finishedAt = "finished_at"
    }

    public init(_ workflow: WorkflowSnapshot) {
        let root = workflow.root
        let refs = Dictionary(
            workflow.tasks.filter { $0.spec.workflow?.isStep == true }.map { ($0.id, $0.spec.workflow?.ref ?? "") },
            uniquingKeysWith: { first, _ in first })
        id = root.id
        name = root.spec.metadata.first { $0.key == WorkflowDraft.nameLabel }?.value
        node = root.owner?.rawValue
        var stops = true
        if case .root(let plan)? = root.spec.workflow?.role { stops = plan.stopsOnFailure }
        onTaskFailure = stops ? "stop" : "continue"
        isCancelRequested = root.isCancelRequested
        failedBy = workflow.failedBy.map { refs[$0] ?? $0.description }
        createdAt = root.createdAt
        finishedAt = root.finishedAt
        callback = root.spec.callbackURL.map { TaskDocument.Callback(url: $0, taskID: root.deliveryID, status: nil) }
        error = root.failure.map {
            TaskDocument.Failure(type: $0.type, message: $0.message, isRetryable: $0.isRetryable)
        }
        tasks = workflow.tasks.map { task in
            Task(task) { refs[$0] ?? $0.description }
        }
        edges = tasks.filter { $0.role == "step" }.flatMap { task in
            task.dependsOn.map { Edge(from: $0, to: task.ref) }
        }
        let steps = tasks.filter { $0.role == "step" }
        func count(_ statuses: String...) -> Int { steps.count { statuses.contains($0.status) } }
        progress = Progress(
            total: steps.count, completed: count("completed"), failed: count("failed", "expired"),
            cancelled: count("cancelled"), running: count("processing"),
            waiting: count("blocked", "scheduled", "pending"))
        let roles = Set(tasks.map(\.role))
        status =
            root.status.isFinal
            ? root.status.name
            : roles.contains("callback")
                ? "calling_back"
                : roles.contains("compensation")
                    ? "compensating" : workflow.failedBy != nil || root.isCancelRequested ? "failing" : "running"
    }
}

extension WorkflowDocument.Task {
    fileprivate init(_ task: TaskSnapshot, _ name: (TaskID) -> String) {
        ref = task.spec.workflow?.ref ?? ""
        id = task.id
        switch task.spec.workflow?.role {
        case .compensation: role = "compensation"
        case .callback: role = "callback"
        case .step, .root, nil: role = "step"
        }
        taskType = task.spec.type
        status = task.status.name
        dependsOn = task.spec.dependencies.parents.map(name)
        attempt = task.attempt
        worker = task.worker?.rawValue
        startedAt = task.startedAt
        finishedAt = task.finishedAt
        error = task.failure.map {
            TaskDocument.Failure(type: $0.type, message: $0.message, isRetryable: $0.isRetryable)
        }
    }
}

extension WorkflowDocument: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.id, id)
            object.put(.name, name)
            object.put(.status, status)
            object.put(.node, node)
            object.put(.onTaskFailure, onTaskFailure)
            object.put(.isCancelRequested, isCancelRequested)
            object.put(.failedBy, failedBy)
            object.put(.createdAt, createdAt)
            object.put(.finishedAt, finishedAt)
            object.put(.error, error)
            object.put(.callback, callback)
            object.put(.progress, progress)
            object.put(.tasks, tasks)
            object.put(.edges, edges)
        }
    }
}

extension WorkflowDocument.Task: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.ref, ref)
            object.put(.id, id)
            object.put(.role, role)
            object.put(.taskType, taskType)
            object.put(.status, status)
            object.put(.dependsOn, dependsOn)
            object.put(.attempt, attempt)
            object.put(.worker, worker)
            object.put(.startedAt, startedAt)
            object.put(.finishedAt, finishedAt)
            object.put(.error, error)
        }
    }
}

extension WorkflowDocument.Edge: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.from, from)
            object.put(.to, to)
        }
    }
}

extension WorkflowDocument.Progress: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.total, total)
            object.put(.completed, completed)
            object.put(.failed, failed)
            object.put(.cancelled, cancelled)
            object.put(.running, running)
            object.put(.waiting, waiting)
        }
    }
}

/// Answer of `POST /api/workflows`.
public struct AcceptedWorkflowDocument: Hashable, Sendable, Decodable {
    public struct Task: Hashable, Sendable, Decodable {
        public var ref: String
        public var id: TaskID

        enum CodingKeys: String, CodingKey { case ref, id }
    }

    public var id: TaskID
    public var status: String
    public var node: String
    public var durability: AcceptedDocument.Durability
    public var tasks: [Task]

    enum CodingKeys: String, CodingKey { case id, status, node, durability, tasks }

    /// - Parameter accepted: the workflow, then its steps.
    public init?(_ accepted: [AcceptedTask], of draft: WorkflowDraft) {
        guard let root = accepted.first, accepted.count == draft.steps.count + 1 else { return nil }
        id = root.id
        status = "running"
        node = root.owner.rawValue
        durability = AcceptedDocument.Durability(
            level: root.durability.rawValue, holders: root.holders.map(\.rawValue))
        tasks = zip(draft.steps, accepted.dropFirst()).map { Task(ref: $0.ref, id: $1.id) }
    }
}

extension AcceptedWorkflowDocument: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.id, id)
            object.put(.status, status)
            object.put(.node, node)
            object.put(.durability, durability)
            object.put(.tasks, tasks)
        }
    }
}

extension AcceptedWorkflowDocument.Task: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.ref, ref)
            object.put(.id, id)
        }
    }
}

/// Answer of `POST /api/workflows/{id}/tasks`: all tasks of the workflow.
public struct ExtendedWorkflowDocument: Hashable, Sendable, Decodable {
    public var id: TaskID
    /// Ascending by ref.
    public var tasks: [AcceptedWorkflowDocument.Task]

    enum CodingKeys: String, CodingKey { case id, tasks }

    public init(id: TaskID, refs: [String: TaskID]) {
        self.id = id
        tasks = refs.sorted { $0.key < $1.key }.map { AcceptedWorkflowDocument.Task(ref: $0.key, id: $0.value) }
    }
}

extension ExtendedWorkflowDocument: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.id, id)
            object.put(.tasks, tasks)
        }
    }
}

/// Answer of `GET /api/workflows`, newest first.
public struct WorkflowListDocument: Hashable, Sendable, Decodable {
    public struct Item: Hashable, Sendable, Decodable {
        public var id: TaskID
        public var name: String?
        /// `running`, `failing`, `completed`, `failed` or `cancelled`.
        public var status: String
        public var node: String?
        public var createdAt: Timestamp
        public var finishedAt: Timestamp?

        enum CodingKeys: String, CodingKey {
            case id, name, status, node
            case createdAt = "created_at"
            case finishedAt = "finished_at"
        }
    }

    public var workflows: [Item]
    public var next: TaskID?
    /// Nodes that did not answer: what they own is not in here.
    public var missing: [String]

    enum CodingKeys: String, CodingKey {
        case workflows, missing
        case next = "next_cursor"
    }

    public init(_ page: TaskPage) {
        workflows = page.tasks.map { root in
            Item(
                id: root.id, name: root.spec.metadata.first { $0.key == WorkflowDraft.nameLabel }?.value,
                status: root.status.isFinal ? root.status.name : root.isCancelRequested ? "failing" : "running",
                node: root.owner?.rawValue, createdAt: root.createdAt, finishedAt: root.finishedAt)
        }
        next = page.next
        missing = page.missing.map(\.rawValue)
    }
}

extension WorkflowListDocument: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.workflows, workflows)
            object.put(.next, next)
            object.put(.missing, missing)
        }
    }
}

extension WorkflowListDocument.Item: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.id, id)
            object.put(.name, name)
            object.put(.status, status)
            object.put(.node, node)
            object.put(.createdAt, createdAt)
            object.put(.finishedAt, finishedAt)
        }
    }
}
