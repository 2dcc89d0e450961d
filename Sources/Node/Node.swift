import EventLoop
import Foundation
import Glibc
import Journal
public import Logging
import Peers
public import Primitives
public import Registry
public import Service
public import TaskExecution

/// A node on real parts: a libuv loop of its own, UDP, TCP, Redis, and a folder on a disk.
///
/// `start` listens, and joins or founds; `leave` hands over what the node owns and says goodbye; `stop` ends everything at
/// once. A node that cannot go on (its disk fails, its name is taken) says why in `failure`.
public final class Node: Sendable {
    private let loop: EventLoop
    private let lock: DirectoryLock
    private let core: NodeCore

    /// Takes the data folder, reads what is in it, and writes down the generation of this start.
    ///
    /// - Parameters:
    ///   - registry: the address of a Redis; nil: seeds only.
    ///   - handlers: what the node can run.
    /// - Throws: what is wrong with the data folder, or with the loop.
    public init(
        _ configuration: NodeConfiguration, registry url: RedisURL?, handlers: [any TaskHandler], logger: Logger
    ) throws {
        var random = SystemRandomNumberGenerator()
        let loop = try EventLoop(name: "apus-loop")
        self.loop = loop
        for folder in [configuration.dataDirectory, configuration.workDirectory] {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        }
        lock = try DirectoryLock(configuration.dataDirectory)
        let volume = DiskVolume(configuration.dataDirectory, on: loop)
        let stored = try StoredNode(configuration, volume: volume, on: loop, seed: random.next(), logger: logger)
        let transport = TCPTransport(
            TCPTransport.Settings(
                address: configuration.peer, clusterName: configuration.cluster,
                node: NodeCore.identity(configuration, stored), cluster: stored.record.view?.cluster,
                seed: random.next()), scheduler: loop)
        let registry: any Registry =
            if let url {
                RedisRegistry(on: loop, url: url, cluster: configuration.cluster, seed: random.next())
            } else {
                StaticRegistry(scheduler: loop)
            }
        let platform = NodePlatform(
            scheduler: loop, transport: transport, registry: registry, volume: volume,
            results: DiskVolume(configuration.dataDirectory, on: loop),
            openGossip: { received, unreachable in
                try UDPSocket(
                    on: loop, bind: configuration.gossip, onReceive: { received($0, $1) },
                    // Only a refused port says something about the process: a pulled cable says nothing.
                    onUnreachable: { address, error in if error.code == ECONNREFUSED { unreachable(address) } })
            }, observePauses: { threshold, report in loop.observePauses(longerThan: threshold, report) },
            lastTurn: { loop.lastTurn.monotonic }, handlerExecutor: nil, seed: random.next())
        core = NodeCore(configuration, on: platform, stored: stored, handlers: handlers, logger: logger)
    }

    public var service: any ClusterService { core.service }
    public var name: NodeName { core.name }

    /// Listens to peers and gossip, and begins to join. Returns before the node is a member: `service.unreadiness` tells.
    public func start() async throws {
        loop.start()
        do {
            try await core.start()
        } catch {
            await stop()
            throw error
        }
    }

    /// Takes no new work, hands its ledgers over, finishes what runs here, and leaves. Gives up waiting after `limit`: what
    /// is left is taken over like that of a node that died.
    public func leave(within limit: Duration) async { await core.leave(within: limit) }

    public func stop() async {
        await core.stop()
        await loop.shutdown()
        lock.release()
    }

    /// Why the node cannot even hand over what it has; nil as long as it can, also when a client has asked it to leave.
    public var breakdown: String? { core.breakdown }

    /// `failure` returns: nobody needs to know any more.
    public func stopWaiting() { core.stopWaiting() }

    /// Returns when the node cannot go on, and why.
    public func failure() async -> String { await core.failure() }
}

extension UDPSocket: DatagramChannel {}
