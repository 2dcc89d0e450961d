import APIModel
import Foundation
import Primitives
import Testing

@testable import Command

extension ProcessTests {
    /// SIGTERM: a node hands over what it has and leaves, and nobody notices.
    @Suite struct Leave {
        @Test func aNodeThatLeavesInterruptsNothing() async throws {
            try await LocalCluster.run { cluster in
                let leaver = cluster.nodes[0]
                let others = [cluster.nodes[1], cluster.nodes[2]]
                let ids = try await leaver.submit(300, "sleep", #"{"milliseconds": 100, "count_file": "runs.txt"}"#)
                try await cluster.await("the node runs some of them") {
                    try cluster.runs().contains { $0.node == leaver.name }
                }
                let begin = ContinuousClock.now
                #expect(try await leaver.terminate(within: .seconds(30)) == 0)
                measured("a node with 300 tasks left after \(shown(ContinuousClock.now - begin))")

                let tasks = try await cluster.outcomes(of: ids, from: others)
                #expect(tasks.count == 300)
                let fates = Dictionary(
                    grouping: tasks, by: { "\($0.status), attempt \($0.attempt), \($0.interruptions) interruptions" })
                #expect(Array(fates.keys) == ["completed, attempt 1, 0 interruptions"], "\(fates.mapValues(\.count))")
                let runs = try cluster.runs()
                #expect(runs.count == 300, "every task was run once")
                #expect(Set(runs.map(\.task)).count == 300)

                try await cluster.awaitHealthy(others, within: .seconds(10))
                let state = try await others[0].cluster().members.first { $0.name == leaver.name }?.state
                #expect(state == nil || state == "left", "it did not die: \(state ?? "")")
            }
        }

        @Test func aNodeAloneLeavesToo() async throws {
            try await LocalCluster.run(.init(nodes: 1)) { cluster in
                let ids = try await cluster.nodes[0].submit(20, "echo", "1")
                _ = try await cluster.outcomes(of: ids)
                #expect(try await cluster.nodes[0].terminate(within: .seconds(30)) == 0)
            }
        }

        @Test func aSecondSignalEndsANodeAtOnce() async throws {
            try await LocalCluster.run(.init(nodes: 1, slots: 1)) { cluster in
                let node = cluster.nodes[0]
                // Something to wait for: nobody else can finish it.
                _ = try await node.submit("sleep", #"{"seconds": 25, "count_file": "runs.txt"}"#)
                try await cluster.await("it runs") { try !cluster.runs().isEmpty }
                try node.signal(SIGTERM)
                try await cluster.await("it is leaving") { await !ClusterClient.isReady(node.url) }
                let begin = ContinuousClock.now
                #expect(try await node.terminate(within: .seconds(5)) == 128 + SIGTERM)
                #expect(ContinuousClock.now - begin < .seconds(2))
            }
        }
    }
}
