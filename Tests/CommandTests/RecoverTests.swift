import APIModel
import Foundation
import Testing

@testable import Command

/// What `recover` says.
struct RecoverTests {
    private func report(needed: Bool, forced: String = "null") throws -> RecoveryDocument {
        let text = #"""
            {"needed": \#(needed), "answered_by": "node-1", "view": 12, "voters": 3, "majority": 2,
             "missing_voters": [{"name": "node-2", "other_disk": false}, {"name": "node-3", "other_disk": true}],
             "lost_ledgers": [{"id": 3, "founder": "node-3", "primary": "node-3", "replicas": ["node-3", "node-2"],
                               "living": []}],
             "kept_ledgers": [{"id": 1, "founder": "node-1", "primary": "node-1", "replicas": ["node-1", "node-2"],
                               "living": ["node-1"]}],
             "forced_view": \#(forced)}
            """#
        return try JSONDecoder().decode(RecoveryDocument.self, from: Data(text.utf8))
    }

    @Test func whatIsMissingIsToldWithWhatItCosts() throws {
        let lines = RecoveryText(report: try report(needed: true)).lines
        #expect(lines[0].hasPrefix("node-1, in view 12: 1 of 3 voters are there, 2 are needed"))
        #expect(lines[1] == "  missing: node-2")
        #expect(lines[2] == "  missing: node-3 (it is here, with another disk than the one that voted)")
        #expect(lines.contains("  goes on with tasks that node-1 took (ledger 1): 1 of 2 copies, at node-1"))
        #expect(
            lines.contains(
                "  gives up tasks that node-3 took (ledger 3): no copy is here; there were 2, at node-3, node-2"))
        #expect(lines.last == "`apus recover --yes` goes on without them.")
    }

    @Test func whatWasDoneIsTold() throws {
        let lines = RecoveryText(report: try report(needed: true, forced: "1500012")).done
        #expect(lines[0] == "node-1 has begun view 1500012 without what is missing")
        #expect(lines.count == 3 && lines[2].hasPrefix("  gave up tasks that node-3 took"))
    }

    @Test func withAMajorityThereIsNothingToDo() throws {
        let lines = RecoveryText(report: try report(needed: false)).healthy
        #expect(lines[0].hasPrefix("nothing to recover: 1 of 3 voters"))
        #expect(
            lines[1] == "  wait: tasks that node-3 took (ledger 3): no copy is here; there were 2, at node-3, node-2")
    }
}
