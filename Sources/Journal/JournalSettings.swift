public import EventLoop
public import Primitives

/// When a record of the journal counts as durable.
public enum SyncPolicy: Hashable, Sendable {
    /// When its group is synced (fdatasync): survives a loss of power.
    case always
    /// When its group is written: survives the end of the process. It is synced at the latest this much later, so a
    /// loss of power loses at most what was written in that time. Above zero.
    case interval(Duration)
    /// When its group is written. Synced only when a segment ends, a snapshot ends, or the journal is closed.
    case never
}

public struct JournalSettings: Hashable, Sendable {
    public var sync: SyncPolicy
    /// When the next segment begins, and the room that is reserved for one: within `Limits.journalSegmentBytes`.
    public var segmentBytes: Int

    public init(sync: SyncPolicy = .always, segmentBytes: Int = 64 << 20) {
        self.sync = sync
        self.segmentBytes = segmentBytes
    }
}

/// A place in the journal: a byte of a segment's file.
public struct JournalPosition: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// From 1.
    public var segment: UInt64
    public var offset: Int

    public init(segment: UInt64, offset: Int) {
        self.segment = segment
        self.offset = offset
    }

    public static func < (a: JournalPosition, b: JournalPosition) -> Bool {
        (a.segment, a.offset) < (b.segment, b.offset)
    }
    public var description: String { "\(SegmentName.of(segment)) offset \(offset)" }
}

/// What the journal tells its observer, on the loop.
public enum JournalEvent: Sendable {
    /// The journal has stopped for ever; told once. What was not yet told to be durable never will be, though it may be
    /// found at the next start. The process has to end: after a failed sync nothing is known of what the disk holds,
    /// and another attempt would only hide it.
    case failed(SystemError)
    /// No room could be reserved for the next segment, or a group did not fit: `isFull` is true from now on.
    case full(SystemError)
    /// There is room: `isFull` is false again.
    case hasRoom
    /// A snapshot is durable, and this many segments before it are being removed.
    case snapshotEnded(superseded: Int)
}

/// What a journal knows of itself, since this process opened it unless said otherwise.
public struct JournalStatus: Hashable, Sendable {
    /// Everything before it is durable.
    public var durable: JournalPosition
    /// Where the next group goes.
    public var written: JournalPosition
    /// Bytes of all segments, whenever they were written. Room that is reserved but empty is not counted.
    public var bytesOnDisk: Int
    public var segments: Int
    /// Bytes that wait to be written or are being written.
    public var bufferedBytes: Int
    /// Bytes that are sure to fit, since their room is reserved.
    public var roomLeft: Int
    public var bytesWritten: UInt64 = 0
    /// Groups of records; marks are not counted.
    public var groups: UInt64 = 0
    public var records: UInt64 = 0
    public var syncs: UInt64 = 0
    public var snapshots: UInt64 = 0
    /// Attempts at writing or at reserving that failed for lack of room.
    public var shortages: UInt64 = 0
    /// When the last sync ended; nil before the first.
    public var lastSync: Instant?
    /// From handing a group and its sync to the volume until it was durable. Zero before the first.
    public var worstSync: Duration = .zero
    public var isFull: Bool
    public var isSnapshotOpen: Bool
    /// Why the journal has stopped; nil while it works.
    public var failure: SystemError?

    /// Zero before the first group.
    public var meanRecordsPerGroup: Double { groups == 0 ? 0 : Double(records) / Double(groups) }
}
