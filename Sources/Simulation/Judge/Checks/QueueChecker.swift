import Node
import Primitives
import TaskLedger
import Views

/// Judges what the settings of queues promise of the whole cluster: pauses by what clients were told, the others as long as all
/// nodes go by the same ones:
///
/// - **Pause.** Once it was answered that a queue is paused nothing of it is leased, at any node, until somebody asks for its
///   end. What was leased before that may still begin.
/// - **Rate.** In no window of `window` more tasks of a queue start than its rate allows in that time and the life of a permit,
///   and a burst; another burst for every view in that time, since a new home may lend what an old one had lent as well.
/// - **Concurrency.** Of the runs whose leases were given since the limit holds no more go on at the same time than it says: one
///   that was given before may wait for its slot for long. Runs of nodes that were in trouble since, or were removed, do not
///   count: nobody reaches them; nor handlers that do not end when they are told to.
///
/// `@unchecked`: only touched by the world's thread.
final class QueueChecker: @unchecked Sendable {
    private static let window = Duration.seconds(5)
    /// Permits that were lent before a setting was known are used, or too old, after so long.
    fileprivate static let settling = Limits.permitLife + .milliseconds(200)

    private struct Leased: Hashable {
        var task: TaskID
        var token: Token
    }

    private struct Regime {
        var rate: UInt32?
        var concurrency: UInt32?
        /// In each view it begins anew: the settings may have been others in one that nobody has looked at.
        var view: UInt64
        var since: Instant
        /// Since when this limit on concurrency holds, through all views: no new home may forget what runs.
        var limitedSince: Instant
        /// The changes of settings that the view knows of: as long as they are the same, views that nobody has looked at had
        /// the same settings.
        var changes: [AppliedChange]
        /// Leases that there were when the limit had settled; nil: it has not.
        var older: Set<Leased>?

        var settled: Instant { limitedSince + QueueChecker.settling }
    }

    private let world: World
    private let plan: SimulationPlan
    private let stage: Stage
    private let inspector: Inspector
    private let submissions: Submissions
    /// What all nodes that are up go by. Iterated only in sorted order.
    private var regimes: [String: Regime] = [:]
    /// The last that all went by, whether or not they still do. Never iterated.
    private var last: [String: Regime] = [:]
    private var starts: [String: [Instant]] = [:]
    private var views: [Instant] = []
    private var viewNumber: UInt64 = 0
    /// When a pause was answered, and the leases that there were; nil: not all of them can be known. Never iterated.
    private var leasedBefore: [String: (since: Instant, leases: Set<Leased>?)] = [:]
    private(set) var limitedStarts = 0
    /// Of paused queues.
    private(set) var pausedStarts = 0
    private(set) var pausesAnswered = 0

    init(_ plan: SimulationPlan, _ stage: Stage, _ inspector: Inspector, _ submissions: Submissions) {
        self.inspector = inspector
        self.plan = plan
        self.stage = stage
        self.submissions = submissions
        world = stage.world
    }

    /// Now and then, and before anything is judged.
    func look() {
        let installed = world.nodes.filter(\.isUp).map { $0.look { $0.view } ?? nil }
        let settings = installed.map { $0?.settings }
        let agreed = (installed.first ?? nil).flatMap { first in
            installed.allSatisfy { $0?.number == first.number } ? first.number : nil
        }
        if let number = stage.view?.number, number != viewNumber {
            viewNumber = number
            views.append(world.now)
        }
        let changes = (settings.first ?? nil)?.applied ?? []
        for number in 0..<plan.options["queues"] {
            let queue = PlannedTask.queue(number)
            let all = settings.map { $0?.queue(queue) }
            guard let agreed, let first = all.first ?? nil, first.rate != nil || first.concurrency != nil,
                all.allSatisfy({ $0?.rate == first.rate && $0?.concurrency == first.concurrency })
            else {
                regimes[queue] = nil
                continue
            }
            if regimes[queue]?.view == agreed {
                settle(queue)
                continue
            }
            let before = last[queue].flatMap { last -> Regime? in
                let isKnown = last.view + 1 == agreed || last.changes == changes
                return isKnown && last.concurrency == first.concurrency ? last : nil
            }
            let regime = Regime(
                rate: first.rate, concurrency: first.concurrency, view: agreed, since: world.now,
                limitedSince: before?.limitedSince ?? world.now, changes: changes, older: before?.older)
            regimes[queue] = regime
            last[queue] = regime
            settle(queue)
        }
    }

    private func settle(_ queue: String) {
        guard let regime = regimes[queue], regime.older == nil, regime.concurrency != nil, world.now >= regime.settled
        else { return }
        guard let older = leases(of: queue) else { return }
        regimes[queue]?.older = older
        last[queue]?.older = older
    }

