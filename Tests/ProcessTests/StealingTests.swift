import APIModel
import Primitives
import Testing

@testable import Command

extension ProcessTests {
    /// Work that arrives at one node is done by all.
    @Suite struct Stealing {
        @Test func tasksOfOneNodeAreRunByAllNodes() async throws {
            try await LocalCluster.run { cluster in
                let count = 400
                let milliseconds = 50
                let ids = try await cluster.nodes[0].submit(count, "sleep", #"{"milliseconds": \#(milliseconds)}"#)
                let tasks = try await cluster.outcomes(of: ids)
                #expect(tasks.count == count)
                #expect(tasks.allSatisfy { $0.status == "completed" && $0.attempt == 1 })

                var shares: [String: Int] = [:]
                for task in tasks { shares[task.worker ?? "nobody", default: 0] += 1 }
                #expect(Set(shares.keys) == Set(cluster.nodes.map(\.name)))
                #expect(tasks.allSatisfy { $0.stolenBy == ($0.worker == $0.node ? nil : $0.worker) })

                let begin = try #require(tasks.map(\.createdAt.milliseconds).min())
                let end = try #require(tasks.compactMap(\.finishedAt?.milliseconds).max())
                let makespan = Double(end - begin) / 1000
                let ideal = Double(count * milliseconds) / 1000 / Double(cluster.nodes.count * 4)
                let parts = shares.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
                measured(
                    "400 sleeps of 50 ms to one of 3 nodes with 4 slots: \(shown(.seconds(makespan), digits: 2)), ideal \(shown(.seconds(ideal), digits: 2)); \(parts)"
                )
                // The machine that tests run on is busy with other things too: this is no benchmark.
                #expect(makespan <= 1.5 * ideal)
            }
        }
    }
}
