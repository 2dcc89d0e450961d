import ArgumentParser
import Foundation

struct NodeVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node",
        abstract: "Runs one node in the foreground, until SIGTERM or SIGINT.",
        discussion: """
            Every setting can be a flag (--max-queued), an environment variable (APUS_MAX_QUEUED), or a line in the file \
            given with --config (max-queued = 1000000); a flag beats the environment, which beats the file. What is \
            unknown or contradictory is refused. The first signal makes the node hand over what it has and leave; a \
            second one ends it at once.
            """)

    @Option(help: "Unique in the cluster, the same after a restart. (default: node-1)")
    var name: String?

    @Option(help: "Where clients are listened to. (default: 127.0.0.1:8000)")
    var http: String?

    @Option(help: "Where other nodes are listened to, TCP. (default: 127.0.0.1:9000)")
    var peer: String?

    @Option(help: "Where gossip is listened to, UDP. (default: as --peer)")
    var gossip: String?

    @Option(help: "The numeric host that others reach this node at. (default: as --peer)")
    var advertise: String?

    @Option(help: "Folder for what must survive a restart. (default: apus-data/NAME)")
    var data: String?

    @Option(help: "Folder where handlers read and write files. (default: work in the data folder)")
    var work: String?

    @Option(help: "redis://HOST:PORT/DATABASE, for discovery and results. (default: none)")
    var registry: String?

    @Option(help: "Gossip addresses of other nodes, HOST:PORT, separated by commas. (default: none)")
    var seeds: String?

    @Option(help: "Name of the cluster. (default: default)")
    var cluster: String?

    @Option(help: "Tasks that run at a time, 1...1024. (default: twice the number of processors)")
    var slots: String?

    @Option(help: .hidden)
    var queues: String?

    @Option(
        help: """
            When a task counts as durable on this node's disk: `always`, when it is synced, so that it survives a loss of \
            power; `interval` or `interval:250ms`, when it is written, and synced at the latest so much later (100 ms); \
            `never`, when it is written: it survives the end of the process, not that of the machine. (default: always)
            """)
    var sync: String?

    @Option(help: "Nodes that hold each task, 1...5; as the node that founds the cluster says. (default: 2)")
    var copies: String?

    @Option(help: "Open tasks that this node takes before it answers 503. (default: 1000000)")
    var maxQueued: String?

    @Option(help: "About how many bytes of open tasks this node takes before it answers 503. (default: 1073741824)")
    var maxQueuedBytes: String?

    @Option(
        help: """
            When so many nodes are lost that no majority is left, and the process of each of them is proven to be gone: \
            `survive`, go on without them; `stop`, wait for them, or for `apus recover`. Two nodes with a Redis ask that \
            one instead. (default: survive)
            """)
    var onSplit: String?

    @Option(
        help: """
            Which addresses the handlers `http` and of callbacks may connect to: `private`, all but those that are \
            link-local or tell machines of a cloud about themselves; `public`, no loopback and no private ones either; \
            `any`. (default: private)
            """)
    var outbound: String?

    @Option(
        help: """
            A file with the secrets that callbacks are signed with, one a line (whsec_...), the same at all nodes; in the \
            environment also the secrets themselves. Several are for a change of secrets. (default: none: no callbacks)
            """)
    var callbackSecrets: String?

    @Option(help: "trace, debug, info, notice, warning, error or critical. (default: info)")
    var logLevel: String?

    @Option(help: "A file of `key = value` lines.")
    var config: String?

    @Flag(help: "Shows what holds and where it came from, and runs nothing.")
    var printConfig = false

    var flags: [NodeSetting: String] {
        let said: [NodeSetting: String?] = [
            .name: name, .http: http, .peer: peer, .gossip: gossip, .advertise: advertise, .data: data, .work: work,
            .registry: registry, .seeds: seeds, .cluster: cluster, .slots: slots, .queues: queues, .sync: sync,
            .copies: copies, .maxQueued: maxQueued, .maxQueuedBytes: maxQueuedBytes, .onSplit: onSplit,
            .outbound: outbound, .callbackSecrets: callbackSecrets, .logLevel: logLevel,
        ]
        return said.compactMapValues { $0 }
    }

    func run() async throws {
        let file = try config.map { path in
            do {
                return (path: path, text: try String(contentsOfFile: path, encoding: .utf8))
            } catch {
                throw CommandFailure("--config \(path) cannot be read: \(error.localizedDescription)")
            }
        }
        let sources = SettingSources(flags: flags, environment: ProcessInfo.processInfo.environment, file: file)
        let settings = try NodeSettings(sources, processors: ProcessInfo.processInfo.activeProcessorCount)
        if printConfig {
            var table = Table(columns: [.init(title: "setting"), .init(title: "value"), .init(title: "from")])
            table.rows = settings.shown.map { setting, value in
                let origin = sources.values[setting]?.origin ?? .standard
                return [Table.Cell(setting.key), Table.Cell(value), Table.Cell(origin.description)]
            }
            return say(table.lines(width: nil, terminal: .output).joined(separator: "\n"))
        }
        try await NodeRunner(settings: settings).run()
    }
}
