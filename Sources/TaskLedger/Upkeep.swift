import DequeModule
public import Primitives

/// What has to be done from time to time.
extension TaskOwner {
    /// When the next delay, retry, expiry or end of a rest is due; nil if there is none.
    public var nextAlarm: Instant? { [alarms.min?.at, nextRestEnd].compactMap { $0 }.min() }

    /// Tasks that have become due, or have rested, are ready; tasks that were not started in time are expired.
    public mutating func wake(at now: Instant, timestamp: Timestamp) {
        endRests(at: now)
        while let alarm = alarms.min, alarm.at <= now {
            alarms.removeMin()
            guard let index = index(of: alarm.ledger), let record = ledgers[index].primary.state[alarm.id] else {
                continue
            }
            #if PLANTED_BUGS
            if PlantedBug.isActive(.expiryIgnored), record.status == .scheduled {
                guard record.due.map({ $0 <= now }) ?? true else { continue }
                ledgers[index].primary.becomeDue(record.id)
                if let due = ledgers[index].primary.state[record.id] { queue(due, in: index) }
                continue
            }
            #endif
            let hasRested = revoked[record.id].map { $0 <= now } ?? false
            let isLate = record.expires.map { $0 <= now } ?? false
            if isLate, record.status == .pending || record.status == .scheduled || record.status == .blocked {
                self.record(.expired(record.id, at: timestamp), in: index, then: .ended(record.id))
            }
            // Only now: what rests was never counted as ready, so its end must not be taken for one that was.
            if hasRested { revoked[record.id] = nil }
            guard ledgers[index].primary.state[record.id]?.status == record.status else { continue }
            if record.status == .scheduled, record.due.map({ $0 <= now }) ?? true {
                ledgers[index].primary.becomeDue(record.id)
                if let due = ledgers[index].primary.state[record.id] { queue(due, in: index) }
            } else if hasRested, record.status == .pending {
                queue(record, in: index)
            }
        }
    }

    /// How much of what has ended is kept here, but for dead letters, and how much had to go before its time.
    public struct OutcomeSummary: Sendable, Hashable {
        public var count: Int
        public var cost: Int
        /// Given up for the bounds though nobody else keeps them, since this process began.
        public var cut: UInt64
    }

    public var outcomes: OutcomeSummary {
        OutcomeSummary(
            count: ledgers.reduce(0) { $0 + $1.primary.state.outcomeCount },
            cost: ledgers.reduce(0) { $0 + $1.primary.state.outcomeCost }, cut: counters.outcomesCut)
    }

    /// The registry holds the outcome. The newest of these stay in the ledger for quick answers; older ones are forgotten
    /// here, and a ledger whose founder is gone forgets all, but for dead letters.
    ///
    /// - Parameter token: of the outcome that it holds: there may be a later one by now.
    public mutating func archived(_ id: TaskID, under token: Token) {
        guard let index = index(of: id), let record = ledgers[index].primary.state[id], record.status.isFinal,
            record.resultToken == token
        else { return }
        if record.isLetter, !ledgers[index].archivedLetters.insert(id).inserted { return }
        if record.spec.isWorkflow { ledgers[index].storedWorkflows.insert(id) }
        ledgers[index].unarchived = max(0, ledgers[index].unarchived - 1)
        guard !record.isLetter else { return }
        ledgers[index].archived.append(id)
        forget(in: index)
    }

    private mutating func forget(in index: Int) {
        let limit =
            !settings.hasRegistry ? Limits.keptOutcomes : ledgers[index].isHome ? Limits.archivedOutcomes : 0
        var held: [TaskID] = []
        while ledgers[index].archived.count + held.count > limit
            || ledgers[index].primary.state.outcomeCost > Limits.outcomeBytes,
            let oldest = ledgers[index].archived.popFirst()
        {
            // It may be gone for another reason, or be run again.
            guard let record = ledgers[index].primary.state[oldest], record.status.isFinal, !record.isLetter
            else { continue }
            if isHeld(oldest, in: index) {
                held.append(oldest)
                continue
            }
            if !settings.hasRegistry { counters.outcomesCut += 1 }
            self.record(.forgotten(oldest), in: index)
        }
        ledgers[index].archived.prepend(contentsOf: held)
    }

