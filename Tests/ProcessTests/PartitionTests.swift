import APIModel
import Foundation
import Primitives
import Testing

@testable import Command

extension ProcessTests {
    /// Networks that break: each node in a network namespace of its own, joined by a switch that cuts, loses and
    /// delays.
    @Suite(.enabled("network namespaces are permitted") { await NetworkNamespace.arePermitted })
    struct Partition {
        private static let task = #"{"task_type": "sleep", "payload": {"milliseconds": 40, "count_file": "runs.txt"}}"#

        private func network(of cluster: LocalCluster) throws -> VirtualNetwork {
            guard let network = cluster.network else { throw HarnessError("this cluster has no network of its own") }
            return network
        }

        /// What one node says to a submission; nil: nothing for a second. Until it knows that it is cut off a node takes
        /// what it cannot commit, and nobody knows then what becomes of it.
        private func submission(to node: TestNode) async -> ClusterClient.Answer? {
            try? await ClusterClient.send(
                .POST, "/api/tasks", to: node.url, body: Array(Self.task.utf8), limit: .seconds(1))
        }

        /// Waits until it refuses tasks and says when to ask again. What it accepts before that is kept: it counts.
        private func awaitRefusal(
            by node: TestNode, of cluster: LocalCluster, within limit: Duration, accepted: inout [TaskID]
        ) async throws {
            let begin = ContinuousClock.now
            var last = ""
            while true {
                let answer = await submission(to: node)
                last =
                    answer.map { "\($0.status) \(String(decoding: $0.body.prefix(300), as: UTF8.self))" } ?? "nothing"
                if let answer, answer.status == 202 {
                    accepted.append(try answer.document(as: AcceptedDocument.self).id)
                } else if let answer, answer.status == 503 {
                    print("\(node.name) says: \(answer.problem)")
                    let headers = try await Curl.headers(of: node.url + "/api/tasks", posting: Self.task)
                    #expect(headers["retry-after"].flatMap { Int($0) } ?? 0 > 0, "\(headers)")
                    measured("\(node.name), alone, refuses after \(shown(ContinuousClock.now - begin))")
                    return
                }
                guard ContinuousClock.now - begin < limit else {
                    throw HarnessError("\(node.name) still does not refuse after \(limit); it said last: \(last)")
                }
                try await Task.sleep(for: .milliseconds(100))
            }
        }

        /// All that was accepted has one outcome, and every node tells the same of it.
        private func expectAllOnce(_ ids: [TaskID], _ cluster: LocalCluster) async throws {
            let tasks = try await cluster.outcomes(of: ids)
            let others = tasks.filter { $0.status != "completed" }
            #expect(others.isEmpty, "\(others.prefix(3))")
            for (index, task) in tasks.enumerated() where index % 7 == 0 {
                for node in cluster.nodes {
                    let same = try await node.task(task.id)
                    #expect(isSameOutcome(task, same), "\(node.name): \(outcome(same)), before: \(outcome(task))")
                }
            }
            let runs = try cluster.runs()
            #expect(Set(runs.map { "\($0.task) \($0.token)" }).count == runs.count, "a token was used twice")
        }

        // MARK: Cut off

        @Test(arguments: ProcessTests.isThorough ? [3, 5] : [3])
        func theMinorityStopsTheMajorityGoesOnAndAfterHealingAllIsOne(_ count: Int) async throws {
            try await LocalCluster.run(.init(nodes: count, hasNetwork: true)) { cluster in
                let network = try network(of: cluster)
                let few = Array(cluster.nodes.suffix(count / 2))
                let many = Array(cluster.nodes.dropLast(count / 2))
                var ids: [TaskID] = []
                for node in cluster.nodes { ids += try await node.submit(Array(repeating: Self.task, count: 200)) }
                try await cluster.await("all are busy") { try Set(cluster.runs().map(\.node)).count == count }
                network.isolate(cluster.nodes.indices.suffix(count / 2).map { $0 })

                for node in few {
                    try await awaitRefusal(by: node, of: cluster, within: .seconds(8), accepted: &ids)
                }
                let ofTheFew = try cluster.runs().count { run in few.contains { $0.name == run.node } }
                ids += try await many[0].submit(Array(repeating: Self.task, count: 100))
                _ = try await cluster.outcomes(of: ids.suffix(100), from: many, within: .seconds(30))
                // Work whose copies are on the other side is not known to be gone.
                for id in ids.prefix(400).shuffled().prefix(20) {
                    let status = try await few[0].send(.GET, "/api/tasks/\(id)").status
                    #expect([200, 503].contains(status), "\(id): \(status)")
                }
                #expect(await submission(to: few[0])?.status == 503)
                let later = try cluster.runs().count { run in few.contains { $0.name == run.node } }
                #expect(ofTheFew == later, "the minority starts nothing")
                try await cluster.awaitHealthy(many, within: .seconds(10))

                network.heal()
                let begin = ContinuousClock.now
                try await cluster.awaitHealthy(within: .seconds(30))
                let duration = shown(ContinuousClock.now - begin)
                measured("\(count) nodes, cut \(many.count)|\(few.count): one cluster \(duration) after healing")
                try await expectAllOnce(ids, cluster)
            }
        }

