import Primitives
import Wire

/// The versions of the protocol that a node speaks.
public struct VersionRange: Hashable, Sendable, CustomStringConvertible {
    public let lowest: UInt16
    public let highest: UInt16

    /// Nil if `lowest` is above `highest`.
    public init?(_ lowest: UInt16, _ highest: UInt16) {
        guard lowest <= highest else { return nil }
        self.lowest = lowest
        self.highest = highest
    }

    private init(only version: UInt16) {
        lowest = version
        highest = version
    }

    /// What this build speaks.
    public static let current = VersionRange(only: 1)

    /// The highest version that both speak, or nil.
    func common(with other: VersionRange) -> UInt16? {
        let version = min(highest, other.highest)
        return version >= max(lowest, other.lowest) ? version : nil
    }

    public var description: String { lowest == highest ? "\(lowest)" : "\(lowest)-\(highest)" }
}

/// The first frame in both directions: who speaks, and whom it means to speak to.
///
/// Its layout is outside the version that it negotiates: later versions may append fields and change nothing else, so a
/// reader ignores what follows the last field that it knows.
///
///     u32 magic "APUS" · u16 lowest · u16 highest · string cluster name · optional 16 bytes of cluster id
///     · node id of the sender · optional node id of the receiver
struct Hello: Hashable, Sendable {
    static let magic: UInt32 = 0x4150_5553

    var versions: VersionRange
    var clusterName: String
    /// Nil until the node has learnt it.
    var cluster: ClusterID?
    var node: NodeID
    /// Nil if the dialler only knows an address.
    var expected: NodeID?

    func encoded() -> [UInt8] {
        var writer = ByteWriter(reserving: 256)
        writer.uint32(Self.magic)
        writer.uint16(versions.lowest)
        writer.uint16(versions.highest)
        writer.string(clusterName)
        writer.optional(cluster) { $0.clusterID($1) }
        writer.nodeID(node)
        writer.optional(expected) { $0.nodeID($1) }
        return writer.bytes
    }

    init(versions: VersionRange, clusterName: String, cluster: ClusterID?, node: NodeID, expected: NodeID?) {
        self.versions = versions
        self.clusterName = clusterName
        self.cluster = cluster
        self.node = node
        self.expected = expected
    }

    init(decoding bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        guard try reader.uint32() == Self.magic else { throw .invalid("magic") }
        guard let versions = VersionRange(try reader.uint16(), try reader.uint16()) else {
            throw .invalid("version range")
        }
        self.versions = versions
        clusterName = try reader.string(upTo: Limits.nameBytes, "cluster name")
        cluster = try reader.optional { reader throws(WireError) in try reader.clusterID() }
        node = try reader.nodeID()
        expected = try reader.optional { reader throws(WireError) in try reader.nodeID() }
    }

    /// Whether the sender of this hello talks to the sender of `theirs`, and in which version.
    func judge(_ theirs: Hello) -> Result<UInt16, Refusal> {
        guard theirs.clusterName == clusterName else { return .failure(.clusterName(theirs.clusterName)) }
        if let cluster, let other = theirs.cluster, other != cluster { return .failure(.cluster(other)) }
        guard let version = versions.common(with: theirs.versions) else {
            return .failure(.versions(theirs: theirs.versions))
        }
        guard theirs.node != node else { return .failure(.itself) }
        if let expected, expected != theirs.node { return .failure(.wrongNode(actual: theirs.node)) }
        if let meant = theirs.expected, meant != node { return .failure(.wrongNode(actual: node)) }
        return .success(version)
    }
}
