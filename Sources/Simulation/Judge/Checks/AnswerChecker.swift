import Primitives
import Service
import TaskLedger

/// Judges what clients are told, at once.
///
/// - A receipt names nodes that hold the task (as far as they run).
/// - What was acknowledged is never denied: not found before its time is up (404, 410).
/// - An outcome, once told, stays; and whatever is told has been brought about.
///
/// `@unchecked`: only touched by the world's thread.
final class AnswerChecker: @unchecked Sendable {
    private let world: World
    private let stage: Stage
    private let inspector: Inspector
    private let submissions: Submissions
    /// Redis has lost what it had, at some time.
    var isRegistryEmptied: () -> Bool = { false }
    private(set) var receipts = 0
    private(set) var outcomes = 0
    private(set) var stories = 0
    /// States at an earlier time that were judged, and how many of them of a time in which nothing was wrong.
    private(set) var pasts = 0
    private(set) var quietPasts = 0

    init(_ stage: Stage, _ inspector: Inspector, _ submissions: Submissions) {
        self.stage = stage
        self.inspector = inspector
        self.submissions = submissions
        world = stage.world
    }

    func judge(_ answer: Clients.Answer) -> Violation? {
        switch answer {
        case .accepted(let tasks, _): checkReceipt(tasks)
        case .repeated(let first, let second, let node): repeated(first, second, "by the same request", node)
        case .overwritten(let bound, let id, let node): repeated(bound, id, "by another request", node)
        case .task(let id, .found(let snapshot), let node, let asked): take(id, snapshot, from: node, asked)
        case .task(let id, .archived(let document), let node, _): takeDocument(id, document, from: node)
        case .task(let id, .unknown, let node, let asked): deny(id, "unknown", by: node, asked)
        case .task(let id, .expired, let node, let asked): deny(id, "expired", by: node, asked)
        case .task(_, .unavailable, _, _): nil
        case .cancel(let id, .cancelled(let snapshot), let node, let asked),
            .cancel(let id, .finished(let snapshot), let node, let asked):
            take(id, snapshot, from: node, asked)
        case .cancel(let id, .unknown, let node, let asked): deny(id, "unknown", by: node, asked)
        case .cancel: nil
        case .wish(let wish, let id, let outcome, let node, let asked): judge(wish, id, outcome, from: node, asked)
        case .story(let id, .found(let story), let node, let asked): judge(story, id, from: node, asked)
        case .story(let id, .unknown, let node, let asked): deny(id, "unknown", by: node, asked)
        case .story(let id, .expired, let node, let asked): deny(id, "expired", by: node, asked)
        case .story(_, .archived, _, _), .story(_, .unavailable, _, _): nil
        case .workflow(let id, let lookup, let node, let asked): judge(lookup, id, by: node, asked)
        case .added(let addition): check(addition)
        case .sweep(let sweep, let outcome, _, let asked): judge(sweep, outcome, asked)
        case .past(let id, _, .unknown, let node, let asked): deny(id, "unknown", by: node, asked)
        case .past(let id, _, .expired, let node, let asked): deny(id, "expired", by: node, asked)
        case .past(let id, let at, let lookup, let node, _): judgePast(of: id, at: at, lookup, by: node)
        case .message(let topic, let publication, let node, let sent):
            submissions.topics.take(
                publication, topic, by: node, sent: sent, at: world.now, excused: stage.lastExcuse
            ) { [inspector] id, since in inspector.isKeyExcused(id, since: since) }
        }
    }

    private func repeated(_ first: TaskID, _ second: TaskID, _ how: String, _ node: Int) -> Violation? {
        guard first != second || how == "by another request",
            !inspector.isKeyExcused(first, since: submissions.whenSent(first))
        else { return nil }
        return Violation(
            .keyTwice, "\(first) was accepted under a key, and \(second) \(how) at node \(node)", at: world.now)
    }

    // MARK: Wishes

