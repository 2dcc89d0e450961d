import Primitives
import Testing
import Wire

/// The alphabet of all codecs: fixed-width integers, counts, strings, ages.
@Suite struct ByteCodecTests {
    static func written(_ write: (inout ByteWriter) -> Void) -> [UInt8] {
        var writer = ByteWriter()
        write(&writer)
        return writer.bytes
    }

    @Test func integersGoInNetworkByteOrder() {
        let bytes = Self.written {
            $0.uint8(1)
            $0.uint16(0x0203)
            $0.uint32(0x0405_0607)
            $0.uint64(0x0809_0A0B_0C0D_0E0F)
            $0.int64(-2)
        }
        #expect(bytes == Array(1...15) + Array(repeating: 0xFF, count: 7) + [0xFE])
    }

    @Test(
        arguments: [
            (0, [0]), (127, [0x7F]), (128, [0x80, 1]), (300, [0xAC, 2]),
            (.max, Array(repeating: 0xFF, count: 9) + [1]),
        ] as [(UInt64, [UInt8])])
    func varintSurvivesRoundTrip(value: UInt64, bytes: [UInt8]) throws {
        #expect(Self.written { $0.varint(value) } == bytes)
        var reader = ByteReader(bytes)
        #expect(try reader.varint() == value)
        try reader.finish()
    }

    /// Longer than needed, over 64 bits, without an end.
    @Test(
        arguments: [
            [0x80, 0], [0xFF, 0x80, 0], Array(repeating: 0xFF, count: 9) + [2],
            Array(repeating: 0x80, count: 9) + [0x81, 0],
            [0x80], [],
        ] as [[UInt8]])
    func malformedVarintIsRefused(bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        #expect(throws: WireError.self) { try reader.varint() }
    }

    @Test func fixedWidthNeedsAllItsBytes() {
        for length in 0..<8 {
            let bytes = Array(repeating: UInt8(1), count: length)
            #expect(throws: WireError.truncated) {
                var reader = ByteReader(bytes)
                return try reader.uint64()
            }
        }
    }

    @Test func booleanIsZeroOrOne() throws {
        var reader = ByteReader([0, 1, 2])
        #expect(try reader.bool() == false)
        #expect(try reader.bool() == true)
        #expect(throws: WireError.invalid("bool")) { try reader.bool() }
    }

    @Test func lengthsAreHeldToLimitsAndToTheBytesThatAreThere() {
        let bytes = Self.written { $0.byteString([1, 2, 3]) }
        func read(_ bytes: [UInt8], _ limit: Int) throws(WireError) -> [UInt8] {
            var reader = ByteReader(bytes)
            return try reader.byteString(upTo: limit, "field")
        }
        #expect(throws: Never.self) { try read(bytes, 3) }
        #expect(throws: WireError.tooLarge("field")) { try read(bytes, 2) }
        #expect(throws: WireError.truncated) { try read(Array(bytes.dropLast()), 3) }
        #expect(throws: WireError.tooLarge("field")) { try read(Self.written { $0.varint(.max) }, 3) }
    }

    @Test func stringIsUTF8() throws {
        var reader = ByteReader(Self.written { $0.string("雨燕") })
        #expect(try reader.string(upTo: 6, "s") == "雨燕")
        for bytes in [[2, 0xC3, 0x28], [1, 0x80], [3, 0xED, 0xA0, 0x80]] as [[UInt8]] {
            #expect(throws: WireError.invalid("s")) {
                var reader = ByteReader(bytes)
                return try reader.string(upTo: 9, "s")
            }
        }
    }

    @Test func optionalsAndArrays() throws {
        let bytes = Self.written {
            $0.optional(UInt8?.none) { $0.uint8($1) }
            $0.optional(UInt8?.some(7)) { $0.uint8($1) }
            $0.array([1, 2] as [UInt8]) { $0.uint8($1) }
        }
        #expect(bytes == [0, 1, 7, 2, 1, 2])
        var reader = ByteReader(bytes)
        #expect(try reader.optional { (r) throws(WireError) in try r.uint8() } == nil)
        #expect(try reader.optional { (r) throws(WireError) in try r.uint8() } == 7)
        #expect(try reader.array(upTo: 2, "a") { (r) throws(WireError) in try r.uint8() } == [1, 2])
        #expect(throws: WireError.tooLarge("a")) {
            var reader = ByteReader(Array(bytes.dropFirst(3)))
            return try reader.array(upTo: 1, "a") { (r) throws(WireError) in try r.uint8() }
        }
    }

    @Test func agesAreRebasedAndSaturate() throws {
        for (age, now, expected) in [
            (100, 1000, 900), (-100, 1000, 1100), (.max, -10, .min), (.min, 10, .max),
        ] as [(Int64, Int64, Int64)] {
            var reader = ByteReader(Self.written { $0.int64(age) }, now: Instant(nanoseconds: now))
            #expect(try reader.instant() == Instant(nanoseconds: expected))
        }
    }

    @Test func readerOfASliceStaysInsideIt() throws {
        let bytes: [UInt8] = [9, 1, 2, 9]
        var reader = ByteReader(bytes[1..<3], now: .zero)
        #expect(try reader.uint16() == 0x0102)
        #expect(throws: WireError.truncated) { try reader.uint8() }
        reader = ByteReader(bytes[1..<3], now: .zero)
        #expect(throws: WireError.trailingBytes(2)) { try reader.finish() }
    }

    @Test func patchOverwritesInPlace() {
        let bytes = Self.written {
            $0.uint8(1)
            $0.uint32(0)
            $0.uint8(2)
            $0.patch(uint32: 0x0304_0506, at: 1)
        }
        #expect(bytes == [1, 3, 4, 5, 6, 2])
    }
}

