import APIModel
import Foundation
import Primitives
import Testing

@testable import Command

extension ProcessTests {
    /// Results of many megabytes: kept by two nodes, and by two again when one of them is gone.
    @Suite struct LargeResults {
        private static let part = 900_000
        private static let parts = 10

        /// About nine megabytes: what ten tasks have returned, put together by one more.
        private func submit(to cluster: LocalCluster) async throws -> TaskID {
            let text = String(repeating: "x", count: Self.part)
            var parents: [TaskID] = []
            for number in 0..<Self.parts {
                let node = cluster.nodes[number % cluster.nodes.count]
                parents.append(try await node.submit("echo", #""\#(text)""#).id)
            }
            let ids = parents.map { "\"\($0)\"" }.joined(separator: ",")
            return try await cluster.nodes[0].accept(#"{"task_type":"gather","depends_on":[\#(ids)]}"#).id
        }

        private func expectWhole(_ id: TaskID, from nodes: [TestNode]) async throws -> TaskDocument {
            var last: TaskDocument?
            for node in nodes {
                let task = try await node.get("/api/tasks/\(id)?wait=30", as: TaskDocument.self)
                #expect(task.status == "completed", "\(task.error.map { "\($0)" } ?? "")")
                let bytes = task.result?.bytes.count ?? 0
                #expect(bytes > Self.parts * Self.part, "\(node.name) tells \(bytes) bytes")
                #expect(task.resultBytes.map(Int.init) == bytes)
                last = task
            }
            return try #require(last)
        }

        private func files(_ id: TaskID, of node: TestNode) throws -> Int {
            try FileManager.default.contentsOfDirectory(atPath: node.data).count { $0.hasPrefix("result-\(id)") }
        }

        private func living(_ nodes: [TestNode], keep id: TaskID) async throws -> Bool {
            let holders = try await nodes[0].task(id).resultHolders ?? []
            return holders.count == 2 && holders.allSatisfy { name in nodes.contains { $0.name == name } }
        }

        @Test func itOutlivesTheNodesThatKeepIt() async throws {
            try await LocalCluster.run(.init(hasRedis: false)) { cluster in
                let id = try await submit(to: cluster)
                let task = try await expectWhole(id, from: cluster.nodes)
                let holders = try #require(task.resultHolders)
                #expect(holders.count == 2)
                for node in cluster.nodes { #expect(try files(id, of: node) == (holders.contains(node.name) ? 1 : 0)) }

                // One after the other, each of the first holders dies, and the rest has it again.
                for name in holders {
                    let victim = try #require(cluster.nodes.first { $0.name == name })
                    let others = cluster.nodes.filter { $0.name != name }
                    try await victim.kill()
                    let begin = ContinuousClock.now
                    try await cluster.await("the two that are left keep it") {
                        // For a moment nobody may be able to tell anything of the task.
                        (try? await living(others, keep: id)) ?? false
                    }
                    measured("after a holder's death two nodes keep it again: \(shown(ContinuousClock.now - begin))")
                    _ = try await expectWhole(id, from: others)
                    try victim.start()
                    try await cluster.awaitHealthy()
                }
                _ = try await expectWhole(id, from: cluster.nodes)
            }
        }

        @Test func whoLeavesGivesItAwayFirst() async throws {
            try await LocalCluster.run(.init(hasRedis: false)) { cluster in
                let id = try await submit(to: cluster)
                let holders = try #require(try await expectWhole(id, from: [cluster.nodes[0]]).resultHolders)
                let leaver = try #require(cluster.nodes.first { $0.name == holders.first })
                let others = cluster.nodes.filter { $0.name != leaver.name }
                #expect(try await leaver.terminate(within: .seconds(30)) == 0)
                #expect(try files(id, of: leaver) == 0, "nothing is left behind")
                #expect(try await living(others, keep: id))
                _ = try await expectWhole(id, from: others)
            }
        }

        @Test func aDamagedCopyIsReplaced() async throws {
            try await LocalCluster.run(.init(hasRedis: false)) { cluster in
                let id = try await submit(to: cluster)
                let holders = try #require(try await expectWhole(id, from: cluster.nodes).resultHolders)
                let victim = try #require(cluster.nodes.first { $0.name == holders.last })
                let name = try #require(
                    try FileManager.default.contentsOfDirectory(atPath: victim.data).first {
                        $0.hasPrefix("result-\(id)")
                    })
                let path = victim.data + "/" + name
                let whole = try #require(FileManager.default.contents(atPath: path))
                var damaged = whole
                damaged[whole.count / 2] ^= 4
                let file = try #require(FileHandle(forWritingAtPath: path))
                try file.seek(toOffset: UInt64(whole.count / 2))
                try file.write(contentsOf: damaged[(whole.count / 2)...(whole.count / 2)])
                try file.close()
                #expect(FileManager.default.contents(atPath: path) == damaged)

                // Whoever reads it first looks on its own disk; clients are told what is right all the same.
                let begin = ContinuousClock.now
                _ = try await expectWhole(id, from: [victim])
                try await cluster.await("two nodes keep it, and none of them a damaged one") {
                    let keepers = try await cluster.nodes[0].task(id).resultHolders ?? []
                    let copies = cluster.nodes.filter { keepers.contains($0.name) }
                        .map { FileManager.default.contents(atPath: $0.data + "/" + name) }
                    return copies == [whole, whole]
                }
                measured("a damaged copy was replaced \(shown(ContinuousClock.now - begin)) after it was read")
                _ = try await expectWhole(id, from: cluster.nodes)
            }
        }

        @Test func redisHasItWhole() async throws {
            try await LocalCluster.run { cluster in
                let id = try await submit(to: cluster)
                let task = try await expectWhole(id, from: cluster.nodes)
                try await cluster.await("the result is in Redis") {
                    try cluster.redis.results(of: [id], cluster: cluster.name).first?.result != nil
                }
                let stored = try #require(try cluster.redis.results(of: [id], cluster: cluster.name).first)
                #expect(stored.result?.bytes == task.result?.bytes)
            }
        }

        @Test func whatIsTooLargeFailsForGood() async throws {
            try await LocalCluster.run(.init(nodes: 1)) { cluster in
                let node = cluster.nodes[0]
                let text = String(repeating: "x", count: 1_000_000)
                var parents: [TaskID] = []
                for _ in 0..<18 { parents.append(try await node.submit("echo", #""\#(text)""#).id) }
                let ids = parents.map { "\"\($0)\"" }.joined(separator: ",")
                let id = try await node.accept(#"{"task_type":"gather","depends_on":[\#(ids)]}"#).id
                let task = try await node.get("/api/tasks/\(id)?wait=30", as: TaskDocument.self)
                #expect(task.status == "failed")
                #expect(task.error?.isRetryable == false)
                #expect(task.error?.type == "result_too_large", "\(task.error.map { "\($0)" } ?? "")")
            }
        }
    }
}
