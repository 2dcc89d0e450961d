import APIModel
import Primitives
import Testing

@testable import Command

extension ProcessTests {
    /// Redis goes away, comes back empty, and is flushed: no node dies, no task is lost, and results get there in the
    /// end.
    @Suite struct RedisOutage {
        @Test func workGoesOnWithoutRedisAndResultsAreWrittenWhenItIsBack() async throws {
            try await LocalCluster.run { cluster in
                let payload = #"{"milliseconds": 50}"#
                var ids = try await cluster.nodes[0].submit(200, "sleep", payload)
                try await cluster.await("some results are in Redis") {
                    try cluster.redis.results(of: ids.map(\.description), cluster: cluster.name) >= 20
                }
                try await cluster.redis.kill()

                for node in cluster.nodes { ids += try await node.submit(50, "sleep", payload) }
                let tasks = try await cluster.outcomes(of: ids)
                #expect(tasks.allSatisfy { $0.status == "completed" && $0.interruptions == 0 })
                for node in cluster.nodes {
                    let alive = try await node.cluster().members.filter { $0.state == "alive" }
                    #expect(alive.count == cluster.nodes.count, "members are found by gossip")
                }

                try await cluster.redis.start()
                try await expectAllResults(ids, cluster, "after Redis came back empty")
                _ = try cluster.redis.ask("FLUSHALL")
                try await expectAllResults(ids, cluster, "after Redis was flushed")
                try await cluster.awaitHealthy()
            }
        }

        @Test func aNodeStartsWithoutRedisFromItsSeeds() async throws {
            try await LocalCluster.run { cluster in
                let node = cluster.nodes[1]
                try await node.kill()
                try await cluster.redis.kill()
                try await cluster.awaitHealthy([cluster.nodes[0], cluster.nodes[2]], within: .seconds(10))
                try node.start()
                try await cluster.awaitHealthy(within: .seconds(20))
            }
        }

        private func expectAllResults(_ ids: [TaskID], _ cluster: LocalCluster, _ when: String) async throws {
            let begin = ContinuousClock.now
            let names = ids.map(\.description)
            try await cluster.await("all results are in Redis \(when)", within: .seconds(40)) {
                try cluster.redis.results(of: names, cluster: cluster.name) == names.count
            }
            measured("\(names.count) results are in Redis again \(shown(ContinuousClock.now - begin)) \(when)")
        }
    }
}
