import Node
import Primitives
import TaskLedger
import Views

/// Judges what handlers do: every start, at once.
///
/// - No token starts twice; attempts of a task start in the order of their tokens (rule R3: a primary starts nothing that a
///   deposed one could still start).
/// - A task of at_most_once starts once.
/// - A task that waits for others starts when enough of them have completed.
/// - A node starts nothing while it has been cut off from the majority of its voters for longer than the fence.
/// - Nothing of a ledger starts in one term while a primary of an earlier one may still start it.
/// - A task runs again only after its attempt has failed, or for a cause: the attempt was cut off, its node was in trouble, or
///   was taken for gone. Such duplicates are counted by cause.
/// - In a node's own slots the best ready task starts first: of tasks of one priority only those of one queue and one fairness
///   key are compared, since others take turns.
/// - Nothing of a queue starts at a node that knows it to be paused.
///
/// `@unchecked`: only touched by the world's thread.
final class RunChecker: @unchecked Sendable {
    enum Cause: String, CaseIterable {
        /// The process that ran it ended.
        case cutOff = "cut off"
        /// Something was done to its node or to its links.
        case trouble = "trouble"
        /// A view had removed its node, and nothing was wrong with it.
        case suspicion = "wrong suspicion"
        /// Packets are lost anyway.
        case noise
        /// Copies were destroyed.
        case destroyed = "copies destroyed"
    }

    private let world: World
    private let plan: SimulationPlan
    private let stage: Stage
    private let inspector: Inspector
    private let submissions: Submissions
    private let contacts: Contacts
    private(set) var duplicates: [Cause: Int] = [:]
    private(set) var runs = 0
    private(set) var priorityChecks = 0
    private(set) var startsBesidePauses = 0

    /// Something that must not be, unless an inspection excuses it: what was destroyed, and which views were made, may not
    /// have been seen yet.
    private struct Doubt {
        /// The run that was repeated without a cause.
        var earlier: Observations.Run?
        var task: TaskID
        var violation: Violation
    }
    private var doubts: [Doubt] = []
    /// Who the process was when a run began: it may go on under another generation. Never iterated.
    private var lives: [AttemptKey: NodeID] = [:]

    private struct AttemptKey: Hashable {
        var task: TaskID
        var token: Token
    }
    private var random: SeededGenerator
    /// Found by an observer, which cannot stop the run.
    private(set) var found: Violation?
    /// Something began that has to be looked at from outside.
    var wantsLook: (Int) -> Void = { _ in }

    init(
        _ plan: SimulationPlan, _ stage: Stage, _ inspector: Inspector, _ submissions: Submissions, _ contacts: Contacts
    ) {
        self.plan = plan
        self.stage = stage
        self.inspector = inspector
        self.submissions = submissions
        self.contacts = contacts
        world = stage.world
        random = SeededGenerator(seed: plan.seed, for: "what is checked")
    }

    /// From within the process that runs it.
    func began(_ index: Int) {
        let run = world.observations.runs[index]
        runs += 1
        lives[AttemptKey(task: run.task, token: run.token)] = world.nodes[run.node].identity
        guard found == nil else { return }
        let earlier = world.observations.runs(of: run.task).dropLast()
        found = check(run, after: Array(earlier))
    }

