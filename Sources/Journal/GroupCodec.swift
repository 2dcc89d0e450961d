import Glibc
import Primitives

/// What is written at once, and synced at once: records, or one mark.
///
/// A header of 56 bytes, integers in network byte order, then the body:
///
///     0  magic "APSG"            4  CRC-32C of the place and of all after it in the header: 4
///     8  CRC-32C of the body: 4  12 length of the body: 4     16 kind: 4         20 count of records: 4
///     24 durable before it: segment 8, offset 8               40 wall clock when it was written, in us: 8
///     48 number of the snapshot that a mark is of, otherwise 0: 8
///
/// A record in the body: its length 4, CRC-32C of the length and the bytes 4, the bytes.
///
/// *The place* is (store id, segment number, offset in the file), 24 bytes that are not stored: a group is intact only
/// where it was written, so one that a disk put elsewhere, that an earlier file left in its blocks, or that a task
/// carries as its payload is none.
///
/// *Durable before it* is the journal's end at the last sync that had returned when the group was written. All before
/// that must be there: see `JournalCheck`.
enum GroupCodec {
    static let headerBytes = 56
    static let recordHeaderBytes = 8
    private static let magic: UInt32 = 0x4150_5347
    /// One record of the greatest size, or a group of several.
    static let bodyBytes = Limits.journalRecordBytes + recordHeaderBytes

    enum Kind: UInt32 {
        case records = 0
        case snapshotBegin = 1
        case snapshotEnd = 2
        /// Nothing, but for naming what is durable.
        case note = 3
    }

    struct Header: Equatable {
        var kind: Kind
        var count: Int
        var durable: JournalPosition
        var writtenAt: UInt64
        var snapshot: UInt64
        var bodyLength: Int

        /// Where the next group begins, if this one is at `offset`.
        func end(from offset: Int) -> Int { offset + GroupCodec.headerBytes + bodyLength }
    }

    struct Place {
        var store: StoreID
        var segment: UInt64

        fileprivate func checksum(_ offset: Int) -> CRC32C {
            var checksum = CRC32C()
            checksum.update(store.rawValue)
            checksum.update(segment)
            checksum.update(UInt64(offset))
            return checksum
        }
    }

    // MARK: Writing

    static func appendRecord(_ record: [UInt8], to group: inout [UInt8]) {
        var checksum = CRC32C()
        let length = UInt32(record.count)
        checksum.update(length)
        record.withUnsafeBytes { checksum.update($0) }
        group.appendInteger(length)
        group.appendInteger(checksum.value)
        group += record
    }

    /// Fills in the header of `group`, for which it has kept the room.
    static func seal(
        _ group: inout [UInt8], kind: Kind, count: Int, durable: JournalPosition, writtenAt: UInt64, snapshot: UInt64,
        place: Place, offset: Int
    ) {
        let body = group.withUnsafeBytes { CRC32C.of($0.slice(headerBytes..<$0.count)) }
        group.overwrite(magic, at: 0)
        group.overwrite(body, at: 8)
        group.overwrite(UInt32(group.count - headerBytes), at: 12)
        group.overwrite(kind.rawValue, at: 16)
        group.overwrite(UInt32(count), at: 20)
        group.overwrite(durable.segment, at: 24)
        group.overwrite(UInt64(durable.offset), at: 32)
        group.overwrite(writtenAt, at: 40)
        group.overwrite(snapshot, at: 48)
        var checksum = place.checksum(offset)
        group.withUnsafeBytes { checksum.update($0.slice(8..<headerBytes)) }
        group.overwrite(checksum.value, at: 4)
    }

    // MARK: Reading

    /// Why there is no intact group at an offset.
    struct Flaw: Error, Equatable {
        var reason: String
        /// Whether a write that was cut short can look like this.
        var isTearable = true
        /// What the header says, if at least that is intact.
        var header: Header?
    }

