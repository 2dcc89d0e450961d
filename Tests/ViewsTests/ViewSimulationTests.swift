import Foundation
import Primitives
import Testing
import Views

/// The machines in a cluster where everything fails. `APUS_SEED=n` runs one seed with a trace, `APUS_SEEDS=n` that many.
@Suite struct ViewSimulationTests {
    private static func setting(_ name: String) -> UInt64? {
        ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
    }

    /// A run's violation, if any, and whether too much was lost to expect that the cluster settles.
    private static func run(
        _ seed: UInt64, flaw: Flaw? = nil, trace: Bool = false
    ) -> (Violation?, isExcused: Bool) {
        var cluster = SimulatedCluster(seed: seed, flaw: flaw)
        if trace { cluster.trace = { print($0) } }
        do throws(Violation) {
            try cluster.run()
            // Where no disk is lost and all nodes come back, there is no excuse.
            if cluster.ghosts.isExcused, !cluster.isDeadly {
                return (Violation(seed: seed, what: "voters are missing though none is lost"), false)
            }
            return (nil, cluster.ghosts.isExcused)
        } catch {
            return (error, false)
        }
    }

    @Test func noSeedBreaksARule() {
        if let seed = Self.setting("APUS_SEED") {
            let (violation, _) = Self.run(seed, trace: true)
            #expect(violation == nil, "\(violation?.what ?? "")")
            return
        }
        let count = Self.setting("APUS_SEEDS") ?? 300
        var excused: UInt64 = 0
        for seed in 1...count {
            let (violation, isExcused) = Self.run(seed)
            excused += isExcused ? 1 : 0
            if let violation {
                Issue.record("\(violation)")
                return
            }
        }
        print("\(count) seeds, \(excused) excused")
        #expect(excused <= count / 4, "\(excused) of \(count) runs had lost too much to tell anything about settling")
    }

    /// The checks see what they are for.
    @Test(arguments: Flaw.allCases) func everyFlawIsCaught(flaw: Flaw) {
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
