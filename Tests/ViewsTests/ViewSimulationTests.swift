import Foundation
import Primitives
import Testing
import Views

/// The machines in a cluster where everything fails. `APUS_SEED=n` runs one seed with a trace, `APUS_SEEDS=n` that
/// many.
@Suite struct ViewSimulationTests {
    private static func setting(_ name: String) -> UInt64? {
        ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
    }

    /// What a number of runs went through.
    private struct Tally {
        var excused = 0
        var recovered = 0
        var claimed = 0
        var alone = 0
        var forced = 0
    }

    /// A run's violation, if any.
    private static func run(
        _ seed: UInt64, flaw: Flaw? = nil, trace: Bool = false, into tally: inout Tally
    ) -> Violation? {
        var cluster = SimulatedCluster(seed: seed, flaw: flaw)
        if trace { cluster.trace = { print($0) } }
        do throws(Violation) {
            try cluster.run()
            // Where no disk is lost and all nodes come back, there is no excuse.
            if cluster.ghosts.isExcused || cluster.ghosts.isRecovered, !cluster.isDeadly {
                return Violation(seed: seed, what: "voters are missing though none is lost")
            }
            tally.excused += cluster.ghosts.isExcused ? 1 : 0
            tally.recovered += cluster.ghosts.isRecovered ? 1 : 0
            tally.claimed += cluster.ghosts.claimed
            tally.alone += cluster.ghosts.alone
            tally.forced += cluster.ghosts.forced
            return nil
        } catch {
            return error
        }
    }

    @Test func noSeedBreaksARule() {
        var tally = Tally()
        if let seed = Self.setting("APUS_SEED") {
            let violation = Self.run(seed, trace: true, into: &tally)
            #expect(violation == nil, "\(violation?.what ?? "")")
            return
        }
        let count = Self.setting("APUS_SEEDS") ?? 250
        for seed in 1...count {
            if let violation = Self.run(seed, into: &tally) {
                Issue.record("\(violation)")
                return
            }
        }
        print("\(count) seeds: \(tally)")
        #expect(tally.excused <= count / 5, "too many runs had lost too much to tell anything about settling")
        #expect(tally.claimed > 0 && tally.alone > 0 && tally.forced > 0 && tally.recovered > 0)
    }

    /// Rare flaws take thousands of runs: too many for a debug build.
    static let huntsFlaws: Bool = {
        #if DEBUG
        ProcessInfo.processInfo.environment["APUS_FLAWS"] != nil
        #else
        true
        #endif
    }()

    /// The checks see what they are for.
    @Test(.enabled(if: huntsFlaws, "in a release build, or with APUS_FLAWS=1"), arguments: Flaw.all)
    func everyFlawIsCaught(flaw: Flaw) {
        var tally = Tally()
        let limit = Self.setting("APUS_SEEDS") ?? 3000
        for seed in 1...limit {
            if let violation = Self.run(seed, flaw: flaw, into: &tally) {
                print("\(flaw): \(violation)")
                return
            }
        }
        Issue.record("no run notices \(flaw)")
    }
}
