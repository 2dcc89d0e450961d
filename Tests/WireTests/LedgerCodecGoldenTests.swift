import Primitives
import TaskLedger
import Testing
import Wire

/// Bytes on the wire and in journals: they do not change, or nodes of two versions stop understanding each other.
@Suite struct LedgerCodecGoldenTests {
    static let id = TaskID(high: 0x0102, low: 0x0304)
    static let token = Token(run: 1, term: Term(2), attempt: 3)
    static let at = Timestamp(milliseconds: 5)
    static let failure = TaskFailure(type: "e", message: "m", isRetryable: true)
    static let spec = TaskSpec(
        type: "t", payload: [0x7B, 0x7D], priority: .high, queue: "q",
        retry: RetryPolicy(maxRetries: 3, backoff: .linear, base: 1000, maximum: 5000, jitter: 200), timeout: 300,
        delay: 0,
        expiry: 9, delivery: .atMostOnce, resultTTL: 128, metadata: [.init(key: "k", value: "v")],
        fairnessKey: "f")

    static let idHex = "00000000000001020000000000000304"
    static let specHex =
        "0174" + "027b7d" + "08" + "0171" + "0301e8078827c801" + "ac02" + "00" + "0109" + "01" + "8001" + "01016b0176"
        + "010166" + "00" + "00" + "00" + "00" + "00"
    static let tokenHex = "010203"
    static let failureHex = "0165" + "016d" + "01"
    static let nodeHex = "016e" + "0000000000000007"
    static let leaseHex = tokenHex + nodeHex + "05" + "01"

    static let binding = KeyBinding(
        name: KeyName(key: "k", orderingKey: "o"), body: BodyDigest(high: 1, low: 2), task: id,
        until: Instant(nanoseconds: 3))
    static let bindingHex =
        "016b" + "01016f" + "00000000000000010000000000000002" + idHex + "fffffffffffffffe"