    private func check(_ run: Observations.Run, after earlier: [Observations.Run]) -> Violation? {
        let now = world.now
        let known = submissions[run.task]
        let isExcused = inspector.isExcused(run.task, since: known?.sentAt)
        let what = "\(run.task) under \(run.token) at node \(run.node)"
        if !isExcused {
            func doubt(_ property: Property, _ detail: String) {
                doubts.append(Doubt(earlier: nil, task: run.task, violation: Violation(property, detail, at: now)))
            }
            if let other = earlier.first(where: { $0.token == run.token }) {
                doubt(.tokenTwice, "\(what) has started at node \(other.node) before")
            } else if plan.checksFence, let other = earlier.first(where: { $0.token > run.token }) {
                let late = (now - other.began).milliseconds
                doubt(.lateStart, "\(what) starts \(late) ms after \(other.token) at node \(other.node)")
            } else if known?.task.spec.delivery == .atMostOnce,
                let other = earlier.first(where: { $0.token.run == run.token.run })
            {
                doubt(.onceTwice, "\(what) has started under \(other.token) at node \(other.node) before")
            }
            if let known, let violation = checkTime(run, known) ?? checkOrder(run, known, what) { return violation }
            if let known, let reason = waiting(known.task.spec.dependencies) {
                doubt(.startedBlocked, "\(what) starts, and \(reason)")
            }
        }
        if let (told, at) = known?.told[run.token.run], !isExcused, cause(run, since: at - .seconds(5)) == nil,
            earlier.allSatisfy({ cause($0, since: $0.began) == nil })
        {
            return Violation(
                .causelessDuplicate, "\(what) starts; a client was told before that it is \(told)", at: now)
        }
        // A new run is what a client has asked for.
        for other in earlier where other.token.run == run.token.run {
            if case .failed? = other.end { continue }
            // One whose time was up has failed, even if its handler goes on.
            if let limit = known?.task.spec.timeout,
                (other.ended ?? now) - other.began > .milliseconds(Int64(limit) * 97 / 100)
            {
                continue
            }
            guard let cause = cause(other, since: other.began) ?? (isExcused ? .destroyed : nil) else {
                let before = other.end.map { "\($0)" } ?? "runs"
                doubts.append(
                    Doubt(
                        earlier: other, task: run.task,
                        violation: Violation(
                            .causelessDuplicate,
                            "\(what) starts; the attempt \(other.token) at node \(other.node) \(before), and nothing "
                                + "has happened to it", at: now)))
                continue
            }
            duplicates[cause, default: 0] += 1
        }
        return nil
    }

    /// Why a task that waits for others must not start, as far as can be told from what handlers have done; nil: it may.
    private func waiting(_ dependencies: TaskDependencies) -> String? {
        guard dependencies.onFailure != .run else { return nil }
        let completed = dependencies.parents.count { parent in
            inspector.isExcused(parent, since: submissions[parent]?.sentAt)
                || world.observations.runs(of: parent).contains { $0.end == .completed }
        }
        guard completed < min(Int(dependencies.needed ?? .max), dependencies.parents.count) else { return nil }
        return "\(completed) of the \(dependencies.parents.count) tasks that it waits for have completed"
    }

    /// Tasks with one ordering key run one at a time; and none starts in its first run after one has started that was submitted
    /// when this one was accepted.
    private func checkOrder(_ run: Observations.Run, _ known: Submissions.Known, _ what: String) -> Violation? {
        guard let key = known.task.spec.orderingKey else { return nil }
        for id in submissions.ids(orderedBy: key) where id != run.task {
            guard let other = submissions[id], !inspector.isExcused(id, since: other.sentAt) else { continue }
            let runs = world.observations.runs(of: id)
            if let begun = runs.first, run.token.run == 1, known.acceptedAt.map({ $0 < other.sentAt }) ?? false {
                return Violation(
                    .outOfOrder,
                    "\(what) starts; \(id), which came later under the same key, started at \(begun.began)",
                    at: world.now)
            }
            if let last = runs.last, last.end == nil, cause(last, since: last.began) == nil {
                doubts.append(
                    Doubt(
                        earlier: last, task: id,
                        violation: Violation(
                            .outOfOrder, "\(what) starts; \(id) of the same key runs at node \(last.node)",
                            at: world.now)))
            }
        }
        return nil
    }

    /// The tasks of one schedule run one at a time. From outside: who it is has to be looked up.
    func checkSchedule(_ run: Observations.Run, _ firing: Firing) {
        for id in submissions.schedules.tasks(of: firing.schedule).suffix(100) where id != run.task {
            guard let last = world.observations.runs(of: id).last, last.end == nil, last.began <= run.began,
                !inspector.isExcused(id, since: submissions.schedules.knownSince(id)),
                cause(last, since: last.began) == nil
            else { continue }
            doubts.append(
                Doubt(
                    earlier: last, task: id,
                    violation: Violation(
                        .outOfOrder,
                        "\(run.task) of \(firing.schedule) starts under \(run.token) at node \(run.node); \(id) of it runs "
                            + "at node \(last.node)", at: world.now)))
        }
    }

