import APIModel
import Foundation
import Primitives
import Testing

@testable import Command

/// A cluster of real processes on ports and in a folder of its own, with a Redis of its own; on request in a network
/// of its own.
struct LocalCluster: Sendable {
    let name: String
    let nodes: [TestNode]
    /// Nil: without a registry.
    let registry: TestRedis?
    /// Its hosts are the nodes, and then Redis.
    let network: VirtualNetwork?
    /// Of the first node.
    let smallDisk: SmallDisk?
    /// Handlers of all nodes write here.
    let work: String

    struct Options {
        var nodes = 3
        var slots = 4
        var name = "test"
        var hasRedis = true
        /// Of another cluster, to be shared.
        var redis: TestRedis?
        /// In network namespaces: see `NetworkNamespace.arePermitted`.
        var hasNetwork = false
        /// Megabytes of the disk that the first node's data is on: see `SmallDisk.arePermitted`. Not together with a
        /// network.
        var smallDisk: Int?
        /// Gossip ports of strangers.
        var extraSeeds: [UInt16] = []
        /// Further arguments of all nodes, and of the first.
        var ofAll: [String] = []
        var ofTheFirst: [String] = []
        /// Of what a test draws.
        var seed = UInt64.random(in: .min ... .max)
    }

    /// Runs `body` with a cluster that is ready and in one view, and ends it afterwards, whatever happens. When the
    /// body throws, the ends of the nodes' logs are shown.
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
            started?.keepLogs()
            started?.network?.close()
            try await supervisor.end()
            throw error
        }
        started?.network?.close()
        try await supervisor.end()
    }

    /// What the nodes said, whole, in the folder that `APUS_TEST_LOGS` names, if it does.
    private func keepLogs() {
        guard let folder = ProcessInfo.processInfo.environment["APUS_TEST_LOGS"] else { return }
        let run = folder + "/\(name)-\(UUID().uuidString.prefix(8))"
        do {
            try FileManager.default.createDirectory(atPath: run, withIntermediateDirectories: true)
            for node in nodes { try FileManager.default.copyItem(atPath: node.log, toPath: run + "/\(node.name).log") }
            print("-- all of the logs: \(run)")
        } catch {
            print("-- the logs cannot be kept: \(error)")
        }
    }

    private static func start(_ options: Options, _ supervisor: Supervisor) async throws -> LocalCluster {
        let count = options.nodes
        let ports = try choosePorts(2 * count + 1)
        let http = (0..<count).map { ports[2 * $0] }
        let gossip = (0..<count).map { ports[2 * $0 + 1] }
        let redisPort = ports[2 * count]
        var network: VirtualNetwork?
        if options.hasNetwork {
            let relayed = http.map { [$0] } + (options.hasRedis ? [[redisPort]] : [])
            network = try await VirtualNetwork(relayed: relayed, seed: options.seed, supervisor)
        }
        var disk: SmallDisk?
        if let megabytes = options.smallDisk {
            let folder = supervisor.folder + "/node-1/data"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            disk = try await SmallDisk(folder, megabytes: megabytes, supervisor)
        }
        func place(_ index: Int) throws -> Place {
            if let disk, index == 0 { return Place(prefix: try disk.prefix) }
            guard let network else { return Place() }
            return Place(host: VirtualNetwork.address(index), prefix: try network.hosts[index].prefix)
        }
        do {
            var redis = options.redis
            if options.hasRedis, redis == nil {
                redis = try await TestRedis(port: redisPort, place: try place(count), supervisor: supervisor)
            }
            let work = supervisor.folder + "/work"
            try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true)
            let nodes = try (0..<count).map { index in
                // Without a registry, the first of the seeds founds the cluster: it has to find itself among them.
                let others = (0..<count).filter { $0 != index || redis == nil && count > 1 }
                var seeds = try others.map { "\(try place($0).host):\(gossip[$0])" }
                seeds += options.extraSeeds.map { "127.0.0.1:\($0)" }
                var arguments = ["--work", work, "--cluster", options.name, "--slots", String(options.slots)]
                if let redis { arguments += ["--registry", redis.url] }
                if !seeds.isEmpty { arguments += ["--seeds", seeds.joined(separator: ",")] }
                arguments += options.ofAll
                if index == 0 { arguments += options.ofTheFirst }
                return try TestNode(
                    name: "node-\(index + 1)", httpPort: http[index], peerPort: gossip[index],
                    folder: supervisor.folder + "/node-\(index + 1)", place: try place(index), arguments: arguments,
                    supervisor: supervisor)
            }
            for node in nodes { try node.start() }
            return LocalCluster(
                name: options.name, nodes: nodes, registry: redis, network: network, smallDisk: disk, work: work)
        } catch {
            network?.close()
            throw error
        }
    }

    /// Its registry; only for tests of clusters that have one.
    var redis: TestRedis {
        guard let registry else { preconditionFailure("this cluster was started without Redis") }
        return registry
    }

    /// Below the range from which the system takes ports for outgoing connections, and at random, so that two runs
    /// side by side do not meet.
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

    /// Waits until each of the nodes (all, if none are named) says that it is ready, that these are alive and nobody
    /// else, and that every task has its copies. Throws what each said last.
    func awaitHealthy(_ some: [TestNode]? = nil, within limit: Duration = .seconds(30)) async throws {
        let some = some ?? nodes
        let names = some.map(\.name).sorted()
        var said: [String: String] = [:]
        let isHealthy = try await eventually(within: limit, every: .milliseconds(20)) {
            for node in some {
                guard node.isAlive else {
                    throw HarnessError("\(node.name) has ended:\n" + lastLines(of: node.log, 10))
                }
                do {
                    let readiness = try await node.send(.GET, "/readyz")
                    let document = try await node.cluster()
                    said[node.name] = "\(readiness.status == 200 ? "" : "\(readiness.problem); ")\(brief(document))"
                    let alive = document.members.filter { $0.state == "alive" }.map(\.name).sorted()
                    guard readiness.status == 200, alive == names, document.view.agree,
                        // Gossip may know of a death that the view does not know yet.
                        document.ledgers.allSatisfy({ $0.isAvailable && names.contains($0.primary) }),
                        document.ledgers.allSatisfy({ some.count < document.view.copies || $0.isFullyReplicated })
                    else { return false }
                } catch {
                    // A node that does not listen yet, or does not know its cluster yet.
                    said[node.name] = "\(error)"
                    return false
                }
            }
            return true
        }
        guard !isHealthy else { return }
        let story = said.sorted { $0.key < $1.key }.map { "\n  \($0.key): \($0.value)" }.joined()
        throw HarnessError("still not after \(limit): \(names) are one healthy cluster; they said last:\(story)")
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

        /// Of its line.
        var bytes: Int { task.utf8.count + token.utf8.count + node.utf8.count + 3 }
    }

    func runsFileBytes(_ file: String = "runs.txt") -> Int {
        var status = stat()
        return stat(work + "/" + file, &status) == 0 ? Int(status.st_size) : 0
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

/// What matters of it when it is not what was waited for.
func brief(_ document: ClusterDocument) -> String {
    let members = document.members.map { "\($0.name) \($0.state) g\($0.generation) view \($0.view.number ?? 0)" }
    let ledgers = document.ledgers.map { ledger in
        let faults = [ledger.isAvailable ? "" : " UNAVAILABLE", ledger.isFullyReplicated ? "" : " DEGRADED"].joined()
        return "\(ledger.id) t\(ledger.term) \(ledger.primary)+\(ledger.backups) open \(ledger.openTasks ?? 0)\(faults)"
    }
    return "view \(document.view.number)\(document.view.agree ? "" : " DISAGREE") voters \(document.view.voters); "
        + (members + ledgers + document.warnings).joined(separator: "; ")
}

/// For the summary of a run: `scripts/test` shows these lines.
func measured(_ text: String) { print("measured: \(text)") }

/// Milliseconds since 1970, to compare with what nodes of this machine tell.
var wallClock: Int64 { Int64(Date.now.timeIntervalSince1970 * 1000) }
