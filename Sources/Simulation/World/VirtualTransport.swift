import Peers
import Primitives

/// What becomes of a connection.
protocol VirtualConnectionOwner: AnyObject {
    func opened(_ connection: VirtualConnection, version: UInt16)
    func received(_ envelope: VirtualEnvelope, on connection: VirtualConnection)
    func ended(_ connection: VirtualConnection, _ end: LinkEnd)
}

/// The link to one peer, and how much is queued for it. As `Peers.Lane`.
final class VirtualLane {
    let peer: Peer
    private(set) var queuedBytes = 0
    var isOpen = true

    init(_ peer: Peer) { self.peer = peer }

    func takes(_ bytes: Int, limit: Int) -> Bool {
        guard queuedBytes + bytes <= limit else { return false }
        queuedBytes += bytes
        return true
    }

    func released(_ bytes: Int) { queuedBytes -= bytes }
}

/// The links of a simulated node, with the guarantees of `TCPTransport`: see `PeerTransport`, and `Links`,
/// `OutboundLink` and `Connection` of Peers, whose rules these are. What those do on the NIO thread is done here
/// between the jobs of the loop, and handed over to it in batches as there.
///
/// Not simulated: the bound on what was read and not yet taken, since nothing here is read faster than it is taken.
///
/// `@unchecked`: only touched by the world's thread.
final class VirtualTransport: PeerTransport, VirtualConnectionOwner, @unchecked Sendable {
    private enum Phase { case notStarted, running, closed }

    let network: VirtualNetwork
    let process: VirtualProcess
    let node: Int
    let tuning: LinkTuning
    private let address: Address
    private let clusterName: String
    private(set) var identity: NodeID
    private var cluster: ClusterID?
    private var random: SeededGenerator
    private var phase = Phase.notStarted
    private var delegate: (any PeerDelegate)?

    /// By peer; never iterated without sorting.
    private var lanes: [NodeID: VirtualLane] = [:]
    private var outbound: [NodeID: VirtualOutbound] = [:]
    private var wanted: [VirtualLane] = []
    /// Those that others have dialled, and those for one request. Never iterated without sorting.
    private var others: [UInt64: VirtualConnection] = [:]
    private var acceptedCount = 0
    private var temporaryCount = 0
    private var lastNumber: UInt64 = 0
    private var flushes: [VirtualConnection] = []
    private var deliveries: [((any PeerDelegate)?) -> Void] = []

    init(
        on node: Int, process: VirtualProcess, network: VirtualNetwork, address: Address, clusterName: String,
        identity: NodeID, cluster: ClusterID?, tuning: LinkTuning = LinkTuning(), seed: UInt64
    ) {
        self.node = node
        self.process = process
        self.network = network
        self.address = address
        self.clusterName = clusterName
        self.identity = identity
        self.cluster = cluster
        self.tuning = tuning
        random = SeededGenerator(seed: seed)
    }

    func hello(expecting peer: NodeID?) -> VirtualHello {
        VirtualHello(clusterName: clusterName, cluster: cluster, node: identity, expected: peer)
    }

    // MARK: Life

    func start(delegate: any PeerDelegate) async throws(PeerError) -> Address {
        guard phase == .notStarted else { throw .cannotListen(address, "started before, or shut down") }
        phase = .running
        self.delegate = delegate
        network.listen(self, on: node)
        dialWanted()
        return address
    }

    func shutdown() async {
        guard phase != .closed else { return }
        phase = .closed
        lanes = [:]
        for id in outbound.keys.sorted() { outbound[id]?.end() }
        outbound = [:]
        for number in others.keys.sorted() { others[number]?.close(.closed) }
        // Last: whoever finds nobody listening has heard the goodbye.
        network.stopListening(self, on: node)
        await withCheckedContinuation { continuation in process.execute { continuation.resume() } }
        delegate = nil
    }

    /// The process has died: what it asked for fails, unseen by anybody.
    func processEnded() {
        phase = .closed
        delegate = nil
        lanes = [:]
        for id in outbound.keys.sorted() { outbound[id]?.end() }
        outbound = [:]
        for number in others.keys.sorted() { others[number]?.close(.closed) }
        others = [:]
        flushes = []
    }

    // MARK: PeerTransport

    func setIdentity(_ node: NodeID, cluster: ClusterID?) {
        guard phase != .closed, node != identity || cluster != self.cluster else { return }
        let isRenamed = node != identity
        identity = node
        self.cluster = cluster
        dialWanted()
        for id in outbound.keys.sorted() { isRenamed ? outbound[id]?.dialAgain() : outbound[id]?.reconsider() }
        for number in others.keys.sorted() { isRenamed ? others[number]?.close(.closed) : others[number]?.reconsider() }
    }

    func setPeers(_ peers: [Peer]) {
        guard phase != .closed else { return }
        var new: [NodeID: VirtualLane] = [:]
        for peer in peers {
            if let known = lanes[peer.id], known.peer == peer {
                new[peer.id] = known
            } else {
                new[peer.id] = VirtualLane(peer)
            }
        }
        lanes = new
        wanted = new.values.sorted { $0.peer.id < $1.peer.id }
        dialWanted()
    }

    private func dialWanted() {
        guard phase == .running else { return }
        for id in outbound.keys.sorted() {
            let isWanted = id != identity && lanes[id].map { $0 === outbound[id]?.lane } ?? false
            if !isWanted { outbound.removeValue(forKey: id)?.end() }
        }
        for lane in wanted where outbound[lane.peer.id] == nil {
            guard lane.peer.id != identity else {
                lane.isOpen = false
                continue
            }
            outbound[lane.peer.id] = VirtualOutbound(lane: lane, transport: self, seed: random.next())
        }
    }

