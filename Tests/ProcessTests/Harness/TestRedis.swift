import APIModel
import Foundation
import Primitives
import Synchronization

@testable import Command

/// A Redis of a test's own, without persistence: what is killed forgets.
final class TestRedis: Sendable {
    let port: UInt16
    /// As a node's `--registry` takes it.
    var url: String { "redis://\(place.host):\(port)/0" }
    private let folder: String
    private let place: Place
    private let supervisor: Supervisor
    private let process: Mutex<ProcessIdentity?>

    init(port: UInt16, place: Place = Place(), supervisor: Supervisor) async throws {
        self.port = port
        self.place = place
        self.supervisor = supervisor
        folder = supervisor.folder + "/redis-\(port)"
        process = Mutex(nil)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try await start()
    }

    func start() async throws {
        guard let executable = findExecutable("redis-server") else {
            throw HarnessError("redis-server is not installed")
        }
        let arguments = [
            "--port", String(port), "--dir", folder, "--save", "", "--appendonly", "no", "--protected-mode", "no",
            "--bind", "127.0.0.1",
        ]
        let started = try place.launch(
            executable, arguments + (place.host == "127.0.0.1" ? [] : [place.host]), log: folder + "/log")
        try supervisor.adopt(started)
        process.withLock { $0 = started }
        // Until it listens, asking it fails.
        let answers = try await eventually(within: .seconds(10), every: .milliseconds(10)) {
            (try? ask("PING")).map { $0 == .text("PONG") } ?? false
        }
        guard answers else { throw HarnessError("Redis does not answer: " + lastLines(of: folder + "/log", 5)) }
    }

    func kill() async throws {
        guard let process = process.withLock({ $0 }) else { return }
        process.signal(SIGKILL)
        guard try await process.awaitEnd(for: .seconds(5)) else { throw HarnessError("Redis survives SIGKILL") }
    }

    enum Reply: Equatable {
        case text(String)
        case nothing
        case many([Reply])
    }

    /// One command on a connection of its own.
    func ask(_ words: String...) throws -> Reply { try ask(words) }

    func ask(_ words: [String]) throws -> Reply {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw HarnessError("socket: \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        var limit = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = Ports.loopback(port)
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isConnected else { throw HarnessError("Redis is not there") }
        let request = "*\(words.count)\r\n" + words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
        let bytes = Array(request.utf8)
        guard send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            throw HarnessError("Redis does not listen")
        }
        var reader = ReplyReader(descriptor: descriptor)
        return try reader.reply()
    }

    /// The results of these tasks, as far as there are any.
    func results(of ids: [TaskID], cluster: String) throws -> [TaskDocument] {
        try stride(from: 0, to: ids.count, by: 200).flatMap { start in
            let keys = ids[start..<min(start + 200, ids.count)].map { "apus:\(cluster):result:\($0)" }
            guard case .many(let values) = try ask(["MGET"] + keys) else {
                throw HarnessError("Redis answers MGET with something else")
            }
            return try values.compactMap { value -> TaskDocument? in
                guard case .text(let text) = value else { return nil }
                return try JSONDecoder().decode(TaskDocument.self, from: Data(text.utf8))
            }
        }
    }

    /// How many of these tasks have a result here.
    func results(of ids: [String], cluster: String) throws -> Int {
        guard case .many(let keys) = try ask("KEYS", "apus:\(cluster):result:*") else { return 0 }
        let held = Set(keys.compactMap { if case .text(let key) = $0 { key } else { nil } })
        return ids.count { held.contains("apus:\(cluster):result:\($0)") }
    }
}

/// Reads one reply of Redis's protocol (RESP2).
private struct ReplyReader {
    let descriptor: Int32
    private var buffer: ArraySlice<UInt8> = []

    init(descriptor: Int32) { self.descriptor = descriptor }

    mutating func reply() throws -> TestRedis.Reply {
        let line = try line()
        let rest = String(line.dropFirst())
        switch line.first {
        case "+", ":": return .text(rest)
        case "$":
            guard let count = Int(rest), count >= 0 else { return .nothing }
            let bytes = try take(count)
            _ = try take(2)
            return .text(String(decoding: bytes, as: UTF8.self))
        case "*":
            var replies: [TestRedis.Reply] = []
            for _ in 0..<max(0, Int(rest) ?? 0) { replies.append(try reply()) }
            return .many(replies)
        default: throw HarnessError("Redis says: \(line)")
        }
    }

    private mutating func line() throws -> String {
        while true {
            if let end = buffer.firstIndex(of: 0x0A) {
                defer { buffer = buffer[(end + 1)...] }
                return String(decoding: buffer[..<end].dropLast(), as: UTF8.self)
            }
            try fill()
        }
    }

    private mutating func take(_ count: Int) throws -> ArraySlice<UInt8> {
        while buffer.count < count { try fill() }
        defer { buffer = buffer.dropFirst(count) }
        return buffer.prefix(count)
    }

    private mutating func fill() throws {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &chunk, chunk.count, 0)
        guard count > 0 else { throw HarnessError("Redis went away in the middle of a reply") }
        buffer.append(contentsOf: chunk[..<count])
    }
}
