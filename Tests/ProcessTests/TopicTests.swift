import APIModel
import Foundation
import Primitives
import Testing

@testable import Command

extension ProcessTests {
    /// Topics on real nodes: one task per subscription and message, whoever is asked, how often, and whoever dies.
    @Suite struct Topics {
        private func subscribe(_ name: String, to topic: String, at node: TestNode) async throws {
            let answer = try await node.send(
                .PUT, "/api/subscriptions/\(name)",
                body: "{\"topic\": \"\(topic)\", \"task\": {\"task_type\": \"echo\", \"queue\": \"\(name)\"}}")
            #expect(answer.status == 201)
        }

        private func publish(
            _ key: String, on topic: String, at node: TestNode
        ) async throws -> (message: PublishedDocument, isReplayed: Bool) {
            let answer = try await node.send(
                .POST, "/api/topics/\(topic)",
                body: "{\"payload\": {\"message\": \"\(key)\"}, \"idempotency_key\": \"\(key)\"}")
            guard answer.status == 202 || answer.status == 200 else {
                throw HarnessError("\(key): \(answer.status) \(String(decoding: answer.body, as: UTF8.self))")
            }
            return (try answer.document(as: PublishedDocument.self), answer.status == 200)
        }

        @Test func oneTaskPerSubscriptionAndMessageThroughACrash() async throws {
            try await LocalCluster.run { cluster in
                let (a, b, c) = (cluster.nodes[0], cluster.nodes[1], cluster.nodes[2])
                try await subscribe("billing", to: "orders.*.paid", at: a)
                try await subscribe("audit", to: "#", at: b)
                try await subscribe("stock", to: "stock.#", at: c)
                try await cluster.await("all know of all") {
                    for node in [a, b, c] {
                        let all = try await node.get("/api/subscriptions", as: SubscriptionsDocument.self)
                        guard all.subscriptions.map(\.name) == ["audit", "billing", "stock"] else { return false }
                    }
                    return true
                }
                var messages: [String: PublishedDocument] = [:]
                for number in 0..<20 {
                    let key = "m\(number)"
                    async let first = publish(key, on: "orders.eu.paid", at: a)
                    async let second = publish(key, on: "orders.eu.paid", at: b)
                    let (one, other) = try await (first, second)
                    #expect(one.message == other.message, "\(key)")
                    #expect(one.isReplayed != other.isReplayed, "\(key) is published once")
                    #expect(one.message.tasks.map(\.subscription) == ["audit", "billing"])
                    messages[key] = one.message
                }
                for queue in ["billing", "audit"] {
                    let page = try await c.get("/api/tasks?queue=\(queue)&limit=100", as: TaskListDocument.self)
                    #expect(page.tasks.count == messages.count, "\(queue)")
                }
                try await a.kill()
                for (key, message) in messages.sorted(by: { $0.key < $1.key }) {
                    let again = try await publish(key, on: "orders.eu.paid", at: c)
                    #expect(again.isReplayed && again.message == message, "\(key) after the crash")
                }
                for message in messages.values {
                    for task in message.tasks {
                        let done = try await b.get("/api/tasks/\(task.id)?wait=20", as: TaskDocument.self)
                        #expect(done.status == "completed" && done.queue == task.subscription)
                        #expect(done.metadata == ["subscription": task.subscription, "topic": "orders.eu.paid"])
                    }
                }
            }
        }
    }
}