    /// Looks after replicas: who is no good is replaced, who is missing is chosen. Also notices ledgers that have drained.
    ///
    /// - Parameters:
    ///   - candidates: living members that may hold a copy, the least loaded first.
    ///   - suspects: members that may be gone: their copies count, and they get no new ones.
    ///   - copies: how many nodes are to hold each task.
    public mutating func lookAfterReplicas(
        candidates: [StoreHolder], suspects: [StoreHolder] = [], copies: Int, at now: Instant,
        isLinked: (NodeName) -> Bool, into effects: inout [OwnerEffect]
    ) {
        var replication: [ReplicationEffect] = []
        for index in ledgers.indices {
            ledgers[index].primary.sweep(at: now, isLinked: isLinked, into: &replication)
            advanceHandover(in: index, at: now, into: &effects)
            let backups = ledgers[index].primary.backups
            let good = backups.filter { candidates.contains($0) || suspects.contains($0) }
            if good.count + 1 < copies, ledgers[index].primary.learner == nil,
                let learner = candidates.first(where: { candidate in
                    candidate.name != me.name && isLinked(candidate.name)
                        && !backups.contains { $0.name == candidate.name }
                })
            {
                ledgers[index].primary.addLearner(learner)
            }
            if !ledgers[index].isHome {
                forget(in: index)
                #if PLANTED_BUGS
                let isDone = PlantedBug.isActive(.retiredWithOutcomes) && ledgers[index].primary.state.openCount == 0
                if isDone {
                    let primary = ledgers[index].primary
                    effects.append(.drained(primary.id, primary.term, view: primary.viewNumber))
                }
                #endif
                if ledgers[index].primary.state.tasks.isEmpty, ledgers[index].slots.isEmpty {
                    let primary = ledgers[index].primary
                    ledgers[index].drainedIn = primary.viewNumber
                    effects.append(.drained(primary.id, primary.term, view: primary.viewNumber))
                }
            }
        }
        effects.append(contentsOf: replication.map(OwnerEffect.replicate))
    }

    /// Whether nothing is under way here that would have to be looked after: no open task, no doubtful lease, nothing on
    /// its way to a replica, and no ledger that is to drain.
    public func isAtRest(isLinked: (NodeName) -> Bool) -> Bool {
        doubtful.isEmpty && released.isEmpty && tellings.isEmpty && untold.isEmpty
            && ledgers.allSatisfy { owned in
                owned.isHome && owned.moves.isEmpty && owned.unarchived == 0 && owned.primary.state.openCount == 0
                    && owned.primary.isAtRest(isLinked: isLinked)
            }
    }

    /// The registry was emptied: what it had and this node still holds is to be written again.
    public mutating func rewriteOutcomes() {
        for index in ledgers.indices {
            let archived = ledgers[index].archived + ledgers[index].archivedLetters.sorted()
            ledgers[index].archived = []
            ledgers[index].archivedLetters = []
            ledgers[index].unarchived += archived.count
            for id in archived { ledgers[index].primary.whenCommitted(.ended(id)) }
        }
    }

    /// Without a registry an outcome is kept for as long as its task said, within the ledger's bounds.
    public mutating func dropExpiredOutcomes(wallClock: Timestamp) {
        guard !settings.hasRegistry else { return }
        for index in ledgers.indices {
            let stale = ledgers[index].primary.state.tasks.values.filter { record in
                guard let end = record.finishedAt, record.status.isFinal, !record.isLetter else { return false }
                return wallClock.milliseconds - end.milliseconds > Int64(clamping: record.spec.resultTTL)
            }
            for id in stale.map(\.id).sorted() where !isHeld(id, in: index) {
                ledgers[index].unarchived = max(0, ledgers[index].unarchived - 1)
                record(.forgotten(id), in: index)
            }
        }
    }

    // MARK: Replication

    public mutating func handle(
        _ reply: ReplicaReply, of ledger: LedgerID, from name: NodeName, epoch: UInt32, at now: Instant,
        timestamp: Timestamp,
        into effects: inout [OwnerEffect]
    ) {
        guard let index = index(of: ledger) else { return }
        var replication: [ReplicationEffect] = []
        let answer = ledgers[index].primary.handle(reply, from: name, epoch: epoch, at: now, into: &replication)
        effects.append(contentsOf: replication.map(OwnerEffect.replicate))
        switch answer {
        case .none: break
        case .adopt(let tail): adopt(tail, into: ledger, timestamp: timestamp, effects: &effects)
        case .sealed: stepDown(ledger, into: &effects)
        }
    }

    public mutating func requestFailed(of ledger: LedgerID, to name: NodeName, epoch: UInt32, at now: Instant) {
        guard let index = index(of: ledger) else { return }
        ledgers[index].primary.requestFailed(to: name, epoch: epoch, at: now)
    }

    public mutating func linkDown(_ name: NodeName, at now: Instant) {
        for index in ledgers.indices { ledgers[index].primary.linkDown(name, at: now) }
    }
}

extension Limits {
    /// Outcomes that a ledger keeps although the registry has them.
    public static let archivedOutcomes = 10_000
    /// Outcomes that a ledger keeps if there is no registry; the oldest go first.
    public static let keptOutcomes = 100_000
    /// About how many bytes they may take, in either case.
    public static let outcomeBytes = 256 << 20
}
