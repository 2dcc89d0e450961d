import Node
import Primitives
import TaskLedger
import Views

/// One run: makes a world from a plan, lets it go through its phases, and has it watched.
///
/// 1. Forming: nodes start one after the other, and have to become one cluster (unless faults begin at once).
/// 2. Faults: clients do what the plan says, faults strike.
/// 3. Healed: nothing is wrong any more, clients go on for a while. In the end the cluster has to be well: one complete view,
///    every copy made, every task ended, every client answered.
///
/// The first violation ends the run.
///
/// `@unchecked`: only touched by the world's thread.
package final class SimulationRun: @unchecked Sendable {
    static let formingTime = Duration.seconds(60)
    static let inspectionInterval = Duration.milliseconds(200)
    /// How long after healing a pair of voters that lacks one disk is left to itself.
    static let pairPatience = Duration.seconds(60)
    /// What heals by itself has done so after that.
    static let healingTime = Duration.seconds(180)
    /// More, and something goes in circles.
    static let eventsPerSecond: UInt64 = 400_000

    private let plan: SimulationPlan
    private let world: World
    private let stage: Stage
    private let chronicle: Chronicle
    private let submissions = Submissions()
    private let inspector: Inspector
    private let contacts: Contacts
    private let runs: RunChecker
    private let queues: QueueChecker
    private let answers: AnswerChecker
    private let schedules: ScheduleChecker
    private let injector: FaultInjector
    private var clients: Clients?
    private var violation: Violation?
    private var faultsAt: Instant?
    private var healedAt: Instant?
    private var wellAt: Instant?
    /// Whether the nodes were in one complete view when that was looked at last.
    private var isWhole = false
    private var gaps = Gaps()
    private var recoveries = 0

    /// - Parameter isTraced: every event is written to the standard error output.
    package init(_ plan: SimulationPlan, isTraced: Bool = false) {
        self.plan = plan
        var settings = WorldSettings(seed: plan.seed, nodes: plan.nodes)
        settings.apply(plan.options)
        let chronicle = Chronicle(isTraced: isTraced)
        if isTraced {
            settings.trace = .text
            settings.logLevel = .debug
        } else {
            settings.logLevel = .warning
            settings.logSink = { node, level, text in
                chronicle.note(chronicle.clock(), "node \(node) \(level): \(text)")
            }
        }
        self.chronicle = chronicle
        world = World(settings)
        chronicle.clock = { [world] in world.now }
        stage = Stage(world, isBeyond: plan.isBeyond)
        inspector = Inspector(stage, submissions, chronicle)
        queues = QueueChecker(plan, stage, inspector, submissions)
        contacts = Contacts(stage, isOn: plan.checksFence)
        runs = RunChecker(plan, stage, inspector, submissions, contacts)
        answers = AnswerChecker(stage, inspector, submissions)
        schedules = ScheduleChecker(plan, stage)
        injector = FaultInjector(plan, stage: stage, chronicle: chronicle)
    }

    package func report() -> SimulationReport {
        wire()
        form()
        suffer()
        recover()
        let report = summary()
        world.end()
        return report
    }

    // MARK: Watching

    private func wire() {
        let clients = Clients(
            plan, stage: stage, submissions: submissions, chronicle: chronicle, report: { [self] in take($0) })
        self.clients = clients
        submissions.pauses.observer = { [self] in queues.paused($0) }
        injector.beforeCrash = { [self] in found(inspector.inspect()) }
        injector.beforeChange = { [contacts] in contacts.look() }
        world.beforeChange = { [contacts] in contacts.look() }
        answers.isRegistryEmptied = { [injector] in
            injector.struck[.redisFlush] != nil || injector.struck[.redisEmpty] != nil
        }
        world.observations.observer = { [self] index in observed(index) }
        world.observations.additionObserver = { [self] addition in
            after { [self] in take(.added(addition)) }
        }
    }

    private func found(_ new: Violation?) {
        guard violation == nil, let new else { return }
        violation = new
        chronicle.note(new.at, "VIOLATION \(new.property.rawValue): \(new.detail)")
    }

    private func take(_ answer: Clients.Answer) {
        // What it denies may have been destroyed, or handed over, since anybody looked.
        if answer.isDenial { found(inspector.inspect()) }
        found(answers.judge(answer))
        guard case .accepted(let tasks, let node) = answer else { return }
        gaps.accepted(at: world.now)
        injector.happened(.accepted, at: tasks.first.flatMap { stage.index($0.owner) } ?? node)
    }

    /// From within a process: what has to look or to strike does so when that is over.
    private func observed(_ index: Int) {
        let run = world.observations.runs[index]
        guard run.end == nil else {
            let end = run.end
            chronicle.note(
                world.now, "node \(run.node) ends \(run.task) \(run.token): \(end.map { "\($0)" } ?? "")")
            return after { [self] in injector.happened(.ended, at: run.node) }
        }
        chronicle.note(world.now, "node \(run.node) starts \(run.task) \(run.token)")
        runs.began(index)
        after { [self] in
            found(runs.checkPermission(of: index))
            found(runs.checkRest(of: index))
            found(runs.checkPause(of: index))
            found(queues.began(index))
            injector.happened(.began, at: run.node)
            meet(run)
            if runs.drawsPriorityCheck() { found(runs.checkPriority(of: index)) }
        }
    }

    private func after(_ action: @escaping @Sendable () -> Void) { world.after(.zero, action) }

    /// A task whose client was never told its id is known by what its ledger says.
    private func meet(_ run: Observations.Run) {
        if submissions[run.task] == nil, let (record, _, _) = inspector.record(of: run.task) {
            found(
                submissions.found(run.task, record.spec, at: world.now) { [inspector, submissions] other in
                    inspector.isKeyExcused(
                        other, since: submissions[other]?.sentAt ?? submissions.schedules.knownSince(other))
                })
            if let firing = record.spec.firing { runs.checkSchedule(run, firing) }
        }
        guard submissions[run.task]?.task.style == .poison else { return }
        let downs = world.observations.runs(of: run.task).count { $0.end == .cutOff }
        // What was cut off before its start was known anywhere is not counted against it.
        if downs > Int(Limits.interruptions) + 2 {
            found(Violation(.endlessPoison, "\(run.task) has taken \(downs) nodes down", at: world.now))
        }
        world.after(injector.poisonDelay(of: run.task)) { [self] in
            if world.observations.runs.contains(where: { $0.task == run.task && $0.token == run.token && $0.end == nil }
            ) {
                injector.poisoned(run.node)
            }
        }
    }

    // MARK: Phases

    private func form() {
        for node in world.nodes {
            world.after(.milliseconds(Int64(node.index) * 37)) { node.start() }
        }
        every(Self.inspectionInterval) { [self] in
            found(inspector.inspect())
            found(runs.settleDoubts())
            queues.look()
            stage.lookAtClocks()
        }
        if plan.checksFence { every(Contacts.interval) { [self] in contacts.look() } }
        every(.milliseconds(500)) { [self] in
            found(injector.supervise())
            found(runs.found)
        }
        guard plan.options["early"] == 0 else { return }
        watchHealth()
        let isFormed = go(until: { isWhole }, atMost: Self.formingTime)
        if !isFormed, violation == nil {
            found(Violation(.notFormed, finalChecker.disagreement ?? "it was not noticed", at: world.now))
        }
        isWhole = true
    }

    /// Until it is well.
    private func watchHealth() {
        world.after(.milliseconds(200)) { [self] in
            guard violation == nil else { return }
            isWhole = stage.view?.members.count ?? 0 >= plan.nodes && finalChecker.disagreement == nil
            if !isWhole { watchHealth() }
        }
    }

    private func suffer() {
        guard violation == nil else { return }
        chronicle.note(world.now, "faults begin")
        faultsAt = world.now
        injector.begin()
        clients?.begin()
        // Now, since the end of a process ends its calls as well.
        every(.seconds(5)) { [self] in
            if let call = clients?.lookForForgotten() { found(Violation(.neverAnswered, call, at: world.now)) }
        }
        gaps.begin(at: world.now)
        go(until: { false }, atMost: .milliseconds(Int64(plan.faultTime)))
    }

    private func recover() {
        guard violation == nil else { return }
        gaps.end(at: world.now)
        healedAt = world.now
        injector.heal()
        every(.milliseconds(500)) { [self] in
            if wellAt == nil, violation == nil, finalChecker.disagreement == nil { wellAt = world.now }
        }
        every(.seconds(10)) { [self] in operate() }
        watchSchedules()
        go(until: { false }, atMost: .milliseconds(Int64(plan.healedTime)))
        // With fewer nodes than at the beginning the same work takes longer.
        for _ in 0..<20 where violation == nil && finalChecker.openTasks != nil {
            let before = runs.runs
            go(until: { false }, atMost: .seconds(30))
            if runs.runs == before { break }
        }
        // A view may be on its way to the last member just now.
        go(until: { finalChecker.disagreement == nil }, atMost: .seconds(2))
        found(inspector.inspect())
        while violation == nil, let last = finalChecker.violation() {
            // What heals in time does so in a short run as well, but it has had less of it.
            guard last.property.healsInTime, let healedAt, world.now - healedAt < Self.healingTime else {
                return found(last)
            }
            go(until: { false }, atMost: .seconds(5))
            found(inspector.inspect())
        }
    }

    /// In the middle of the healed time schedules are watched for a while; then all of them end.
    private func watchSchedules() {
        guard plan.options["schedules"] > 0 else { return }
        world.after(.milliseconds(Int64(plan.healedTime) * 28 / 100)) { [self] in
            schedules.begin(isWell: wellAt != nil && finalChecker.disagreement == nil)
        }
        world.after(.milliseconds(Int64(plan.healedTime) * 49 / 100)) { [self] in
            found(inspector.inspect())
            found(schedules.end())
            clients?.endSchedules()
        }
    }

    /// `apus recover`: with a majority of the voters' disks lost nothing else helps.
    private func operate() {
        // Of two voters the other one may have been lost with its disk while it was being listed: no fault that is drawn can
        // know that.
        let isStuckPair =
            stage.view?.voters.count == 2 && healedAt.map { world.now - $0 > Self.pairPatience } ?? false
        guard stage.isBeyondVoting, plan.isBeyond || isStuckPair else { return }
        let newest = world.nodes.compactMap { node -> (view: View, node: SimulatedNode)? in
            guard node.life == .up, let view = node.look({ $0.view }) ?? nil, view.member(node.name) != nil else {
                return nil
            }
            return (view, node)
        }.max { $0.view.number < $1.view.number }
        guard let (view, node) = newest else { return }
        recoveries += 1
        stage.goesBack(to: view)
        node.call {
            "\(await $0.recover())"
        } _: { [chronicle, world] outcome in
            chronicle.note(world.now, "apus recover at node \(node.index): \(outcome ?? "no answer")")
        }
    }

    private var finalChecker: FinalChecker {
        guard let clients else { preconditionFailure("a run is wired before it is judged") }
        return FinalChecker(
            world: world, stage: stage, inspector: inspector, submissions: submissions, answers: answers,
            clients: clients,
            isRegistryEmptied: answers.isRegistryEmptied(), isBeyond: plan.isBeyond)
    }

    /// Until the condition holds, or something is wrong.
    @discardableResult
    private func go(until condition: () -> Bool, atMost limit: Duration) -> Bool {
        var holds = false
        let budget = world.eventCount + Self.eventsPerSecond * UInt64(max(1, limit.milliseconds / 1000))
        world.run(
            until: {
                if violation != nil || runs.found != nil { return true }
                if world.eventCount > budget {
                    found(Violation(.hung, "\(world.eventCount) events, and no end", at: world.now))
                    return true
                }
                holds = condition()
                return holds
            }, atMost: limit)
        found(runs.found)
        return holds
    }

    private func every(_ interval: Duration, _ action: @escaping @Sendable () -> Void) {
        world.after(interval) { [self] in
            action()
            if violation == nil { every(interval, action) }
        }
    }

    // MARK: Summary

    private func summary() -> SimulationReport {
        var report = SimulationReport(seed: plan.seed)
        if let violation {
            report.failure = SimulationReport.Failure(
                property: violation.property.rawValue, meaning: violation.property.meaning, detail: violation.detail,
                seconds: Double(violation.at.nanoseconds) / 1e9)
            report.plan = plan.description
            report.lastEvents = chronicle.lines
        }
        report.traceHash = world.traceHash
        report.seconds = Double(world.now.nanoseconds) / 1e9
        report.events = world.eventCount
        report.nodes = world.nodes.count
        for (kind, count) in injector.struck { report.faults[kind.rawValue] = count }
        for (kind, count) in injector.spared { report.spared[kind.rawValue] = count }
        for (cause, count) in runs.duplicates { report.duplicates[cause.rawValue] = count }
        report.secondsToFaults = faultsAt.map { Double($0.nanoseconds) / 1e9 }
        if let healedAt, let wellAt { report.secondsToHealth = Double((wellAt - healedAt).nanoseconds) / 1e9 }
        report.worstGap = gaps.worst
        guard let counters = clients?.counters else { return report }
        report.counts = [
            "tasks": counters.accepted, "submissions refused": counters.refused, "unconfirmed": counters.unconfirmed,
            "unanswered": counters.unanswered, "lookups": counters.lookups, "lookups unavailable": counters.unavailable,
            "runs": runs.runs, "priority checks": runs.priorityChecks, "views": stage.viewCount,
            "takeovers": stage.takeovers,
            "starts of nodes": world.nodes.reduce(0) { $0 + $1.starts }, "lemma checks": inspector.lemmaChecks,
            "entries": inspector.entryCount, "receipts": answers.receipts, "outcomes told": answers.outcomes,
            "changes of settings": counters.settings, "of them done": counters.settingsDone,
            "starts while some queue is paused": runs.startsBesidePauses,
            "starts of limited queues": queues.limitedStarts,
            "starts of queues that were paused": queues.pausedStarts,
            "pauses that were certain": queues.pausesAnswered,
            "changes of schedules": counters.schedules, "schedules set": counters.schedulesDone,
            "callbacks": world.observations.told.count, "firings": submissions.schedules.firings,
            "firings that had to be": schedules.checks,
            "changes of subscriptions": counters.subscriptions, "messages": counters.messages,
            "tasks of messages": submissions.topics.taskCount,
            "additions to workflows": world.observations.additions.count + submissions.workflows.additions.count,
            "questions for the past": counters.pasts, "states in the past": answers.pasts,
            "states in the past of quiet times": answers.quietPasts,
            "large results": world.largeResults, "ledgers destroyed": stage.excused.count,
            "recoveries by an operator": recoveries,
        ]
        return report
    }
}

