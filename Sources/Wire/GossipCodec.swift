public import Membership
import Primitives

/// Why a datagram is refused.
public enum GossipRefusal: Error, Equatable, Sendable {
    /// Longer than `Limits.datagramBytes`.
    case tooLong(Int)
    /// It does not begin as a gossip datagram does.
    case notGossip
    /// A version that this build does not speak.
    case version(UInt8)
    /// From a cluster of another name.
    case otherCluster
    case malformed(WireError)
}

/// Gossip datagrams: `AG`, the version, the hash of the cluster's name; then sender, load, view number, body, rumors.
///
/// The hash keeps clusters apart that share a network by mistake; it is no protection. The seal that a cluster with a
/// key puts around the datagram is, and `GossipMessage.budget` leaves the room for it.
public struct GossipCodec: Sendable {
    public static let version: UInt8 = 1
    static let magic: UInt16 = 0x4147

    private let clusterHash: UInt32

    public init(cluster: String) {
        // FNV-1a of 32 bits.
        clusterHash = cluster.utf8.reduce(0x811C_9DC5) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
    }

    public func encode(_ message: GossipMessage) -> [UInt8] {
        var writer = ByteWriter(reserving: message.encodedBytes)
        writer.uint16(Self.magic)
        writer.uint8(Self.version)
        writer.uint32(clusterHash)
        writer.nodeID(message.sender)
        writer.loadDigest(message.load)
        writer.varint(message.viewNumber)
        writer.gossipBody(message.body)
        writer.array(message.rumors) { $0.rumor($1) }
        return writer.bytes
    }

    public func decode(_ bytes: ArraySlice<UInt8>) throws(GossipRefusal) -> GossipMessage {
        guard bytes.count <= Limits.datagramBytes else { throw .tooLong(bytes.count) }
        var reader = ByteReader(bytes, now: .zero)
        do throws(WireError) {
            guard try reader.uint16() == Self.magic else { throw .invalid("magic") }
        } catch {
            throw .notGossip
        }
        let header: (version: UInt8, cluster: UInt32)
        do throws(WireError) {
            header = (try reader.uint8(), try reader.uint32())
        } catch {
            throw .malformed(error)
        }
        guard header.version == Self.version else { throw .version(header.version) }
        guard header.cluster == clusterHash else { throw .otherCluster }
        do throws(WireError) {
            let message = GossipMessage(
                sender: try reader.nodeID(), load: try reader.loadDigest(), viewNumber: try reader.varint(),
                body: try reader.gossipBody(),
                rumors: try reader.array(upTo: GossipMessage.maximumRumors, "rumors") { reader throws(WireError) in
                    try reader.rumor()
                })
            try reader.finish()
            return message
        } catch {
            throw .malformed(error)
        }
    }
}

/// Each kind has a number of its own for good: nodes of different builds meet during an upgrade.
private enum BodyTag {
    static let ping: UInt8 = 1
    static let pingRequest: UInt8 = 2
    static let ack: UInt8 = 3
    static let nack: UInt8 = 4
    static let join: UInt8 = 5
    static let welcome: UInt8 = 6
    static let gossip: UInt8 = 7
}

private enum RumorTag {
    static let alive: UInt8 = 1
    static let suspect: UInt8 = 2
    static let suspectWithProof: UInt8 = 3
    static let dead: UInt8 = 4
    static let left: UInt8 = 5
    static let deadWithProof: UInt8 = 6
}

extension ByteWriter {
    fileprivate mutating func gossipBody(_ body: GossipMessage.Body) {
        switch body {
        case .ping(let sequence, let target):
            uint8(BodyTag.ping)
            uint32(sequence)
            nodeID(target)
        case .pingRequest(let sequence, let target, let targetAddress):
            uint8(BodyTag.pingRequest)
            uint32(sequence)
            nodeID(target)
            address(targetAddress)
        case .ack(let sequence, let member):
            uint8(BodyTag.ack)
            uint32(sequence)
            nodeID(member)
        case .nack(let sequence):
            uint8(BodyTag.nack)
            uint32(sequence)
        case .join: uint8(BodyTag.join)
        case .welcome: uint8(BodyTag.welcome)
        case .gossip: uint8(BodyTag.gossip)
        }
    }

    fileprivate mutating func rumor(_ rumor: Rumor) {
        func common(_ tag: UInt8) {
            uint8(tag)
            nodeID(rumor.subject)
            varint(UInt64(rumor.incarnation.rawValue))
        }
        switch rumor {
        case .alive(_, _, let profile):
            common(RumorTag.alive)
            memberProfile(profile)
        case .suspect(_, _, let accuser, let hasProof):
            common(hasProof ? RumorTag.suspectWithProof : RumorTag.suspect)
            nodeName(accuser)
        case .dead(_, _, let accuser, let isProven):
            common(isProven ? RumorTag.deadWithProof : RumorTag.dead)
            nodeName(accuser)
        case .left: common(RumorTag.left)
        }
    }

    /// A row of a push-pull; its instants travel as ages.
    public mutating func memberRecord(_ record: MemberRecord) {
        nodeID(record.id)
        memberProfile(record.profile)
        uint8(record.state.rawValue)
        varint(UInt64(record.incarnation.rawValue))
        instant(record.since)
        loadDigest(record.load)
        varint(record.viewNumber)
        optional(record.heardAt) { $0.instant($1) }
        bool(record.isExitProven)
    }
}

extension ByteReader {
    fileprivate mutating func gossipBody() throws(WireError) -> GossipMessage.Body {
        switch try uint8() {
        case BodyTag.ping: .ping(sequence: try uint32(), target: try nodeID())
        case BodyTag.pingRequest: .pingRequest(sequence: try uint32(), target: try nodeID(), address: try address())
        case BodyTag.ack: .ack(sequence: try uint32(), of: try nodeID())
        case BodyTag.nack: .nack(sequence: try uint32())
        case BodyTag.join: .join
        case BodyTag.welcome: .welcome
        case BodyTag.gossip: .gossip
        default: throw .invalid("kind of gossip message")
        }
    }

    fileprivate mutating func rumor() throws(WireError) -> Rumor {
        let tag = try uint8()
        let id = try nodeID()
        let incarnation = Incarnation(try varint32("incarnation"))
        return switch tag {
        case RumorTag.alive: .alive(id, incarnation, try memberProfile())
        case RumorTag.suspect: .suspect(id, incarnation, by: try nodeName(), hasProof: false)
        case RumorTag.suspectWithProof: .suspect(id, incarnation, by: try nodeName(), hasProof: true)
        case RumorTag.dead: .dead(id, incarnation, by: try nodeName(), isProven: false)
        case RumorTag.deadWithProof: .dead(id, incarnation, by: try nodeName(), isProven: true)
        case RumorTag.left: .left(id, incarnation)
        default: throw .invalid("kind of rumor")
        }
    }

    public mutating func memberRecord() throws(WireError) -> MemberRecord {
        let id = try nodeID()
        let profile = try memberProfile()
        guard let state = MemberState(rawValue: try uint8()) else { throw .invalid("member state") }
        let record = MemberRecord(
            id: id, profile: profile, state: state, incarnation: Incarnation(try varint32("incarnation")),
            since: try instant(), load: try loadDigest(), viewNumber: try varint(),
            heardAt: try optional { reader throws(WireError) in try reader.instant() }, isExitProven: try bool())
        guard !record.isExitProven || !record.state.isLiving else { throw .invalid("proof of a living member's end") }
        return record
    }
}
