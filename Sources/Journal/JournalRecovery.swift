import EventLoop
import Glibc
public import Primitives

/// What recovery finds, in the order in which it was appended.
public enum JournalItem: Sendable {
    /// - bytes: a slice of the whole segment: copy what is kept.
    /// - writtenAt: the wall clock when its group was written, in microseconds since 1970.
    /// - position: of its first byte, to name it in an error.
    case record(bytes: ArraySlice<UInt8>, writtenAt: UInt64, position: JournalPosition)
    /// - isComplete: its end mark follows. A complete one is always the first item of all, since what is older is not
    ///   told. Of an incomplete one the state is to be discarded, and the ordinary records between are to be kept.
    case snapshotBegan(number: UInt64, isComplete: Bool)
    case snapshotEnded(number: UInt64)
}

/// A journal that was recovered, to be opened by `Journal`, and what recovery did.
public struct RecoveredJournal: Hashable, Sendable {
    public let identity: StoreHolder
    /// What was cut off the end; nil in most cases.
    public let cut: JournalCut?
    /// Records told.
    public let records: Int
    /// Bytes of all segments that are left.
    public var bytes: Int { segments.reduce(0) { $0 + $1.bytes } }
    /// Nothing was ever written, or all that was is cut off.
    public var isNew: Bool { last == nil }

    struct Segment: Hashable, Sendable {
        var number: UInt64
        var bytes: Int
    }

    /// All that are left, the prepared one included.
    let segments: [Segment]
    /// The one to go on in; nil if there is none.
    let last: Segment?
    /// The number of an empty one behind it; its header is synced.
    let prepared: UInt64?
    /// The number of the last snapshot that was begun; 0 if none was.
    let snapshot: UInt64
    /// What the last complete snapshot took, and what was written after it, or without one ever.
    let snapshotBytes: Int
    let bytesSinceSnapshot: Int
    let lastNamed: JournalPosition?
}

/// A torn tail: what was being written when the machine stopped.
public struct JournalCut: Hashable, Sendable, CustomStringConvertible {
    public let file: String
    /// From here on. With no group left before it, the whole file was removed.
    public let offset: Int
    public let bytes: Int

    public var description: String {
        "\(file) ends in \(bytes) bytes, from offset \(offset) on, that were being written when the machine stopped"
    }
}

extension Journal {
    /// Reads the journal of `volume` before the loop runs, and makes it ready to go on: cuts a torn tail, removes what
    /// a snapshot has superseded, writes the newest groups once more and syncs, so that all it told is durable. Blocks.
    /// Every byte is read twice, first to judge and then to tell; at most one segment is in memory.
    /// - Parameters:
    ///   - identity: whose journal it has to be; an empty folder becomes its.
    ///   - item: called for each, in order. What was told is void if this throws.
    /// - Throws: `JournalRefusal` if the journal cannot be used as it is, `SystemError` if the volume fails, and what
    ///   `item` throws. Unless the volume failed at the end, nothing was changed then.
    public static func recover(
        _ volume: any Volume, identity: StoreHolder, item: (JournalItem) throws -> Void
    ) throws -> RecoveredJournal {
        let check = try JournalCheck(volume, expected: identity, checkingRecords: false)
        if let refusal = check.refusal { throw refusal }
        var records = 0
        if let last = check.last {
            for scan in check.segments where scan.number <= last.number && !scan.isEmpty {
                records += try tell(scan, of: volume, identity, check.snapshot, item)
            }
        }
        return try settle(volume, identity, check, records: records)
    }

    /// Removes what a new journal has prepared, so that it can begin under another identity. Blocks.
    public static func clear(_ volume: any Volume, _ recovered: RecoveredJournal) throws {
        precondition(recovered.isNew, "Only a journal that holds nothing may be cleared.")
        guard !recovered.segments.isEmpty else { return }
        try volume.performNow(recovered.segments.reversed().map { .remove(SegmentName.of($0.number)) } + [.syncFolder])
    }