    static func node() throws -> NodeID {
        NodeID(name: try #require(NodeName("n")), generation: Generation(7))
    }

    /// Written one nanosecond after time zero.
    static func hex(_ write: (inout ByteWriter) -> Void) -> String {
        var writer = ByteWriter(now: Instant(nanoseconds: 1))
        write(&writer)
        return writer.bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }

    @Test func events() throws {
        let node = try Self.node()
        let acceptance = Acceptance(
            id: Self.id, spec: Self.spec, enqueuedAt: .zero, due: nil, expires: Instant(nanoseconds: 2))
        let lease = Lease(token: Self.token, holder: node, at: Self.at, isStarted: true)
        let cases: [(LedgerEvent, String)] = [
            (.leased(Self.id, lease), "02" + Self.idHex + Self.leaseHex),
            (.started(Self.id, Self.token, at: Self.at), "03" + Self.idHex + Self.tokenHex + "05"),
            (
                .completed(Self.id, Self.token, result: [0x31], by: node.name, at: Self.at),
                "04" + Self.idHex + Self.tokenHex + "010131" + "016e" + "05"
            ),
            (
                .failed(Self.id, Self.token, Self.failure, by: node.name, at: Self.at),
                "05" + Self.idHex + Self.tokenHex + Self.failureHex + "01016e" + "05"
            ),
            (
                .failed(Self.id, Self.token, Self.failure, by: nil, at: Self.at),
                "05" + Self.idHex + Self.tokenHex + Self.failureHex + "00" + "05"
            ),
            (
                .rescheduled(Self.id, Self.token, Self.failure, due: Instant(nanoseconds: 3), at: Self.at),
                "06" + Self.idHex + Self.tokenHex + Self.failureHex + "fffffffffffffffe" + "05"
            ),
            (
                .interrupted(Self.id, Self.token, isBlamed: true, at: Self.at),
                "07" + Self.idHex + Self.tokenHex + "0105"
            ),
            (.cancelRequested(Self.id, at: Self.at), "08" + Self.idHex + "05"),
            (.cancelled(Self.id, at: Self.at), "09" + Self.idHex + "05"),
            (.expired(Self.id, at: Self.at), "0a" + Self.idHex + "05"),
            (.duplicateDiscarded(Self.id), "0b" + Self.idHex),
            (.forgotten(Self.id), "0c" + Self.idHex),
            (.changed(Self.id, .high, due: nil, at: Self.at), "0d" + Self.idHex + "08" + "00" + "05"),
            (
                .changed(Self.id, .low, due: Instant(nanoseconds: 3), at: Self.at),
                "0d" + Self.idHex + "02" + "01fffffffffffffffe" + "05"
            ),
            (
                .retried(Self.id, run: 2, enqueuedAt: .zero, at: Self.at),
                "0e" + Self.idHex + "02" + "0000000000000001" + "05"
            ),
            (
                .dependencyEnded(
                    Self.id, TaskID(high: 5, low: 6),
                    ParentOutcome(end: .failed, result: nil, resultBytes: 200, failure: Self.failure), at: Self.at),
                "15" + Self.idHex + "00000000000000050000000000000006" + "02" + "00" + "c801" + "01" + Self.failureHex
                    + "05"
            ),
            (.bound([Self.binding]), "0f" + "01" + Self.bindingHex),
            (
                .workflowFailing(Self.id, by: TaskID(high: 5, low: 6), at: Self.at),
                "17" + Self.idHex + "00000000000000050000000000000006" + "05"
            ),
            (
                .workflowEnded(Self.id, .failed, Self.failure, at: Self.at),
                "18" + Self.idHex + "05" + "01" + Self.failureHex + "05"
            ),
            (
                .calledBack(TaskID(high: 5, low: 6), acceptance),
                "1a" + "00000000000000050000000000000006" + Self.idHex + Self.specHex + "0000000000000001" + "00"
                    + "01ffffffffffffffff"
            ),
            (
                .accepted(acceptance),
                "01" + Self.idHex + Self.specHex + "0000000000000001" + "00" + "01ffffffffffffffff"
            ),
        ]
        for (event, hex) in cases { #expect(Self.hex { $0.ledgerEvent(event) } == hex) }
    }

    @Test func callbacks() throws {
        var spec = Self.spec
        spec.callbackURL = "http://h"
        #expect(Self.hex { $0.taskSpec(spec) } == String(Self.specHex.dropLast(2)) + "01" + "08" + "687474703a2f2f68")
        func record(_ status: TaskStatus, isCalledBack: Bool) -> String {
            let record = TaskRecord(
                id: Self.id, spec: spec, status: status, enqueuedAt: .zero, due: nil, expires: nil, lease: nil, run: 1,
                attempts: 0, idleLeases: 0, failures: 0, interruptions: 0, isCancelRequested: false,
                duplicatesDiscarded: 0, startedAt: nil, worker: nil, finishedAt: status.isFinal ? Self.at : nil,
                result: nil, failure: nil, finalToken: nil, isCalledBack: isCalledBack)
            return Self.hex { $0.taskRecord(record) }
        }
        let told = record(.cancelled, isCalledBack: true)
        #expect(told.hasSuffix("0001") && record(.cancelled, isCalledBack: false) == told.dropLast() + "0")
        // Only what has ended, and is to be told, is called back.
        for (hex, isRead) in [(told, true), (record(.pending, isCalledBack: true), false)] {
            let bytes = stride(from: 0, to: hex.count, by: 2).map { start in
                UInt8(hex.dropFirst(start).prefix(2), radix: 16) ?? 0
            }
            var reader = ByteReader(bytes, now: Instant(nanoseconds: 1))
            #expect(((try? reader.taskRecord()) != nil) == isRead)
        }
    }

    @Test func dependencies() throws {
        var spec = Self.spec
        spec.dependencies = TaskDependencies(parents: [Self.id], onFailure: .run, needed: 1)
        let head = String(Self.specHex.dropLast(10))
        #expect(Self.hex { $0.taskSpec(spec) } == head + "01" + Self.idHex + "02" + "0101" + "00" + "000000")
        var keyed = spec
        keyed.idempotency = TaskSpec.Idempotency(key: "k", body: BodyDigest(high: 1, low: 2), window: 300)
        keyed.orderingKey = "o"
        let keys = "01" + "016b" + "00000000000000010000000000000002" + "ac02" + "01" + "016f" + "00"
        #expect(Self.hex { $0.taskSpec(keyed) } == head + "01" + Self.idHex + "02" + "0101" + "00" + keys)
        let outcome = ParentOutcome(end: .completed, result: [0x31])
        let assignment = Assignment(
            ledger: LedgerID(1), id: Self.id, token: Self.token, spec: spec, isSolitary: false, parents: [outcome])
        let hex = Self.hex { $0.assignment(assignment) }
        let tail = "0000" + "0101" + "01010131" + "0100"
        #expect(hex.hasSuffix(tail))
        let answers: [(ParentAnswer, String)] = [
            (.ended(outcome), "01" + "01" + "010131" + "01" + "00"), (.open, "02"), (.unknown, "03"),
        ]
        for (answer, hex) in answers { #expect(Self.hex { $0.parentAnswer(answer) } == hex) }
        #expect(
            Self.hex { $0.parentNews(ParentNews(parent: Self.id, outcome: outcome)) }
                == Self.idHex + "010101310100")
    }

    @Test func workflows() throws {
        let errand = Errand(
            type: "u", payload: [0x31], queue: "q", priority: .high, retry: Self.spec.retry, timeout: 300)
        let errandHex = "0175" + "0131" + "0171" + "08" + "0301e8078827c801" + "ac02"
        var root = Self.spec
        root.workflow = WorkflowPart(
            workflow: Self.id, ref: "",
            role: .root(WorkflowPlan(stopsOnFailure: true, callbacks: [.init(.failure, errand)])))
        let head = String(Self.specHex.dropLast(8)) + "01" + Self.idHex
        let rootHex = head + "00" + "01" + "01" + "0102" + errandHex + "00" + "000000"
        #expect(Self.hex { $0.taskSpec(root) } == rootHex)
        var step = Self.spec
        step.workflow = WorkflowPart(workflow: Self.id, ref: "a", role: .step, compensation: errand)
        let stepHex = head + "0161" + "02" + "01" + errandHex + "000000"
        #expect(Self.hex { $0.taskSpec(step) } == stepHex)
        step.workflow = WorkflowPart(workflow: Self.id, ref: "a", role: .compensation(Self.id))
        let compensationHex = head + "0161" + "03" + Self.idHex + "00" + "000000"
        #expect(Self.hex { $0.taskSpec(step) } == compensationHex)
        step.workflow = WorkflowPart(workflow: Self.id, ref: "a", role: .callback(.always))
        let callbackHex = head + "0161" + "04" + "03" + "00" + "000000"
        #expect(Self.hex { $0.taskSpec(step) } == callbackHex)
        let all = LedgerEvent.acceptedTogether([
            Acceptance(id: Self.id, spec: root, enqueuedAt: .zero, due: nil, expires: nil)
        ])
        let allHex = "16" + "01" + Self.idHex + rootHex + "0000000000000001" + "0000"
        #expect(Self.hex { $0.ledgerEvent(all) } == allHex)
    }

    @Test func moreTasksOfAWorkflow() throws {
        var step = Self.spec
        step.workflow = WorkflowPart(workflow: Self.id, ref: "a", role: .step)
        let request = ExtensionRequest(workflow: Self.id, ids: [Self.id], specs: [step])
        let hex = Self.hex { $0.extensionRequest(request) }
        #expect(hex.hasPrefix(Self.idHex + "01" + Self.idHex + "01"))
        var writer = ByteWriter()
        writer.extensionRequest(request)
        var reader = ByteReader(writer.bytes)
        #expect(try reader.extensionRequest() == request)
        // Only to wait for what was added before.
        let nothing = ExtensionRequest(workflow: Self.id, ids: [], specs: [])
        #expect(Self.hex { $0.extensionRequest(nothing) } == Self.idHex + "00" + "00")
        writer = ByteWriter()
        writer.extensionRequest(nothing)
        reader = ByteReader(writer.bytes)
        #expect(try reader.extensionRequest() == nothing)
        writer = ByteWriter()
        writer.extensionRequest(ExtensionRequest(workflow: Self.id, ids: [Self.id], specs: [Self.spec]))
        #expect(throws: WireError.invalid("tasks of a workflow")) {
            var reader = ByteReader(writer.bytes)
            _ = try reader.extensionRequest()
        }
    }

    /// The tasks of a workflow come with it, and belong to it.
    @Test func tasksThatAreNoWorkflowAreRefused() {
        let other = Acceptance(id: Self.id, spec: Self.spec, enqueuedAt: .zero, due: nil, expires: nil)
        for event in [LedgerEvent.acceptedTogether([]), .acceptedTogether([other])] {
            var writer = ByteWriter()
            writer.ledgerEvent(event)
            #expect(throws: WireError.invalid("tasks of a workflow")) {
                var reader = ByteReader(writer.bytes)
                _ = try reader.ledgerEvent()
            }
        }
    }

