import APIModel
import Foundation
import NIOCore
import NIOHTTP1
import Primitives
import Synchronization
import Testing

@testable import Command

/// One node of a test's cluster: its process, and its API.
final class TestNode: Sendable {
    let name: String
    let httpPort: UInt16
    let peerPort: UInt16
    let log: String
    private let arguments: [String]
    private let supervisor: Supervisor
    private let current: Mutex<ProcessIdentity?>

    var url: String { "http://127.0.0.1:\(httpPort)" }

    init(
        name: String, httpPort: UInt16, peerPort: UInt16, folder: String, arguments: [String], supervisor: Supervisor
    ) throws {
        self.name = name
        self.httpPort = httpPort
        self.peerPort = peerPort
        self.supervisor = supervisor
        log = folder + "/log"
        let peer = "127.0.0.1:\(peerPort)"
        self.arguments =
            [
                "node", "--name", name, "--http", "127.0.0.1:\(httpPort)", "--peer", peer, "--gossip", peer,
                "--data", folder + "/data",
            ] + arguments
        current = Mutex(nil)
        try FileManager.default.createDirectory(atPath: folder + "/data", withIntermediateDirectories: true)
    }

    // MARK: Its process

    private var process: ProcessIdentity {
        get throws {
            guard let process = current.withLock({ $0 }) else { throw HarnessError("\(name) was never started") }
            return process
        }
    }

    func start() throws {
        let process = try launchDetached(Binary.path(), arguments, environment: Binary.environment, log: log)
        try supervisor.adopt(process)
        current.withLock { $0 = process }
    }

    func signal(_ number: Int32) throws {
        guard try process.signal(number) else { throw HarnessError("\(name) has ended: " + lastLines(of: log, 10)) }
    }

    func kill() async throws {
        try signal(SIGKILL)
        _ = try await exitCode(of: process, within: .seconds(5))
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

    /// All in one request; every one has to be accepted.
    func submit(_ count: Int, _ type: String, _ payload: String) async throws -> [TaskID] {
        let task = #"{"task_type": "\#(type)", "payload": \#(payload)}"#
        let body = "[" + Array(repeating: task, count: count).joined(separator: ",") + "]"
        let batch = try await send(.POST, "/api/tasks/batch", body: body).document(as: BatchDocument.self)
        #expect(batch.rejected == 0, "\(batch.results.prefix(3))")
        return batch.results.compactMap { if case .accepted(let id) = $0 { id } else { nil } }
    }

    func cluster() async throws -> ClusterDocument { try await get("/api/cluster", as: ClusterDocument.self) }
    func task(_ id: TaskID) async throws -> TaskDocument { try await get("/api/tasks/\(id)", as: TaskDocument.self) }
}
