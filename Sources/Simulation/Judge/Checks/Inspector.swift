import Node
import Primitives
import TaskLedger
import Views

/// Looks into all nodes now and then, and compares what is there with what may be: views, ledgers, the lemma, sizes.
///
/// It looks and lets go: a second reference to a ledger would have the node copy all of it at its next change.
///
/// `@unchecked`: only touched by the world's thread.
final class Inspector: @unchecked Sendable {
    private let world: World
    private let stage: Stage
    private let submissions: Submissions
    private let chronicle: Chronicle
    /// By ledger; iterated only in sorted order.
    private(set) var histories: [LedgerID: LedgerHistory] = [:]
    /// Where a task was accepted. Never iterated.
    private var home: [TaskID: LedgerID] = [:]
    /// Of each node: what was ready when it was looked at last.
    private(set) var ready: [Int: ReadyList] = [:]
    /// When each ledger was first served in its term.
    private(set) var servedSince: [LedgerID: (term: Term, at: Instant)] = [:]
    /// When each was last seen to be served.
    private var lastServed: [LedgerID: Instant] = [:]
    private var viewNumbers: [Int: UInt64] = [:]
    private(set) var lemmaChecks = 0
    private var verdicts = Verdicts()
    /// Tasks are compared with what was submitted when they are first seen.
    private var seenTasks: Set<TaskID> = []

    init(_ stage: Stage, _ submissions: Submissions, _ chronicle: Chronicle) {
        self.stage = stage
        self.submissions = submissions
        self.chronicle = chronicle
        world = stage.world
    }

    var entryCount: Int { histories.values.reduce(0) { $0 + $1.entryCount } }

    /// Looks at every node.
    func inspect() -> Violation? {
        stage.adopt()
        for node in world.nodes {
            guard let (identity, profile) = node.look({ ($0.identity, $0.profile) }) else { continue }
            stage.machines[node.index].identity = identity
            stage.machines[node.index].profile = profile
        }
        // Views first: what is the newest one decides what the ledgers have to hold.
        for node in world.nodes {
            guard let view = node.look({ $0.view }) ?? nil else { continue }
            stage.machines[node.index].installed = view
            if viewNumbers[node.index] != view.number {
                viewNumbers[node.index] = view.number
                stage.machines[node.index].installedAt = world.now
                chronicle.note(
                    world.now,
                    "node \(node.index) is in view \(view.number): members \(view.members.map(\.id.name)), voters "
                        + "\(view.voters.map(\.name)), ledgers "
                        + view.ledgers.map { "\($0.id)/\($0.term): \($0.primary.name) \($0.backups.map(\.name))" }
                        .joined(separator: ", "))
                if let violation = stage.saw(view, at: node.index) { return violation }
            }
        }
        stage.lookAtSides()
        for node in world.nodes {
            guard let members = node.look({ $0.membersKnown }),
                let judge = members.first(where: { $0.id.name == node.name }),
                let risen = verdicts.take(members, by: judge.id, start: node.starts, at: node.index)
            else { continue }
            return Violation(
                .livesAgain, "\(risen) lives for node \(node.index), which held it dead or gone", at: world.now)
        }
        for node in world.nodes {
            if let violation = node.look({ [self] in inspectServed($0, at: node.index) }) ?? nil { return violation }
        }
        for node in world.nodes {
            if let violation = node.look({ [self] in inspectCopies($0, at: node.index) }) ?? nil { return violation }
        }
        return nil
    }

    // MARK: Ledgers

    private func inspectServed(_ core: NodeCore, at node: Int) -> Violation? {
        var list = ReadyList(at: world.now)
        let served = core.served
        let isListed = ReadyList.isDue(
            after: ready[node]?.at, tasks: served.reduce(0) { $0 + $1.copy.state.tasks.count }, at: world.now)
        for served in served {
            let id = served.copy.id
            lastServed[id] = world.now
            if servedSince[id].map({ $0.term < served.term }) ?? true { servedSince[id] = (served.term, world.now) }
            if let problem = take(served, at: node) { return Violation(problem.0, problem.1, at: world.now) }
            if let violation = meet(served.copy) { return violation }
            if let assignment = stage.view?.ledger(id), assignment.term == served.term,
                let violation = checkLemma(served.copy, at: node, core)
            {
                return violation
            }
            let tasks = served.copy.state.tasks.count
            guard tasks <= Limits.keptOutcomes + world.settings.maxQueued + Limits.archivedOutcomes + Limits.deadLetters
            else {
                return Violation(.unbounded, "\(id) at node \(node) has \(tasks) tasks", at: world.now)
            }
            // What was taken over waits for the fence of whoever had it (rule R3).
            if isListed {
                list.add(
                    served.copy,
                    isResting: served.term > .first && world.now - (servedSince[id]?.at ?? .zero) < .seconds(10))
            }
        }
        if isListed { ready[node] = list }
        return nil
    }

