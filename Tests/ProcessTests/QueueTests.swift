import APIModel
import Foundation
import Primitives
import Testing

@testable import Command

extension ProcessTests {
    /// Settings of queues, set at one node, that hold at the others, and when one of them is gone.
    @Suite struct Queues {
        private func set(_ node: TestNode, _ queue: String, _ body: String) async throws -> QueueSettingsDocument {
            let answer = try await node.send(.PATCH, "/api/queues/\(queue)", body: body)
            #expect(answer.status == 200, "\(answer.status)")
            return try answer.document(as: QueueSettingsDocument.self)
        }

        private func depth(_ node: TestNode, _ queue: String) async throws -> [String: Int] {
            try await node.get("/api/queues/\(queue)", as: QueueDocument.self).depth
        }

        private func task(_ queue: String, _ more: String = "") -> String {
            "{\"task_type\": \"noop\", \"queue\": \"\(queue)\"\(more)}"
        }

        @Test func aPauseSetAtOneNodeHoldsAtAllAndOutlivesThatNode() async throws {
            try await LocalCluster.run { cluster in
                let (first, second, third) = (cluster.nodes[0], cluster.nodes[1], cluster.nodes[2])
                #expect(try await set(first, "mail", #"{"paused": true, "timeout": 7}"#).isPaused)
                try await cluster.await("the others know") {
                    let settings = try await third.get("/api/queues/mail", as: QueueDocument.self).settings
                    return settings.isPaused && settings.timeout == 7
                }
                let near = try await second.submit((0..<10).map { _ in task("mail") })
                let far = try await third.submit((0..<10).map { _ in task("mail") })
                let other = try await second.submit([task("other")])
                _ = try await third.get("/api/tasks/\(other[0])?wait=20", as: TaskDocument.self)
                #expect(try await depth(third, "mail")["pending"] == 20)
                let why = try await first.get("/api/tasks/\(far[0])/why", as: WhyDocument.self)
                #expect(why.reason == "queue_paused")
                #expect(try await first.get("/api/tasks/\(near[0])", as: TaskDocument.self).timeout == 7)

                try await first.kill()
                try await cluster.awaitHealthy([second, third], within: .seconds(10))
                #expect(try await depth(second, "mail")["pending"] == 20)
                #expect(try await set(third, "mail", #"{"paused": false}"#).isPaused == false)
                try await cluster.await("all have run") {
                    try await self.depth(second, "mail")["completed"] == 20
                }
            }
        }

        @Test func aRateHoldsForAllNodesTogether() async throws {
            try await LocalCluster.run { cluster in
                let (first, second, third) = (cluster.nodes[0], cluster.nodes[1], cluster.nodes[2])
                #expect(try await set(second, "mail", #"{"rate_limit": 50}"#).rateLimit == 50)
                for node in [first, second, third] {
                    _ = try await node.submit((0..<200).map { _ in task("mail") })
                }
                func completed() async throws -> Int { try await depth(third, "mail")["completed"] ?? 0 }
                try await cluster.await("it has begun") { try await completed() > 10 }
                let clock = ContinuousClock()
                let (begin, before) = (clock.now, try await completed())
                try await cluster.await("a part of it is done") { try await completed() >= before + 200 }
                let seconds = Double((clock.now - begin).milliseconds) / 1000
                let rate = Double(try await completed() - before) / seconds
                measured("rate limit 50 a second on three nodes: \(rate) a second over \(seconds) s")
                #expect((30...54).contains(rate), "\(rate)")
            }
        }

        @Test func aFullQueueIsRefusedAndSaysWhen() async throws {
            try await LocalCluster.run { cluster in
                let (first, second) = (cluster.nodes[0], cluster.nodes[1])
                _ = try await set(first, "mail", #"{"paused": true, "max_length": 7}"#)
                _ = try await second.submit((0..<7).map { _ in task("mail") })
                try await cluster.await("it is full") {
                    let answer = try await second.send(.POST, "/api/tasks", body: self.task("mail"))
                    return answer.status == 503
                }
                #expect(try await depth(first, "mail")["pending"] == 7)
            }
        }
    }
}
