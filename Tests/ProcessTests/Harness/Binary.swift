import Foundation

@testable import Command

/// The program that is tested.
enum Binary {
    /// `APUS_TEST_BINARY`, or the `apus` that was built together with the tests.
    static func path() throws -> String {
        if let said = ProcessInfo.processInfo.environment["APUS_TEST_BINARY"] { return said }
        // The bundle of the tests lies beside it, whichever tool has loaded it.
        let places = [CommandLine.arguments[0]] + CommandLine.arguments.filter { $0.hasSuffix(".xctest") }
        for place in places {
            let folder = URL(filePath: place).deletingLastPathComponent()
            let candidate = folder.appending(path: "apus").path
            if FileManager.default.isExecutableFile(atPath: candidate) { return candidate }
        }
        throw HarnessError("there is no apus beside \(places): build it, or say APUS_TEST_BINARY")
    }

    /// This process's environment without settings that are meant for something else.
    static var environment: [String: String] {
        ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("APUS_") }
    }

    /// Runs a verb to its end. Returns its exit code, and what it wrote to both outputs.
    static func run(
        _ arguments: [String], home: String, within limit: Duration = .seconds(60)
    ) async throws -> (code: Int32, output: String) {
        let log = home + ".output-\(UUID().uuidString)"
        let process = try launchDetached(
            path(), arguments, environment: environment.merging(["APUS_HOME": home]) { $1 }, log: log)
        let code = try await exitCode(of: process, within: limit)
        return (code, try String(contentsOfFile: log, encoding: .utf8))
    }
}

/// Waits for the end of a child. Returns its exit code, or 128 + the number of the signal that ended it.
func exitCode(of process: ProcessIdentity, within limit: Duration) async throws -> Int32 {
    var status: Int32 = 0
    let ended = try await eventually(within: limit, every: .milliseconds(5)) {
        waitpid(process.pid, &status, WNOHANG) == process.pid
    }
    guard ended else {
        process.signal(SIGKILL)
        throw HarnessError("process \(process.pid) has not ended after \(limit)")
    }
    let signal = status & 0x7F
    return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
}
