import Peers
import Primitives
import Service
import TaskLedger
import Views
import Wire

/// Workflows, anywhere in the cluster.
extension NodeService {
    /// All of it in one ledger: this node's, or that of the first that has room.
    func submit(_ workflow: WorkflowDraft) async -> WorkflowSubmission {
        let known = actors.workers.taskTypes
        let unknown = workflow.taskTypes.subtracting(known).sorted()
        if let first = unknown.first {
            return .unknownTaskTypes(unknown, nearest: nearestName(to: first, among: known))
        }
        if let (step, refusal) = await refusedForParents(workflow.steps.map(\.spec)).min(by: { $0.key < $1.key }) {
            return .refused(refusal, step: step)
        }
        let reason: SubmissionRefusal
        switch await actors.queue.submit(workflow) {
        case .success(let tasks): return .accepted(tasks)
        case .failure(.unconfirmed(let ids)): return .refused(.unconfirmed(ids[0]), step: nil)
        case .failure(.full): reason = .full(retryAfter: await actors.queue.retryAfter(workflow.steps.map(\.spec)))
        case .failure(.diskFull):
            reason = .diskFull([FullDisk(node: node.name, folder: node.configuration.dataDirectory)])
        case .failure(.notAnOwner): reason = .unavailable(await unreadiness() ?? "the cluster is changing: try again")
        }
        let outcomes = await forward(workflow.steps.count + 1, isWhole: true, after: reason) { workflow.specs(ids: $1) }
        var accepted: [AcceptedTask] = []
        for outcome in outcomes {
            switch outcome {
            case .accepted(let task): accepted.append(task)
            case .refused(let refusal): return .refused(refusal, step: nil)
            }
        }
        return .accepted(accepted)
    }

    func workflow(_ id: TaskID) async -> WorkflowLookup {
        let owner: NodeName
        switch await find(id, wait: .zero) {
        case .found(let snapshot):
            guard snapshot.spec.isWorkflow else { return .unknown }
            owner = snapshot.owner ?? node.name
        case .archived(let document):
            guard ArchivedTask.members(of: document)?["progress"] != nil else { return .unknown }
            return .archived(document)
        case .unknown: return .unknown
        case .expired: return .expired
        case .unavailable(let reason): return .unavailable(reason)
        }
        guard let records = await workflow(id, at: owner),
            let snapshot = WorkflowSnapshot(records, owner: owner, at: node.now, timestamp: node.timestamp)
        else { return .unavailable("\(owner), which owns it, does not answer, or is handing it over: try again") }
        return .found(snapshot)
    }

    private func workflow(_ id: TaskID, at owner: NodeName) async -> [TaskRecord]? {
        if owner == node.name { return await actors.queue.workflow(id) }
        guard let peer = node.peers[owner],
            case .success(let answer) = await ask(
                Frame(.workflow, at: node.now) { $0.taskID(id) }, of: peer, within: .seconds(2))
        else { return nil }
        return (try? answer.read(at: node.now) { reader throws(WireError) in try reader.workflow() }) ?? nil
    }
}
