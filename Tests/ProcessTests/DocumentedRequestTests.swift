import APIModel
import Foundation
import Primitives
import Testing

@testable import Command

extension ProcessTests {
    /// The requests of the documents that this project grew from, taken as they stand there, at any node.
    @Suite struct DocumentedRequests {
        private static let submissions: [(path: String, body: String, priority: Int, result: String)] = [
            (
                "/api/tasks",
                #"{"task_type":"email","payload":{"to":"user@example.com","subject":"Hello","body":"Hi"},"priority":5}"#,
                5, "message_id"
            ),
            ("/tasks", #"{"type":"process","data":"some text to process","priority":"high"}"#, 8, "words"),
            (
                "/tasks",
                #"{"name":"send_email","payload":{"to":["user@example.com"],"subject":"Welcome"},"priority":7}"#, 7,
                "message_id"
            ),
        ]

        @Test func everyNodeTakesThemAsTheyAre() async throws {
            try await LocalCluster.run { cluster in
                for (index, node) in cluster.nodes.prefix(2).enumerated() {
                    let other = cluster.nodes[index + 1]
                    for (path, body, priority, result) in Self.submissions {
                        let answer = try await node.send(.POST, path, body: body)
                        #expect(answer.status == 202, "\(body): \(answer.problem)")
                        let accepted = try answer.document(as: AcceptedDocument.self)
                        #expect(accepted.priority == priority)
                        let task = try await other.get("/tasks/\(accepted.id)?wait=20", as: TaskDocument.self)
                        #expect(task.status == "completed", "\(body): \(task.error?.message ?? "")")
                        #expect(task.result?.text.contains("\"\(result)\"") == true)
                    }
                    let late = try await node.send(
                        .POST, "/tasks", body: #"{"name":"send_email","payload":{},"delay":600}"#
                    ).document(as: AcceptedDocument.self)
                    let pending = try await other.get("/tasks?status=pending&limit=10", as: TaskListDocument.self)
                    #expect(pending.tasks.isEmpty && pending.missing.isEmpty)
                    let scheduled = try await other.get("/tasks?status=scheduled&limit=10", as: TaskListDocument.self)
                    #expect(scheduled.tasks.map(\.id).contains(late.id))
                    let workers = try await node.get("/workers", as: WorkersDocument.self)
                    #expect(workers.slots == 12)
                    #expect(workers.nodes.map(\.node).sorted() == cluster.nodes.map(\.name))
                    let health = try await node.get("/health", as: HealthDocument.self)
                    #expect(health.members == 3)
                    #expect(health.node == node.name)
                }
            }
        }
    }
}