    /// After an inspection.
    func settleDoubts() -> Violation? {
        defer { doubts = [] }
        for doubt in doubts {
            if inspector.isExcused(doubt.task, since: submissions[doubt.task]?.sentAt) { continue }
            guard let earlier = doubt.earlier, let cause = cause(earlier, since: earlier.began) else {
                return doubt.violation
            }
            if doubt.violation.property == .causelessDuplicate { duplicates[cause, default: 0] += 1 }
        }
        return nil
    }

    /// What excuses that a run is done again.
    private func cause(_ run: Observations.Run, since: Instant) -> Cause? {
        if run.end == .cutOff { return .cutOff }
        if stage.wasInTrouble(run.node, since: since) { return .trouble }
        // Where a disk takes nothing its result may be kept by nobody: then it has failed.
        if run.end == .completed, stage.mayStop(run.node, since: since) { return .trouble }
        if let life = lives[AttemptKey(task: run.task, token: run.token)], stage.removed.contains(life) {
            return .suspicion
        }
        if let ledger = inspector.ledger(of: run.task) {
            if let harmed = stage.harmed[ledger], harmed > since - .seconds(10) { return .destroyed }
        }
        // A cancelled handler has not completed, whatever it did.
        if run.end == .cancelled { return .cutOff }
        return plan.options["loss"] > 0 ? .noise : nil
    }

    private func checkTime(_ run: Observations.Run, _ known: Submissions.Known) -> Violation? {
        guard known.changesAsked == 0, run.token.run == 1 else {
            guard let notBefore = known.notBefore, run.token.run == 1,
                !plan.faults.contains(where: { $0.kind == .clockJump }),
                // Clocks differ by 2 % at most.
                world.now < notBefore - (notBefore - known.sentAt) * 3 / 100 - .milliseconds(50)
            else { return nil }
            return Violation(
                .tooEarly, "\(run.task) starts at \(world.now); it was changed not to start before \(notBefore)",
                at: world.now)
        }
        // Both times are of one clock, and are moved together: what is over before it may begin never begins.
        if let expiry = known.task.spec.expiry, known.task.spec.delay > expiry {
            return Violation(
                .tooLate,
                "\(run.task) starts; it expires after \(expiry) of the \(known.task.spec.delay) ms of its delay",
                at: world.now)
        }
        // A clock that is set changes the age of what a restarted node reads; that is as good as it gets.
        guard known.task.spec.delay > 0, !plan.faults.contains(where: { $0.kind == .clockJump }) else { return nil }
        let waited = world.now - known.sentAt
        // Clocks differ by 2 % at most.
        guard waited < .milliseconds(Int64(known.task.spec.delay) * 97 / 100 - 50) else { return nil }
        return Violation(
            .tooEarly, "\(run.task) starts after \(waited.milliseconds) of \(known.task.spec.delay) ms", at: world.now)
    }

    /// Right after the start, from outside of the process: its view has to be looked up.
    func checkPermission(of index: Int) -> Violation? {
        let run = world.observations.runs[index]
        guard let problem = contacts.problem(of: run.node) else { return nil }
        return Violation(
            .startedWhileCutOff, "node \(run.node) starts \(run.task) under \(run.token): \(problem)", at: world.now)
    }

    /// From outside: whether somebody may still start what this one has begun.
    func checkRest(of index: Int) -> Violation? {
        let run = world.observations.runs[index]
        guard plan.checksFence else { return nil }
        // The clock of one that stands still may be behind; what it does when it goes on is looked at then.
        for other in world.nodes where other.index != run.node && other.isUp && !other.isPaused {
            let found = other.look { core in
                core.mayStart ? core.served.first { $0.copy.state[run.task] != nil } : nil
            }
            guard let (ledger, term) = (found ?? nil).map({ ($0.copy.id, $0.term) }), term < run.token.term else {
                continue
            }
            return Violation(
                .startedTooSoon,
                "node \(run.node) starts \(run.task) under \(run.token); node \(other.index) serves \(ledger) in term "
                    + "\(term), and may start it as well", at: world.now)
        }
        return nil
    }

