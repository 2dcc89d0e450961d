import Testing

@testable import Simulation

/// Making failing runs smaller: with made-up runs, whose causes are known.
struct ShrinkingTests {
    private static func report(_ seed: UInt64, _ property: Property?) -> SimulationReport {
        var report = SimulationReport(seed: seed)
        report.secondsToFaults = 2
        if let property {
            report.failure = SimulationReport.Failure(
                property: property.rawValue, meaning: property.meaning, detail: "", seconds: 100)
        }
        return report
    }

    private static func plan(_ request: SimulationRequest) -> SimulationPlan {
        guard let settings = try? PlanSettings(request.settings) else { preconditionFailure("\(request.settings)") }
        return SimulationPlan(seed: request.seed, forced: settings.forced, filter: settings.filter)
    }

    @Test
    func theFewFaultsThatMatterAreLeft() throws {
        let request = SimulationRequest(seed: 4, settings: ["intensity=150", "nodes=5"])
        let all = Self.plan(request).faults.filter { $0.at < 90_000 }.map(\.number)
        let needed = [all[1], all[all.count / 2], all[all.count - 1]]
        func run(_ request: SimulationRequest) -> SimulationReport {
            let plan = Self.plan(request)
            let fails = needed.allSatisfy { number in plan.faults.contains { $0.number == number } }
            return Self.report(request.seed, fails ? .lost : nil)
        }
        var shrinking = try Shrinking(request, run(request), attempts: 1000, run: run)
        let (settings, report) = try shrinking.smallest()
        let smallest = Self.plan(SimulationRequest(seed: 4, settings: settings))
        #expect(report.failure?.property == "lost")
        #expect(smallest.faults.map(\.number) == needed)
        #expect(smallest.operations.isEmpty)
        #expect(smallest.faultTime == 98_001)
    }

    @Test
    func anotherFailureIsNotTakenForTheSame() throws {
        let request = SimulationRequest(seed: 4, settings: ["intensity=150"])
        let count = Self.plan(request).faults.count
        func run(_ request: SimulationRequest) -> SimulationReport {
            Self.report(request.seed, Self.plan(request).faults.count == count ? .lost : .denied)
        }
        var shrinking = try Shrinking(request, run(request), attempts: 1000, run: run)
        let (settings, report) = try shrinking.smallest()
        #expect(report.failure?.property == "lost")
        #expect(Self.plan(SimulationRequest(seed: 4, settings: settings)).faults.count == count)
    }

    @Test
    func noMoreIsTriedThanAllowed() throws {
        let request = SimulationRequest(seed: 4, settings: [])
        let runs = Counter()
        var shrinking = try Shrinking(request, Self.report(4, .lost), attempts: 7) {
            runs.count += 1
            return Self.report($0.seed, nil)
        }
        _ = try shrinking.smallest()
        #expect(runs.count == 7)
    }

    private final class Counter { var count = 0 }
}
