import Primitives
import Testing

@testable import Journal

/// The bytes on the disk. The expected ones were computed by another program, bit by bit.
struct FormatTests {
    private func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private static let header =
        "415055534a524e4c" + "0001" + "06" + "00" + "0123456789abcdef" + "0000000000000007" + "00060a24181e4000"
        + "6e6f64652d31" + String(repeating: "00", count: 82) + "7fbfe318"

    private static let group =
        "41505347" + "cea9bf25" + "7391cc27" + "00000013" + "00000000" + "00000002" + "0000000000000006"
        + "0000000000001267" + "00060a24181e4001" + "0000000000000000" + "00000003" + "8f337f99" + "616263" + "00000000"
        + "48674bc7"

    private static let mark =
        "41505347" + "58b74498" + "00000000" + "00000000" + "00000002" + "00000000" + "0000000000000007"
        + "00000000000000c8" + "00060a24181e4002" + "0000000000000003"

    @Test(
        arguments: [
            ("", 0), ("123456789", 0xE306_9283), ("a", 0xC1D0_4330), ("abc", 0x364B_3FB7),
        ] as [(String, UInt32)])
    func checksumsOfTexts(_ text: String, _ expected: UInt32) {
        #expect(Array(text.utf8).withUnsafeBytes { CRC32C.of($0) } == expected)
    }

    /// RFC 3720, appendix B.4.
    @Test func checksumsOfTheRFC() {
        let ascending = (0..<32).map { UInt8($0) }
        let cases: [([UInt8], UInt32)] = [
            ([UInt8](repeating: 0, count: 32), 0x8A91_36AA), ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
            (ascending, 0x46DD_794E), (ascending.reversed(), 0x113F_DB5C),
        ]
        for (bytes, expected) in cases { #expect(bytes.withUnsafeBytes { CRC32C.of($0) } == expected) }
    }

    /// However the bytes are cut into pieces, and wherever they begin in memory.
    @Test func checksumsDoNotDependOnThePieces() {
        let bytes = (0..<100).map { UInt8(truncatingIfNeeded: $0 &* 37) }
        let whole = bytes.withUnsafeBytes { CRC32C.of($0) }
        for first in 0...50 {
            for second in first...first + 20 {
                var checksum = CRC32C()
                bytes.withUnsafeBytes {
                    checksum.update($0.slice(0..<first))
                    checksum.update($0.slice(first..<second))
                    checksum.update($0.slice(second..<100))
                }
                #expect(checksum.value == whole)
            }
        }
    }

    @Test func theHeaderOfASegment() throws {
        let header = SegmentHeader(owner: owner, number: 7, createdAt: 1_700_000_000_000_000)
        let bytes = header.encoded()
        #expect(hexadecimal(bytes) == Self.header)
        let read = bytes.withUnsafeBytes { file in
            Result { () throws(SegmentHeader.Flaw) in try SegmentHeader(file, number: 7) }
        }
        #expect(try read.get() == header)
    }

    @Test func theLongestNameFits() throws {
        let longest = StoreHolder(name: name(String(repeating: "n", count: Limits.nameBytes)), store: StoreID(.max))
        let header = SegmentHeader(owner: longest, number: .max, createdAt: .max)
        let bytes = header.encoded()
        #expect(bytes.count == SegmentHeader.bytes)
        let read = bytes.withUnsafeBytes { file in
            Result { () throws(SegmentHeader.Flaw) in try SegmentHeader(file, number: .max) }
        }
        #expect(try read.get() == header)
    }

    @Test func aGroupOfRecords() throws {
        var group = PendingGroup(.records)
        group.append(Array("abc".utf8))
        group.append([])
        group.seal(
            durable: JournalPosition(segment: 6, offset: 4711), writtenAt: 1_700_000_000_000_001, store: owner.store,
            at: JournalPosition(segment: 7, offset: 128))
        #expect(hexadecimal(group.bytes) == Self.group)

        // 128 bytes of anything before it: the place counts.
        let file = [UInt8](repeating: 0, count: 128) + group.bytes
        file.withUnsafeBytes { file in
            let place = GroupCodec.Place(store: owner.store, segment: 7)
            do throws(GroupCodec.Flaw) {
                let header = try GroupCodec.group(file, at: 128, place: place)
                #expect(header.kind == .records && header.count == 2 && header.bodyLength == 19)
                #expect(header.durable == JournalPosition(segment: 6, offset: 4711))
                #expect(header.writtenAt == 1_700_000_000_000_001)
                var records = GroupCodec.Records(of: header, at: 128)
                let first = try records.next(in: file)
                let second = try records.next(in: file)
                let none = try records.next(in: file)
                #expect(first == 192..<195 && second == 203..<203 && none == nil)
            } catch {
                Issue.record("\(error)")
            }
        }
    }

    @Test func aMark() {
        var group = PendingGroup(.snapshotEnd, snapshot: 3)
        group.seal(
            durable: JournalPosition(segment: 7, offset: 200), writtenAt: 1_700_000_000_000_002, store: owner.store,
            at: JournalPosition(segment: 7, offset: 300))
        #expect(hexadecimal(group.bytes) == Self.mark)
    }

    /// Checksums that are right over contents that are not can only come from a fault of the program: never a torn
    /// tail.
    @Test func contentsThatContradictTheirChecksumsAreNoTornWrite() {
        let place = GroupCodec.Place(store: owner.store, segment: 1)
        func flaw(count: Int, durable: JournalPosition, spoil: Bool = false) -> GroupCodec.Flaw? {
            var bytes = [UInt8](repeating: 0, count: GroupCodec.headerBytes)
            GroupCodec.appendRecord([1, 2, 3], to: &bytes)
            if spoil { bytes[bytes.count - 1] ^= 1 }
            GroupCodec.seal(
                &bytes, kind: .records, count: count, durable: durable, writtenAt: 0, snapshot: 0, place: place,
                offset: 0)
            return bytes.withUnsafeBytes { file in
                do throws(GroupCodec.Flaw) {
                    let header = try GroupCodec.group(file, at: 0, place: place)
                    var records = GroupCodec.Records(of: header, at: 0)
                    while try records.next(in: file) != nil {}
                    return nil
                } catch {
                    return error
                }
            }
        }
        let begin = JournalPosition(segment: 1, offset: 0)
        #expect(flaw(count: 1, durable: begin) == nil)
        for flaw in [
            flaw(count: 0, durable: begin), flaw(count: 2, durable: begin),
            flaw(count: 1, durable: begin, spoil: true),
            flaw(count: 1, durable: JournalPosition(segment: 1, offset: 1)),
        ] {
            #expect(flaw?.isTearable == false)
        }
    }

    @Test func namesOfSegmentsSortAsTheirNumbers() {
        let numbers: [UInt64] = [1, 9, 10, 15, 16, 255, 4096, .max]
        let names = numbers.map(SegmentName.of)
        #expect(names == names.sorted())
        #expect(names.map(SegmentName.number) == numbers)
        #expect(names[4] == "journal-0000000000000010")
        for other in [
            "journal-", "journal-1", "journal-000000000000000A", "journal-+000000000000001",
            "journal-00000000000000001",
            "journal-0000000000000001.new", "lock", "",
        ] {
            #expect(SegmentName.number(other) == nil, "\(other)")
        }
    }
}