/// Names, identities and the load digest.
@Suite struct PrimitivesCodecTests {
    @Test func goldenBytes() throws {
        let name = try #require(NodeName("ab"))
        let bytes = ByteCodecTests.written {
            $0.nodeID(NodeID(name: name, generation: Generation(5)))
            $0.address(Address(host: "::1", port: 258))
            $0.clusterID(ClusterID(high: 1, low: 2))
            $0.taskID(TaskID(high: 3, low: 4))
            $0.token(Token(run: 1, term: Term(128), attempt: 2))
        }
        let zeros = [UInt8](repeating: 0, count: 7)
        #expect(
            bytes == [2, 0x61, 0x62] + zeros + [5] + [3, 0x3A, 0x3A, 0x31, 1, 2] + zeros + [1] + zeros + [2] + zeros + [
                3
            ]
                + zeros + [4] + [1, 0x80, 1, 2])
        var reader = ByteReader(bytes)
        #expect(try reader.nodeID() == NodeID(name: name, generation: Generation(5)))
        #expect(try reader.address() == Address(host: "::1", port: 258))
        #expect(try reader.clusterID() == ClusterID(high: 1, low: 2))
        #expect(try reader.taskID() == TaskID(high: 3, low: 4))
        #expect(try reader.token() == Token(run: 1, term: Term(128), attempt: 2))
        try reader.finish()
    }

    @Test func profileAndLoadSurviveRoundTrip() throws {
        let address = Address(host: "10.0.0.1", port: 1)
        let profile = MemberProfile(
            gossip: address, peer: Address(host: "::1", port: 2), http: address, disk: StoreID(1), store: StoreID(.max),
            slots: 3)
        let load = LoadDigest(
            ready: 1, open: .max, headPriority: 10, isDraining: true, freeSlots: 5, oldestAge: 6)
        let bytes = ByteCodecTests.written {
            $0.loadDigest(load)
            $0.memberProfile(profile)
        }
        var reader = ByteReader(bytes)
        #expect(try reader.loadDigest() == load)
        let length = bytes.count - reader.remaining
        #expect(length == 16)
        #expect(try reader.memberProfile() == profile)
        try reader.finish()
    }

    @Test(arguments: ["", "A", "-a", "a b", String(repeating: "a", count: 64)])
    func nameThatIsNoneIsRefused(text: String) {
        let bytes = ByteCodecTests.written { $0.string(text) }
        #expect(throws: WireError.self) {
            var reader = ByteReader(bytes)
            return try reader.nodeName()
        }
    }

    @Test func numbersOver32BitsAreRefused() {
        let bytes = ByteCodecTests.written { $0.varint(1 << 32) }
        #expect(throws: WireError.invalid("n")) {
            var reader = ByteReader(bytes)
            return try reader.varint32("n")
        }
    }
}
