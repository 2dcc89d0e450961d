import Foundation
import Simulation

/// What came of many runs.
struct Summary: Sendable {
    private(set) var runs = 0
    private var repeats = 0
    private var failed: [String: Int] = [:]
    private var nodeSeconds = 0.0
    private var seconds = 0.0
    private var events: UInt64 = 0
    private var elapsed = 0.0
    private var faults: [String: Int] = [:]
    private var spared = 0
    private var counts: [String: Int] = [:]
    private var duplicates: [String: Int] = [:]
    private var health: [Double] = []
    private var worstGap = (seconds: 0.0, seed: UInt64(0))
    private var slowest = (seconds: 0.0, seed: UInt64(0))

    mutating func add(_ report: SimulationReport, isRepeated: Bool) {
        runs += 1
        if isRepeated { repeats += 1 }
        if let failure = report.failure { failed[failure.property, default: 0] += 1 }
        seconds += report.seconds
        nodeSeconds += report.seconds * Double(report.nodes)
        events += report.events
        elapsed += report.elapsed
        faults.merge(report.faults, uniquingKeysWith: +)
        spared += report.spared.values.reduce(0, +)
        counts.merge(report.counts, uniquingKeysWith: +)
        duplicates.merge(report.duplicates, uniquingKeysWith: +)
        if let time = report.secondsToHealth { health.append(time) }
        if report.worstGap > worstGap.seconds { worstGap = (report.worstGap, report.seed) }
        if report.elapsed > slowest.seconds { slowest = (report.elapsed, report.seed) }
    }

    func text(realSeconds: Double) -> String {
        var lines = [
            "\(runs) runs, \(Texts.number(seconds / 3600)) cluster-hours, \(Texts.number(nodeSeconds / 3600)) node-hours, "
                + "\(Texts.grouped(events)) events in \(Texts.number(realSeconds)) s "
                + "(\(Texts.number(elapsed)) s of processor time, slowest seed \(slowest.seed): "
                + "\(Texts.number(slowest.seconds)) s)"
        ]
        let all = faults.values.reduce(0, +)
        lines.append("faults: \(all), \(spared) of them made milder, since they would have destroyed the last copy")
        lines += Texts.columns(faults)
        lines.append("what happened:")
        lines += Texts.columns(counts)
        lines.append("attempts made again though they had not failed, by cause:")
        lines += duplicates.isEmpty ? ["  none"] : Texts.columns(duplicates)
        if !health.isEmpty {
            let sorted = health.sorted()
            lines.append(
                "well again after healing: median \(Texts.number(sorted[sorted.count / 2])) s, 99 % "
                    + "\(Texts.number(sorted[sorted.count * 99 / 100])) s, worst \(Texts.number(sorted[sorted.count - 1])) s; "
                    + "longest time without an accepted task while there were faults: \(Texts.number(worstGap.seconds)) s (seed "
                    + "\(worstGap.seed))")
        }
        lines.append("\(repeats) seeds ran twice, with sets in another order, and were compared event by event")
        if failed.isEmpty {
            lines.append("no violation")
        } else {
            lines.append(
                "VIOLATIONS: "
                    + failed.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", "))
        }
        return lines.joined(separator: "\n")
    }
}
