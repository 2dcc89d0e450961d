import Node
import Primitives
import Service
import TaskLedger
import Testing
import Views

@testable import Simulation

/// A world whose nodes were started, and what its clients were told.
final class Colony: @unchecked Sendable {
    let world: World
    var accepted: [AcceptedTask] = []
    var refused = 0
    /// The process ended before the answer.
    var unknown = 0

    init(_ settings: WorldSettings, starts: Bool = true) {
        world = World(settings)
        if starts { for node in world.nodes { node.start() } }
    }

    deinit { world.end() }

    /// Every node that is up has confirmed one view, which lists exactly these, and every ledger has a backup.
    var isWhole: Bool {
        let running = world.running.filter { !$0.isPaused }
        let views = running.map { $0.look { $0.isConfirmed ? $0.view : nil } ?? nil }
        guard let view = views.first ?? nil, views.allSatisfy({ $0?.digest == view.digest }) else { return false }
        return Set(view.members.map(\.id)) == Set(running.compactMap(\.identity))
            && (running.count < 2 || view.ledgers.allSatisfy { !$0.backups.isEmpty })
    }

    func untilWhole(_ limit: Duration = .seconds(30)) -> Bool { until(limit) { self.isWhole } }

    /// Asks every 50 ms of virtual time.
    func until(_ limit: Duration, _ condition: () -> Bool) -> Bool {
        let end = world.now + limit
        while world.now < end {
            if condition() { return true }
            world.run(for: .milliseconds(50))
        }
        return condition()
    }

    func submit(_ count: Int, to node: Int, _ script: HandlerScript = HandlerScript(milliseconds: 20)) {
        let specs = (0..<count).map { _ in TaskSpec(type: SimulatedHandler.taskType, payload: script.payload) }
        world.nodes[node].call({ await $0.submit(specs) }) { outcomes in
            guard let outcomes else { return self.unknown += count }
            for outcome in outcomes {
                if case .accepted(let task) = outcome { self.accepted.append(task) } else { self.refused += 1 }
            }
        }
    }

    /// The statuses of all accepted tasks, as a node tells them.
    func statuses(at node: Int) -> [TaskID: TaskStatus] {
        let found = Found()
        for task in accepted {
            world.nodes[node].call({ await $0.task(task.id, wait: nil) }) { answer in
                if case .found(let snapshot)? = answer { found.statuses[task.id] = snapshot.status }
                // Only what ended is archived.
                if case .archived? = answer { found.statuses[task.id] = .completed }
            }
        }
        world.run(for: .seconds(2))
        return found.statuses
    }

    private final class Found: @unchecked Sendable { var statuses: [TaskID: TaskStatus] = [:] }
}

@Suite struct ClusterTests {
    /// Five nodes, 100 tasks, a crash in the middle.
    static func run(_ seed: UInt64) -> (hash: UInt64, accepted: Int, completed: Int, isWhole: Bool) {
        let colony = Colony(WorldSettings(seed: seed, nodes: 5))
        guard colony.untilWhole() else { return (0, 0, 0, false) }
        for number in 0..<10 {
            colony.world.after(.milliseconds(Int64(number) * 50)) { colony.submit(10, to: number % 4) }
        }
        colony.world.after(.milliseconds(300)) { colony.world.nodes[4].crash(.kill) }
        colony.world.after(.milliseconds(310)) { colony.world.nodes[0].crash(.kill) }
        colony.world.run(for: .seconds(2))
        colony.world.nodes[0].start()
        colony.world.nodes[4].start()
        let isWhole = colony.untilWhole()
        colony.world.run(for: .seconds(5))
        let statuses = colony.statuses(at: 1)
        return (
            colony.world.traceHash, colony.accepted.count, statuses.values.count { $0 == .completed }, isWhole
        )
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func five_nodes_form_a_view_run_a_hundred_tasks_and_survive_a_crash(_ seed: UInt64) {
        let first = Self.run(seed)
        #expect(first.isWhole, "seed \(seed)")
        #expect(first.accepted >= 60, "seed \(seed)")
        #expect(first.completed == first.accepted, "seed \(seed)")
        #expect(Self.run(seed) == first, "seed \(seed)")
    }

    @Test func two_processes_give_one_trace_whatever_their_hash_seeds() async throws {
        var outputs: [[UInt8]] = []
        for _ in 0..<2 {
            let result = try await #require(processExitsWith: .success, observing: [\.standardOutputContent]) {
                print("trace \(ClusterTests.run(4).hash)")
            }
            outputs.append(result.standardOutputContent)
        }
        let lines = outputs.map {
            String(decoding: $0, as: UTF8.self).split(separator: "\n").filter { $0.hasPrefix("trace") }
        }
        #expect(lines[0].count == 1)
        #expect(lines[0] == lines[1])
    }

    @Test func another_seed_gives_another_trace() {
        #expect(Self.run(1).hash != Self.run(2).hash)
    }

    @Test func a_cluster_without_a_registry_is_founded_by_its_first_seed() {
        var settings = WorldSettings(seed: 1, nodes: 3)
        settings.hasRedis = false
        #expect(Colony(settings).untilWhole())
    }

    @Test func what_was_acknowledged_survives_a_loss_of_power_of_everybody() {
        for seed in UInt64(1)...5 {
            let colony = Colony(WorldSettings(seed: seed, nodes: 3))
            #expect(colony.untilWhole(), "seed \(seed)")
            for node in 0..<3 { colony.submit(20, to: node, HandlerScript(milliseconds: 2000)) }
            colony.world.run(for: .milliseconds(300))
            #expect(colony.accepted.count == 60, "seed \(seed)")
            for node in colony.world.nodes { node.crash(.powerLoss) }
            colony.world.run(for: .seconds(3))
            for node in colony.world.nodes { node.start() }
            #expect(colony.untilWhole(.seconds(60)), "seed \(seed)")
            let statuses = colony.statuses(at: 0)
            #expect(statuses.count == 60, "seed \(seed)")
        }
    }

