public import Primitives

/// A node to keep a link to, and where it is.
public struct Peer: Hashable, Sendable {
    public let id: NodeID
    public let address: Address

    public init(id: NodeID, address: Address) {
        self.id = id
        self.address = address
    }
}

/// Called on the loop, exactly once, never before the call that it belongs to has returned.
public typealias PeerCompletion = @Sendable (Result<Frame, PeerError>) -> Void

/// Answers one request. Only the first call counts; dropping it leaves the asker to its deadline. On the loop.
public typealias PeerReply = @Sendable (Frame) -> Void

/// What somebody answered whose name was not known beforehand.
public struct Introduction: Hashable, Sendable {
    public let peer: NodeID
    public let cluster: ClusterID?
    public let frame: Frame

    public init(peer: NodeID, cluster: ClusterID?, frame: Frame) {
        self.peer = peer
        self.cluster = cluster
        self.frame = frame
    }
}

/// The links of a node to its peers: TCP (`TCPTransport`), or a simulated network.
///
/// Every function is called on the loop and returns at once. Requests and messages to one peer arrive in the order of
/// the calls; answers come in any order. What is said while a link is being dialled waits for it; between two dials it
/// fails at once, so that a caller learns of a dead peer sooner than by its deadline.
public protocol PeerTransport: AnyObject, Sendable {
    /// Starts to listen, and to call `delegate`, which is retained until `shutdown` returns. Once. Peers and an
    /// identity may be set before; requests fail until then.
    /// - Returns: where it listens (the port that was given, if 0 was asked for).
    func start(delegate: any PeerDelegate) async throws(PeerError) -> Address

    /// Says goodbye on every link and stops. Requests in flight fail. Has to be called also if `start` failed or never
    /// was called; the loop has to run until it returns.
    func shutdown() async

    /// Who this node is from now on. Under a new id every link is closed with a goodbye and dialled again; a cluster
    /// that the node has learnt ends only those links that turn out to lead to another one.
    func setIdentity(_ node: NodeID, cluster: ClusterID?)

    /// Keeps a link to each of these and to nobody else; this node itself is left out. Idempotent. A link whose peer is
    /// listed no more is closed with a goodbye; its requests fail.
    func setPeers(_ peers: [Peer])

    /// Asks `peer`, which has to be one of `setPeers`.
    func request(_ frame: Frame, to peer: NodeID, within limit: Duration, _ completion: @escaping PeerCompletion)

    /// Asks whoever listens at `address`, over a link of its own that ends with the answer. For joining by seeds, for
    /// fetching a view, and for those whose generation is not known or does not matter.
    func request(
        _ frame: Frame, at address: Address, within limit: Duration,
        _ completion: @escaping @Sendable (Result<Introduction, PeerError>) -> Void)

    /// Tells `peer` something. Best effort.
    /// - Returns: false if it certainly will not arrive: no such peer, no link, or too much is queued already.
    @discardableResult
    func send(_ frame: Frame, to peer: NodeID) -> Bool

    /// Bytes of requests and messages that the kernel has not taken yet.
    func queuedBytes(to peer: NodeID) -> Int
}

/// What a transport tells its node. Every call is made on the loop, in the order of events of each link.
public protocol PeerDelegate: AnyObject, Sendable {
    func received(request: Frame, from peer: NodeID, reply: @escaping PeerReply)
    func received(message: Frame, from peer: NodeID)

    /// Requests to `peer` are sent from now on, in this version of the protocol.
    func linkUp(_ peer: NodeID, version: UInt16)

    /// An established link is gone; its requests have failed. It is being dialled again if still wanted.
    func linkDown(_ peer: NodeID, _ reason: LinkEnd)

    /// The process of this generation has ended: it closed an established link without a goodbye, and right afterwards
    /// its host refused a connection to its port. Follows `linkDown`, within milliseconds of a `kill -9`. A middlebox
    /// that forges both can deceive one observer: have a second one confirm it where there is one (rule R3).
    func processGone(_ peer: NodeID)

    /// For logs. Strangers can cause some of them as often as they connect: limit what is written.
    func peerEvent(_ event: PeerEvent)
}
