import EventLoop
import Peers
import Primitives
import TaskExecution
import TaskLedger
import Views
import Wire
import WorkStealing

/// The slots of this node: runs handlers, asks others for work, and reports outcomes until they are settled.
actor WorkerPool {
    nonisolated let node: NodeContext
    nonisolated var unownedExecutor: UnownedSerialExecutor { node.scheduler.serialExecutor }

    private var holder: LeaseHolder
    private var thief: Thief
    private let handlers: [String: any TaskHandler]
    private var view: View?
    /// The view with which this node last gave back all that it had not begun.
    private var emptySince: UInt64 = 0
    /// Nothing of these queues begins.
    private var pausedQueues: Set<String> = []
    private var isDraining = false
    private var isStopped = false
    private var retry: (any ScheduledAction)?

    private struct Run {
        let task: Task<Void, Never>
        let timer: any ScheduledAction
        let began: Instant
        let taskType: String
        var isTimedOut = false
    }
    private var runs: [AttemptID: Run] = [:]
    /// When an outcome was first reported to somebody who could take it.
    private var firstReported: [AttemptID: Instant] = [:]
    /// When everything that is not settled is reported again.
    private var nextRound = Instant.zero
    /// Attempts of other owners that began in this turn.
    private var begun: [AttemptID] = []
    private(set) var stolenCount: UInt64 = 0
    private var durations = MeanDurations()

    init(_ node: NodeContext, handlers: [any TaskHandler], seed: UInt64) {
        self.node = node
        var holder = LeaseHolder(slots: node.configuration.slots)
        var effects: [LeaseEffect] = []
        holder.setFenced(true, timestamp: Timestamp(milliseconds: 0), into: &effects)
        self.holder = holder
        thief = Thief(seed: seed)
        self.handlers = Dictionary(handlers.map { ($0.taskType, $0) }, uniquingKeysWith: { _, last in last })
    }

    nonisolated var taskTypes: [String] { handlers.keys.sorted() }
    var freeSlots: Int { isDraining ? 0 : holder.freeSlots }
    var running: [LeaseHolder.Running] { holder.running.compactMap { $0 } }
    var isIdle: Bool { holder.isIdle }
    /// Something runs, or is about to.
    var isBusy: Bool { holder.runningCount > 0 || holder.heldCount > 0 }

    func start() { lookAfter() }

    func stop() {
        isStopped = true
        retry?.cancel()
        // In an order that does not differ from process to process: handlers end in it.
        for attempt in runs.keys.sorted(by: { ($0.id, $0.token) < ($1.id, $1.token) }) {
            runs[attempt]?.task.cancel()
            runs[attempt]?.timer.cancel()
        }
    }

    private func lookAfter() {
        guard !isStopped else { return }
        turn()
        retry = node.scheduler.schedule(after: Limits.reportInterval / 2) { [self] in onLoop { $0.lookAfter() } }
    }

    /// Begins nothing more.
    func drain() {
        isDraining = true
        release()
    }

    /// What has not begun goes back to its owner.
    func release() {
        var effects: [LeaseEffect] = []
        holder.release(into: &effects)
        carryOut(effects)
        turn()
    }

    /// Without leave to start tasks nothing begins here, and what waits is given back, to run elsewhere.
    func permitChanged(isValid: Bool) {
        var effects: [LeaseEffect] = []
        holder.setFenced(!isValid, timestamp: node.timestamp, into: &effects)
        carryOut(effects)
        if isValid { turn() } else { release() }
    }

    func install(_ view: View) {
        giveBack(after: self.view, view)
        self.view = view
        pausedQueues = Set(view.settings.queues.lazy.filter(\.isPaused).map(\.name))
        if !pausedQueues.isEmpty {
            var effects: [LeaseEffect] = []
            holder.release(into: &effects) { pausedQueues.contains($0.spec.queue) }
            carryOut(effects)
        }
        // Owners have changed: what was reported to the old ones may be lost.
        nextRound = node.now
        turn()
    }

    /// Who has missed a view may have been removed in it, and listed again since: what it held was given to others then, and
    /// so is what was granted before and is still on its way. And what this node gave to its own slots from a ledger that it
    /// has lost may be unknown to the ledger's new primary, which may start it.
    private func giveBack(after previous: View?, _ next: View) {
        var effects: [LeaseEffect] = []
        if next.number > (previous?.number ?? 0) &+ 1 {
            emptySince = next.number
            holder.release(into: &effects)
        } else if let previous {
            let me = StoreHolder(name: node.name, store: node.profile.store)
            holder.release(into: &effects) { assignment in
                guard let ledger = previous.ledger(assignment.ledger), ledger.primary == me else { return false }
                return ledger.term == assignment.token.term && next.ledger(ledger.id)?.primary != me
            }
        }
        carryOut(effects)
    }

    func peersChanged() {
        let linked = node.peers.values.filter { node.isLinked($0) }.sorted()
        thief.setVictims(linked)
        turn()
    }

    func learn(_ load: LoadDigest, of id: NodeID) {
        thief.learn(load, of: id)
        if load.ready > 0 { turn() }
    }

    // MARK: Assignments

    /// From this node's own ledgers.
    func take(_ assignments: [Assignment]) {
        var effects: [LeaseEffect] = []
        take(assignments, &effects)
        carryOut(effects)
    }

    /// What is of a paused queue goes back: its owner did not know that yet, or has waited for a commit meanwhile.
    private func take(_ assignments: [Assignment], _ effects: inout [LeaseEffect]) {
        guard !pausedQueues.isEmpty else {
            return holder.take(assignments, timestamp: node.timestamp, into: &effects)
        }
        holder.decline(assignments.filter { pausedQueues.contains($0.spec.queue) }, into: &effects)
        let rest = assignments.filter { !pausedQueues.contains($0.spec.queue) }
        holder.take(rest, timestamp: node.timestamp, into: &effects)
    }

    /// From another owner. A node that drains, or may not start anything, takes them too, and gives them back at once:
    /// nothing is lost on the way. Likewise what was granted in a view before it last gave back everything.
    func granted(_ assignments: [Assignment], by victim: NodeID, in view: UInt64, load: LoadDigest) {
        stolenCount += UInt64(assignments.count)
        thief.received(assignments.count, from: victim, load: load)
        var effects: [LeaseEffect] = []
        if isDraining || holder.isFenced || view < emptySince {
            holder.decline(assignments, into: &effects)
        } else {
            take(assignments, &effects)
        }
        carryOut(effects)
        turn()
    }

    func answer(_ attempts: [AttemptID]) -> (held: [AttemptID], missing: [AttemptID]) { holder.answer(attempts) }

    func stop(_ attempt: AttemptID) {
        var effects: [LeaseEffect] = []
        holder.stop(attempt, timestamp: node.timestamp, into: &effects)
        carryOut(effects)
    }

    private func carryOut(_ effects: [LeaseEffect]) {
        for effect in effects {
            switch effect {
            case .run(let assignment): run(assignment)
            case .stop(let attempt): runs[attempt]?.task.cancel()
            case .reportsReady: node.colleagues.queue.onLoop { $0.turn() }
            }
        }
    }

    // MARK: Running

    private func run(_ assignment: Assignment) {
        let attempt = assignment.attempt
        if !isOwn(attempt.ledger) { begun.append(attempt) }
        guard let handler = handlers[assignment.spec.type] else {
            let failure = TaskFailure(
                type: "unknown_task_type", message: "no handler for \"\(assignment.spec.type)\" on \(node.name)",
                isRetryable: false)
            // Not from here: the machine is in the middle of handing out slots.
            return node.scheduler.execute { [self] in onLoop { $0.ended(attempt, .failed(failure)) } }
        }
        let input = TaskAttempt(
            id: assignment.id, payload: assignment.spec.payload, token: assignment.token,
            workDirectory: node.configuration.workDirectory, node: node.name, parents: parents(of: assignment),
            workflow: NodeService(node).workflowAccess(of: assignment),
            fetch: { [node] id in await NodeService(node).result(of: id) })
        let scheduler = node.scheduler
        let gate = node.colleagues.fence.gate
        let task = Task.detached(executorPreference: node.handlerExecutor) { [self] in
            // The loop has checked it; this thread may have been held up since.
            let mayStart = gate.isOpen(at: scheduler.boottime)
            let outcome = mayStart ? await outcome(of: handler, input, attempt) : .released
            scheduler.execute { self.onLoop { $0.ended(attempt, outcome) } }
        }
        let timer = scheduler.schedule(after: .milliseconds(Int64(assignment.spec.timeout))) { [self] in
            onLoop { $0.timeIsUp(attempt, assignment.spec) }
        }
        runs[attempt] = Run(task: task, timer: timer, began: node.now, taskType: assignment.spec.type)
    }

    private func parents(of assignment: Assignment) -> [ParentTask] {
        zip(assignment.spec.dependencies.parents, assignment.parents).map { id, outcome in
            ParentTask(
                id: id, status: outcome?.end.name, result: outcome?.result, resultBytes: Int(outcome?.resultBytes ?? 0),
                failure: outcome?.failure.map { ($0.type, $0.message) })
        }
    }

    private nonisolated func outcome(
        of handler: any TaskHandler, _ input: TaskAttempt, _ attempt: AttemptID
    ) async -> AttemptOutcome {
        do {
            let result = try await handler.run(input)
            guard result.count <= Limits.resultBytes else {
                return .failed(
                    TaskFailure(
                        type: "result_too_large",
                        message:
                            "the result has \(result.count) bytes, more than the \(Limits.resultBytes) that are kept",
                        isRetryable: false))
            }
            guard result.count > node.configuration.inlineResultBytes else { return .completed(.inline(result)) }
            if let detached = await NodeService(node).keep(result, of: attempt) {
                return .completed(.detached(detached))
            }
            return .failed(
                TaskFailure(
                    type: "result_not_kept",
                    message: "no node has room for the result of \(result.count) bytes: give their data folders room",
                    isRetryable: true))
        } catch let error as HandlerError {
            return .failed(
                TaskFailure(
                    type: Self.cut(error.type, to: Limits.nameBytes), message: Self.cut(error.message),
                    isRetryable: error.isRetryable,
                    retryAfter: error.retryAfter.map { rest in
                        UInt32(clamping: min(rest.milliseconds, Int64(Limits.retryAfterMilliseconds)))
                    }))
        } catch is CancellationError {
            return .stopped
        } catch {
            return .failed(TaskFailure(type: "handler_error", message: Self.cut("\(error)"), isRetryable: true))
        }
    }

    /// At most `limit` bytes: what does not fit the ledger's limits would be refused by every backup.
    private static func cut(_ text: String, to limit: Int = Limits.errorBytes) -> String {
        guard text.utf8.count > limit else { return text }
        var end = text.utf8.index(text.startIndex, offsetBy: limit - 4)
        while end > text.startIndex, text.utf8[end] & 0xC0 == 0x80 { end = text.utf8.index(before: end) }
        return text[..<end] + " ..."
    }

    private func timeout(_ spec: TaskSpec) -> AttemptOutcome {
        .failed(
            TaskFailure(
                type: "timeout", message: "the attempt took longer than its \(Double(spec.timeout) / 1000) s",
                isRetryable: true))
    }

    /// The handler is told to end. If it does not, its outcome is reported without it.
    private func timeIsUp(_ attempt: AttemptID, _ spec: TaskSpec) {
        guard let run = runs[attempt] else { return }
        runs[attempt]?.isTimedOut = true
        run.task.cancel()
        let outcome = timeout(spec)
        let grace = node.scheduler.schedule(after: Limits.cancellationGrace) { [self] in
            onLoop { pool in
                guard pool.runs[attempt] != nil else { return }
                pool.node.logger.error(
                    "a handler does not end", metadata: ["task": "\(attempt.id)", "type": "\(spec.type)"])
                var effects: [LeaseEffect] = []
                pool.holder.giveUp(attempt, outcome, into: &effects)
                pool.carryOut(effects)
            }
        }
        runs[attempt] = Run(task: run.task, timer: grace, began: run.began, taskType: spec.type, isTimedOut: true)
    }

    private func ended(_ attempt: AttemptID, _ outcome: AttemptOutcome) {
        guard !isStopped else { return }
        var outcome = outcome
        if let run = runs.removeValue(forKey: attempt) {
            run.timer.cancel()
            // It was never begun: that took no time, and no time was up.
            if case .released = outcome { return giveBack(attempt) }
            let elapsed = node.now - run.began
            thief.measured(elapsed)
            durations.measured(elapsed, of: run.taskType)
            if run.isTimedOut, let spec = running.first(where: { $0.assignment.attempt == attempt })?.assignment.spec {
                // A success that came after its time was up is one all the same: nobody else has begun yet.
                if case .completed = outcome {} else { outcome = timeout(spec) }
            }
        }
        if case .stopped = outcome,
            holder.running.first(where: { $0?.assignment.attempt == attempt })??.isStopped != true
        {
            // It was not asked to stop: the handler cancelled itself.
            outcome = .failed(
                TaskFailure(type: "handler_error", message: "the handler was cancelled from within", isRetryable: true))
        }
        var effects: [LeaseEffect] = []
        holder.ended(attempt, outcome, timestamp: node.timestamp, into: &effects)
        carryOut(effects)
        node.colleagues.queue.onLoop { $0.turn() }
    }

    /// The gate was closed when the handler was about to be called.
    private func giveBack(_ attempt: AttemptID) {
        var effects: [LeaseEffect] = []
        holder.ended(attempt, .released, timestamp: node.timestamp, into: &effects)
        carryOut(effects)
        node.colleagues.queue.onLoop { $0.turn() }
    }

    // MARK: Reports

    func settled(_ attempts: [AttemptID]) {
        holder.settled(attempts)
        for attempt in attempts { firstReported[attempt] = nil }
    }

    private func isOwn(_ ledger: LedgerID) -> Bool { view?.ledger(ledger)?.primary.name == node.name }

    /// Sends what this turn has brought: reports, beginnings, requests for work.
    func turn() {
        guard !isStopped else { return }
        // In this order: an attempt that ended in the turn in which it began has a beginning all the same.
        tellBegun()
        report()
        steal()
    }

    /// Reports what ended since the last turn; and, each `Limits.reportInterval`, all that is not settled.
    private func report() {
        guard let view else { return }
        let now = node.now
        let isRound = now >= nextRound
        let reports = isRound ? holder.unsettled : holder.takeFresh()
        if isRound {
            _ = holder.takeFresh()
            nextRound = now + Limits.reportInterval
        }
        var due: [NodeName: [AttemptReport]] = [:]
        var hopeless: [AttemptID] = []
        for report in reports {
            let attempt = report.attempt
            guard let ledger = view.ledger(attempt.ledger) else {
                // Numbers are given once: a ledger that is no longer listed is gone for good.
                if attempt.ledger < view.nextLedger { hopeless.append(attempt) }
                continue
            }
            if let first = firstReported[attempt], now - first > Limits.reportPatience {
                hopeless.append(attempt)
                continue
            }
            due[ledger.primary.name, default: []].append(report)
        }
        for name in due.keys.sorted() {
            let batch = due[name] ?? []
            guard send(batch, to: name) else { continue }
            for report in batch where firstReported[report.attempt] == nil { firstReported[report.attempt] = now }
        }
        if !hopeless.isEmpty {
            node.logger.warning("outcomes that nobody wants", metadata: ["count": "\(hopeless.count)"])
            settled(hopeless)
        }
    }

    /// - Returns: whether it may arrive.
    private func send(_ reports: [AttemptReport], to name: NodeName) -> Bool {
        if name == node.name {
            let me = node.identity
            node.colleagues.queue.onLoop { $0.reported(reports, by: me) }
            return true
        }
        guard let id = node.peers[name] else { return false }
        var rest = reports[...]
        var isSent = true
        while !rest.isEmpty {
            var size = 0
            let batch = rest.prefix { report in
                if case .completed(.inline(let result)) = report.outcome { size += result.count }
                size += 64
                return size <= Limits.reportBytes
            }
            let count = max(1, batch.count)
            let frame = Frame(.report, at: node.now) { $0.array(rest.prefix(count)) { $0.attemptReport($1) } }
            isSent = node.transport.send(frame, to: id) && isSent
            rest = rest.dropFirst(count)
        }
        return isSent
    }

    private func tellBegun() {
        guard !begun.isEmpty, let view else { return }
        #if PLANTED_BUGS
        if PlantedBug.isActive(.beginningsNotTold) { return begun.removeAll() }
        #endif
        var byOwner: [NodeName: [AttemptID]] = [:]
        for attempt in begun {
            if let owner = view.ledger(attempt.ledger)?.primary.name { byOwner[owner, default: []].append(attempt) }
        }
        begun.removeAll()
        for name in byOwner.keys.sorted() {
            guard let id = node.peers[name], let attempts = byOwner[name] else { continue }
            node.transport.send(Frame(.began, at: node.now) { $0.attemptIDs(attempts) }, to: id)
        }
    }

    // MARK: Stealing

    private var turningSlots: Int {
        let now = node.now
        return runs.values.count { run in
            durations.isMeasured(run.taskType) && now - run.began <= durations.mean(of: run.taskType) * 2
        }
    }

    private func steal() {
        let queue = node.colleagues.queue.onLoop {
            (ready: $0.owner.readyCount, head: $0.headPriority, isPaused: $0.owner.isPaused)
        }
        let own = Thief.Own(
            slots: holder.slots, freeSlots: holder.freeSlots, turningSlots: turningSlots, held: holder.heldCount,
            heldWork: holder.heldTypes.reduce(.zero) { $0 + durations.mean(of: $1) }, ready: queue.ready,
            headPriority: queue.head, isPaused: queue.isPaused || isDraining)
        for ask in thief.asks(own, at: node.now) {
            guard let minimum = Priority(Int(ask.minimumPriority)) else { continue }
            let request = StealRequest(wanted: ask.wanted, minimumPriority: minimum)
            node.transport.send(Frame(.steal, at: node.now) { $0.stealRequest(request) }, to: ask.victim)
        }
    }
}

extension Limits {
    /// An outcome that is not settled is reported again after so long.
    static let reportInterval = Duration.seconds(1)
    /// An outcome of a task that its owner does not know is kept for so long.
    static let reportPatience = Duration.seconds(120)
    /// Outcomes in one message.
    static let reportBytes = 4 << 20
    /// A handler that was cancelled has so long to end before it is given up.
    static let cancellationGrace = Duration.seconds(5)
}
