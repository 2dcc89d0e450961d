import APIModel
import Foundation
import Primitives
import Testing

@testable import Command

extension ProcessTests {
    /// Workflows, submitted at one node and looked at from another.
    @Suite struct Workflows {
        private func submit(_ body: String, at node: TestNode) async throws -> AcceptedWorkflowDocument {
            try await node.send(.POST, "/api/workflows", body: body).document(as: AcceptedWorkflowDocument.self)
        }

        private func ended(_ id: TaskID, at node: TestNode, _ cluster: LocalCluster) async throws -> WorkflowDocument {
            try await cluster.await("the workflow has ended") {
                let answer = try await node.send(.GET, "/api/workflows/\(id)")
                guard answer.status == 200 else { return false }
                return try answer.document(as: WorkflowDocument.self).finishedAt != nil
            }
            return try await node.get("/api/workflows/\(id)", as: WorkflowDocument.self)
        }

        @Test func aGraphRunsAndEveryNodeShowsIt() async throws {
            try await LocalCluster.run { cluster in
                let accepted = try await submit(
                    #"""
                    {"name":"report","tasks":[
                      {"ref":"a","task_type":"echo","payload":1},{"ref":"b","task_type":"echo","payload":2},
                      {"ref":"c","task_type":"sleep","payload":{"milliseconds":300},"depends_on":["a"]}],
                     "gather":{"task_type":"gather","policy":"all"},
                     "on_success":{"task_type":"noop"},"on_failure":{"task_type":"noop"},"always":{"task_type":"noop"}}
                    """#, at: cluster.nodes[0])
                #expect(accepted.tasks.map(\.ref) == ["a", "b", "c", "gather"])
                let early = try await cluster.nodes[1].get("/api/workflows/\(accepted.id)", as: WorkflowDocument.self)
                #expect(early.finishedAt == nil)
                #expect(early.edges.contains { $0.from == "a" && $0.to == "c" })
                let workflow = try await ended(accepted.id, at: cluster.nodes[2], cluster)
                #expect(workflow.status == "completed")
                #expect(workflow.progress.completed == 4)
                #expect(workflow.tasks.map(\.ref).sorted() == ["a", "always", "b", "c", "gather", "on_success"])
                let gathered = try await cluster.nodes[1].task(try #require(accepted.tasks.last?.id))
                #expect(gathered.result?.text.contains("parents") == true)
                let list = try await cluster.nodes[1].get("/api/workflows", as: WorkflowListDocument.self)
                #expect(list.workflows.map(\.name) == ["report"])
                // A workflow is no task of any queue.
                let tasks = try await cluster.nodes[1].get("/api/tasks", as: TaskListDocument.self)
                #expect(!tasks.tasks.contains { $0.id == accepted.id })
            }
        }

        @Test func aSagaIsUndoneThoughItsOwnerDies() async throws {
            try await LocalCluster.run { cluster in
                let victim = cluster.nodes[0]
                let undo = #""compensate":{"task_type":"sleep","payload":{"milliseconds":200,"count_file":"undo.txt"}}"#
                var ids: [TaskID] = []
                for _ in 0..<5 {
                    ids.append(
                        try await submit(
                            #"{"chain":[{"ref":"a","task_type":"noop",\#(undo)},{"ref":"b","task_type":"noop",\#(undo)},"#
                                + #"{"ref":"c","task_type":"sleep","payload":{"milliseconds":800},\#(undo)},"#
                                + #"{"ref":"d","task_type":"fail","max_retries":0,\#(undo)}]}"#, at: victim
                        ).id)
                }
                try await cluster.await("a step runs") {
                    try await cluster.nodes[1].get("/api/workflows/\(ids[0])", as: WorkflowDocument.self)
                        .progress.completed >= 2
                }
                try await victim.kill()
                for id in ids {
                    let workflow = try await ended(id, at: cluster.nodes[2], cluster)
                    #expect(workflow.status == "failed")
                    #expect(workflow.failedBy == "d")
                    let undone = workflow.tasks.filter { $0.role == "compensation" }
                        .sorted { ($0.startedAt?.milliseconds ?? 0) < ($1.startedAt?.milliseconds ?? 0) }
                    #expect(undone.map(\.ref) == ["c", "b", "a"])
                    #expect(undone.allSatisfy { $0.status == "completed" })
                }
            }
        }

        @Test func tasksAreAddedFromAnyNodeWhileItRuns() async throws {
            try await LocalCluster.run { cluster in
                let accepted = try await submit(
                    #"{"tasks":[{"ref":"a","task_type":"sleep","payload":{"milliseconds":1500}}]}"#,
                    at: cluster.nodes[0])
                let path = "/api/workflows/\(accepted.id)/tasks"
                let body =
                    #"{"tasks":[{"ref":"b","task_type":"echo","depends_on":["a"]},"#
                    + #"{"ref":"c","task_type":"gather","depends_on":["b"]}]}"#
                let first = try await cluster.nodes[1].send(.POST, path, body: body)
                    .document(as: ExtendedWorkflowDocument.self)
                #expect(first.tasks.map(\.ref) == ["a", "b", "c"])
                // Again, as after an answer that was lost.
                let second = try await cluster.nodes[2].send(.POST, path, body: body)
                    .document(as: ExtendedWorkflowDocument.self)
                #expect(second == first)
                let workflow = try await ended(accepted.id, at: cluster.nodes[2], cluster)
                #expect(workflow.status == "completed")
                #expect(workflow.progress.total == 3)
                let late = try await cluster.nodes[1].send(
                    .POST, path, body: #"{"tasks":[{"ref":"d","task_type":"noop"}]}"#)
                #expect(late.status == 409)
            }
        }

        /// What a step returns decides how many tasks there are, and the node that adds them dies.
        @Test func aHandlerAddsTasksWhileItRuns() async throws {
            try await LocalCluster.run { cluster in
                let victim = cluster.nodes[0]
                var ids: [TaskID] = []
                for _ in 0..<10 {
                    ids.append(
                        try await submit(
                            #"{"tasks":[{"ref":"list","task_type":"echo","payload":[10,20,30]},"#
                                + #"{"ref":"split","task_type":"for_each","depends_on":["list"],"priority":9,"#
                                + #""payload":{"task_type":"echo","then":"gather"}}]}"#, at: victim
                        ).id)
                }
                try await victim.kill()
                for id in ids {
                    let workflow = try await ended(id, at: cluster.nodes[1], cluster)
                    #expect(workflow.status == "completed")
                    #expect(
                        workflow.tasks.map(\.ref).sorted()
                            == ["list", "split", "split-0", "split-1", "split-2", "split-then"])
                    let last = try #require(workflow.tasks.first { $0.ref == "split-then" }?.id)
                    let gathered = try await cluster.nodes[2].task(last)
                    #expect(gathered.priority == 9, "as the task that has added it")
                    let text = gathered.result?.text ?? ""
                    #expect(["10", "20", "30"].allSatisfy { text.contains("\"result\":\($0)") }, "\(text)")
                }
            }
        }

        @Test func aCancelledWorkflowBeginsNothingMore() async throws {
            try await LocalCluster.run { cluster in
                let accepted = try await submit(
                    #"{"chain":[{"task_type":"sleep","payload":{"milliseconds":1000}},{"task_type":"noop"}]}"#,
                    at: cluster.nodes[0])
                let answer = try await cluster.nodes[1].send(.DELETE, "/api/workflows/\(accepted.id)")
                #expect(answer.status == 202)
                let workflow = try await ended(accepted.id, at: cluster.nodes[2], cluster)
                #expect(workflow.status == "cancelled")
                #expect(workflow.tasks.last?.status == "cancelled")
                let again = try await cluster.nodes[1].send(.DELETE, "/api/workflows/\(accepted.id)")
                #expect(again.status == 409)
            }
        }
    }
}
