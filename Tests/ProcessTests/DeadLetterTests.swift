import APIModel
import Foundation
import Primitives
import Testing

@testable import Command

extension ProcessTests {
    /// What became of a task, and what one may still do about it: from any node, and after the one that had it is gone.
    @Suite struct DeadLetters {
        private static let payload = #"{"message": "asked to", "retryable": false}"#

        private func letters(at node: TestNode, _ query: String = "") async throws -> Set<TaskID> {
            let page = try await node.get("/api/dead-letters?limit=1000" + query, as: TaskListDocument.self)
            #expect(page.missing == [])
            return Set(page.tasks.map(\.id))
        }

        @Test func deadLettersAreListedRetriedAndPurgedAnywhereAlsoAfterTheirOwnerIsGone() async throws {
            try await LocalCluster.run { cluster in
                let (owner, other, third) = (cluster.nodes[0], cluster.nodes[1], cluster.nodes[2])
                let mails = try await owner.submit(20, "fail", Self.payload)
                let flaky = try await owner.submit(
                    [
                        "{\"task_type\": \"fail\", \"queue\": \"slow\", \"max_retries\": 1, "
                            + "\"payload\": {\"message\": \"try again\", \"retry_after\": 0.2}}"
                    ])
                try await cluster.await("all have failed for good") {
                    try await self.letters(at: other) == Set(mails + flaky)
                }
                #expect(try await letters(at: third, "&queue=slow") == Set(flaky))
                #expect(try await letters(at: third, "&error=try") == Set(flaky))

                try await owner.kill()
                try await cluster.awaitHealthy([other, third], within: .seconds(10))
                #expect(try await letters(at: other) == Set(mails + flaky), "taken over with the rest")
                let letter = try await third.get("/api/dead-letters/\(mails[0])", as: TaskDocument.self)
                #expect(letter.error?.message == "asked to")

                let again = try await third.send(.POST, "/api/dead-letters/\(flaky[0])/retry")
                #expect(again.status == 200, "\(again.status)")
                let task = try await other.get("/api/tasks/\(flaky[0])?wait=20", as: TaskDocument.self)
                #expect(task.run == 2)
                #expect(task.status == "failed")
                #expect(task.attempt == 2, "a new run has all its retries")

                let swept = try await other.send(
                    .POST, "/api/dead-letters/purge", body: #"{"task_type": "fail", "queue": "default"}"#
                ).document(as: SweepDocument.self)
                #expect(swept.count == 20)
                #expect(swept.left == 0)
                try await cluster.await("the purged ones are gone") {
                    try await self.letters(at: third).isDisjoint(with: mails)
                }
                let gone = try await third.send(.POST, "/api/dead-letters/\(mails[0])/retry")
                #expect(gone.status == 404 || gone.status == 409, "\(gone.status)")
            }
        }

        @Test func aWaitingTaskIsChangedAndExplainedFromAnyNodeAndKeepsItsStory() async throws {
            // Without Redis, so that the ledger keeps what has ended.
            try await LocalCluster.run(.init(hasRedis: false)) { cluster in
                let (owner, other, third) = (cluster.nodes[0], cluster.nodes[1], cluster.nodes[2])
                let id = try await owner.submit([#"{"task_type": "echo", "payload": {}, "delay": 600, "priority": 2}"#]
                )[0]
                let why = try await third.get("/api/tasks/\(id)/why", as: WhyDocument.self)
                #expect(why.reason == "not_due", "\(why)")
                #expect(why.until != nil)
                let refused = try await other.send(.PATCH, "/api/tasks/\(id)", body: #"{"priority": 11}"#)
                #expect(refused.status == 422)
                let changed = try await other.send(.PATCH, "/api/tasks/\(id)", body: #"{"priority": 9}"#)
                    .document(as: TaskDocument.self)
                #expect(changed.priority == 9)

                try await owner.kill()
                try await cluster.awaitHealthy([other, third], within: .seconds(10))
                #expect(try await third.task(id).priority == 9, "what was changed is taken over")
                _ = try await third.send(.PATCH, "/api/tasks/\(id)", body: #"{"run_at": null}"#)
                let done = try await other.get("/api/tasks/\(id)?wait=20", as: TaskDocument.self)
                #expect(done.status == "completed")
                let events = try await third.get("/api/tasks/\(id)/events", as: EventsDocument.self)
                let names = events.events.map(\.event)
                #expect(names.first == "accepted")
                #expect(names.last == "completed")
                #expect(names.filter { $0 == "changed" }.count == 2, "\(names)")
                #expect(events.events.map(\.at.milliseconds) == events.events.map(\.at.milliseconds).sorted())

                // What it was like just after each of the changes, by its own history.
                let changes = events.events.filter { $0.event == "changed" }.map(\.at)
                for (at, expected) in [(done.createdAt, "scheduled"), (changes[0], "scheduled"), (.now, "completed")] {
                    let past = try await third.get("/api/tasks/\(id)?at=\(at.rfc3339)", as: TaskDocument.self)
                    #expect(past.status == expected)
                    #expect(past.priority == (at == done.createdAt ? 2 : 9))
                    #expect((past.result != nil) == (expected == "completed"))
                }
                let before = Timestamp(milliseconds: done.createdAt.milliseconds - 1)
                let none = try await other.send(.GET, "/api/tasks/\(id)?at=\(before.rfc3339)")
                #expect(none.status == 404)
                let said = try await Binary.run(
                    ["get", "\(id)", "--at", changes[0].rfc3339, "--node", third.url], home: owner.data)
                #expect(said.code == 0, "\(said.output)")
                #expect(said.output.contains("scheduled"), "\(said.output)")
            }
        }
    }
}
