import Primitives
import TaskLedger
import Testing
import Wire

/// What a reader of tasks and entries refuses although every byte of it is there.
@Suite struct LedgerCodecLimitTests {
    static func decoded<Value>(
        _ write: (inout ByteWriter) -> Void, _ read: (inout ByteReader) throws(WireError) -> Value
    ) throws(WireError) -> Value {
        var writer = ByteWriter()
        write(&writer)
        var reader = ByteReader(writer.bytes)
        let value = try read(&reader)
        try reader.finish()
        return value
    }

    /// A change of an ordinary specification, and why it is refused; nil: it is at the limit, and is not.
    struct SpecCase: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let change: @Sendable (inout TaskSpec) -> Void
        let error: WireError?

        init(_ name: String, _ error: WireError?, _ change: @escaping @Sendable (inout TaskSpec) -> Void) {
            testDescription = name
            self.change = change
            self.error = error
        }
    }

    static func text(_ length: Int) -> String { String(repeating: "x", count: length) }

    static let specs: [SpecCase] = [
        SpecCase("type of no bytes", .invalid("task type")) { $0.type = "" },
        SpecCase("type of 63 bytes", nil) { $0.type = text(63) },
        SpecCase("type of 64 bytes", .tooLarge("task type")) { $0.type = text(64) },
        SpecCase("payload of 1 MiB", nil) { $0.payload = Array(repeating: 0x20, count: 1 << 20) },
        SpecCase("payload over 1 MiB", .tooLarge("payload")) {
            $0.payload = Array(repeating: 0x20, count: 1 << 20 + 1)
        },
        SpecCase("queue in capitals", .invalid("queue")) { $0.queue = "Q" },
        SpecCase("queue of 64 bytes", .tooLarge("queue")) { $0.queue = text(64) },
        SpecCase("100 retries", nil) { $0.retry.maxRetries = 100 },
        SpecCase("101 retries", .tooLarge("retries")) { $0.retry.maxRetries = 101 },
        SpecCase("jitter of 1", nil) { $0.retry.jitter = 1000 },
        SpecCase("jitter over 1", .tooLarge("jitter")) { $0.retry.jitter = 1001 },
        SpecCase("timeout of a day", nil) { $0.timeout = 86_400_000 },
        SpecCase("timeout over a day", .tooLarge("timeout")) { $0.timeout = 86_400_001 },
        SpecCase("delay of a year", nil) { $0.delay = 31_536_000_000 },
        SpecCase("delay over a year", .tooLarge("delay")) { $0.delay = 31_536_000_001 },
        SpecCase("expiry over a year", .tooLarge("expiry")) { $0.expiry = 31_536_000_001 },
        SpecCase("result TTL over a year", .tooLarge("result TTL")) { $0.resultTTL = 31_536_000_001 },
        SpecCase("16 labels", nil) { $0.metadata = (0..<16).map { .init(key: "\($0)", value: "") } },
        SpecCase("17 labels", .tooLarge("metadata")) { $0.metadata = (0..<17).map { .init(key: "\($0)", value: "") } },
        SpecCase("key of 65 bytes", .tooLarge("metadata key")) { $0.metadata = [.init(key: text(65), value: "")] },
        SpecCase("label of 513 bytes", .tooLarge("metadata value")) {
            $0.metadata = [.init(key: "k", value: text(513))]
        },
    ]

    @Test(arguments: specs) func specificationIsHeldToItsLimits(specCase: SpecCase) throws {
        var spec = TaskSpec(type: "t")
        specCase.change(&spec)
        let read: () throws(WireError) -> TaskSpec = { [spec] () throws(WireError) in
            try Self.decoded({ $0.taskSpec(spec) }, { (r) throws(WireError) in try r.taskSpec() })
        }
        if let error = specCase.error {
            #expect(throws: error) { try read() }
        } else {
            #expect(try read() == spec)
        }
    }

    /// Records whose lease, due time or end does not fit their status; numbers that would overflow when they rise.
    @Test(arguments: TaskStatus.allCases) func recordThatContradictsItselfIsRefused(status: TaskStatus) throws {
        var generator = SeededGenerator(seed: 5)
        let lease = generator.lease()
        for bits in 0..<8 {
            let record = TaskRecord(
                id: TaskID(high: 1, low: 2), spec: TaskSpec(type: "t"), status: status, enqueuedAt: .zero,
                due: bits & 1 == 0 ? nil : .zero, expires: nil, lease: bits & 2 == 0 ? nil : lease, run: 1, attempts: 1,
                idleLeases: 0, failures: 0, interruptions: 0, isCancelRequested: false, duplicatesDiscarded: 0,
                startedAt: nil,
                worker: nil, finishedAt: bits & 4 == 0 ? nil : Timestamp(milliseconds: 1), result: nil, failure: nil,
                finalToken: nil)
            let fits: [TaskStatus: Int] = [.scheduled: 1, .processing: 2, .blocked: 0, .pending: 0]
            let read: () throws(WireError) -> TaskRecord = { () throws(WireError) in
                try Self.decoded({ $0.taskRecord(record) }, { (r) throws(WireError) in try r.taskRecord() })
            }
            if bits == fits[status] ?? 4 || status == .blocked && bits == 1 {
                #expect(try read() == record)
            } else {
                #expect(throws: WireError.invalid("task record")) { try read() }
            }
        }
    }

    @Test func numbersThatCouldOverflowAreRefused() {
        let id = TaskID(high: 1, low: 2)
        let high = Token(run: 1, term: Term(1), attempt: .max)
        #expect(throws: WireError.tooLarge("token")) {
            try Self.decoded(
                { $0.attemptID(AttemptID(ledger: LedgerID(1), id: id, token: high)) },
                { (r) throws(WireError) in try r.attemptID() })
        }
        for place in [Place(term: Term(.max), sequence: 1), Place(term: Term(1), sequence: .max)] {
            #expect(throws: WireError.self) {
                try Self.decoded({ $0.place(place) }, { (r) throws(WireError) in try r.place() })
            }
        }
        #expect(throws: WireError.tooLarge("attempts")) {
            let record = TaskRecord(
                id: id, spec: TaskSpec(type: "t"), status: .pending, enqueuedAt: .zero, due: nil, expires: nil,
                lease: nil,
                run: 1, attempts: .max, idleLeases: 0, failures: 0, interruptions: 0, isCancelRequested: false,
                duplicatesDiscarded: 0,
                startedAt: nil, worker: nil, finishedAt: nil, result: nil, failure: nil, finalToken: nil)
            return try Self.decoded({ $0.taskRecord(record) }, { (r) throws(WireError) in try r.taskRecord() })
        }
    }

    @Test func resultsAndMessagesAreHeldToTheirLimits() {
        let attempt = AttemptID(
            ledger: LedgerID(1), id: TaskID(high: 1, low: 2), token: Token(run: 1, term: Term(1), attempt: 1))
        func read(_ outcome: AttemptOutcome) throws(WireError) -> AttemptReport {
            try Self.decoded(
                { $0.attemptReport(AttemptReport(attempt: attempt, outcome: outcome)) },
                { (r) throws(WireError) in try r.attemptReport() })
        }
        func result(_ count: Int) -> AttemptOutcome { .completed(.inline(Array(repeating: 1, count: count))) }
        #expect(throws: Never.self) { try read(result(64 << 10)) }
        #expect(throws: WireError.tooLarge("result")) { try read(result(64 << 10 + 1)) }
        #expect(throws: WireError.tooLarge("message of failure")) {
            try read(.failed(TaskFailure(type: "t", message: Self.text(4097), isRetryable: false)))
        }
    }

    /// A count that no bytes pay for costs nothing.
    @Test func countsWithoutContentsAreRefused() {
        for count in [UInt64(Limits.messageEntries), UInt64(Limits.messageEntries) + 1, .max] {
            #expect(throws: WireError.self) {
                try Self.decoded(
                    {
                        $0.ledgerID(LedgerID(1))
                        $0.varint(count)
                    }, { (r) throws(WireError) in try r.offerRequest() })
            }
        }
    }

    /// The greatest batches that owners and replicas make up stay within the limit of entries.
    @Test func fullBatchesFitTheLimitOfEntries() {
        let least = LedgerEvent.cancelRequested(TaskID(high: 0, low: 0), at: Timestamp(milliseconds: 0)).cost
        #expect(Limits.offerBytes / least < Limits.messageEntries)
        #expect(Limits.appendBytes / least < Limits.messageEntries)
    }
}
