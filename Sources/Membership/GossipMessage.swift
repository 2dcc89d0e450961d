public import Primitives

/// One datagram: who sends it and how loaded it is, what it is for, and as many rumors as fit.
public struct GossipMessage: Hashable, Sendable {
    public enum Body: Hashable, Sendable {
        /// Asks for an `ack`. Only `target` itself sends it: whoever has its address now, or another generation, does
        /// not.
        case ping(sequence: UInt32, target: NodeID)
        /// Asks to ping `target` at `address`, and to pass its ack on, or to send a `nack` in time.
        indirect case pingRequest(sequence: UInt32, target: NodeID, address: Address)
        /// `of` is alive: it says so itself, or a helper passes it on. The sequence is that of the ping or the request.
        case ack(sequence: UInt32, of: NodeID)
        /// The helper is there, the target has not answered it yet (Lifeguard, section IV-A).
        case nack(sequence: UInt32)
        /// The sender introduces itself (its own alive rumor comes first) and asks for a `welcome`.
        case join
        /// Answers a join with the rumors of members that fit; the rest comes by push-pull.
        case welcome
        /// Nothing but rumors.
        case gossip
    }

    public var sender: NodeID
    public var load: LoadDigest
    /// The view that the sender has installed; 0: none.
    public var viewNumber: UInt64
    public var body: Body
    public var rumors: [Rumor]

    public init(sender: NodeID, load: LoadDigest, viewNumber: UInt64, body: Body, rumors: [Rumor] = []) {
        self.sender = sender
        self.load = load
        self.viewNumber = viewNumber
        self.body = body
        self.rumors = rumors
    }
}

/// Sizes on the wire, byte for byte what the codec writes: how the machine knows what fits in a datagram. The codec's
/// tests compare the two for every kind of message.
extension GossipMessage {
    /// Added around every datagram of a cluster that has a key: nonce, tag, key number, spare.
    public static let sealBytes = 40
    /// What a message may take.
    public static let budget = Limits.datagramBytes - sealBytes
    /// Rumors of one message: more of the shortest do not fit in the budget, and their count takes one byte.
    public static let maximumRumors = 112

    /// Magic number, version, hash of the cluster's name.
    static let headerBytes = 7

    public var encodedBytes: Int {
        rumors.reduce(encodedBytesWithoutRumors) { $0 + $1.encodedBytes }
    }

    /// Including the count of rumors.
    var encodedBytesWithoutRumors: Int {
        Self.headerBytes + sender.encodedBytes + 16 + varintBytes(viewNumber) + body.encodedBytes + 1
    }
}

extension GossipMessage.Body {
    var encodedBytes: Int {
        switch self {
        case .ping(_, let target): 5 + target.encodedBytes
        case .pingRequest(_, let target, let address): 5 + target.encodedBytes + address.encodedBytes
        case .ack(_, let member): 5 + member.encodedBytes
        case .nack: 5
        case .join, .welcome, .gossip: 1
        }
    }
}

extension Rumor {
    var encodedBytes: Int {
        let common = 1 + subject.encodedBytes + varintBytes(UInt64(incarnation.rawValue))
        switch self {
        case .alive(_, _, let profile): return common + profile.encodedBytes
        case .suspect(_, _, let accuser, _), .dead(_, _, let accuser, _): return common + accuser.encodedBytes
        case .left: return common
        }
    }
}

extension NodeName {
    var encodedBytes: Int { 1 + rawValue.utf8.count }
}

extension NodeID {
    var encodedBytes: Int { name.encodedBytes + 8 }
}

extension Address {
    var encodedBytes: Int { varintBytes(UInt64(host.utf8.count)) + host.utf8.count + 2 }
}

extension MemberProfile {
    var encodedBytes: Int { gossip.encodedBytes + peer.encodedBytes + http.encodedBytes + 18 }
}

/// Length of `value` in LEB128.
func varintBytes(_ value: UInt64) -> Int { max(1, (UInt64.bitWidth - value.leadingZeroBitCount + 6) / 7) }
