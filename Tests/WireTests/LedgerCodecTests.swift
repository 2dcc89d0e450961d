import Primitives
import TaskLedger
import Testing
import Wire

/// Codec of tasks, of ledger entries, and of what owners, replicas and executors say to each other.
@Suite struct LedgerCodecTests {
    /// One kind of value with a codec: how to draw one, and how it survives.
    struct Kind: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// A random value's bytes.
        let sample: @Sendable (inout SeededGenerator) -> [UInt8]
        /// What decoding the bytes and encoding the value again gives.
        let recode: @Sendable ([UInt8]) throws(WireError) -> [UInt8]
        /// Whether decoding gives back the value that was drawn.
        let survives: @Sendable (inout SeededGenerator) throws -> Bool

        init<Value: Equatable & Sendable>(
            _ name: String, _ draw: @escaping @Sendable (inout SeededGenerator) -> Value,
            _ write: @escaping @Sendable (inout ByteWriter, Value) -> Void,
            _ read: @escaping @Sendable (inout ByteReader) throws(WireError) -> Value
        ) {
            testDescription = name
            @Sendable func encode(_ value: Value) -> [UInt8] {
                var writer = ByteWriter(now: now)
                write(&writer, value)
                return writer.bytes
            }
            @Sendable func decode(_ bytes: [UInt8]) throws(WireError) -> Value {
                var reader = ByteReader(bytes, now: now)
                let value = try read(&reader)
                try reader.finish()
                return value
            }
            sample = { encode(draw(&$0)) }
            recode = { (bytes) throws(WireError) in encode(try decode(bytes)) }
            survives = { generator in
                let value = draw(&generator)
                return try decode(encode(value)) == value
            }
        }
    }

    /// On whose clock the samples are written and read.
    static let now = Instant(nanoseconds: 5_000_000_000)

    static let kinds: [Kind] = [
        Kind("spec", { $0.spec() }, { $0.taskSpec($1) }, { (r) throws(WireError) in try r.taskSpec() }),
        Kind("acceptance", { $0.acceptance() }, { $0.acceptance($1) }, { (r) throws(WireError) in try r.acceptance() }),
        Kind("lease", { $0.lease() }, { $0.lease($1) }, { (r) throws(WireError) in try r.lease() }),
        Kind("failure", { $0.failure() }, { $0.taskFailure($1) }, { (r) throws(WireError) in try r.taskFailure() }),
        Kind("event", { $0.event() }, { $0.ledgerEvent($1) }, { (r) throws(WireError) in try r.ledgerEvent() }),
        Kind("entry", { $0.entry() }, { $0.ledgerEntry($1) }, { (r) throws(WireError) in try r.ledgerEntry() }),
        Kind("place", { $0.place() }, { $0.place($1) }, { (r) throws(WireError) in try r.place() }),
        Kind("record", { $0.record() }, { $0.taskRecord($1) }, { (r) throws(WireError) in try r.taskRecord() }),
        Kind(
            "append request",
            {
                AppendRequest(
                    ledger: $0.ledger(), term: $0.term(), previous: $0.place(), entries: $0.some { $0.entry() },
                    committed: $0.next(), offerAfter: $0.next())
            }, { $0.appendRequest($1) }, { (r) throws(WireError) in try r.appendRequest() }),
        Kind(
            "copy request",
            {
                CopyRequest(
                    ledger: $0.ledger(), term: $0.term(), number: $0.next(), isFirst: .random(using: &$0),
                    isLast: .random(using: &$0),
                    place: $0.place(), records: $0.some { $0.record() }, committed: $0.next())
            }, { $0.copyRequest($1) }, { (r) throws(WireError) in try r.copyRequest() }),
        Kind("reply", { $0.reply() }, { $0.replicaReply($1) }, { (r) throws(WireError) in try r.replicaReply() }),
        Kind(
            "offer", { OfferRequest(ledger: $0.ledger(), tail: $0.some { $0.entry() }) }, { $0.offerRequest($1) },
            { (r) throws(WireError) in try r.offerRequest() }),
        Kind("attempt", { $0.attempt() }, { $0.attemptID($1) }, { (r) throws(WireError) in try r.attemptID() }),
        Kind(
            "assignment",
            {
                let attempt = $0.attempt()
                let spec = $0.spec()
                var parents: [ParentOutcome?] = []
                for _ in spec.dependencies.parents { parents.append($0.maybe { $0.outcome() }) }
                return Assignment(
                    ledger: attempt.ledger, id: attempt.id, token: attempt.token, spec: spec,
                    isSolitary: .random(using: &$0), parents: parents)
            }, { $0.assignment($1) }, { (r) throws(WireError) in try r.assignment() }),
        Kind("report", { $0.report() }, { $0.attemptReport($1) }, { (r) throws(WireError) in try r.attemptReport() }),
        Kind(
            "steal",
            { StealRequest(wanted: .random(in: 0...Limits.stolenTasks, using: &$0), minimumPriority: $0.priority()) },
            { $0.stealRequest($1) }, { (r) throws(WireError) in try r.stealRequest() }),
    ]

    @Test(arguments: kinds) func valueSurvivesRoundTrip(kind: Kind) throws {
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<300 { #expect(try kind.survives(&generator)) }
    }

    @Test(arguments: kinds) func messageCutAnywhereIsRefused(kind: Kind) {
        var generator = SeededGenerator(seed: 2)
        for _ in 0..<10 {
            let bytes = kind.sample(&generator)
            for length in 0..<bytes.count {
                #expect(throws: WireError.self) { try kind.recode(Array(bytes[..<length])) }
            }
            #expect(throws: WireError.trailingBytes(1)) { try kind.recode(bytes + [0]) }
        }
    }

    /// Changed bytes are refused, or mean something else that is written in just these bytes: never a trap, and never two
    /// ways to write one thing.
    @Test(arguments: kinds) func changedBytesAreRefusedOrMeanSomethingElse(kind: Kind) {
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<60 {
            let bytes = kind.sample(&generator)
            for _ in 0..<40 {
                var changed = bytes
                for _ in 0...Int.random(in: 0...2, using: &generator) {
                    changed[Int.random(in: changed.indices, using: &generator)] = .random(
                        in: .min ... .max, using: &generator)
                }
                // Refused is what is wanted of most.
                guard let again = try? kind.recode(changed) else { continue }
                #expect(again == changed)
            }
        }
    }

    @Test(arguments: kinds) func noiseIsRefusedWithoutTrap(kind: Kind) {
        var generator = SeededGenerator(seed: 4)
        for _ in 0..<500 {
            let noise = (0..<Int.random(in: 0...80, using: &generator)).map { _ in
                UInt8.random(in: 0...20, using: &generator)
            }
            // Short ones may mean something; that nothing traps is what is tested.
            _ = try? kind.recode(noise)
        }
    }

    @Test func instantsAreRebasedOnTheReadersClock() throws {
        var writer = ByteWriter(now: Instant(nanoseconds: 1_000))
        let id = TaskID(high: 1, low: 2)
        writer.acceptance(
            Acceptance(
                id: id, spec: TaskSpec(type: "t"), enqueuedAt: Instant(nanoseconds: 400),
                due: Instant(nanoseconds: 1_500),
                expires: nil))
        var reader = ByteReader(writer.bytes, now: Instant(nanoseconds: 9_000))
        let acceptance = try reader.acceptance()
        #expect(acceptance.enqueuedAt == Instant(nanoseconds: 8_400))
        #expect(acceptance.due == Instant(nanoseconds: 9_500))
    }

    @Test func timestampOfBrokenClockIsBroughtIntoRange() throws {
        for (written, read) in [(Int64.min, 0), (-1, 0), (0, 0), (Int64.max, 253_402_300_799_999)] {
            var writer = ByteWriter()
            writer.timestamp(Timestamp(milliseconds: written))
            var reader = ByteReader(writer.bytes)
            #expect(try reader.timestamp() == Timestamp(milliseconds: Int64(read)))
        }
    }
}
