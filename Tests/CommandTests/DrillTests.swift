import APIModel
import Foundation
import Primitives
import Testing

@testable import Command

/// What a drill makes of what it has seen.
struct DrillTests {
    private static let kill = Timestamp(milliseconds: 1_800_000_000_000)

    private func id(_ number: UInt64) -> TaskID { TaskID(high: 0x0190_0000_0000_7000, low: 1 << 63 | number) }

    private func time(_ milliseconds: Int64) -> Timestamp {
        Timestamp(milliseconds: Self.kill.milliseconds + milliseconds)
    }

    /// A task that began and ended so many milliseconds after the kill.
    private func task(
        _ number: UInt64, status: String = "completed", worker: String = "node-1", started: Int64 = 100,
        finished: Int64? = 150, interruptions: Int = 0, attempt: Int = 1, discarded: Int = 0
    ) throws -> TaskDocument {
        let end = finished.map { "\"\(time($0).rfc3339)\"" } ?? "null"
        let text = #"""
            {"id": "\#(id(number))", "status": "\#(status)", "task_type": "sleep", "queue": "default", "priority": 5,
             "node": "node-1", "attempt": \#(attempt), "run": 1,
             "interruptions": \#(interruptions), "created_at": "\#(time(-500).rfc3339)",
             "run_at": null, "started_at": "\#(time(started).rfc3339)", "finished_at": \#(end), "expires_at": null,
             "worker": "\#(worker)", "stolen_by": null, "max_retries": 3,
             "retry": {"backoff": "none", "base": 1, "max": 1, "jitter": 0}, "timeout": 300, "delivery": "at_least_once",
             "result_ttl": 60, "metadata": {}, "cancel_requested": false, "duplicates_discarded": \#(discarded), "error": null,
             "depends_on": [], "on_dependency_failure": null, "parents": []}
            """#
        return try JSONDecoder().decode(TaskDocument.self, from: Data(text.utf8))
    }

    private func record(_ documents: [TaskDocument], accepted: UInt64) -> DrillRecord {
        var record = DrillRecord()
        record.accepted((0..<accepted).map(id), at: time(-500))
        for document in documents { record.tasks[document.id]?.heard(document) }
        return record
    }

    @Test func whatHasNoOutcomeIsLost() throws {
        let report = DrillReport(
            record(
                [try task(0), try task(1, status: "failed"), try task(2, status: "processing", finished: nil)],
                accepted: 4))
        #expect(report.accepted == 4)
        #expect(report.completed == 1)
        #expect(report.otherwise == ["failed": 1])
        #expect(report.lost == [id(2), id(3)])
        #expect(report.exitCode == 1)
    }

    @Test func nothingLostIsAGoodEnd() throws {
        let report = DrillReport(record([try task(0), try task(1, discarded: 2)], accepted: 2))
        #expect(report.lost.isEmpty && report.recordedTwice.isEmpty)
        #expect(report.discarded == 2)
        #expect(report.exitCode == 0)
    }

    @Test func twoOutcomesOfOneTaskAreTold() throws {
        let report = DrillReport(
            record([try task(0), try task(0), try task(1), try task(1, worker: "node-2", finished: 170)], accepted: 2))
        #expect(report.recordedTwice == [id(1)])
        #expect(report.exitCode == 1)
    }

    @Test func anOutcomeStaysThoughANodeThatDoesNotKnowItYetIsAskedLater() throws {
        let report = DrillReport(
            record([try task(0), try task(0, status: "processing", finished: nil, discarded: 1)], accepted: 1))
        #expect(report.completed == 1 && report.lost.isEmpty && report.recordedTwice.isEmpty)
        #expect(report.discarded == 1)
    }

    @Test func aSecondRunHasAReason() throws {
        var record = record(
            [
                try task(0, interruptions: 1), try task(1, worker: "node-3"), try task(2, attempt: 2), try task(3),
                try task(4),
            ], accepted: 5)
        record.faults = [.init(node: "node-2", at: Self.kill, until: time(1000), isKill: true)]
        record.runs = [
            id(0): ["node-2", "node-1"], id(1): ["node-2", "node-3"], id(2): ["node-1", "node-1"],
            id(3): ["node-1", "node-3"], id(4): ["node-1"],
        ]
        let report = DrillReport(record)
        #expect(report.runTwice == [.interrupted: 1, .fault: 1, .retried: 1, .unexplained: 1])
        #expect(report.exitCode == 0, "a second run is told, and is no failure")
    }

    @Test func aFaultAfterTheEndOrBeforeTheBeginningExplainsNothing() throws {
        for (at, until) in [(200, 300), (-900, -600)] as [(Int64, Int64)] {
            var record = record([try task(0)], accepted: 1)
            record.runs = [id(0): ["node-2", "node-1"]]
            record.faults = [.init(node: "node-2", at: time(at), until: time(until), isKill: false)]
            #expect(DrillReport(record).runTwice == [.unexplained: 1])
        }
    }

    /// Not what was granted before (5), nor what the node itself had begun or went on with (2), nor other nodes' tasks (3).
    @Test func recoveryIsCountedFromTheKillToTheFirstStartUnderAnotherOwner() throws {
        var record = record(
            [
                try task(0, started: 180), try task(1, started: 130), try task(2, worker: "node-2", started: 125),
                try task(3, started: 121), try task(5, started: 60),
            ], accepted: 6)
        record.faults = [
            .init(
                node: "node-2", at: Self.kill, until: time(1000), isKill: true, burst: [0, 1, 2, 5].map(id),
                takeover: time(120)),
            .init(node: "node-3", at: time(2000), until: time(3000), isKill: true, burst: [id(0)]),
            .init(node: "node-1", at: time(4000), until: time(5000), isKill: false),
        ]
        let report = DrillReport(record)
        #expect(report.recoveries == [.milliseconds(130)])
        #expect((report.kills, report.pauses) == (2, 1))
        #expect(report.lines(terminal: .plain).last?.hasSuffix("median 0.13 s, worst 0.13 s (1 of 2 kills)") == true)
    }

    @Test func theReportFits() throws {
        var record = record([try task(0), try task(1, status: "expired")], accepted: 12_345)
        record.refused = 12
        record.unanswered = 3
        record.unreached = 40
        record.ended = ["node-2"]
        let lines = DrillReport(record).lines(terminal: .plain)
        #expect(lines[2] == "accepted           12345   and 12 refused, 40 found nobody there, 3 without an answer")
        #expect(lines[4].hasPrefix("lost               12343   0190"))
        #expect(lines.contains("ended by themselves, see their logs: node-2"))
        for line in lines where !line.hasPrefix("lost") { #expect(line.count <= 100, "\(line)") }
    }

    @Test func runsAreReadLineByLine() throws {
        var record = DrillRecord()
        try record.readRuns("\(id(1)) 1.2.3 node-1\n\(id(2)) 1.2.3 node-2\n\(id(1)) 1.2.4 node-3\n")
        #expect(record.runs == [id(1): ["node-1", "node-3"], id(2): ["node-2"]])
        #expect(throws: CommandFailure.self) { try record.readRuns("\(id(1)) node-1") }
    }

    // MARK: The plan

    @Test func theSameSeedDrawsTheSameFaults() {
        func faults(_ seed: UInt64) -> [DrillPlan.Fault] {
            var plan = DrillPlan(seed: seed, interval: .seconds(5))
            return (0..<20).compactMap { _ in plan.next(running: [1, 2, 3]) }
        }
        #expect(faults(7) == faults(7))
        #expect(faults(7) != faults(8))
    }

    @Test func faultsAreOfBothKindsAndMendedInTime() throws {
        var plan = DrillPlan(seed: 1, interval: .seconds(5))
        var kills = 0
        var nodes: Set<Int> = []
        for _ in 0..<400 {
            let next = plan.next(running: [1, 3])
            let fault = try #require(next)
            nodes.insert(fault.node)
            switch fault {
            case .kill(_, let time):
                kills += 1
                #expect((.milliseconds(625)...(.milliseconds(2500))).contains(time))
            case .pause(_, let time): #expect((.milliseconds(625)...(.milliseconds(2500))).contains(time))
            }
        }
        #expect(nodes == [1, 3])
        #expect((250...350).contains(kills))
        let none = plan.next(running: [])
        #expect(none == nil)
    }

    @Test(
        arguments: [
            ("60s", Duration.seconds(60)), ("2m", .seconds(120)), ("500ms", .milliseconds(500)), ("1h", .seconds(3600)),
            ("7", .seconds(7)), ("", nil), ("s", nil), ("-1s", nil), ("1.5s", nil), ("1d", nil), ("4294967296s", nil),
        ] as [(String, Duration?)])
    func durationsAreRead(text: String, duration: Duration?) {
        #expect(Duration(argument: text) == duration)
    }
}

extension Terminal {
    static let plain = Terminal(isColoured: false, isInteractive: false)
}
