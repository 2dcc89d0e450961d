import Primitives
import Service
import Testing

@testable import Simulation

/// Nodes that begin, or begin again, where something is missing: others, a disk, the right time.
@Suite struct BeginningTests {
    private final class Answers: @unchecked Sendable { var all: [TaskLookup] = [] }

    /// A first seed with an empty disk, in a network that is cut, must not take the silence for a beginning.
    @Test func without_a_registry_a_cluster_begins_when_most_of_the_seeds_are_there() {
        var settings = WorldSettings(seed: 1, nodes: 3)
        settings.hasRedis = false
        let colony = Colony(settings, starts: false)
        colony.world.nodes[0].start()
        colony.world.run(for: .seconds(30))
        #expect(colony.world.nodes[0].look { $0.view } == .some(nil))
        colony.world.nodes[1].start()
        #expect(colony.untilWhole())
        #expect(colony.world.running.count == 2)
    }

    /// Whoever has the claim may end before it has founded anything.
    @Test func a_claim_of_somebody_who_is_gone_holds_up_the_others_until_it_ends() throws {
        let colony = Colony(WorldSettings(seed: 4, nodes: 3), starts: false)
        let redis = try #require(colony.world.redis)
        _ = redis.claimFounder(ClusterID(high: 9, low: 9), .seconds(10))
        for node in colony.world.nodes { node.start() }
        colony.world.run(for: .seconds(9))
        #expect(colony.world.nodes.allSatisfy { $0.look { $0.view } == .some(nil) })
        #expect(colony.untilWhole(.seconds(10)))
        #expect(redis.cluster != ClusterID(high: 9, low: 9))
    }

    @Test func a_new_disk_and_a_clock_set_back_are_no_other_process() {
        for seconds in [0.3, 20] {
            let colony = Colony(WorldSettings(seed: 2, nodes: 3))
            #expect(colony.untilWhole())
            let node = colony.world.nodes[1]
            let before = node.identity
            colony.world.run(for: .seconds(1))
            node.clock.jumpWall(by: .seconds(-100))
            node.loseDisk()
            colony.world.run(for: .seconds(seconds))
            node.start()
            #expect(colony.untilWhole(.seconds(60)), "after \(seconds) s")
            #expect(colony.world.running.count == 3, "after \(seconds) s: \(node.life)")
            #expect(before.map { $0.generation < node.identity?.generation ?? $0.generation } == true)
        }
    }

    /// "There is no such task" is said only if everybody who may have it was asked.
    @Test func a_task_whose_only_copy_is_away_is_not_unknown() {
        var settings = WorldSettings(seed: 3, nodes: 3)
        settings.copies = 1
        settings.hasRedis = false
        let colony = Colony(settings)
        #expect(colony.until(.seconds(30)) { colony.world.running.allSatisfy { $0.look { $0.isConfirmed } == true } })
        colony.world.run(for: .seconds(1))
        colony.submit(1, to: 0, HandlerScript(milliseconds: 60_000))
        colony.world.run(for: .seconds(1))
        #expect(colony.accepted.count == 1)
        colony.world.nodes[0].crash(.kill)
        let told = Answers()
        for wait in [0.1, 1, 5, 60] {
            colony.world.run(for: .seconds(wait))
            for task in colony.accepted {
                colony.world.nodes[1].call({ await $0.task(task.id, wait: nil) }) { answer in
                    if let answer { told.all.append(answer) }
                }
            }
            colony.world.run(for: .seconds(12))
        }
        #expect(told.all.count == 4)
        #expect(told.all.allSatisfy { if case .unavailable = $0 { true } else { false } }, "\(told.all)")
        colony.world.nodes[0].start()
        colony.world.run(for: .seconds(20))
        #expect(colony.statuses(at: 1).count == 1, "it is back")
    }
}
