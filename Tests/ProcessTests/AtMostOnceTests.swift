import APIModel
import Primitives
import Testing

@testable import Command

extension ProcessTests {
    /// `delivery: at_most_once`: a task that may have begun is never begun again, unless somebody asks for a new run.
    @Suite struct AtMostOnce {
        @Test func anInterruptionEndsItAndOnlyANewRunBeginsItAgain() async throws {
            try await LocalCluster.run(.init(slots: 1, hasRedis: false)) { cluster in
                let file = #""count_file": "runs.txt""#
                let task =
                    "{\"task_type\": \"sleep\", \"delivery\": \"at_most_once\", \"max_retries\": 5, "
                    + "\"payload\": {\"seconds\": 30, \(file)}}"
                let id = try await cluster.nodes[0].submit([task])[0]
                try await cluster.await("it runs") { try cluster.runs().count == 1 }
                let ran = try #require(try cluster.runs().first?.node)
                let worker = try #require(cluster.nodes.first { $0.name == ran })
                let others = cluster.nodes.filter { $0.name != ran }
                try await worker.kill()
                try await cluster.awaitHealthy(others, within: .seconds(15))

                let ended = try #require(try await cluster.outcomes(of: [id], from: others).first)
                #expect(ended.status == "failed")
                #expect(ended.error?.type == "interrupted")
                #expect(ended.error?.isRetryable == false)
                #expect(try cluster.runs().count == 1, "it was begun once")

                // Its node comes back with what it knows, and that changes nothing.
                try worker.start()
                try await cluster.awaitHealthy(within: .seconds(15))
                #expect(try await worker.task(id).status == "failed")
                #expect(try cluster.runs().count == 1)

                let again = try await others[1].send(.POST, "/api/tasks/\(id)/retry").document(as: TaskDocument.self)
                #expect(again.run == 2)
                try await cluster.await("the new run has begun") { try cluster.runs().count == 2 }
                let cancelled = try await others[0].send(.DELETE, "/api/tasks/\(id)")
                #expect([200, 202].contains(cancelled.status))
                let last = try #require(try await cluster.outcomes(of: [id], from: others).first)
                #expect(last.status == "cancelled")
                #expect(try cluster.runs().count == 2)
            }
        }

        /// No retry of its own, though its policy has some.
        @Test func aFailureIsFinalAndWhatIsPurgedIsGoneForGood() async throws {
            try await LocalCluster.run(.init(hasRedis: false)) { cluster in
                let task = #"{"task_type": "fail", "delivery": "at_most_once", "max_retries": 3, "payload": {}}"#
                let ids = try await cluster.nodes[0].submit([task]) + (try await cluster.nodes[2].submit([task]))
                for ended in try await cluster.outcomes(of: ids) {
                    #expect(ended.status == "failed")
                    #expect(ended.attempt == 1)
                }
                _ = try await cluster.nodes[1].send(.POST, "/api/dead-letters/purge")
                for (id, node) in zip(ids, cluster.nodes) {
                    let gone = try await node.send(.GET, "/api/tasks/\(id)")
                    #expect(gone.status == 410, "it was there, and has ended")
                }
                let never = TaskID(high: ids[0].high, low: ids[0].low ^ 1)
                #expect(try await cluster.nodes[0].send(.GET, "/api/tasks/\(never)").status == 404)
            }
        }
    }
}