/// How long clients could not submit.
struct Gaps {
    private var last: Instant?
    private(set) var worst = 0.0

    mutating func begin(at now: Instant) { last = now }

    mutating func accepted(at now: Instant) {
        if let last { worst = max(worst, Double((now - last).nanoseconds) / 1e9) }
        if last != nil { last = now }
    }

    mutating func end(at now: Instant) { last = nil }
}

extension SimulationPlan {
    var checksFence: Bool { options["fence"] == 1 }
}

extension WorldSettings {
    mutating func apply(_ options: PlanOptions) {
        slots = options["slots"]
        maxQueued = options["room"]
        copies = UInt8(options["copies"])
        hasRedis = options["redis"] == 1
        sync = [.always, .interval(.milliseconds(200)), .never][options["sync"]]
        journalSegmentBytes = options["segment"]
        inlineResultBytes = options["inline"]
        network.path.latency = .microseconds(Int64(options["latency"]))
        network.path.jitter = network.path.latency * options["jitter"] / 100
        network.path.loss = Double(options["loss"]) / 1000
        network.path.duplication = Double(options["copying"]) / 1000
        network.path.reordering = Double(options["overtaking"]) / 1000
        disk.syncLatency = .microseconds(Int64(options["disk"]))
        disk.jitter = disk.syncLatency / 2
        drift = Double(options["drift"]) / 1_000_000
        yieldChance = Double(options["yield"]) / 1000
    }
}