        enum Direction: String, CaseIterable {
            case itIsNotHeard, itHearsNothing, oneIsNotHeardByOne
        }

        @Test(arguments: Direction.allCases)
        func aOneWayCutStopsNothingForLong(_ direction: Direction) async throws {
            try await LocalCluster.run(.init(hasNetwork: true)) { cluster in
                let network = try network(of: cluster)
                let load = Load(cluster)
                try await load.whileIt {
                    try await cluster.await("it works") { load.accepted.count >= 30 }
                    switch direction {
                    case .itIsNotHeard:
                        network.cutOneWay(2, 0)
                        network.cutOneWay(2, 1)
                    case .itHearsNothing:
                        network.cutOneWay(0, 2)
                        network.cutOneWay(1, 2)
                    case .oneIsNotHeardByOne:
                        network.cutOneWay(0, 1)
                    }
                    try await goesOn(
                        from: Array(cluster.nodes.prefix(2)), cluster, for: .seconds(6),
                        held: direction == .oneIsNotHeardByOne ? 4 : 0, "\(direction)")
                    network.heal()
                    try await cluster.awaitHealthy(within: .seconds(30))
                }
                try await expectAllOnce(load.accepted, cluster)
                #expect(load.contradictions.isEmpty, "\(load.contradictions.prefix(3))")
            }
        }

        /// Tasks are taken and completed all the time: nothing stands still for longer than a takeover may take.
        ///
        /// - Parameter held: how many tasks may wait for the network instead. Where an owner and the node that runs its task
        ///   both live but do not reach each other, the outcome comes when they do.
        private func goesOn(
            from nodes: [TestNode], _ cluster: LocalCluster, for duration: Duration, held: Int = 0, _ what: String
        ) async throws {
            let end = ContinuousClock.now + duration
            var worst = Duration.zero
            var turn = 0
            var waiting = 0
            while ContinuousClock.now < end {
                let begin = ContinuousClock.now
                var isHeld = false
                try await cluster.await("a task is taken and completed", within: .seconds(10)) {
                    turn += 1
                    let answer = try await ClusterClient.send(
                        .POST, "/api/tasks?wait=5", to: nodes[turn % nodes.count].url, body: Array(Self.task.utf8),
                        limit: .seconds(15))
                    isHeld = answer.status == 202
                    return answer.status == 200 || isHeld
                }
                if isHeld { waiting += 1 } else { worst = max(worst, ContinuousClock.now - begin) }
                try await Task.sleep(for: .milliseconds(50))
            }
            measured("\(what): the slowest task took \(shown(worst)) from submission to outcome; \(waiting) wait")
            // Two backups one after the other may have to be replaced, and each costs the time until its link counts as down.
            #expect(worst < .seconds(8), "\(what)")
            #expect(waiting <= held, "\(what)")
        }

        @Test func aLinkThatFlapsLeavesOneCluster() async throws {
            try await LocalCluster.run(.init(hasNetwork: true)) { cluster in
                let network = try network(of: cluster)
                let load = Load(cluster)
                let first = try await cluster.nodes[0].cluster().view.number
                try await load.whileIt {
                    let end = ContinuousClock.now + .seconds(ProcessTests.isThorough ? 20 : 8)
                    while ContinuousClock.now < end {
                        network.isolate([2])
                        try await Task.sleep(for: .milliseconds(Int.random(in: 200...500)))
                        network.heal()
                        try await Task.sleep(for: .milliseconds(Int.random(in: 200...500)))
                    }
                    try await cluster.awaitHealthy(within: .seconds(30))
                }
                let last = try await cluster.nodes[0].cluster().view.number
                measured("a link that flaps: \(last - first) views; \(load.summary)")
                try await expectAllOnce(load.accepted, cluster)
                #expect(load.contradictions.isEmpty, "\(load.contradictions.prefix(3))")
            }
        }

