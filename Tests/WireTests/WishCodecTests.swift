import Primitives
import TaskLedger
import Testing
import Wire

/// Wishes, sweeps and inspections: golden bytes, round trips, refusals.
@Suite struct WishCodecTests {
    private static let id = TaskID(high: 0x0102, low: 0x0304)
    private static let idHex = "00000000000001020000000000000304"

    private static func bytes(_ write: (inout ByteWriter) -> Void) -> [UInt8] {
        var writer = ByteWriter(now: Instant(nanoseconds: 1))
        write(&writer)
        return writer.bytes
    }

    private static func decode<Value>(
        _ bytes: [UInt8], _ read: (inout ByteReader) throws(WireError) -> Value
    ) throws(WireError) -> Value {
        var reader = ByteReader(bytes[...], now: Instant(nanoseconds: 1))
        let value = try read(&reader)
        try reader.finish()
        return value
    }

    @Test func wishesHaveTheirGoldenBytes() throws {
        let cases: [(TaskWish, String)] = [
            (.change(priority: .high, delay: nil), "01" + "0108" + "00"),
            (.change(priority: nil, delay: 128), "01" + "00" + "018001"), (.retry, "02"), (.purge, "03"),
        ]
        for (wish, hex) in cases {
            let request = WishRequest(task: Self.id, wish: wish)
            #expect(LedgerCodecGoldenTests.hex { $0.wishRequest(request) } == Self.idHex + hex)
            let decoded = try Self.decode(Self.bytes { $0.wishRequest(request) }) { reader throws(WireError) in
                try reader.wishRequest()
            }
            #expect(decoded == request)
        }
        for decision in WishDecision.allCases {
            let reply = WishReply(decision: decision, record: nil)
            #expect(LedgerCodecGoldenTests.hex { $0.wishReply(reply) } == "0\(String(decision.rawValue, radix: 16))00")
            let decoded = try Self.decode(Self.bytes { $0.wishReply(reply) }) { reader throws(WireError) in
                try reader.wishReply()
            }
            #expect(decoded == reply)
        }
        let filter = ListRequest(
            statuses: 32, queue: "q", taskType: nil, age: .nanoseconds(5), error: "e", before: nil, limit: 0)
        let sweep = SweepRequest(isPurge: true, filter: filter)
        #expect(
            LedgerCodecGoldenTests.hex { $0.sweepRequest(sweep) }
                == "01" + "20" + "010171" + "00" + "010000000000000005" + "010165" + "00" + "00000000" + "00" + "00")
        let swept = SweepReply(done: 128, left: 1, isCommitted: true)
        #expect(LedgerCodecGoldenTests.hex { $0.sweepReply(swept) } == "8001" + "01" + "01")
        #expect(
            try Self.decode(Self.bytes { $0.sweepRequest(sweep) }) { reader throws(WireError) in
                try reader.sweepRequest()
            } == sweep)
        #expect(
            try Self.decode(Self.bytes { $0.sweepReply(swept) }) { reader throws(WireError) in
                try reader.sweepReply()
            } == swept)
    }

    @Test func inspectionsSurvive() throws {
        let name = try #require(NodeName("n"))
        let causes: [WaitCause] = [
            .ended, .runs, .granted, .notDue, .retryRest, .dependencies, .fence(until: nil),
            .fence(until: Instant(nanoseconds: 9)), .ownerPaused, .queuePaused, .queueLimited(.concurrency), .solitude,
            .behind(128, isMore: true),
            .next,
        ]
        var samples = SeededGenerator(seed: 5)
        for cause in causes {
            let inspection: Inspection? = Inspection(
                record: samples.record(), accepter: name, cause: cause, unreadiness: "it drains")
            let decoded = try Self.decode(Self.bytes { $0.inspection(inspection) }) { reader throws(WireError) in
                try reader.inspection()
            }
            #expect(decoded == inspection)
        }
        #expect(LedgerCodecGoldenTests.hex { $0.inspection(nil) } == "00")
    }

    @Test(arguments: [[UInt8](), [0], [12], [255, 1, 2, 3]])
    func whatIsNotKnownIsRefused(bytes: [UInt8]) {
        #expect(throws: WireError.self) {
            try Self.decode(bytes) { reader throws(WireError) in try reader.wishReply() }
        }
        #expect(throws: WireError.self) {
            try Self.decode(bytes) { reader throws(WireError) in try reader.sweepRequest() }
        }
        let head = Self.bytes { $0.taskID(Self.id) }
        #expect(throws: WireError.self) {
            try Self.decode(head + bytes) { reader throws(WireError) in try reader.wishRequest() }
        }
    }

    @Test func aHistoryThatIsTooLongIsRefused() {
        let step = TaskHistory.Step(kind: .retried, at: Timestamp(milliseconds: 1), run: 2)
        let history = TaskHistory(steps: Array(repeating: step, count: Limits.historySteps + 1))
        #expect(throws: WireError.self) {
            try Self.decode(Self.bytes { $0.taskHistory(history) }) { reader throws(WireError) in
                try reader.taskHistory()
            }
        }
    }
}
