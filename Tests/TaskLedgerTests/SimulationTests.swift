import Foundation
import Testing

/// The machines of several nodes together, against crashes, partitions, wrong suspicions and drains.
@Suite struct SimulationTests {
    /// One seed if `APUS_SEED` names one, `APUS_SEEDS` of them if that says how many; else a few hundred.
    static func seeds(_ count: UInt64, from first: UInt64) -> [UInt64] {
        let environment = ProcessInfo.processInfo.environment
        if let seed = environment["APUS_SEED"].flatMap(UInt64.init) { return [seed] }
        return Array(first..<first + (environment["APUS_SEEDS"].flatMap(UInt64.init) ?? count))
    }

    static func run(_ settings: Simulation.Settings, _ seeds: [UInt64], _ name: String) {
        var totals = (accepted: 0, runs: 0, steps: 0, newRuns: 0)
        for seed in seeds {
            let simulation = Simulation(seed: seed, settings: settings)
            simulation.isTracing = seeds.count == 1
            let fault = simulation.run()
            if fault != nil { for line in simulation.trace { print(line) } }
            #expect(fault == nil, "\(name): rerun with APUS_SEED=\(seed)")
            totals.accepted += simulation.ghost.accepted.count
            totals.runs += simulation.ghost.runs
            totals.steps += simulation.steps
            totals.newRuns += simulation.ghost.newRuns
        }
        // A simulation in which nothing happens proves nothing.
        #expect(totals.accepted > 5 * seeds.count)
        #expect(totals.runs > 5 * seeds.count)
        #expect(totals.newRuns > 0 || seeds.count < 20)
        print("\(name): \(seeds.count) seeds, \(totals.accepted) tasks, \(totals.runs) runs, \(totals.steps) steps")
    }

    @Test func twoCopiesOnFourNodes() { Self.run(.init(), Self.seeds(60, from: 1), "two copies") }

    @Test func threeCopiesOnFourNodes() {
        Self.run(.init(copies: 3, crashes: 3), Self.seeds(40, from: 1000), "three copies")
    }

    /// Copies of several chunks, with links that break on the way.
    @Test func largePayloads() {
        Self.run(.init(nodes: 3, breaks: 12, payload: 200_000), Self.seeds(40, from: 2000), "large payloads")
    }

    /// New primaries that inherit what is not committed yet, while a learner is on its way.
    @Test func threeLargeCopies() {
        Self.run(
            .init(copies: 3, suspicions: 3, breaks: 15, drains: 2, payload: 200_000), Self.seeds(40, from: 4000),
            "three large copies")
    }

    @Test func threeNodesUnderManySuspicions() {
        Self.run(.init(nodes: 3, crashes: 1, suspicions: 4, drains: 0), Self.seeds(40, from: 3000), "suspicions")
    }
}
