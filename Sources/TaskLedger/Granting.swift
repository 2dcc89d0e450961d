public import Primitives

/// What a thief asked for.
public struct StealRequest: Hashable, Sendable {
    /// How many tasks it would take now.
    public var wanted: Int
    /// Only tasks of at least this priority.
    public var minimumPriority: Priority

    public init(wanted: Int, minimumPriority: Priority) {
        self.wanted = wanted
        self.minimumPriority = minimumPriority
    }
}

/// Giving tasks to thieves.
extension TaskOwner {
    /// Grants up to `limit` tasks, `bytes` of payload and, beyond a task for each of its `slots`, `Limits.batchTime` of work to
    /// `thief`: every second one of the sorted backlog, so that both
    /// keep the same mix of priorities, and never the one that this node starts next while there is another. The grant goes
    /// out when its leases are committed. Returns how many were granted.
    ///
    /// Ownership stays here: a steal moves work, not responsibility.
    public mutating func grant(
        to thief: NodeID, slots: Int, limit: Int, minimumPriority: Priority, bytes: Int, at now: Instant,
        timestamp: Timestamp
    ) -> Int {
        guard !isPaused, limit > 0 else { return 0 }
        dropOldPermits(at: now)
        var kept: [ReadyQueue.Item] = []
        var granted: [(ledger: Int, assignment: Assignment)] = []
        var size = 0
        var work = Duration.zero
        // With a single ready task there is no other to keep.
        var isKeeping = readyCount > 1
        while granted.count < limit, granted.count < slots || work < Limits.batchTime * slots,
            let item = ready.popHead()
        {
            guard let (index, record) = live(item) else { continue }
            let isGrantable =
                !isKeeping && record.spec.priority >= minimumPriority && !record.isSuspectedPoison
                && record.expires.map { $0 > now } ?? true
                && (granted.isEmpty || size + record.cost <= bytes)
            isKeeping.toggle()
            guard isGrantable else {
                kept.append(item)
                // The rest of the queue is worse still; do not walk all of it for a thief that wants what is not there.
                if kept.count > granted.count + Limits.grantScan { break }
                continue
            }
            size += record.cost
            work += durations.mean(of: record.spec.type)
            let assignment = assignment(record, in: index)
            granted.append((index, assignment))
            let lease = Lease(token: assignment.token, holder: thief, at: timestamp, isStarted: false)
            #if PLANTED_BUGS
            if PlantedBug.isActive(.doubleGrant) {
                kept.append(item)
                continue
            }
            #endif
            self.record(.leased(record.id, lease), in: index)
            usePermit(record.spec.queue)
        }
        ready.putBack(kept)
        for index in ledgers.indices {
            let mine = granted.filter { $0.ledger == index }.map(\.assignment)
            if !mine.isEmpty { ledgers[index].primary.whenCommitted(.grant(mine, thief)) }
        }
        counters.granted += UInt64(granted.count)
        return granted.count
    }

    /// Nobody knows whether the grant arrived: the thief will be asked (rule R6).
    public mutating func grantFailed(_ attempts: [AttemptID]) {
        for attempt in attempts where lease(of: attempt) != nil { doubtful[attempt.id] = attempt }
    }

    /// What to ask of whom.
    public func doubts() -> [(holder: NodeID, attempts: [AttemptID])] {
        var byHolder: [NodeID: [AttemptID]] = [:]
        for attempt in doubtful.values {
            if let holder = lease(of: attempt)?.holder { byHolder[holder, default: []].append(attempt) }
        }
        return byHolder.sorted { $0.key < $1.key }.map { ($0.key, $0.value.sorted { $0.id < $1.id }) }
    }

    /// The lease of an attempt, if it is still the current one.
    func lease(of attempt: AttemptID) -> Lease? {
        guard let index = index(of: attempt.ledger), let lease = ledgers[index].primary.state[attempt.id]?.lease,
            lease.token == attempt.token
        else { return nil }
        return lease
    }

    /// The executor's answer to `askHolds`: those it does not hold were barred there, so they can be given to others.
    public mutating func holds(_ held: [AttemptID], not missing: [AttemptID], at now: Instant, timestamp: Timestamp) {
        for attempt in held where doubtful[attempt.id] == attempt { doubtful[attempt.id] = nil }
        for attempt in missing {
            if doubtful[attempt.id] == attempt { doubtful[attempt.id] = nil }
            guard let index = index(of: attempt.ledger), let record = ledgers[index].primary.state[attempt.id],
                let lease = record.lease, lease.token == attempt.token
            else { continue }
            interrupt(record, lease, isBlamed: false, in: index, timestamp: timestamp)
        }
    }
}

extension Limits {
    /// Ready tasks that are looked at and kept while a grant is made up.
    public static let grantScan = 64
}
