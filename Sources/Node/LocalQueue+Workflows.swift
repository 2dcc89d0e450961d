import Primitives
import Service
import TaskLedger
import Wire

/// What others ask about workflows.
extension LocalQueue {
    /// What follows in workflows from what has happened.
    func advanceWorkflows() {
        guard owner.hasStirredWorkflows else { return }
        owner.advanceWorkflows(
            at: node.now, timestamp: node.timestamp, microseconds: node.scheduler.microsecondsSince1970)
    }

    /// Without payloads, results and histories; nil: this node does not own it, or may not tell of it. Ends that are not
    /// committed are not told.
    func workflow(_ id: TaskID) -> [TaskRecord]? {
        guard mayVouch, let records = owner.workflow(id) else { return nil }
        return records.map { record in owner.isTellable(record) ? record.summary : record.summary.beforeItsEnd }
    }

    /// What the registry is to keep of a workflow that has ended; nil: it is not here.
    func snapshot(ofWorkflow id: TaskID) -> WorkflowSnapshot? {
        owner.workflow(id).flatMap { records in
            WorkflowSnapshot(records.map(\.summary), owner: node.name, at: node.now, timestamp: node.timestamp)
        }
    }

    /// No answer: nobody knows whether they were accepted.
    func extend(_ wanted: ExtensionRequest, _ reply: @escaping @Sendable (ExtensionDecision) -> Void) {
        guard mayVouch, !isDraining else { return reply(.unknown) }
        let number = request { isCommitted in if isCommitted { reply(.done) } }
        let decision = owner.extendWorkflow(
            wanted.workflow, wanted.specs, ids: wanted.ids, request: number, at: node.now)
        #if PLANTED_BUGS
        if PlantedBug.isActive(.addedBeforeCommit), decision == .done {
            forget(number)
            turn()
            return reply(.done)
        }
        #endif
        if decision == .done { return turn() }
        forget(number)
        reply(decision)
    }

    /// Accepts a workflow under ids of this node's ledger.
    func submit(_ draft: WorkflowDraft) async -> Result<[AcceptedTask], OwnerRefusal> {
        await withCheckedContinuation { continuation in
            guard let home = owner.home else { return continuation.resume(returning: .failure(.notAnOwner)) }
            let ids = idsFor(home, count: draft.steps.count + 1)
            accept(draft.specs(ids: ids), ids: ids) { continuation.resume(returning: $0) }
        }
    }
}

extension WorkflowSnapshot {
    /// - Parameter records: the workflow's own first; nil is returned if there is none.
    init?(_ records: [TaskRecord], owner: NodeName, at now: Instant, timestamp: Timestamp) {
        guard let root = records.first else { return nil }
        self.init(
            root: TaskSnapshot(root, owner: owner, at: now, timestamp: timestamp),
            tasks: records.dropFirst().map { TaskSnapshot($0, owner: owner, at: now, timestamp: timestamp) },
            failedBy: root.failedBy)
    }
}