    @Test func a_paused_node_is_replaced_and_comes_back() {
        for kind in [PauseKind.stopped, .asleep] {
            let colony = Colony(WorldSettings(seed: 3, nodes: 3))
            #expect(colony.untilWhole())
            colony.world.nodes[1].pause(kind)
            #expect(colony.world.nodes[1].isPaused)
            // Views without it.
            #expect(colony.untilWhole())
            colony.world.nodes[1].resume()
            colony.world.run(for: .milliseconds(10))
            #expect(colony.untilWhole(), "\(kind)")
            #expect(colony.world.running.count == 3)
        }
    }

    @Test func a_node_leaves_in_order_and_joins_again() {
        let colony = Colony(WorldSettings(seed: 5, nodes: 3))
        #expect(colony.untilWhole())
        colony.submit(10, to: 2, HandlerScript(milliseconds: 300))
        colony.world.run(for: .milliseconds(100))
        colony.world.nodes[2].leave()
        #expect(
            colony.until(.seconds(30)) { if case .down(.ended) = colony.world.nodes[2].life { true } else { false } })
        #expect(colony.untilWhole())
        #expect(colony.statuses(at: 0).count == 10)
        colony.world.nodes[2].start()
        #expect(colony.untilWhole())
        // A new node too.
        colony.world.addNode().start()
        #expect(colony.untilWhole())
        #expect(colony.world.running.count == 4)
    }

    @Test func a_node_that_lost_its_disk_is_a_new_one() {
        let colony = Colony(WorldSettings(seed: 6, nodes: 3))
        #expect(colony.untilWhole())
        let before = colony.world.nodes[1].look { $0.profile.disk }
        colony.world.nodes[1].loseDisk()
        #expect(colony.world.nodes[1].life == .down(.crashed(.kill)))
        colony.world.run(for: .seconds(1))
        colony.world.nodes[1].start()
        #expect(colony.untilWhole())
        #expect(colony.world.nodes[1].look { $0.profile.disk } != before)
    }

    @Test func a_node_refuses_a_disk_that_is_not_what_it_should_be() throws {
        let colony = Colony(WorldSettings(seed: 7, nodes: 2))
        #expect(colony.untilWhole())
        let node = colony.world.nodes[0]
        node.crash(.kill)
        let flip = try #require(node.disk.flipBit(in: .durable, of: "view"))
        #expect(flip.file == "view")
        node.start()
        guard case .down(.refused) = node.life else {
            Issue.record("it runs: \(node.life)")
            return
        }
        node.loseDisk()
        node.start()
        #expect(node.isUp)
    }

    @Test func a_client_of_a_node_that_dies_is_told_that_nobody_knows() {
        let colony = Colony(WorldSettings(seed: 8, nodes: 3))
        #expect(colony.untilWhole())
        colony.submit(1, to: 0)
        colony.world.nodes[0].crash(.kill)
        colony.submit(1, to: 0)
        colony.world.run(for: .seconds(1))
        #expect(colony.unknown == 2)
        #expect(colony.accepted.isEmpty)
    }

    @Test func handlers_do_what_their_script_says_and_it_is_written_down() throws {
        let colony = Colony(WorldSettings(seed: 9, nodes: 1))
        #expect(colony.untilWhole())
        let scripts = [
            HandlerScript(milliseconds: 100),
            HandlerScript(milliseconds: 100, outcome: .failsForGood),
            HandlerScript(milliseconds: 0, outcome: .completes, resultBytes: 100),
        ]
        for script in scripts {
            colony.submit(1, to: 0, script)
            colony.world.run(for: .milliseconds(50))
        }
        colony.world.run(for: .seconds(1))
        #expect(colony.accepted.count == 3)
        let runs = colony.world.observations.runs
        #expect(runs.count == 3)
        for (script, task) in zip(scripts, colony.accepted) {
            let run = try #require(colony.world.observations.runs(of: task.id).first)
            let ended = try #require(run.ended)
            #expect(abs((ended - run.began).milliseconds - Int64(script.milliseconds)) <= 2)
            #expect(run.end == (script.outcome == .failsForGood ? .failed(isRetryable: false) : .completed))
        }
    }

    @Test func a_hundred_crashes_leave_no_job_behind() {
        let colony = Colony(WorldSettings(seed: 10, nodes: 3))
        #expect(colony.untilWhole())
        for round in 0..<100 {
            let node = colony.world.nodes[round % 3]
            colony.submit(3, to: round % 3, HandlerScript(milliseconds: 300, outcome: .ignoresCancellation))
            colony.world.run(for: .milliseconds(40))
            node.crash(round.isMultiple(of: 2) ? .kill : .powerLoss)
            colony.world.run(for: .milliseconds(500))
            node.start()
        }
        #expect(colony.world.nodes.map(\.leakedJobs) == [0, 0, 0])
    }

    @Test func payloads_of_scripts_are_read_as_they_were_written() {
        let script = HandlerScript(milliseconds: 12, outcome: .hangs, failures: 3, resultBytes: 4_000_000_000)
        #expect(HandlerScript(script.payload) == script)
        for text in ["", "[]", "[1,2,3]", "[1,9,3,4]", "[1,300,3,4]", "[1,1,3,4294967296]", "[1,a,3,4]", "{1,1,1,1}"] {
            #expect(HandlerScript(Array(text.utf8)) == nil, "\(text)")
        }
    }
}
