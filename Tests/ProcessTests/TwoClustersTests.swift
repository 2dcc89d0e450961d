import APIModel
import Testing

@testable import Command

extension ProcessTests {
    /// Two clusters that share a Redis, and of which one is told the other's addresses, stay two clusters.
    @Suite struct TwoClusters {
        @Test func neighboursDoNotMix() async throws {
            try await LocalCluster.run(.init(nodes: 2, name: "left")) { left in
                let strangers = left.nodes.map(\.peerPort)
                let options = LocalCluster.Options(nodes: 2, name: "right", redis: left.redis, extraSeeds: strangers)
                try await LocalCluster.run(options) { right in
                    let ofLeft = try await left.nodes[0].submit(50, "echo", #""left""#)
                    let ofRight = try await right.nodes[0].submit(50, "echo", #""right""#)
                    #expect(try await left.outcomes(of: ofLeft).allSatisfy { $0.result?.text == #""left""# })
                    #expect(try await right.outcomes(of: ofRight).allSatisfy { $0.result?.text == #""right""# })

                    let documents = (try await left.nodes[0].cluster(), try await right.nodes[0].cluster())
                    #expect(documents.0.id != documents.1.id)
                    #expect(documents.0.id != nil && documents.1.id != nil)
                    #expect(documents.0.name == "left" && documents.1.name == "right")
                    for id in ofLeft.prefix(3) {
                        #expect(try await right.nodes[1].send(.GET, "/api/tasks/\(id)").status == 404)
                    }
                    try await left.awaitHealthy()
                    try await right.awaitHealthy()
                    try await left.await("each has its results under its own name") {
                        try left.redis.results(of: ofLeft.map(\.description), cluster: "left") == 50
                            && left.redis.results(of: ofRight.map(\.description), cluster: "right") == 50
                            && left.redis.results(of: ofLeft.map(\.description), cluster: "right") == 0
                    }
                }
            }
        }
    }
}
