import APIModel
import NIOHTTP1
import Primitives
import Testing

@testable import Command

extension ProcessTests {
    /// Request and reply: who submits, or asks, may wait for the end, at any node, and whoever dies meanwhile.
    @Suite struct Waiting {
        @Test func theAnswerIsTheOutcomeOrAfterTheWaitTheReceipt() async throws {
            try await LocalCluster.run { cluster in
                for node in cluster.nodes.prefix(2) {
                    let done = try await node.send(
                        .POST, "/api/tasks?wait=20", body: #"{"task_type": "echo", "payload": [1]}"#)
                    #expect(done.status == 200)
                    let task = try done.document(as: TaskDocument.self)
                    #expect(task.status == "completed")
                    #expect(task.result?.text == "[1]")
                    let late = try await node.send(
                        .POST, "/api/tasks?wait=0.2", body: #"{"task_type": "sleep", "payload": {"seconds": 2}}"#)
                    #expect(late.status == 202)
                    let accepted = try late.document(as: AcceptedDocument.self)
                    let same = try await cluster.nodes[2].get(
                        "/api/tasks/\(accepted.id)?wait=20", as: TaskDocument.self)
                    #expect(same.status == "completed")
                }
            }
        }

        @Test func aLongPollOutlivesTheOwnerOfTheTask() async throws {
            try await LocalCluster.run { cluster in
                let (owner, other, third) = (cluster.nodes[0], cluster.nodes[1], cluster.nodes[2])
                // It waits long enough for its owner to die, and is due soon after.
                let id = try await owner.submit([#"{"task_type": "echo", "payload": 7, "delay": 3}"#])[0]
                async let first = other.get("/api/tasks/\(id)?wait=25", as: TaskDocument.self)
                async let second = third.get("/api/tasks/\(id)?wait=25", as: TaskDocument.self)
                try await owner.kill()
                for task in [try await first, try await second] {
                    #expect(task.status == "completed")
                    #expect(task.result?.text == "7")
                }
            }
        }
    }
}
