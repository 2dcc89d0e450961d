import APIModel
import Foundation
import Primitives
import Testing

@testable import Command

extension ProcessTests {
    /// Whoever gave a `callback_url` is told of the end there, whoever dies meanwhile.
    @Suite struct Callbacks {
        private static let secret =
            "whsec_" + Data((0..<32).map { _ in UInt8.random(in: 0...255) }).base64EncodedString()

        /// A cluster whose nodes have the secret, and a port where nobody listens yet.
        private func run(_ body: (LocalCluster, UInt16) async throws -> Void) async throws {
            let folder = FileManager.default.temporaryDirectory.path + "/apus-callbacks-\(UUID().uuidString)"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let file = folder + "/secrets"
            try Data((Self.secret + "\n").utf8).write(to: URL(filePath: file))
            let port = try #require(Ports.firstFree(from: UInt16.random(in: 12_000..<32_000), except: []))
            try await LocalCluster.run(LocalCluster.Options(ofAll: ["--callback-secrets", file])) { cluster in
                try await body(cluster, port)
            }
        }

        private func task(_ type: String, _ payload: String, _ port: UInt16, _ more: String = "") -> String {
            "{\"task_type\": \"\(type)\", \"payload\": \(payload)\(more), "
                + "\"callback_url\": \"http://127.0.0.1:\(port)/ended\"}"
        }

        @Test func everyEndIsToldThoughTheOwnerDiesAboutThenAndTheReceiverIsAway() async throws {
            try await run { cluster, port in
                let (owner, others) = (cluster.nodes[0], Array(cluster.nodes.dropFirst()))
                // They end one after the other, so that whenever the owner dies some are about to.
                let tasks = (0..<200).map { task("sleep", "{\"milliseconds\": \($0 % 20)}", port) }
                let ids = try await owner.submit(tasks)
                try await cluster.await("some have ended") {
                    try await others[0].send(.GET, "/api/tasks?status=completed&task_type=sleep&limit=100").body.count
                        > 5000
                }
                try await owner.kill()
                try await cluster.awaitHealthy(others, within: .seconds(10))
                let ended = try await cluster.outcomes(of: ids, from: others)
                #expect(ended.count == ids.count && ended.allSatisfy { $0.status == "completed" })
                let receiver = try await Receiver(port: port, secret: Self.secret)
                let begin = ContinuousClock.now
                try await cluster.await("all are told", within: .seconds(60)) {
                    Set(receiver.deliveries.map(\.message.data.id)) == Set(ids)
                }
                measured("200 callbacks told \(ContinuousClock.now - begin) after their receiver had come")
                let told = receiver.deliveries
                #expect(receiver.faults == [])
                #expect(
                    told.allSatisfy { $0.message.type == "task.completed" && $0.message.data.status == "completed" })
                #expect(Set(told.map(\.id)).count == ids.count, "each end has one message, whoever has told it")
                // The document names the message, at any node.
                for (position, id) in ids.enumerated() where position % 20 == 0 {
                    let callback = try #require(try await others[position % 2].task(id).callback)
                    #expect(
                        Set(told.filter { $0.message.data.id == id }.map(\.id)) == ["\(try #require(callback.taskID))"])
                }
                try await receiver.stop()
            }
        }

        @Test func eachKindOfEndIsToldAndANewRunAgain() async throws {
            try await run { cluster, port in
                let (first, second) = (cluster.nodes[0], cluster.nodes[1])
                let receiver = try await Receiver(port: port, secret: Self.secret)
                let waiting = ", \"delay\": 600"
                let failed = try await first.accept(task("fail", "{\"retryable\": false}", port)).id
                let cancelled = try await first.accept(task("echo", "1", port, waiting)).id
                let expired = try await second.accept(task("echo", "1", port, ", \"expires_in\": 0.5, \"delay\": 0.4"))
                    .id
                _ = try await second.send(.DELETE, "/api/tasks/\(cancelled)")
                func told(_ id: TaskID) -> [String] {
                    receiver.deliveries.filter { $0.message.data.id == id }.map {
                        "\($0.message.type) \($0.message.data.run)"
                    }
                }
                try await cluster.await("failed and cancelled are told") {
                    !told(failed).isEmpty && !told(cancelled).isEmpty
                }
                #expect(told(failed) == ["task.failed 1"] && told(cancelled) == ["task.cancelled 1"])
                let end = try await second.get("/api/tasks/\(expired)?wait=20", as: TaskDocument.self).status
                try await cluster.await("the third is told") { told(expired) == ["task.\(end) 1"] }
                #expect(try await second.send(.POST, "/api/tasks/\(failed)/retry").status == 200)
                try await cluster.await("the new run is told") { told(failed) == ["task.failed 1", "task.failed 2"] }
                let ids = receiver.deliveries.filter { $0.message.data.id == failed }.map(\.id)
                #expect(Set(ids).count == 2)
                try await cluster.await("the delivery is seen to have completed") {
                    try await second.task(failed).callback?.status == "completed"
                }
                #expect(receiver.faults == [])
                // The secret is nowhere but in its file.
                for node in cluster.nodes {
                    let journal = try FileManager.default.subpathsOfDirectory(atPath: node.data)
                    for path in [node.log] + journal.map({ node.data + "/" + $0 }) {
                        let content = FileManager.default.contents(atPath: path) ?? Data()
                        #expect(content.range(of: Data(Self.secret.dropFirst(6).utf8)) == nil, "\(path)")
                    }
                }
                try await receiver.stop()
            }
        }

        @Test func withoutASecretNoneIsTaken() async throws {
            try await LocalCluster.run(LocalCluster.Options(nodes: 1)) { cluster in
                let node = cluster.nodes[0]
                let bodies = [
                    ("/api/tasks", task("echo", "1", 9)),
                    (
                        "/api/workflows",
                        "{\"chain\": [{\"task_type\": \"echo\"}], \"callback_url\": \"http://127.0.0.1:9\"}"
                    ),
                    ("/api/workflows", "{\"chain\": [\(task("echo", "1", 9))]}"),
                ]
                for (path, body) in bodies {
                    let answer = try await node.send(.POST, path, body: body)
                    #expect(answer.status == 422)
                    let problem = try JSONDecoder().decode(ProblemDocument.self, from: Data(answer.body))
                    #expect(problem.errors.map(\.pointer) == ["/callback_url"])
                    #expect(problem.detail.contains("--callback-secrets"))
                }
                let schedule = "{\"interval\": 60, \"task\": \(task("echo", "1", 9))}"
                #expect(try await node.send(.PUT, "/api/schedules/s", body: schedule).status == 422)
                let batch = "[{\"task_type\": \"echo\"}, \(task("echo", "1", 9))]"
                let answer = try await node.send(.POST, "/api/tasks/batch", body: batch).document(
                    as: BatchDocument.self)
                #expect(answer.accepted == 1 && answer.rejected == 1)
            }
        }
    }
}
