import EventLoop
import Glibc
import NIOCore
import NIOPosix
import Primitives

/// Everything of a `TCPTransport` that lives on the NIO loop: carries out commands, owns the connections, and puts what
/// happens into the inbox. Confined to that loop.
final class Links: ConnectionOwner {
    let eventLoop: any NIOCore.EventLoop
    let inbox: Inbox
    let tuning: LinkTuning
    var counters = LinkCounters()
    private let outbox: Outbox
    private let clusterName: String
    private let versions: VersionRange
    private var random: SeededGenerator
    private var node: NodeID
    private var cluster: ClusterID?

    private var wanted: [Lane] = []
    private var outbound: [NodeID: OutboundLink] = [:]
    /// Those that others have dialled, and those for one request.
    private var others: [UInt64: Connection] = [:]
    private var acceptedCount = 0
    private var temporaryCount = 0
    private var lastNumber: UInt64 = 0
    /// Every channel that is not closed yet, also those whose link has ended.
    private var channels: [ObjectIdentifier: any Channel] = [:]
    private var flushes: [Connection] = []
    private var held: [Connection] = []
    private var isShutDown = false

    init(eventLoop: any NIOCore.EventLoop, inbox: Inbox, outbox: Outbox, settings: TCPTransport.Settings) {
        self.eventLoop = eventLoop
        self.inbox = inbox
        self.outbox = outbox
        tuning = settings.tuning
        clusterName = settings.clusterName
        versions = settings.versions
        node = settings.node
        cluster = settings.cluster
        random = SeededGenerator(seed: settings.seed)
    }

    func hello(expecting peer: NodeID?) -> Hello {
        Hello(versions: versions, clusterName: clusterName, cluster: cluster, node: node, expected: peer)
    }

    // MARK: Commands

    func perform(_ commands: [Command]) {
        for command in commands { perform(command) }
        flushAll()
    }

    private func perform(_ command: Command) {
        switch command {
        case .identity(let node, let cluster): setIdentity(node, cluster)
        case .peers(let lanes): setWanted(lanes)
        case .request(let frame, let lane, let deadline, let completion):
            if let link = outbound[lane.peer.id], link.lane === lane {
                link.request(frame, deadline: deadline, completion)
            } else {
                inbox.put(.answer(completion, .failure(.unreachable(.closed))))
            }
        case .message(let frame, let lane):
            if let link = outbound[lane.peer.id], link.lane === lane { link.send(frame) }
        case .introduction(let frame, let address, let deadline, let completion):
            introduce(frame, at: address, deadline: deadline, completion)
        case .answer(let frame, let connection, let number): others[connection]?.answer(frame, number: number)
        }
    }

    private func setIdentity(_ node: NodeID, _ cluster: ClusterID?) {
        guard node != self.node || cluster != self.cluster else { return }
        let isRenamed = node != self.node
        self.node = node
        self.cluster = cluster
        setWanted(wanted)
        // A node that has only learnt its cluster's id stays who it was to those it talks to.
        for id in outbound.keys.sorted() { isRenamed ? outbound[id]?.dialAgain() : outbound[id]?.reconsider() }
        for number in others.keys.sorted() { isRenamed ? others[number]?.close(.closed) : others[number]?.reconsider() }
    }

    private func setWanted(_ lanes: [Lane]) {
        guard !isShutDown else { return }
        wanted = lanes
        let kept = Dictionary(
            uniqueKeysWithValues: lanes.lazy.filter { $0.peer.id != self.node }.map { ($0.peer.id, $0) })
        for id in outbound.keys.sorted() where outbound[id]?.lane !== kept[id] {
            outbound.removeValue(forKey: id)?.end()
        }
        for lane in lanes where outbound[lane.peer.id] == nil {
            guard lane.peer.id != node else {
                lane.isOpen.store(false, ordering: .relaxed)
                continue
            }
            outbound[lane.peer.id] = OutboundLink(lane: lane, links: self, seed: random.next())
        }
    }

    private func introduce(
        _ frame: Frame, at address: Address, deadline: NIODeadline,
        _ completion: @escaping @Sendable (Result<Introduction, PeerError>) -> Void
    ) {
        guard temporaryCount < tuning.temporaryLinks else {
            return inbox.put(.introduction(completion, .failure(.overloaded)))
        }
        temporaryCount += 1
        let connection = makeConnection(.dialled(expecting: nil, nil), owner: self)
        others[connection.number] = connection
        connection.request(frame, deadline: deadline, .address(completion))
        connect(connection, to: address)
    }

    func answer(_ asker: Asker, _ result: Result<Frame, PeerError>, from connection: Connection) {
        switch asker {
        case .peer(let completion): inbox.put(.answer(completion, result))
        case .address(let completion):
            let introduction = result.flatMap { frame -> Result<Introduction, PeerError> in
                // It has answered, so it has said hello.
                guard let peer = connection.peer else { return .failure(.unreachable(.noHello)) }
                return .success(Introduction(peer: peer.node, cluster: peer.cluster, frame: frame))
            }
            inbox.put(.introduction(completion, introduction))
            connection.close(.closed)
        }
    }

