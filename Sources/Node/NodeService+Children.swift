import Primitives
import Service
import TaskExecution
import TaskLedger

/// Handlers that add tasks to the workflow that they are a part of.
extension NodeService {
    /// Nil: the task is no step of a workflow.
    func workflowAccess(of assignment: Assignment) -> WorkflowAccess? {
        guard let part = assignment.spec.workflow, part.isStep else { return nil }
        return WorkflowAccess(id: part.workflow, ref: part.ref) { [self] (tasks) throws(HandlerError) in
            try await add(tasks, to: part.workflow, like: assignment.spec)
        }
    }

    private func add(
        _ tasks: [ChildTask], to workflow: TaskID, like spec: TaskSpec
    ) async throws(HandlerError) -> [TaskID] {
        // Somebody else may add to it at the same time, or it may get another owner, who does not know all that the one before
        // has told: then what is there is looked at once more.
        for _ in 0..<4 {
            let known = try await refs(of: workflow)
            let missing = tasks.filter { isMissing($0, known) }
            #if PLANTED_BUGS
            if PlantedBug.isActive(.addedUnsettled), missing.isEmpty { return tasks.compactMap { known[$0.ref] } }
            #endif
            let steps = missing.map { step(of: $0, among: tasks, missing, known, like: spec) }
            // Also if none is missing: what is there may not be committed, and is once this is answered.
            switch await extend(workflow, with: WorkflowDraft(steps: steps)) {
            case .accepted(let ids):
                let added = Dictionary(zip(missing.map(\.ref), ids), uniquingKeysWith: { first, _ in first })
                if missing.count < tasks.count {
                    let settled = try await refs(of: workflow)
                    guard tasks.allSatisfy({ settled[$0.ref] == added[$0.ref] ?? known[$0.ref] }) else { continue }
                }
                return tasks.compactMap { added[$0.ref] ?? known[$0.ref] }
            case .taken: continue
            case .refused(.full, _):
                throw HandlerError(
                    type: "workflow_full",
                    message:
                        "there is no room for \(missing.count) more tasks in workflow \(workflow), or at its owner",
                    isRetryable: true)
            case .refused(let refusal, _): throw Self.unavailable("\(refusal)")
            case .unknownTaskTypes(let types, let nearest):
                throw HandlerError(
                    type: "unknown_task_type",
                    message: "no node has a handler for \(types.joined(separator: ", "))"
                        + (nearest.map { ", did you mean \"\($0)\"?" } ?? ""), isRetryable: false)
            case .over, .unknown: throw Self.over(workflow)
            case .unavailable(let reason), .unconfirmed(let reason): throw Self.unavailable(reason)
            }
        }
        throw Self.unavailable("others add tasks to workflow \(workflow) all the time")
    }

    private func isMissing(_ task: ChildTask, _ known: [String: TaskID]) -> Bool {
        #if PLANTED_BUGS
        if PlantedBug.isActive(.addedAgain) { return true }
        #endif
        return known[task.ref] == nil
    }

    private func step(
        of task: ChildTask, among all: [ChildTask], _ missing: [ChildTask], _ known: [String: TaskID],
        like spec: TaskSpec
    ) -> WorkflowDraft.Step {
        var own = TaskSpec(
            type: task.taskType, payload: task.payload, priority: spec.priority, queue: spec.queue, retry: spec.retry,
            timeout: spec.timeout, delivery: spec.delivery, resultTTL: spec.resultTTL)
        own.fairnessKey = spec.fairnessKey
        let parents = task.dependsOn.map { all[$0].ref }
        own.dependencies.parents = parents.compactMap { known[$0] }
        return WorkflowDraft.Step(
            ref: task.ref, spec: own,
            parents: parents.compactMap { ref in missing.firstIndex { $0.ref == ref } })
    }

    private func refs(of id: TaskID) async throws(HandlerError) -> [String: TaskID] {
        switch await workflow(id) {
        case .found(let found):
            let steps = found.tasks.filter { $0.spec.workflow?.isStep == true }
            return Dictionary(
                steps.map { ($0.spec.workflow?.ref ?? "", $0.id) }, uniquingKeysWith: { first, _ in first })
        case .archived, .expired, .unknown: throw Self.over(id)
        case .unavailable(let reason): throw Self.unavailable(reason)
        }
    }

    private static func over(_ id: TaskID) -> HandlerError {
        HandlerError(
            type: "workflow_over", message: "workflow \(id) fails, was cancelled or has ended: it takes no more tasks",
            isRetryable: false)
    }

    private static func unavailable(_ reason: String) -> HandlerError {
        HandlerError(
            type: "workflow_unavailable", message: "no tasks can be added to the workflow now: \(reason)",
            isRetryable: true)
    }
}