    @Test func records() throws {
        let node = try Self.node()
        var record = TaskRecord(
            id: Self.id, spec: Self.spec, status: .processing, enqueuedAt: .zero, due: nil, expires: nil,
            lease: Lease(token: Self.token, holder: node, at: Self.at, isStarted: true), run: 1, attempts: 3,
            idleLeases: 0, failures: 1, interruptions: 2, isCancelRequested: true, duplicatesDiscarded: 0,
            startedAt: Self.at, worker: node.name,
            finishedAt: nil, result: nil, failure: Self.failure, finalToken: nil)
        #expect(
            Self.hex { $0.taskRecord(record) } == Self.idHex + Self.specHex + "03" + "0000000000000001" + "00" + "00"
                + "01"
                + Self.leaseHex + "0103000102" + "01" + "00" + "0105" + "01016e" + "00" + "00" + "01" + Self.failureHex
                + "00" + "00" + "00" + "00" + "00" + "0000" + "00" + "00" + "00")
        record = TaskRecord(
            id: Self.id, spec: Self.spec, status: .completed, enqueuedAt: .zero, due: nil, expires: nil, lease: nil,
            run: 1,
            attempts: 1, idleLeases: 0, failures: 0, interruptions: 0, isCancelRequested: false,
            duplicatesDiscarded: 200,
            startedAt: nil,
            worker: nil, finishedAt: Self.at, result: [0x31], failure: nil, finalToken: Self.token)
        #expect(
            Self.hex { $0.taskRecord(record) } == Self.idHex + Self.specHex + "04" + "0000000000000001" + "00" + "00"
                + "00"
                + "0101000000" + "00" + "c801" + "00" + "00" + "0105" + "01010131" + "00" + "01" + Self.tokenHex + "00"
                + "00" + "00" + "00" + "0000" + "00" + "00" + "00")
        let copy = CopyRequest(
            ledger: LedgerID(300), term: Term(2), number: 129, isFirst: true, isLast: false,
            place: Place(term: Term(1), sequence: 4),
            records: [record], committed: 3, forgottenUpTo: Self.id)
        let recordHex = Self.hex { $0.taskRecord(record) }
        #expect(
            Self.hex { $0.copyRequest(copy) }
                == "ac02" + "02" + "8101" + "01" + "00" + "0104" + "01" + recordHex + "00" + "03" + "01" + Self.idHex)
    }

    @Test func journalRecords() {
        let entry = LedgerEntry(place: Place(term: Term(2), sequence: 5), event: .forgotten(Self.id))
        let entryHex = "0205" + "0c" + Self.idHex
        let cases: [(JournalRecord, String)] = [
            (.entries(LedgerID(300), .held, [entry], committed: 128), "01" + "ac02" + "00" + "01" + entryHex + "8001"),
            (.entries(LedgerID(1), .incoming, [], committed: 0), "01" + "01" + "01" + "00" + "00"),
            (.seen(LedgerID(1), Term(7)), "02" + "01" + "07"),
            (
                .copyBegins(LedgerID(1), .incoming, place: entry.place, seen: Term(3)),
                "03" + "01" + "00" + "0205" + "03"
            ),
            (.copyTail(LedgerID(1), .snapshot, [entry]), "04" + "01" + "01" + "01" + entryHex),
            (.copyRecords(LedgerID(1), .snapshot, []), "05" + "01" + "01" + "00"),
            (
                .copyEnds(LedgerID(1), .incoming, committed: 5, forgottenUpTo: Self.id),
                "06" + "01" + "00" + "05" + "01" + Self.idHex
            ),
            (.copyEnds(LedgerID(1), .snapshot, committed: 5, forgottenUpTo: nil), "06" + "01" + "01" + "05" + "00"),
            (.dropped(LedgerID(1)), "07" + "01"), (.opened, "08"),
            (.copyKeys(LedgerID(1), .snapshot, [Self.binding]), "09" + "01" + "01" + "01" + Self.bindingHex),
        ]
        for (record, hex) in cases {
            #expect(Self.hex { $0.journalRecord(record) } == hex)
            var writer = ByteWriter(now: Instant(nanoseconds: 1))
            writer.journalRecord(record)
            #expect(throws: Never.self) {
                var reader = ByteReader(writer.bytes, now: Instant(nanoseconds: 1))
                let read = try reader.journalRecord()
                try reader.finish()
                #expect(read == record)
            }
            for length in writer.bytes.indices {
                #expect(throws: WireError.self) {
                    var reader = ByteReader(writer.bytes[..<length], now: .zero)
                    _ = try reader.journalRecord()
                }
            }
        }
        #expect(throws: WireError.invalid("kind of journal record")) {
            var reader = ByteReader([10])
            _ = try reader.journalRecord()
        }
    }

    @Test func messages() throws {
        let entry = LedgerEntry(place: Place(term: Term(2), sequence: 5), event: .forgotten(Self.id))
        let entryHex = "0205" + "0c" + Self.idHex
        let append = AppendRequest(
            ledger: LedgerID(1), term: Term(2), previous: Place(term: Term(1), sequence: 4), entries: [entry],
            committed: 128,
            offerAfter: 6)
        #expect(Self.hex { $0.appendRequest(append) } == "01" + "02" + "0104" + "01" + entryHex + "8001" + "06")

        let replies: [(ReplicaReply, String)] = [
            (.held(entry.place), "01" + "0205"), (.copying, "02"), (.sealed(Term(7)), "03" + "07"),
            (.mismatch(last: entry.place, tail: [entry], isWhole: true), "04" + "0205" + "01" + entryHex + "01"),
        ]
        for (reply, hex) in replies { #expect(Self.hex { $0.replicaReply(reply) } == hex) }
        #expect(
            Self.hex { $0.offerRequest(OfferRequest(ledger: LedgerID(1), tail: [entry])) } == "01" + "01" + entryHex)

        let attempt = AttemptID(ledger: LedgerID(1), id: Self.id, token: Self.token)
        let attemptHex = "01" + Self.idHex + Self.tokenHex
        #expect(Self.hex { $0.attemptID(attempt) } == attemptHex)
        let assignment = Assignment(
            ledger: LedgerID(1), id: Self.id, token: Self.token, spec: Self.spec, isSolitary: true)
        #expect(Self.hex { $0.assignment(assignment) } == attemptHex + Self.specHex + "01" + "00")

        let outcomes: [(AttemptOutcome, String)] = [
            (.completed([0x31]), "01" + "010131"), (.failed(Self.failure), "02" + Self.failureHex), (.stopped, "03"),
            (.released, "04"),
        ]
        for (outcome, hex) in outcomes {
            #expect(
                Self.hex { $0.attemptReport(AttemptReport(attempt: attempt, outcome: outcome)) } == attemptHex + hex)
        }
        #expect(Self.hex { $0.stealRequest(StealRequest(wanted: 300, minimumPriority: .low)) } == "ac02" + "02")
    }
}
