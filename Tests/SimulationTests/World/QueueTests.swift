import Primitives
import Service
import TaskLedger
import Testing
import Views

@testable import Simulation

/// Queues whose settings bind all nodes.
@Suite struct QueueTests {
    private final class Told<Value>: @unchecked Sendable { var value: Value? }

    private static func ask<Value: Sendable>(
        _ colony: Colony, at node: Int, _ body: @escaping @Sendable (any ClusterService) async -> Value
    ) -> Value? {
        let told = Told<Value>()
        colony.world.nodes[node].call(body) { told.value = $0 }
        _ = colony.until(.seconds(15)) { told.value != nil }
        return told.value
    }

    private static func whole(_ seed: UInt64, nodes: Int = 3) -> Colony {
        let colony = Colony(WorldSettings(seed: seed, nodes: nodes))
        #expect(colony.untilWhole())
        return colony
    }

    private static func set(_ colony: Colony, at node: Int, _ queue: String, _ fields: QueueField...) throws {
        let outcome = ask(colony, at: node) { await $0.change(.queue(queue, fields)) }
        guard case .done? = outcome else {
            Issue.record("\(String(describing: outcome))")
            return
        }
    }

    private static func isPaused(_ colony: Colony, at node: Int, _ queue: String) -> Bool? {
        ask(colony, at: node) { await $0.currentSettings()?.queue(queue).isPaused } ?? nil
    }

    @discardableResult
    private static func submit(
        _ colony: Colony, at node: Int, _ count: Int, queue: String, milliseconds: UInt32 = 5, key: String? = nil,
        priority: Priority = .normal
    ) -> [TaskID] {
        let script = HandlerScript(milliseconds: milliseconds)
        let outcomes = ask(colony, at: node) {
            await $0.submit(
                (0..<count).map { _ in
                    TaskSpec(
                        type: SimulatedHandler.taskType, payload: script.payload, priority: priority, queue: queue,
                        fairnessKey: key)
                })
        }
        return (outcomes ?? []).compactMap { if case .accepted(let task) = $0 { task.id } else { nil } }
    }

    private static func runs(_ colony: Colony, of ids: [TaskID]) -> [Simulation.Observations.Run] {
        let wanted = Set(ids)
        return colony.world.observations.runs.filter { wanted.contains($0.task) }
    }

    @Test func a_paused_queue_starts_nowhere_until_somebody_resumes_it() throws {
        let colony = Self.whole(31)
        try Self.set(colony, at: 2, "mail", .isPaused(true))
        var ids: [TaskID] = []
        for node in 0..<3 { ids += Self.submit(colony, at: node, 5, queue: "mail") }
        let others = Self.submit(colony, at: 1, 5, queue: "other")
        colony.world.run(for: .seconds(5))
        #expect(ids.count == 15)
        #expect(Self.runs(colony, of: ids).isEmpty)
        #expect(Self.runs(colony, of: others).count == 5)
        let first = ids[0]
        guard case .found(let story)? = Self.ask(colony, at: 2, { await $0.story(of: first) }) else {
            Issue.record("no story")
            return
        }
        #expect(story.explanation.reason == .queuePaused)
        // It stays paused when the node that has it is gone.
        colony.world.nodes[0].crash(.kill)
        colony.world.run(for: .seconds(8))
        #expect(Self.runs(colony, of: ids).isEmpty)
        try Self.set(colony, at: 1, "mail", .isPaused(false))
        #expect(colony.until(.seconds(10)) { Set(Self.runs(colony, of: ids).map(\.task)) == Set(ids) })
    }

    @Test func once_a_change_is_answered_nobody_goes_by_what_was_before() throws {
        let colony = Self.whole(37)
        for node in 0..<3 {
            try Self.set(colony, at: node, "mail-\(node)", .isPaused(true))
            for other in 0..<3 { #expect(Self.isPaused(colony, at: other, "mail-\(node)") == true) }
        }
        // Who does not hear of it can do nothing when it is answered.
        for other in 0..<2 {
            colony.world.network.cut(from: 2, to: other)
            colony.world.network.cut(from: other, to: 2)
        }
        #expect(Self.isPaused(colony, at: 2, "mail-0") == true)
        try Self.set(colony, at: 0, "mail-0", .isPaused(false))
        #expect(Self.isPaused(colony, at: 1, "mail-0") == false)
        #expect(Self.isPaused(colony, at: 2, "mail-0") == nil)
        colony.world.network.healAll()
        #expect(colony.until(.seconds(20)) { Self.isPaused(colony, at: 2, "mail-0") == false })
    }

    @Test func a_rate_holds_for_all_nodes_together_also_when_its_home_dies() throws {
        let colony = Self.whole(32)
        try Self.set(colony, at: 1, "mail", .rate(20_000))
        var ids: [TaskID] = []
        for node in 0..<3 { ids += Self.submit(colony, at: node, 200, queue: "mail") }
        func count(_ seconds: Int64) -> Int {
            let before = Self.runs(colony, of: ids).count
            colony.world.run(for: .seconds(seconds))
            return Self.runs(colony, of: ids).count - before
        }
        colony.world.run(for: .seconds(1))
        let steady = count(8)
        #expect((152...162).contains(steady), "\(steady) of 160")
        let home = try #require(
            colony.world.nodes[1].look {
                $0.view?.ledger($0.view?.slots[Int(KeySlot(of: "mail", in: .queue).rawValue)] ?? LedgerID(0))?.primary
                    .name
            } ?? nil)
        let index = try #require(colony.world.nodes.firstIndex { $0.name == home })
        colony.world.nodes[index].crash(.kill)
        let over = count(2)
        #expect(over <= 44, "\(over) of 40 while the home is replaced")
        colony.world.run(for: .seconds(6))
        let after = count(5)
        #expect((95...102).contains(after), "\(after) of 100")
    }

