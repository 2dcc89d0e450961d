import APIModel
import Foundation
import NIOHTTP1
import Primitives
import Testing

@testable import Command

extension ProcessTests {
    /// A disk without room: new tasks are refused with a sentence that helps, what runs goes on, and nothing is lost.
    @Suite(.enabled("small disks can be mounted") { await SmallDisk.arePermitted })
    struct DiskFull {
        /// Two segments are reserved at a time (64 MiB each).
        private static let megabytes = 200
        /// Half a megabyte that waits for an hour.
        private static let large =
            #"{"task_type": "echo", "delay": 3600, "payload": "\#(String(repeating: "x", count: 500_000))"}"#

        /// Fills the disk by submissions. Returns what was accepted, and the refusal.
        private func fill(_ node: TestNode) async throws -> (accepted: [TaskID], refusal: ClusterClient.Answer) {
            var accepted: [TaskID] = []
            while accepted.count < 2 * Self.megabytes {
                let answer = try await node.send(.POST, "/api/tasks", body: Self.large)
                guard answer.status == 202 else { return (accepted, answer) }
                accepted.append(try answer.document(as: AcceptedDocument.self).id)
            }
            throw HarnessError("\(accepted.count) tasks fit on a disk of \(Self.megabytes) MB")
        }

        @Test func aNodeWithAFullDiskRefusesGoesOnAndRecoversByItself() async throws {
            try await LocalCluster.run(.init(nodes: 1, hasRedis: false, smallDisk: Self.megabytes)) { cluster in
                let node = cluster.nodes[0]
                let disk = try #require(cluster.smallDisk)
                // Something else takes most of it.
                let ballast = disk.outside + "/ballast"
                try Data(count: try disk.freeBytes - (8 << 20)).write(to: URL(filePath: ballast))

                let running = try await node.submit("sleep", #"{"seconds": 4, "count_file": "runs.txt"}"#)
                try await cluster.await("it runs") { try cluster.runs().count == 1 }
                let queued = try await node.submit(20, "sleep", #"{"milliseconds": 200}"#)
                let (accepted, refusal) = try await fill(node)
                measured("disk full after \(accepted.count) tasks of half a megabyte")
                #expect(refusal.status == 507)
                let problem = try refusal.decoded(as: ProblemDocument.self)
                #expect(problem.detail.contains("node-1"), "it says whose disk: \(problem.detail)")
                #expect(problem.detail.contains(node.data), "it says which folder needs room: \(problem.detail)")
                // Everything that was taken is worked at.
                let done = try await cluster.outcomes(of: queued + [running.id])
                #expect(done.allSatisfy { $0.status == "completed" })
                #expect(try await node.send(.GET, "/api/cluster").status == 200)
                #expect(try await node.send(.POST, "/api/tasks", body: Self.large).status == 507)

                try FileManager.default.removeItem(atPath: ballast)
                let begin = ContinuousClock.now
                var more: [TaskID] = []
                try await cluster.await("it takes tasks again by itself", within: .seconds(10)) {
                    let answer = try await node.send(.POST, "/api/tasks", body: #"{"task_type": "echo"}"#)
                    guard answer.status == 202 else { return false }
                    more.append(try answer.document(as: AcceptedDocument.self).id)
                    return true
                }
                measured("tasks are taken again \(shown(ContinuousClock.now - begin)) after there is room")
                _ = try await cluster.outcomes(of: more)

                try await node.kill()
                try node.start()
                try await cluster.awaitHealthy()
                for id in accepted { #expect(try await node.task(id).status == "scheduled", "\(id)") }
                for task in done { #expect(isSameOutcome(try await node.task(task.id), task)) }
            }
        }

        @Test(.enabled("thorough tests are asked for") { ProcessTests.isThorough })
        func ofThreeNodesOneWithAFullDiskSendsTasksOn() async throws {
            try await LocalCluster.run(.init(smallDisk: Self.megabytes)) { cluster in
                let node = cluster.nodes[0]
                let disk = try #require(cluster.smallDisk)
                let ballast = disk.outside + "/ballast"
                try Data(count: try disk.freeBytes - (8 << 20)).write(to: URL(filePath: ballast))
                var ids: [TaskID] = []
                try await cluster.await("another node owns what this one is asked to take", within: .seconds(60)) {
                    let accepted = try await node.send(.POST, "/api/tasks", body: Self.large)
                        .document(as: AcceptedDocument.self)
                    ids.append(accepted.id)
                    return accepted.node != node.name
                }
                let small = try await cluster.nodes[1].submit(100, "echo", "1")
                let tasks = try await cluster.outcomes(of: small)
                #expect(tasks.allSatisfy { $0.status == "completed" })
                // It is of no use as a backup either: the others do without it.
                try await cluster.await("the full node is nobody's backup", within: .seconds(30)) {
                    var isBackup = false
                    for other in cluster.nodes.dropFirst() {
                        let accepted = try await other.send(.POST, "/api/tasks", body: Self.large)
                            .document(as: AcceptedDocument.self)
                        ids.append(accepted.id)
                        isBackup = isBackup || accepted.durability.holders.contains(node.name)
                    }
                    return !isBackup
                }
                try FileManager.default.removeItem(atPath: ballast)
                try await cluster.awaitHealthy(within: .seconds(20))
                try await cluster.await("it takes tasks again by itself", within: .seconds(10)) {
                    try await node.submit("echo", "1").node == node.name
                }
                for id in ids { #expect(try await node.task(id).status == "scheduled") }
            }
        }
    }
}
