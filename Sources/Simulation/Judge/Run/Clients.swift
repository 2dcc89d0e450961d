import Primitives
import Service
import TaskLedger

/// The clients of a cluster: carry out the operations of a plan, and write down what they were told.
///
/// A client whose node cannot be reached, or says 503, asks another one. One that got no answer, or a 504, does not send its
/// tasks again: they may have been accepted.
///
/// `@unchecked`: only touched by the world's thread.
final class Clients: @unchecked Sendable {
    static let attempts = 6
    /// Between two attempts.
    static let pause = Duration.milliseconds(300)
    /// How long a node may take beyond the time that it was given, when several others do not answer it.
    static let patience = Duration.seconds(40)
    /// How long any call may take.
    static let longest = Duration.seconds(100)

    let world: World
    let plan: SimulationPlan
    let submissions: Submissions
    let chronicle: Chronicle
    /// What is true of the cluster.
    let stage: Stage
    /// Answers are handed to the checkers as they come.
    let report: (Answer) -> Void
    private var random: SeededGenerator
    private var doubter: SeededGenerator
    var counters = Counters()
    /// Calls without an answer.
    private var open: [Int: Call] = [:]
    private var lastCall = 0

    private struct Call {
        var what: String
        var node: Int
        var since: Instant
        /// It has to be answered then, if the node is not stopped meanwhile.
        var until: Instant
    }

    struct Counters {
        var submissions = 0
        var accepted = 0
        var refused = 0
        var unconfirmed = 0
        var unanswered = 0
        var lookups = 0
        var unavailable = 0
        var wishes = 0
        var wishesDone = 0
        var workflows = 0
        var settings = 0
        var settingsDone = 0
        var schedules = 0
        var schedulesDone = 0
        var messages = 0
        var pasts = 0
        var subscriptions = 0
    }

    /// What a node has told a client.
    enum Answer {
        case accepted([AcceptedTask], by: Int)
        case task(TaskID, TaskLookup, by: Int, asked: Instant)
        /// A request under an idempotency key that was accepted as `first` before.
        case repeated(first: TaskID, TaskID, by: Int)
        /// The key is bound to a task for another request.
        case overwritten(bound: TaskID, TaskID, by: Int)
        case cancel(TaskID, CancelOutcome, by: Int, asked: Instant)
        case wish(TaskWish, TaskID, WishOutcome, by: Int, asked: Instant)
        case sweep(LetterSweep, SweepOutcome, by: Int, asked: Instant)
        case story(TaskID, StoryLookup, by: Int, asked: Instant)
        case workflow(TaskID, WorkflowLookup, by: Int, asked: Instant)
        /// Tasks were added to a workflow.
        case added(Observations.Addition)
        /// What a task was like at some time by a clock that is right.
        case past(TaskID, at: Instant, EarlierLookup, by: Int, asked: Instant)
        /// What came of a message of this topic, which was sent at that time.
        case message(String, Publication, by: Int, sent: Instant)

        var isDenial: Bool {
            switch self {
            case .task(_, .unknown, _, _), .task(_, .expired, _, _), .cancel(_, .unknown, _, _): true
            default: false
            }
        }
    }

    init(
        _ plan: SimulationPlan, stage: Stage, submissions: Submissions, chronicle: Chronicle,
        report: @escaping (Answer) -> Void
    ) {
        self.plan = plan
        self.stage = stage
        world = stage.world
        self.submissions = submissions
        self.chronicle = chronicle
        self.report = report
        random = SeededGenerator(seed: plan.seed, for: "clients")
        doubter = SeededGenerator(seed: plan.seed, for: "second looks")
    }

    func begin() {
        for operation in plan.operations {
            world.after(.milliseconds(Int64(operation.at))) { [self] in carryOut(operation) }
        }
    }

    /// Calls that have been waiting for longer than they may. To be asked every few seconds, since it also looks who is stopped.
    func lookForForgotten() -> String? {
        for (key, call) in open where world.nodes[call.node].isPaused {
            open[key]?.until = max(call.until, world.now + Self.patience)
        }
        let forgotten = open.keys.sorted().first { key in
            open[key].map { world.now > $0.until || world.now - $0.since > Self.longest } ?? false
        }
        return forgotten.flatMap { open[$0] }.map { call in
            "\(call.what) at node \(call.node), for \((world.now - call.since).milliseconds) ms"
        }
    }

    private func carryOut(_ operation: Operation) {
        switch operation.kind {
        case .submit, .submitAndWait: submit(operation, at: operation.node, attempt: 0)
        case .submitKeyed: submitKeyed(operation)
        case .look, .wait, .cancel:
            guard !submissions.ids.isEmpty else { return }
            var draw = SeededGenerator(seed: operation.salt)
            // The newest ones are where things happen.
            let count = submissions.ids.count
            let back =
                draw.chance(50)
                ? Int.random(in: 0..<min(count, 20), using: &draw) : Int.random(in: 0..<count, using: &draw)
            let id = submissions.ids[count - 1 - back]
            if operation.kind == .cancel {
                cancel(id, at: operation.node)
            } else {
                let wait: Duration? = operation.kind == .wait ? .seconds(Int64.random(in: 1...20, using: &draw)) : nil
                // Half of them at the owner, if it can be reached: it is there that others are waited for.
                let owner = wait != nil && draw.chance(50) ? stage.owner(of: id) : nil
                look(id, wait: wait, at: owner ?? operation.node)
            }
        case .status: askStatus(operation.node)
        case .change, .retry, .purge, .sweep, .story: wish(operation)
        case .past: askForThePast(operation)
        case .workflow: submitWorkflow(operation)
        case .set, .pause, .limit: changeSettings(operation)
        case .schedule: changeSchedule(operation)
        case .subscribe: changeSubscription(operation)
        case .publish: publish(operation)
        }
    }

