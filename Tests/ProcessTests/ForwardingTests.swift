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
                let body = #"{"task_type": "echo"}"#
                let refused = try await node.send(.POST, "/api/tasks", body: body)
                #expect(refused.status == 503)
                let headers = try await Curl.headers(of: node.url + "/api/tasks", posting: body)
                let seconds = try #require(headers["retry-after"].flatMap { Int($0) })
                #expect((1...60).contains(seconds))
            }
        }

        /// Nine tasks for three nodes with room for two each: each is told what became of it, from either of two nodes.
        @Test func aBatchIsTakenAsFarAsThereIsRoomAnywhere() async throws {
            try await LocalCluster.run(.init(ofAll: ["--max-queued", "2"])) { cluster in
                let task = #"{"task_type": "sleep", "payload": {"seconds": 2}}"#
                let body = "[" + Array(repeating: task, count: 9).joined(separator: ",") + "]"
                for node in cluster.nodes.prefix(2) {
                    let answer = try await node.send(.POST, "/api/tasks/batch", body: body)
                    #expect(answer.status == 207)
                    let batch = try answer.document(as: BatchDocument.self)
                    #expect(batch.accepted == 6, "\(batch)")
                    var ids: [TaskID] = []
                    for (place, result) in batch.results.enumerated() {
                        switch result {
                        case .accepted(let id):
                            #expect(place < 6, "the first ones")
                            ids.append(id)
                        case .rejected(let problem): #expect(problem.status == 503 && problem.type == "/docs#full")
                        }
                    }
                    let ended = try await cluster.outcomes(of: ids)
                    #expect(ended.allSatisfy { $0.status == "completed" })
                    #expect(Set(ended.map(\.node)).count == 3, "every node took its share")
                    // Ended tasks make room as soon as the registry has their outcomes.
                    try await cluster.await("there is room again") {
                        try await cluster.nodes[2].cluster().members.allSatisfy {
                            $0.load.open == 0 && $0.registry.unwrittenResults == 0
                        }
                    }
                }
            }
        }

        @Test func bytesAreBoundedToo() async throws {
            try await LocalCluster.run(.init(ofAll: ["--max-queued-bytes", "200000"])) { cluster in
                let text = String(repeating: "a", count: 90_000)
                let body = #"{"task_type": "sleep", "delay": 600, "metadata": {}, "payload": {"text": "\#(text)"}}"#
                var owners: [String: Int] = [:]
                for _ in 0..<6 {
                    let answer = try await cluster.nodes[0].send(.POST, "/api/tasks", body: body)
                    owners[try answer.document(as: AcceptedDocument.self).node, default: 0] += 1
                }
                #expect(owners == ["node-1": 2, "node-2": 2, "node-3": 2])
                #expect(try await cluster.nodes[1].send(.POST, "/api/tasks", body: body).status == 503)
                let small = try await cluster.nodes[1].submit("echo", "1")
                #expect(try await cluster.outcomes(of: [small.id]).first?.status == "completed")
                #expect(try await cluster.nodes[2].cluster().queuedBytes > 540_000)
            }
        }
    }
}
