import Primitives
import Simulation

/// Failure detection alone, in clusters of several sizes: see `MembershipExperiment`.
struct MembershipTable {
    func print() {
        Swift.print("false deaths of healthy members in 1,000 node-hours (5 to 10 members)")
        for loss in [0.0, 0.1] {
            var parameters = MembershipExperiment.Parameters()
            parameters.nodeHours = 1000
            parameters.loss = loss
            let report = MembershipExperiment.run(parameters, seed: 1)
            Swift.print(
                "  \(Int(loss * 100)) % loss: \(report.falseDeaths) deaths, \(report.falseSuspicions) suspicions")
        }
        Swift.print("")
        Swift.print(
            "members  all know of a kill: median, worst   of a pulled cable: median, worst   per member and second")
        for size in [10, 100, 1000] {
            let kills = crashes(size, .killed)
            let cables = crashes(size, .unplugged)
            let quiet = quiet(size)
            let seconds = quiet.nodeHours * 3600
            Swift.print(
                Texts.pad("\(size)", 9) + Texts.pad(times(kills), 36) + Texts.pad(times(cables), 35)
                    + "\(Texts.number(Double(quiet.datagrams) / seconds)) datagrams, "
                    + "\(Texts.number(Double(quiet.datagramBytes) / seconds)) bytes")
        }
    }

    private func crashes(_ size: Int, _ kind: MembershipExperiment.Crash) -> MembershipExperiment.Report {
        var parameters = MembershipExperiment.Parameters()
        parameters.members = size...size
        parameters.settings.members = max(size, parameters.settings.members)
        parameters.crashes = size >= 1000 ? 3 : 20
        parameters.crash = kind
        return MembershipExperiment.run(parameters, seed: 1)
    }

    private func quiet(_ size: Int) -> MembershipExperiment.Report {
        var parameters = MembershipExperiment.Parameters()
        parameters.members = size...size
        parameters.settings.members = max(size, parameters.settings.members)
        parameters.nodeHours = size >= 1000 ? 15 : 5
        parameters.warmUp = .seconds(40)
        return MembershipExperiment.run(parameters, seed: 1)
    }

    private func times(_ report: MembershipExperiment.Report) -> String {
        func text(_ share: Double) -> String {
            MembershipExperiment.Report.quantile(share, of: report.allKnown).map { "\($0.milliseconds) ms" } ?? "never"
        }
        let missed = report.undetected > 0 ? ", \(report.undetected) unnoticed" : ""
        return "\(text(0.5)), \(text(1))\(missed)"
    }
}