    /// Where the magic of a group is next, with room for a header.
    static func nextMagic(_ file: UnsafeRawBufferPointer, from offset: Int) -> Int? {
        var position = offset
        let end = file.count - headerBytes
        while position <= end, let base = file.baseAddress {
            guard let found = memchr(base + position, Int32(magic >> 24), end - position + 1) else { return nil }
            position = UnsafeRawPointer(found) - base
            if file.integer(at: position) == magic { return position }
            position += 1
        }
        return nil
    }

    /// The header of an intact group. The records are not looked at.
    static func group(
        _ file: UnsafeRawBufferPointer, at offset: Int, place: Place, checkingBody: Bool = true
    ) throws(Flaw) -> Header {
        guard file.count - offset >= headerBytes else {
            throw Flaw(reason: "the file ends within the header of a group")
        }
        guard file.integer(at: offset) == magic else { throw Flaw(reason: "no group begins here") }
        var checksum = place.checksum(offset)
        checksum.update(file.slice(offset + 8..<offset + headerBytes))
        guard file.integer(at: offset + 4) == checksum.value else {
            throw Flaw(reason: "the checksum of a group's header is wrong")
        }
        // From here on the header is what was written: the fields can be trusted, but not that this version knows them.
        let length = Int(file.integer(at: offset + 12, as: UInt32.self))
        guard let kind = Kind(rawValue: file.integer(at: offset + 16)) else {
            throw Flaw(reason: "a group is of an unknown kind", isTearable: false)
        }
        let durable = file.integer(at: offset + 32, as: UInt64.self)
        let header = Header(
            kind: kind, count: Int(file.integer(at: offset + 20, as: UInt32.self)),
            durable: JournalPosition(
                segment: file.integer(at: offset + 24), offset: Int(clamping: durable)),
            writtenAt: file.integer(at: offset + 40), snapshot: file.integer(at: offset + 48), bodyLength: length)
        guard length <= bodyBytes, header.count <= length / recordHeaderBytes,
            header.durable <= JournalPosition(segment: place.segment, offset: offset)
        else {
            throw Flaw(reason: "the header of a group contradicts itself", isTearable: false)
        }
        #if PLANTED_BUGS
        let checkingBody = checkingBody && !PlantedBug.isActive(.crcNotChecked)
        #endif
        let end = header.end(from: offset)
        guard end <= file.count else { throw Flaw(reason: "the file ends within a group", header: header) }
        guard
            !checkingBody
                || CRC32C.of(file.slice(offset + headerBytes..<end)) == file.integer(at: offset + 8)
        else { throw Flaw(reason: "the checksum of a group's body is wrong", header: header) }
        return header
    }

    /// Reads the records of an intact group one after the other.
    struct Records {
        private var position: Int
        private let end: Int
        private var rest: Int

        init(of header: Header, at offset: Int) {
            position = offset + headerBytes
            end = header.end(from: offset)
            rest = header.count
        }

        /// Where the next record's bytes are; nil after the last.
        mutating func next(in file: UnsafeRawBufferPointer) throws(Flaw) -> Range<Int>? {
            guard rest > 0 else {
                guard position == end else { throw Self.contradiction }
                return nil
            }
            guard end - position >= recordHeaderBytes else { throw Self.contradiction }
            let length = Int(file.integer(at: position, as: UInt32.self))
            guard length <= end - position - recordHeaderBytes else { throw Self.contradiction }
            let range = position + recordHeaderBytes..<position + recordHeaderBytes + length
            var checksum = CRC32C()
            checksum.update(file.slice(position..<position + 4))
            checksum.update(file.slice(range))
            guard file.integer(at: position + 4) == checksum.value else {
                throw Flaw(
                    reason: "the checksum of a record is wrong in a group whose checksum is right", isTearable: false)
            }
            position = range.upperBound
            rest -= 1
            return range
        }

        private static let contradiction = Flaw(reason: "the records of a group do not fill it", isTearable: false)
    }
}
