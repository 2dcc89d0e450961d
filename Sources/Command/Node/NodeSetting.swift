/// The settings of a node, under the three names that each has: flag, environment variable, key in a file.
enum NodeSetting: String, CaseIterable, Sendable {
    case name
    case http
    case peer
    case gossip
    case advertise
    case data
    case work
    case registry
    case seeds
    case cluster
    case slots
    case queues
    case sync
    case copies
    case maxQueued = "max-queued"
    case maxQueuedBytes = "max-queued-bytes"
    case onSplit = "on-split"
    case outbound
    case callbackSecrets = "callback-secrets"
    case logLevel = "log-level"

    /// The key in a file.
    var key: String { rawValue }
    var flag: String { "--" + rawValue }
    var environmentName: String { Self.environmentPrefix + rawValue.uppercased().replacing("-", with: "_") }

    static let environmentPrefix = "APUS_"

    /// Variables with the prefix that are no settings of a node: the folder of a local cluster, and the address that the
    /// client verbs ask.
    static let otherEnvironmentNames: Set<String> = ["APUS_HOME", "APUS_URL"]

    init?(environmentName: String) {
        guard let setting = Self.allCases.first(where: { $0.environmentName == environmentName }) else { return nil }
        self = setting
    }
}

/// Where the value of a setting came from. Greater beats lesser.
enum SettingOrigin: Hashable, Sendable, CustomStringConvertible {
    case standard
    case file(path: String, line: Int)
    case environment(String)
    case flag(String)

    var description: String {
        switch self {
        case .standard: "default"
        case .file(let path, let line): "\(path):\(line)"
        case .environment(let name): name
        case .flag(let flag): flag
        }
    }
}

/// Why a node does not start: everything that is wrong with its settings, not only the first.
struct SettingsError: Error, Equatable, CustomStringConvertible {
    var problems: [String]

    var description: String {
        problems.count == 1
            ? problems[0]
            : "\(problems.count) settings are wrong:\n" + problems.map { "  " + $0 }.joined(separator: "\n")
    }
}
