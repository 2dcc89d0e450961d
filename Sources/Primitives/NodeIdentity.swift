/// The name of a node: stable across restarts, unique in a cluster, 1 to 63 characters of `[a-z0-9._-]`, the first a
/// letter or a digit.
public struct NodeName: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: String

    /// Nil if `text` is not a name.
    public init?(_ text: String) {
        guard Self.isValid(text) else { return nil }
        rawValue = text
    }

    /// Names of nodes and of queues follow one rule.
    public static func isValid(_ text: String) -> Bool {
        let bytes = text.utf8
        guard let first = bytes.first, bytes.count <= Limits.nameBytes else { return false }
        func isAlphanumeric(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) }
        return isAlphanumeric(first)
            && bytes.allSatisfy { isAlphanumeric($0) || $0 == 0x2E || $0 == 0x5F || $0 == 0x2D }
    }

    public static func < (a: NodeName, b: NodeName) -> Bool { a.rawValue < b.rawValue }
    public var description: String { rawValue }
}

/// Which start of a node's process this is: the greater of the last one persisted plus 1, and milliseconds since 1970.
public struct Generation: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt64

    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    public static func < (a: Generation, b: Generation) -> Bool { a.rawValue < b.rawValue }
    public var description: String { String(rawValue) }
}

/// How often a generation has refuted a suspicion. Starts at 0.
public struct Incarnation: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt32

    public init(_ rawValue: UInt32) { self.rawValue = rawValue }

    /// Saturates: a peer may have claimed the greatest one.
    public var next: Incarnation { Incarnation(rawValue == .max ? .max : rawValue + 1) }

    public static func < (a: Incarnation, b: Incarnation) -> Bool { a.rawValue < b.rawValue }
    public var description: String { String(rawValue) }
}

/// One life of a node: its name and its generation. What is addressed to another generation is refused.
public struct NodeID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let name: NodeName
    public let generation: Generation

    public init(name: NodeName, generation: Generation) {
        self.name = name
        self.generation = generation
    }

    public static func < (a: NodeID, b: NodeID) -> Bool { (a.name, a.generation) < (b.name, b.generation) }
    public var description: String { "\(name)@\(generation)" }
}

/// Names one store that can be lost: a data directory (for votes), or what a replica holds of ledgers. Drawn at random
/// when the store is made, so that an empty one is never taken for the one it replaces.
public struct StoreID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt64

    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    public static func < (a: StoreID, b: StoreID) -> Bool { a.rawValue < b.rawValue }
    public var description: String { hexadecimal(rawValue, digits: 16) }
}

/// Who votes, or holds a copy: a name *and* the store that it had when it was listed. The same name with another store is
/// a wiped disk: it neither votes nor counts until a view names the new one.
public struct StoreHolder: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var name: NodeName
    public var store: StoreID

    public init(name: NodeName, store: StoreID) {
        self.name = name
        self.store = store
    }

    public static func < (a: StoreHolder, b: StoreHolder) -> Bool { (a.name, a.store) < (b.name, b.store) }
    public var description: String { "\(name)/\(store)" }
}

/// The UUID of a cluster, drawn by its founder. A node of another cluster is refused.
public struct ClusterID: Hashable, Sendable, CustomStringConvertible {
    public let high: UInt64
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    public var description: String { hexadecimal(high, digits: 16) + hexadecimal(low, digits: 16) }

    /// The 32 hexadecimal digits that `description` prints.
    public init?(_ text: String) {
        guard text.utf8.count == 32, let high = UInt64(text.prefix(16), radix: 16),
            let low = UInt64(text.suffix(16), radix: 16), !text.contains("+")
        else { return nil }
        self.init(high: high, low: low)
    }
}

/// A numeric address and a port. Names are resolved before they get here.
public struct Address: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let host: String
    public let port: UInt16

    public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// `host:port`, or `[host]:port` for IPv6.
    public init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        var host = text[..<colon]
        if host.first == "[", host.last == "]" {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty, host.utf8.count <= Limits.hostBytes else { return nil }
        self.init(host: String(host), port: port)
    }

    public static func < (a: Address, b: Address) -> Bool { (a.host, a.port) < (b.host, b.port) }
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// Where and what a node is: told by the node itself, spread by gossip, recorded by views.
public struct MemberProfile: Hashable, Sendable {
    /// UDP, for gossip.
    public var gossip: Address
    /// TCP, for links between nodes.
    public var peer: Address
    /// TCP, for clients.
    public var http: Address
    /// The data directory: who votes is identified by it.
    public var disk: StoreID
    /// What the node holds of ledgers: replicas are identified by it.
    public var store: StoreID
    /// Execution slots.
    public var slots: UInt16

    public init(gossip: Address, peer: Address, http: Address, disk: StoreID, store: StoreID, slots: UInt16) {
        self.gossip = gossip
        self.peer = peer
        self.http = http
        self.disk = disk
        self.store = store
        self.slots = slots
    }
}

/// `value` in lower-case hexadecimal digits, padded with zeros on the left.
func hexadecimal(_ value: UInt64, digits: Int) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
}
