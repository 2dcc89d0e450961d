import APIModel
import NIOHTTP1
import Primitives
import Testing

@testable import Command

extension ProcessTests {
    /// A node that cannot take a task passes it on, one hop; when nobody can, the client is told when to try again.
    @Suite struct Forwarding {
        private let long = #"{"seconds": 5}"#

        @Test func aFullNodeForwards() async throws {
            try await LocalCluster.run(.init(ofTheFirst: ["--max-queued", "5"])) { cluster in
                let full = cluster.nodes[0]
                var owners: [String: Int] = [:]
                for _ in 0..<8 { owners[try await full.submit("sleep", long).node, default: 0] += 1 }
                #expect(owners[full.name] == 5, "\(owners)")
                #expect(owners.values.reduce(0, +) == 8)

                let forwarded = try await full.submit("echo", "[7]")
                #expect(forwarded.node != full.name)
                #expect(forwarded.durability.level == "replicated")
                #expect(forwarded.durability.holders.first == forwarded.node)
                let done = try await cluster.outcomes(of: [forwarded.id])
                #expect(done.first?.status == "completed")
            }
        }

        @Test func aDrainingNodeForwards() async throws {
            try await LocalCluster.run { cluster in
                let draining = cluster.nodes[1]
                _ = try await draining.send(.POST, "/api/cluster/drain")
                try await cluster.await("it drains") { await !ClusterClient.isReady(draining.url) }
                let accepted = try await draining.submit("echo", "1")
                #expect(accepted.node != draining.name)
                #expect(try await cluster.outcomes(of: [accepted.id]).first?.status == "completed")
            }
        }

        @Test func whenAllAreFullTheClientIsToldToTryAgain() async throws {
            try await LocalCluster.run(.init(nodes: 1, ofTheFirst: ["--max-queued", "2"])) { cluster in
                let node = cluster.nodes[0]
                for _ in 0..<2 { _ = try await node.submit("sleep", long) }
                let refused = try await node.send(.POST, "/api/tasks", body: #"{"task_type": "echo"}"#)
                #expect(refused.status == 503)
            }
        }
    }
}
