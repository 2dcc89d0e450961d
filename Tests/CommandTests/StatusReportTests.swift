import APIModel
import Foundation
import Testing

@testable import Command

/// What `status` prints and exits with.
struct StatusReportTests {
    private static let now = Date(timeIntervalSince1970: 1_000_000)

    private func document(
        status: String = "healthy", states: [String] = ["alive", "alive", "alive"], names: String = "node",
        warnings: [String] = [], lost: String = "0", losses: String = "", syncs: [String] = ["always"],
        fullDisk: Bool = false, unready: Bool = false, letters: Int = 0
    ) throws -> ClusterDocument {
        let members = states.enumerated().map { index, state in
            #"""
            {"name": "\#(names)-\#(index + 1)", "state": "\#(state)", "since": "1970-01-12T13:46:30.000Z",
             "generation": 1795247000123, "incarnation": 0, "http": "127.0.0.1:\#(8000 + index)", "peer": "127.0.0.1:9000",
             "gossip": "127.0.0.1:9000", "slots": 4, "busy": \#(state == "alive" ? "2" : "null"),
             "load": {"ready": 10, "open": 100, "head_priority": 5, "oldest_age_seconds": 0.2, "free_slots": 2,
                      "draining": false},
             "completed": \#(state == "alive" ? "1234567890123" : "null"), "failed": 1, "duplicates_discarded": 0,
             "stolen": 1201000, "view": {"number": 7, "digest": "0011223344556677"}, "voter": true,
             "data_age_seconds": 0.1, "registry": {"connected": true, "unwritten_results": 0},
             "disk": {"journal_bytes": 123456789, "full": \#(fullDisk), "sync": "\#(syncs[index % syncs.count])",
                      "last_sync_age_seconds": 3.2, "worst_sync_seconds": 0.0123},
             "may_start": \#(!unready), "reaches_majority": true, "unready": \#(unready ? "\"it waits\"" : "null")}
            """#
        }
        let warnings = warnings.map { #""\#($0)""# }.joined(separator: ",")
        let text = #"""
            {"status": "\#(status)", "name": "local", "id": "4f2a91c3000000000000000000000000", "answered_by": "node-1",
             "view": {"number": 7, "digest": "0011223344556677", "agree": true, "voters": ["node-1"], "copies": 2},
             "members": [\#(members.joined(separator: ","))], "ledgers": [], "takeovers": [], "recovered": 24,
             "lost": \#(lost), "losses": [\#(losses)],
             "dead_letters": {"count": \#(letters), "bytes": 2048, "oldest": "1970-01-12T11:46:40.000Z",
                              "dropped": \#(letters / 2)},
             "outcomes": {"count": 5, "bytes": 9000, "cut": \#(letters / 4)}, "queued_bytes": 7,
             "warnings": [\#(warnings)]}
            """#
        return try JSONDecoder().decode(ClusterDocument.self, from: Data(text.utf8))
    }

    private func lines(
        _ report: StatusReport, isWide: Bool = false, isColoured: Bool = false, columns: Int? = nil
    ) -> [String] {
        report.lines(
            isWide: isWide, terminal: Terminal(isColoured: isColoured, isInteractive: false, columns: columns))
    }

    private func endedNode() throws -> ClusterState.Node {
        let gone = #"{"pid": 1, "startTicks": 1, "boot": "none"}"#
        return ClusterState.Node(
            index: 2, httpPort: 8001, peerPort: 9001,
            process: try JSONDecoder().decode(ProcessIdentity.self, from: Data(gone.utf8)),
            lastAction: ClusterState.Action(kind: .killed, at: Self.now - 3))
    }

    @Test func exitCodesTellHealth() throws {
        #expect(StatusReport(cluster: try document(), local: nil).exitCode == 0)
        #expect(StatusReport(cluster: try document(status: "degraded"), local: nil).exitCode == 1)
        #expect(StatusReport(cluster: nil, local: nil).exitCode == 2)
        var local = ClusterState()
        local.update(try endedNode())
        #expect(
            StatusReport(cluster: try document(), local: local).exitCode == 1, "a node that was started here is gone")
    }

    @Test func theHeadSumsUpTheLiving() throws {
        let lines = lines(
            StatusReport(cluster: try document(states: ["alive", "dead", "left"]), local: nil, now: Self.now))
        #expect(lines[0] == "cluster local (4f2a91c3): healthy, 1 of 2 nodes alive, view 7 (all agree)")
        #expect(lines[1].hasPrefix("tasks: 100 open (10 ready), "))
        #expect(lines[1].hasSuffix("recovered 24, lost 0"))
        #expect(lines.contains { $0.hasPrefix("node-2  dead 10 s") })
    }

    @Test func whatNobodyKnowsIsNotCalledNothing() throws {
        let lines = lines(StatusReport(cluster: try document(lost: "null"), local: nil, now: Self.now))
        #expect(lines[1].hasSuffix("lost unknown"))
    }

    @Test(
        arguments: ["node", "a-name-that-is-rather-long-for-a-node-of-such-a-cluster"],
        [(columns: Int?.none, limit: 100), (80, 80), (250, 100)])
    func everyLineFits(names: String, width: (columns: Int?, limit: Int)) throws {
        let warning = String(repeating: "something needs attention ", count: 8)
        let document = try document(
            status: "degraded", states: ["alive", "dead", "suspect"], names: names, warnings: [warning], lost: "null",
            losses: #"{"ledger": 3, "primary": "\#(names)-3", "view": 1500009, "tasks": null}"#,
            syncs: ["always", "interval:100ms", "never"])
        let lines = lines(StatusReport(cluster: document, local: nil, now: Self.now), columns: width.columns)
        for line in lines { #expect(line.count <= width.limit, "\(line)") }
        let wide = self.lines(StatusReport(cluster: document, local: nil, now: Self.now), isWide: true)
        #expect(wide.contains { $0.contains("\(names)-1") && $0.contains("127.0.0.1:8000") && $0.contains("12.3 ms") })
    }

    @Test func theDiskIsTold() throws {
        let lines = lines(StatusReport(cluster: try document(), local: nil, now: Self.now))
        #expect(lines[2] == "copies of each task: 2, on disk (sync always); results: in Redis")
        #expect(lines.contains { $0.hasPrefix("node-1  alive") && $0.hasSuffix("123 MB") })
        let mixed = try document(syncs: ["never", "always", "always"])
        #expect(
            self.lines(StatusReport(cluster: mixed, local: nil)).contains { $0.contains("always at 2, never at 1") })
        let full = try document(fullDisk: true)
        #expect(self.lines(StatusReport(cluster: full, local: nil)).contains { $0.hasSuffix(" full") })
    }

    @Test func aNodeThatWaitsIsNotCalledAlive() throws {
        let lines = lines(StatusReport(cluster: try document(unready: true), local: nil, now: Self.now))
        #expect(lines.contains { $0.hasPrefix("node-1  waiting") })
    }

    @Test func whoIsNotThereIsTold() throws {
        let lines = lines(
            StatusReport(cluster: try document(states: ["joining", "absent", "alive"]), local: nil, now: Self.now))
        #expect(lines[0].contains("1 of 3 nodes alive"))
        #expect(lines.contains { $0.hasPrefix("node-1  waiting") }, "a voter that is back, and not listed yet")
        #expect(lines.contains { $0.hasPrefix("node-2  absent") })
    }

    @Test func deadLettersAreToldWithTheirAge() throws {
        let none = lines(StatusReport(cluster: try document(), local: nil, now: Self.now))
        #expect(!none.contains { $0.hasPrefix("dead letters") })
        let some = lines(StatusReport(cluster: try document(letters: 12), local: nil, now: Self.now))
        #expect(some.contains("dead letters: 12, 2.0 kB, the oldest 2 h old, 6 dropped: `apus dlq list`"))
        #expect(some.contains("3 results were given up before their time: there were too many to be kept"))
    }

    @Test func lossesAreToldByTheirOwner() throws {
        let losses = """
            {"ledger": 3, "primary": "node-3", "view": 9, "tasks": null},
            {"ledger": 5, "primary": "node-3", "view": 12, "tasks": null},
            {"ledger": 4, "primary": "node-2", "view": 9, "tasks": 7}
            """
        let lines = lines(StatusReport(cluster: try document(lost: "null", losses: losses), local: nil, now: Self.now))
        #expect(lines[3] == "lost: 7 tasks of node-2: no disk with a copy was left (given up: L4 in view 9)")
        #expect(
            lines[4] == "lost: tasks of node-3: no disk with a copy was left (given up: L3 in view 9, L5 in view 12)")
    }

    @Test(arguments: [
        (UInt64(0), "0 B"), (999, "999 B"), (1000, "1.0 kB"), (9949, "9.9 kB"), (9950, "10 kB"), (999_499, "999 kB"),
        (999_500, "1.0 MB"), (123_456_789, "123 MB"), (1_200_000_000, "1.2 GB"), (5_000_000_000_000, "5.0 TB"),
        (5_000_000_000_000_000, "5000 TB"),
    ])
    func bytesStayShort(count: UInt64, text: String) {
        #expect(bytesText(count) == text)
    }

    @Test func coloursOnlyWhereTheyAreWanted() throws {
        let report = StatusReport(cluster: try document(), local: nil, now: Self.now)
        #expect(!lines(report).joined().contains("\u{1B}"))
        #expect(lines(report, isColoured: true).joined().contains("\u{1B}[32malive\u{1B}[0m"))
        #expect(!Terminal(descriptor: STDOUT_FILENO, environment: ["NO_COLOR": "1", "TERM": "xterm"]).isColoured)
    }

    @Test func aNodeThatWasKilledHereIsToldWithTheRemedy() throws {
        var local = ClusterState()
        local.update(try endedNode())
        let lines = lines(StatusReport(cluster: try document(), local: local, now: Self.now))
        #expect(lines.last == "node-2 (here): killed 3 s ago; `./cluster restart 2` starts it again")
    }

    @Test func columnsThatDoNotFitAreLeftOutByRank() {
        var table = Table(columns: [
            .init(title: "a"), .init(title: "bb", isRightAligned: true, rank: 1), .init(title: "ccc", rank: 2),
        ])
        table.rows = [["1", "2", "3"], ["long", "22", "x"]]
        let terminal = Terminal(isColoured: false, isInteractive: false)
        #expect(table.lines(width: nil, terminal: terminal) == ["a     bb  ccc", "1      2  3", "long  22  x"])
        #expect(table.lines(width: 12, terminal: terminal) == ["a     bb", "1      2", "long  22"])
        #expect(table.lines(width: 1, terminal: terminal) == ["a", "1", "long"])
    }

    @Test(arguments: [(0, "0"), (99_999, "99999"), (100_000, "100k"), (99_999_999, "99999k"), (100_000_000, "100M")])
    func countsStayShort(count: Int, text: String) {
        #expect(compact(count) == text)
    }
}
