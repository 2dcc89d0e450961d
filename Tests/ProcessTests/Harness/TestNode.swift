import APIModel
import Foundation
import NIOCore
import NIOHTTP1
import Primitives
import Synchronization
import Testing

@testable import Command

/// Where a process of a test runs.
struct Place: Sendable {
    /// The address that others reach it at.
    var host = "127.0.0.1"
    /// A command that becomes the process: `ip netns exec NAME`.
    var prefix: [String] = []

    func launch(_ executable: String, _ arguments: [String], log: String) throws -> ProcessIdentity {
        let words = prefix + [executable] + arguments
        return try launchDetached(words[0], Array(words.dropFirst()), environment: Binary.environment, log: log)
    }
}

/// One node of a test's cluster: its process, and its API.
final class TestNode: Sendable {
    let name: String
    let httpPort: UInt16
    let peerPort: UInt16
    let log: String
    /// What must survive a restart.
    let data: String
    private let place: Place
    private let arguments: [String]
    private let supervisor: Supervisor
    private let current: Mutex<ProcessIdentity?>

    var url: String { "http://127.0.0.1:\(httpPort)" }

    /// - Parameter further: settings besides those that follow from the others.
    init(
        name: String, httpPort: UInt16, peerPort: UInt16, folder: String, place: Place = Place(),
        arguments further: [String], supervisor: Supervisor
    ) throws {
        self.name = name
        self.place = place
        self.httpPort = httpPort
        self.peerPort = peerPort
        self.supervisor = supervisor
        log = folder + "/log"
        data = folder + "/data"
        let peer = "\(place.host):\(peerPort)"
        arguments =
            [
                "node", "--name", name, "--http", "127.0.0.1:\(httpPort)", "--peer", peer, "--gossip", peer,
                "--data", data,
            ] + further
        current = Mutex(nil)
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
    }

    /// One with the same folder and some other settings.
    func with(_ settings: [String]) -> TestNode { TestNode(self, settings) }

    private init(_ other: TestNode, _ settings: [String]) {
        name = other.name
        httpPort = other.httpPort
        peerPort = other.peerPort
        log = other.log
        data = other.data
        place = other.place
        supervisor = other.supervisor
        current = Mutex(nil)
        var words = other.arguments
        for index in stride(from: 0, to: settings.count, by: 2) {
            guard let flag = words.firstIndex(of: settings[index]) else {
                words += settings[index...(index + 1)]
                continue
            }
            words[flag + 1] = settings[index + 1]
        }
        arguments = words
    }

    // MARK: Its process

    private var process: ProcessIdentity {
        get throws {
            guard let process = current.withLock({ $0 }) else { throw HarnessError("\(name) was never started") }
            return process
        }
    }

    func start() throws {
        let process = try place.launch(Binary.path(), arguments, log: log)
        try supervisor.adopt(process)
        current.withLock { $0 = process }
    }

    func signal(_ number: Int32) throws {
        guard try process.signal(number) else { throw HarnessError("\(name) has ended: " + lastLines(of: log, 10)) }
    }

    func kill() async throws {
        try signal(SIGKILL)
        try await reap()
    }

    /// After a signal that ends it.
    func reap() async throws { _ = try await exitCode(of: process, within: .seconds(5)) }

    /// What a lost disk leaves.
    func wipe() throws {
        try FileManager.default.removeItem(atPath: data)
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
    }

    /// Starts it, and waits for it to end by itself. Returns its exit code and what it wrote.
    func startInVain(within limit: Duration = .seconds(20)) async throws -> (code: Int32, output: String) {
        let before = try logLength
        try start()
        let code = try await exitCode(of: process, within: limit)
        return (code, try String(decoding: Data(contentsOf: URL(filePath: log)).dropFirst(before), as: UTF8.self))
    }

    /// To look only at what comes after.
    var logLength: Int {
        get throws {
            guard FileManager.default.fileExists(atPath: log) else { return 0 }
            return try Data(contentsOf: URL(filePath: log)).count
        }
    }

    /// Asks it to leave. Returns its exit code.
    func terminate(within limit: Duration) async throws -> Int32 {
        try signal(SIGTERM)
        return try await exitCode(of: process, within: limit)
    }

    var isAlive: Bool { current.withLock { $0?.isAlive == true } }

    // MARK: Its API

    func send(_ method: HTTPMethod, _ path: String, body: String? = nil) async throws -> ClusterClient.Answer {
        try await ClusterClient.send(method, path, to: url, body: body.map { Array($0.utf8) }, limit: .seconds(30))
    }

    func get<Document: Decodable>(_ path: String, as type: Document.Type) async throws -> Document {
        try await send(.GET, path).document(as: type)
    }

    func submit(_ type: String, _ payload: String) async throws -> AcceptedDocument {
        let body = #"{"task_type": "\#(type)", "payload": \#(payload)}"#
        return try await send(.POST, "/api/tasks", body: body).document(as: AcceptedDocument.self)
    }

    /// A task as JSON.
    func accept(_ task: String) async throws -> AcceptedDocument {
        try await send(.POST, "/api/tasks", body: task).document(as: AcceptedDocument.self)
    }

    /// All in one request; every one has to be accepted.
    func submit(_ count: Int, _ type: String, _ payload: String) async throws -> [TaskID] {
        try await submit(Array(repeating: #"{"task_type": "\#(type)", "payload": \#(payload)}"#, count: count))
    }

    /// The same, with tasks of several kinds, each as JSON.
    func submit(_ tasks: [String]) async throws -> [TaskID] {
        let body = "[" + tasks.joined(separator: ",") + "]"
        let batch = try await send(.POST, "/api/tasks/batch", body: body).document(as: BatchDocument.self)
        #expect(batch.rejected == 0, "\(batch.results.prefix(3))")
        return batch.results.compactMap { if case .accepted(let id) = $0 { id } else { nil } }
    }

    func cluster() async throws -> ClusterDocument { try await get("/api/cluster", as: ClusterDocument.self) }
    func task(_ id: TaskID) async throws -> TaskDocument { try await get("/api/tasks/\(id)", as: TaskDocument.self) }
}
