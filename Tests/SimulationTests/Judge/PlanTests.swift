import Testing

@testable import Simulation

/// Drawing a run from its seed.
struct PlanTests {
    @Test(arguments: [1, 2, 77, 4_000_000_000] as [UInt64])
    func theSameSeedDrawsTheSamePlan(seed: UInt64) {
        let first = SimulationPlan(seed: seed)
        let second = SimulationPlan(seed: seed)
        #expect(first.description == second.description)
        #expect(first.faults == second.faults)
        #expect(first.operations == second.operations)
        #expect(first.description != SimulationPlan(seed: seed + 1).description)
    }

    @Test
    func aForcedOptionHoldsAndLeavesTheOthersAsTheyWere() {
        let drawn = PlanOptions(seed: 5)
        let forced = PlanOptions(seed: 5, forced: ["nodes": 7, "sync": 2])
        #expect(forced["nodes"] == 7)
        #expect(forced.lines.contains("sync=never"))
        for option in PlanOption.all where option.name != "nodes" && option.name != "sync" {
            #expect(forced[option.name] == drawn[option.name], "\(option.name)")
        }
    }

    @Test
    func everyOptionIsNamedOnceAndDrawsWhatMayBeForced() {
        #expect(Set(PlanOption.all.map(\.name)).count == PlanOption.all.count)
        for option in PlanOption.all {
            for seed in 0..<50 as Range<UInt64> {
                #expect(option.range.contains(option.draw(seed: seed)), "\(option.name)")
            }
        }
    }

    @Test
    func everyFaultOfASeedHasItsPlaceInTime() {
        for seed in 0..<100 as Range<UInt64> {
            let plan = SimulationPlan(seed: seed)
            for fault in plan.faults {
                #expect(fault.at < plan.faultTime, "seed \(seed)")
                #expect(fault.node < plan.nodes && fault.other < plan.nodes, "seed \(seed)")
                #expect(plan.hasRedis || !fault.kind.needsRedis, "seed \(seed)")
            }
            #expect(plan.faults.map(\.at) == plan.faults.map(\.at).sorted(), "seed \(seed)")
        }
    }

    @Test
    func aFilterLeavesOutWhatItDoesNotNameAndKeepsTheRestAsItWas() throws {
        let whole = SimulationPlan(seed: 3, forced: ["intensity": 100, "nodes": 5])
        let settings = try PlanSettings(["intensity=100", "nodes=5", "faults=1,4-6", "operations=none", "until=100000"])
        let part = SimulationPlan(seed: 3, forced: settings.forced, filter: settings.filter)
        #expect(part.faults == whole.faults.filter { [1, 4, 5, 6].contains($0.number) && $0.at < 100_000 })
        #expect(!part.faults.isEmpty)
        #expect(part.operations.isEmpty)
        #expect(part.faultTime == 100_000)
    }

    @Test
    func withFewerNodesNothingIsAboutTheOthers() throws {
        var filter = PlanFilter()
        filter.firstNodes = 3
        let plan = SimulationPlan(seed: 8, forced: ["nodes": 7, "intensity": 200, "split": 20], filter: filter)
        #expect(plan.nodes == 3)
        #expect(!plan.faults.isEmpty)
        for fault in plan.faults {
            #expect(fault.node < 3 && fault.other < 3)
            #expect(fault.side >> 3 == 0)
        }
        #expect(plan.operations.allSatisfy { $0.node < 3 })
    }

    @Test
    func argumentsMakeTheSamePlanAgain() throws {
        let settings = try PlanSettings(["copies=3", "faults=0-3,7", "until=50000"])
        let plan = SimulationPlan(seed: 11, forced: settings.forced, filter: settings.filter)
        #expect(plan.arguments == ["--seed", "11", "copies=3", "faults=0-3,7", "until=50000"])
    }

    @Test(arguments: [
        ("nodes", "\"nodes\": write name=value"), ("ndoes=3", "there is no option \"ndoes\": is nodes meant?"),
        ("sync=sometimes", "sync cannot be \"sometimes\": it is one of always, interval, never"),
        ("nodes=900", "nodes cannot be \"900\": it is one of 1...7"),
        ("faults=3-1", "faults cannot be \"3-1\": write numbers, such as 1,4-7 or 120000"),
    ])
    func whatCannotBeForcedIsExplained(argument: String, explanation: String) {
        let error = #expect(throws: PlanSettings.Unknown.self) { try PlanSettings([argument]) }
        #expect(error?.description == explanation)
    }

    @Test
    func theWorkFitsTheCluster() {
        for seed in 0..<50 as Range<UInt64> {
            let plan = SimulationPlan(seed: seed)
            var work = 0
            for operation in plan.operations where operation.kind == .submit || operation.kind == .submitAndWait {
                for task in plan.tasks(of: operation, attempt: 0) where task.style != .poison && task.style != .hanging
                {
                    work += Int(task.script.milliseconds)
                }
            }
            let capacity = plan.nodes * plan.options["slots"] * (plan.faultTime + plan.healedTime)
            #expect(work < capacity, "seed \(seed)")
        }
    }
}
