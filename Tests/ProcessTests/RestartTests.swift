import APIModel
import Foundation
import Primitives
import Testing

@testable import Command

extension ProcessTests {
    /// `kill -9` of everything: what was acknowledged is on the disks, and is there again.
    @Suite struct Restart {
        enum Fate: String, CaseIterable {
            case allComeBack
            case oneDiskIsLost
            case onlyTwoComeBack
        }

        private static let perNode = 500

        /// Of every kind: short ones, some that are due later, some urgent.
        private static func mixed(_ count: Int) -> [String] {
            (0..<count).map { number in
                let extra = number % 5 == 1 ? #", "delay": 4"# : number % 5 == 2 ? #", "priority": 9"# : ""
                return #"{"task_type": "sleep", "payload": {"milliseconds": 40, "count_file": "runs.txt"}\#(extra)}"#
            }
        }

        @Test(arguments: Fate.allCases)
        func whenAllNodesAreKilledNoTaskIsLost(_ fate: Fate) async throws {
            let seed = UInt64.random(in: .min ... .max)
            print("seed: \(seed)")
            var random = SeededGenerator(seed: seed)
            try await LocalCluster.run { cluster in
                var ids: [TaskID] = []
                for node in cluster.nodes { ids += try await node.submit(Self.mixed(Self.perNode)) }
                try await cluster.await("all nodes are busy") {
                    let runs = try cluster.runs()
                    return runs.count >= 60 && Set(runs.map(\.node)).count == 3
                }
                let recorded = try await ended(cluster)
                for node in cluster.nodes.shuffled(using: &random) { try node.signal(SIGKILL) }
                for node in cluster.nodes { try await node.reap() }
                let before = try cluster.runs()
                #expect(before.count < ids.count / 2, "most of them were still queued")

                var returning = cluster.nodes.shuffled(using: &random)
                switch fate {
                case .allComeBack: break
                case .oneDiskIsLost: try returning[0].wipe()
                case .onlyTwoComeBack: returning.removeLast()
                }
                returning.shuffle(using: &random)
                let begin = ContinuousClock.now
                try await start(returning, of: cluster, before: before, using: &random)

                let tasks = try await cluster.outcomes(of: ids, from: returning, within: .seconds(90))
                measured(
                    "\(fate): \(ids.count) tasks, \(before.count) begun before kill -9 of all, the others complete "
                        + "\(shown(ContinuousClock.now - begin)) after the restart")
                #expect(tasks.count == ids.count)
                let others = tasks.filter { $0.status != "completed" }
                #expect(others.isEmpty, "\(others.prefix(3))")
                for task in tasks {
                    guard let earlier = recorded[task.id] else { continue }
                    #expect(earlier.finishedAt == task.finishedAt && earlier.worker == task.worker, "\(task.id)")
                }
                try checkRuns(try cluster.runs(), begunBefore: before.count, ids: ids, slots: 12)
                try await cluster.awaitHealthy(returning, within: .seconds(30))
                for node in returning { #expect(try await node.cluster().lost == 0) }
            }
        }

        /// The first one waits for a majority, and neither runs nor takes anything meanwhile.
        private func start(
            _ returning: [TestNode], of cluster: LocalCluster, before: [LocalCluster.Run],
            using random: inout SeededGenerator
        ) async throws {
            try returning[0].start()
            try await cluster.await("the first node listens") {
                (try? await returning[0].send(.GET, "/livez").status) == 200
            }
            let answer = try await returning[0].send(.POST, "/api/tasks", body: #"{"task_type": "echo"}"#)
            #expect(answer.status == 503, "a node without a majority accepts nothing")
            try await Task.sleep(for: .milliseconds(Int.random(in: 0...1500, using: &random)))
            #expect(try cluster.runs() == before, "a node without a majority runs nothing")
            for node in returning.dropFirst() {
                try node.start()
                try await Task.sleep(for: .milliseconds(Int.random(in: 0...700, using: &random)))
            }
        }

        /// Those that have an outcome, as any node lists them.
        private func ended(_ cluster: LocalCluster) async throws -> [TaskID: TaskDocument] {
            let page = try await cluster.nodes[0].get(
                "/api/tasks?status=completed&limit=1000", as: TaskListDocument.self)
            return Dictionary(uniqueKeysWithValues: page.tasks.map { ($0.id, $0) })
        }

        /// Only what ran when all were killed, or had just ended, is run again, and never under the same token.
        private func checkRuns(
            _ runs: [LocalCluster.Run], begunBefore count: Int, ids: [TaskID], slots: Int
        ) throws {
            #expect(Set(runs.map(\.task)) == Set(ids.map(\.description)), "every task was run, and no other")
            #expect(Set(runs.map { "\($0.task) \($0.token)" }).count == runs.count, "a token was used twice")
            let after = Dictionary(grouping: runs.dropFirst(count), by: \.task).values.filter { $0.count > 1 }
            #expect(after.isEmpty, "run twice after the restart: \(after.prefix(3))")
            measured("run again after the restart: \(runs.count - ids.count)")
            #expect(runs.count - ids.count <= 2 * slots, "no more than ran, or was just being recorded")
        }

        @Test func aNodeRestartsUnderLoad() async throws {
            try await LocalCluster.run { cluster in
                let load = Load(cluster)
                try await load.whileIt {
                    for node in cluster.nodes {
                        try await cluster.await("it has work") { try cluster.runs().contains { $0.node == node.name } }
                        try await node.kill()
                        try node.start()
                        try await cluster.awaitHealthy(within: .seconds(20))
                    }
                    #expect(try await cluster.nodes[0].terminate(within: .seconds(30)) == 0)
                    try cluster.nodes[0].start()
                    try await cluster.awaitHealthy(within: .seconds(20))
                }
                let tasks = try await cluster.outcomes(of: load.accepted)
                #expect(tasks.allSatisfy { $0.status == "completed" })
                for task in tasks { load.tell(task, by: "the end") }
                #expect(load.contradictions.isEmpty, "\(load.contradictions.prefix(3))")
                measured("three kills and restarts under load, one after another: \(load.summary)")
            }
        }
    }
}