    /// What runs or is about to, by any ledger that is served; nil: one is served by nobody, and may come back with leases that
    /// nobody sees.
    private func leases(of queue: String) -> Set<Leased>? {
        var leases: Set<Leased> = []
        var served: Set<LedgerID> = []
        for node in world.nodes {
            _ = node.look { core in
                for ledger in core.served {
                    served.insert(ledger.copy.id)
                    let tasks = ledger.copy.state.tasks
                    for index in tasks.indices where tasks.values[index].status == .processing {
                        let record = tasks.values[index]
                        guard record.spec.queue == queue, let lease = record.lease else { continue }
                        leases.insert(Leased(task: record.id, token: lease.token))
                    }
                }
            }
        }
        guard let view = stage.view, view.ledgers.allSatisfy({ served.contains($0.id) }) else { return nil }
        return leases
    }

    /// It has just been answered.
    func paused(_ queue: String) {
        guard let since = submissions.pauses.pausedSince(queue) else { return }
        pausesAnswered += 1
        leasedBefore[queue] = (since, leases(of: queue))
    }

    /// From outside, right after a start.
    func began(_ index: Int) -> Violation? {
        let run = world.observations.runs[index]
        guard let queue = submissions[run.task]?.task.spec.queue else { return nil }
        if let violation = checkPause(queue, run) { return violation }
        guard regimes[queue] != nil else { return nil }
        look()
        guard let regime = regimes[queue] else { return nil }
        limitedStarts += 1
        return checkRate(queue, regime, from: regime.since + Self.settling)
            ?? checkConcurrency(queue, regime)
    }

    private func checkPause(_ queue: String, _ run: Observations.Run) -> Violation? {
        // With every copy of something the settings may have been lost as well.
        guard let since = submissions.pauses.pausedSince(queue), let before = leasedBefore[queue],
            before.since == since,
            let leases = before.leases, stage.lastExcuse == nil
        else { return nil }
        pausedStarts += 1
        guard !leases.contains(Leased(task: run.task, token: run.token)) else { return nil }
        return Violation(
            .startedWhilePaused,
            "node \(run.node) starts \(run.task) under \(run.token); that its queue \(queue) is paused was answered "
                + "\((world.now - since).milliseconds) ms ago", at: world.now)
    }

    private func checkRate(_ queue: String, _ regime: Regime, from: Instant) -> Violation? {
        guard let rate = regime.rate else { return nil }
        let now = world.now
        let begin = max(from, now - Self.window)
        var recent = (starts[queue] ?? []).filter { $0 >= now - Self.window }
        recent.append(now)
        starts[queue] = recent
        guard begin < now else { return nil }
        let count = recent.count { $0 >= begin }
        let bursts = 1 + views.count { $0 >= begin - Self.settling }
        // Clocks differ by 2 % at most, and what was lent before is used within the life of a permit.
        let seconds = Double((now - begin + Limits.permitLife).nanoseconds) / 1e9 * 1.03
        let allowed = Double(rate) / 1000 * seconds + Double(bursts) * (Double(Limits.burst(of: rate)) + 1)
        guard Double(count) > allowed else { return nil }
        return Violation(
            .rateExceeded,
            "\(count) tasks of \(queue) have started in \((now - begin).milliseconds) ms, with a rate of "
                + "\(Double(rate) / 1000) and \(bursts) bursts", at: now)
    }

    private func checkConcurrency(_ queue: String, _ regime: Regime) -> Violation? {
        // What is lost on the way may be done twice without anybody's fault.
        guard let limit = regime.concurrency, let older = regime.older, plan.options["loss"] == 0 else { return nil }
        let going = world.observations.runs.lazy.suffix(2000).filter { [self] run in
            guard run.end == nil, run.began >= regime.settled,
                !older.contains(Leased(task: run.task, token: run.token)), let task = submissions[run.task]?.task,
                task.spec.queue == queue, task.style != .stubborn, task.style != .hanging,
                let life = world.nodes[run.node].identity
            else { return false }
            return !stage.wasInTrouble(run.node, since: run.began - .seconds(5)) && !stage.removed.contains(life)
        }
        guard going.count > Int(limit) else { return nil }
        // What nobody serves, or has given up, is counted by nobody.
        let tasks = Set(
            going.filter { [self] run in
                guard let (record, _, isServed) = inspector.record(of: run.task), isServed else { return false }
                return record.lease?.token == run.token
            }.map(\.task))
        guard tasks.count > Int(limit) else { return nil }
        return Violation(
            .concurrencyExceeded, "\(tasks.count) tasks of \(queue) run at the same time, and \(limit) may",
            at: world.now)
    }
}
