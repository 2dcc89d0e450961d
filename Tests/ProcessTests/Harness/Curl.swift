import Foundation

@testable import Command

/// What the client of this project does not tell: the headers of an answer.
enum Curl {
    /// By name in small letters.
    static func headers(of url: String, posting body: String) async throws -> [String: String] {
        guard let curl = findExecutable("curl") else { throw HarnessError("curl is not installed") }
        let output = FileManager.default.temporaryDirectory.appending(path: "apus-curl-\(UUID().uuidString)").path
        defer { unlink(output) }
        let process = try launchDetached(
            curl,
            [
                "--silent", "--show-error", "--max-time", "10", "--output", "/dev/null", "--dump-header", "-", "--data",
                body, "--header", "content-type: application/json", url,
            ], environment: Binary.environment, log: output)
        let code = try await exitCode(of: process, within: .seconds(15))
        let text = try String(contentsOfFile: output, encoding: .utf8)
        guard code == 0 else { throw HarnessError("curl ends with \(code): \(text)") }
        var headers: [String: String] = [:]
        for line in text.split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmed
        }
        return headers
    }
}
