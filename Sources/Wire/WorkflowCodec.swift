public import Primitives
public import TaskLedger

// What tasks are in their workflows.

/// More tasks for a workflow.
public struct ExtensionRequest: Hashable, Sendable {
    public var workflow: TaskID
    /// As many as there are tasks.
    public var ids: [TaskID]
    public var specs: [TaskSpec]

    public init(workflow: TaskID, ids: [TaskID], specs: [TaskSpec]) {
        self.workflow = workflow
        self.ids = ids
        self.specs = specs
    }
}

extension ByteWriter {
    private mutating func errand(_ value: Errand) {
        string(value.type)
        byteString(value.payload)
        string(value.queue)
        priority(value.priority)
        retryPolicy(value.retry)
        varint(UInt64(value.timeout))
    }

    mutating func workflowPart(_ value: WorkflowPart) {
        taskID(value.workflow)
        string(value.ref)
        switch value.role {
        case .root(let plan):
            uint8(1)
            bool(plan.stopsOnFailure)
            array(plan.callbacks) { writer, callback in
                writer.uint8(callback.occasion.rawValue)
                writer.errand(callback.errand)
            }
        case .step: uint8(2)
        case .compensation(let step):
            uint8(3)
            taskID(step)
        case .callback(let occasion):
            uint8(4)
            uint8(occasion.rawValue)
        }
        optional(value.compensation) { $0.errand($1) }
    }

    public mutating func extensionRequest(_ value: ExtensionRequest) {
        taskID(value.workflow)
        array(value.ids) { $0.taskID($1) }
        array(value.specs) { $0.taskSpec($1) }
    }

    /// A workflow, and its tasks.
    public mutating func workflow(_ records: [TaskRecord]?) {
        optional(records) { $0.array($1) { $0.taskRecord($1) } }
    }
}

extension ByteReader {
    private mutating func errand() throws(WireError) -> Errand {
        let type = try string(upTo: Limits.nameBytes, "task type")
        guard !type.isEmpty else { throw .invalid("task type") }
        let payload = try byteString(upTo: Limits.payloadBytes, "payload")
        let queue = try string(upTo: Limits.nameBytes, "queue")
        guard NodeName.isValid(queue) else { throw .invalid("queue") }
        return Errand(
            type: type, payload: payload, queue: queue, priority: try priority(), retry: try retryPolicy(),
            timeout: UInt32(try number(upTo: UInt64(Limits.timeoutSeconds) * 1000, "timeout")))
    }

    private mutating func occasion() throws(WireError) -> WorkflowPlan.Occasion {
        guard let occasion = WorkflowPlan.Occasion(rawValue: try uint8()) else { throw .invalid("occasion") }
        return occasion
    }

    mutating func workflowPart() throws(WireError) -> WorkflowPart {
        let workflow = try taskID()
        let ref = try string(upTo: Limits.nameBytes, "ref")
        let role: WorkflowPart.Role
        switch try uint8() {
        case 1:
            role = .root(
                WorkflowPlan(
                    stopsOnFailure: try bool(),
                    callbacks: try array(upTo: WorkflowPlan.Occasion.allCases.count, "callbacks") {
                        reader throws(WireError) in
                        WorkflowPlan.Callback(try reader.occasion(), try reader.errand())
                    }))
        case 2: role = .step
        case 3: role = .compensation(try taskID())
        case 4: role = .callback(try occasion())
        default: throw .invalid("role in a workflow")
        }
        return WorkflowPart(
            workflow: workflow, ref: ref, role: role,
            compensation: try optional { reader throws(WireError) in try reader.errand() })
    }

    /// Tasks of one workflow, and itself before them, perhaps.
    mutating func acceptedTogether() throws(WireError) -> [Acceptance] {
        let all = try array(upTo: Limits.workflowTasks + 1, "tasks of a workflow") { reader throws(WireError) in
            try reader.acceptance()
        }
        guard let first = all.first, let workflow = first.spec.workflow?.workflow,
            first.spec.workflow?.isStep == true || first.spec.isWorkflow && first.id == workflow,
            all.allSatisfy({ $0.spec.workflow?.workflow == workflow }),
            all.dropFirst().allSatisfy({ $0.spec.workflow?.isStep == true })
        else { throw .invalid("tasks of a workflow") }
        return all
    }

    public mutating func extensionRequest() throws(WireError) -> ExtensionRequest {
        let request = ExtensionRequest(
            workflow: try taskID(),
            ids: try array(upTo: Limits.workflowTasks, "ids") { reader throws(WireError) in try reader.taskID() },
            specs: try array(upTo: Limits.workflowTasks, "tasks of a workflow") { reader throws(WireError) in
                try reader.taskSpec()
            })
        let isWhole = request.specs.allSatisfy {
            $0.workflow?.workflow == request.workflow && $0.workflow?.isStep == true
        }
        guard request.ids.count == request.specs.count, isWhole else {
            throw .invalid("tasks of a workflow")
        }
        return request
    }

    public mutating func extensionDecision() throws(WireError) -> ExtensionDecision {
        guard let decision = ExtensionDecision(rawValue: try uint8()) else { throw .invalid("decision") }
        return decision
    }

    mutating func finalStatus() throws(WireError) -> TaskStatus {
        guard let status = TaskStatus(rawValue: try uint8()), status.isFinal else { throw .invalid("end") }
        return status
    }

    public mutating func workflow() throws(WireError) -> [TaskRecord]? {
        try optional { reader throws(WireError) in
            try reader.array(upTo: 2 * Limits.workflowTasks + 8, "tasks of a workflow") { reader throws(WireError) in
                try reader.taskRecord()
            }
        }
    }
}
