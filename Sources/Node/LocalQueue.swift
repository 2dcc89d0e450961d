import DequeModule
import EventLoop
import Membership
import Peers
import Primitives
import Schedules
import Service
import TaskLedger
import Views
import Wire
import WorkStealing

/// The tasks that this node owns: carries out what the owner's machine wants, and answers clients and peers about them.
///
/// Events are handled as they come; what follows from them (starts, grants, replication, answers) is done once a turn of
/// the loop, so that everything that came in one turn shares its messages.
actor LocalQueue {
    nonisolated let node: NodeContext
    nonisolated var unownedExecutor: UnownedSerialExecutor { node.scheduler.serialExecutor }

    var owner: TaskOwner
    var view: View?
    private var parking = ParkingLot()
    private(set) var isDraining = false
    private var isStopped = false
    private var isTurnDue = false
    private var alarm: (any ScheduledAction)?
    /// When it comes; nil: none is set.
    private var alarmAt: Instant?
    private var upkeep: (any ScheduledAction)?
    /// Nothing was under way when the upkeep was last set, so that it comes later.
    private var isUpkeepSlow = false
    private var lastSweep: Instant

    /// What waits for a commit.
    var requests: [UInt64: (Bool) -> Void] = [:]
    var deadlines: Deque<(request: UInt64, at: Instant)> = []
    private var lastRequest: UInt64 = 0
    /// Who waits for a task's end.
    private var waiters: [TaskID: [UInt64: Waiter]] = [:]

    private struct Waiter {
        let done: @Sendable (TaskRecord?) -> Void
        let timer: any ScheduledAction
    }
    private(set) var takeovers: [PeerStatus.Takeover] = []
    /// Nodes whose tasks wait for tasks of this one. See `LocalQueue+Parents`.
    var watchers: [TaskID: Set<NodeName>] = [:]
    /// Of queues with a rate or a limit on concurrency: what this node lends as their home, and who waits for its answer.
    var home = QueueHome()
    /// In which terms it serves the ledgers that make it one.
    var homeTerms: [LedgerID: Term] = [:]
    var claimants: [Claimant: (number: UInt64, reply: @Sendable (PermitLoan) -> Void)] = [:]
    var homeAlarm: (any ScheduledAction)?
    var homeAlarmAt: Instant?
    /// The schedules whose home this node is.
    var timetable = Timetable()
    var scheduleAlarm: (any ScheduledAction)?
    var scheduleAlarmAt: Timestamp?
    /// Effects that were caused by an event and wait for the turn.
    var effects: [OwnerEffect] = []

    /// How far the ledgers had come when the journal was last asked to say that it holds them.
    private var marked: [DurabilityMark] = []

    /// Who may hold copies, as of a view and a state of the membership.
    struct Candidates {
        var view: UInt64
        var version: UInt64
        var alive: [StoreHolder]
        var suspect: [StoreHolder]
    }
    private var candidates: Candidates?
    private var toldLoad: LoadDigest?

    init(_ node: NodeContext, seed: UInt64) {
        self.node = node
        lastSweep = node.now
        owner = TaskOwner(
            me: node.identity,
            settings: TaskOwner.Settings(
                slots: node.configuration.slots, maxQueued: node.configuration.maxQueued,
                maxQueuedBytes: node.configuration.maxQueuedBytes,
                hasRegistry: node.registry.storesResults),
            seed: seed)
        owner.isPaused = true
    }

    func start() { lookAfter() }

    func stop() {
        writeDown()
        isStopped = true
        alarm?.cancel()
        homeAlarm?.cancel()
        scheduleAlarm?.cancel()
        upkeep?.cancel()
        for request in requests.keys.sorted() { requests.removeValue(forKey: request)?(false) }
        for id in waiters.keys.sorted() { tellWaiters(id, nil) }
    }

    // MARK: Turns

    /// Something happened: what follows is done at the end of this turn of the loop.
    func turn() {
        guard !isTurnDue, !isStopped else { return }
        isTurnDue = true
        node.scheduler.execute { [self] in onLoop { $0.carryOutTurn() } }
    }

    private func carryOutTurn() {
        isTurnDue = false
        guard !isStopped else { return }
        // The leave may have ended since somebody was last told.
        lookAtStanding()
        askParents()
        advanceWorkflows()
        if owner.owesCallbacks { owner.callBack(at: node.now) }
        owner.slotsFree(node.colleagues.workers.onLoop { $0.freeSlots })
        claimPermits(for: owner.freeSlots + parking.wanted)
        owner.startReady(at: node.now, timestamp: node.timestamp, into: &effects)
        serveThieves()
        // The disk and the backups work at the same time.
        writeDown()
        owner.flush(isLinked: { node.isLinked($0) }, into: &effects)
        owner.collect(into: &effects)
        // Commits without backups, and what they led to, are seen at once.
        while !effects.isEmpty {
            let batch = effects
            effects = []
            carryOut(batch)
            writeDown()
            owner.flush(isLinked: { node.isLinked($0) }, into: &effects)
            owner.collect(into: &effects)
        }
        setAlarm()
        // What has ended may have been waited for here.
        if owner.hasQuestions(at: node.now) || owner.hasStirredWorkflows || owner.owesCallbacks {
            turn()
        }
        node.colleagues.workers.onLoop { $0.turn() }
        if isUpkeepSlow, !isAtRest { setUpkeep() }
    }

    /// Hands what is new to the journal. Before anybody else may write about the same ledgers.
    func writeDown() {
        let records = owner.takeUnwritten()
        let ledgers = node.colleagues.ledgers
        if !records.isEmpty { ledgers.onLoop { $0.write(records) } }
        let marks = owner.awaitingDurability
        guard !marks.isEmpty, marks != marked else { return }
        marked = marks
        ledgers.onLoop { ledgers in
            ledgers.whenDurable { [self] in
                onLoop {
                    $0.owner.madeDurable(marks)
                    $0.turn()
                }
            }
        }
    }

    private func serveThieves() {
        var unserved: [ParkingLot.Request] = []
        while let (request, limit) = parking.next(ready: owner.readyCount, at: node.now) {
            // Only a member's lease is revoked when it dies. A thief that is about to be one waits; it asked only once.
            guard let member = view?.member(request.thief) else {
                parking.remove(request.thief)
                unserved.append(request)
                continue
            }
            let count = owner.grant(
                to: request.thief, slots: Int(member.profile.slots), limit: limit,
                minimumPriority: Priority(Int(request.minimumPriority)) ?? .low, bytes: Limits.grantBytes, at: node.now,
                timestamp: node.timestamp)
            parking.served(count, left: owner.readyCount)
            if count == 0 {
                // What is ready is not for this thief; its request waits for what comes.
                parking.remove(request.thief)
                unserved.append(request)
            }
        }
        for request in unserved { parking.putBack(request) }
    }

    /// One that comes too early only looks and is set again: cheaper than to set it anew with every turn.
    private func setAlarm() {
        guard let at = owner.nextAlarm else { return }
        if let alarmAt, alarmAt <= at { return }
        alarm?.cancel()
        alarmAt = at
        alarm = node.scheduler.schedule(after: max(at - node.now, .zero)) { [self] in
            onLoop {
                $0.alarmAt = nil
                $0.owner.wake(at: $0.node.now, timestamp: $0.node.timestamp)
                $0.turn()
            }
        }
    }

    /// What is done whether or not anything happens.
    private func lookAfter() {
        guard !isStopped else { return }
        if let view {
            let isLinked: (NodeName) -> Bool = { self.node.isLinked($0) }
            let replicas = possibleReplicas(view)
            owner.lookAfterReplicas(
                candidates: replicas.alive, suspects: replicas.suspect,
                // Who leaves hands over to a backup, so it needs one in any case.
                copies: max(Int(view.settings.copies), isDraining ? 2 : 1), at: node.now, isLinked: isLinked,
                into: &effects)
            keepDeposed()
            for (holder, attempts) in owner.doubts() { askHolds(attempts, of: holder) }
        }
        giveUpRequests()
        owner.boundLetters(wallClock: node.timestamp)
        owner.measureDrain(at: node.now)
        if node.now - lastSweep >= Limits.outcomeSweep {
            lastSweep = node.now
            owner.dropExpiredOutcomes(wallClock: node.timestamp)
        }
        tellLoad()
        turn()
        setUpkeep()
    }

    private func setUpkeep() {
        upkeep?.cancel()
        isUpkeepSlow = isAtRest
        upkeep = node.scheduler.schedule(after: isUpkeepSlow ? Limits.restingUpkeep : Limits.upkeepInterval) { [self] in
            onLoop { $0.lookAfter() }
        }
    }

    /// Nothing is under way on this node: whatever changes that causes a turn.
    private var isAtRest: Bool {
        requests.isEmpty && effects.isEmpty && !isDraining && owner.isAtRest { node.isLinked($0) }
            && !node.colleagues.workers.onLoop { $0.isBusy }
    }

    /// Members that may hold a copy, those with the fewest first; and those of whom that is not sure now.
    func possibleReplicas(_ view: View) -> Candidates {
        let (members, version) = node.colleagues.membership.onLoop { ($0.members, $0.version) }
        if let candidates, candidates.view == view.number, candidates.version == version { return candidates }
        var copies: [NodeName: Int] = [:]
        for ledger in view.ledgers { for replica in ledger.replicas { copies[replica.name, default: 0] += 1 } }
        func listed(_ state: MemberState) -> [StoreHolder] {
            view.members.filter { member in
                members.contains { $0.id == member.id && $0.state == state && !$0.load.isDraining }
            }.map(\.replica).sorted { (copies[$0.name, default: 0], $0.name) < (copies[$1.name, default: 0], $1.name) }
        }
        let found = Candidates(
            view: view.number, version: version, alive: listed(.alive), suspect: listed(.suspect))
        candidates = found
        return found
    }

    /// A ledger's only copy here must not wait for the end of the turn: the next view may give it back.
    func keepDeposed() {
        guard effects.contains(where: { if case .deposed = $0 { true } else { false } }) else { return }
        writeDown()
        for case .deposed(let copy) in effects { node.colleagues.replicas.onLoop { $0.deposed(copy) } }
        effects.removeAll { if case .deposed = $0 { true } else { false } }
    }

    private func tellLoad() {
        let load = load()
        guard load != toldLoad else { return }
        toldLoad = load
        node.colleagues.membership.onLoop { $0.handle(.loadChanged(load)) }
    }

    func load() -> LoadDigest {
        LoadDigest(
            ready: UInt32(clamping: owner.readyCount), open: UInt32(clamping: owner.openCount),
            headPriority: owner.headPriority?.rawValue ?? 0, isDraining: isDraining,
            freeSlots: UInt16(clamping: node.colleagues.workers.onLoop { $0.freeSlots }),
            oldestAge: UInt32(clamping: owner.headAge(at: node.now).milliseconds / 100))
    }

    // MARK: Standing

    func install(_ view: View, after previous: View?) {
        self.view = view
        installSettings(of: view)
        let me = StoreHolder(name: node.name, store: node.profile.store)
        let isListed = view.member(node.identity) != nil
        let roles =
            !isListed
            ? []
            : view.ledgers.filter { $0.primary == me }.map {
                LedgerRole(
                    ledger: $0.id, term: $0.term, backups: $0.backups, isHome: $0.founder == me,
                    restsUntil: restsUntil($0.id), slots: view.slots(of: $0.id), moves: view.moves(from: $0.id))
            }
        let made = owner.install(
            viewNumber: view.number, roles: roles, members: Set(view.members.map(\.id)),
            leaseRests: { [node] holder in node.colleagues.fence.onLoop { $0.restsUntil(leaseOf: holder) } },
            formerRests: { [node] name in node.colleagues.fence.onLoop { $0.restsUntil(leaseOfFormer: name) } },
            at: node.now, timestamp: node.timestamp,
            copies: { id in node.colleagues.replicas.onLoop { $0.take(id) } }, into: &effects
        )
        keepDeposed()
        // Whoever waits for a task that another node owns now has to ask there.
        for id in waiters.keys.sorted() where owner.task(id) == nil { tellWaiters(id, nil) }
        forgetWatchers()
        for takeover in made {
            guard let from = previous?.ledger(takeover.ledger)?.primary.name, from != node.name else { continue }
            node.logger.warning(
                "took over",
                metadata: [
                    "ledger": "\(takeover.ledger)", "term": "\(takeover.term)", "from": "\(from)",
                    "open": "\(takeover.recovered)",
                ])
            takeovers.append(
                PeerStatus.Takeover(
                    ledger: takeover.ledger, term: takeover.term, from: from, to: node.name, at: node.timestamp,
                    recovered: UInt64(takeover.recovered)))
        }
        takeovers.removeFirst(max(0, takeovers.count - Limits.takeovers))
        installSchedules(of: view)
        standingChanged()
    }

    /// Whether this node may start tasks: a current view lists it, a majority of the voters lets it, and it is not draining.
    func standingChanged() {
        lookAtStanding()
        turn()
    }

    private func lookAtStanding() {
        owner.isPaused =
            isDraining || !node.colleagues.views.onLoop { $0.isConfirmed }
            || !node.colleagues.fence.onLoop { $0.isValid }
    }

    private func restsUntil(_ ledger: LedgerID) -> Instant? {
        node.colleagues.fence.onLoop { $0.restsUntil(ledger) }
    }

    /// Somebody who was waited for starts nothing any more.
    func restsChanged() {
        owner.shortenRests({ restsUntil($0) }, at: node.now)
        turn()
    }

    /// Takes no more work. Its ledgers go to their backups by a view, since gossip says that it drains.
    func drain() {
        isDraining = true
        // Nothing begins here any more before anybody hears of it: who takes over does not wait then.
        node.colleagues.fence.onLoop { $0.drain() }
        node.colleagues.workers.onLoop { $0.drain() }
        tellLoad()
        standingChanged()
    }

    func returned(as identity: NodeID) {
        for ledger in owner.ownedLedgers { owner.stepDown(ledger, into: &effects) }
        keepDeposed()
        owner.returned(as: identity)
        candidates = nil
        toldLoad = nil
        for id in waiters.keys.sorted() { tellWaiters(id, nil) }
        standingChanged()
    }

    func term(of ledger: LedgerID) -> Term? { owner.term(of: ledger) }

    func linkDown(_ id: NodeID) {
        parking.remove(id)
        owner.linkDown(id.name, at: node.now)
        turn()
    }

    // MARK: Waiting

    /// `done` is called once what was appended under the request's number is committed (true), cannot be any more here, or
    /// still is not after `Limits.commitDeadline`.
    func request(_ done: @escaping (Bool) -> Void) -> UInt64 {
        lastRequest += 1
        requests[lastRequest] = done
        deadlines.append((lastRequest, node.now + Limits.commitDeadline))
        return lastRequest
    }

    func wait(for id: TaskID, atMost limit: Duration, _ done: @escaping @Sendable (TaskRecord?) -> Void) {
        lastRequest += 1
        let key = lastRequest
        let timer = node.scheduler.schedule(after: limit) { [self] in
            onLoop { queue in
                guard let waiter = queue.waiters[id]?.removeValue(forKey: key) else { return }
                if queue.waiters[id]?.isEmpty == true { queue.waiters[id] = nil }
                let record = queue.owner.task(id)
                waiter.done(record.flatMap { queue.owner.isTellable($0) ? $0 : nil })
            }
        }
        waiters[id, default: [:]][key] = Waiter(done: done, timer: timer)
    }

    func tellWaiters(_ id: TaskID, _ record: TaskRecord?) {
        #if PLANTED_BUGS
        if PlantedBug.isActive(.waitersForgotten), record == nil {
            return waiters.removeValue(forKey: id)?.values.forEach { $0.timer.cancel() } ?? ()
        }
        #endif
        guard let all = waiters.removeValue(forKey: id) else { return }
        for key in all.keys.sorted() {
            all[key]?.timer.cancel()
            all[key]?.done(record)
        }
    }

    // MARK: News from executors and thieves

    func stealAsked(_ request: StealRequest, by thief: NodeID) {
        parking.park(thief, wanted: request.wanted, minimumPriority: request.minimumPriority.rawValue, at: node.now)
        turn()
    }

    func reported(_ reports: [AttemptReport], by executor: NodeID) {
        for report in reports {
            owner.take(report, from: executor, at: node.now, timestamp: node.timestamp, into: &effects)
            #if PLANTED_BUGS
            if PlantedBug.isActive(.redisBeforeCommit), let record = owner.task(report.attempt.id),
                record.status.isFinal
            {
                node.colleagues.archive.onLoop { $0.ended(record) }
            }
            #endif
        }
        turn()
    }

    func began(_ attempts: [AttemptID]) {
        owner.began(attempts, at: node.now, timestamp: node.timestamp)
        turn()
    }

    /// `reply` is called with true once what was adopted is committed: the copy that offers it may be the last one.
    func offered(_ request: OfferRequest, _ reply: @escaping @Sendable (Bool) -> Void) {
        guard owner.term(of: request.ledger) != nil else { return reply(false) }
        let number = self.request { reply($0) }
        owner.adopt(
            request.tail, into: request.ledger, request: number, timestamp: node.timestamp, effects: &effects)
        turn()
    }

    func archived(_ outcomes: [(id: TaskID, token: Token)]) {
        for outcome in outcomes { owner.archived(outcome.id, under: outcome.token) }
        turn()
    }

    func rewriteOutcomes() {
        owner.rewriteOutcomes()
        turn()
    }
}

extension Limits {
    /// How often replicas, doubtful leases and the own load are looked after.
    static let upkeepInterval = Duration.milliseconds(100)
    /// The same while nothing is under way.
    static let restingUpkeep = Duration.milliseconds(500)
    /// How often outcomes are looked for that were kept long enough.
    static let outcomeSweep = Duration.seconds(60)
}