    private func judge(
        _ wish: TaskWish, _ id: TaskID, _ outcome: WishOutcome, from node: Int, _ asked: Instant
    ) -> Violation? {
        switch outcome {
        case .done(let snapshot?):
            if case .change(let priority, let delay) = wish {
                submissions.changed(id, priority: priority, delay: delay, asked: asked, at: world.now)
            }
            // It may have ended again meanwhile.
            return take(id, snapshot, from: node, asked)
        case .refused(_, let snapshot?): return take(id, snapshot, from: node, asked)
        case .unknown: return deny(id, "unknown", by: node, asked)
        case .done(nil) where wish == .purge:
            submissions.purged(id, at: world.now)
            return nil
        case .done(nil), .refused(_, nil), .archived, .unavailable, .unconfirmed: return nil
        }
    }

    /// Whether a client has wanted the task to be forgotten: by its name, or since it has failed.
    func mayBePurged(_ id: TaskID) -> Bool {
        guard let known = submissions[id] else { return submissions.isPurged(nil) }
        if known.isPurgeAsked { return true }
        guard submissions.isPurged(known.task.spec.queue) else { return false }
        // What waited for one that has failed so is called after it.
        return known.task.style == .dependent
            || world.observations.runs(of: id).contains { if case .failed? = $0.end { true } else { false } }
    }

    /// If nothing has changed owners meanwhile, nothing is left of the dead letters that were told to be there.
    private func judge(_ sweep: LetterSweep, _ outcome: SweepOutcome, _ asked: Instant) -> Violation? {
        guard sweep.isPurge, outcome.missing.isEmpty, outcome.left == 0, submissions.lastSweep == nil,
            stage.viewSince + .seconds(5) < asked
        else { return nil }
        for id in submissions.letters {
            guard let known = submissions[id], !known.isRetryAsked, !isExcused(id),
                sweep.queue == nil || sweep.queue == known.task.spec.queue, let (told, at) = known.told[1], at < asked,
                told.status == .failed, told.failure == sweep.error
            else { continue }
            submissions.purged(id, at: world.now)
        }
        return nil
    }

    /// A workflow that was acknowledged is not denied, and stays as it has ended.
    private func judge(_ lookup: WorkflowLookup, _ id: TaskID, by node: Int, _ asked: Instant) -> Violation? {
        guard let known = submissions.workflows[id], let accepted = known.acceptedAt, accepted < asked,
            !inspector.isExcused(id, since: known.sentAt)
        else { return nil }
        switch lookup {
        case .unknown, .expired:
            if isRegistryEmptied(), isHandedOver(id) { return nil }
            return Violation(.denied, "node \(node) says that the workflow \(id) is unknown", at: world.now)
        case .found(let workflow):
            guard workflow.root.status.isFinal else { return nil }
            return submissions.workflows.tell(id, workflow.root.status, at: world.now)
        case .archived, .unavailable: return nil
        }
    }

    /// A history begins with the acceptance, its runs ascend, and no attempt is told twice.
    private func judge(_ story: TaskStory, _ id: TaskID, from node: Int, _ asked: Instant) -> Violation? {
        stories += 1
        if isExcused(id) { return nil }
        var leases: Set<[UInt64]> = []
        var run: UInt32 = 1
        for (number, transition) in story.transitions.enumerated() {
            let isFirst = number == 0
            let lease = [UInt64(transition.run), transition.term?.rawValue ?? 0, UInt64(transition.attempt ?? 0)]
            let isTold = transition.kind == .leased && !leases.insert(lease).inserted
            if (transition.kind == .accepted) != isFirst || transition.run < run || isTold {
                let kinds = story.transitions.map { "\($0.kind) \($0.run)/\($0.attempt ?? 0)" }
                return Violation(.impossibleOutcome, "node \(node) tells of \(id): \(kinds)", at: world.now)
            }
            run = transition.run
        }
        return submissions.tell(
            id, run: story.task.run, priority: story.task.spec.priority, asked: asked, at: world.now)
    }

    private func judgePast(of id: TaskID, at time: Instant, _ lookup: EarlierLookup, by node: Int) -> Violation? {
        guard let known = submissions[id], !isExcused(id) else { return nil }
        stage.lookAtClocks()
        let past = PastChecker(id: id, known: known, time: time, world: world, stage: stage)
        pasts += 1
        if past.isQuiet { quietPasts += 1 }
        return past.problem(of: lookup, mayBeRetried: known.isRetryAsked || submissions.lastSweep != nil).map {
            problem in
            Violation(
                .falsePast,
                "node \(node) tells of \(id) at \(time) (\(past.timestamp.milliseconds)) that it \(problem)",
                at: world.now)
        }
    }

