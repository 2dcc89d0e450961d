#if PLANTED_BUGS
import Primitives
#endif

/// What a process of the runner is asked to do: one line of JSON; the answer is a `SimulationReport`.
package struct SimulationRequest: Codable, Sendable {
    package var seed: UInt64
    /// `name=value` each: see `PlanSettings`.
    package var settings: [String]
    package var isTraced = false
    /// The raw value of a `PlantedBug`.
    package var bug: String?

    package init(seed: UInt64, settings: [String]) {
        self.seed = seed
        self.settings = settings
    }

    package struct Refusal: Error, CustomStringConvertible {
        package let description: String
    }

    package func run() throws -> SimulationReport {
        let settings = try PlanSettings(settings)
        let plan = SimulationPlan(seed: seed, forced: settings.forced, filter: settings.filter)
        try plant()
        return SimulationRun(plan, isTraced: isTraced).report()
    }

    private func plant() throws {
        #if PLANTED_BUGS
        PlantedBug.active = nil
        guard let bug else { return }
        guard let known = PlantedBug(rawValue: bug) else { throw Refusal(description: "there is no bug \"\(bug)\"") }
        PlantedBug.active = known
        #else
        guard bug == nil else {
            throw Refusal(description: "this build has no planted bugs: use scripts/simulate --mutants")
        }
        #endif
    }

    /// All that this build has.
    package static var bugs: [String] {
        #if PLANTED_BUGS
        PlantedBug.allCases.map(\.rawValue)
        #else
        []
        #endif
    }
}