    @Test func a_limit_on_concurrency_holds_for_all_nodes_together_also_when_its_home_dies() throws {
        let colony = Self.whole(33)
        try Self.set(colony, at: 1, "mail", .concurrency(3))
        var ids: [TaskID] = []
        for node in 0..<3 { ids += Self.submit(colony, at: node, 40, queue: "mail", milliseconds: 200) }
        var most = 0
        func watch(_ seconds: Int64) {
            for _ in 0..<seconds * 100 {
                colony.world.run(for: .milliseconds(10))
                most = max(most, Self.runs(colony, of: ids).count { $0.end == nil })
            }
        }
        watch(4)
        #expect(most == 3)
        let done = Self.runs(colony, of: ids).count { $0.end == .completed }
        #expect(done >= 50, "\(done) of 60 in 4 s")
        colony.world.nodes[0].crash(.kill)
        watch(10)
        #expect(most == 3)
        #expect(
            colony.until(.seconds(20)) {
                Set(Self.runs(colony, of: ids).filter { $0.end == .completed }.map(\.task)).count == 120
            })
    }

    @Test func a_length_holds_for_all_nodes_together() throws {
        let colony = Self.whole(34)
        try Self.set(colony, at: 0, "mail", .maxLength(10), .isPaused(true))
        #expect(Self.submit(colony, at: 1, 8, queue: "mail").count == 8, "the others have room when this node has not")
        #expect(Self.submit(colony, at: 2, 5, queue: "mail").count == 2)
        #expect(Self.submit(colony, at: 0, 1, queue: "mail").isEmpty)
        #expect(Self.submit(colony, at: 0, 3, queue: "other").count == 3)
    }

    @Test func a_key_that_floods_does_not_hold_back_another_one() throws {
        let colony = Self.whole(35)
        let flood = Self.submit(colony, at: 0, 600, queue: "mail", milliseconds: 50, key: "flood")
        colony.world.run(for: .milliseconds(300))
        let small = Self.submit(colony, at: 0, 10, queue: "mail", milliseconds: 50, key: "small")
        #expect(colony.until(.seconds(4)) { Self.runs(colony, of: small).count { $0.end == .completed } == 10 })
        #expect(Self.runs(colony, of: flood).count < 400)
    }

    /// All slots of three nodes are busy, and a backlog waits at each: an urgent task is the next or the next but one to start
    /// on some node, wherever it was submitted.
    @Test(arguments: [0, 1, 2]) func an_urgent_task_is_the_next_but_one_to_start_somewhere(node: Int) throws {
        let colony = Self.whole(UInt64(36 + node))
        for node in 0..<3 {
            Self.submit(colony, at: node, 60, queue: "default", milliseconds: 100, priority: .low)
        }
        colony.world.run(for: .milliseconds(250))
        var worst = 0
        for _ in 0..<10 {
            let told = Told<(TaskID, Instant)>()
            let world = colony.world
            world.nodes[node].call({
                await $0.submit([
                    TaskSpec(
                        type: SimulatedHandler.taskType, payload: HandlerScript(milliseconds: 100).payload,
                        priority: Priority(9) ?? .critical)
                ])
            }) { outcomes in
                if case .accepted(let task)? = outcomes?.first { told.value = (task.id, world.now) }
            }
            #expect(colony.until(.seconds(5)) { told.value.map { !Self.runs(colony, of: [$0.0]).isEmpty } ?? false })
            let (id, accepted) = try #require(told.value)
            let own = Self.runs(colony, of: [id])
            let run = try #require(own.first)
            let earlier = colony.world.observations.runs.count {
                $0.node == run.node && $0.began > accepted && $0.began < run.began
            }
            worst = max(worst, earlier)
            colony.world.run(for: .milliseconds(37))
        }
        #expect(worst <= 1, "\(worst) starts came first at its node")
    }
}
