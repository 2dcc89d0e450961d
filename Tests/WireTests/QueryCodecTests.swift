import Primitives
import TaskLedger
import Testing
import Views
import Wire

/// What nodes ask each other about tasks, themselves and views: tags, golden bytes, round trips, refusals.
@Suite struct QueryCodecTests {
    /// The numbers are the protocol: a changed one would break an upgrade node by node.
    @Test func tagsNeverChange() {
        let expected: [MessageTag: UInt16] = [
            .append: 1, .copy: 2, .offer: 3, .grant: 4, .holds: 5, .lookup: 6, .list: 7, .cancel: 8, .status: 9,
            .forward: 10, .positions: 11, .pushPull: 12, .permit: 13, .claim: 30, .schedules: 31, .inspect: 14,
            .wish: 15, .sweep: 16,
            .view: 32,
            .evidence: 33, .steal: 34, .began: 35,
            .report: 36,
            .settled: 37, .stop: 38, .parents: 24, .workflow: 25, .extend: 26, .parentsEnded: 44, .keyed: 17, .ship: 18,
            .keep: 48, .read: 49, .needed: 50, .scrub: 51, .doubt: 52, .installed: 53,
        ]
        for tag in MessageTag.allCases { #expect(expected[tag] == tag.rawValue, "\(tag)") }
        #expect(Set(MessageTag.allCases.map(\.rawValue)).count == MessageTag.allCases.count)
    }

    private func bytes(_ write: (inout ByteWriter) -> Void) -> [UInt8] {
        var writer = ByteWriter()
        write(&writer)
        return writer.bytes
    }

    private func decode<Value>(
        _ bytes: [UInt8], _ read: (inout ByteReader) throws(WireError) -> Value
    ) throws(WireError) -> Value {
        var reader = ByteReader(bytes)
        let value = try read(&reader)
        try reader.finish()
        return value
    }

    private let holder = StoreHolder(name: name("b"), store: StoreID(7))

    private static func name(_ text: String) -> NodeName {
        guard let name = NodeName(text) else { preconditionFailure("a valid name") }
        return name
    }

    private static let change = SettingsChange(
        id: 9, view: 5,
        operation: .queue(
            "q",
            [
                .isPaused(true), .maxLength(300), .maxRetries(nil),
                .retry(RetryPolicy(maxRetries: 0, backoff: .linear, base: 1, maximum: 2, jitter: 3)), .timeout(7),
                .weight(2), .rate(2500), .concurrency(3), .maxBytes(300),
            ]))
    private static let changeBytes: [UInt8] = [
        5, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 5, 1, 1, 0x71, 9, 1, 1, 2, 1, 0xAC, 2, 3, 0, 4, 1, 0, 1, 1, 2,
        3, 5,
        1, 7, 6, 1, 2, 7, 1, 0xC4, 0x13, 8, 1, 3, 9, 1, 0xAC, 2,
    ]

    @Test func aChangeOfSettingsIsRefusedWhenItIsCutOrChangedIntoNonsense() {
        for length in 0..<Self.changeBytes.count {
            #expect(throws: WireError.self) {
                try decode(Array(Self.changeBytes[..<length])) { reader throws(WireError) in try reader.evidence() }
            }
        }
        var bytes = Self.changeBytes
        bytes[19] = 0x20  // the queue's name
        #expect(throws: WireError.self) { try decode(bytes) { reader throws(WireError) in try reader.evidence() } }
    }

