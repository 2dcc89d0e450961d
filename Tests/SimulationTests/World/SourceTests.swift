import Foundation
import Testing

/// What may not stand in the code that the simulator runs: it would take time, order or chance from somewhere else than
/// the seed, and not all of it is noticed when it happens.
@Suite struct SourceTests {
    private static let folders = [
        "Primitives", "Membership", "Views", "TaskLedger", "WorkStealing", "Wire", "Journal", "Service", "Node",
    ]
    /// What stands on real parts, and is not simulated.
    private static let exempt = ["Node/Node.swift", "Journal/DiskVolume.swift"]

    /// A word, and what to use instead.
    private static let forbidden: [(pattern: String, advice: String)] = [
        (#"Task\.sleep|Task\.yield"#, "wait by `Scheduler.schedule`"),
        (#"ContinuousClock|SuspendingClock|clock_gettime|\bDate\("#, "ask the scheduler for the time"),
        (
            #"SystemRandomNumberGenerator|\.random\(in:(?![^\n]*using:)|\.randomElement\(\)|\.shuffled\(\)"#,
            "draw from a `SeededGenerator`"
        ),
        (#"\bTask \{|\bTask\.detached \{|\bTask\(priority"#, "start tasks with an executor"),
        (#"DispatchQueue|pthread_create|\bThread\("#, "run on the loop"),
        (#"UUID\(\)|ProcessInfo|getpid\("#, "draw from a `SeededGenerator`"),
    ]

    @Test func simulated_code_takes_time_and_chance_from_its_platform_only() throws {
        let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Sources")
        var files = 0
        for folder in Self.folders {
            let names = try FileManager.default.contentsOfDirectory(
                at: sources.appendingPathComponent(folder), includingPropertiesForKeys: nil)
            for file in names where file.pathExtension == "swift" {
                let name = folder + "/" + file.lastPathComponent
                guard !Self.exempt.contains(name) else { continue }
                files += 1
                for finding in try Self.findings(in: String(contentsOf: file, encoding: .utf8)) {
                    Issue.record("\(name): \(finding)")
                }
            }
        }
        #expect(files > 50)
    }

    static func findings(in text: String) throws -> [String] {
        var findings: [String] = []
        for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let code = line.prefix(upTo: line.firstRange(of: "//")?.lowerBound ?? line.endIndex)
            for (pattern, advice) in forbidden where code.firstMatch(of: try Regex(pattern)) != nil {
                findings.append("line \(number + 1): \(code.trimmingCharacters(in: .whitespaces)): \(advice)")
            }
        }
        return findings
    }

    @Test(arguments: [
        "try await Task.sleep(for: x)", "let now = ContinuousClock.now", "Int.random(in: 0...3)", "Task { await x() }",
        "Task.detached { }", "DispatchQueue.global()", "names.shuffled()", "let id = UUID()", "let t = Date()",
    ])
    func what_is_forbidden_is_found(_ line: String) throws {
        #expect(try Self.findings(in: line).count == 1)
    }

    @Test(arguments: [
        "Int.random(in: 0...3, using: &random)", "// Task { }", "Task.detached(executorPreference: e) { }",
        "names.shuffled(using: &random)", "case updated(Date)",
    ])
    func what_is_allowed_is_not_found(_ line: String) throws {
        #expect(try Self.findings(in: line).isEmpty)
    }
}
