import Foundation

/// Starts and stops the processes of a local cluster's nodes. Only processes that its state names are ever signalled.
struct LocalNodes {
    let home: ClusterHome
    /// The program to run: this one.
    var executable = "/proc/self/exe"

    init(home: ClusterHome) throws {
        self.home = home
        executable = try FileManager.default.destinationOfSymbolicLink(atPath: executable)
    }

    /// Gives ports to a node that is new.
    func prepare(_ index: Int, in state: ClusterState, ports: PortChoice) throws -> ClusterState.Node {
        let taken = state.ports
        let http = try ports.httpPort(index: index, taken: taken)
        let wished = 9000 + UInt16(clamping: index - 1)
        guard let peer = Ports.firstFree(from: wished, udp: true, except: taken.union([http])) else {
            throw CommandFailure("there is no free port for node-\(index) from \(wished) up")
        }
        return ClusterState.Node(index: index, httpPort: http, peerPort: peer)
    }

    /// Gives other ports to a node that is stopped, where its own were taken meanwhile and the user wants that.
    func mendPorts(of node: inout ClusterState.Node, in state: ClusterState, ports: PortChoice) throws {
        let isHTTPFree = Ports.isFree(node.httpPort)
        let isPeerFree = Ports.isFree(node.peerPort, udp: true)
        if isHTTPFree && isPeerFree { return }
        guard ports == .automatic else {
            try requireFree(node.httpPort, for: node.name)
            return try requireFree(node.peerPort, for: node.name)
        }
        let fresh = try prepare(node.index, in: state, ports: ports)
        node.httpPort = fresh.httpPort
        node.peerPort = fresh.peerPort
    }

    /// Starts the process of a node: with the name, the ports, the folder and the settings that it had before.
    func start(_ node: inout ClusterState.Node, in state: ClusterState) throws {
        try home.create(home.data(node))
        try home.create(home.workFolder)
        node.process = try launchDetached(
            executable, arguments(of: node, in: state), environment: ProcessInfo.processInfo.environment,
            log: home.log(node))
        node.startedAt = .now
        node.lastAction = nil
    }

    /// What `apus` is called with to be that node.
    func arguments(of node: ClusterState.Node, in state: ClusterState) -> [String] {
        let peer = "127.0.0.1:\(node.peerPort)"
        var arguments = [
            "node", "--name", node.name, "--http", "127.0.0.1:\(node.httpPort)", "--peer", peer, "--gossip", peer,
            "--advertise", "127.0.0.1", "--data", home.data(node), "--work", home.workFolder, "--cluster",
            state.cluster,
        ]
        if let redis = state.redis { arguments += ["--registry", "redis://127.0.0.1:\(redis.port)/0"] }
        let seeds = state.nodes.filter { $0.index != node.index }.map { "127.0.0.1:\($0.peerPort)" }
        if !seeds.isEmpty { arguments += ["--seeds", seeds.joined(separator: ",")] }
        // What was said for all of them in the environment goes to them by itself.
        if !isSaid(.callbackSecrets), FileManager.default.fileExists(atPath: home.secretsFile) {
            arguments += [NodeSetting.callbackSecrets.flag, home.secretsFile]
        }
        for (key, value) in (node.settings ?? [:]).sorted(by: { $0.key < $1.key }) { arguments += ["--" + key, value] }
        return arguments
    }

    private func isSaid(_ setting: NodeSetting) -> Bool {
        ProcessInfo.processInfo.environment[setting.environmentName]?.isEmpty == false
    }

    /// Waits until each of `nodes` answers `/readyz` with 200; `progress` is told how many do. Throws when one has ended, or
    /// when the time is up.
    func awaitReady(
        _ nodes: [ClusterState.Node], within limit: Duration, progress: @Sendable (Int) async -> Void
    ) async throws {
        var waiting = nodes
        let ready = try await eventually(within: limit, every: .milliseconds(50)) {
            for node in waiting where node.process?.isAlive != true {
                throw CommandFailure("\(node.name) ended while it started:\n" + lastLines(of: home.log(node), 10))
            }
            var still: [ClusterState.Node] = []
            for node in waiting where await !ClusterClient.isReady(node.url) { still.append(node) }
            waiting = still
            await progress(nodes.count - waiting.count)
            return waiting.isEmpty
        }
        if ready { return }
        let names = waiting.map(\.name).joined(separator: ", ")
        var reasons: [String] = []
        for node in waiting {
            let reason = await ClusterClient.unreadiness(node.url)
            reasons.append(reason ?? "\(node.name):\n" + lastLines(of: home.log(node), 5))
        }
        throw CommandFailure(
            "not ready after \(Int(limit.components.seconds)) s: \(names)\n" + reasons.joined(separator: "\n"))
    }
}
