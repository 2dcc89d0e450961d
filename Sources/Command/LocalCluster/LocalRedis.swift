import Foundation

/// The Redis of a local cluster: a process of its own, on a port and in a folder of its own, bound to the loopback
/// address. Any other Redis on the machine is left alone.
struct LocalRedis {
    let home: ClusterHome

    /// Starts it unless it runs. The port stays what it was: nodes that run know it. Returns what was done, for the user.
    func ensure(in state: inout ClusterState) async throws -> String {
        if let redis = state.redis, let process = redis.process, process.isAlive {
            if process.state == .stopped {
                throw CommandFailure(
                    "Redis (process \(process.pid)) is stopped by a signal: `kill -CONT \(process.pid)` resumes it")
            }
            return "Redis is running on port \(redis.port)"
        }
        let port = try port(for: state)
        let process = try await start(port: port)
        state.redis = ClusterState.Redis(port: port, process: process)
        try home.save(state)
        return "Redis started on port \(port)"
    }

    private func port(for state: ClusterState) throws -> UInt16 {
        if let port = state.redis?.port {
            if Ports.isFree(port) { return port }
            if state.nodes.contains(where: { $0.process?.isAlive == true }) {
                let holder = Ports.holder(of: port).map { " by \($0)" } ?? ""
                throw CommandFailure(
                    "Redis has ended, and its port \(port) is taken\(holder); the nodes that run know no other: "
                        + "free the port, or `./cluster down` and `./cluster up`")
            }
        }
        // Not the usual port, so that nobody takes this one for the machine's own.
        guard let port = Ports.firstFree(from: 6400, except: state.ports) else {
            throw CommandFailure("no free port for Redis from 6400 up")
        }
        return port
    }

    private func start(port: UInt16) async throws -> ProcessIdentity {
        guard let executable = findExecutable("redis-server") else {
            throw CommandFailure("redis-server is not installed: `scripts/setup` installs it")
        }
        try home.create(home.redisFolder)
        let log = home.redisFolder + "/log"
        let process = try launchDetached(
            executable,
            [
                "--port", String(port), "--bind", "127.0.0.1", "--dir", home.redisFolder, "--daemonize", "no",
                "--pidfile", home.redisFolder + "/pid",
            ],
            environment: ProcessInfo.processInfo.environment, log: log)
        let answers = try await eventually(within: .seconds(15), every: .milliseconds(20)) {
            guard process.isAlive else { return true }
            return isItself(process, on: port)
        }
        guard answers, process.isAlive else {
            process.signal(SIGKILL)
            throw CommandFailure("Redis did not start on port \(port):\n" + lastLines(of: log, 10))
        }
        return process
    }

    /// Whether the Redis that answers on `port` is that process, and not another that was faster.
    private func isItself(_ process: ProcessIdentity, on port: UInt16) -> Bool {
        askRedis(port, "INFO server")?.contains("process_id:\(process.pid)\r\n") == true
    }
}

/// What the Redis on a port of this machine answers to one command, as far as it comes in one piece; nil if none listens.
private func askRedis(_ port: UInt16, _ command: String) -> String? {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var limit = timeval(tv_sec: 1, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var address = Ports.loopback(port)
    let connected = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
    }
    guard connected else { return nil }
    let request = Array((command + "\r\n").utf8)
    guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else { return nil }
    var answer = [UInt8](repeating: 0, count: 4096)
    let count = recv(descriptor, &answer, answer.count, 0)
    return count > 0 ? String(decoding: answer[..<count], as: UTF8.self) : nil
}

/// The program of that name in `PATH`.
func findExecutable(_ name: String) -> String? {
    let folders = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
    return folders.split(separator: ":").map { "\($0)/\(name)" }
        .first { FileManager.default.isExecutableFile(atPath: $0) }
}

/// The end of a log, indented, for an error.
func lastLines(of path: String, _ count: Int) -> String {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8), !text.isEmpty else {
        return "  (nothing in \(path))"
    }
    return text.split(separator: "\n").suffix(count).map { "  " + $0 }.joined(separator: "\n") + "\n  (from \(path))"
}
