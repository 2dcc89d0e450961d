import Primitives
import TaskLedger

/// Judges what has become of workflows, when all is over.
///
/// - One that was acknowledged is there, in a ledger or in the registry, with all its tasks; and it has ended.
/// - It has completed exactly if all its steps have.
/// - What was added to it while it ran is there, once, under the id that was told; and nothing else is. (That it does not end
///   before that is judged as entries are committed: `LedgerHistory`.)
/// - If it has not: each completed step that can be undone was undone once, and no other; the last first, one at a time.
/// - The callbacks that fit its end were made, once each, and no other.
/// - Under one key there is one.
struct WorkflowChecker {
    private let world: World
    private let inspector: Inspector
    private let submissions: Submissions
    private let isRegistryEmptied: Bool
    private let answers: AnswerChecker

    init(_ checker: FinalChecker) {
        world = checker.world
        inspector = checker.inspector
        submissions = checker.submissions
        isRegistryEmptied = checker.isRegistryEmptied
        answers = checker.answers
    }

    func violation(_ records: [TaskID: TaskRecord]) -> Violation? {
        var members: [TaskID: [TaskRecord]] = [:]
        var bound: [String: TaskID] = [:]
        for id in records.keys.sorted() {
            if let record = records[id], record.spec.isWorkflow, let key = record.spec.idempotency?.key {
                let since = [id, bound[key]].lazy.compactMap { $0.flatMap(submissions.whenSent) }.first
                if let first = bound[key], !inspector.isKeyExcused(first, since: since),
                    !inspector.isKeyExcused(id, since: since)
                {
                    return Violation(
                        .keyTwice, "the workflows \(first) and \(id) were accepted under one key", at: world.now)
                }
                bound[key] = id
            }
            guard let record = records[id], let part = record.spec.workflow, part.workflow != id else { continue }
            members[part.workflow, default: []].append(record)
        }
        for id in submissions.workflows.accepted {
            guard let known = submissions.workflows[id], !inspector.isExcused(id, since: known.sentAt) else { continue }
            guard let root = records[id] else {
                if world.redis?.results[id] != nil || isRegistryEmptied && answers.isHandedOver(id) { continue }
                return Violation(.lost, "the workflow \(id) was accepted, and is nowhere", at: world.now)
            }
            // Dead letters that were run again, or are gone, say nothing of what was decided before.
            if submissions.lastSweep != nil || submissions.isPurged(nil) { continue }
            if let problem = problem(of: root, members[id] ?? [], known) {
                return Violation(.falseWorkflow, "the workflow \(id), \(root.status.name), \(problem)", at: world.now)
            }
        }
        return nil
    }

    private func problem(
        of root: TaskRecord, _ members: [TaskRecord], _ known: SubmittedWorkflows.Known
    ) -> String? {
        let steps = members.filter { $0.spec.workflow?.isStep == true }
        if let problem = strangeStep(steps, known) { return problem }
        if let missing = missingStep(of: root.id, steps, known) {
            // Its own ledger holds all of it until the registry has the whole; then the oldest go first.
            return world.redis?.results[root.id] != nil ? nil : missing
        }
        let isComplete = steps.allSatisfy { $0.status == .completed }
        guard (root.status == .completed) == isComplete else {
            return "has steps that are \(steps.map(\.status.name))"
        }
        if root.status == .cancelled, !known.isCancelAsked { return "and nobody has asked for that" }
        return compensationProblem(steps, members, isComplete) ?? callbackProblem(members, isComplete, known)
            ?? orderProblem(steps)
    }

    /// A step that nobody can have added, or that was added twice.
    private func strangeStep(_ steps: [TaskRecord], _ known: SubmittedWorkflows.Known) -> String? {
        var addable = known.addable.union(known.draft.steps.map(\.ref))
        var refs: Set<String> = []
        // In the order of their ids, which need not be that in which they were added.
        for step in steps { addable.formUnion(Self.childRefs(of: step)) }
        for step in steps {
            let ref = step.spec.workflow?.ref ?? ""
            guard addable.contains(ref) else { return "has a step \(ref), \(step.id), which nobody wants" }
            guard refs.insert(ref).inserted else { return "has two steps that are called \(ref)" }
        }
        return nil
    }

