import Foundation
import Primitives
import TaskExecution
import Testing

@testable import TaskHandlers

/// A work folder that goes away with the value.
final class Workspace: Sendable {
    let path: String
    /// Never shut down: it lives as long as the process.
    var http: OutboundHTTP { Self.http }
    private static let http = OutboundHTTP(reach: .private)

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/apus-handlers-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    // Nothing depends on it; the system clears its temporary folder too.
    deinit { try? FileManager.default.removeItem(atPath: path) }

    func contents(of name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: path + "/" + name)))
    }

    func write(_ bytes: some Sequence<UInt8>, to name: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: path + "/" + name))
    }

    /// Sorted; folders are not entered.
    func names(in folder: String = "") throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path + "/" + folder).sorted()
    }

    func attempt(_ payload: [UInt8], id: UInt64 = 1, attempt: UInt32 = 1) throws -> TaskAttempt {
        TaskAttempt(
            id: TaskID(high: 0x0199_0000_0000_7000, low: 1 << 63 | id), payload: payload,
            token: Token(run: 1, term: .first, attempt: attempt), workDirectory: path,
            node: try #require(NodeName("node-1")))
    }

    func run(
        _ type: String, _ payload: String, id: UInt64 = 1, attempt: UInt32 = 1
    ) async throws -> JSONValue {
        let handler = try #require(BuiltinHandlers.all(http: http).first { $0.taskType == type })
        return try JSONParser.parse(
            try await handler.run(try self.attempt(Array(payload.utf8), id: id, attempt: attempt)))
    }

    /// The error with which a run fails.
    func failure(_ type: String, _ payload: String) async throws -> HandlerError {
        try #require(await #expect(throws: HandlerError.self) { try await self.run(type, payload) })
    }
}

extension JSONValue {
    subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    var text: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    var count: Int? {
        guard case .integer(let value) = self else { return nil }
        return Int(value)
    }

    var elements: [JSONValue] {
        guard case .array(let elements) = self else { return [] }
        return elements
    }

    /// As text, for payloads.
    var rendered: String { String(decoding: bytes, as: UTF8.self) }
}

/// A JSON string literal.
func quoted(_ text: String) -> String { JSONValue.string(text).rendered }

/// Python as a second opinion. Its packages are installed by the test script; tests that miss one are skipped, and say
/// so.
enum Oracle {
    static let hasPython = succeeds("import email, csv")
    static let hasNumPy = succeeds("import numpy")
    static let hasPillow = succeeds("import PIL.Image, PIL.features; assert PIL.features.check('webp')")

    private static let executable = ProcessInfo.processInfo.environment["APUS_PYTHON"] ?? "python3"

    private static func succeeds(_ script: String) -> Bool {
        guard let (status, _) = try? launch(script, "") else { return false }
        return status == 0
    }

    /// Runs `script`, in which `data` is the JSON `input`; what it passes to `answer` is returned.
    static func ask(_ script: String, _ input: JSONValue) throws -> JSONValue {
        let file = FileManager.default.temporaryDirectory.path + "/apus-oracle-\(UUID().uuidString)"
        try Data(input.bytes).write(to: URL(fileURLWithPath: file))
        // Only a temporary file: if it stays, the answer is as good.
        defer { try? FileManager.default.removeItem(atPath: file) }
        let prelude = """
            import json, sys
            data = json.load(open(sys.argv[1], encoding='utf-8'))
            def answer(value): print(json.dumps(value))

            """
        let (status, output) = try launch(prelude + script, file)
        try #require(status == 0, "the oracle failed")
        return try JSONParser.parse(output)
    }

    private static func launch(_ script: String, _ argument: String) throws -> (Int32, [UInt8]) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [executable, "-c", script, argument]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, Array(output))
    }
}
