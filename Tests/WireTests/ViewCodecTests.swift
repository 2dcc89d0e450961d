import Primitives
import TaskLedger
import Testing
import Views
import Wire

/// Codec of views, of what is said about them, and of the file that holds votes.
@Suite struct ViewCodecTests {
    static let sample = makeView()

    static func name(_ text: String) throws -> NodeName { try #require(NodeName(text)) }

    /// Two members who vote, three ledgers, one of them away, one member that is gone.
    static func makeView() -> View {
        guard let a = NodeName("a"), let b = NodeName("b"), let c = NodeName("c") else { preconditionFailure() }
        func member(_ name: NodeName, _ number: UInt64) -> Member {
            let host = "10.0.0.\(number)"
            return Member(
                id: NodeID(name: name, generation: Generation(100 + number)),
                profile: MemberProfile(
                    gossip: Address(host: host, port: 1), peer: Address(host: host, port: 2),
                    http: Address(host: host, port: 3), disk: StoreID(0xD0 + number), store: StoreID(0x50 + number),
                    slots: 4),
                isDraining: name == a)
        }
        let (x, y) = (member(a, 1), member(b, 2))
        let lost = StoreHolder(name: c, store: StoreID(0x99))
        var mail = QueueSettings(name: "mail")
        mail.isPaused = true
        mail.maxLength = 300
        mail.maxBytes = 70_000
        mail.maxRetries = 4
        mail.retry = RetryPolicy(maxRetries: 0, backoff: .fixed)
        mail.timeout = 1000
        mail.weight = 5
        mail.rate = 2500
        mail.concurrency = 3
        guard let pattern = TopicPattern("o.#") else { preconditionFailure() }
        let orders = Subscription(name: "s", pattern: pattern, task: [0x7B, 0x7D])
        var nightly = ScheduleSettings(
            name: "nightly", timing: .cron("0 3 * * *", timeZone: "UTC"), jitter: 300, overlap: .queue, catchUp: .all,
            isPaused: true, inherited: [.retry], task: TaskSpec(type: "t").encoded, since: Timestamp(milliseconds: 9))
        nightly.version = 6
        nightly.createdAt = Timestamp(milliseconds: 5)
        let applied = [AppliedChange(id: 1), AppliedChange(id: 0xFFFF_FFFF_FFFF_FFFF, refusal: .tooManyQueues)]
        return View(
            number: 7, cluster: ClusterID(high: 1, low: 2), members: [x, y], voters: [x.voter, y.voter],
            ledgers: [
                LedgerAssignment(
                    id: LedgerID(1), term: Term(3), primary: x.replica, backups: [y.replica], founder: x.replica),
                LedgerAssignment(id: LedgerID(2), term: Term(1), primary: y.replica, backups: [], founder: y.replica),
                LedgerAssignment(id: LedgerID(5), term: Term(9), primary: lost, backups: [], founder: lost),
            ],
            nextLedger: LedgerID(6), slots: (0..<256).map { LedgerID($0.isMultiple(of: 2) ? 1 : 5) },
            moves: [SlotMove(slot: KeySlot(rawValue: 3), to: LedgerID(2))],
            settings: ClusterSettings(
                copies: 3, queues: [mail], subscriptions: [orders], schedules: [nightly], applied: applied),
            losses: [LedgerLoss(ledger: LedgerID(3), primary: c, view: 6)],
            exits: [NodeID(name: c, generation: Generation(103))], tieMark: 0x8000_0000_0000_00AA)
    }

    static let messages: [ViewMessage] = {
        guard let a = NodeName("a"), let b = NodeName("b") else { preconditionFailure() }
        let low = Ballot(round: 1, generation: Generation(2), name: a)
        let high = Ballot(round: 300, generation: Generation(1), name: b)
        let bodies: [(UInt64, ViewMessage.Body)] = [
            (7, .prepare(high)), (7, .promise(high, accepted: nil)),
            (7, .promise(high, accepted: AcceptedView(ballot: low, view: sample))), (7, .propose(low, sample)),
            (7, .accepted(low)), (7, .refuse(low, promised: high)), (7, .decided(sample)), (0, .wantView),
            (6, .current(asked: Generation(5), isRunning: true)),
        ]
        return bodies.map { number, body in
            ViewMessage(
                cluster: number == 0 ? nil : sample.cluster,
                sender: .init(
                    id: NodeID(name: a, generation: Generation(9)), disk: StoreID(4),
                    address: Address(host: "::1", port: 5)), number: number, body: body)
        }
    }()

    static func encoded(_ message: ViewMessage) -> [UInt8] {
        var writer = ByteWriter()
        writer.viewMessage(message)
        return writer.bytes
    }

    static func decoded(_ bytes: [UInt8]) throws(WireError) -> ViewMessage {
        var reader = ByteReader(bytes)
        let message = try reader.viewMessage()
        try reader.finish()
        return message
    }

    @Test func viewSurvivesRoundTrip() throws {
        try Self.sample.validate()
        var writer = ByteWriter()
        writer.view(Self.sample)
        var reader = ByteReader(writer.bytes)
        let view = try reader.view()
        try reader.finish()
        #expect(view == Self.sample)
        #expect(view.digest == Self.sample.digest)
    }

    @Test(arguments: messages) func messageSurvivesRoundTrip(message: ViewMessage) throws {
        #expect(try Self.decoded(Self.encoded(message)) == message)
    }

    @Test(arguments: messages) func messageCutAnywhereIsRefused(message: ViewMessage) {
        let bytes = Self.encoded(message)
        for length in 0..<bytes.count {
            #expect(throws: WireError.self) { try Self.decoded(Array(bytes[..<length])) }
        }
        #expect(throws: WireError.trailingBytes(1)) { try Self.decoded(bytes + [0]) }
    }

    /// Whatever comes back from changed bytes is a valid message that encodes to just these bytes, or an error: never a
    /// trap.
    @Test(arguments: messages) func changedBytesAreRefusedOrMeanSomethingElse(message: ViewMessage) throws {
        let bytes = Self.encoded(message)
        var random = SeededGenerator(seed: 1)
        for index in bytes.indices {
            for _ in 0..<3 {
                var changed = bytes
                changed[index] ^= UInt8.random(in: 1...255, using: &random)
                guard let other = try? Self.decoded(changed) else { continue }  // refused: what is wanted
                #expect(other != message)
                #expect(Self.encoded(other) == changed)
            }
        }
    }

    @Test func goldenBytesOfMessages() throws {
        let hex: [String] = Self.messages.map { message in
            Self.encoded(message).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        }
        let header = "0100000000000000010000000000000002016100000000000000090000000000000004033a3a31000507"
        let low = "0100000000000000020161"
        let high = "ac0200000000000000010162"
        #expect(hex[0] == header + "01" + high)
        #expect(hex[1] == header + "02" + high + "00")
        #expect(hex[2] == header + "02" + high + "01" + low + Self.goldenView)
        #expect(hex[3] == header + "03" + low + Self.goldenView)
        #expect(hex[4] == header + "04" + low)
        #expect(hex[5] == header + "05" + low + high)
        #expect(hex[6] == header + "06" + Self.goldenView)
        #expect(hex[7] == "00016100000000000000090000000000000004033a3a3100050007")
        #expect(hex[8] == String(header.dropLast(2)) + "06" + "08" + "0000000000000005" + "01")
    }

    static let goldenView: String = {
        func member(_ letter: String, _ n: String) -> String {
            let host = "0831302e302e302e3" + n
            return "01" + letter + "000000000000006" + (n == "1" ? "5" : "6") + host + "0001" + host + "0002" + host
                + "0003"
                + "00000000000000d" + n + "000000000000005" + n + "0004" + (n == "1" ? "01" : "00")
        }
        let (a, b, c) = ("01610000000000000051", "01620000000000000052", "01630000000000000099")
        let queues =
            "01" + "046d61696c" + "01" + "01ac02" + "01f0a204" + "0104" + "010002e80780dddb01c801" + "01e807" + "05"
            + "01c413"
            + "0103"
        let subscriptions = "01" + "0173" + "036f2e23" + "027b7d"
        let task = TaskSpec(type: "t").encoded
        func hex(_ bytes: [UInt8]) -> String {
            bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        }
        let schedules =
            "01" + "076e696768746c79" + "01" + "09302033202a202a202a" + "03555443" + "ac02" + "02" + "03" + "01" + "02"
            + hex([UInt8(task.count)] + task) + "06" + "09" + "05"
        let settings = queues + subscriptions + schedules + "02" + "000000000000000100" + "ffffffffffffffff01"
        return "07" + "00000000000000010000000000000002" + "02" + member("61", "1") + member("62", "2")
            + "02" + "016100000000000000d1" + "016200000000000000d2" + "03" + "0103" + a + "01" + b + a + "0201" + b
            + "00" + b + "0509" + c
            + "00" + c
            + "06" + "8002" + String(repeating: "0105", count: 128) + "01" + "0302" + "03" + settings + "01" + "03"
            + "0163" + "06"
            + "01" + "01630000000000000067" + "01" + "80000000000000aa"
    }()

    @Test func digestIsStableAndSeesEveryField() throws {
        let view = Self.sample
        #expect(view.digest == 12_539_756_473_160_195_005)
        let changes: [(inout View) -> Void] = [
            { $0.number += 1 }, { $0.cluster = ClusterID(high: 1, low: 3) }, { $0.members.removeLast() },
            { $0.members[0].profile.slots = 5 }, { $0.members[0].isDraining = false },
            { $0.members[1].profile.http = Address(host: "10.0.0.2", port: 4) },
            { $0.voters = [$0.members[1].voter] }, { $0.moves = [] }, { $0.exits = [] }, { $0.tieMark = nil },
            { $0.tieMark = 1 },
            { $0.ledgers[0].term = Term(4) }, { $0.ledgers[0].backups = [] },
            { $0.ledgers[1].founder = $0.members[0].replica }, { $0.nextLedger = LedgerID(7) },
            { $0.slots[0] = LedgerID(2) }, { $0.settings.copies = 2 }, { $0.losses = [] },
            { $0.settings.queues = [] }, { $0.settings.queues[0].isPaused = false },
            { $0.settings.queues[0].maxLength = nil }, { $0.settings.queues[0].maxBytes = 1 },
            { $0.settings.queues[0].maxRetries = 5 },
            { $0.settings.queues[0].retry = nil }, { $0.settings.queues[0].retry?.base = 1 },
            { $0.settings.queues[0].timeout = 1 }, { $0.settings.queues[0].weight = 6 },
            { $0.settings.queues[0].rate = nil }, { $0.settings.queues[0].concurrency = 4 },
            { $0.settings.subscriptions = [] }, { $0.settings.subscriptions[0].task = [] },
            { $0.settings.subscriptions[0].pattern = TopicPattern("o.*") ?? $0.settings.subscriptions[0].pattern },
            { $0.settings.schedules = [] }, { $0.settings.schedules[0].timing = .interval(1000) },
            { $0.settings.schedules[0].timing = .cron("0 4 * * *", timeZone: "UTC") },
            { $0.settings.schedules[0].timing = .cron("0 3 * * *", timeZone: "Etc/UTC") },
            { $0.settings.schedules[0].jitter = 0 }, { $0.settings.schedules[0].overlap = .skip },
            { $0.settings.schedules[0].catchUp = .one }, { $0.settings.schedules[0].isPaused = false },
            { $0.settings.schedules[0].inherited = [] }, { $0.settings.schedules[0].task[0] = 2 },
            { $0.settings.schedules[0].version = 7 }, { $0.settings.schedules[0].since.milliseconds = 8 },
            { $0.settings.schedules[0].createdAt.milliseconds = 4 },
            { $0.settings.applied.removeLast() }, { $0.settings.applied[1].refusal = nil },
        ]
        var digests: Set<UInt64> = [view.digest]
        for change in changes {
            var other = view
            change(&other)
            #expect(digests.insert(other.digest).inserted)
        }
    }

    @Test func viewThatBreaksAnInvariantIsRefused() {
        var view = Self.sample
        view.slots[9] = LedgerID(3)
        var writer = ByteWriter()
        writer.view(view)
        #expect(throws: WireError.invalid("malformed view: a key slot belongs to an unlisted ledger")) {
            var reader = ByteReader(writer.bytes)
            _ = try reader.view()
        }
    }

