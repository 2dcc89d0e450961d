import Primitives
import Service
import TaskLedger
import Testing
import Views

@testable import Simulation

/// Settings of the cluster, changed from any node.
@Suite struct SettingsTests {
    private final class Told: @unchecked Sendable { var outcomes: [SettingsOutcome] = [] }

    private static func change(_ colony: Colony, at node: Int, _ told: Told, _ queue: String, _ fields: QueueField...) {
        colony.world.nodes[node].call({ await $0.change(.queue(queue, fields)) }) { outcome in
            if let outcome { told.outcomes.append(outcome) }
        }
    }

    private static func settings(_ colony: Colony) -> [ClusterSettings?] {
        colony.world.running.map { $0.look { $0.view?.settings } ?? nil }
    }

    @Test func changes_from_all_nodes_at_once_add_up_and_are_applied_once() throws {
        let colony = Colony(WorldSettings(seed: 21, nodes: 3))
        #expect(colony.untilWhole())
        let told = Told()
        Self.change(colony, at: 0, told, "mail", .isPaused(true))
        Self.change(colony, at: 1, told, "mail", .weight(4))
        Self.change(colony, at: 2, told, "mail", .timeout(5000))
        Self.change(colony, at: 2, told, "other", .maxRetries(0))
        #expect(colony.until(.seconds(10)) { told.outcomes.count == 4 })
        for outcome in told.outcomes {
            guard case .done = outcome else {
                Issue.record("\(outcome)")
                return
            }
        }
        colony.world.run(for: .seconds(1))
        let settings = Self.settings(colony)
        let first = try #require(settings.first ?? nil)
        #expect(settings.count == 3 && settings.allSatisfy { $0 == first })
        #expect(first.queue("mail").isPaused && first.queue("mail").weight == 4 && first.queue("mail").timeout == 5000)
        #expect(first.queue("other").maxRetries == 0)
        #expect(first.applied.count == 4)
    }

    @Test func a_change_survives_the_proposer_and_is_kept_by_whoever_comes_back() throws {
        let colony = Colony(WorldSettings(seed: 22, nodes: 3))
        #expect(colony.untilWhole())
        let told = Told()
        Self.change(colony, at: 2, told, "mail", .isPaused(true))
        colony.world.nodes[0].crash(.kill)
        #expect(colony.until(.seconds(10)) { told.outcomes.count == 1 })
        guard case .done(let settings)? = told.outcomes.first else {
            Issue.record("\(told.outcomes)")
            return
        }
        #expect(settings.queue("mail").isPaused)
        colony.world.nodes[0].start()
        #expect(colony.untilWhole())
        #expect(Self.settings(colony).allSatisfy { $0?.queue("mail").isPaused == true })
    }

    /// Members may have left, and still act by what was set before, of whom it has never heard.
    @Test func a_node_that_was_just_started_waits_for_those_whom_it_cannot_know() {
        let colony = Colony(WorldSettings(seed: 24, nodes: 3))
        #expect(colony.untilWhole())
        let node = colony.world.nodes[2]
        node.crash(.kill)
        node.start()
        let start = colony.world.now
        #expect(colony.until(.seconds(1)) { node.look { $0.isConfirmed } == true })
        let told = Told()
        Self.change(colony, at: 2, told, "mail", .isPaused(true))
        #expect(colony.until(.seconds(10)) { told.outcomes.count == 1 })
        #expect(colony.world.now - start >= Limits.fenceRest)
        // Long after its start it knows all who may act.
        Self.change(colony, at: 2, told, "mail", .isPaused(false))
        let asked = colony.world.now
        #expect(colony.until(.seconds(10)) { told.outcomes.count == 2 })
        #expect(colony.world.now - asked < .seconds(1))
        #expect(told.outcomes.allSatisfy { if case .done = $0 { true } else { false } })
    }

    @Test func without_a_majority_a_change_is_not_promised() {
        let colony = Colony(WorldSettings(seed: 23, nodes: 3))
        #expect(colony.untilWhole())
        colony.world.nodes[0].pause()
        colony.world.nodes[1].pause()
        let told = Told()
        Self.change(colony, at: 2, told, "mail", .isPaused(true))
        #expect(colony.until(.seconds(20)) { told.outcomes.count == 1 })
        guard case .unconfirmed? = told.outcomes.first else {
            Issue.record("\(told.outcomes)")
            return
        }
    }
}