    private func inspectCopies(_ core: NodeCore, at node: Int) -> Violation? {
        for copy in core.copies {
            if let violation = checkLemma(copy, at: node, core) { return violation }
            guard copy.recent.count <= Limits.uncommittedEntries + Limits.recentEntries + 2 * Limits.batchTasks else {
                return Violation(
                    .unbounded, "the copy of \(copy.id) at node \(node) keeps \(copy.recent.count) entries",
                    at: world.now)
            }
        }
        return nil
    }

    private func take(_ served: ServedLedger, at node: Int) -> (Property, String)? {
        let id = served.copy.id
        // Whoever does not know yet that it was replaced by a copy which lacked something still has what was given up.
        if stage.excused[id] != nil, stage.view?.ledger(id).map({ served.term < $0.term }) ?? true { return nil }
        var history = histories.removeValue(forKey: id) ?? LedgerHistory(id: id)
        defer { histories[id] = history }
        if let excused = stage.excused[id], excusedAt[id] != excused {
            excusedAt[id] = excused
            history.forget()
        }
        return history.take(served, at: node)
    }

    private var excusedAt: [LedgerID: Instant] = [:]

    /// The lemma: every replica that the newest view lists holds everything that is committed.
    private func checkLemma(_ copy: LedgerCopy, at node: Int, _ core: NodeCore) -> Violation? {
        guard let ledger = stage.view?.ledger(copy.id), let history = histories[copy.id],
            ledger.replicas.contains(StoreHolder(name: world.nodes[node].name, store: core.profile.store))
        else { return nil }
        lemmaChecks += 1
        switch history.isHeld(by: copy) {
        case true?:
            // Not as long as its disk lacks a part of it, since the process may end; nor without what it may have acknowledged
            // before and its primary does not know to be committed yet: what that had at last, if it serves nothing any more,
            // was not seen.
            let isSeen = lastServed[copy.id].map { $0 > stage.machines[node].lastLoss ?? .zero } ?? false
            if core.unwrittenBytes == 0, copy.last == history.newest, isSeen { stage.isWhole(copy.id, at: node) }
            return nil
        case nil: return nil
        case false?:
            guard !stage.machines[node].harmed.contains(copy.id), stage.excused[copy.id] == nil else { return nil }
            return Violation(
                .lemma,
                "\(copy.id) is committed up to \(history.last), and node \(node), which view \(stage.view?.number ?? 0) "
                    + "lists, has it up to \(copy.last)", at: world.now)
        }
    }

    /// Every task that is there was submitted, and is in one ledger.
    private func meet(_ copy: LedgerCopy) -> Violation? {
        guard copy.state.tasks.count != counted[copy.id] else { return nil }
        counted[copy.id] = copy.state.tasks.count
        // In an order that is the same in every run: clients ask for what became known last.
        for id in copy.state.tasks.keys.filter({ !seenTasks.contains($0) }).sorted() {
            seenTasks.insert(id)
            guard let record = copy.state[id] else { continue }
            // One that is not committed may come to nothing, and be accepted anew under its key: the end will tell.
            let violation = submissions.found(id, record.spec, at: world.now, isCommitted: false)
            if let violation { return violation }
            if let other = home[id], other != copy.id {
                return Violation(.resurrected, "\(id) is in \(other) and in \(copy.id)", at: world.now)
            }
            home[id] = copy.id
        }
        return nil
    }

    private var counted: [LedgerID: Int] = [:]

    func ledger(of id: TaskID) -> LedgerID? {
        if let known = home[id] { return known }
        return histories.keys.sorted().first { TaskID.tag(of: $0) == id.ledgerTag }
    }

