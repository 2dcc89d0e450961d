import APIModel
import Foundation
import Primitives
import Testing

@testable import Command

extension ProcessTests {
    /// Tasks that wait for tasks of other nodes.
    @Suite struct Dependencies {
        private func body(_ type: String, _ payload: String, after parents: [TaskID], policy: String? = nil) -> String {
            let ids = parents.map { "\"\($0)\"" }.joined(separator: ",")
            return #"{"task_type":"\#(type)","payload":\#(payload),"depends_on":[\#(ids)]"#
                + (policy.map { #","on_dependency_failure":"\#($0)""# } ?? "") + "}"
        }

        @Test func aTaskWaitsForTasksOfOtherNodesAndGetsTheirResults() async throws {
            try await LocalCluster.run { cluster in
                let (first, second, third) = (cluster.nodes[0], cluster.nodes[1], cluster.nodes[2])
                let slow = try await first.submit("sleep", #"{"milliseconds":1500}"#).id
                let large = try await second.submit("echo", #""\#(String(repeating: "x", count: 100_000))""#).id
                let child = try await third.accept(body("gather", "null", after: [slow, large]))
                #expect(child.status == "blocked")
                let why = try await first.get("/api/tasks/\(child.id)/why", as: WhyDocument.self)
                #expect(why.reason == "dependencies")
                #expect(why.waitsFor.contains(slow))
                let task = try await second.get("/api/tasks/\(child.id)?wait=20", as: TaskDocument.self)
                #expect(task.status == "completed")
                #expect(task.dependsOn == [slow, large])
                #expect(task.parents.map(\.status) == ["completed", "completed"])
                #expect(task.parents.last?.resultBytes == 100_002)
                // Too large to be handed on; the handler has fetched it.
                #expect(task.parents.last?.result == nil)
                #expect((task.result?.bytes.count ?? 0) > 100_000)
                let parent = try await first.task(slow)
                #expect(try #require(task.startedAt) >= (try #require(parent.finishedAt)))
                let events = try await first.get("/api/tasks/\(child.id)/events", as: EventsDocument.self)
                #expect(events.events.map(\.event).contains("released"))
            }
        }

        @Test func whatFollowsFromAFailureIsAsItsClientWants() async throws {
            try await LocalCluster.run { cluster in
                let parent = try await cluster.nodes[0].accept(#"{"task_type":"fail","max_retries":0}"#).id
                let wanted = ["fail": "failed", "cancel": "cancelled", "run": "completed"]
                for (policy, status) in wanted.sorted(by: { $0.key < $1.key }) {
                    let child = try await cluster.nodes[1].accept(body("noop", "null", after: [parent], policy: policy))
                    let task = try await cluster.nodes[2].get("/api/tasks/\(child.id)?wait=20", as: TaskDocument.self)
                    #expect(task.status == status)
                    #expect(task.parents.map(\.status) == ["failed"])
                    if policy == "fail" { #expect(task.error?.type == "dependency_failed") }
                }
                let unknown = try #require(TaskID("01900000-0000-7000-8000-000000000001"))
                let answer = try await cluster.nodes[1].send(
                    .POST, "/api/tasks", body: body("noop", "null", after: [parent, unknown]))
                #expect(answer.status == 422)
                #expect(String(decoding: answer.body, as: UTF8.self).contains("/depends_on/1"))
            }
        }

        @Test func theDeathOfTheParentsOwnerBlocksNothing() async throws {
            try await LocalCluster.run { cluster in
                let (victim, other) = (cluster.nodes[0], cluster.nodes[1])
                var parents: [TaskID] = []
                for _ in 0..<20 {
                    parents.append(try await victim.submit("sleep", #"{"milliseconds":1000}"#).id)
                }
                var children: [TaskID] = []
                for parent in parents {
                    children.append(
                        try await other.accept(body("gather", "null", after: [parent])).id)
                }
                try await victim.kill()
                let survivors = [cluster.nodes[1], cluster.nodes[2]]
                let tasks = try await cluster.outcomes(of: children, from: survivors)
                #expect(tasks.count == 20)
                #expect(tasks.allSatisfy { $0.status == "completed" && $0.parents.map(\.status) == ["completed"] })
                for task in tasks {
                    let parent = try await survivors[1].task(try #require(task.dependsOn.first))
                    #expect(parent.status == "completed")
                }
            }
        }
    }
}
