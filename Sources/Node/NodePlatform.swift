package import EventLoop
package import Journal
package import Peers
package import Primitives
package import Registry

/// Sends datagrams: a UDP socket, or a simulated network.
package protocol DatagramChannel: AnyObject, Sendable {
    func send(_ bytes: [UInt8], to address: Address)
    func close()
}

/// What a node stands on: a loop, a network, a registry and a folder on a disk; or the simulator's.
///
/// The actors of a node know only this. In production `Node` puts it together from libuv, TCP, Redis and files.
package struct NodePlatform: Sendable {
    /// Opens the gossip socket. Both functions are called on the loop: a datagram came; a datagram could not be delivered,
    /// since nobody listens at the address.
    package typealias OpenGossip =
        @Sendable (
            _ received: @escaping @Sendable (ArraySlice<UInt8>, Address) -> Void,
            _ unreachable: @escaping @Sendable (Address) -> Void
        ) throws -> any DatagramChannel

    /// Calls `report` on the loop, before anything else runs, when more than `threshold` passed between two turns of the
    /// loop: the process was stopped, or the machine slept.
    package typealias ObservePauses =
        @Sendable (_ threshold: Duration, _ report: @escaping @Sendable (Duration) -> Void) -> Void

    package var scheduler: any Scheduler
    package var transport: any PeerTransport
    package var registry: any Registry
    package var volume: any Volume
    /// For large results, in the same folder: they do not hold up the journal.
    package var results: any Volume
    package var openGossip: OpenGossip
    package var observePauses: ObservePauses
    /// When the loop last turned. From any thread.
    package var lastTurn: @Sendable () -> Instant
    /// Where handlers run; nil: Swift's global pool.
    package var handlerExecutor: (any TaskExecutor)?
    /// For every generator of the node.
    package var seed: UInt64

    package init(
        scheduler: any Scheduler, transport: any PeerTransport, registry: any Registry, volume: any Volume,
        results: any Volume,
        openGossip: @escaping OpenGossip, observePauses: @escaping ObservePauses,
        lastTurn: @escaping @Sendable () -> Instant, handlerExecutor: (any TaskExecutor)?, seed: UInt64
    ) {
        self.scheduler = scheduler
        self.transport = transport
        self.registry = registry
        self.volume = volume
        self.results = results
        self.openGossip = openGossip
        self.observePauses = observePauses
        self.lastTurn = lastTurn
        self.handlerExecutor = handlerExecutor
        self.seed = seed
    }
}