    /// By a ledger that is served. Its history does not say so if that began anew after that; and a copy that was made of a
    /// snapshot does not know which tasks were forgotten, but up to which.
    func isForgotten(_ id: TaskID) -> Bool {
        let isPast = history(of: id)?.end == nil
        return world.nodes.contains { node in
            node.look { core in
                core.served.contains { served in
                    let state = served.copy.state
                    return state.hasForgotten(id)
                        || isPast && TaskID.tag(of: served.copy.id) == id.ledgerTag && state[id] == nil
                            && state.forgottenUpTo.map { id <= $0 } ?? false
                }
            } ?? false
        }
    }

    func history(of id: TaskID) -> LedgerHistory.History? { ledger(of: id).flatMap { histories[$0]?.tasks[id] } }

    /// Whether what is known of the task may be wrong, since every copy of its ledger was destroyed after it was accepted.
    func isExcused(_ id: TaskID, since: Instant?) -> Bool {
        guard
            let ledger = ledger(of: id)
                ?? stage.excused.keys.sorted().first(where: { TaskID.tag(of: $0) == id.ledgerTag }),
            let at = stage.excused[ledger]
        else { return false }
        return since.map { $0 <= at + .seconds(1) } ?? true
    }

    /// What a key stands for may be known by any ledger by now: its slot may have moved.
    func isKeyExcused(_ id: TaskID, since: Instant?) -> Bool {
        isExcused(id, since: since)
            || (Array(stage.excused.values) + Array(stage.harmed.values)).contains { at in
                since.map { $0 <= at + .seconds(1) } ?? true
            }
    }

    /// The record of a task wherever it is: with its primary first.
    func record(of id: TaskID) -> (record: TaskRecord, node: Int, isServed: Bool)? {
        for node in world.nodes {
            let record = node.look { core in core.served.lazy.compactMap { $0.copy.state[id] }.first } ?? nil
            if let record { return (record, node.index, true) }
        }
        for node in world.nodes {
            let record = node.look { core in core.copies.lazy.compactMap { $0.state[id] }.first } ?? nil
            if let record { return (record, node.index, false) }
        }
        return nil
    }
}

/// What was ready at a node at some moment, for the check of priorities: the best few, and all that was.
struct ReadyList {
    struct Item {
        var id: TaskID
        var key: Instant
        var attempts: UInt32
        var priority: Priority
        var queue: String
        var fairnessKey: String?

        /// Whether nothing but time decides which of the two comes first.
        func sharesTurns(with record: TaskRecord) -> Bool {
            queue == record.spec.queue && fairnessKey == record.spec.fairnessKey
        }
    }

    static let length = 16

    let at: Instant
    /// Every task that was ready.
    private(set) var pending: Set<TaskID> = []
    /// Those that nothing kept from starting, the best first.
    private(set) var best: [Item] = []

    init(at: Instant) { self.at = at }

    /// Long ledgers are listed less often: all their tasks are looked at.
    static func isDue(after last: Instant?, tasks: Int, at now: Instant) -> Bool {
        tasks < 300 || last.map { now - $0 >= .seconds(1) } ?? true
    }

    /// The static key of the design: smaller is better.
    static func key(_ record: TaskRecord) -> Instant {
        record.enqueuedAt - Limits.agingWeight * Int(record.spec.priority.rawValue - 1)
    }

    mutating func add(_ copy: LedgerCopy, isResting: Bool) {
        guard copy.state.openCount > 0, copy.state.openCount < 2000 else { return }
        // By index: a record is large, and an element of a dictionary that is taken out is copied.
        let tasks = copy.state.tasks
        for index in tasks.indices where tasks.values[index].status == .pending {
            let (id, record) = tasks[index]
            pending.insert(id)
            // One whose lease was lost rests as well.
            if !isResting, record.attempts == 0 {
                best.append(
                    Item(
                        id: id, key: Self.key(record), attempts: record.attempts, priority: record.spec.priority,
                        queue: record.spec.queue, fairnessKey: record.spec.fairnessKey))
            }
        }
        best.sort { ($0.key, $0.id) < ($1.key, $1.id) }
        if best.count > Self.length { best.removeLast(best.count - Self.length) }
    }
}