    /// Only what is voted on may have a higher number than the instance: a forced view.
    @Test(arguments: [(2, 8), (3, 8), (6, 8), (6, 6)]) func viewUnderAnotherNumberIsRefused(index: Int, number: UInt64)
    {
        var message = Self.messages[index]
        message.number = number
        #expect(throws: WireError.invalid("view number")) { try Self.decoded(Self.encoded(message)) }
    }

    @Test(arguments: [2, 3]) func forcedViewIsVotedOnUnderTheNumberOfTheNext(index: Int) throws {
        var message = Self.messages[index]
        message.number = 6
        #expect(try Self.decoded(Self.encoded(message)) == message)
    }
}

/// The file that holds votes.
@Suite struct VoterRecordFileTests {
    static let records: [VoterRecord] = {
        guard let a = NodeName("a") else { preconditionFailure() }
        let ballot = Ballot(round: 1, generation: Generation(2), name: a)
        var next = ViewCodecTests.sample
        next.number = 8
        return [
            VoterRecord(generation: Generation(1)), VoterRecord(generation: Generation(3), view: ViewCodecTests.sample),
            VoterRecord(
                generation: Generation(.max), view: ViewCodecTests.sample, promised: ballot,
                accepted: AcceptedView(ballot: ballot, view: next)),
        ]
    }()

