import Primitives
import Service
import TaskLedger
import Testing

@testable import Simulation

/// Dead letters, changes and histories, asked of nodes that do not own the tasks.
@Suite struct WishTests {
    private final class Told<Value>: @unchecked Sendable { var value: Value? }

    private static func ask<Value: Sendable>(
        _ colony: Colony, at node: Int, _ body: @escaping @Sendable (any ClusterService) async -> Value
    ) -> Value? {
        let told = Told<Value>()
        colony.world.nodes[node].call(body) { told.value = $0 }
        _ = colony.until(.seconds(15)) { told.value != nil }
        return told.value
    }

    /// Three nodes, and tasks that have failed at the first of them.
    private static func failed(_ count: Int) -> Colony {
        let colony = Colony(WorldSettings(seed: 11, nodes: 3))
        #expect(colony.untilWhole())
        colony.submit(count, to: 0, HandlerScript(milliseconds: 5, outcome: .failsForGood))
        #expect(
            colony.until(.seconds(20)) {
                colony.accepted.count == count && colony.world.observations.runs.count == count
            })
        colony.world.run(for: .seconds(1))
        return colony
    }

    @Test func a_dead_letter_is_run_again_from_any_node_and_its_history_is_told() throws {
        let colony = Self.failed(1)
        let id = try #require(colony.accepted.first).id
        let page = Self.ask(colony, at: 1) { await $0.tasks(TaskQuery(statuses: [.failed], error: "scripted")) }
        #expect(page?.tasks.map(\.id) == [id])
        let none = Self.ask(colony, at: 1) { await $0.tasks(TaskQuery(statuses: [.failed], age: .seconds(3600))) }
        #expect(none?.tasks == [])
        guard case .done(let snapshot?)? = Self.ask(colony, at: 2, { await $0.carryOut(.retry, for: id) }) else {
            Issue.record("it was not run again")
            return
        }
        #expect(snapshot.run == 2)
        #expect(colony.until(.seconds(10)) { colony.world.observations.runs.count == 2 })
        colony.world.run(for: .seconds(1))
        guard case .found(let story)? = Self.ask(colony, at: 1, { await $0.story(of: id) }) else {
            Issue.record("no story")
            return
        }
        let kinds = story.transitions.map(\.kind)
        #expect(kinds.first == .accepted && kinds.count { $0 == .failed } == 2 && kinds.count { $0 == .retried } == 1)
        #expect(story.transitions.map(\.run) == story.transitions.map(\.run).sorted())
        #expect(story.transitions.first?.node == colony.world.nodes[0].name)
        #expect(story.explanation.reason == .ended)
    }

    @Test func a_sweep_reaches_every_node_and_status_tells_how_many_there_are() throws {
        let colony = Self.failed(20)
        colony.submit(5, to: 1, HandlerScript(milliseconds: 5, outcome: .failsForGood))
        colony.world.run(for: .seconds(3))
        let report = Self.ask(colony, at: 2) { await $0.cluster() }
        #expect(report?.letters.count == 25)
        #expect(report?.letters.oldest != nil)
        let purged = Self.ask(colony, at: 2) {
            await $0.sweepLetters(LetterSweep(isPurge: true, error: "another error"))
        }
        #expect(purged == SweepOutcome(done: 0, left: 0, missing: []))
        let swept = Self.ask(colony, at: 2) { await $0.sweepLetters(LetterSweep(isPurge: false, error: "scripted")) }
        #expect(swept == SweepOutcome(done: 25, left: 0, missing: []))
        #expect(colony.until(.seconds(10)) { colony.world.observations.runs.count == 50 })
        colony.world.run(for: .seconds(1))
        let all = Self.ask(colony, at: 0) { await $0.sweepLetters(LetterSweep(isPurge: true)) }
        #expect(all?.done == 25)
        let after = Self.ask(colony, at: 1) { await $0.cluster() }
        #expect(after?.letters.count == 0)
    }

    @Test func a_task_that_waits_is_changed_from_another_node_and_says_why_it_waits() throws {
        let colony = Colony(WorldSettings(seed: 12, nodes: 3))
        #expect(colony.untilWhole())
        let script = HandlerScript(milliseconds: 5)
        let submitted = Self.ask(colony, at: 0) {
            await $0.submit([
                TaskSpec(type: SimulatedHandler.taskType, payload: script.payload, delay: 600_000)
            ])
        }
        guard case .accepted(let task)? = submitted?.first else {
            Issue.record("it was not accepted")
            return
        }
        guard case .found(let story)? = Self.ask(colony, at: 1, { await $0.story(of: task.id) }) else {
            Issue.record("no story")
            return
        }
        #expect(story.explanation.reason == .notDue)
        #expect(story.explanation.until != nil)
        let changed = Self.ask(colony, at: 2) {
            await $0.carryOut(.change(priority: .critical, delay: 0), for: task.id)
        }
        guard case .done(let snapshot?)? = changed else {
            Issue.record("it was not changed")
            return
        }
        #expect(snapshot.spec.priority == .critical)
        #expect(colony.until(.seconds(5)) { colony.world.observations.runs.count == 1 })
        colony.world.run(for: .seconds(1))
        let late = Self.ask(colony, at: 2) { await $0.carryOut(.change(priority: .low, delay: nil), for: task.id) }
        guard case .refused(.ended, _)? = late else {
            Issue.record("\(String(describing: late))")
            return
        }
    }

    @Test func dead_letters_survive_the_death_of_their_owner() throws {
        let colony = Self.failed(3)
        let id = try #require(colony.accepted.first).id
        colony.world.nodes[0].crash(.kill)
        colony.world.run(for: .seconds(10))
        let page = Self.ask(colony, at: 1) { await $0.tasks(TaskQuery(statuses: [.failed])) }
        #expect(page?.tasks.count == 3)
        let told = Self.ask(colony, at: 2) { await $0.carryOut(.retry, for: id) }
        guard case .done(let snapshot?)? = told else {
            Issue.record("\(String(describing: told))")
            return
        }
        #expect(snapshot.run == 2 && snapshot.owner != colony.world.nodes[0].name)
    }
}
