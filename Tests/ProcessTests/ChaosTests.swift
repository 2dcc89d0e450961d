import APIModel
import Foundation
import Primitives
import Testing

@testable import Command

extension ProcessTests {
    /// Nodes are killed, paused and cut off at random while tasks come in everywhere: none is lost, none gets two
    /// outcomes, and none is run twice without a cause.
    ///
    /// `APUS_CHAOS_ROUNDS` (5) and `APUS_CHAOS_SEED` (random; printed).
    @Suite struct Chaos {
        private enum Fault: CaseIterable {
            case killOne, killTwo, killAll, loseDisk, pauseOne, pauseTwo, isolate, oneWay, flap, cutLink

            var needsNetwork: Bool { [.isolate, .oneWay, .flap, .cutLink].contains(self) }
        }

        private static func number(_ name: String) -> UInt64? {
            ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
        }

        @Test func randomFaultsUnderLoadLoseNothing() async throws {
            let rounds = Int(Self.number("APUS_CHAOS_ROUNDS") ?? 5)
            let seed = Self.number("APUS_CHAOS_SEED") ?? .random(in: .min ... .max)
            print("APUS_CHAOS_SEED=\(seed) APUS_CHAOS_ROUNDS=\(rounds)")
            var random = SeededGenerator(seed: seed)
            let hasNetwork = await NetworkNamespace.arePermitted
            try await LocalCluster.run(.init(hasNetwork: hasNetwork, seed: seed)) { cluster in
                let load = Load(cluster)
                let windows = FaultWindows(cluster)
                let watcher = Task { try await windows.watch() }
                defer { watcher.cancel() }
                let begin = ContinuousClock.now
                try await load.whileIt {
                    for round in 1...rounds {
                        let faults = Fault.allCases.filter { hasNetwork || !$0.needsNetwork }
                        guard let fault = faults.randomElement(using: &random) else { return }
                        try await inflict(fault, round, on: cluster, windows, &random)
                    }
                    try await cluster.awaitHealthy(within: .seconds(30))
                }
                let duration = ContinuousClock.now - begin
                let tasks = try await cluster.outcomes(of: load.accepted)
                try await judge(tasks, load, cluster, windows)
                measured("\(rounds) rounds of chaos in \(shown(duration)): \(load.summary)")
            }
        }

        private func judge(
            _ tasks: [TaskDocument], _ load: Load, _ cluster: LocalCluster, _ windows: FaultWindows
        ) async throws {
            let lost = Set(load.accepted).subtracting(tasks.filter { $0.status == "completed" }.map(\.id))
            #expect(lost.isEmpty, "accepted and not completed: \(lost.prefix(5))")
            for task in tasks { load.tell(task, by: "the owner in the end") }
            // Every node tells the same.
            for (index, task) in tasks.enumerated() where index % 10 == 0 {
                let node = cluster.nodes[index / 10 % cluster.nodes.count]
                load.tell(try await node.task(task.id), by: "\(node.name) in the end")
            }
            // Redis has the same, too.
            try await cluster.await("all results are in Redis") {
                try cluster.redis.results(of: load.accepted.map(\.description), cluster: cluster.name)
                    == load.accepted.count
            }
            for task in try cluster.redis.results(of: load.accepted, cluster: cluster.name) {
                load.tell(task, by: "Redis")
            }
            #expect(load.contradictions.isEmpty, "two outcomes: \(load.contradictions.prefix(5))")
            let runs = try cluster.runs()
            #expect(Set(runs.map { "\($0.task) \($0.token)" }).count == runs.count, "a token was used twice")
            let (repeated, unexplained) = windows.judge(runs)
            #expect(unexplained.isEmpty, "run again without a cause: \(unexplained.prefix(5))")
            let documents = try await cluster.nodes[0].cluster()
            let discarded = tasks.reduce(0) { $0 + Int($1.duplicatesDiscarded) }
            measured(
                "chaos: \(load.accepted.count) accepted, lost \(lost.count), "
                    + "two outcomes \(load.contradictions.count), run again \(repeated) (each after its node was hit), duplicates discarded \(discarded), "
                    + "view \(documents.view.number)")
            #expect(documents.lost == 0)
        }

        // MARK: Faults

        private func inflict(
            _ fault: Fault, _ round: Int, on cluster: LocalCluster, _ windows: FaultWindows,
            _ random: inout SeededGenerator
        ) async throws {
            let order = cluster.nodes.indices.shuffled(using: &random)
            let nodes = order.map { cluster.nodes[$0] }
            let hold = Duration.milliseconds(Int.random(in: 300...6000, using: &random))
            // Most rounds begin in good health; some while the cluster still recovers from the one before.
            let waits = Int.random(in: 0..<4, using: &random) > 0 || fault == .loseDisk
            // Two copies survive the loss of one disk, if there are two.
            if fault == .loseDisk { try await cluster.awaitHealthy(within: .seconds(40)) }
            let count = [.killTwo, .pauseTwo, .cutLink].contains(fault) ? 2 : fault == .killAll ? 3 : 1
            print("round \(round): \(fault) \(nodes.prefix(count).map(\.name)) for \(shown(hold))")
            let began = ContinuousClock.now
            let flips = (0..<20).map { _ in Int.random(in: 100...400, using: &random) }
            try await windows.during("\(fault) of round \(round)", Array(nodes.prefix(count))) {
                switch fault {
                case .killOne, .killTwo, .killAll:
                    let victims = nodes.prefix(count)
                    for node in victims { try node.signal(SIGKILL) }
                    for node in victims { try await node.reap() }
                    try await Task.sleep(for: hold)
                    for node in victims { try node.start() }
                case .loseDisk:
                    try await nodes[0].kill()
                    try nodes[0].wipe()
                    try await Task.sleep(for: hold)
                    try nodes[0].start()
                case .pauseOne, .pauseTwo:
                    for node in nodes.prefix(count) { try node.signal(SIGSTOP) }
                    try await Task.sleep(for: hold)
                    for node in nodes.prefix(count) { try node.signal(SIGCONT) }
                case .isolate, .oneWay, .flap, .cutLink:
                    guard let network = cluster.network else { return }
                    try await disturb(network, fault, order, hold, flips)
                }
                // Its effects are over when all is well again.
                if waits { try await cluster.awaitHealthy(within: .seconds(40)) }
            }
            print("round \(round): over after \(shown(ContinuousClock.now - began))")
        }

        private func disturb(
            _ network: VirtualNetwork, _ fault: Fault, _ order: [Int], _ hold: Duration, _ flips: [Int]
        ) async throws {
            switch fault {
            case .oneWay:
                for other in order.dropFirst() { network.cutOneWay(order[0], other) }
                try await Task.sleep(for: hold)
            case .cutLink:
                network.cut(order[0], order[1])
                try await Task.sleep(for: hold)
            case .flap:
                let end = ContinuousClock.now + hold
                for (turn, pause) in flips.enumerated() where ContinuousClock.now < end {
                    if turn % 2 == 0 { network.isolate([order[0]]) } else { network.heal() }
                    try await Task.sleep(for: .milliseconds(pause))
                }
            default:
                network.isolate([order[0]])
                try await Task.sleep(for: hold)
            }
            network.heal()
        }
    }
}