    @Test(arguments: records) func recordSurvivesRoundTrip(record: VoterRecord) throws {
        #expect(try VoterRecord(fileBytes: record.fileBytes()) == record)
    }

    @Test(arguments: records) func everyChangedByteIsNoticed(record: VoterRecord) {
        let bytes = record.fileBytes()
        for index in bytes.indices {
            for bit in [0, 3, 7] {
                var changed = bytes
                changed[index] ^= 1 << UInt8(bit)
                #expect(throws: VoterRecordError.self) { try VoterRecord(fileBytes: changed) }
            }
        }
    }

    @Test(arguments: records) func tornFileIsAnErrorAndNeverAnEmptyRecord(record: VoterRecord) {
        let bytes = record.fileBytes()
        for length in 0..<bytes.count {
            #expect(throws: VoterRecordError.self) { try VoterRecord(fileBytes: Array(bytes[..<length])) }
        }
        #expect(throws: VoterRecordError.torn(expectedBytes: bytes.count, foundBytes: bytes.count + 1)) {
            try VoterRecord(fileBytes: bytes + [0])
        }
        #expect(throws: VoterRecordError.notARecord) { try VoterRecord(fileBytes: []) }
        #expect(throws: VoterRecordError.notARecord) {
            try VoterRecord(fileBytes: Array(repeating: 0, count: bytes.count))
        }
    }

    @Test func laterVersionIsNamed() {
        var bytes = Self.records[0].fileBytes()
        bytes[8] = 2
        #expect(throws: VoterRecordError.unknownVersion(2)) { try VoterRecord(fileBytes: bytes) }
    }

    @Test func goldenBytesOfTheFile() {
        let content = "0000000000000001" + "000000"
        let hex = Self.records[0].fileBytes().map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        #expect(hex == "6170757376696577" + "01" + "0000000b" + content + "63f999d5ab9dc11a")
    }
}
