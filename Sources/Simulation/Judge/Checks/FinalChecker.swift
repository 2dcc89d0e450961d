import Node
import Primitives
import TaskLedger
import Views

/// Judges whether the cluster is well again, long after everything was healed.
struct FinalChecker {
    let world: World
    let stage: Stage
    let inspector: Inspector
    let submissions: Submissions
    let answers: AnswerChecker
    let clients: Clients
    let isRegistryEmptied: Bool
    /// Faults may destroy what cannot be made up for.
    let isBeyond: Bool

    /// Why the nodes are not in one complete view; nil: they are.
    var disagreement: String? {
        guard let view = stage.view else { return "there is no view" }
        var living: Set<NodeID> = []
        for node in world.nodes where !stage.machines[node.index].isAway {
            guard node.life == .up else { return "node \(node.index) is \(node.life)" }
        }
        for node in world.nodes where node.isUp {
            let (identity, installed, isConfirmed) =
                node.look { ($0.identity, $0.view, $0.isConfirmed) } ?? (nil, nil, false)
            guard let identity else { continue }
            living.insert(identity)
            guard installed == view else {
                return "node \(node.index) is in view \(installed?.number ?? 0), and there is a view \(view.number)"
            }
            guard isConfirmed else { return "node \(node.index) does not know that its view \(view.number) is current" }
        }
        let members = Set(view.members.map(\.id))
        guard members == living else {
            return "view \(view.number) has the members \(view.members.map(\.id)), and \(living.sorted()) live"
        }
        for ledger in view.ledgers where stage.excused[ledger.id] == nil || ledger.replicas.contains(where: isAlive) {
            if let problem = problem(of: ledger, view) { return problem }
        }
        for member in view.members
        where !view.ledgers.contains(where: { $0.founder == member.replica && $0.primary == $0.founder }) {
            return "\(member.id) has no ledger of its own"
        }
        return nil
    }

    private func isAlive(_ replica: StoreHolder) -> Bool {
        stage.view?.members.contains { $0.replica == replica } ?? false
    }

    private func problem(of ledger: LedgerAssignment, _ view: View) -> String? {
        guard let node = stage.index(ledger.primary.name) else { return "\(ledger.id) has an unknown primary" }
        let served = world.nodes[node].look { core in core.served.first { $0.copy.id == ledger.id } } ?? nil
        guard let served, served.term == ledger.term else {
            return "\(ledger.id) is not served by node \(node), its primary in term \(ledger.term)"
        }
        guard served.committed == served.copy.last.sequence else {
            return "\(ledger.id) is committed up to \(served.committed) of \(served.copy.last)"
        }
        let wanted = min(Int(view.settings.copies), view.members.count)
        // A drained one is about to go.
        guard ledger.replicas.count >= wanted || served.copy.state.tasks.isEmpty else {
            return "\(ledger.id) has \(ledger.replicas.count) copies of \(wanted)"
        }
        return nil
    }

    /// Open tasks, if there are any.
    var openTasks: String? {
        for node in world.nodes {
            let open =
                node.look { core in
                    core.served.lazy.filter { $0.copy.state.openCount > 0 }.compactMap { served in
                        served.copy.state.tasks.values.filter { !$0.status.isFinal }.min { $0.id < $1.id }
                            .map { (served.copy.id, served.copy.state.openCount, $0) }
                    }.first
                } ?? nil
            guard let (ledger, count, task) = open else { continue }
            return "\(count) tasks of \(ledger) at node \(node.index) are open: \(task.id) is \(task.status.name), "
                + "in \(String(describing: stage.view?.settings.queue(task.spec.queue))), "
                + "attempt \(task.attempts), \(task.interruptions) interruptions, lease \(task.lease.map { "\($0)" } ?? "none"); "
                + task.transitions(acceptedBy: nil).map { "\($0.kind) \($0.run)/\($0.attempt ?? 0) \($0.at)" }
                .joined(separator: ", ")
        }
        return nil
    }

