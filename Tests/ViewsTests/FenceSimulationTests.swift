import Foundation
import Primitives
import Testing
import Views

/// The fence in a cluster where everything fails. `APUS_SEED=n` runs one seed with a trace, `APUS_SEEDS=n` that many.
@Suite struct FenceSimulationTests {
    private static func setting(_ name: String) -> UInt64? {
        ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
    }

    private static func run(_ seed: UInt64, flaw: FenceFlaw? = nil, trace: Bool = false) -> (Violation?, terms: Int) {
        var cluster = FenceCluster(seed: seed, flaw: flaw)
        if trace { cluster.trace = { print($0) } }
        do throws(Violation) {
            try cluster.run()
            return (nil, cluster.terms)
        } catch {
            return (error, cluster.terms)
        }
    }

    @Test func aDeposedPrimaryStartsNothingAfterItsSuccessorHas() {
        if let seed = Self.setting("APUS_SEED") {
            let flaw = ProcessInfo.processInfo.environment["APUS_FLAW"].flatMap { FenceFlaw(rawValue: $0) }
            let (violation, _) = Self.run(seed, flaw: flaw, trace: true)
            #expect(violation == nil, "\(violation?.what ?? "")")
            return
        }
        let count = Self.setting("APUS_SEEDS") ?? 50
        var terms = 0
        for seed in 1...count {
            let (violation, started) = Self.run(seed)
            terms += started
            if let violation {
                Issue.record("\(violation)")
                return
            }
        }
        print("\(count) seeds, tasks were started in \(terms) terms")
        #expect(terms >= 3 * Int(count), "too few primaries came to start anything for this to mean much")
    }

    /// The checks see what they are for.
    @Test(
        .enabled(if: ViewSimulationTests.huntsFlaws, "in a release build, or with APUS_FLAWS=1"),
        arguments: FenceFlaw.allCases) func everyFlawIsCaught(flaw: FenceFlaw)
    {
        let limit = Self.setting("APUS_SEEDS") ?? 3000
        for seed in 1...limit {
            if let violation = Self.run(seed, flaw: flaw).0 {
                print("\(flaw.rawValue): \(violation)")
                return
            }
        }
        Issue.record("no run notices \(flaw.rawValue)")
    }
}
