import APIModel
import Foundation
import Primitives
import Testing

@testable import Command

extension ProcessTests {
    /// Idempotency keys and ordering keys on real nodes: at two nodes at the same time, through a crash, and through a join.
    @Suite struct Keys {
        private struct Told: Hashable {
            var id: TaskID
            var status: UInt
            var isReplayed: Bool
        }

        private func submit(_ key: String, at node: TestNode, order: String? = nil) async throws
            -> Told
        {
            let ordering = order.map { ", \"ordering_key\": \"\($0)\"" } ?? ""
            let body =
                "{\"task_type\": \"sleep\", \"payload\": {\"seconds\": 0.05}, "
                + "\"idempotency_key\": \"\(key)\"\(ordering)}"
            let answer = try await node.send(.POST, "/api/tasks", body: body)
            guard answer.status == 202 || answer.status == 200 else {
                throw HarnessError(
                    "\(key) at \(node.name): \(answer.status) \(String(decoding: answer.body, as: UTF8.self))")
            }
            let id = try JSONDecoder().decode(Identified.self, from: Data(answer.body)).id
            return Told(id: id, status: answer.status, isReplayed: answer.status == 200)
        }

        private struct Identified: Decodable { var id: TaskID }

        /// Of the same key at two nodes at once.
        private func race(_ keys: [String], _ a: TestNode, _ b: TestNode) async throws -> [String: TaskID] {
            var ids: [String: TaskID] = [:]
            for key in keys {
                async let first = submit(key, at: a)
                async let second = submit(key, at: b)
                let (one, other) = try await (first, second)
                #expect(one.id == other.id, "\(key)")
                #expect([one, other].count { !$0.isReplayed } == 1, "\(key) is accepted once")
                ids[key] = one.id
            }
            return ids
        }

        @Test func oneTaskForAKeyAtTwoNodesAtOnceThroughACrashAndAJoin() async throws {
            try await LocalCluster.run { cluster in
                let (a, b, c) = (cluster.nodes[0], cluster.nodes[1], cluster.nodes[2])
                var ids = try await race((0..<40).map { "first-\($0)" }, a, b)

                let other = try await c.send(
                    .POST, "/api/tasks",
                    body: "{\"task_type\": \"sleep\", \"payload\": {\"seconds\": 9}, \"idempotency_key\": \"first-0\"}")
                #expect(other.status == 422)

                try await a.kill()
                // While nobody has taken over yet: these are answered all the same.
                for (key, id) in ids.sorted(by: { $0.key < $1.key }) {
                    let told = try await submit(key, at: c)
                    #expect(told.isReplayed && told.id == id, "\(key) after the crash")
                }
                ids.merge(try await race((0..<40).map { "second-\($0)" }, b, c)) { $1 }

                try a.start()
                try await cluster.awaitHealthy()
                try await cluster.await("the one that came back is the home of some keys") {
                    let document = try await b.cluster()
                    return document.members.count == 3
                }
                for (key, id) in ids.sorted(by: { $0.key < $1.key }) {
                    let told = try await submit(key, at: a)
                    #expect(told.isReplayed && told.id == id, "\(key) after the join")
                }
                _ = try await race((0..<40).map { "third-\($0)" }, a, c)
            }
        }

        @Test func tasksOfOneOrderingKeyRunInTheirOrderWhoeverTookThemAndWhoeverDies() async throws {
            try await LocalCluster.run { cluster in
                var ids: [TaskID] = []
                for number in 0..<60 {
                    let node = cluster.nodes[number % 3 == 0 && number > 20 ? 1 : number % 3]
                    ids.append(
                        try await submit(
                            "order-\(number)",
                            at: number > 20 && node.name == cluster.nodes[0].name ? cluster.nodes[2] : node,
                            order: "o"
                        ).id)
                    if number == 20 { try await cluster.nodes[0].kill() }
                }
                var last: Timestamp?
                for id in ids {
                    let task = try await cluster.nodes[1].get("/api/tasks/\(id)?wait=30", as: TaskDocument.self)
                    #expect(task.status == "completed")
                    let started = try #require(task.startedAt)
                    if let last { #expect(started >= last, "\(id) started before the one before it ended") }
                    last = task.finishedAt
                }
            }
        }
    }
}
