import Primitives
import Service
import TaskLedger
import Testing
import Views

@testable import Node
@testable import Simulation

/// Nodes that begin, or begin again, where something is missing: others, a disk, the right time.
@Suite struct BeginningTests {
    private final class Answers: @unchecked Sendable { var all: [TaskLookup] = [] }
    private final class Replies: @unchecked Sendable { var all: [ReplicaReply] = [] }

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

    /// A backup that was started again knows the view that it had: a primary of before, which was cut off and replaced since,
    /// must not commit by it, even before it has heard anything of the others.
    @Test func a_backup_that_begins_again_does_not_follow_a_primary_that_was_replaced() throws {
        let colony = Colony(WorldSettings(seed: 5, nodes: 3))
        #expect(colony.untilWhole())
        let nodes = colony.world.nodes
        let name = nodes[0].name
        let ledger = try #require((nodes[1].look { $0.view } ?? nil)?.ledgers.first { $0.founder.name == name })
        nodes[0].leave()
        #expect(
            colony.until(.seconds(30)) {
                let view = nodes[1].look { $0.view } ?? nil
                return view?.members.count == 2 && view?.ledger(ledger.id) == nil
            }, "its ledger is retired")
        nodes[1].crash(.kill)
        for other in [0, 2] {
            colony.world.network.cut(from: 1, to: other)
            colony.world.network.cut(from: other, to: 1)
        }
        nodes[1].start()
        #expect(colony.until(.seconds(5)) { nodes[1].isUp })
        colony.world.run(for: .seconds(1))
        let told = Replies()
        nodes[1].look { core in
            core.context.colleagues.replicas.onLoop { replicas in
                let request = AppendRequest(
                    ledger: ledger.id, term: ledger.term, previous: .start, entries: [], committed: 0, offerAfter: 0)
                replicas.handle(request) { told.all.append($0) }
            }
        }
        colony.world.run(for: .seconds(1))
        #expect(told.all == [.sealed(ledger.term.next)])
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
