import Foundation

/// What this machine knows of the cluster that `up` started: the content of `cluster.json`.
struct ClusterState: Codable, Equatable, Sendable {
    /// A file of another version is refused.
    static let currentVersion = 1

    var version = currentVersion
    /// The name that its nodes are given.
    var cluster = "local"
    var redis: Redis?
    /// Ascending by index.
    var nodes: [Node] = []

    struct Redis: Codable, Equatable, Sendable {
        var port: UInt16
        /// Nil: it was stopped.
        var process: ProcessIdentity?
    }

    struct Node: Codable, Equatable, Sendable {
        /// 1 for `node-1`
        var index: Int
        var httpPort: UInt16
        /// TCP for links and UDP for gossip: one number.
        var peerPort: UInt16
        /// Further settings of its process, by their keys (`sync`): a restart keeps them. Nil: none was ever said.
        var settings: [String: String]?
        /// The last one that was started; it may have ended since.
        var process: ProcessIdentity?
        var startedAt: Date?
        /// What a verb did to the process last.
        var lastAction: Action?

        var name: String { "node-\(index)" }
        var url: String { "http://127.0.0.1:\(httpPort)" }
    }

    struct Action: Codable, Equatable, Sendable {
        enum Kind: String, Codable, Sendable {
            case killed
            case paused
            case stopped
        }
        var kind: Kind
        var at: Date
    }

    func node(_ index: Int) -> Node? { nodes.first { $0.index == index } }

    mutating func update(_ node: Node) {
        if let place = nodes.firstIndex(where: { $0.index == node.index }) {
            nodes[place] = node
        } else {
            nodes.append(node)
            nodes.sort { $0.index < $1.index }
        }
    }

    /// Ports that its processes have, or had and will have again.
    var ports: Set<UInt16> {
        Set(nodes.flatMap { [$0.httpPort, $0.peerPort] } + (redis.map { [$0.port] } ?? []))
    }
}

extension ClusterState.Node {
    /// How its process is doing, as this machine sees it.
    enum Condition: Equatable, Sendable {
        case running
        case paused(since: Date?)
        /// By `kill`.
        case killed(at: Date)
        /// By `down`, or in the middle of a `restart`.
        case stopped(at: Date?)
        /// By itself, or by somebody else.
        case ended
    }

    var condition: Condition {
        guard let process else { return .stopped(at: lastAction?.at) }
        switch (process.state, lastAction?.kind) {
        case (.running, _): return .running
        case (.stopped, .paused): return .paused(since: lastAction?.at)
        case (.stopped, _): return .paused(since: nil)
        case (.gone, .killed): return .killed(at: lastAction?.at ?? .now)
        case (.gone, .stopped): return .stopped(at: lastAction?.at)
        case (.gone, _): return .ended
        }
    }
}

extension ClusterState.Node.Condition {
    /// For a table or a sentence: `killed 3 s ago`.
    func text(at now: Date) -> String {
        func ago(_ date: Date?) -> String { date.map { " " + age(now.timeIntervalSince($0)) + " ago" } ?? "" }
        switch self {
        case .running: return "running"
        case .paused(let since): return "paused" + ago(since)
        case .killed(let at): return "killed" + ago(at)
        case .stopped(let at): return "stopped" + ago(at)
        case .ended: return "ended by itself: see its log"
        }
    }
}

/// `3 s`, `5 min`, `2 h`, `4 d`; never negative.
func age(_ seconds: Double) -> String {
    let seconds = max(0, seconds)
    if seconds < 120 { return "\(Int(seconds)) s" }
    if seconds < 7200 { return "\(Int(seconds / 60)) min" }
    if seconds < 172_800 { return "\(Int(seconds / 3600)) h" }
    return "\(Int(seconds / 86_400)) d"
}