    @Test func evidenceHasItsGoldenBytes() throws {
        let ask = LearnerAsk(ledger: LedgerID(300), view: 5, term: Term(2), learner: holder)
        let tail: [UInt8] = [0xAC, 2, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0x62, 0, 0, 0, 0, 0, 0, 0, 7]
        let all: [(Evidence, [UInt8])] = [
            (.ask(ask), [1] + tail), (.askFailed(ask), [2] + tail),
            (.unreachable(BackupComplaint(ledger: LedgerID(300), view: 5, term: Term(2), backup: holder)), [3] + tail),
            (.drained(DrainedLedger(ledger: LedgerID(300), view: 5, term: Term(2))), [4] + tail.prefix(18)),
            (.change(Self.change), Self.changeBytes),
        ]
        for (evidence, golden) in all {
            #expect(bytes { $0.evidence(evidence) } == golden)
            let decoded = try decode(golden) { reader throws(WireError) in try reader.evidence() }
            #expect(decoded == evidence)
        }
    }

    @Test func repliesHaveTheirGoldenBytes() throws {
        let id = TaskID(high: 1, low: 2)
        let idBytes: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]
        #expect(bytes { $0.lookupReply(.unknown(viewNumber: 9)) } == [2, 0, 0, 0, 0, 0, 0, 0, 9])
        #expect(bytes { $0.lookupReply(.forgotten) } == [4])
        for reply in [LookupReply.unknown(viewNumber: 9), .unsettled, .forgotten] {
            let decoded = try decode(bytes { $0.lookupReply(reply) }) { reader throws(WireError) in
                try reader.lookupReply()
            }
            #expect(decoded == reply)
        }
        #expect(bytes { $0.cancelReply(CancelReply(decision: .finished, record: nil)) } == [3, 0])
        let accepted = ForwardReply.accepted([id], holders: [Self.name("a")])
        #expect(bytes { $0.forwardReply(accepted) } == [1, 1] + idBytes + [1, 1, 0x61])
        #expect(bytes { $0.forwardReply(.full(fitting: 3, retryAfter: 200)) } == [2, 3, 0xC8, 1])
        #expect(bytes { $0.forwardReply(.unavailable) } == [3])
        let request = ListRequest(statuses: 6, queue: "q", taskType: nil, before: id, limit: 50)
        #expect(bytes { $0.listRequest(request) } == [6, 1, 1, 0x71, 0, 0, 0, 1] + idBytes + [0, 0, 0, 50, 0, 0])
        #expect(bytes { $0.forwardReply(.queueFull(fitting: 7)) } == [5, 0, 0, 0, 7])
        let full = ForwardReply.diskFull(folder: "/a")
        #expect(bytes { $0.forwardReply(full) } == [4, 2, 0x2F, 0x61])
        for reply in [accepted, .full(fitting: 0, retryAfter: 60), .unavailable, full] {
            let decoded = try decode(bytes { $0.forwardReply(reply) }) { reader throws(WireError) in
                try reader.forwardReply()
            }
            #expect(decoded == reply)
        }
        let decoded = try decode(bytes { $0.listRequest(request) }) { reader throws(WireError) in
            try reader.listRequest()
        }
        #expect(decoded == request)
    }

    private var statistics: QueueStatistics {
        var statistics = QueueStatistics()
        statistics.arrivals = 7
        statistics.completions = 6
        statistics.waits.add(.milliseconds(20))
        statistics.runs.add(.seconds(3))
        statistics.span = .seconds(60)
        return statistics
    }

    private var status: PeerStatus {
        PeerStatus(
            node: NodeID(name: Self.name("a"), generation: Generation(3)), viewNumber: 4, viewDigest: 5,
            load: LoadDigest(ready: 1, open: 2, headPriority: 3, isDraining: true, freeSlots: 4, oldestAge: 5),
            slotCount: 8,
            busy: [
                PeerStatus.Slot(
                    index: 1, task: TaskID(high: 1, low: 2), taskType: "echo", queue: "default", ledger: LedgerID(6),
                    since: Timestamp(milliseconds: 7))
            ], taskTypes: ["echo", "noop"], completed: 9, failed: 10, duplicatesDiscarded: 11, stolen: 12,
            unwrittenResults: 13, isRegistryConnected: true, ledgers: [PeerStatus.Ledger(id: LedgerID(6), open: 2)],
            queues: [
                PeerStatus.Queue(
                    name: "default", counts: [0, 1, 2, 3, 4, 5, 6, 7], oldestAge: .seconds(2), statistics: statistics),
                PeerStatus.Queue(name: "other", counts: [0, 1, 2, 3, 4, 5, 6, 7]),
            ],
            takeovers: [
                PeerStatus.Takeover(
                    ledger: LedgerID(6), term: Term(2), from: Self.name("b"), to: Self.name("a"),
                    at: Timestamp(milliseconds: 8), recovered: 400)
            ],
            disk: PeerStatus.Disk(
                journalBytes: 300, isFull: true, sync: "always", sinceSync: .milliseconds(14),
                worstSync: .microseconds(15)),
            standing: PeerStatus.Standing(mayStart: false, reachesMajority: true, unreadiness: "it drains"),
            letters: PeerStatus.Letters(count: 3, bytes: 300, oldest: Timestamp(milliseconds: 16), dropped: 1),
            retention: PeerStatus.Retention(outcomes: 4, outcomeBytes: 300, cut: 5, queuedBytes: 6))
    }

    /// What stands at the end of a status.
    @Test func theDiskAndTheStandingHaveTheirGoldenBytes() {
        let golden: [UInt8] =
            [0xAC, 2, 1, 6] + Array("always".utf8) + [1, 0, 0, 0, 0, 0, 0xD5, 0x9F, 0x80, 0, 0, 0, 0, 0, 0, 0x3A, 0x98]
            + [0, 1, 1, 9] + Array("it drains".utf8) + [3, 0xAC, 2, 1, 1, 16]
            + [4, 0xAC, 2, 5, 6]
        #expect(bytes { $0.peerStatus(status) }.suffix(golden.count) == golden[...])
    }

    /// A path of a file system may be longer than anybody wants to read.
    @Test func aLongTextIsCutBetweenTwoCharacters() throws {
        let folder = "/" + String(repeating: "\u{E9}", count: 2000)
        let decoded = try decode(bytes { $0.forwardReply(.diskFull(folder: folder)) }) { reader throws(WireError) in
            try reader.forwardReply()
        }
        guard case .diskFull(let told) = decoded else {
            Issue.record("\(decoded)")
            return
        }
        #expect(folder.hasPrefix(told) && (1020...1024).contains(told.utf8.count))
    }

    @Test func aStatusSurvives() throws {
        let decoded = try decode(bytes { $0.peerStatus(status) }) { reader throws(WireError) in try reader.peerStatus()
        }
        #expect(decoded == status)
    }

    /// Every cut is refused, and no changed byte traps; what still decodes encodes to the same bytes again.
    @Test func damagedStatusesAreRefused() {
        let whole = bytes { $0.peerStatus(status) }
        for length in whole.indices {
            #expect(throws: WireError.self) {
                try decode(Array(whole.prefix(length))) { reader throws(WireError) in try reader.peerStatus() }
            }
        }
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<20_000 {
            var changed = whole
            changed[Int.random(in: changed.indices, using: &generator)] = .random(in: 0...255, using: &generator)
            let decoded: PeerStatus
            do throws(WireError) {
                decoded = try decode(changed) { reader throws(WireError) in try reader.peerStatus() }
            } catch { continue }
            #expect(bytes { $0.peerStatus(decoded) } == changed)
        }
    }

    @Test(arguments: [[UInt8](), [0], [5], [255, 1, 2, 3]])
    func unknownTagsAreRefused(bytes: [UInt8]) {
        #expect(throws: WireError.self) { try decode(bytes) { reader throws(WireError) in try reader.evidence() } }
        #expect(throws: WireError.self) { try decode(bytes) { reader throws(WireError) in try reader.lookupReply() } }
        #expect(throws: WireError.self) { try decode(bytes) { reader throws(WireError) in try reader.forwardReply() } }
        #expect(throws: WireError.self) { try decode(bytes) { reader throws(WireError) in try reader.cancelReply() } }
    }
}