    /// Every task that was acknowledged has its outcome, and the one that it should have.
    func violation() -> Violation? {
        let now = world.now
        if let call = clients.lookForForgotten() { return Violation(.neverAnswered, call, at: now) }
        // Every disk that knew of the cluster was destroyed: nothing is left to go on with.
        if isBeyond, world.nodes.allSatisfy({ $0.look { $0.view } ?? nil == nil }) || stage.hasLostAllMembers {
            return nil
        }
        if let problem = disagreement { return Violation(.disagreement, problem, at: now) }
        if let problem = openTasks { return Violation(.notDrained, problem, at: now) }
        var records: [TaskID: TaskRecord] = [:]
        for node in world.nodes {
            node.look { core in
                for served in core.served { records.merge(served.copy.state.tasks) { first, _ in first } }
            }
        }
        let registry = world.redis?.results ?? [:]
        for id in submissions.ids {
            guard let known = submissions[id], !inspector.isExcused(id, since: known.sentAt) else { continue }
            if let violation = check(id, known, records[id], registry[id]?.document) { return violation }
            // Of two under one key: nothing has happened to either, and both are there.
            guard known.task.spec.idempotency != nil, let first = submissions.id(of: known.serial), first != id,
                !inspector.isKeyExcused(first, since: known.sentAt), records[id] != nil || registry[id] != nil,
                records[first] != nil || registry[first] != nil
            else { continue }
            return Violation(.keyTwice, "\(known.serial) is there as \(first) and as \(id)", at: now)
        }
        let results = ResultChecker(world: world, stage: stage) { [inspector, submissions] id in
            inspector.isExcused(id, since: submissions[id]?.sentAt)
        }
        if let violation = results.violation(records) { return violation }
        if let violation = WorkflowChecker(self).violation(records) { return violation }
        if let violation = TopicChecker(self).violation(records) { return violation }
        if let violation = CallbackChecker(self).violation(records) { return violation }
        return checkWrites()
    }

    /// A task was told of those that it waited for what clients were told.
    private func checkParents(of record: TaskRecord) -> Violation? {
        guard submissions.lastSweep == nil else { return nil }
        for (parent, outcome) in zip(record.spec.dependencies.parents, record.parents) {
            guard let outcome, let known = submissions[parent], !known.isRetryAsked, !answers.mayBePurged(parent),
                !inspector.isExcused(parent, since: known.sentAt)
            else { continue }
            if outcome.end == .lost, isRegistryEmptied, answers.isHandedOver(parent) { continue }
            let told = known.told[1]?.outcome.status.name
            guard outcome.end == .lost || told != nil && told != outcome.end.name else { continue }
            return Violation(
                .falseParent,
                "\(record.id) was told that \(parent) is \(outcome.end.name); clients were told \(told ?? "nothing")",
                at: world.now)
        }
        return nil
    }

    /// Only what was committed has ever been written to the registry, even if something else has replaced it since.
    private func checkWrites() -> Violation? {
        for (id, token) in world.redis?.writes ?? [] {
            guard let history = inspector.history(of: id),
                let end = token.run == history.run ? history.end?.token : history.earlierEnds[token.run], end != token,
                !inspector.isExcused(id, since: submissions[id]?.sentAt)
            else { continue }
            return Violation(
                .registryDiffers, "\(id) has ended under \(end), and was in the registry under \(token)", at: world.now)
        }
        return nil
    }

    /// What nobody has run may have ended just now.
    private func hasEndedLongAgo(_ id: TaskID) -> Bool {
        world.observations.runs(of: id).last?.ended.map { world.now - $0 > .seconds(30) } ?? false
    }

    private func check(
        _ id: TaskID, _ known: Submissions.Known, _ record: TaskRecord?, _ document: [UInt8]?
    ) -> Violation? {
        let now = world.now
        let stored = document.flatMap { ToldOutcome(document: $0) }
        let recorded = record.flatMap { ToldOutcome($0) }
        if let stored, let recorded, stored.contradicts(recorded) {
            return Violation(.registryDiffers, "\(id) is \(recorded), and in the registry \(stored)", at: now)
        }
        if let recorded, stored.map({ $0.run < recorded.run }) ?? true, world.redis != nil, hasEndedLongAgo(id) {
            return Violation(.notArchived, "\(id) has ended, and the registry does not know", at: now)
        }
        guard let outcome = recorded ?? stored else {
            guard known.acceptedAt != nil else { return nil }
            if answers.mayBePurged(id) || isRegistryEmptied && answers.isHandedOver(id) { return nil }
            return Violation(.lost, "\(id) (\(known.serial)) was accepted, and is nowhere", at: now)
        }
        // What the registry has of an earlier run stays there when a later one is purged.
        if let told = known.runToldAt, outcome.run < known.run, recorded != nil || !answers.mayBePurged(id) {
            return Violation(
                .wishUndone, "\(id) is \(outcome), and was told to be in run \(known.run) at \(told)", at: now)
        }
        if let violation = submissions.tell(id, outcome, at: now) ?? answers.justify(id, outcome) { return violation }
        if let record, let violation = checkParents(of: record) { return violation }
        if let record, record.status == .completed, let token = record.finalToken,
            !world.observations.runs(of: id).contains(where: { $0.token == token && $0.end == .completed })
        {
            return Violation(.impossibleOutcome, "\(id) is completed by \(token), which completed nothing", at: now)
        }
        return nil
    }
}
