import APIModel
import Foundation
import Testing

@testable import Command

/// What `status` prints and exits with.
struct StatusReportTests {
    private static let now = Date(timeIntervalSince1970: 1_000_000)

    private func document(
        status: String = "healthy", states: [String] = ["alive", "alive", "alive"], names: String = "node",
        warnings: [String] = [], lost: String = "0"
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
             "data_age_seconds": 0.1, "registry": {"connected": true, "unwritten_results": 0}}
            """#
        }
        let warnings = warnings.map { #""\#($0)""# }.joined(separator: ",")
        let text = #"""
            {"status": "\#(status)", "name": "local", "id": "4f2a91c3000000000000000000000000", "answered_by": "node-1",
             "view": {"number": 7, "digest": "0011223344556677", "agree": true, "voters": ["node-1"], "copies": 2},
             "members": [\#(members.joined(separator: ","))], "ledgers": [], "takeovers": [], "recovered": 24,
             "lost": \#(lost), "losses": [], "warnings": [\#(warnings)]}
            """#
        return try JSONDecoder().decode(ClusterDocument.self, from: Data(text.utf8))
    }

    private func lines(_ report: StatusReport, isWide: Bool = false, isColoured: Bool = false) -> [String] {
        report.lines(isWide: isWide, terminal: Terminal(isColoured: isColoured, isInteractive: false))
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

    @Test(arguments: ["node", "a-name-that-is-rather-long-for-a-node-of-such-a-cluster"])
    func everyLineFitsEightyColumns(names: String) throws {
        let warning = String(repeating: "something needs attention ", count: 8)
        let document = try document(
            status: "degraded", states: ["alive", "dead", "suspect"], names: names, warnings: [warning])
        for line in lines(StatusReport(cluster: document, local: nil, now: Self.now)) {
            #expect(line.count <= 80, "\(line)")
        }
        let wide = lines(StatusReport(cluster: document, local: nil, now: Self.now), isWide: true)
        #expect(wide.contains { $0.contains("\(names)-1") && $0.contains("127.0.0.1:8000") })
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
