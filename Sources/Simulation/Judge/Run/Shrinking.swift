/// Makes a failing run smaller, as long as it fails in the same way: first what comes after the failure goes, then faults, then
/// operations, then nodes, then what the options make unusual. Every attempt is a whole run; what a run draws depends on all
/// that happens in it, so a part may be needed only by accident.
///
/// Lists are reduced by delta debugging (Zeller and Hildebrandt, 2002).
package struct Shrinking {
    private let request: SimulationRequest
    private let property: String
    private let run: (SimulationRequest) -> SimulationReport
    private var budget: Int
    private let fixed: [String]
    private var filter: PlanFilter
    private var extra: [String] = []
    /// Of the smallest run so far.
    private var best: SimulationReport

    /// - Parameters:
    ///   - failed: what `request` led to.
    ///   - attempts: runs at most.
    ///   - run: carries out a request.
    package init(
        _ request: SimulationRequest, _ failed: SimulationReport, attempts: Int,
        run: @escaping (SimulationRequest) -> SimulationReport
    ) throws {
        let settings = try PlanSettings(request.settings)
        self.request = request
        self.run = run
        budget = attempts
        best = failed
        property = failed.failure?.property ?? ""
        filter = settings.filter
        fixed = request.settings.filter { argument in !PlanFilter.names.contains { argument.hasPrefix($0 + "=") } }
    }

    /// - Returns: the settings that make the smallest run, and its report.
    package mutating func smallest() throws -> (settings: [String], report: SimulationReport) {
        let settings = try PlanSettings(request.settings)
        let plan = SimulationPlan(seed: request.seed, forced: settings.forced, filter: filter)
        cutTime(plan)
        shrinkFaults(plan)
        shrinkOperations(plan)
        for nodes in stride(from: plan.nodes - 1, through: 2, by: -1) {
            var smaller = filter
            smaller.firstNodes = nodes
            guard fails(smaller, extra) else { break }
        }
        for plain in [
            "loss=0", "copying=0", "overtaking=0", "yield=0", "drift=0", "latency=60", "disk=80", "jitter=10",
        ] {
            let name = plain.prefix { $0 != "=" }
            if !fixed.contains(where: { $0.hasPrefix(name + "=") }) { _ = fails(filter, extra + [plain]) }
        }
        shrinkFaults(SimulationPlan(seed: request.seed, forced: settings.forced, filter: filter))
        return (fixed + extra + filter.arguments, best)
    }

    private mutating func fails(_ filter: PlanFilter, _ extra: [String]) -> Bool {
        guard budget > 0 else { return false }
        budget -= 1
        var smaller = request
        smaller.settings = fixed + extra + filter.arguments
        let report = run(smaller)
        guard report.failure?.property == property else { return false }
        self.filter = filter
        self.extra = extra
        best = report
        return true
    }

    /// What comes after a failure has no part in it.
    private mutating func cutTime(_ plan: SimulationPlan) {
        guard let failure = best.failure, let began = best.secondsToFaults else { return }
        let end = Int((failure.seconds - began) * 1000) + 1
        guard end > 0, end < plan.faultTime else { return }
        var smaller = filter
        smaller.until = end
        _ = fails(smaller, extra)
    }

    private mutating func shrinkFaults(_ plan: SimulationPlan) {
        reduce(plan.faults.map(\.number)) { filter, numbers in filter.faults = numbers }
    }

    private mutating func shrinkOperations(_ plan: SimulationPlan) {
        reduce(plan.operations.map(\.number)) { filter, numbers in filter.operations = numbers }
    }

    private mutating func reduce(_ all: [Int], _ set: (inout PlanFilter, [Int]) -> Void) {
        var kept = all
        var parts = 2
        while !kept.isEmpty, budget > 0 {
            let size = (kept.count + parts - 1) / parts
            var isSmaller = false
            for start in stride(from: 0, to: kept.count, by: size) {
                let without = Array(kept[..<start]) + Array(kept[min(kept.count, start + size)...])
                var smaller = filter
                set(&smaller, without)
                guard fails(smaller, extra) else { continue }
                kept = without
                parts = max(2, parts - 1)
                isSmaller = true
                break
            }
            guard !isSmaller else { continue }
            guard size > 1 else { return }
            parts = min(kept.count, parts * 2)
        }
    }
}
