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

        /// What a queue tells of its times is compared with what its tasks say, one by one.
        @Test func timesAreThoseOfTheTasks() async throws {
            try await LocalCluster.run(.init(slots: 2)) { cluster in
                var ids: [TaskID] = []
                for number in 0..<60 {
                    let node = cluster.nodes[number % cluster.nodes.count]
                    let payload = "{\"milliseconds\": \(50 + 5 * number)}"
                    ids += try await node.submit([
                        "{\"task_type\": \"sleep\", \"queue\": \"mail\", \"payload\": \(payload)}"
                    ])
                }
                var waits: [Double] = []
                var runs: [Double] = []
                for id in ids {
                    let task = try await cluster.nodes[0].get("/api/tasks/\(id)?wait=30", as: TaskDocument.self)
                    let (began, ended) = (try #require(task.startedAt), try #require(task.finishedAt))
                    waits.append(Double(began.milliseconds - task.createdAt.milliseconds) / 1000)
                    runs.append(Double(ended.milliseconds - began.milliseconds) / 1000)
                }
                let recent = try await cluster.nodes[1].get("/api/queues/mail", as: QueueDocument.self).recent
                func expect(_ told: QueueDocument.Recent.Times, _ values: [Double], _ name: String) {
                    let sorted = values.sorted()
                    for (part, told) in [(0.5, told.p50), (0.95, told.p95), (0.99, told.p99)] {
                        let real = sorted[Int((part * Double(sorted.count)).rounded(.up)) - 1]
                        measured("\(name), \(part): the queue tells \(told ?? -1) s, its tasks \(real) s")
                        // A sketch is off by a sixteenth; a task's times are in whole milliseconds, of two nodes.
                        #expect(abs((told ?? -1) - real) <= real * 0.08 + 0.02, "\(name) \(part)")
                    }
                }
                expect(recent.wait, waits, "waiting")
                expect(recent.run, runs, "running")
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
