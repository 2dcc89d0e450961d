import Primitives
import Testing

@testable import Simulation

/// Small budgets of what `MembershipExperiment` measures. The figures of a long run are in the design.
@Suite struct MembershipExperimentTests {
    typealias Parameters = MembershipExperiment.Parameters
    typealias Report = MembershipExperiment.Report

    struct Network: Sendable {
        let members: ClosedRange<Int>
        let delay: ClosedRange<Duration>
        let nodeHours: Double
    }

    static let local = Duration.microseconds(50)...Duration.microseconds(500)
    static let networks = [
        Network(members: 5...10, delay: local, nodeHours: 0.4),
        Network(members: 5...10, delay: .milliseconds(50) ... .milliseconds(150), nodeHours: 0.4),
        // Nobody helps.
        Network(members: 2...2, delay: local, nodeHours: 2),
    ]

    @Test(arguments: networks) func withTenPercentLossNobodyIsDeclaredDeadByMistake(_ network: Network) {
        var parameters = Parameters()
        parameters.members = network.members
        parameters.nodeHours = network.nodeHours
        parameters.loss = 0.1
        parameters.delay = network.delay
        let report = MembershipExperiment.run(parameters, seed: 1)
        #expect(report.falseDeaths == 0)
        // The protocol had something to do.
        #expect(report.falseSuspicions > 100)
    }

    @Test func slowMembersKillTwentyTimesMoreHealthyOnesWithoutLifeguard() {
        var parameters = Parameters()
        parameters.nodeHours = 1
        parameters.slowness = MembershipExperiment.Slowness()
        let with = MembershipExperiment.run(parameters, seed: 1)
        parameters.settings.hasLifeguard = false
        let without = MembershipExperiment.run(parameters, seed: 1)
        #expect(without.falseDeaths >= 20 * max(1, with.falseDeaths))
    }

    struct Bound: Sendable {
        let crash: MembershipExperiment.Crash
        let loss: Double
        let limit: Duration
    }

    @Test(arguments: [
        Bound(crash: .killed, loss: 0, limit: .milliseconds(300)),
        Bound(crash: .killed, loss: 0.1, limit: .milliseconds(300)),
        Bound(crash: .unplugged, loss: 0, limit: .milliseconds(2500)),
        Bound(crash: .unplugged, loss: 0.1, limit: .milliseconds(2500)),
    ]) func everybodyKnowsOfACrashInTime(_ bound: Bound) throws {
        var parameters = Parameters()
        parameters.crashes = 12
        parameters.crash = bound.crash
        parameters.loss = bound.loss
        let report = MembershipExperiment.run(parameters, seed: 2)
        #expect(report.undetected == 0)
        #expect(report.allKnown.count + report.unwitnessed == 12)
        #expect(try #require(report.allKnown.max()) < bound.limit)
        if bound.crash == .killed { #expect(try #require(report.allProven.max()) < bound.limit) }
        #expect(report.allProven.isEmpty == (bound.crash == .unplugged))
    }

    @Test func oneSeedGivesOneRun() {
        var parameters = Parameters()
        parameters.members = 5...6
        parameters.nodeHours = 0.02
        parameters.loss = 0.1
        parameters.slowness = MembershipExperiment.Slowness()
        let first = MembershipExperiment.run(parameters, seed: 42)
        #expect(first == MembershipExperiment.run(parameters, seed: 42))
        #expect(first.trace != MembershipExperiment.run(parameters, seed: 43).trace)
    }

    @Test func aQuietClusterSendsAPingAnAckAndThreeOfGossipInAPeriod() {
        var parameters = Parameters()
        parameters.members = 6...6
        parameters.nodeHours = 0.1
        let report = MembershipExperiment.run(parameters, seed: 3)
        let perPeriod = Double(report.datagrams) / (0.1 * 3600 * 5)
        #expect(perPeriod > 4.9 && perPeriod < 5.2)
        #expect(report.falseSuspicions == 0)
    }

    @Test func quantilesAreTakenFromTheOrderedDurations() {
        let durations = [4, 1, 3, 2].map { Duration.seconds($0) }
        #expect(Report.quantile(0, of: durations) == .seconds(1))
        #expect(Report.quantile(0.5, of: durations) == .seconds(3))
        #expect(Report.quantile(1, of: durations) == .seconds(4))
        #expect(Report.quantile(0.5, of: []) == nil)
    }
}
