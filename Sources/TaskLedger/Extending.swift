public import Primitives

/// What came of more tasks for a workflow that is open.
public enum ExtensionDecision: UInt8, Hashable, Sendable, CaseIterable {
    case done = 1
    /// This node does not own it.
    case unknown
    /// It fails, is to be cancelled, or has ended all its steps: nothing more is begun.
    case over
    /// There is no room, in the workflow or at the node.
    case full
    /// A task of it is called so already.
    case taken
}

/// Adding tasks to a workflow while it runs: what a step of it finds out may be what has to be done. As long as a step has not
/// ended the workflow does not, so whoever runs one can add to it.
///
/// A ref is given once: whoever adds the same tasks again, since an answer was lost or an attempt is made again, adds
/// nothing. What a deposed primary had accepted, and could not commit, is not adopted: its client was told nothing, and
/// asks again.
extension TaskOwner {
    /// All of them or none. With none at all, what was added before is only awaited, whether or not more can be.
    ///
    /// - Parameter request: `accepted(request)` follows once they are committed, if it is `done`.
    public mutating func extendWorkflow(
        _ root: TaskID, _ specs: [TaskSpec], ids: [TaskID], request: UInt64, at now: Instant
    ) -> ExtensionDecision {
        guard let index = index(of: root), let record = ledgers[index].primary.state[root], record.spec.isWorkflow
        else {
            return .unknown
        }
        guard !specs.isEmpty else {
            ledgers[index].primary.whenCommitted(.accepted(request: request))
            return .done
        }
        let members = (ledgers[index].workflows[root]?.members ?? []).compactMap { ledgers[index].primary.state[$0] }
        let parts = members.compactMap(\.spec.workflow)
        guard !record.status.isFinal, record.failedBy == nil, !record.isCancelRequested,
            parts.allSatisfy(\.isStep), members.contains(where: { !$0.status.isFinal })
        else { return .over }
        guard members.count + specs.count <= Limits.workflowTasks, fitting(specs) == specs.count,
            !ledgers[index].primary.isCongested
        else { return .full }
        let refs = Set(parts.map(\.ref))
        #if PLANTED_BUGS
        let mayRepeat = PlantedBug.isActive(.addedAgain)
        #else
        let mayRepeat = false
        #endif
        guard mayRepeat || specs.allSatisfy({ $0.workflow.map { !refs.contains($0.ref) } ?? false }) else {
            return .taken
        }
        acceptTogether(zip(ids, specs).map { Acceptance(id: $0, spec: $1, at: now) }, in: index)
        meterArrivals(specs, at: now)
        ledgers[index].primary.whenCommitted(.accepted(request: request))
        return .done
    }
}
