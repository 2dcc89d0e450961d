public import Primitives

/// What became of a task with a key that was submitted to the key's home.
public enum KeyedDecision: Hashable, Sendable {
    case accepted(TaskID)
    /// The key stands for this task, which was accepted for the same request before.
    case repeated(TaskID)
    /// The key stands for this task, which was accepted for another request.
    case conflict(TaskID)
    /// It was sent to this ledger before, without an idempotency key; whether it was accepted then, and forgotten since, is not
    /// known any more.
    case unknown(TaskID)
    /// Not accepted: its queue has no more room at the home.
    case queueFull(TaskID)

    public var task: TaskID {
        switch self {
        case .accepted(let id), .repeated(let id), .conflict(let id), .unknown(let id), .queueFull(let id): id
        }
    }
}

/// Why nothing was decided about tasks with keys.
public enum KeyedRefusal: Error, Hashable, Sendable {
    /// This node is not the home of all the keys, or not any more: ask the view again.
    case notHome
    /// The keys are moving to another home: in a moment.
    case moving
    case full
}

/// Accepting tasks with an idempotency key, an ordering key, or both.
///
/// All that concerns a key is decided at its home, the primary of the ledger that its slot belongs to, and the task is
/// accepted into that very ledger: to look whether the key is free, to bind it and to accept the task is one entry. So two
/// nodes that are sent the same key at the same time ask the same one; what a takeover inherits has both or neither; and
/// the order of tasks with the same ordering key is that of the ledger's entries.
///
/// | the key | the same body | another body |
/// | --- | --- | --- |
/// | is free, or its time is up | accepted, and bound | accepted, and bound |
/// | is bound | repeated: the task of the first time | conflict |
///
/// A queue whose length is bounded takes as many of them as the home's share of that length has room for: unlike others they
/// cannot be forwarded to a node that has more.
///
/// What is known already needs no room: a client that asks again is told, however full the node is.
///
/// What is answered is answered once everything before it is committed, the binding that it speaks of too.
extension TaskOwner {
    /// Decides about all of them or, where one is new and there is no room, none.
    ///
    /// If the first is a workflow, these are its tasks, and there is one decision about all of it.
    ///
    /// - Parameters:
    ///   - ids: for those that are accepted. One that is known here was accepted before: the asker did not get the answer.
    ///   - isAgain: whether that may be, for each.
    ///   - request: `accepted(request)` follows once the decisions are committed.
    public mutating func submit(
        _ specs: [TaskSpec], ids: [TaskID], isAgain: [Bool], home ledger: LedgerID, request: UInt64, at now: Instant
    ) throws(KeyedRefusal) -> [KeyedDecision] {
        guard let index = index(of: ledger) else { throw .notHome }
        let isWorkflow = specs.first?.isWorkflow == true
        for spec in isWorkflow ? specs.prefix(1) : specs[...] {
            #if PLANTED_BUGS
            if PlantedBug.isActive(.strangerDecides) { continue }
            #endif
            guard let slot = spec.homeSlot, ledgers[index].slots.contains(slot) else { throw .notHome }
            #if PLANTED_BUGS
            if PlantedBug.isActive(.frozenSlotTakes) { continue }
            #endif
            if ledgers[index].handover?.isFrozen(slot) == true { throw .moving }
        }
        if isWorkflow {
            let decision = try decideTogether(specs, ids, in: index, at: now)
            ledgers[index].primary.whenCommitted(.accepted(request: request))
            return [decision]
        }
        let new = zip(specs, ids).filter { known($0, $1, in: index, at: now) == nil }.map(\.0)
        guard new.isEmpty || hasRoom(for: new, in: index, at: now) else { throw .full }
        var decisions: [KeyedDecision] = []
        decisions.reserveCapacity(specs.count)
        for (position, spec) in specs.enumerated() {
            decisions.append(decide(spec, ids[position], isAgain: isAgain[position], in: index, at: now))
        }
        ledgers[index].primary.whenCommitted(.accepted(request: request))
        return decisions
    }

