public import Primitives

/// Workflows: tasks that belong together, in one ledger, accepted by one entry.
///
/// A workflow is a record of its own (the *root*), never run, and its tasks are ordinary tasks of the same ledger that
/// name it (`WorkflowPart`). What is to happen next is not kept anywhere: it is seen from the records, by `advance`,
/// whenever the end of one of them is committed, and at a takeover. What it decides are entries, so that each decision
/// is made once, whoever makes it.
///
/// | the records say | then |
/// | --- | --- |
/// | a step has ended without success, its failure is not tolerated, and the plan stops on failure | `workflowFailing`: from then on it stays so |
/// | it is failing, or is to be cancelled | steps that no executor has are `cancelled`; those that run go on |
/// | all steps have ended, some without success | compensations, one after the other: that of the step that completed last comes first; the next is accepted when the end of the one before is committed |
/// | that is over | the callbacks that fit are `accepted`, all at once |
/// | these have ended | `workflowEnded`: completed, failed or cancelled |
///
/// - Steps wait for each other as any tasks do (`Releasing`). In a workflow a step whose parent fails is cancelled.
/// - A failure is tolerated if something depends on that step, and all that does needs only some of its parents, or its own
///   failure is tolerated.
/// - The end of a step is later than all ends before it in the workflow, whatever the clocks of its owners say: their
///   order is that of the ledger.
/// - A compensation and a callback wait for tasks that have ended (the step; the last steps), so they get their results, and start when
///   their acceptance is committed. One that a deposed primary had accepted, and could not commit, is not adopted: its
///   successor decides by itself. A compensation that fails for good does not stop the others; the workflow's error names it.
/// - The records of an open workflow are kept, whether or not the registry has the outcomes of its tasks; and until the
///   registry has the workflow's own.
extension TaskOwner {
    /// The tasks of one workflow: what would else be looked up in the records, at each of their ends.
    struct Roster: Sendable {
        var members: Set<TaskID> = []
        /// Those whose end is not committed.
        var open: Set<TaskID> = []
        /// Milliseconds, of the latest end.
        var latestEnd = Int64.min

        mutating func enroll(_ record: TaskRecord) {
            members.insert(record.id)
            open.insert(record.id)
            if let end = record.finishedAt?.milliseconds { latestEnd = max(latestEnd, end) }
        }
    }

    /// Accepts a workflow, its root first: all of it or nothing.
    mutating func acceptTogether(_ acceptances: [Acceptance], in index: Int) {
        let known = acceptances.map { ledgers[index].primary.state[$0.id]?.status }
        ledgers[index].primary.append(.acceptedTogether(acceptances))
        for (acceptance, before) in zip(acceptances, known) {
            guard let record = ledgers[index].primary.state[acceptance.id] else { continue }
            settle(record, was: before, in: index)
        }
    }

    func isOpenWorkflow(_ root: TaskID, in index: Int) -> Bool {
        ledgers[index].primary.state[root].map { !$0.status.isFinal } ?? false
    }

    /// A task of a workflow came, or changed its status.
    mutating func enroll(_ record: TaskRecord, in index: Int) {
        guard let part = record.spec.workflow else { return }
        guard part.workflow != record.id else {
            stirred.insert(record.id)
            return
        }
        ledgers[index].workflows[part.workflow, default: Roster()].enroll(record)
        guard let root = ledgers[index].primary.state[part.workflow] else { return }
        // Only then something follows from what is no end.
        if root.failedBy != nil || root.isCancelRequested { stirred.insert(part.workflow) }
    }

    /// The end of a task of a workflow is committed.
    mutating func leaveOpen(_ record: TaskRecord, in index: Int) {
        guard let part = record.spec.workflow, part.workflow != record.id else { return }
        ledgers[index].workflows[part.workflow]?.open.remove(record.id)
        // Its children are told by themselves: nothing else follows from a success but the last.
        if record.status != .completed || ledgers[index].workflows[part.workflow]?.open.isEmpty == true {
            stirred.insert(part.workflow)
        }
    }

    mutating func leaveWorkflow(_ id: TaskID, in index: Int) {
        guard let part = ledgers[index].primary.state[id]?.spec.workflow else { return }
        if part.workflow == id {
            ledgers[index].workflows[id] = nil
            ledgers[index].storedWorkflows.remove(id)
        } else {
            ledgers[index].workflows[part.workflow]?.members.remove(id)
            ledgers[index].workflows[part.workflow]?.open.remove(id)
        }
    }