    // MARK: Calls

    func call<Value: Sendable>(
        _ what: String, at node: Int, wait: Duration? = nil,
        _ body: @escaping @Sendable (any ClusterService) async -> Value,
        _ completion: @escaping @Sendable (Value?) -> Void
    ) {
        lastCall += 1
        let number = lastCall
        let until = world.now + (wait.map { $0 + Self.patience } ?? Self.longest)
        open[number] = Call(what: what, node: node, since: world.now, until: until)
        world.nodes[node].call(body) { [self] value in
            open[number] = nil
            completion(value)
        }
    }

    /// Whether a connection can be made.
    func isReachable(_ node: Int) -> Bool {
        world.nodes[node].life == .up || world.nodes[node].life == .leaving
    }

    private func submit(_ operation: Operation, at node: Int, attempt: Int) {
        guard attempt < Self.attempts else { return }
        guard isReachable(node) else { return tryAgain(operation, after: node, attempt: attempt) }
        var draw = SeededGenerator(seed: operation.salt &+ UInt64(attempt))
        let tasks = plan.tasks(of: operation, attempt: attempt).map { task in
            var task = task
            if task.style == .dependent { task.dependOn(submissions.accepted, using: &draw) }
            return task
        }
        let serials = tasks.map { PlannedTask.serial(of: $0.spec) ?? "" }
        for (serial, task) in zip(serials, tasks) { submissions.send(serial, task, at: world.now) }
        counters.submissions += tasks.count
        let specs = tasks.map(\.spec)
        let asked = world.now
        call("a submission", at: node) {
            await $0.submit(specs)
        } _: { [self] outcomes in
            guard let outcomes else {
                counters.unanswered += tasks.count
                return
            }
            take(outcomes, serials, operation, node, attempt)
            for (task, outcome) in zip(tasks, outcomes) {
                guard case .refused(.unknownParents(let positions)) = outcome else { continue }
                for position in positions {
                    report(.task(task.spec.dependencies.parents[position], .unknown, by: node, asked: asked))
                }
            }
        }
    }

    private func take(
        _ outcomes: [SubmissionOutcome], _ serials: [String], _ operation: Operation, _ node: Int, _ attempt: Int
    ) {
        var accepted: [AcceptedTask] = []
        var refused = 0
        for (serial, outcome) in zip(serials, outcomes) {
            switch outcome {
            case .accepted(let task):
                accepted.append(task)
                submissions.settle(serial, .accepted(task.id), at: world.now)
            case .refused(.unconfirmed(let id)):
                counters.unconfirmed += 1
                submissions.settle(serial, .unconfirmed(id), at: world.now)
            case .refused:
                refused += 1
                submissions.settle(serial, .refused, at: world.now)
            }
        }
        counters.accepted += accepted.count
        counters.refused += refused
        let count = accepted.count
        let first = accepted.first?.id
        chronicle.note(
            world.now,
            "node \(node) accepts \(count) of \(serials.count) tasks (\(serials.first ?? ""))"
                + (first.map { ", first \($0)" } ?? "") + (refused > 0 ? ", refuses \(refused)" : ""))
        if !accepted.isEmpty { report(.accepted(accepted, by: node)) }
        if refused == serials.count { tryAgain(operation, after: node, attempt: attempt) }
        if operation.kind == .submitAndWait, let task = accepted.first { look(task.id, wait: .seconds(20), at: node) }
    }

    private func tryAgain(_ operation: Operation, after node: Int, attempt: Int) {
        let next = (node + 1) % world.nodes.count
        world.after(Self.pause) { [self] in submit(operation, at: next, attempt: attempt + 1) }
    }

    private func look(_ id: TaskID, wait: Duration?, at node: Int, isSecond: Bool = false) {
        guard isReachable(node) else { return }
        counters.lookups += 1
        let asked = world.now
        call("a lookup of \(id)", at: node, wait: wait) {
            await $0.task(id, wait: wait)
        } _: { [self] answer in
            guard let answer else { return }
            if case .unavailable = answer { counters.unavailable += 1 }
            report(.task(id, answer, by: node, asked: asked))
            if !isSecond, answer.isEnd { askAround(id, after: node) }
        }
    }

    /// What has ended has ended for all nodes, also for one that was replaced just now and does not know it.
    private func askAround(_ id: TaskID, after node: Int) {
        guard doubter.chance(30) else { return }
        for other in world.nodes.indices where other != node {
            world.after(.milliseconds(Int64(doubter.logarithmic(1...500) - 1))) { [self] in
                look(id, wait: nil, at: other, isSecond: true)
            }
        }
    }

    /// One in four: what is cancelled tells little about what completes.
    private func cancel(_ id: TaskID, at node: Int) {
        guard isReachable(node), random.chance(25) else { return }
        submissions.askedToCancel(id)
        let asked = world.now
        call("a cancellation of \(id)", at: node) {
            await $0.cancel(id)
        } _: { [self] answer in
            guard let answer else { return }
            report(.cancel(id, answer, by: node, asked: asked))
            if case .cancelled = answer { askAround(id, after: node) }
        }
    }

    private func askStatus(_ node: Int) {
        guard isReachable(node) else { return }
        call("a status", at: node) {
            await $0.cluster().viewNumber
        } _: { _ in
        }
    }
}

extension TaskLookup {
    fileprivate var isEnd: Bool {
        switch self {
        case .found(let task): task.status.isFinal
        case .archived, .expired: true
        case .unknown, .unavailable: false
        }
    }
}
