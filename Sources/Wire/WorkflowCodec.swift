import Primitives
public import TaskLedger

// What tasks are in their workflows.

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

    /// A workflow first, then only tasks of it.
    mutating func acceptedTogether() throws(WireError) -> [Acceptance] {
        let all = try array(upTo: Limits.workflowTasks + 1, "tasks of a workflow") { reader throws(WireError) in
            try reader.acceptance()
        }
        guard let root = all.first, root.spec.isWorkflow,
            all.allSatisfy({ $0.spec.workflow?.workflow == root.id }),
            all.dropFirst().allSatisfy({ $0.spec.workflow?.isStep == true })
        else { throw .invalid("tasks of a workflow") }
        return all
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
