import Primitives

/// What one segment's file holds, as far as the file alone can tell. `JournalCheck` judges it.
struct SegmentScan {
    /// A mark of a snapshot.
    struct Mark: Equatable {
        var isBegin: Bool
        var number: UInt64
        var offset: Int
        /// Where its group ends.
        var end: Int
    }

    var number: UInt64
    /// The file's length.
    var bytes: Int
    var header: Result<SegmentHeader, SegmentHeader.Flaw>
    /// Up to here every group is intact. `bytes` if all are; 0 if not even the header is.
    var end = 0
    /// Why there is no intact group at `end`; nil if the file ends there.
    var flaw: GroupCodec.Flaw?
    /// The first intact group after `end`.
    var intactAfterFlaw: Int?
    /// For each segment that intact headers of groups name, those after the flaw included, the greatest offset that
    /// they say was durable there.
    var named: [JournalPosition] = []
    var marks: [Mark] = []
    var groups = 0
    var records = 0
    /// Of the records alone.
    var recordBytes = 0
    /// When the first and the last group were written.
    var writtenAt: ClosedRange<UInt64>?

    var file: String { SegmentName.of(number) }
    /// Nothing but, perhaps, a header was ever written.
    var isEmpty: Bool { bytes <= SegmentHeader.bytes }

    /// - Parameters:
    ///   - store: whose groups are looked for if the header cannot tell.
    ///   - checkingRecords: whether each record's own checksum is looked at.
    init(_ content: [UInt8], number: UInt64, store: StoreID?, checkingRecords: Bool) {
        self.number = number
        bytes = content.count
        header = .failure(.damaged(""))
        content.withUnsafeBytes { file in
            header = Result { () throws(SegmentHeader.Flaw) in try SegmentHeader(file, number: number) }
            let intact = try? header.get()  // The flaw is kept in `header`.
            guard let store = intact?.owner.store ?? store else { return }
            let place = GroupCodec.Place(store: store, segment: number)
            if intact != nil {
                end = SegmentHeader.bytes
                readGroups(file, place, checkingRecords)
            }
            if end < bytes { lookBehindFlaw(file, place) }
        }
    }

    private mutating func readGroups(
        _ file: UnsafeRawBufferPointer, _ place: GroupCodec.Place, _ checkingRecords: Bool
    ) {
        while end < bytes {
            do throws(GroupCodec.Flaw) {
                let group = try GroupCodec.group(file, at: end, place: place)
                if checkingRecords {
                    var records = GroupCodec.Records(of: group, at: end)
                    while try records.next(in: file) != nil {}
                }
                take(group)
            } catch {
                flaw = error
                if let header = error.header { note(header.durable) }
                return
            }
        }
    }

    private mutating func take(_ group: GroupCodec.Header) {
        note(group.durable)
        let next = group.end(from: end)
        switch group.kind {
        case .records, .note: break
        case .snapshotBegin, .snapshotEnd:
            marks.append(
                Mark(isBegin: group.kind == .snapshotBegin, number: group.snapshot, offset: end, end: next))
        }
        groups += 1
        records += group.count
        recordBytes += group.bodyLength - group.count * GroupCodec.recordHeaderBytes
        let first = min(writtenAt?.lowerBound ?? group.writtenAt, group.writtenAt)
        writtenAt = first...max(writtenAt?.upperBound ?? group.writtenAt, group.writtenAt)
        end = next
    }

    private mutating func note(_ durable: JournalPosition) {
        if let index = named.firstIndex(where: { $0.segment == durable.segment }) {
            named[index].offset = max(named[index].offset, durable.offset)
        } else {
            named.append(durable)
        }
    }

    /// Looks at every byte for the headers of groups: what they name was durable, even if their bodies are damaged.
    private mutating func lookBehindFlaw(_ file: UnsafeRawBufferPointer, _ place: GroupCodec.Place) {
        var position = end + 1
        while let candidate = GroupCodec.nextMagic(file, from: position) {
            position = candidate
            do throws(GroupCodec.Flaw) {
                let group = try GroupCodec.group(file, at: position, place: place)
                note(group.durable)
                if intactAfterFlaw == nil { intactAfterFlaw = position }
                position = group.end(from: position)
            } catch {
                if let header = error.header { note(header.durable) }
                position += 1
            }
        }
    }
}
