public import Primitives

/// Why a request has no answer.
public enum PeerError: Error, Hashable, Sendable {
    /// Not one of those that `setPeers` named last.
    case unknownPeer
    /// There is no link, for this reason; the last dial failed or has not succeeded in time.
    case unreachable(LinkEnd)
    /// Too many bytes or requests are under way to this peer already. Try later, or elsewhere.
    case overloaded
    /// The body is longer than a frame may be.
    case tooLarge(bytes: Int)
    /// No answer in time. `sent`: it may have arrived, and may yet be carried out.
    case timedOut(sent: Bool)
    /// The link ended while the request was under way.
    case linkLost(LinkEnd)
    /// The transport was shut down, or not started.
    case shutDown
    /// The address to listen on could not be taken.
    case cannotListen(Address, String)

    /// Whether the peer may have seen the request. If not, it can be sent elsewhere without being carried out twice.
    public var mayHaveArrived: Bool {
        switch self {
        case .timedOut(let sent): sent
        case .linkLost: true
        case .unknownPeer, .unreachable, .overloaded, .tooLarge, .shutDown, .cannotListen: false
        }
    }
}

/// Why a link ended, or never came to be.
public enum LinkEnd: Hashable, Sendable {
    /// We closed it: the peer is wanted no more, our identity changed, or the transport is shut down.
    case closed
    /// The peer closed it and said so.
    case goodbye
    /// The peer, or something on the way, closed it without a goodbye.
    case lost
    /// Nothing came for longer than `LinkTuning.silence` while answers were due.
    case silent
    /// Nobody listens at the address.
    case connectionRefused
    /// The connection could not be made, for a reason in the system's words.
    case unreachable(String)
    /// No hello within `LinkTuning.helloTimeout`.
    case noHello
    /// One of the two sides does not want to talk to the other.
    case refused(Refusal)
    /// The peer broke the protocol.
    case violation(Violation)
    /// Too many connections are open (`LinkTuning.inboundLinks`).
    case overCapacity
}

/// Why a hello is not accepted. Both sides judge by the same rule, so each knows the reason without being told.
public enum Refusal: Error, Hashable, Sendable {
    /// No version is common. Upgrade the older side, one minor version at a time.
    case versions(theirs: VersionRange)
    /// The cluster has another name: a setting differs, or the address belongs to somebody else.
    case clusterName(String)
    /// The same name, but another cluster: it was founded separately.
    case cluster(ClusterID)
    /// The node that was meant is not the one that is there. Of the same name: it lives under another generation.
    case wrongNode(actual: NodeID)
    /// It is this node itself.
    case itself
}

/// How a peer broke the protocol. The connection is closed; nothing else is harmed.
public enum Violation: Error, Hashable, Sendable {
    /// A length below a header's, or over the limit.
    case frameLength(UInt32)
    case unknownKind(UInt8)
    /// A frame that has no place there: anything before the hello, a second hello, a request on a link that we dialled.
    case unexpected(FrameKind)
    case malformedHello(String)
    /// More requests are unanswered than `Limits.requestsInFlight`, or two of them have one number.
    case tooManyRequests
    /// The peer asks faster than it takes the answers.
    case answersNotTaken
}

/// For logs and counters: what happened on links that is not the node's business otherwise.
public enum PeerEvent: Hashable, Sendable {
    /// A dial failed. Reported when the reason changes, not at each attempt.
    case dialFailed(Peer, LinkEnd)
    /// A peer has dialled us.
    case accepted(NodeID)
    /// A link that a peer had dialled is gone.
    case acceptedEnded(NodeID, LinkEnd)
    /// A connection ended before it became a link.
    case rejected(from: String, LinkEnd)
    /// The system could not accept connections for a moment.
    case acceptFailed(String)
}
