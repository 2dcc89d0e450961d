public import EventLoop
import NIOCore
import NIOPosix
public import Primitives
import Synchronization

/// Links over TCP, on one NIO thread.
///
/// Of two nodes each dials the other: what A asks travels on the link that A dialled, and the answers come back on it.
/// That is one socket more per pair than needed, and for it there is never a question which of two simultaneous dials
/// wins.
///
/// The loop and the NIO thread share nothing but two queues: `Outbox` (one wake-up of NIO per turn of the loop, one
/// flush per link) and `Inbox` (one `execute` per turn of NIO). Deadlines, redials and hellos are NIO's, so they hold
/// while the loop is busy.
public final class TCPTransport: PeerTransport {
    public struct Settings: Sendable {
        /// Port 0: any that is free.
        public var address: Address
        public var clusterName: String
        public var node: NodeID
        /// Nil until the node has learnt it.
        public var cluster: ClusterID?
        public var versions = VersionRange.current
        public var tuning = LinkTuning()
        /// For the jitter of redials.
        public var seed: UInt64

        public init(address: Address, clusterName: String, node: NodeID, cluster: ClusterID?, seed: UInt64) {
            self.address = address
            self.clusterName = clusterName
            self.node = node
            self.cluster = cluster
            self.seed = seed
        }
    }

    /// No request waits longer.
    static let longestWait: Duration = .seconds(86_400)

    private let settings: Settings
    private let scheduler: any Scheduler
    private let outbox: Outbox
    private let group: MultiThreadedEventLoopGroup
    private let eventLoop: any NIOCore.EventLoop
    /// Nil before the start and after the end.
    private let links: NIOLoopBoundBox<Links?>
    private let listener = Mutex<(any Channel)?>(nil)

    public init(_ settings: Settings, scheduler: any Scheduler) {
        precondition(settings.clusterName.utf8.count <= Limits.nameBytes, "the name of the cluster is too long")
        self.settings = settings
        self.scheduler = scheduler
        outbox = Outbox(scheduler: scheduler)
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        eventLoop = group.next()
        links = NIOLoopBoundBox.makeEmptyBox(valueType: Links.self, eventLoop: eventLoop)
    }

    // MARK: Life

    public func start(delegate: any PeerDelegate) async throws(PeerError) -> Address {
        do {
            let target = try SocketAddress(ipAddress: settings.address.host, port: Int(settings.address.port))
            try await eventLoop.submit { self.makeLinks(delegate) }.get()
            let channel = try await bootstrap().bind(to: target).get()
            listener.withLock { $0 = channel }
            outbox.start { [eventLoop, outbox, links] in
                eventLoop.execute { links.value?.perform(outbox.take()) }
            }
            let port = channel.localAddress?.port.flatMap { UInt16(exactly: $0) }
            return Address(host: settings.address.host, port: port ?? settings.address.port)
        } catch {
            throw .cannotListen(settings.address, "\(error)")
        }
    }

    private func makeLinks(_ delegate: any PeerDelegate) {
        let inbox = Inbox(
            eventLoop: eventLoop, scheduler: scheduler, delegate: delegate, limit: settings.tuning.intakeBytes,
            resume: { [links] in links.value?.resumeReading() })
        links.value = Links(eventLoop: eventLoop, inbox: inbox, outbox: outbox, settings: settings)
    }

    private func bootstrap() -> ServerBootstrap {
        ServerBootstrap(group: eventLoop)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { [links] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        AcceptPause { error in links.value?.inbox.put(.event(.acceptFailed("\(error)"))) })
                }
            }
            .childChannelInitializer { [links] channel in
                channel.eventLoop.makeCompletedFuture { try links.value?.accept(channel) }
            }
    }

    public func shutdown() async {
        guard outbox.close() else { return }
        let closed = eventLoop.flatSubmit { [links, outbox, eventLoop] in
            guard let table = links.value else { return eventLoop.makeSucceededVoidFuture() }
            table.perform(outbox.take())
            return table.shutdown()
        }
        do {
            try await closed.get()
            // Last: whoever finds nobody listening has heard the goodbye.
            try await listener.withLock { $0 }?.close()
            try await eventLoop.submit { [links] in
                links.value?.inbox.close()
                links.value = nil
            }.get()
            try await group.shutdownGracefully()
        } catch {
            // Only a listener or a group that is closed already gets here; there is nothing left to close then.
            return
        }
    }

    // MARK: PeerTransport

    public func setIdentity(_ node: NodeID, cluster: ClusterID?) { outbox.put(.identity(node, cluster)) }

    public func setPeers(_ peers: [Peer]) { outbox.setPeers(peers) }

    public func request(
        _ frame: Frame, to peer: NodeID, within limit: Duration, _ completion: @escaping PeerCompletion
    ) {
        func fail(_ error: PeerError) { scheduler.execute { completion(.failure(error)) } }
        guard frame.body.count <= Envelope.longestBody else { return fail(.tooLarge(bytes: frame.body.count)) }
        guard let lane = outbox.lane(to: peer) else { return fail(outbox.isRunning ? .unknownPeer : .shutDown) }
        guard lane.takes(frame.queuedBytes, limit: settings.tuning.queueBytes) else { return fail(.overloaded) }
        if !outbox.put(.request(frame, lane, deadline: deadline(limit), completion)) { fail(.shutDown) }
    }

    public func request(
        _ frame: Frame, at address: Address, within limit: Duration,
        _ completion: @escaping @Sendable (Result<Introduction, PeerError>) -> Void
    ) {
        func fail(_ error: PeerError) { scheduler.execute { completion(.failure(error)) } }
        guard frame.body.count <= Envelope.longestBody else { return fail(.tooLarge(bytes: frame.body.count)) }
        if !outbox.put(.introduction(frame, address, deadline: deadline(limit), completion)) { fail(.shutDown) }
    }

    @discardableResult
    public func send(_ frame: Frame, to peer: NodeID) -> Bool {
        guard frame.body.count <= Envelope.longestBody, let lane = outbox.lane(to: peer),
            lane.isOpen.load(ordering: .relaxed),
            lane.takes(frame.queuedBytes, limit: settings.tuning.queueBytes)
        else { return false }
        return outbox.put(.message(frame, lane))
    }

    public func queuedBytes(to peer: NodeID) -> Int { outbox.lane(to: peer)?.queuedBytes.load(ordering: .relaxed) ?? 0 }

    /// From now, so that a wait for the NIO thread counts.
    private func deadline(_ limit: Duration) -> NIODeadline {
        .now() + TimeAmount(min(max(limit, .zero), Self.longestWait))
    }

    // MARK: Figures

    /// What happened since the start; nothing before it and after the end.
    public func counters() async -> LinkCounters {
        guard outbox.isRunning else { return LinkCounters() }
        do {
            return try await eventLoop.submit { [links] in links.value?.counters ?? LinkCounters() }.get()
        } catch {
            // The loop is shut down.
            return LinkCounters()
        }
    }
    /// Connections that are not read from because the loop is behind.
    func heldConnections() async -> Int {
        do {
            return try await eventLoop.submit { [links] in links.value?.heldCount ?? 0 }.get()
        } catch {
            // The loop is shut down.
            return 0
        }
    }
}
