import APIModel
import Foundation
import Primitives
import Service
import TaskLedger
import Testing

@testable import HTTPAPI

private func decode<Document: Decodable>(_ document: some JSONWritable, as type: Document.Type) throws -> Document {
    try JSONDecoder().decode(type, from: Data(JSONWriter.bytes(of: document)))
}

@Suite struct DocumentTests {
    @Test func whatIsWrittenIsRead() throws {
        let cluster = ClusterDocument(Samples.cluster)
        #expect(try decode(cluster, as: ClusterDocument.self) == cluster)
        let workers = WorkersDocument(Samples.workers)
        #expect(try decode(workers, as: WorkersDocument.self) == workers)
        let queues = QueuesDocument(Samples.queues)
        #expect(try decode(queues, as: QueuesDocument.self) == queues)
        let health = HealthDocument(Samples.health)
        #expect(try decode(health, as: HealthDocument.self) == health)
        let accepted = AcceptedDocument(Samples.accepted, of: Samples.spec)
        #expect(try decode(accepted, as: AcceptedDocument.self) == accepted)
        let list = TaskListDocument(TaskPage(tasks: [Samples.task], next: Samples.id, missing: [Samples.node(2)]))
        #expect(try decode(list, as: TaskListDocument.self) == list)
        let problem = Problem(
            .malformedJSON, "d", errors: [.init(pointer: "/a", detail: "b")], id: Samples.id, offset: 3
        ).document
        #expect(try decode(problem, as: ProblemDocument.self) == problem)
        let batch = BatchDocument(results: [.accepted(Samples.id), .rejected(problem)], durability: "local")
        #expect(try decode(batch, as: BatchDocument.self) == batch)
    }

    @Test func aTaskIsReadBackButForTheSpellingOfItsPayload() throws {
        var task = TaskDocument(Samples.task)
        let decoded = try decode(task, as: TaskDocument.self)
        #expect(decoded.payload?.text == #"{"a":[1.5,"é"],"b":1}"#)
        task.payload = decoded.payload
        task.result = decoded.result
        #expect(decoded == task)
    }

    @Test func payloadsAndResultsAreWrittenByteForByte() {
        let text = String(decoding: JSONWriter.bytes(of: TaskDocument(Samples.task)), as: UTF8.self)
        #expect(text.hasSuffix(#""payload":{"b" : 1,  "a":[1.50, "\u00e9"]},"result":[ 1 ]}"#))
    }

    @Test(arguments: ["", "plain", "\"\\/", "\u{0}\u{1F}\u{8}\t\n\u{C}\r", "é漢😀\u{7F}\u{2028}"])
    func anyTextIsWrittenAsJSON(text: String) throws {
        #expect(try decode(text, as: String.self) == text)
    }

    @Test(arguments: [(0.0, "0"), (1.0, "1"), (1.5, "1.5"), (-0.25, "-0.25"), (1e300, "1e+300"), (.infinity, "null")])
    func numbersAreWrittenShortly(value: Double, text: String) {
        #expect(JSONWriter.bytes(of: value) == Array(text.utf8))
    }

    @Test func idsAreWrittenAsTheyAreDescribed() {
        let id = TaskID(high: 0x0123_4567_89AB_CDEF, low: 0xFEDC_BA98_7654_3210)
        #expect(JSONWriter.bytes(of: id) == Array("\"\(id)\"".utf8))
    }

    @Test func anIncompleteSumOfLossesIsUnknown() {
        var report = Samples.cluster
        #expect(ClusterDocument(report).lost == 2)
        #expect(ClusterDocument(report).recovered == 15)
        report.losses.append(.init(ledger: LedgerID(5), primary: Samples.node(3), view: 8, tasks: nil))
        #expect(ClusterDocument(report).lost == nil)
    }

    @Test func theClusterIsDegradedWhenSomethingNeedsAttention() {
        #expect(ClusterDocument(Samples.cluster).isHealthy)
        let faults: [(inout ClusterReport) -> Void] = [
            { $0.viewsAgree = false }, { $0.warnings = ["w"] }, { $0.ledgers[0].isAvailable = false },
            { $0.ledgers[0].isFullyReplicated = false }, { $0.members[0].state = .suspect },
            { $0.members[1].state = .dead },
        ]
        for fault in faults {
            var report = Samples.cluster
            fault(&report)
            #expect(!ClusterDocument(report).isHealthy)
        }
    }
}

@Suite struct RFC3339Tests {
    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0), ("2027-01-15T08:00:00Z", 1_800_000_000_000), ("1969-12-31T23:59:59.999Z", -1),
        ("2000-02-29T12:00:00+00:00", 951_825_600_000), ("2027-01-15T08:00:00.1239Z", 1_800_000_000_123),
        ("2027-01-15T13:30:00+05:30", 1_800_000_000_000), ("2027-01-15T00:00:00-08:00", 1_800_000_000_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000), ("9999-12-31T23:59:59Z", 253_402_300_799_000),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000),
    ])
    func timesAreRead(text: String, milliseconds: Int64) {
        #expect(Timestamp(rfc3339: text)?.milliseconds == milliseconds)
    }

    @Test(arguments: [
        "", "2027", "2027-01-15", "2027-01-15T08:00:00", "2027-01-15 08:00:00Z", "2027-1-15T08:00:00Z",
        "2027-13-01T00:00:00Z", "2027-00-01T00:00:00Z", "2027-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
        "2027-04-31T00:00:00Z", "2027-01-00T00:00:00Z", "2027-01-15T24:00:00Z", "2027-01-15T08:60:00Z",
        "2027-01-15T08:00:61Z", "2027-01-15T08:00:00.Z", "2027-01-15T08:00:00+0530", "2027-01-15T08:00:00+24:00",
        "2027-01-15T08:00:00ZZ", "+027-01-15T08:00:00Z", "２０27-01-15T08:00:00Z",
    ])
    func anythingElseIsNot(text: String) { #expect(Timestamp(rfc3339: text) == nil) }

    @Test func whatIsWrittenIsRead() {
        var random = SeededGenerator(seed: 3)
        for _ in 0..<2000 {
            let time = Timestamp(
                milliseconds: Int64.random(in: -62_135_596_800_000...253_402_300_799_999, using: &random))
            #expect(Timestamp(rfc3339: time.rfc3339) == time)
        }
    }
}