    func shutdown() -> EventLoopFuture<Void> {
        isShutDown = true
        for id in outbound.keys.sorted() { outbound[id]?.end() }
        outbound = [:]
        for number in others.keys.sorted() { others[number]?.close(.closed) }
        let closed = channels.values.map(\.closeFuture)
        // Connections that are closing are given `tuning.goodbye`, those that are being made `tuning.connectTimeout`.
        return EventLoopFuture.andAllComplete(closed, on: eventLoop)
    }

    // MARK: Connections

    func makeConnection(_ role: Connection.Role, owner: any ConnectionOwner) -> Connection {
        lastNumber += 1
        return Connection(number: lastNumber, role: role, owner: owner, links: self)
    }

    func connect(_ connection: Connection, to address: Address) {
        let target: SocketAddress
        do {
            target = try SocketAddress(ipAddress: address.host, port: Int(address.port))
        } catch {
            // Later, so that nobody is called back from within a call.
            return eventLoop.assumeIsolated().execute { connection.connectFailed(.unreachable("\(error)")) }
        }
        let handler = NIOLoopBound(connection, eventLoop: eventLoop)
        ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(tuning.connectTimeout))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try handler.value.links.add(handler.value, to: channel) }
            }
            .connect(to: target)
            .assumeIsolated()
            .whenFailure { error in connection.connectFailed(LinkEnd(connecting: error)) }
    }

    /// The pipeline of every link. A TLS handler would be added here, before `connection`.
    private func add(_ connection: Connection, to channel: any Channel) throws {
        if let options = channel.syncOptions {
            try options.setOption(.tcpOption(.tcp_nodelay), value: 1)
            try options.setOption(.maxMessagesPerRead, value: 16)
            // Half a minute and three probes: or else links of hosts that vanished would fill `tuning.inboundLinks`.
            try options.setOption(.socketOption(.so_keepalive), value: 1)
            try options.setOption(.tcpOption(.init(rawValue: TCP_KEEPIDLE)), value: 30)
            try options.setOption(.tcpOption(.init(rawValue: TCP_KEEPINTVL)), value: 10)
            try options.setOption(.tcpOption(.init(rawValue: TCP_KEEPCNT)), value: 3)
        }
        try channel.pipeline.syncOperations.addHandler(connection)
        let id = ObjectIdentifier(channel)
        channels[id] = channel
        channel.closeFuture.assumeIsolated().whenComplete { _ in self.channels[id] = nil }
    }

    /// Somebody has connected.
    func accept(_ channel: any Channel) throws {
        let connection = makeConnection(.accepted, owner: self)
        acceptedCount += 1
        others[connection.number] = connection
        try add(connection, to: channel)
        if isShutDown {
            connection.close(.closed)
        } else if acceptedCount > tuning.inboundLinks {
            connection.close(.overCapacity)
        }
    }

    // MARK: ConnectionOwner, for those that others dialled and those for one request

    func opened(_ connection: Connection, version: UInt16) {
        guard case .accepted = connection.role, let peer = connection.peer else { return }
        counters.accepted += 1
        inbox.put(.event(.accepted(peer.node)))
    }

    func received(_ envelope: Envelope, on connection: Connection) {
        guard let peer = connection.peer?.node else { return }
        if envelope.kind == .message { return inbox.put(.message(envelope.frame, peer)) }
        let reply: PeerReply = { [outbox, connection = connection.number, number = envelope.number] frame in
            outbox.put(.answer(frame, connection: connection, number: number))
        }
        inbox.put(.request(envelope.frame, peer, reply))
    }

    func ended(_ connection: Connection, _ end: LinkEnd) {
        others[connection.number] = nil
        guard case .accepted = connection.role else {
            temporaryCount -= 1
            return
        }
        acceptedCount -= 1
        if connection.isEstablished, let peer = connection.peer {
            inbox.put(.event(.acceptedEnded(peer.node, end)))
        } else {
            inbox.put(.event(.rejected(from: connection.remote, end)))
        }
        counters.count(end, established: connection.isEstablished)
    }

    // MARK: Turns

    func flushLater(_ connection: Connection) { flushes.append(connection) }

    private func flushAll() {
        let due = flushes
        flushes = []
        for connection in due { connection.flush() }
    }

    func isIntakeFull(for connection: Connection) -> Bool {
        guard inbox.isFull() else { return false }
        held.append(connection)
        return true
    }

    var heldCount: Int { held.count }

    func resumeReading() {
        let due = held
        held = []
        for connection in due { connection.resumeReading() }
    }

    func schedule(after delay: Duration, _ action: @escaping () -> Void) -> Scheduled<Void> {
        eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(delay), action)
    }

    func schedule(at deadline: NIODeadline, _ action: @escaping () -> Void) -> Scheduled<Void> {
        eventLoop.assumeIsolated().scheduleTask(deadline: deadline, action)
    }
}

extension LinkEnd {
    /// Why a connection could not be made.
    init(connecting error: any Error) {
        if let failure = error as? IOError, failure.errnoCode == ECONNREFUSED {
            self = .connectionRefused
        } else {
            self = .unreachable("\(error)")
        }
    }
}