        /// The third one reaches both: the backup is replaced, and everybody stays a member.
        @Test func aCutBetweenAnOwnerAndItsBackupReplacesTheBackup() async throws {
            try await LocalCluster.run(.init(hasNetwork: true)) { cluster in
                let network = try network(of: cluster)
                let owner = cluster.nodes[0]
                let ledgers = try await owner.cluster().ledgers
                let ledger = try #require(ledgers.first { $0.primary == owner.name })
                let backup = try #require(cluster.nodes.firstIndex { $0.name == ledger.backups.first })
                network.cut(0, backup)
                // What is submitted meanwhile waits for the new backup.
                try await goesOn(from: [owner], cluster, for: .seconds(5), held: 4, "owner and backup apart")
                let now = try #require(try await owner.cluster().ledgers.first { $0.id == ledger.id })
                #expect(now.isFullyReplicated && !now.backups.contains(cluster.nodes[backup].name), "\(now)")
                let document = try await owner.cluster()
                #expect(document.takeovers.isEmpty, "\(document.takeovers)")
                #expect(document.members.allSatisfy { $0.state == "alive" }, "\(brief(document))")
                network.heal()
                try await cluster.awaitHealthy(within: .seconds(20))
            }
        }

        // MARK: Bad, not cut

        private static let bad: [(String, Wire)] = [
            ("10 % loss", Wire(loss: 0.1)),
            ("100 ms delay", Wire(delay: .milliseconds(100))),
            ("delays of 0 to 60 ms that reorder, 10 % twice", Wire(jitter: .milliseconds(60), duplication: 0.1)),
        ]

        @Test(arguments: 0..<bad.count)
        func aBadNetworkKillsNobody(_ index: Int) async throws {
            let (name, wire) = Self.bad[index]
            try await LocalCluster.run(.init(hasNetwork: true)) { cluster in
                let load = Load(cluster)
                try await load.whileIt {
                    try network(of: cluster).setAll(wire)
                    try await Task.sleep(for: .seconds(ProcessTests.isThorough ? 30 : 8))
                    let document = try await cluster.nodes[0].cluster()
                    #expect(document.takeovers.isEmpty, "\(name): \(document.takeovers)")
                    // With an answer that takes a whole period to come, a suspicion now and then is to be expected.
                    let living = document.members.count { ["alive", "suspect"].contains($0.state) }
                    #expect(living == 3, "\(name): \(brief(document))")
                }
                measured("\(name): \(load.summary)")
                #expect(load.accepted.count > 20)
                try network(of: cluster).heal()
                try await expectAllOnce(load.accepted, cluster)
                #expect(load.contradictions.isEmpty, "\(load.contradictions.prefix(3))")
                try await cluster.awaitHealthy(within: .seconds(20))
            }
        }

