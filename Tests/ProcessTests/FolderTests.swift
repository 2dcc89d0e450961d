import APIModel
import Foundation
import Primitives
import Testing

@testable import Command

extension ProcessTests {
    /// What a node does with a data folder that is not as it left it: it cuts an unfinished write and says so, and
    /// refuses everything else with a sentence that tells what to do.
    @Suite struct Folder {
        /// The segments, oldest first.
        private func segments(of node: TestNode) throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: node.data).filter { $0.hasPrefix("journal-") }.sorted()
                .map { node.data + "/" + $0 }
        }

        private func contents(_ path: String) throws -> Data { try Data(contentsOf: URL(filePath: path)) }

        /// It ends by itself with the exit code of a wrong configuration or environment, and says all of it.
        private func expectRefusal(of node: TestNode, saying words: String...) async throws {
            let (code, output) = try await node.startInVain()
            #expect(code != 0 && code < 128, "it is refused, and does not crash: \(code)\n\(output)")
            for word in words { #expect(output.contains(word), "`\(word)` is missing:\n\(output)") }
        }

        @Test func aFolderOfAnotherNodeOrClusterOrVersionIsRefused() async throws {
            try await LocalCluster.run(.init(nodes: 1, hasRedis: false)) { cluster in
                let node = cluster.nodes[0]
                _ = try await cluster.outcomes(of: try await node.submit(20, "echo", "1"))
                // Another process, while this one lives.
                let twin = node.with(["--http", "127.0.0.1:1", "--peer", "127.0.0.1:2", "--gossip", "127.0.0.1:2"])
                try await expectRefusal(of: twin, saying: "in use")
                try await node.kill()

                try await expectRefusal(of: node.with(["--name", "node-9"]), saying: "node-1", "--name")
                try await expectRefusal(of: node.with(["--cluster", "elsewhere"]), saying: "test", "--cluster")

                let identity = node.data + "/node"
                let text = try String(contentsOfFile: identity, encoding: .utf8)
                try text.replacing("apus 1", with: "apus 99").write(toFile: identity, atomically: true, encoding: .utf8)
                try await expectRefusal(of: node, saying: "format 99", "newer")
                try text.write(toFile: identity, atomically: true, encoding: .utf8)

                let view = node.data + "/view"
                let record = try contents(view)
                try FileManager.default.removeItem(atPath: view)
                try await expectRefusal(of: node, saying: "view")
                try record.write(to: URL(filePath: view))
                try node.start()
                try await cluster.awaitHealthy()
            }
        }

        @Test func aDamagedJournalIsRefusedAndRepairedFromThePeers() async throws {
            try await LocalCluster.run { cluster in
                let node = cluster.nodes[2]
                var ids: [TaskID] = []
                for other in cluster.nodes {
                    ids += try await other.submit(
                        Array(repeating: #"{"task_type": "echo", "delay": 3600, "payload": "something"}"#, count: 100))
                }
                ids += try await node.submit(100, "echo", "2")
                _ = try await cluster.outcomes(of: ids.suffix(100).map { $0 })
                try await node.kill()
                let segment = try #require(try segments(of: node).first)
                var bytes = try contents(segment)
                // Not at the end: much that was synced follows.
                bytes[bytes.count / 3] ^= 1
                try bytes.write(to: URL(filePath: segment))
                let name = URL(filePath: segment).lastPathComponent
                try await expectRefusal(of: node, saying: "\(name) is damaged at offset", "apus journal repair")

                let inspection = try await Binary.run(["journal", "inspect", node.data], home: node.data + "-home")
                #expect(inspection.code == 1 && inspection.output.contains("\(name) offset"), "\(inspection)")
                let asked = try await Binary.run(["journal", "repair", node.data], home: node.data + "-home")
                #expect(asked.code == 1 && asked.output.contains("--yes"), "\(asked)")
                #expect(try contents(segment) == bytes, "nothing is changed without --yes")
                let repaired = try await Binary.run(
                    ["journal", "repair", node.data, "--yes"], home: node.data + "-home")
                #expect(repaired.code == 0, "\(repaired)")

                try node.start()
                try await cluster.awaitHealthy()
                // It holds copies again: with another one gone, everything is still known.
                try await cluster.nodes[0].kill()
                let rest = [cluster.nodes[1], node]
                try await cluster.awaitHealthy(rest)
                var missing: [String] = []
                let deadline = ContinuousClock.now + .seconds(10)
                for id in ids {
                    var answer = try await node.send(.GET, "/api/tasks/\(id)")
                    // Until the takeover is known everywhere it says so, and is asked again.
                    while answer.status == 503, ContinuousClock.now < deadline {
                        answer = try await node.send(.GET, "/api/tasks/\(id)")
                    }
                    if answer.status != 200 { missing.append("\(id): \(answer.problem)") }
                }
                #expect(missing.isEmpty, "\(missing.count) of \(ids.count): \(missing.prefix(2))")
                #expect(try await node.cluster().lost == 0)
            }
        }

        enum Tail: String, CaseIterable {
            case garbage, zeros, cut
        }

        @Test(arguments: Tail.allCases)
        func anUnfinishedWriteIsCutAndTold(_ tail: Tail) async throws {
            try await LocalCluster.run { cluster in
                let node = cluster.nodes[1]
                let ids = try await node.submit(200, "echo", #""kept""#)
                _ = try await cluster.outcomes(of: ids)
                try await node.kill()
                // The last one that holds anything; an empty one may be prepared behind it.
                let segment = try #require(try segments(of: node).last { try contents($0).count > 128 })
                var bytes = try contents(segment)
                switch tail {
                case .garbage: bytes += (0..<100).map { _ in UInt8.random(in: 0...255) }
                case .zeros: bytes += [UInt8](repeating: 0, count: 5000)
                case .cut: bytes.removeLast(7)
                }
                try bytes.write(to: URL(filePath: segment))
                let before = try node.logLength
                try node.start()
                try await cluster.awaitHealthy()
                let log = try contents(node.log).dropFirst(before)
                let text = String(decoding: log, as: UTF8.self)
                #expect(text.contains(URL(filePath: segment).lastPathComponent), "it says what was cut:\n\(text)")
                let tasks = try await cluster.outcomes(of: ids)
                #expect(tasks.allSatisfy { $0.status == "completed" && $0.result?.text == #""kept""# })
            }
        }
    }
}
