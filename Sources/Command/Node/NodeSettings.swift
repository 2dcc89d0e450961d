import Glibc
import Journal
import Logging
import Node
import Primitives
import Registry
import TaskHandlers

/// What one node is told before it starts. Made by `init(_:processors:)` from what was said, complete and consistent.
struct NodeSettings: Equatable, Sendable {
    /// Unique in the cluster, the same after a restart. `node-1`
    var name: NodeName
    /// Where clients are listened to (TCP). `127.0.0.1:8000`
    var http: Address
    /// Where other nodes are listened to (TCP). `127.0.0.1:9000`
    var peer: Address
    /// Where gossip is listened to (UDP): as `peer`, if it is not said.
    var gossip: Address
    /// The numeric host that others reach this node at: as `peer`, if it is not said.
    var advertise: String
    /// What must survive a restart. `apus-data/NAME`
    var data: String
    /// Where handlers read and write files: `work` in the data folder, if it is not said.
    var work: String
    /// Nil: members are found by seeds, results are kept by the nodes only.
    var registry: RedisURL?
    /// Gossip addresses to begin with; the host may be a name.
    var seeds: [Address]
    /// Nodes of another cluster are refused; also part of the registry's keys. `default`
    var cluster: String
    /// Tasks that run at a time: 1...1024. Twice the number of processors.
    var slots: Int
    /// When a task counts as durable on this node's disk. `always`
    var sync: SyncPolicy
    /// How many nodes hold each task: 1...5. Counts at the node that founds the cluster. 2
    var copies: Int
    /// What this node does when no majority is left and all that are missing are proven to be gone. `survive`
    var onSplit: NodeConfiguration.SplitPolicy
    /// Open tasks that the node's own ledger takes before it answers 503: 1...100,000,000. 1,000,000
    var maxQueued: Int
    /// About how many bytes they may take: 65,536...2^40. 2^30
    var maxQueuedBytes: Int
    /// Which addresses handlers may connect to. `private`
    var outbound: OutboundReach
    /// The file with the secrets that callbacks are signed with.
    var callbackSecretsFile: String?
    /// What is in it. Nil: the node takes no tasks with callbacks.
    var callbackSecrets: WebhookSecrets?
    /// `info`
    var logLevel: Logger.Level

    static let slotRange = 1...1024
    static let maxQueuedRange = 1...100_000_000
    static let maxQueuedBytesRange = 65_536...(1 << 40)
    static let copiesRange = 1...Limits.copies
}

extension NodeSettings {
    /// Understands what was said, and fills in the rest. Throws everything that is wrong with it.
    init(_ sources: SettingSources, processors: Int) throws(SettingsError) {
        var reader = SettingReader(sources)
        name = reader.name()
        http = reader.listening(.http, standard: Address(host: "127.0.0.1", port: 8000))
        peer = reader.listening(.peer, standard: Address(host: "127.0.0.1", port: 9000))
        gossip = reader.listening(.gossip, standard: peer)
        advertise = reader.numericHost(.advertise, standard: peer.host)
        data = reader.folder(.data, standard: "apus-data/\(name)")
        work = reader.folder(.work, standard: data + "/work")
        registry = reader.registry()
        seeds = reader.list(.seeds, "HOST:PORT") { Address($0).flatMap { $0.port > 0 ? $0 : nil } }
        cluster = reader.value(.cluster, standard: "default", "1 to 63 of a-z 0-9 . _ -, the first a letter or digit") {
            NodeName.isValid($0) ? $0 : nil
        }
        let standardSlots = min(max(2 * processors, Self.slotRange.lowerBound), Self.slotRange.upperBound)
        slots = reader.number(.slots, standard: standardSlots, in: Self.slotRange)
        sync = reader.sync()
        copies = reader.number(.copies, standard: 2, in: Self.copiesRange)
        onSplit = reader.word(.onSplit, standard: .survive)
        maxQueued = reader.number(.maxQueued, standard: 1_000_000, in: Self.maxQueuedRange)
        maxQueuedBytes = reader.number(.maxQueuedBytes, standard: 1 << 30, in: Self.maxQueuedBytesRange)
        outbound = reader.word(.outbound, standard: .private)
        (callbackSecretsFile, callbackSecrets) = reader.secrets()
        logLevel = reader.word(.logLevel, standard: .info)

        reader.refuseUnavailable()
        if http == peer { reader.complain("--http and --peer are both \(http): two listeners need two ports") }
        for (setting, address) in [(NodeSetting.peer, peer), (.gossip, gossip)]
        where address.isWildcard && !reader.isSaid(.advertise) {
            reader.complain(
                "\(setting.flag) \(address) listens everywhere, which others cannot connect to: say --advertise HOST too"
            )
            break
        }
        if advertise == "0.0.0.0" || advertise == "::", reader.isSaid(.advertise) {
            reader.complain("--advertise \(advertise) is no address that others can connect to")
        }
        if !reader.problems.isEmpty { throw SettingsError(problems: reader.problems) }
    }

    /// Each setting with its value as it would be said, for `--print-config`. Settings without a value show `-`.
    var shown: [(setting: NodeSetting, value: String)] {
        NodeSetting.allCases.map { setting in
            switch setting {
            case .name: (setting, name.rawValue)
            case .http: (setting, http.description)
            case .peer: (setting, peer.description)
            case .gossip: (setting, gossip.description)
            case .advertise: (setting, advertise)
            case .data: (setting, data)
            case .work: (setting, work)
            case .registry: (setting, registry?.description ?? "-")
            case .seeds: (setting, seeds.isEmpty ? "-" : seeds.map(\.description).joined(separator: ","))
            case .cluster: (setting, cluster)
            case .slots: (setting, String(slots))
            case .queues: (setting, "all")
            case .sync: (setting, sync.setting)
            case .copies: (setting, String(copies))
            case .maxQueued: (setting, String(maxQueued))
            case .maxQueuedBytes: (setting, String(maxQueuedBytes))
            case .onSplit: (setting, onSplit.rawValue)
            case .outbound: (setting, outbound.rawValue)
            // Never what is in it.
            case .callbackSecrets: (setting, callbackSecretsFile ?? callbackSecrets?.description ?? "-")
            case .logLevel: (setting, logLevel.rawValue)
            }
        }
    }
}

extension Address {
    var isWildcard: Bool { host == "0.0.0.0" || host == "::" }
}

/// Whether `host` is an IPv4 or IPv6 address in digits.
func isNumericHost(_ host: String) -> Bool {
    var buffer = in6_addr()
    return inet_pton(AF_INET, host, &buffer) == 1 || inet_pton(AF_INET6, host, &buffer) == 1
}
