import EventLoop
import Primitives

/// What a journal knows of its files.
struct DiskState {
    typealias Segment = RecoveredJournal.Segment

    let owner: StoreHolder
    /// Those that count and have begun, ascending; the last is the present one. What is written of a group that is not
    /// acknowledged is not in its bytes.
    var segments: [Segment]
    /// Superseded, still to be removed, ascending.
    var obsolete: [Segment] = []
    /// The next one, with its room reserved and its header synced.
    var prepared: UInt64?
    /// A file of the next one's name may be there, in part.
    var isNextDirty = false
    /// Whether the present one's room is reserved as far as a segment goes.
    var isReserved = false
    /// The present one is not to be used any more.
    var isExhausted = false
    /// Bytes of a group that failed may follow the present one's end.
    var needsCut = false
    /// Whether the present one has groups that are not synced.
    var isUnsynced = false

    var durable: JournalPosition
    /// The durable end that the last group written names.
    var named: JournalPosition
    /// After the last group that is no note.
    var contentEnd: JournalPosition

    var present: Segment? { segments.last }
    var presentName: String { SegmentName.of(present?.number ?? 0) }
    var nextNumber: UInt64 { (present?.number ?? 0) + 1 }
    var bytes: Int { (segments + obsolete).reduce(0) { $0 + $1.bytes } }
    var end: JournalPosition {
        present.map { JournalPosition(segment: $0.number, offset: $0.bytes) }
            ?? JournalPosition(segment: 1, offset: SegmentHeader.bytes)
    }

    init(_ recovered: RecoveredJournal) {
        owner = recovered.identity
        segments = recovered.segments.filter { $0.number != recovered.prepared }
        prepared = recovered.prepared
        // Recovery has synced it all. Whether room is left over from the last process is not known.
        let begin = JournalPosition(segment: 1, offset: SegmentHeader.bytes)
        durable = recovered.last.map { JournalPosition(segment: $0.number, offset: $0.bytes) } ?? begin
        contentEnd = durable
        named = recovered.lastNamed ?? begin
    }

    /// Begins the prepared segment.
    mutating func rotate() {
        guard let next = prepared else { preconditionFailure("A segment is prepared before it is used.") }
        precondition(!isUnsynced && !needsCut, "A segment is left when it is whole.")
        segments.append(Segment(number: next, bytes: SegmentHeader.bytes))
        prepared = nil
        isReserved = true
        isExhausted = false
    }

    mutating func grow(by bytes: Int) { segments[segments.count - 1].bytes += bytes }

    /// Everything before `segment` counts no longer.
    mutating func supersede(before segment: UInt64) {
        let first = segments.firstIndex { $0.number >= segment } ?? segments.endIndex
        obsolete += segments[..<first]
        segments.removeSubrange(..<first)
    }
}

/// What is lacking on the disk.
struct Shortage {
    /// Of the next segment.
    var ofSegment = false
    /// Of the next group.
    var ofGroup = false

    var isFull: Bool { ofSegment || ofGroup }
}

/// Snapshots of a journal: at most one is open or ending.
struct SnapshotState {
    struct Current {
        var number: UInt64
        /// Where its begin mark is, once that is written, and what had been written before it.
        var begin: (segment: UInt64, written: Int)?
        /// Its end mark is appended.
        var isEnding = false
    }

    var current: Current?
    /// The number of the last one.
    var last: UInt64
    /// Bytes that the last complete one took.
    var lastBytes: Int
    /// Bytes written since its end; without one ever.
    var since: Int

    init(_ recovered: RecoveredJournal) {
        last = recovered.snapshot
        lastBytes = recovered.snapshotBytes
        since = recovered.bytesSinceSnapshot
    }
}

/// See `JournalStatus`.
struct Counters {
    var bytes: UInt64 = 0
    var groups: UInt64 = 0
    var records: UInt64 = 0
    var syncs: UInt64 = 0
    var snapshots: UInt64 = 0
    var shortages: UInt64 = 0
    var lastSync: Instant?
    var worstSync: Duration = .zero
}
