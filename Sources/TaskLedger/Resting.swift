public import Primitives

/// Tasks that are pending and may not be started yet, since somebody else may still start them (rule R3).
///
/// | a pending task | is |
/// | --- | --- |
/// | of a ledger that does not rest | in the ready queue, and counted by `readyCount` |
/// | of a ledger that rests (`Owned.restsUntil`): inherited, or come since | in `Owned.resting` |
/// | whose lease was revoked while its holder may still begin it | in `revoked`, as are those that ended by that |
///
/// So a backlog that rests costs nothing until its time has come, and nobody is lured by it: it is not advertised. The ends of
/// the rests are alarms (`nextAlarm`), and `wake` puts the tasks into the ready queue. Leases of members do not rest: they
/// stay where they are. What is decided about resting tasks otherwise (cancelled, expired, completed by an attempt of
/// before) takes effect at once, but it is told when the ledger has rested (`Owned.withheld`): as long as the former primary
/// may start tasks it also tells of them, and whoever has heard that one ended must not hear there that it waits.
///
/// How long something rests is not decided here: the view tells (`LedgerRole.restsUntil`).
extension TaskOwner {
    /// What clients or the registry are to be told once all that is recorded now is committed, and the former primary tells
    /// nothing older any more. (What the ledger inherits may have been told before, and is not withheld.)
    mutating func whenTellable(_ action: Action, in index: Int) {
        #if PLANTED_BUGS
        if PlantedBug.isActive(.toldWhileResting) { return ledgers[index].primary.whenCommitted(action) }
        #endif
        switch action {
        case .ended, .accepted:
            guard ledgers[index].restsUntil == nil else { return ledgers[index].withheld.append(action) }
        case .start, .grant, .settle, .slotsFrozen, .resultSettled, .inherited: break
        }
        ledgers[index].primary.whenCommitted(action)
    }

    /// Whether a pending task has to wait for the end of a rest.
    func rests(_ id: TaskID, in index: Int) -> Bool { ledgers[index].restsUntil != nil || revoked[id] != nil }

    /// The task has become pending.
    mutating func queue(_ record: TaskRecord, in index: Int) {
        let item = item(record, ledgers[index].primary.id)
        if revoked[record.id] != nil { return }
        guard ledgers[index].restsUntil == nil else { return ledgers[index].resting.append(item) }
        enqueue(item)
    }

    /// The task is not pending any more.
    mutating func unqueue(_ record: TaskRecord, in index: Int) {
        if !rests(record.id, in: index) { countReady(-1, of: record.spec.queue) }
    }

    /// The ledger has left this node.
    mutating func unqueueAll(of owned: Owned) {
        for record in owned.primary.state.tasks.values where record.status == .pending {
            if revoked[record.id] == nil, owned.restsUntil == nil { countReady(-1, of: record.spec.queue) }
        }
        revoked = revoked.filter { owned.primary.state[$0.key] == nil }
        let ledger = owned.primary.id
        ready.compact { $0.ledger != ledger }
    }

    /// The lease is void, but its holder may begin the task up to `until`.
    mutating func revoke(
        _ record: TaskRecord, _ lease: Lease, until: Instant?, in index: Int, at now: Instant, _ timestamp: Timestamp
    ) {
        // If that ends it, a client may want it run again before its holder is known to be fenced.
        if let until, until > now { rest(record, until, in: index) }
        // Nobody hears of a beginning that takes the process down at once. The second time that may be what it was.
        interrupt(
            record, lease, isBlamed: lease.isStarted || record.idleLeases > 0, in: index, timestamp: timestamp)
    }

    /// Whoever held the task last may begin it up to `until`.
    mutating func rest(_ record: TaskRecord, _ until: Instant, in index: Int) {
        revoked[record.id] = until
        alarms.insert(Alarm(at: until, id: record.id, ledger: ledgers[index].primary.id))
    }

    /// It is known by now that some rests end earlier than a view had said.
    ///
    /// - Parameter restsUntil: of each ledger; nil: it does not rest.
    public mutating func shortenRests(_ restsUntil: (LedgerID) -> Instant?, at now: Instant) {
        for index in ledgers.indices { shortenRest(index, to: restsUntil(ledgers[index].primary.id), at: now) }
    }

    /// A ledger that is being served does not begin to rest.
    mutating func shortenRest(_ index: Int, to until: Instant?, at now: Instant) {
        guard let old = ledgers[index].restsUntil else { return }
        ledgers[index].restsUntil = min(old, until ?? now)
        endRest(index, at: now)
    }

    /// When the next ledger has rested.
    var nextRestEnd: Instant? { ledgers.lazy.compactMap(\.restsUntil).min() }

    mutating func endRests(at now: Instant) {
        for index in ledgers.indices { endRest(index, at: now) }
    }

    private mutating func endRest(_ index: Int, at now: Instant) {
        guard let until = ledgers[index].restsUntil, until <= now else { return }
        ledgers[index].restsUntil = nil
        let items = ledgers[index].resting
        ledgers[index].resting = []
        for action in ledgers[index].withheld { ledgers[index].primary.whenCommitted(action) }
        ledgers[index].withheld = []
        for item in items where live(item) != nil { enqueue(item) }
    }

    /// Tasks that rest in ledgers of this node, pending as they are.
    public var restingCount: Int {
        ledgers.reduce(0) { $0 + ($1.restsUntil == nil ? 0 : $1.resting.count) }
            + revoked.keys.count { task($0)?.status == .pending }
    }

    /// Nothing of the ledger starts before; nil: it does not rest, or this node does not serve it.
    public func restsUntil(_ ledger: LedgerID) -> Instant? { index(of: ledger).flatMap { ledgers[$0].restsUntil } }
}
