import ArgumentParser
import Foundation

struct Up: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Starts N nodes and a Redis on this machine, grows to N, or starts again what does not run.",
        discussion: """
            Without N: 3 nodes, or as many as were started here before. What runs is left alone, and so is every process \
            and every Redis that was not started here. Ports, logs, settings and process ids are kept in .cluster (or \
            APUS_HOME); so is the nodes' data: what a cluster had taken when it was stopped or killed goes on.
            """)

    @Argument(help: "How many nodes (1...64).")
    var count: Int?

    @Option(help: "HTTP port of node 1, or `auto`: the first free ones from 8000 up. (default: 8000)")
    var ports: String?

    @Option(help: "Execution slots of the nodes that are started. (default: twice the number of processors)")
    var slots: String?

    @Option(help: "always, interval, interval:250ms or never: see `node --help`. (default: always)")
    var sync: String?

    @Option(help: "Nodes that hold each task, 1...5; of a cluster that is new. (default: 2)")
    var copies: String?

    @Option(help: "Open tasks that a node takes before it answers 503. (default: 1000000)")
    var maxQueued: String?

    @Option(help: "About how many bytes of open tasks a node takes before it answers 503. (default: 1073741824)")
    var maxQueuedBytes: String?

    @Option(help: "survive or stop: see `node --help`. (default: survive)")
    var onSplit: String?

    @Option(help: "private, public or any: see `node --help`. (default: private)")
    var outbound: String?

    @Option(help: "Cluster name, in a folder where no cluster is yet. (default: local)")
    var cluster: String?

    /// How many nodes one machine is asked to run.
    private static let countRange = 1...64
    private static let readyLimit = Duration.seconds(60)
    private static let healthLimit = Duration.seconds(5)

    private var portChoice: PortChoice {
        get throws {
            guard let ports else { return .standard }
            guard let choice = PortChoice(argument: ports) else {
                throw CommandFailure("--ports \(ports): expected `auto`, or a port from 1024 to 64999")
            }
            return choice
        }
    }

    /// Settings for the nodes, checked here so that the mistake is told once and not in N logs.
    private var nodeSettings: [String: String] {
        get throws {
            let said: [NodeSetting: String?] = [
                .slots: slots, .sync: sync, .copies: copies, .maxQueued: maxQueued,
                .maxQueuedBytes: maxQueuedBytes, .onSplit: onSplit, .outbound: outbound,
            ]
            let flags = said.compactMapValues { $0 }
            do throws(SettingsError) {
                _ = try NodeSettings(SettingSources(flags: flags), processors: 1)
            } catch {
                throw CommandFailure(error.description)
            }
            return Dictionary(uniqueKeysWithValues: flags.map { ($0.key.key, $0.value) })
        }
    }

    func run() async throws {
        let home = ClusterHome()
        let state = try await home.exclusively { try await start(home) }
        try await awaitHealth(state)
        try await Status.printOnce(ClusterClient(nodes: state.nodes.map(\.url)), local: state)
    }

    /// Gives new members a moment to get their backups. What is not well after it is shown as it is.
    private func awaitHealth(_ state: ClusterState) async throws {
        let running = state.nodes.filter { $0.condition == .running }
        let client = ClusterClient(nodes: running.map(\.url))
        _ = try await eventually(within: Self.healthLimit, every: .milliseconds(50)) {
            guard let document = try await Status.document(client) else { return false }
            return document.isHealthy && document.members.count { $0.state == "alive" } >= running.count
        }
    }

    private func start(_ home: ClusterHome) async throws -> ClusterState {
        var state = try home.load() ?? ClusterState()
        let wanted = count ?? (state.nodes.isEmpty ? 3 : state.nodes.count)
        guard Self.countRange.contains(wanted) else {
            throw CommandFailure(
                "\(wanted) nodes: expected \(Self.countRange.lowerBound) to \(Self.countRange.upperBound)")
        }
        let settings = try nodeSettings
        let ports = try portChoice
        if let cluster {
            guard state.nodes.isEmpty || state.cluster == cluster else {
                throw CommandFailure("the cluster in \(home.path) is named \(state.cluster): `down --wipe` removes it")
            }
            state.cluster = cluster
        }
        guard copies == nil || state.nodes.isEmpty else {
            throw CommandFailure(
                "--copies is settled when a cluster is founded, and the one in \(home.path) is: `down --wipe` removes it"
            )
        }

        let nodes = try LocalNodes(home: home)
        var planned = state
        var fresh: [ClusterState.Node] = []
        var running: [String] = []
        for index in 1...max(wanted, state.nodes.last?.index ?? 0) {
            if var node = planned.node(index) {
                switch node.condition {
                case .running: running.append(node.name)
                case .paused: say("\(node.name) is paused: `./cluster resume \(index)` lets it go on")
                case .killed, .stopped, .ended:
                    try nodes.mendPorts(of: &node, in: planned, ports: ports)
                    say("\(node.name) is not running (\(node.condition.text(at: .now))): starting it again")
                    planned.update(node)
                    fresh.append(node)
                }
            } else {
                let node = try nodes.prepare(index, in: planned, ports: ports)
                planned.update(node)
                fresh.append(node)
            }
        }
        if !running.isEmpty { say("running already: \(running.joined(separator: ", "))") }
        if let count, count < running.count { say("`up` stops nothing: `./cluster down` does") }

        // The ports of all are known before the first starts, so that a port that is taken starts nothing at all.
        say(try await LocalRedis(home: home).ensure(in: &planned))
        if try home.ensureSecrets() { say("callbacks are signed with the secret in \(home.secretsFile)") }
        for index in fresh.indices {
            if !settings.isEmpty { fresh[index].settings = (fresh[index].settings ?? [:]).merging(settings) { $1 } }
            try nodes.start(&fresh[index], in: planned)
            planned.update(fresh[index])
            try home.save(planned)
        }
        if !fresh.isEmpty { try await awaitReady(fresh, nodes) }
        return planned
    }

    private func awaitReady(_ fresh: [ClusterState.Node], _ nodes: LocalNodes) async throws {
        let progress = Progress()
        let begin = ContinuousClock.now
        try await nodes.awaitReady(fresh, within: Self.readyLimit) { ready in
            await progress.show("\(ready) of \(fresh.count) started nodes ready")
        }
        await progress.end()
        let names = fresh.map { "\($0.name) \($0.url)" }.joined(separator: ", ")
        say("ready after \(shown(ContinuousClock.now - begin)): \(names)\n")
    }
}
