import EventLoop
import Glibc
import Primitives

/// What a step's success or failure means.
extension Journal {
    func succeeded(_ step: Step, took: Duration) {
        switch step {
        case .cut:
            disk.needsCut = false
            disk.isReserved = false
            noteSync(took)
            // A prepared segment has room of its own. Otherwise there will be some, or not.
            if disk.prepared != nil, disk.end.offset > SegmentHeader.bytes {
                disk.isExhausted = true
            } else {
                retryLater(.write)
            }
        case .remove:
            disk.obsolete.removeFirst()
            waits = []  // There is more room now.
        case .discard: disk.isNextDirty = false
        case .prepare(let number):
            disk.prepared = number
            changeShortage { $0.ofSegment = false }
        case .write(let isSynced): wrote(isSynced: isSynced, took: took)
        case .sync: noteSync(took)
        }
    }

    private func wrote(isSynced: Bool, took: Duration) {
        let group = queue.removeFirst()
        isFirstSealed = false
        bufferedBytes -= group.bytes.count
        waiters -= group.completions.count
        if group.kind == .snapshotBegin { beganSnapshot(group.snapshot) }
        disk.named = disk.durable
        disk.grow(by: group.bytes.count)
        if group.kind != .note { disk.contentEnd = disk.end }
        counters.bytes += UInt64(group.bytes.count)
        counters.groups += group.kind == .records ? 1 : 0
        counters.records += UInt64(group.count)
        snapshots.since += group.bytes.count
        if isSynced {
            noteSync(took)
        } else {
            disk.isUnsynced = true
            syncLater()
        }
        if group.kind == .snapshotEnd { endedSnapshot(group.snapshot) }
        changeShortage { $0.ofGroup = false }
        for completion in group.completions { completion(true) }
    }

    private func noteSync(_ took: Duration) {
        disk.durable = disk.end
        disk.isUnsynced = false
        isSyncDue = false
        syncTimer?.cancel()
        syncTimer = nil
        counters.syncs += 1
        counters.lastSync = scheduler.now
        counters.worstSync = max(counters.worstSync, took)
    }

    func failed(_ step: Step, _ failure: FileFailure) {
        let error = failure.error
        let isShortage = error.code == ENOSPC || error.code == EDQUOT
        // A sync that failed says nothing of what it was to write, so that has to be at hand still.
        let isHarmless = isShortage && (failure.index == 0 || !disk.isUnsynced)
        switch step {
        case .cut:
            guard isHarmless else { return fail(error) }
            retryLater(.write)
        case .remove, .discard:
            if failure.index == 0, error.code == ENOENT { return succeeded(step, took: .zero) }
            guard isShortage else { return fail(error) }
            retryLater(step.isRemoval ? .remove : .reserve)
        case .prepare:
            let isThere = failure.index == 0 && error.code == EEXIST
            guard isShortage || isThere else { return fail(error) }
            disk.isNextDirty = failure.index > 0 || isThere
            retryLater(.reserve)
            if isShortage { changeShortage(error) { $0.ofSegment = true } }
        case .write:
            #if PLANTED_BUGS
            if PlantedBug.isActive(.writeErrorIgnored) { return succeeded(step, took: .zero) }
            #endif
            guard isHarmless else { return fail(error) }
            isFirstSealed = false
            disk.needsCut = true
            changeShortage(error) { $0.ofGroup = true }
        case .sync: return fail(error)
        }
        if isShortage { counters.shortages += 1 }
    }

    private func changeShortage(_ error: SystemError? = nil, _ change: (inout Shortage) -> Void) {
        let before = shortage.isFull
        change(&shortage)
        guard shortage.isFull != before else { return }
        if shortage.isFull, let error { observe(.full(error)) } else { observe(.hasRoom) }
    }

    private func fail(_ error: SystemError) {
        failure = error
        observe(.failed(error))
        end()
    }

    /// Failed or closed: nothing more is written. Who waits for a group that was not is told so.
    func end() {
        life = .closed
        for timer in [retryTimer, syncTimer, quietTimer] { timer?.cancel() }
        let isDurable = failure == nil && queue.allSatisfy { $0.kind == .note }
        let waiting = queue.flatMap(\.completions) + closeCompletions
        queue = []
        bufferedBytes = 0
        waiters = 0
        closeCompletions = []
        snapshots.current = nil
        for completion in waiting { completion(isDurable) }
    }
}

extension Journal.Step {
    fileprivate var isRemoval: Bool { if case .remove = self { true } else { false } }
}