    func request(_ frame: Frame, to peer: NodeID, within limit: Duration, _ completion: @escaping PeerCompletion) {
        func fail(_ error: PeerError) { process.execute { completion(.failure(error)) } }
        guard frame.body.count <= Limits.frameBytes - 32 else { return fail(.tooLarge(bytes: frame.body.count)) }
        guard phase == .running else { return fail(.shutDown) }
        guard let lane = lanes[peer] else { return fail(.unknownPeer) }
        guard lane.takes(frame.countedBytes, limit: tuning.queueBytes) else { return fail(.overloaded) }
        guard let link = outbound[peer], link.lane === lane else {
            lane.released(frame.countedBytes)
            return fail(.unreachable(.closed))
        }
        link.request(frame, deadline: deadline(limit), completion)
    }

    func request(
        _ frame: Frame, at address: Address, within limit: Duration,
        _ completion: @escaping @Sendable (Result<Introduction, PeerError>) -> Void
    ) {
        func fail(_ error: PeerError) { process.execute { completion(.failure(error)) } }
        guard frame.body.count <= Limits.frameBytes - 32 else { return fail(.tooLarge(bytes: frame.body.count)) }
        guard phase == .running else { return fail(.shutDown) }
        guard temporaryCount < tuning.temporaryLinks else { return fail(.overloaded) }
        guard let target = network.host(of: address, port: 30_000) else {
            return fail(.unreachable(.unreachable("no such host")))
        }
        temporaryCount += 1
        let connection = makeConnection(.dialled(expecting: nil, nil), remote: target, owner: self)
        others[connection.number] = connection
        connection.request(frame, deadline: deadline(limit), .address(completion))
        connection.dial()
    }

    @discardableResult
    func send(_ frame: Frame, to peer: NodeID) -> Bool {
        guard phase == .running, frame.body.count <= Limits.frameBytes - 32, let lane = lanes[peer], lane.isOpen,
            lane.takes(frame.countedBytes, limit: tuning.queueBytes)
        else { return false }
        if let link = outbound[peer], link.lane === lane {
            link.send(frame)
        } else {
            lane.released(frame.countedBytes)
        }
        return true
    }

    func queuedBytes(to peer: NodeID) -> Int { lanes[peer]?.queuedBytes ?? 0 }

    private func deadline(_ limit: Duration) -> Instant { process.now + min(max(limit, .zero), .seconds(86_400)) }

    // MARK: Connections

    func makeConnection(
        _ role: VirtualConnection.Role, remote: Int, owner: any VirtualConnectionOwner
    ) -> VirtualConnection {
        lastNumber += 1
        return VirtualConnection(number: lastNumber, role: role, remote: remote, owner: owner, transport: self)
    }

    /// Somebody has connected. Nil: nobody listens.
    func accept(from remote: Int) -> VirtualConnection? {
        guard phase == .running, acceptedCount < tuning.inboundLinks else { return nil }
        let connection = makeConnection(.accepted, remote: remote, owner: self)
        acceptedCount += 1
        others[connection.number] = connection
        return connection
    }

    func answer(_ asker: VirtualAsker, _ result: Result<Frame, PeerError>, from connection: VirtualConnection) {
        switch asker {
        case .peer(let completion): put { _ in completion(result) }
        case .address(let completion):
            let introduction = result.flatMap { frame -> Result<Introduction, PeerError> in
                guard let peer = connection.peer else { return .failure(.unreachable(.noHello)) }
                return .success(Introduction(peer: peer.node, cluster: peer.cluster, frame: frame))
            }
            put { _ in completion(introduction) }
            connection.close(.closed)
        }
    }

    // MARK: VirtualConnectionOwner, for those that others dialled and those for one request

    func opened(_ connection: VirtualConnection, version: UInt16) {
        guard case .accepted = connection.role, let peer = connection.peer else { return }
        put { $0?.peerEvent(.accepted(peer.node)) }
    }

    func received(_ envelope: VirtualEnvelope, on connection: VirtualConnection) {
        guard let peer = connection.peer?.node else { return }
        if case .message = envelope.kind { return put { $0?.received(message: envelope.frame, from: peer) } }
        let reply: PeerReply = { [weak self, connection = connection.number, number = envelope.number] frame in
            self?.others[connection]?.answer(frame, number: number)
        }
        put { $0?.received(request: envelope.frame, from: peer, reply: reply) }
    }

    func ended(_ connection: VirtualConnection, _ end: LinkEnd) {
        others[connection.number] = nil
        guard case .accepted = connection.role else {
            temporaryCount -= 1
            return
        }
        acceptedCount -= 1
        if connection.isEstablished, let peer = connection.peer {
            put { $0?.peerEvent(.acceptedEnded(peer.node, end)) }
        } else {
            let remote = VirtualNetwork.peerAddress(connection.remote).description
            put { $0?.peerEvent(.rejected(from: remote, end)) }
        }
    }

    // MARK: Turns

    /// What is said in one turn of the loop leaves together, after the jobs that it already has.
    func flushLater(_ connection: VirtualConnection) {
        flushes.append(connection)
        guard flushes.count == 1 else { return }
        process.perform { [self] in
            let due = flushes
            flushes = []
            for connection in due { connection.flush() }
        }
    }

    /// Everything that arrived together crosses to the loop together.
    func put(_ delivery: @escaping ((any PeerDelegate)?) -> Void) {
        deliveries.append(delivery)
        guard deliveries.count == 1 else { return }
        process.perform { [self] in
            let batch = deliveries
            deliveries = []
            for delivery in batch { delivery(delegate) }
        }
    }
}
