import EventLoop
import Primitives

/// Choosing what is done next, and doing it. What came of it is in `Journal+Outcomes`.
extension Journal {
    enum Step: Equatable {
        case cut
        case remove(UInt64, isLast: Bool)
        /// Removes what an attempt at preparing left behind.
        case discard(UInt64)
        case prepare(UInt64)
        case write(syncing: Bool)
        case sync
    }

    func enqueue(_ group: PendingGroup) {
        queue.append(group)
        bufferedBytes += group.bytes.count
    }

    /// At the end of this turn, so that what else is appended in it comes along.
    func flushSoon() {
        guard !isFlushDue, !isBusy else { return }
        isFlushDue = true
        scheduler.execute { [self] in flush() }
    }

    func flush() {
        isFlushDue = false
        guard !isBusy, failure == nil, life != .closed else { return }
        if let step = nextStep() {
            perform(step)
        } else if queue.isEmpty {
            rest()
        } else if life == .closing {
            end()  // There is no room, and no time to wait for it.
        }
    }

    // MARK: - Choosing

    private func nextStep() -> Step? {
        if disk.needsCut, !waits.contains(.write) { return .cut }
        if !wasRemoval || queue.isEmpty, let step = removal() { return step }
        if isPreparationDue, !waits.contains(.reserve) {
            return disk.isNextDirty ? .discard(disk.nextNumber) : .prepare(disk.nextNumber)
        }
        guard !disk.needsCut else { return nil }
        if let group = queue.first {
            guard !waits.contains(.write) else { return nil }
            if needsNextSegment(group) {
                guard disk.prepared != nil else { return nil }
                if disk.isUnsynced { return .sync }
                disk.rotate()
            }
            return .write(syncing: isSynced(group))
        }
        if disk.isUnsynced, isSyncDue || life == .closing { return .sync }
        return nil
    }

    private func removal() -> Step? {
        guard let oldest = disk.obsolete.first, !waits.contains(.remove) else { return nil }
        return .remove(oldest.number, isLast: disk.obsolete.count == 1)
    }

    private var isPreparationDue: Bool {
        guard disk.prepared == nil else { return false }
        if queue.first.map(needsNextSegment) ?? false { return true }
        guard life == .open else { return false }
        guard let present = disk.present, disk.isReserved else { return true }
        return present.bytes >= settings.segmentBytes / 2
    }

    private func needsNextSegment(_ group: PendingGroup) -> Bool {
        guard let present = disk.present else { return true }
        guard present.bytes > SegmentHeader.bytes else { return false }
        return disk.isExhausted || present.bytes + group.bytes.count > settings.segmentBytes
            || (group.kind == .snapshotBegin && disk.prepared != nil)
    }

    private func isSynced(_ group: PendingGroup) -> Bool {
        settings.sync == .always || isSyncDue || life == .closing || group.kind == .snapshotEnd
    }

    // MARK: - Doing

    private func perform(_ step: Step) {
        isBusy = true
        if case .remove = step { wasRemoval = true } else { wasRemoval = false }
        let began = scheduler.now
        volume.perform(operations(of: step)) { [self] result in
            isBusy = false
            // What completions append joins the next group, which is written after them.
            isFlushDue = true
            switch result {
            case .success: succeeded(step, took: scheduler.now - began)
            case .failure(let failure): failed(step, failure)
            }
            flush()
        }
    }

    private func operations(of step: Step) -> [FileOperation] {
        switch step {
        case .cut: return [.truncate(disk.presentName, to: disk.end.offset), .sync(disk.presentName)]
        case .remove(let number, let isLast):
            return [.remove(SegmentName.of(number))] + (isLast ? [.syncFolder] : [])
        case .discard(let number): return [.remove(SegmentName.of(number)), .syncFolder]
        case .prepare(let number):
            let name = SegmentName.of(number)
            let header = SegmentHeader(
                owner: disk.owner, number: number, createdAt: scheduler.microsecondsSince1970)
            // A record may be longer than a segment, which then holds nothing else.
            let room = max(settings.segmentBytes, SegmentHeader.bytes + (queue.first?.bytes.count ?? 0))
            return [.create(name, reserving: room), .append(name, header.encoded()), .sync(name), .syncFolder]
        case .write(let isSynced):
            isFirstSealed = true
            queue[0].seal(
                durable: disk.durable, writtenAt: scheduler.microsecondsSince1970, store: disk.owner.store,
                at: disk.end)
            #if PLANTED_BUGS
            let isSynced = isSynced && !PlantedBug.isActive(.noSync)
            #endif
            return [.append(disk.presentName, queue[0].bytes)] + (isSynced ? [.sync(disk.presentName)] : [])
        case .sync: return [.sync(disk.presentName)]
        }
    }

    // MARK: - With nothing to write

    /// Something is durable, and no group on the disk says so.
    private var isNameless: Bool { !disk.isUnsynced && disk.named < disk.contentEnd }

    private func rest() {
        if life == .closing {
            guard !isNameless else {
                enqueue(PendingGroup(.note))
                return flush()
            }
            end()
        } else if isNameless, quietTimer == nil {
            quietTimer = scheduler.schedule(after: Self.quietTime) { [self] in
                quietTimer = nil
                guard queue.isEmpty, !isBusy, isNameless else { return flush() }
                enqueue(PendingGroup(.note))
                flush()
            }
        }
    }

    // MARK: - Timers

    func retryLater(_ wait: Waits) {
        waits.insert(wait)
        guard retryTimer == nil else { return }
        retryTimer = scheduler.schedule(after: Self.retryDelay) { [self] in
            retryTimer = nil
            waits = []
            flush()
        }
    }

    func syncLater() {
        guard case .interval(let interval) = settings.sync, syncTimer == nil else { return }
        syncTimer = scheduler.schedule(after: interval) { [self] in
            syncTimer = nil
            isSyncDue = disk.isUnsynced
            flush()
        }
    }
}