    /// The first task of a batch stands for all: they are entries of one ledger, side by side.
    private func checkReceipt(_ tasks: [AcceptedTask]) -> Violation? {
        guard let task = tasks.last else { return nil }
        receipts += 1
        // One that was stopped or cut off tells late what was true when it was committed.
        let isLate = stage.index(task.owner).map { stage.wasInTrouble($0, since: world.now) } ?? true
        if task.durability == .replicated, task.holders.count < Int(world.settings.copies) {
            return Violation(.falseReceipt, "\(task.id) is called replicated, at \(task.holders)", at: world.now)
        }
        for name in task.holders {
            guard let node = stage.index(name).map({ world.nodes[$0] }), node.isUp else { continue }
            let has = node.look { core in
                core.served.contains { $0.copy.state[task.id] != nil }
                    || core.copies.contains { $0.state[task.id] != nil }
            }
            // Another view may have relieved it between the commit and the answer, and a disk may have been lost.
            guard has == false, !isLate, !isExcused(task.id), stage.harmed.isEmpty,
                world.now - stage.viewSince > .seconds(1),
                stage.machines[node.index].lastLoss.map({ world.now - $0 > .seconds(30) }) ?? true
            else { continue }
            // A view that has relieved it may have come since anybody looked.
            if let violation = inspector.inspect() { return violation }
            guard world.now - stage.viewSince > .seconds(1) else { continue }
            // A ledger that is to drain keeps nothing that the registry has.
            if inspector.history(of: task.id)?.isForgotten == true || world.redis?.results[task.id] != nil { continue }
            return Violation(.falseReceipt, "\(task.id) is said to be at node \(node.index), and is not", at: world.now)
        }
        return nil
    }

    /// What was added is at every node that the newest view lists for the workflow's ledger. The last one stands for all.
    private func check(_ addition: Observations.Addition) -> Violation? {
        guard let id = addition.ids.last, let ledger = inspector.ledger(of: addition.workflow),
            let assignment = stage.view?.ledger(ledger), stage.harmed.isEmpty, stage.excused[ledger] == nil
        else { return nil }
        for replica in assignment.replicas {
            guard let index = stage.index(replica.name), world.nodes[index].isUp,
                stage.machines[index].lastLoss.map({ world.now - $0 > .seconds(30) }) ?? true
            else { continue }
            let has = world.nodes[index].look { core in
                core.served.contains { $0.copy.state[id] != nil } || core.copies.contains { $0.state[id] != nil }
            }
            guard has == false, !stage.wasInTrouble(index, since: world.now) else { continue }
            // A view that has relieved it may have come since anybody looked.
            if let violation = inspector.inspect() { return violation }
            guard world.now - stage.viewSince > .seconds(1) else { return nil }
            if world.redis?.results[id] != nil || isHandedOver(id) { continue }
            return Violation(
                .falseWorkflow,
                "\(addition.task) was told to have added \(id) to \(addition.workflow), and node \(index) does not have it",
                at: world.now)
        }
        return nil
    }

    private func take(_ id: TaskID, _ snapshot: TaskSnapshot, from node: Int, _ asked: Instant) -> Violation? {
        // Clients of a run know ids that nobody was told: of such a task one may hear that is not committed.
        if let violation = submissions.found(id, snapshot.spec, at: world.now, isCommitted: false) {
            return violation
        }
        if !isExcused(id),
            let violation = submissions.tell(
                id, run: snapshot.run, priority: snapshot.spec.priority, asked: asked, at: world.now)
        {
            return violation
        }
        guard let outcome = ToldOutcome(snapshot) else {
            guard let (told, at) = submissions[id]?.told[snapshot.run], at < asked, !isExcused(id) else { return nil }
            return Violation(
                .twoOutcomes, "node \(node) says that \(id) is \(snapshot.status.name); it was told to be \(told)",
                at: world.now)
        }
        return take(id, outcome, from: node)
    }