        /// Nothing tells the others that it is gone, unlike when a process is killed.
        @Test func thePulledCableOfANodeCostsSeconds() async throws {
            try await LocalCluster.run(.init(hasNetwork: true)) { cluster in
                let network = try network(of: cluster)
                let victim = cluster.nodes[2]
                let others = Array(cluster.nodes.prefix(2))
                let ids = try await victim.submit(400, "sleep", #"{"milliseconds": 150, "count_file": "runs.txt"}"#)
                try await cluster.await("it is at work") { try cluster.runs().count >= 24 }
                let pulledAt = wallClock
                try await network.unplug(2)
                let tasks = try await cluster.outcomes(of: ids, from: others)
                #expect(tasks.allSatisfy { $0.status == "completed" })
                let takeovers = try await others[0].cluster().takeovers
                let takeover = try #require(takeovers.first { $0.from == victim.name }?.at.milliseconds)
                let starts = tasks.filter { $0.worker != victim.name }.compactMap(\.startedAt?.milliseconds)
                let first = try #require(starts.filter { $0 >= takeover }.min())
                measured(
                    "a pulled cable: takeover after \(takeover - pulledAt) ms, first start of its tasks elsewhere "
                        + "after \(first - pulledAt) ms")
                #expect(first - pulledAt < 5000)
                try await network.plug(2)
                try await cluster.awaitHealthy(within: .seconds(30))
                try await expectAllOnce(ids, cluster)
            }
        }

        // MARK: Two nodes

        /// Redis breaks the tie: who reaches it goes on.
        @Test func ofTwoNodesTheOneThatReachesRedisGoesOn() async throws {
            try await LocalCluster.run(.init(nodes: 2, hasNetwork: true)) { cluster in
                let network = try network(of: cluster)
                let (near, far) = (cluster.nodes[0], cluster.nodes[1])
                var ids: [TaskID] = []
                for node in cluster.nodes { ids += try await node.submit(Array(repeating: Self.task, count: 100)) }
                network.isolate([1])
                try await awaitRefusal(by: far, of: cluster, within: .seconds(8), accepted: &ids)
                try await cluster.awaitHealthy([near], within: .seconds(10))
                let more = try await near.submit(Array(repeating: Self.task, count: 50))
                ids += more
                let tasks = try await cluster.outcomes(of: more, from: [near], within: .seconds(20))
                #expect(tasks.allSatisfy { $0.status == "completed" })
                #expect(await submission(to: far)?.status == 503)
                network.heal()
                try await cluster.awaitHealthy(within: .seconds(30))
                try await expectAllOnce(ids, cluster)
            }
        }

        /// Both reach Redis, but not each other: exactly one goes on.
        @Test func ofTwoNodesThatReachRedisOnlyOneGoesOn() async throws {
            try await LocalCluster.run(.init(nodes: 2, hasNetwork: true)) { cluster in
                try network(of: cluster).cut(0, 1)
                var taken: [TaskID] = []
                func statuses() async throws -> [UInt] {
                    var statuses: [UInt] = []
                    for node in cluster.nodes {
                        guard let answer = await submission(to: node) else { return [] }
                        statuses.append(answer.status)
                        if answer.status == 202 {
                            taken.append(try answer.document(as: AcceptedDocument.self).id)
                        }
                    }
                    return statuses.sorted()
                }
                try await cluster.await("one goes on, the other does not", within: .seconds(15)) {
                    try await statuses() == [202, 503]
                }
                for _ in 0..<20 {
                    let all = try await statuses()
                    #expect(all == [202, 503])
                    try await Task.sleep(for: .milliseconds(50))
                }
                try network(of: cluster).heal()
                try await cluster.awaitHealthy(within: .seconds(30))
                try await expectAllOnce(taken, cluster)
            }
        }

        @Test func ofTwoNodesWithoutRedisBothStopOnACut() async throws {
            try await LocalCluster.run(.init(nodes: 2, hasRedis: false, hasNetwork: true)) { cluster in
                let network = try network(of: cluster)
                var ids = try await cluster.nodes[0].submit(Array(repeating: Self.task, count: 50))
                network.cut(0, 1)
                for node in cluster.nodes {
                    try await awaitRefusal(by: node, of: cluster, within: .seconds(10), accepted: &ids)
                }
                let begun = try cluster.runs().count
                try await Task.sleep(for: .seconds(2))
                #expect(try cluster.runs().count == begun, "nobody may start anything")
                network.heal()
                try await cluster.awaitHealthy(within: .seconds(30))
                try await expectAllOnce(ids, cluster)
            }
        }

        @Test func ofTwoNodesWithoutRedisTheSurvivorOfAKillGoesOn() async throws {
            try await LocalCluster.run(.init(nodes: 2, hasRedis: false, hasNetwork: true)) { cluster in
                let (survivor, victim) = (cluster.nodes[0], cluster.nodes[1])
                let ids = try await victim.submit(Array(repeating: Self.task, count: 200))
                let begin = ContinuousClock.now
                try await victim.kill()
                let tasks = try await cluster.outcomes(of: ids, from: [survivor], within: .seconds(30))
                #expect(tasks.allSatisfy { $0.status == "completed" })
                measured("two nodes without Redis: all done \(shown(ContinuousClock.now - begin)) after kill -9 of one")
                try victim.start()
                try await cluster.awaitHealthy(within: .seconds(30))
                try await expectAllOnce(ids, cluster)
            }
        }
    }
}