    /// Whether `advanceWorkflows` has something to do.
    public var hasStirredWorkflows: Bool { !stirred.isEmpty }

    /// Decides what follows in workflows of which something has become known. Once a turn.
    public mutating func advanceWorkflows(at now: Instant, timestamp: Timestamp, microseconds: UInt64) {
        for root in stirred.sorted() {
            stirred.remove(root)
            guard let index = index(of: root), let record = ledgers[index].primary.state[root], !record.status.isFinal,
                case .root(let plan) = record.spec.workflow?.role
            else { continue }
            Advance(
                root: root, plan: plan, index: index, now: now, timestamp: timestamp, microseconds: microseconds
            ).carryOut(on: &self)
        }
    }

    /// When a step ends, for all to see: later than those that ended before.
    func endTime(of record: TaskRecord, in index: Int, _ timestamp: Timestamp) -> Timestamp {
        guard let part = record.spec.workflow else { return timestamp }
        let latest = ledgers[index].workflows[part.workflow]?.latestEnd ?? .min
        return Timestamp(milliseconds: max(timestamp.milliseconds, latest &+ 1))
    }

    /// Whether the record has to stay, since a workflow is looked at by it.
    func isHeldByWorkflow(_ id: TaskID, in index: Int) -> Bool {
        guard let part = ledgers[index].primary.state[id]?.spec.workflow, part.workflow != id,
            let root = ledgers[index].primary.state[part.workflow]
        else { return false }
        return !root.status.isFinal || settings.hasRegistry && !ledgers[index].storedWorkflows.contains(part.workflow)
    }

    /// What is known of a workflow; nil: this node does not own it.
    public func workflow(_ root: TaskID) -> [TaskRecord]? {
        guard let index = index(of: root), let record = ledgers[index].primary.state[root], record.spec.isWorkflow
        else {
            return nil
        }
        let members = ledgers[index].workflows[root]?.members.sorted() ?? []
        return [record] + members.compactMap { ledgers[index].primary.state[$0] }
    }

    /// One look at one workflow.
    private struct Advance {
        let root: TaskID
        let plan: WorkflowPlan
        let index: Int
        let now: Instant
        let timestamp: Timestamp
        let microseconds: UInt64

        func carryOut(on owner: inout TaskOwner) {
            let members = (owner.ledgers[index].workflows[root]?.members ?? []).sorted()
                .compactMap { owner.ledgers[index].primary.state[$0] }
            let steps = members.filter { $0.spec.workflow?.isStep == true }
            let hasEnded = { [owner] (record: TaskRecord) in record.status.isFinal && owner.isTellable(record) }
            let tolerated = toleratedFailures(steps)
            let failed = steps.filter { hasEnded($0) && $0.status != .completed && !tolerated.contains($0.id) }
            guard let record = owner.ledgers[index].primary.state[root] else { return }
            var isStopping = record.failedBy != nil || record.isCancelRequested
            if !isStopping, plan.stopsOnFailure, let first = failed.min(by: { ends($0, before: $1) }) {
                owner.record(.workflowFailing(root, by: first.id, at: timestamp), in: index)
                isStopping = true
            }
            if isStopping {
                for step in steps where !step.status.isFinal && step.lease == nil {
                    let at = owner.endTime(of: step, in: index, timestamp)
                    owner.record(.cancelled(step.id, at: at), in: index, then: .ended(step.id))
                }
            }
            #if PLANTED_BUGS
            let awaitsSteps = !PlantedBug.isActive(.stepsNotAwaited)
            #else
            let awaitsSteps = true
            #endif
            guard !awaitsSteps || steps.allSatisfy(hasEnded) else { return }
            let isFailed = record.failedBy != nil || !failed.isEmpty
            if isFailed, !compensate(steps, members, hasEnded, on: &owner) { return }
            guard callBack(steps, members, isFailed, hasEnded, on: &owner) else { return }
            end(record, members, failed, isFailed, on: &owner)
        }

        private func ends(_ a: TaskRecord, before b: TaskRecord) -> Bool {
            (a.finishedAt?.milliseconds ?? .max, a.id) < (b.finishedAt?.milliseconds ?? .max, b.id)
        }

        private func toleratedFailures(_ steps: [TaskRecord]) -> Set<TaskID> {
            var children: [TaskID: [TaskRecord]] = [:]
            for step in steps {
                for parent in step.spec.dependencies.parents { children[parent, default: []].append(step) }
            }
            guard steps.contains(where: { $0.spec.dependencies.needed != nil }) else { return [] }
            var tolerated: Set<TaskID> = []
            var count = -1
            while tolerated.count > count {
                count = tolerated.count
                for step in steps {
                    guard let mine = children[step.id] else { continue }
                    let isSpared = mine.allSatisfy {
                        $0.spec.dependencies.needed != nil || tolerated.contains($0.id)
                    }
                    if isSpared { tolerated.insert(step.id) }
                }
            }
            return tolerated
        }

