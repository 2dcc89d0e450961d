public import Primitives

/// Starting tasks in this node's own slots.
extension TaskOwner {
    /// Slots became free, or are taken by tasks of other owners: the worker pool says how many are free now.
    public mutating func slotsFree(_ count: Int) { freeSlots = max(0, count - reserved) }

    /// Starts the best ready tasks as long as slots are free.
    ///
    /// A lease to an own slot takes effect at once, except that of a task which must not start twice, which was released
    /// by others, which was interrupted before, or which was inherited: its start waits for the commit. A task that was
    /// interrupted twice starts only when nothing else runs here, and nothing else starts beside it.
    public mutating func startReady(at now: Instant, timestamp: Timestamp, into effects: inout [OwnerEffect]) {
        guard !isPaused, solitary == nil else { return }
        dropOldPermits(at: now)
        var kept: [ReadyQueue.Item] = []
        while freeSlots > 0, let item = ready.popHead() {
            guard let (index, record) = live(item) else { continue }
            #if PLANTED_BUGS
            let now = PlantedBug.isActive(.expiryIgnored) ? Instant.zero : now
            #endif
            if let expires = record.expires, expires <= now {
                // It was nobody's turn.
                ready.putBack(CollectionOfOne(item))
                self.record(.expired(record.id, at: timestamp), in: index, then: .ended(record.id))
                continue
            }
            let isSolitary = record.isSuspectedPoison
            if isSolitary, freeSlots < settings.slots {
                kept.append(item)
                break
            }
            let assignment = assignment(record, in: index)
            let lease = Lease(token: assignment.token, holder: me, at: timestamp, isStarted: true)
            // With it everything before it is committed: what its key stands for, the end of the one before it in its order.
            let waits =
                record.spec.delivery == .atMostOnce || record.interruptions > 0 || record.spec.homeSlot != nil
                || !record.spec.dependencies.isEmpty || record.spec.isDelivery || isUnwitnessed(record, in: index)
            #if PLANTED_BUGS
            if PlantedBug.isActive(.onceBeforeCommit), !isSolitary {
                self.record(.leased(record.id, lease), in: index)
                usePermit(record.spec.queue)
                effects.append(.start(assignment))
                freeSlots -= 1
                continue
            }
            #endif
            self.record(.leased(record.id, lease), in: index, then: waits ? .start(assignment) : nil)
            meterStart(record, attempt: record.attempts + 1, at: now)
            usePermit(record.spec.queue)
            if waits { reserved += 1 } else { effects.append(.start(assignment)) }
            freeSlots -= 1
            if isSolitary {
                solitary = record.id
                break
            }
        }
        ready.putBack(kept)
    }

    /// A start that takes the process down at once may leave no trace, here or anywhere. Whoever inherits the task cannot
    /// know; if its start left none either, the task would take one node after the other down, and never be blamed.
    private func isUnwitnessed(_ record: TaskRecord, in index: Int) -> Bool {
        #if PLANTED_BUGS
        if PlantedBug.isActive(.unwitnessedStarts) { return false }
        #endif
        return ledgers[index].inheritedUpTo.map { record.id <= $0 } ?? false
    }

    func assignment(_ record: TaskRecord, in index: Int) -> Assignment {
        Assignment(
            ledger: ledgers[index].primary.id, id: record.id,
            token: Token(run: record.run, term: ledgers[index].primary.term, attempt: record.attempts + 1),
            spec: record.spec, isSolitary: record.isSuspectedPoison, parents: record.parents)
    }

    /// Priority of what would start next; nil if nothing is ready.
    public var headPriority: Priority? { ready.head?.priority }

    /// How long the task that would start next has been waiting.
    public func headAge(at now: Instant) -> Duration { ready.head.map { now - $0.enqueuedAt } ?? .zero }
}