    /// Tells one segment's items. Returns the number of records.
    private static func tell(
        _ scan: SegmentScan, of volume: any Volume, _ identity: StoreHolder, _ snapshot: JournalCheck.Snapshot?,
        _ item: (JournalItem) throws -> Void
    ) throws -> Int {
        guard let content = try volume.read(scan.file, upTo: Limits.journalFileBytes), content.count >= scan.end else {
            throw SystemError(
                operation: "read \(scan.file)", code: ESTALE, advice: "it became shorter between two readings")
        }
        let place = GroupCodec.Place(store: identity.store, segment: scan.number)
        var told = 0
        var offset = SegmentHeader.bytes
        if let snapshot, snapshot.begin.segment == scan.number { offset = snapshot.begin.offset }
        while offset < scan.end {
            let group: GroupCodec.Header
            let records: [Range<Int>]
            do throws(GroupCodec.Flaw) {
                (group, records) = try read(content, at: offset, place)
            } catch {
                throw JournalRefusal.damaged(file: scan.file, offset: offset, reason: error.reason)
            }
            switch group.kind {
            case .records, .note: break
            case .snapshotBegin:
                try item(.snapshotBegan(number: group.snapshot, isComplete: group.snapshot == snapshot?.number))
            case .snapshotEnd: try item(.snapshotEnded(number: group.snapshot))
            }
            for range in records {
                let position = JournalPosition(segment: scan.number, offset: range.lowerBound)
                try item(.record(bytes: content[range], writtenAt: group.writtenAt, position: position))
            }
            told += records.count
            offset = group.end(from: offset)
        }
        return told
    }

    /// The group at `offset` and where its records are. Its body was checked as a whole at the first reading; now each
    /// record is, so that what is told is what was checked.
    private static func read(
        _ content: [UInt8], at offset: Int, _ place: GroupCodec.Place
    ) throws(GroupCodec.Flaw) -> (GroupCodec.Header, [Range<Int>]) {
        try content.withUnsafeBytes { file in
            Result { () throws(GroupCodec.Flaw) in
                let group = try GroupCodec.group(file, at: offset, place: place, checkingBody: false)
                var reader = GroupCodec.Records(of: group, at: offset)
                var records: [Range<Int>] = []
                records.reserveCapacity(group.count)
                while let range = try reader.next(in: file) { records.append(range) }
                return (group, records)
            }
        }.get()
    }

    /// Cuts, syncs, and removes what is of no use, in an order in which each step may be the last: what supersedes is
    /// durable before what is superseded goes, and of the empty segments the last goes first, so that no gap is left.
    private static func settle(
        _ volume: any Volume, _ identity: StoreHolder, _ check: JournalCheck, records: Int
    ) throws(SystemError) -> RecoveredJournal {
        var content = check.segments.dropLast(check.empty.count).map {
            RecoveredJournal.Segment(number: $0.number, bytes: $0.bytes)
        }
        var useless = check.empty.map(\.number)
        var prepared: UInt64?
        var operations: [FileOperation] = []
        if let last = check.last, let cut = check.cut {
            content.removeLast()
            if cut.offset > SegmentHeader.bytes {
                operations.append(.truncate(cut.file, to: cut.offset))
                content.append(RecoveredJournal.Segment(number: last.number, bytes: cut.offset))
            } else {
                // No group is left: it is made anew, with its room reserved.
                useless.insert(last.number, at: 0)
            }
        }
        if let last = content.last {
            // What no group calls durable may be in the kernel's memory only, left by a process whose sync has failed.
            let known = check.lastNamed.flatMap { $0.segment == last.number ? $0.offset : nil } ?? 0
            let file = SegmentName.of(last.number)
            if known < last.bytes { operations.append(.rewrite(file, from: known)) }
            operations.append(.sync(file))
        }
        if let first = check.empty.first, first.number == useless.first, case .success = first.header {
            prepared = first.number
            useless.removeFirst()
            operations += [.rewrite(first.file, from: 0), .sync(first.file)]
        }
        if !check.segments.isEmpty { operations.append(.syncFolder) }
        operations += check.superseded.map { .remove($0.file) }
        for number in useless.reversed() { operations += [.remove(SegmentName.of(number)), .syncFolder] }
        if !check.superseded.isEmpty { operations.append(.syncFolder) }
        if !operations.isEmpty { try volume.performNow(operations) }

        let end = content.last.map { JournalPosition(segment: $0.number, offset: $0.bytes) }
        let segments = content + (prepared.map { [.init(number: $0, bytes: SegmentHeader.bytes)] } ?? [])
        func bytes(_ from: JournalPosition, _ to: JournalPosition?) -> Int {
            guard let to, from < to else { return 0 }
            let between = content.filter { (from.segment..<to.segment).contains($0.number) }
            return between.reduce(0) { $0 + $1.bytes } - from.offset + to.offset
        }
        let begin = JournalPosition(segment: content.first?.number ?? 1, offset: 0)
        return RecoveredJournal(
            identity: identity, cut: check.cut, records: records, segments: segments, last: content.last,
            prepared: prepared,
            snapshot: (check.superseded + check.segments).flatMap(\.marks).map(\.number).max() ?? 0,
            snapshotBytes: check.snapshot.map { bytes($0.begin, $0.end) } ?? 0,
            bytesSinceSnapshot: bytes(check.snapshot?.end ?? begin, end), lastNamed: check.lastNamed)
    }
}
