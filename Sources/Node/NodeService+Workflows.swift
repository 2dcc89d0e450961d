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
        let known = taskTypes
        let unknown = workflow.taskTypes.subtracting(known).sorted()
        if let first = unknown.first {
            return .unknownTaskTypes(unknown, nearest: nearestName(to: first, among: known))
        }
        if workflow.hasCallbacks, !signsCallbacks { return .refused(.callbackUnsigned, step: nil) }
        if let (step, refusal) = await refusedForParents(workflow.steps.map(\.spec)).min(by: { $0.key < $1.key }) {
            return .refused(refusal, step: step)
        }
        if workflow.idempotency != nil { return await submitKeyed(workflow) }
        let reason: SubmissionRefusal
        switch await actors.queue.submit(workflow) {
        case .success(let tasks): return .accepted(tasks)
        case .failure(.unconfirmed(let ids)): return .refused(.unconfirmed(ids[0]), step: nil)
        case .failure(.full): reason = .full(retryAfter: await actors.queue.retryAfter(workflow.steps.map(\.spec)))
        case .failure(.queueFull(let queue, _)): reason = queueFull(queue)
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

    func extend(_ id: TaskID, with more: WorkflowDraft) async -> WorkflowExtension {
        let known = taskTypes
        let unknown = more.taskTypes.subtracting(known).sorted()
        if let first = unknown.first {
            return .unknownTaskTypes(unknown, nearest: nearestName(to: first, among: known))
        }
        if more.hasCallbacks, !signsCallbacks { return .refused(.callbackUnsigned, step: nil) }
        if let (step, refusal) = await refusedForParents(more.steps.map(\.spec)).min(by: { $0.key < $1.key }) {
            return .refused(refusal, step: step)
        }
        let owner: NodeName
        switch await find(id, wait: .zero) {
        case .found(let snapshot): owner = snapshot.owner ?? node.name
        case .archived, .expired: return .over
        case .unknown: return .unknown
        case .unavailable(let reason): return .unavailable(reason)
        }
        let view = await actors.views.view
        guard let ledger = view?.ledgers.first(where: { TaskID.tag(of: $0.id) == id.ledgerTag })?.id else {
            return .unavailable("the workflow's ledger is changing owners: try again")
        }
        let ids = await actors.queue.idsFor(ledger, count: more.steps.count)
        let request = ExtensionRequest(workflow: id, ids: ids, specs: more.specs(of: id, ids: ids))
        switch await extend(request, at: owner) {
        case .success(.done): return .accepted(ids)
        case .success(.unknown): return .unavailable("it is changing owners: try again")
        case .success(.over): return .over
        case .success(.taken): return .taken
        case .success(.full):
            return .refused(.full(retryAfter: await actors.queue.retryAfter(more.steps.map(\.spec))), step: nil)
        case .failure(let error) where error.mayHaveArrived:
            return .unconfirmed("\(owner), which owns it, did not answer in time: they may have been added")
        case .failure(let error):
            return .unavailable("\(owner), which owns it, cannot be asked (\(error)): nothing was added")
        }
    }

    private func extend(
        _ request: ExtensionRequest, at owner: NodeName
    ) async -> Result<ExtensionDecision, PeerError> {
        if owner == node.name {
            let queue = actors.queue
            return await withCheckedContinuation { continuation in
                node.scheduler.execute { [node] in
                    let once = Answered(continuation)
                    queue.onLoop { $0.extend(request) { once.resume(.success($0)) } }
                    _ = node.scheduler.schedule(after: Limits.commitDeadline) {
                        once.resume(.failure(.timedOut(sent: true)))
                    }
                }
            }
        }
        guard let peer = node.peers[owner] else { return .failure(.unknownPeer) }
        switch await ask(Frame(.extend, at: node.now) { $0.extensionRequest(request) }, of: peer, within: .seconds(5)) {
        case .success(let answer):
            guard
                let decision = try? answer.read(
                    at: node.now, { reader throws(WireError) in try reader.extensionDecision() })
            else { return .failure(.timedOut(sent: true)) }
            return .success(decision)
        case .failure(let error): return .failure(error)
        }
    }

    func workflow(_ id: TaskID) async -> WorkflowLookup {
        let word = await ownersWord(on: id) { task, owner in
            task.spec.isWorkflow ? await workflow(id, at: owner) : []
        }
        switch word {
        case .told(let records, _, let owner):
            return WorkflowSnapshot(records, owner: owner, at: node.now, timestamp: node.timestamp)
                .map { .found($0) } ?? .unknown
        case .archived(let document):
            guard ArchivedTask.members(of: document)?["progress"] != nil else { return .unknown }
            return .archived(document)
        case .unknown: return .unknown
        case .expired: return .expired
        case .unavailable(let reason): return .unavailable(reason)
        }
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

/// Answers once: what comes later has come too late. Only on the loop.
private final class Answered: @unchecked Sendable {
    private var continuation: CheckedContinuation<Result<ExtensionDecision, PeerError>, Never>?

    init(_ continuation: CheckedContinuation<Result<ExtensionDecision, PeerError>, Never>) {
        self.continuation = continuation
    }

    func resume(_ result: Result<ExtensionDecision, PeerError>) {
        continuation?.resume(returning: result)
        continuation = nil
    }
}
