import Primitives

extension Journal {
    /// Whether history outweighs what lives, so that a snapshot is worth its writing:
    ///
    ///     bytes on disk > max(2 x live, 2 segments)  and  bytes since the last snapshot > its size / 2
    ///
    /// The first keeps the disk below about three times what lives (history and a snapshot that is being written), and
    /// a small journal at two segments. A snapshot of L bytes so comes after L bytes of history at least: each byte is
    /// written about twice. The second bounds the writing to three times, should `liveBytes` be far too small.
    ///
    /// When the disk is full only a snapshot that fits twice in what is reserved is wanted, and only if a segment would
    /// go: it makes room by itself.
    /// - Parameter liveBytes: what a snapshot would take, about.
    public func wantsSnapshot(liveBytes: Int) -> Bool {
        guard canBeginSnapshot, snapshots.since > snapshots.lastBytes / 2 else { return false }
        let (twice, overflow) = max(0, liveBytes).multipliedReportingOverflow(by: 2)
        guard !overflow else { return false }
        if isFull, disk.segments.count > 1, twice < roomLeft { return true }
        return !isFull && disk.bytes > max(twice, 2 * settings.segmentBytes)
    }

    /// Writes a mark, at the begin of a segment if one is prepared. The caller then appends its state in its own pace,
    /// between ordinary records, and calls `endSnapshot`. It tells its own kinds of record apart; to the journal all
    /// are alike. When `isFull` becomes true meanwhile, go on if what is left fits twice in `roomLeft`, otherwise
    /// `abandonSnapshot`, or nothing would be left for outcomes.
    /// - Returns: false if there cannot be one now: one is open, or the segments before the last one are still being
    ///   removed, or the journal has failed or is closed.
    public func beginSnapshot() -> Bool {
        guard canBeginSnapshot else { return false }
        snapshots.last += 1
        snapshots.current = SnapshotState.Current(number: snapshots.last)
        enqueue(PendingGroup(.snapshotBegin, snapshot: snapshots.last))
        flushSoon()
        return true
    }

    /// The state is complete. When the mark is durable (synced, whatever the policy) all segments before the one with
    /// the begin mark are removed. Without an open snapshot it traps, unless the journal has failed or is closed.
    public func endSnapshot() {
        guard failure == nil, life == .open else { return }
        guard let current = snapshots.current, !current.isEnding else {
            preconditionFailure("A snapshot is begun before it ends.")
        }
        snapshots.current?.isEnding = true
        enqueue(PendingGroup(.snapshotEnd, snapshot: current.number))
        flushSoon()
    }

    /// Gives the open snapshot up: what was appended of it stays, without an end mark, until a later snapshot ends.
    /// Harmless without an open one.
    public func abandonSnapshot() { if isSnapshotOpen { snapshots.current = nil } }

    /// Between `beginSnapshot` and `endSnapshot`.
    public var isSnapshotOpen: Bool { snapshots.current.map { !$0.isEnding } ?? false }

    private var canBeginSnapshot: Bool {
        failure == nil && life == .open && snapshots.current == nil && disk.obsolete.isEmpty
    }

    /// The begin mark of `number` was written at the end of the present segment.
    func beganSnapshot(_ number: UInt64) {
        guard snapshots.current?.number == number, let present = disk.present else { return }
        snapshots.current?.begin = (present.number, Int(clamping: counters.bytes))
    }

    /// Its end mark is durable.
    func endedSnapshot(_ number: UInt64) {
        guard let current = snapshots.current, current.number == number, let begin = current.begin else { return }
        snapshots.current = nil
        snapshots.lastBytes = Int(clamping: counters.bytes) - begin.written
        snapshots.since = 0
        counters.snapshots += 1
        disk.supersede(before: begin.segment)
        observe(.snapshotEnded(superseded: disk.obsolete.count))
    }
}
