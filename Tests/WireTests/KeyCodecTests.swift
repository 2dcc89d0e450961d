import Primitives
import TaskLedger
import Testing

@testable import Wire

/// Tasks with keys on their way to the keys' home, and keys on their way to another one.
@Suite struct KeyCodecTests {
    private static let task = TaskID(high: 0x0102, low: 0x0304)
    private static let taskHex = "00000000000001020000000000000304"

    private static func decode<Value>(
        _ bytes: [UInt8], _ read: (inout ByteReader) throws(WireError) -> Value
    ) throws(WireError) -> Value {
        var reader = ByteReader(bytes[...], now: Instant(nanoseconds: 1))
        let value = try read(&reader)
        try reader.finish()
        return value
    }

    private static func bytes(_ write: (inout ByteWriter) -> Void) -> [UInt8] {
        var writer = ByteWriter(now: Instant(nanoseconds: 1))
        write(&writer)
        return writer.bytes
    }

    @Test func repliesHaveTheirGoldenBytes() throws {
        let decisions: [KeyedDecision] = [
            .accepted(Self.task), .repeated(Self.task), .conflict(Self.task), .unknown(Self.task),
            .queueFull(Self.task),
        ]
        let listed = (1...5).map { "0\($0)" + Self.taskHex }.joined()
        let holder = try #require(NodeName("n"))
        for (reply, golden) in [
            (.decided(decisions, holders: [holder]), "01" + "05" + listed + "01" + "016e"), (.notHome, "02"),
            (.moving, "03"), (.full(retryAfter: 300), "04" + "ac02"), (.diskFull(folder: "d"), "05" + "0164"),
            (.unavailable, "06"),
        ] as [(KeyedReply, String)] {
            #expect(LedgerCodecGoldenTests.hex { $0.keyedReply(reply) } == golden)
            let bytes = Self.bytes { $0.keyedReply(reply) }
            #expect(try Self.decode(bytes) { reader throws(WireError) in try reader.keyedReply() } == reply)
            for length in 0..<bytes.count {
                #expect(throws: WireError.self) {
                    _ = try Self.decode(Array(bytes[..<length])) { reader throws(WireError) in try reader.keyedReply() }
                }
            }
        }
        for bad in [[0], [7], [1, 1, 6]] as [[UInt8]] {
            #expect(throws: WireError.self) {
                _ = try Self.decode(bad) { reader throws(WireError) in try reader.keyedReply() }
            }
        }
    }

    @Test func requestsComeBackAndTheirListsFit() throws {
        var spec = TaskSpec(type: "echo", orderingKey: "o")
        spec.idempotency = TaskSpec.Idempotency(key: "k", body: BodyDigest(high: 1, low: 2), window: 1000)
        let request = KeyedRequest(home: LedgerID(7), ids: [Self.task], isAgain: [true], specs: [spec])
        let bytes = Self.bytes { $0.keyedRequest(request) }
        #expect(try Self.decode(bytes) { reader throws(WireError) in try reader.keyedRequest() } == request)
        var unequal = request
        unequal.isAgain = []
        #expect(throws: WireError.self) {
            _ = try Self.decode(Self.bytes { $0.keyedRequest(unequal) }) { reader throws(WireError) in
                try reader.keyedRequest()
            }
        }
    }

    @Test func shipmentsHaveTheirGoldenBytes() throws {
        let body = BodyDigest(high: 1, low: 2)
        let shipment = KeyShipment(
            from: LedgerID(3), view: 300, to: LedgerID(4),
            bindings: [
                KeyBinding(
                    name: KeyName(key: "k", orderingKey: "o"), body: body, task: Self.task,
                    until: Instant(nanoseconds: 1))
            ])
        let bytes = Self.bytes { $0.keyShipment(shipment) }
        #expect(
            LedgerCodecGoldenTests.hex { $0.keyShipment(shipment) }.hasPrefix(
                "03" + "ac02" + "04" + "01" + "016b" + "01016f" + "00000000000000010000000000000002" + Self.taskHex))
        #expect(try Self.decode(bytes) { reader throws(WireError) in try reader.keyShipment() } == shipment)
        var nameless = shipment
        nameless.bindings[0].name = KeyName(key: "", orderingKey: nil)
        #expect(throws: WireError.self) {
            _ = try Self.decode(Self.bytes { $0.keyShipment(nameless) }) { reader throws(WireError) in
                try reader.keyShipment()
            }
        }
    }
}
