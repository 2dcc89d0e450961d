import Primitives
import TaskLedger
import Testing

@testable import Wire

/// Detached results on the wire, and in the journal.
struct ResultCodecTests {
    private static let id = ResultID(
        task: TaskID(high: 1, low: 2), token: Token(run: 1, term: Term(2), attempt: 3))
    private static let idHex = "00000000000000010000000000000002" + "010203"

    private static func hex(_ write: (inout ByteWriter) -> Void) -> String { LedgerCodecGoldenTests.hex(write) }

    private static func holders(_ count: Int) throws -> [StoreHolder] {
        try (0..<count).map { StoreHolder(name: try #require(NodeName("n\($0)")), store: StoreID(UInt64($0))) }
    }

    private static func detached(_ holders: Int, bytes: UInt32 = 70_000) throws -> TaskResult {
        .detached(DetachedResult(byteCount: bytes, checksum: 0x0102_0304, holders: try self.holders(holders)))
    }

    @Test func goldenBytes() throws {
        let holderHex = "026e30" + "0000000000000000"
        #expect(Self.hex { $0.taskResult([0x31]) } == "01" + "0131")
        let detached = try Self.detached(1)
        #expect(Self.hex { $0.taskResult(detached) } == "02" + "f0a204" + "01020304" + "01" + holderHex)
        let holders = try Self.holders(1)
        let moved = LedgerEvent.resultMoved(Self.id.task, Self.id.token, to: holders)
        #expect(Self.hex { $0.ledgerEvent(moved) } == "19" + Self.idHex + "01" + holderHex)
        let keep = KeepRequest(id: Self.id, byteCount: 3, offset: 1, part: [7, 8])
        #expect(Self.hex { $0.keepRequest(keep) } == Self.idHex + "03" + "01" + "020708")
        #expect(Self.hex { $0.readRequest(ReadRequest(id: Self.id, offset: 300)) } == Self.idHex + "ac02")
        let scrub = ScrubRequest(id: Self.id, byteCount: 300, checksum: 0x0102_0304)
        #expect(Self.hex { $0.scrubRequest(scrub) } == Self.idHex + "ac02" + "01020304")
        #expect(MessageTag.keep.rawValue == 48)
        #expect(MessageTag.read.rawValue == 49)
        #expect(MessageTag.needed.rawValue == 50)
        #expect(MessageTag.scrub.rawValue == 51)
        #expect(MessageTag.doubt.rawValue == 52)
        #expect(ResultNeed.allCases.map(\.rawValue) == [1, 2, 3])
        #expect(CopyState.allCases.map(\.rawValue) == [1, 2, 3])
    }

    private static func reading<Value>(
        _ write: (inout ByteWriter) -> Void, _ read: (inout ByteReader) throws(WireError) -> Value
    ) throws(WireError) -> Value {
        var writer = ByteWriter(now: .zero)
        write(&writer)
        var reader = ByteReader(writer.bytes[...], now: .zero)
        let value = try read(&reader)
        try reader.finish()
        return value
    }

    @Test func whatIsWrittenIsReadAgain() throws {
        for result in [TaskResult.inline([]), [1, 2], try Self.detached(1), try Self.detached(Limits.copies)] {
            #expect(
                try Self.reading({ $0.taskResult(result) }, { (r) throws(WireError) in try r.taskResult() }) == result)
        }
        let keep = KeepRequest(id: Self.id, byteCount: 16 << 20, offset: 3, part: [7])
        #expect(try Self.reading({ $0.keepRequest(keep) }, { (r) throws(WireError) in try r.keepRequest() }) == keep)
        let read = ReadRequest(id: Self.id, offset: 5)
        #expect(try Self.reading({ $0.readRequest(read) }, { (r) throws(WireError) in try r.readRequest() }) == read)
        let scrub = ScrubRequest(id: Self.id, byteCount: 16 << 20, checksum: .max)
        #expect(
            try Self.reading({ $0.scrubRequest(scrub) }, { (r) throws(WireError) in try r.scrubRequest() }) == scrub)
        for part in [nil, [1, 2]] as [[UInt8]?] {
            #expect(
                try Self.reading(
                    { $0.optional(part) { $0.byteString($1) } }, { (r) throws(WireError) in try r.resultPart() })
                    == part)
        }
    }

    /// A peer's word is not trusted.
    @Test func whatMakesNoSenseIsRefused() throws {
        for result in [try Self.detached(0), try Self.detached(Limits.copies + 1)] {
            #expect(throws: WireError.self) {
                try Self.reading({ $0.taskResult(result) }, { (r) throws(WireError) in try r.taskResult() })
            }
        }
        let large = try Self.detached(1, bytes: 16 << 20 + 1)
        #expect(throws: WireError.tooLarge("bytes of a result")) {
            try Self.reading({ $0.taskResult(large) }, { (r) throws(WireError) in try r.taskResult() })
        }
        let parts = [
            KeepRequest(id: Self.id, byteCount: 3, offset: 2, part: [7, 8]),
            KeepRequest(id: Self.id, byteCount: 3, offset: 0, part: []),
            KeepRequest(id: Self.id, byteCount: 16 << 20 + 1, offset: 0, part: [1]),
            KeepRequest(
                id: Self.id, byteCount: 16 << 20, offset: 0, part: Array(repeating: 0, count: 256 << 10 + 1)),
        ]
        for part in parts {
            #expect(throws: WireError.self) {
                try Self.reading({ $0.keepRequest(part) }, { (r) throws(WireError) in try r.keepRequest() })
            }
        }
        #expect(throws: WireError.invalid("need of a result")) {
            try Self.reading({ $0.uint8(4) }, { (r) throws(WireError) in try r.resultNeed() })
        }
        #expect(throws: WireError.invalid("state of a copy")) {
            try Self.reading({ $0.uint8(0) }, { (r) throws(WireError) in try r.copyState() })
        }
        let scrub = ScrubRequest(id: Self.id, byteCount: 16 << 20 + 1, checksum: 0)
        #expect(throws: WireError.tooLarge("bytes of a result")) {
            try Self.reading({ $0.scrubRequest(scrub) }, { (r) throws(WireError) in try r.scrubRequest() })
        }
    }
}
