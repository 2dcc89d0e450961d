public import Primitives

/// Why a task that its owner knows does not run, as far as the owner can tell.
public enum WaitCause: Hashable, Sendable {
    /// It has ended.
    case ended
    /// An executor runs it.
    case runs
    /// An executor was given it, and has not begun.
    case granted
    /// A client wants it to start later.
    case notDue
    /// It rests before another attempt.
    case retryRest
    /// It waits for other tasks.
    case dependencies
    /// So many tasks with the same ordering key come before it.
    case order(behind: Int)
    /// Its ledger has changed owners, and an earlier one may still start it, up to that time.
    case fence(until: Instant?)
    /// Its queue is paused.
    case queuePaused
    /// Its queue has a rate, or a limit on concurrency, and its owner no permit.
    case queueLimited(PermitShortage)
    /// Its owner drains, or is not allowed to start tasks.
    case ownerPaused
    /// Its interruptions make it suspect: it waits for a node on which nothing else runs.
    case solitude
    /// So many ready tasks of its owner come before it; `isMore`: that many at least.
    case behind(Int, isMore: Bool)
    /// It is the next one: as soon as a slot is free.
    case next
}

extension TaskOwner {
    public func waitCause(of record: TaskRecord, at now: Instant) -> WaitCause {
        switch record.status {
        case .completed, .failed, .cancelled, .expired: return .ended
        case .processing: return record.lease?.isStarted == true ? .runs : .granted
        case .scheduled: return record.failures > 0 && record.attempts > 0 ? .retryRest : .notDue
        case .blocked:
            guard record.isBehind, let index = index(of: record.id) else { return .dependencies }
            return .order(behind: ledgers[index].primary.state.countBefore(record))
        case .pending: break
        }
        // First, since it goes on when all else is over, and only somebody can end it.
        if rules[record.spec.queue]?.isPaused == true { return .queuePaused }
        if let until = revoked[record.id] { return .fence(until: until) }
        if let index = index(of: record.id), let until = ledgers[index].restsUntil { return .fence(until: until) }
        if isPaused { return .ownerPaused }
        guard let index = index(of: record.id) else { return .next }
        if starved.contains(record.spec.queue) { return .queueLimited(shortage(of: record.spec.queue) ?? .learning) }
        let items = ready.itemsAhead(of: item(record, ledgers[index].primary.id), limit: Limits.countedAhead + 1)
        let alive = items.count { $0.id != record.id && live($0) != nil }
        let (ahead, isMore) = (min(alive, Limits.countedAhead), alive > Limits.countedAhead)
        if ahead > 0 { return .behind(ahead, isMore: isMore) }
        return record.isSuspectedPoison ? .solitude : .next
    }
}

extension Limits {
    /// Tasks ahead of another one that are counted for an explanation.
    public static let countedAhead = 10_000
}
