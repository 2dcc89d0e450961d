import Foundation
import Synchronization

@testable import Command

/// A network namespace of a test's own: what lives in it sees no interface of the machine but its own.
struct NetworkNamespace: Hashable, Sendable {
    let name: String

    /// What a command has to begin with to run in it. `ip` becomes the command: the process stays the same.
    var prefix: [String] {
        get throws { [try Self.tool, "netns", "exec", name] }
    }

    // MARK: The tool `ip`

    private static var tool: String {
        get throws {
            let places = ["/usr/sbin/ip", "/sbin/ip"]
            guard
                let tool = findExecutable("ip") ?? places.first(where: FileManager.default.isExecutableFile(atPath:))
            else { throw HarnessError("the tool `ip` (Debian: iproute2) is not installed") }
            return tool
        }
    }

    /// Several commands of `ip`, one a line, in one namespace, or outside of all.
    static func configure(
        in namespace: NetworkNamespace? = nil, _ commands: [String], _ supervisor: Supervisor
    ) async throws {
        let batch = supervisor.folder + "/ip-\(UUID().uuidString)"
        try (commands.joined(separator: "\n") + "\n").write(toFile: batch, atomically: true, encoding: .utf8)
        let place = namespace.map { ["-n", $0.name] } ?? []
        let process = try launchDetached(
            tool, place + ["-batch", batch], environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"], log: batch + ".log"
        )
        guard try await exitCode(of: process, within: .seconds(10)) == 0 else {
            throw HarnessError("ip fails:\n" + lastLines(of: batch + ".log", 5))
        }
    }

    /// Makes namespaces that go with the test.
    static func make(_ names: [String], _ supervisor: Supervisor) async throws -> [NetworkNamespace] {
        for name in names { try supervisor.adopt(namespace: name) }
        try await configure(names.map { "netns add \($0)" }, supervisor)
        return names.map { NetworkNamespace(name: $0) }
    }

    /// Why no such thing can be made here; nil if it can. Tried once.
    static let hindrance = Task<String?, Never> {
        guard geteuid() == 0 else { return "only root may make network namespaces" }
        do {
            let supervisor = try Supervisor()
            do {
                let name = "apus-\(getpid())-probe"
                let made = try await make([name], supervisor)
                try await configure(
                    in: made[0], ["link add one type veth peer name other", "link set one up"], supervisor)
                let socket = try made[0].open { try PacketSocket(interface: "one") }
                socket.close()
            } catch {
                try await supervisor.end()
                throw error
            }
            try await supervisor.end()
            return nil
        } catch {
            return "network namespaces are not to be had here: \(error)"
        }
    }

    /// For `.enabled`: tells why, if not.
    static var arePermitted: Bool {
        get async {
            guard let reason = await hindrance.value else { return true }
            print("skipped: \(reason)")
            return false
        }
    }

    // MARK: Sockets in it

    /// Moves the calling thread into it, for good: only for threads that are ended afterwards.
    func enter() throws {
        // The C library's function is not imported, since it is an extension of Linux.
        typealias SetNamespace = @convention(c) (Int32, Int32) -> Int32
        guard let symbol = dlsym(nil, "setns") else { throw HarnessError("there is no setns") }
        let descriptor = Glibc.open("/run/netns/" + name, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw HarnessError("open: \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        let cloneNewNet: Int32 = 0x4000_0000
        guard unsafeBitCast(symbol, to: SetNamespace.self)(descriptor, cloneNewNet) == 0 else {
            throw HarnessError("setns: \(String(cString: strerror(errno)))")
        }
    }

    /// Runs `body` on a thread inside. Sockets that it opens stay there. Blocks meanwhile.
    func open<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) throws -> Value {
        let outcome = Mutex<Result<Value, any Error>?>(nil)
        let isDone = DispatchSemaphore(value: 0)
        let thread = Thread {
            let result = Result {
                try enter()
                return try body()
            }
            outcome.withLock { $0 = result }
            isDone.signal()
        }
        thread.start()
        isDone.wait()
        guard let result = outcome.withLock({ $0 }) else { throw HarnessError("the thread did nothing") }
        return try result.get()
    }
}