        /// - Returns: whether all compensations have ended.
        private func compensate(
            _ steps: [TaskRecord], _ members: [TaskRecord], _ hasEnded: (TaskRecord) -> Bool,
            on owner: inout TaskOwner
        ) -> Bool {
            let completed = steps.filter { $0.status == .completed && $0.spec.workflow?.compensation != nil }
            #if PLANTED_BUGS
            let forwards = PlantedBug.isActive(.undoneForwards)
            #else
            let forwards = false
            #endif
            for step in completed.sorted(by: { forwards ? ends($0, before: $1) : ends($1, before: $0) }) {
                guard let errand = step.spec.workflow?.compensation else { continue }
                if let known = members.first(where: { $0.spec.workflow?.role == .compensation(step.id) }) {
                    #if PLANTED_BUGS
                    if PlantedBug.isActive(.undoneAtOnce) { continue }
                    #endif
                    guard hasEnded(known) else { return false }
                    continue
                }
                accept(
                    errand, ref: step.spec.workflow?.ref ?? "", .compensation(step.id), after: [step.id], on: &owner)
                return false
            }
            return true
        }

        /// - Returns: whether all callbacks have ended.
        private func callBack(
            _ steps: [TaskRecord], _ members: [TaskRecord], _ isFailed: Bool, _ hasEnded: (TaskRecord) -> Bool,
            on owner: inout TaskOwner
        ) -> Bool {
            let parents = Set(steps.flatMap(\.spec.dependencies.parents))
            let leaves = steps.map(\.id).filter { !parents.contains($0) }.prefix(Limits.dependencies)
            var isOver = true
            for callback in plan.callbacks
            where callback.occasion == .always || (callback.occasion == .failure) == isFailed {
                if let known = members.first(where: { $0.spec.workflow?.role == .callback(callback.occasion) }) {
                    if !hasEnded(known) { isOver = false }
                } else {
                    accept(
                        callback.errand, ref: callback.occasion.name, .callback(callback.occasion),
                        after: Array(leaves), on: &owner)
                    isOver = false
                }
            }
            return isOver
        }

        private func accept(
            _ errand: Errand, ref: String, _ role: WorkflowPart.Role, after parents: [TaskID],
            on owner: inout TaskOwner
        ) {
            var spec = TaskSpec(
                type: errand.type, payload: errand.payload, priority: errand.priority, queue: errand.queue,
                retry: errand.retry, timeout: errand.timeout,
                dependencies: TaskDependencies(parents: parents, onFailure: .run))
            spec.workflow = WorkflowPart(workflow: root, ref: ref, role: role)
            let id = owner.ids.next(for: owner.ledgers[index].primary.id, microseconds: microseconds)
            owner.record(
                .accepted(Acceptance(id: id, spec: spec, enqueuedAt: now, due: nil, expires: nil)), in: index)
        }

        private func end(
            _ record: TaskRecord, _ members: [TaskRecord], _ failed: [TaskRecord], _ isFailed: Bool,
            on owner: inout TaskOwner
        ) {
            let status: TaskStatus = !isFailed ? .completed : record.isCancelRequested ? .cancelled : .failed
            let first = members.first { $0.id == record.failedBy } ?? failed.min { ends($0, before: $1) }
            var message = first.map { step in
                "step \"\(step.spec.workflow?.ref ?? "")\" (\(step.id)) is \(step.status.name)"
                    + (step.failure.map { ": \($0.type)" } ?? "")
            }
            let broken = members.filter { member in
                guard case .compensation? = member.spec.workflow?.role else { return false }
                return member.status != .completed
            }
            if !broken.isEmpty {
                message =
                    (message ?? "") + "; not compensated: "
                    + broken.prefix(20).map { $0.spec.workflow?.ref ?? "" }.joined(separator: ", ")
            }
            let failure =
                !isFailed
                ? nil
                : TaskFailure(
                    type: broken.isEmpty ? "step_failed" : "compensation_failed",
                    message: message ?? "it was cancelled", isRetryable: false)
            let at = owner.endTime(of: record, in: index, timestamp)
            owner.record(.workflowEnded(root, status, failure, at: at), in: index, then: .ended(root))
        }
    }
}
