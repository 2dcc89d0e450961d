import APIModel
import Foundation
import Primitives
import Testing

@testable import Command

/// A cluster of real processes on ports and in a folder of its own, with a Redis of its own.
struct LocalCluster: Sendable {
    let name: String
    let nodes: [TestNode]
    let redis: TestRedis
    /// Handlers of all nodes write here.
    let work: String

    struct Options {
        var nodes = 3
        var slots = 4
        var name = "test"
        /// Of another cluster, to be shared.
        var redis: TestRedis?
        /// Gossip ports of strangers.
        var extraSeeds: [UInt16] = []
        /// Further arguments of the first node.
        var ofTheFirst: [String] = []
    }

    /// Runs `body` with a cluster that is ready and in one view, and ends it afterwards, whatever happens. When the body
    /// throws, the ends of the nodes' logs are shown.
    static func run(
        _ options: Options = Options(), _ body: (LocalCluster) async throws -> Void
    ) async throws {
        let supervisor = try Supervisor()
        var started: LocalCluster?
        do {
            let cluster = try await start(options, supervisor)
            started = cluster
            try await cluster.awaitHealthy()
            try await body(cluster)
        } catch {
            for node in started?.nodes ?? [] { print("-- log of \(node.name)\n" + lastLines(of: node.log, 30)) }
            try await supervisor.end()
            throw error
        }
        try await supervisor.end()
    }

    private static func start(_ options: Options, _ supervisor: Supervisor) async throws -> LocalCluster {
        let ports = try choosePorts(2 * options.nodes + 1)
        let redis: TestRedis
        if let shared = options.redis {
            redis = shared
        } else {
            redis = try await TestRedis(port: ports[2 * options.nodes], supervisor: supervisor)
        }
        let work = supervisor.folder + "/work"
        try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true)
        let gossip = (0..<options.nodes).map { ports[2 * $0 + 1] }
        let nodes = try (0..<options.nodes).map { index in
            let seeds = gossip.filter { $0 != gossip[index] } + options.extraSeeds
            var arguments = [
                "--work", work, "--cluster", options.name, "--slots", String(options.slots),
                "--registry", "redis://127.0.0.1:\(redis.port)/0",
            ]
            if !seeds.isEmpty {
                arguments += ["--seeds", seeds.map { "127.0.0.1:\($0)" }.joined(separator: ",")]
            }
            if index == 0 { arguments += options.ofTheFirst }
            return try TestNode(
                name: "node-\(index + 1)", httpPort: ports[2 * index], peerPort: gossip[index],
                folder: supervisor.folder + "/node-\(index + 1)", arguments: arguments, supervisor: supervisor)
        }
        for node in nodes { try node.start() }
        return LocalCluster(name: options.name, nodes: nodes, redis: redis, work: work)
    }

    /// Below the range from which the system takes ports for outgoing connections, and at random, so that two runs side by
    /// side do not meet.
    private static func choosePorts(_ count: Int) throws -> [UInt16] {
        var ports: [UInt16] = []
        while ports.count < count {
            let wished = UInt16.random(in: 12_000..<32_000)
            guard let port = Ports.firstFree(from: wished, udp: true, except: Set(ports)) else {
                throw HarnessError("no free port from \(wished) up")
            }
            ports.append(port)
        }
        return ports
    }

    // MARK: Waiting

    /// Waits until `condition` holds, at most `limit`; else throws with `what` was waited for.
    func await(
        _ what: String, within limit: Duration = .seconds(30), _ condition: () async throws -> Bool
    ) async throws {
        guard try await eventually(within: limit, every: .milliseconds(20), condition) else {
            throw HarnessError("still not after \(limit): \(what)")
        }
    }

    /// Waits until each of the nodes (all, if none are named) says that it is ready, that these are alive and nobody else,
    /// and that every task has its copies.
    func awaitHealthy(_ some: [TestNode]? = nil, within limit: Duration = .seconds(30)) async throws {
        let some = some ?? nodes
        let names = some.map(\.name).sorted()
        try await self.await("\(names) are one healthy cluster", within: limit) {
            for node in some {
                guard node.isAlive else {
                    throw HarnessError("\(node.name) has ended:\n" + lastLines(of: node.log, 10))
                }
                // A node that does not listen yet, or does not know its cluster yet.
                guard await ClusterClient.isReady(node.url), let document = try? await node.cluster() else {
                    return false
                }
                let alive = document.members.filter { $0.state == "alive" }.map(\.name).sorted()
                guard alive == names, document.view.agree, document.ledgers.allSatisfy({ $0.isAvailable }),
                    document.ledgers.allSatisfy({ some.count < document.view.copies || $0.isFullyReplicated })
                else { return false }
            }
            return true
        }
    }

    /// Waits until all tasks have ended, asking `from` in turn. Any other answer than a task is asked again.
    func outcomes(
        of ids: [TaskID], from some: [TestNode]? = nil, within limit: Duration = .seconds(60)
    ) async throws -> [TaskDocument] {
        let some = some ?? nodes
        let deadline = ContinuousClock.now + limit
        return try await withThrowingTaskGroup(of: [TaskDocument].self) { group in
            let lanes = 8
            for lane in 0..<lanes {
                let mine = stride(from: lane, to: ids.count, by: lanes).map { ids[$0] }
                group.addTask {
                    var ended: [TaskDocument] = []
                    for (turn, id) in mine.enumerated() {
                        ended.append(try await outcome(of: id, from: some, turn: turn, by: deadline))
                    }
                    return ended
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
    }

    private func outcome(
        of id: TaskID, from some: [TestNode], turn: Int, by deadline: ContinuousClock.Instant
    ) async throws -> TaskDocument {
        var last = "nothing"
        for attempt in 0... {
            let node = some[(turn + attempt) % some.count]
            do {
                let task = try await node.get("/api/tasks/\(id)?wait=5", as: TaskDocument.self)
                if isFinal(task.status) { return task }
                last = "\(node.name): \(task.status), attempt \(task.attempt), worker \(task.worker ?? "-")"
            } catch {
                last = "\(node.name): \(error)"
                // The cluster is in the middle of a change: not at once again.
                try await Task.sleep(for: .milliseconds(50))
            }
            if ContinuousClock.now >= deadline { break }
        }
        throw HarnessError("task \(id) has not ended; last heard: \(last)")
    }

    // MARK: What handlers did

    /// One run of a handler, as `count_file` tells it.
    struct Run: Hashable {
        var task: String
        var token: String
        var node: String
    }

    /// In the order in which they began; empty if none has.
    func runs(in file: String = "runs.txt") throws -> [Run] {
        let path = work + "/" + file
        guard FileManager.default.fileExists(atPath: path) else { return [] }
        return try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map { line in
            let words = line.split(separator: " ").map(String.init)
            guard words.count == 3 else { throw HarnessError("a broken line in \(file): \(line)") }
            return Run(task: words[0], token: words[1], node: words[2])
        }
    }
}

/// For the summary of a run: `scripts/test` shows these lines.
func measured(_ text: String) { print("measured: \(text)") }

/// Milliseconds since 1970, to compare with what nodes of this machine tell.
var wallClock: Int64 { Int64(Date.now.timeIntervalSince1970 * 1000) }
