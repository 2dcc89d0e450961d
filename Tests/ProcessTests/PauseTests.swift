import APIModel
import Foundation
import Primitives
import Testing

@testable import Command

extension ProcessTests {
    /// A node that stands still for ten seconds and goes on: the others have taken over, and it must find that out.
    @Suite struct Pause {
        @Test func aPausedNodeLosesNothingAndComesBack() async throws {
            try await LocalCluster.run { cluster in
                let sleeper = cluster.nodes[2]
                let awake = [cluster.nodes[0], cluster.nodes[1]]
                let payload = #"{"milliseconds": 100, "count_file": "runs.txt"}"#
                var ids: [TaskID] = []
                for node in cluster.nodes { ids += try await node.submit(100, "sleep", payload) }
                func runsOfSleeper() throws -> Int { try cluster.runs().count { $0.node == sleeper.name } }
                try await cluster.await("the node has begun") { try runsOfSleeper() > 0 }
                // In the middle of what it does: between the permission to call a handler and the line that tells of the call,
                // nobody could say whether a task was running.
                let count = try runsOfSleeper()
                try await cluster.await("the node begins more") { try runsOfSleeper() > count }
                try await Task.sleep(for: .milliseconds(30))
                try sleeper.signal(SIGSTOP)
                let paused = ContinuousClock.now
                // What has begun by now was really running; nothing that is begun afterwards may be run by others too.
                let begun = Set(try cluster.runs())
                let tasks = try await cluster.outcomes(of: ids, from: awake, within: .seconds(60))
                #expect(tasks.allSatisfy { $0.status == "completed" })

                // The pause itself: long past every time-out by which the others may wait for it.
                try await Task.sleep(until: paused + .seconds(10))
                try sleeper.signal(SIGCONT)
                try await cluster.awaitHealthy(within: .seconds(30))

                // What was recorded stays as it was, whatever the sleeper still reports.
                let outcomes = Dictionary(uniqueKeysWithValues: tasks.map { ($0.id, $0) })
                for id in ids {
                    let before = try #require(outcomes[id])
                    for node in cluster.nodes {
                        let after = try await node.task(id)
                        #expect(after.status == "completed")
                        #expect(after.finishedAt == before.finishedAt)
                        #expect(after.worker == before.worker)
                        #expect(after.result == before.result)
                    }
                }
                let runs = try cluster.runs()
                let again = Dictionary(grouping: runs, by: \.task).values.filter { $0.count > 1 }
                let cutOff = again.filter { $0.contains { $0.node == sleeper.name && begun.contains($0) } }
                #expect(cutOff.count == again.count, "only what it was running is run again")
                #expect(again.count <= 4, "no more than its slots")
                #expect(Set(runs.map { "\($0.task) \($0.token)" }).count == runs.count, "a token was used twice")
                let discarded = try await cluster.nodes[0].cluster().members.reduce(0) {
                    $0 + Int($1.duplicatesDiscarded ?? 0)
                }
                measured("pause of 10 s: \(again.count) tasks run again, \(discarded) duplicates discarded")

                let more = try await sleeper.submit(50, "echo", "1")
                let last = try await cluster.outcomes(of: more, from: awake)
                #expect(last.allSatisfy { $0.status == "completed" })
            }
        }

        /// Another node took its ledger over and still has tasks in it: the one that is back needs a ledger of its own.
        @Test func aNodeThatReturnsWhileItsTasksWaitElsewhereOwnsNewOnes() async throws {
            try await LocalCluster.run { cluster in
                let sleeper = cluster.nodes[2]
                // More than what is done before it is back.
                let ids = try await sleeper.submit(600, "sleep", #"{"milliseconds": 200}"#)
                try sleeper.signal(SIGSTOP)
                try await cluster.await("its ledger is taken over", within: .seconds(10)) {
                    try await cluster.nodes[0].cluster().takeovers.contains { $0.from == sleeper.name }
                }
                try sleeper.signal(SIGCONT)
                try await cluster.await("it takes tasks of its own again", within: .seconds(10)) {
                    guard await ClusterClient.isReady(sleeper.url) else { return false }
                    return try await sleeper.submit("echo", "1").node == sleeper.name
                }
                let open = try await cluster.nodes[0].cluster().members.reduce(0) { $0 + Int($1.load.open) }
                #expect(open > 0, "what was taken over was still at work")
                let tasks = try await cluster.outcomes(of: ids, from: cluster.nodes, within: .seconds(60))
                #expect(tasks.allSatisfy { $0.status == "completed" })
            }
        }
    }
}
