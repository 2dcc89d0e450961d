import TaskExecution

/// Counts how often handlers really ran, for tests and drills: with `count_file` in its payload, a run appends a line
/// `<task id> <token> <node>` to that file of the work folder before it does anything else. The folder may be shared by
/// nodes: each line is one append, and the file is bounded.
enum RunRecord {
    static let fieldName = "count_file"

    /// Looks for the member in a payload that is otherwise none of the handler's business. Payloads without it are not
    /// parsed.
    static func write(_ attempt: TaskAttempt) async throws {
        guard contains(attempt.payload, Array("\"\(fieldName)\"".utf8)),
            case .object(let members) = try JSONParser.parse(attempt.payload),
            let value = members.first(where: { $0.name == fieldName })?.value
        else { return }
        guard case .string(let name) = value else {
            throw HandlerError.invalidPayload("payload.\(fieldName) is \(value.kind), expected a string")
        }
        try await write(attempt, to: name)
    }

    /// Does nothing without a name.
    static func write(_ attempt: TaskAttempt, to name: String?) async throws {
        guard let name else { return }
        let line = Array("\(attempt.id) \(attempt.token) \(attempt.node)\n".utf8)
        try await OffloadPool.shared.run { _ in
            try WorkFolder(attempt.workDirectory).append(
                line, to: name, at: "payload.\(fieldName)", upTo: HandlerLimits.recordFileBytes)
        }
    }

    private static func contains(_ bytes: [UInt8], _ pattern: [UInt8]) -> Bool {
        guard bytes.count >= pattern.count else { return false }
        return (0...bytes.count - pattern.count).contains { start in
            bytes[start] == pattern[0] && bytes[start..<start + pattern.count].elementsEqual(pattern)
        }
    }
}