    /// A step that was told to be there, or that a completed one has added.
    private func missingStep(
        of root: TaskID, _ steps: [TaskRecord], _ known: SubmittedWorkflows.Known
    ) -> String? {
        let ids = Dictionary(
            steps.map { ($0.spec.workflow?.ref ?? "", $0.id) }, uniquingKeysWith: { first, _ in first })
        let added = steps.filter { $0.status == .completed }.flatMap(Self.childRefs)
        if let ref = (known.draft.steps.map(\.ref) + added).first(where: { ids[$0] == nil }) {
            return "has \(steps.count) steps, and not \(ref)"
        }
        for addition in world.observations.additions + submissions.workflows.additions
        where addition.workflow == root {
            for (ref, id) in zip(addition.refs, addition.ids) where ids[ref] != id {
                return "has \(ids[ref].map { "\($0)" } ?? "nothing") as \(ref), and \(addition.task) was told \(id)"
            }
        }
        return nil
    }

    private static func childRefs(of step: TaskRecord) -> [String] {
        HandlerScript(step.spec.payload)?.childRefs(of: step.spec.workflow?.ref ?? "") ?? []
    }

    private func compensationProblem(_ steps: [TaskRecord], _ members: [TaskRecord], _ isComplete: Bool) -> String? {
        func isBefore(_ a: TaskRecord, _ b: TaskRecord) -> Bool {
            (a.finishedAt?.milliseconds ?? 0, a.id) < (b.finishedAt?.milliseconds ?? 0, b.id)
        }
        let undone = steps.filter { $0.status == .completed && $0.spec.workflow?.compensation != nil }
        let wanted = isComplete ? [] : undone.sorted { isBefore($1, $0) }.map(\.id)
        var made: [(step: TaskID, record: TaskRecord)] = []
        for member in members {
            if case .compensation(let step)? = member.spec.workflow?.role { made.append((step, member)) }
        }
        // In the order in which they were begun. Their ids are of several clocks.
        func began(_ record: TaskRecord) -> Instant {
            world.observations.runs(of: record.id).first?.began ?? .distantFuture
        }
        made.sort { (began($0.record), $0.record.id) < (began($1.record), $1.record.id) }
        guard made.map(\.step) == wanted else {
            return "has undone \(made.map(\.step)), and should have undone \(wanted)"
        }
        var before: Instant?
        for (_, record) in made {
            let runs = world.observations.runs(of: record.id)
            if let before, let first = runs.first, first.began < before {
                return "has begun to undo by \(record.id) at \(first.began), and that before it ended at \(before)"
            }
            // A run that was given up may go on.
            before = runs.filter { $0.end == .completed }.compactMap(\.ended).min() ?? before
        }
        return nil
    }

    private func callbackProblem(
        _ members: [TaskRecord], _ isComplete: Bool, _ known: SubmittedWorkflows.Known
    ) -> String? {
        var made: [UInt8] = []
        for member in members {
            if case .callback(let occasion)? = member.spec.workflow?.role { made.append(occasion.rawValue) }
        }
        let wanted = known.draft.plan.callbacks.map(\.occasion)
            .filter { $0 == .always || ($0 == .failure) == !isComplete }.map(\.rawValue)
        return made.sorted() == wanted.sorted() ? nil : "has made the callbacks \(made), and not \(wanted)"
    }

    /// No step has begun before those have completed on which it depends.
    private func orderProblem(_ steps: [TaskRecord]) -> String? {
        for step in steps where step.spec.dependencies.onFailure == .cancel {
            guard let began = world.observations.runs(of: step.id).first?.began else { continue }
            for parent in step.spec.dependencies.parents {
                let ended = world.observations.runs(of: parent).filter { $0.end == .completed }.compactMap(\.ended)
                    .min()
                guard let ended, ended <= began else { return "has begun \(step.id) before \(parent) had completed" }
            }
        }
        return nil
    }
}
