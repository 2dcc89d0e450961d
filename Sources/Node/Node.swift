import EventLoop
import Foundation
public import Logging
import Peers
public import Primitives
public import Registry
public import Service
import Synchronization
public import TaskExecution

/// One node of a cluster: the actors, composed, on a libuv loop of their own.
///
/// `start` takes the data folder, listens, and joins or founds; `leave` hands over what the node owns and says goodbye;
/// `stop` ends everything at once. A node that cannot go on (its disk fails, its name is taken) stops itself and says why in
/// `stopReason`.
public final class Node: Sendable {
    private let loop: EventLoop
    private let data: DataDirectory
    private let transport: TCPTransport
    let context: NodeContext
    private let stopping = Mutex(Stopping())

    private struct Stopping {
        var reason: String?
        var waiters: [CheckedContinuation<String, Never>] = []
    }

    /// - Parameters:
    ///   - registry: the address of a Redis; nil: seeds only.
    ///   - handlers: what the node can run.
    /// - Throws: what is wrong with the data folder, or with the loop.
    public init(
        _ configuration: NodeConfiguration, registry url: RedisURL?, handlers: [any TaskHandler], logger: Logger
    ) throws {
        var random = SystemRandomNumberGenerator()
        loop = try EventLoop(name: "apus-loop")
        data = try DataDirectory(
            configuration.dataDirectory, millisecondsSince1970: loop.microsecondsSince1970 / 1000)
        try FileManager.default.createDirectory(
            atPath: configuration.workDirectory, withIntermediateDirectories: true)
        let identity = NodeID(name: configuration.name, generation: data.record.generation)
        func advertised(_ address: Address) -> Address { Address(host: configuration.advertise, port: address.port) }
        let profile = MemberProfile(
            gossip: advertised(configuration.gossip), peer: advertised(configuration.peer),
            http: advertised(configuration.http), disk: data.disk, store: StoreID(random.next()),
            slots: UInt16(clamping: configuration.slots))
        transport = TCPTransport(
            TCPTransport.Settings(
                address: configuration.peer, clusterName: configuration.cluster, node: identity,
                cluster: data.record.view?.cluster, seed: random.next()), scheduler: loop)
        let registry: any Registry =
            if let url {
                RedisRegistry(on: loop, url: url, cluster: configuration.cluster, seed: random.next())
            } else {
                StaticRegistry(scheduler: loop)
            }
        context = NodeContext(
            configuration: configuration, identity: identity, profile: profile, scheduler: loop, transport: transport,
            registry: registry, files: FileStore(on: loop), logger: logger)
        context.colleagues = Colleagues(
            membership: MembershipActor(context, seed: random.next()),
            views: ViewKeeper(context, record: data.record, viewPath: data.viewPath, seed: random.next()),
            queue: LocalQueue(context, closed: data.closed, seed: random.next()), replicas: Replicas(context),
            workers: WorkerPool(context, handlers: handlers, seed: random.next()),
            archive: ResultArchive(context, candidate: ClusterID(high: random.next(), low: random.next())), node: self)
    }

    public var service: any ClusterService { NodeService(context, loop) }
    public var name: NodeName { context.name }

    // MARK: Life

    /// Listens to peers and gossip, and begins to join. Returns before the node is a member: `service.unreadiness` tells.
    public func start() async throws {
        loop.start()
        do {
            _ = try await transport.start(delegate: Switchboard(context))
            try await onLoop { [self] in
                let actors = context.colleagues
                let socket = try UDPSocket(
                    on: loop, bind: context.configuration.gossip,
                    onReceive: { bytes, address in actors.membership.onLoop { $0.receive(bytes, from: address) } },
                    onUnreachable: { address, _ in actors.membership.onLoop { $0.handle(.portUnreachable(address)) } })
                // Not `longerThan` half of the fence's length yet: the pause rule (R4) comes with the fence.
                loop.observePauses(longerThan: .seconds(1)) { [logger = context.logger] gap in
                    logger.warning("the process was paused", metadata: ["for": "\(gap)"])
                }
                actors.membership.onLoop { $0.start(socket) }
                actors.views.onLoop { $0.start() }
                actors.queue.onLoop { $0.start() }
                actors.workers.onLoop { $0.start() }
                actors.archive.onLoop { $0.start() }
            }
        } catch {
            await stop()
            throw error
        }
        context.logger.info("node started", metadata: ["generation": "\(context.identity.generation)"])
    }

    /// Takes no new work, hands its ledgers over, finishes what runs here, and leaves. Gives up waiting after `limit`: what
    /// is left is taken over like that of a node that died.
    public func leave(within limit: Duration) async {
        let actors = context.colleagues
        let clock = ContinuousClock()
        let deadline = clock.now + limit
        await onLoop {
            actors.queue.onLoop { $0.drain() }
            actors.workers.onLoop { $0.drain() }
        }
        while clock.now < deadline {
            let isDone = await onLoop {
                // Without anybody to commit with, outcomes cannot be settled: nothing is left to wait for but the handlers.
                let isSettled = actors.workers.onLoop {
                    $0.isIdle || !$0.isBusy && !actors.views.onLoop { $0.hasCompany }
                }
                return isSettled && !actors.views.onLoop { $0.isNeeded } && actors.archive.onLoop { $0.isIdle }
            }
            if isDone { break }
            // A state to be reached, looked at ten times a second: nobody is waiting for the result more urgently.
            try? await Task.sleep(for: .milliseconds(50))
        }
        await actors.membership.leave()
        context.logger.info("left")
    }

    public func stop() async {
        let actors = context.colleagues
        await onLoop { [registry = context.registry, data, logger = context.logger] in
            do {
                try data.close(actors.queue.onLoop { $0.served })
            } catch {
                logger.warning("what was open in the ledgers is not written down", metadata: ["reason": "\(error)"])
            }
            actors.archive.onLoop { $0.stop() }
            actors.workers.onLoop { $0.stop() }
            actors.queue.onLoop { $0.stop() }
            actors.views.onLoop { $0.stop() }
            actors.membership.onLoop { $0.stop() }
            registry.stop()
        }
        await transport.shutdown()
        await loop.shutdown()
        data.release()
    }

    /// The node cannot go on.
    func stopBecause(_ reason: String) {
        let waiters = stopping.withLock { stopping -> [CheckedContinuation<String, Never>] in
            guard stopping.reason == nil else { return [] }
            stopping.reason = reason
            defer { stopping.waiters = [] }
            return stopping.waiters
        }
        for waiter in waiters { waiter.resume(returning: reason) }
    }

    /// The reason if a client has asked for it.
    public static let askedToLeave = "asked to leave"

    /// `failure` returns: nobody needs to know any more.
    public func stopWaiting() { stopBecause("stopping") }

    /// Returns when the node cannot go on, and why.
    public func failure() async -> String {
        await withCheckedContinuation { continuation in
            let reason = stopping.withLock { stopping -> String? in
                if stopping.reason == nil { stopping.waiters.append(continuation) }
                return stopping.reason
            }
            if let reason { continuation.resume(returning: reason) }
        }
    }

    // MARK: The loop

    private func onLoop<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in loop.execute { continuation.resume(returning: body()) } }
    }

    private func onLoop<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            loop.execute { continuation.resume(with: Result { try body() }) }
        }
    }
}
