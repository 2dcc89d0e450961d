import EventLoop
import Foundation
import Glibc
import Primitives

/// A redis-server of a test's own, on a free port of the loopback interface and in a directory of its own. It ends with
/// the test, by its own pid.
final class RedisServer {
    let port: UInt16
    private let directory: String
    private let arguments: [String]
    private var process: Process?

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    init(arguments: [String] = []) throws {
        port = try Self.freePort()
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        self.arguments = arguments
    }

    deinit { end() }

    var pid: Int32 { process?.processIdentifier ?? 0 }

    /// Starts it, or starts it again. Returns when it accepts connections.
    func start() async throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/redis-server")
        process.arguments =
            ["--port", "\(port)", "--bind", "127.0.0.1", "--dir", directory, "--save", "", "--appendonly", "no"]
            + arguments
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        self.process = process
        let start = ContinuousClock.now
        while !isListening() {
            guard process.isRunning, start.duration(to: .now) < .seconds(20) else {
                throw Failure(description: "redis-server did not start on port \(port)")
            }
            await Task.yield()
        }
    }

    func signal(_ number: Int32) { if pid > 0, process?.isRunning == true { kill(pid, number) } }

    /// SIGKILL, and waits for its end.
    func crash() {
        signal(SIGKILL)
        process?.waitUntilExit()
        process = nil
    }

    func end() {
        crash()
        try? FileManager.default.removeItem(atPath: directory)  // It lies in the temporary directory.
    }

    /// What `redis-cli` prints, without the last line's end.
    @discardableResult
    func cli(_ arguments: String...) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/redis-cli")
        process.arguments = ["-h", "127.0.0.1", "-p", "\(port)"] + arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .newlines)
    }

    private func isListening() -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = Self.loopback(port)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        } == 0
    }

    private static func freePort() throws -> UInt16 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard isBound else { throw Failure(description: "no port is free") }
        return UInt16(bigEndian: address.sin_port)
    }

    static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }
}