    private func takeDocument(_ id: TaskID, _ document: [UInt8], from node: Int) -> Violation? {
        guard let outcome = ToldOutcome(document: document) else {
            return Violation(
                .impossibleOutcome, "what node \(node) finds in the registry for \(id) is no outcome", at: world.now)
        }
        return take(id, outcome, from: node)
    }

    private func take(_ id: TaskID, _ outcome: ToldOutcome, from node: Int) -> Violation? {
        outcomes += 1
        if isExcused(id) { return nil }
        if let violation = submissions.tell(id, outcome, at: world.now) { return violation }
        return justify(id, outcome)
    }

    private func isExcused(_ id: TaskID) -> Bool { inspector.isExcused(id, since: submissions[id]?.sentAt) }

    /// An outcome has to come from what a handler did, or from what the task asked for.
    func justify(_ id: TaskID, _ outcome: ToldOutcome) -> Violation? {
        guard let known = submissions[id], !isExcused(id) else { return nil }
        let runs = world.observations.runs(of: id).filter { $0.token.run == outcome.run }
        let isPossible: Bool
        switch outcome.status {
        case .completed:
            isPossible = runs.contains { $0.end == .completed }
        case .failed:
            switch outcome.failure {
            case "scripted":
                isPossible =
                    runs.contains { if case .failed? = $0.end { true } else { false } }
                    && (known.task.script.outcome == .failsForGood || hasNoRetryLeft(known.task.spec, runs.count))
            case "timeout": isPossible = hasNoRetryLeft(known.task.spec, runs.count)
            case "interrupted": isPossible = known.task.spec.delivery == .atMostOnce
            // As long as a disk takes nothing and no other node can be reached.
            case "result_not_kept":
                isPossible =
                    runs.contains { $0.end == .completed } && hasNoRetryLeft(known.task.spec, runs.count)
                    && stage.machines.contains { $0.diskTroubles > 0 || $0.lastDiskTrouble != nil }
            case "dependency_failed": isPossible = runs.isEmpty && known.task.spec.dependencies.onFailure == .fail
            // A run that ends right before its process does counts as interrupted, and so does a start just before it.
            case "poison": isPossible = runs.count >= 3
            default: isPossible = false
            }
        case .cancelled:
            isPossible = known.isCancelAsked || known.task.spec.dependencies.onFailure == .cancel && runs.isEmpty
        case .expired: isPossible = known.task.spec.expiry != nil
        case .scheduled, .blocked, .pending, .processing: isPossible = false
        }
        guard !isPossible else { return nil }
        let ends = runs.map { "\($0.token): \($0.end.map { "\($0)" } ?? "runs")" }
        return Violation(
            .impossibleOutcome, "\(id) (\(known.task.style.rawValue)) is said to be \(outcome); its runs: \(ends)",
            at: world.now)
    }

    /// Each failure that counts is one of another attempt that has begun.
    private func hasNoRetryLeft(_ spec: TaskSpec, _ runs: Int) -> Bool {
        runs > (spec.delivery == .atMostOnce ? 0 : Int(spec.retry.maxRetries))
    }

    private func deny(_ id: TaskID, _ how: String, by node: Int, _ asked: Instant) -> Violation? {
        guard let known = submissions[id], let accepted = known.acceptedAt, accepted < asked, !isExcused(id) else {
            return nil
        }
        if mayBePurged(id) { return nil }
        // What the ledger had handed over to Redis went with it.
        if isRegistryEmptied(), isHandedOver(id) { return nil }
        return Violation(
            .denied,
            "node \(node) says that \(id) is \(how); it was accepted \((asked - accepted).milliseconds) ms before"
                + (known.told[known.run].map { ", and told to be \($0.outcome)" } ?? ""), at: world.now)
    }

    /// Its ledger has forgotten it, or was retired, once the outcome was in Redis.
    func isHandedOver(_ id: TaskID) -> Bool {
        if inspector.history(of: id)?.isForgotten == true || inspector.isForgotten(id) { return true }
        return inspector.ledger(of: id).map { stage.view?.ledger($0) == nil } ?? false
    }
}
