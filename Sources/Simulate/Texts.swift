import Foundation
import Simulation

/// What is printed.
enum Texts {
    static var options: String {
        var lines = ["name             drawn (weight)                          meaning"]
        for option in PlanOption.all {
            let values = option.values.map { value, weight in
                option.values.count == 1 ? option.text(value) : "\(option.text(value)) (\(weight))"
            }
            lines.append(
                pad(option.name, 16) + " " + pad(values.joined(separator: " "), 39) + " " + option.meaning)
        }
        return lines.joined(separator: "\n")
    }

    static func failure(
        _ report: SimulationReport, _ request: SimulationRequest, original: SimulationRequest
    ) -> String {
        guard let failure = report.failure else { return "" }
        var lines = [
            "", "FAILED: seed \(report.seed), \(failure.property): \(failure.meaning)",
            "  after \(number(failure.seconds)) virtual seconds: \(failure.detail)", "",
        ]
        lines += report.plan
        if !report.lastEvents.isEmpty {
            lines.append("the last events:")
            lines += report.lastEvents.suffix(60).map { "  " + $0 }
        }
        let bug = request.bug.map { " (with the planted bug \($0))" } ?? ""
        lines.append("again\(bug):  scripts/simulate --seed \(request.seed) \(request.settings.joined(separator: " "))")
        if request.settings != original.settings {
            lines.append(
                "as it was: scripts/simulate --seed \(original.seed) \(original.settings.joined(separator: " "))")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// At once, also into a file.
    static func say(_ line: String) {
        print(line)
        fflush(nil)
    }

    /// Name and number, three to a line, ascending by name.
    static func columns(_ counts: [String: Int]) -> [String] {
        let cells = counts.sorted { $0.key < $1.key }.map { pad("\($0.key) \($0.value)", 32) }
        return stride(from: 0, to: cells.count, by: 3).map { "  " + cells[$0..<min($0 + 3, cells.count)].joined() }
    }

    static func number(_ value: Double) -> String { String(format: value < 100 ? "%.2f" : "%.0f", value) }

    static func grouped(_ value: UInt64) -> String {
        var groups: [String] = []
        var rest = value
        while rest >= 1000 {
            groups.append(String(1000 + rest % 1000).dropFirst().description)
            rest /= 1000
        }
        return ([String(rest)] + groups.reversed()).joined(separator: ",")
    }

    static func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }
}
