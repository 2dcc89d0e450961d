import Primitives
import Testing

@testable import Simulation

/// Whole runs, short ones: that they work, repeat, and can fail.
struct RunTests {
    private static func run(seed: UInt64, _ settings: [String]) throws -> SimulationReport {
        try SimulationRequest(seed: seed, settings: settings).run()
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func aShortRunFindsNothingAndRepeatsItself(seed: UInt64) throws {
        // No delayed tasks: such a short run would end before they are due.
        let settings = ["seconds=60", "nodes=3", "load=60", "intensity=100", "brief=40", "delayed=0"]
        let first = try Self.run(seed: seed, settings)
        #expect(
            first.failure == nil, "seed \(seed): \(first.failure.map { "\($0)" } ?? "")\n\(first.lastEvents.suffix(40))"
        )
        #expect(first.counts["tasks"] ?? 0 > 0)
        #expect(first.events > 1000)
        let second = try Self.run(seed: seed, settings)
        #expect(second.traceHash == first.traceHash, "seed \(seed)")
        #expect(second.events == first.events, "seed \(seed)")
    }

    @Test
    func anotherSeedIsAnotherRun() throws {
        let settings = ["seconds=30", "nodes=3"]
        let first = try Self.run(seed: 1, settings)
        let second = try Self.run(seed: 2, settings)
        #expect(first.traceHash != second.traceHash)
    }

    /// Packets that take a second: nobody is ever heard of in time.
    @Test
    func aFailureTellsWhatWasDrawnAndWhatHappened() throws {
        let report = try Self.run(seed: 1, ["seconds=30", "nodes=4", "latency=1000000", "jitter=100"])
        #expect(report.failure?.property == Property.notFormed.rawValue)
        #expect(report.plan.first?.hasPrefix("options: nodes=4 ") == true)
        #expect(!report.lastEvents.isEmpty)
    }

    /// With one copy of each task there is none to spare.
    @Test
    func theLastCopyIsSpared() throws {
        let only = PlanOption.all.filter { option in FaultKind.allCases.contains { $0.rawValue == option.name } }
            .map { "\($0.name)=\($0.name == "disk-loss" ? 10 : 0)" }
        let report = try Self.run(
            seed: 5, only + ["seconds=60", "nodes=3", "copies=1", "intensity=200", "beyond=0", "load=60", "brief=40"])
        #expect(report.failure == nil, "\(report.failure.map { "\($0)" } ?? "")")
        #expect(report.faults["disk-loss"] ?? 0 > 0)
        #expect(report.spared["disk-loss"] == report.faults["disk-loss"])
        #expect(report.counts["ledgers destroyed"] == 0)
    }
}