    private mutating func decide(
        _ spec: TaskSpec, _ id: TaskID, isAgain: Bool, in index: Int, at now: Instant
    ) -> KeyedDecision {
        if let decision = known(spec, id, in: index, at: now) { return decision }
        let state = ledgers[index].primary.state
        // Of a new id that says nothing: whoever made it may have a slow clock.
        if isAgain, spec.idempotency == nil, state.mayHaveForgotten(id) { return .unknown(id) }
        guard fittingQueues([spec]) == 1 else { return .queueFull(id) }
        record(.accepted(Acceptance(id: id, spec: spec, at: now)), in: index)
        meter(spec.queue, at: now) { $0.arrivals += 1 }
        return .accepted(id)
    }

    /// A workflow and its tasks: the key stands for all of it.
    private mutating func decideTogether(
        _ specs: [TaskSpec], _ ids: [TaskID], in index: Int, at now: Instant
    ) throws(KeyedRefusal) -> KeyedDecision {
        if let decision = known(specs[0], ids[0], in: index, at: now) { return decision }
        guard hasRoom(for: specs, in: index, at: now) else { throw .full }
        guard firstFull(specs) == nil else { return .queueFull(ids[0]) }
        acceptTogether(zip(ids, specs).map { Acceptance(id: $0, spec: $1, at: now) }, in: index)
        meterArrivals(specs, at: now)
        return .accepted(ids[0])
    }

    /// What follows from what is known; nil: the task is new.
    private func known(_ spec: TaskSpec, _ id: TaskID, in index: Int, at now: Instant) -> KeyedDecision? {
        let state = ledgers[index].primary.state
        if let name = spec.keyName, let bound = state.keys[name], bound.until > now {
            return bound.body == spec.idempotency?.body ? .repeated(bound.task) : .conflict(bound.task)
        }
        return state.has(id) || state.hasForgotten(id) ? .repeated(id) : nil
    }

    /// - Parameter keys: idempotency keys that are to be bound; nil: those of the tasks.
    mutating func hasRoom(for specs: [TaskSpec], keys: Int? = nil, in index: Int, at now: Instant) -> Bool {
        guard fitting(specs) == specs.count, !ledgers[index].primary.isCongested else { return false }
        let keys = keys ?? specs.count { $0.idempotency != nil }
        guard keys > 0, ledgers[index].primary.state.keys.count + keys > settings.maxKeys else { return true }
        ledgers[index].primary.pruneKeys(at: now)
        return ledgers[index].primary.state.keys.count + keys <= settings.maxKeys
    }

    /// Whether a task that only an earlier primary has accepted may be: its key stands for no other task, and no other
    /// ledger may have bound it since.
    func isFree(_ acceptance: Acceptance, in index: Int) -> Bool {
        #if PLANTED_BUGS
        if PlantedBug.isActive(.boundKeyAdopted) { return true }
        #endif
        guard let slot = acceptance.spec.homeSlot else { return true }
        guard ledgers[index].slots.contains(slot), ledgers[index].handover?.isFrozen(slot) != true else { return false }
        let bound = acceptance.spec.keyName.flatMap { ledgers[index].primary.state.keys[$0] }
        if let bound { return bound.task == acceptance.id }
        guard let firing = acceptance.spec.firing else { return true }
        let last = lastFiring(of: firing.schedule, version: firing.version, in: ledgers[index].primary.id)
        return last.map { $0 < firing.time } ?? true
    }
}

extension Acceptance {
    /// Of a task that is submitted now.
    init(id: TaskID, spec: TaskSpec, at now: Instant) {
        self.init(
            id: id, spec: spec, enqueuedAt: now,
            due: spec.delay == 0 ? nil : now + .milliseconds(Int64(spec.delay)),
            expires: spec.expiry.map { now + .milliseconds(Int64($0)) })
    }
}
