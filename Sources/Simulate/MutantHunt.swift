import Foundation
import Simulation
import Synchronization

/// Plants one bug after the other, and runs seeds until it is found: what cannot find a known bug proves nothing about unknown
/// ones.
struct MutantHunt {
    let crew: Crew
    let settings: [String]
    /// For each bug.
    let seeds: Int
    let from: UInt64

    /// What a bug is looked for with that shows only when many things come together; forced unless `settings` force it.
    private static let conditions = [
        "outdated-copy-taken": ["queues=4", "settings=20", "load=400", "intensity=90"],
        "lapsed-leads": ["queues=4", "settings=20", "load=400", "intensity=90"],
        "unwitnessed-starts": ["copies=1", "poison=1", "intensity=20", "load=400"],
        "lent-uninformed": ["queues=4", "settings=20"],
        "view-not-recalled": ["comeback=1000", "intensity=100"],
        "told-while-resting": ["isolate=1000", "intensity=160", "looks=200", "load=80"],
    ]

    private struct State {
        var next = 0
        var found: SimulationReport?
        var runs = 0
    }

    /// - Returns: whether each was found.
    func run(_ bugs: [String]) -> Bool {
        var survivors: [String] = []
        for bug in bugs {
            let began = Date()
            let (found, runs) = hunt(bug)
            let seconds = Texts.number(Date().timeIntervalSince(began))
            if let found, let failure = found.failure {
                Texts.say(
                    "\(Texts.pad(bug, 28)) found after \(Texts.pad("\(runs)", 4)) runs, \(seconds) s: seed \(found.seed), "
                        + "\(failure.property): \(failure.detail.prefix(160))")
            } else {
                survivors.append(bug)
                Texts.say("\(Texts.pad(bug, 28)) SURVIVES \(runs) runs, \(seconds) s")
            }
        }
        print(
            survivors.isEmpty
                ? "all \(bugs.count) planted bugs were found"
                : "\(survivors.count) of \(bugs.count) planted bugs survive: \(survivors.joined(separator: ", "))")
        return survivors.isEmpty
    }

    private func failsAnyway(_ request: SimulationRequest) -> Bool {
        var request = request
        request.bug = nil
        return crew.carryOut(request).failure != nil
    }

    private func hunt(_ bug: String) -> (SimulationReport?, Int) {
        let state = Mutex(State())
        let settings = (Self.conditions[bug] ?? []) + settings
        let seeds = seeds
        let from = from
        crew.work(
            next: {
                state.withLock { state in
                    guard state.next < seeds, state.found == nil else { return nil }
                    defer { state.next += 1 }
                    var request = SimulationRequest(seed: from + UInt64(state.next), settings: settings)
                    request.bug = bug
                    return request
                }
            },
            done: { request, report in
                // What fails without the bug as well does not count.
                let isFound = report.failure != nil && !failsAnyway(request)
                state.withLock { state in
                    state.runs += 1
                    if isFound, state.found == nil { state.found = report }
                }
            })
        return state.withLock { ($0.found, $0.runs) }
    }
}