    /// From outside: what the node that has started it goes by.
    ///
    /// A handler is called a moment after the node has decided to start it, and may be held up: a pause that came in between
    /// is none of its business.
    func checkPause(of index: Int) -> Violation? {
        let run = world.observations.runs[index]
        guard let view = world.nodes[run.node].look({ $0.view }) ?? nil,
            view.settings.queues.contains(where: \.isPaused)
        else { return nil }
        startsBesidePauses += 1
        let since = stage.machines[run.node].installedAt
        guard let spec = submissions[run.task]?.task.spec, view.settings.queue(spec.queue).isPaused,
            stage.machines[run.node].installed?.number == view.number, world.now - since > .milliseconds(50),
            !stage.wasInTrouble(run.node, since: since)
        else { return nil }
        return Violation(
            .startedWhilePaused,
            "node \(run.node) starts \(run.task) under \(run.token); its queue \(spec.queue) is paused in the view that the "
                + "node has had for \((world.now - since).milliseconds) ms", at: world.now)
    }

    // MARK: Looks from outside

    /// Now and then: whether something better was passed over.
    func drawsPriorityCheck() -> Bool { random.next() & 7 == 0 }

    /// Whether another task of its priority, whose turn it was not, brought it forward: that one may have come since the list
    /// was made, with an old age.
    private func isLed(_ record: TaskRecord, before key: Instant, since: Instant, _ served: [ServedLedger]) -> Bool {
        served.contains { served in
            served.copy.state.tasks.values.contains { other in
                if wasMoved(other, from: record.spec.priority, key) { return true }
                guard other.id != record.id, other.spec.priority == record.spec.priority, ReadyList.key(other) <= key
                else { return false }
                let last = world.observations.runs(of: other.id).last
                // Leased, and its start waits for the commit, or it is on its way to whoever is to run it.
                if other.status == .processing, last?.token != other.lease?.token { return true }
                return other.status == .pending || last.map { $0.began >= since } ?? false
            }
        }
    }

    /// Whether a client has given the task another priority: what stands for it in the old one stays there, with its age, until
    /// its turn comes.
    private func wasMoved(_ task: TaskRecord, from priority: Priority, _ key: Instant) -> Bool {
        guard task.changes > 0, task.enqueuedAt - Limits.agingWeight * Int(priority.rawValue - 1) <= key else {
            return false
        }
        return task.history.steps.contains { step in
            if case .changed(_, from: priority) = step.kind { true } else { false }
        }
    }

    func checkPriority(of index: Int) -> Violation? {
        let run = world.observations.runs[index]
        let node = world.nodes[run.node]
        guard run.end == nil, let list = inspector.ready[run.node], list.pending.contains(run.task), !list.best.isEmpty,
            world.now - list.at < .seconds(1), submissions.lastWish.map({ world.now - $0 > .seconds(20) }) ?? true,
            !stage.wasInTrouble(run.node, since: list.at)
        else { return nil }
        return node.look { [self] core in
            let served = core.served
            // The start may have waited for its commit. Before that view there may have been other settings.
            let machine = stage.machines[run.node]
            guard let view = core.view, machine.installed?.number == view.number, machine.installedAt < list.at else {
                return nil
            }
            guard let record = served.lazy.compactMap({ $0.copy.state[run.task] }).first, record.status == .processing,
                record.lease?.holder == core.identity, record.lease?.token == run.token,
                record.spec.delivery == .atLeastOnce, record.interruptions == 0, record.attempts == 1
            else { return nil }
            priorityChecks += 1
            let key = ReadyList.key(record)
            let level = list.best.lazy.filter { $0.priority == record.spec.priority }.map(\.key).min() ?? key
            for item in list.best where item.key < key && item.id != run.task {
                guard item.priority != record.spec.priority ? item.key < level : item.sharesTurns(with: record),
                    case let rules = view.settings.queue(item.queue), !rules.isPaused, rules.rate == nil,
                    rules.concurrency == nil
                else { continue }
                guard let other = served.lazy.compactMap({ $0.copy.state[item.id] }).first, other.status == .pending,
                    other.attempts == item.attempts
                else { continue }
                if item.priority != record.spec.priority, isLed(record, before: item.key, since: list.at, served) {
                    continue
                }
                return Violation(
                    .inversion,
                    "node \(run.node) starts \(run.task) (priority \(record.spec.priority.rawValue)) before \(item.id) "
                        + "(priority \(other.spec.priority.rawValue)), which is better by "
                        + "\((key - item.key).milliseconds) ms and was ready", at: world.now)
            }
            return nil
        } ?? nil
    }
}
