import EventLoop
import Journal
import Logging
import Peers
import Primitives
import Registry
import Synchronization
import Views

/// What the actors of a node share. All of them run on `scheduler`.
final class NodeContext: Sendable {
    let configuration: NodeConfiguration
    let scheduler: any Scheduler
    let transport: any PeerTransport
    let registry: any Registry
    let volume: any Volume
    /// For large results.
    let results: any Volume
    /// When the loop last turned. From any thread.
    let lastTurn: @Sendable () -> Instant
    /// Where handlers run; nil: Swift's global pool.
    let handlerExecutor: (any TaskExecutor)?
    let logger: Logger
    let profile: MemberProfile

    private struct Shared {
        var identity: NodeID
        var links: [NodeName: NodeID] = [:]
        var linkChanges: UInt64 = 0
        var peers: [NodeName: NodeID] = [:]
        var stores: [NodeName: StoreID] = [:]
        var colleagues: Colleagues?
        var settings: ClusterSettings?
    }
    private let shared: Mutex<Shared>

    init(
        configuration: NodeConfiguration, identity: NodeID, profile: MemberProfile, platform: NodePlatform,
        logger: Logger
    ) {
        self.configuration = configuration
        self.profile = profile
        scheduler = platform.scheduler
        transport = platform.transport
        registry = platform.registry
        volume = platform.volume
        results = platform.results
        lastTurn = platform.lastTurn
        handlerExecutor = platform.handlerExecutor
        self.logger = logger
        shared = Mutex(Shared(identity: identity))
    }

    var name: NodeName { configuration.name }
    var now: Instant { scheduler.now }
    var timestamp: Timestamp { scheduler.timestamp }

    /// This life of the node. It changes when the node finds itself removed and returns.
    var identity: NodeID {
        get { shared.withLock { $0.identity } }
        set { shared.withLock { $0.identity = newValue } }
    }

    /// Of the view that is installed; nil: there is none.
    var settings: ClusterSettings? {
        get { shared.withLock { $0.settings } }
        set { shared.withLock { $0.settings = newValue } }
    }

    /// The other actors: set once, before anything runs.
    var colleagues: Colleagues {
        get {
            guard let colleagues = shared.withLock({ $0.colleagues }) else { preconditionFailure("not yet composed") }
            return colleagues
        }
        set { shared.withLock { $0.colleagues = newValue } }
    }

    /// The actors refer to each other by way of this: without it they are freed.
    func dissolve() { shared.withLock { $0.colleagues = nil } }

    // MARK: Links

    /// Who is to be linked, by name.
    var peers: [NodeName: NodeID] {
        get { shared.withLock { $0.peers } }
        set { shared.withLock { $0.peers = newValue } }
    }

    /// What the process that has the name now holds of ledgers.
    func store(of name: NodeName) -> StoreID? { shared.withLock { $0.stores[name] } }
    func setStores(_ stores: [NodeName: StoreID]) { shared.withLock { $0.stores = stores } }

    /// Whether the process that is meant by the name now is linked: a link to an earlier one may not have ended yet.
    func isLinked(_ name: NodeName) -> Bool {
        shared.withLock { shared in shared.peers[name].map { shared.links[name] == $0 } ?? false }
    }
    func isLinked(_ id: NodeID) -> Bool { shared.withLock { $0.links[id.name] == id } }
    func linkUp(_ id: NodeID) {
        shared.withLock { shared in
            shared.links[id.name] = id
            shared.linkChanges += 1
        }
    }
    func linkDown(_ id: NodeID) {
        shared.withLock { shared in
            if shared.links[id.name] == id { shared.links[id.name] = nil }
            shared.linkChanges += 1
        }
    }
    /// How often a link came or went.
    var linkChanges: UInt64 { shared.withLock { $0.linkChanges } }
}

/// The actors of a node. A class, since it is looked at with every call from one to another: a value of nine references is
/// nine references to count.
final class Colleagues: Sendable {
    let membership: MembershipActor
    let views: ViewKeeper
    let queue: LocalQueue
    let replicas: Replicas
    let ledgers: LedgerKeeper
    let fence: FenceKeeper
    let workers: WorkerPool
    let archive: ResultArchive
    let results: ResultStore
    let node: NodeCore

    init(
        membership: MembershipActor, views: ViewKeeper, queue: LocalQueue, replicas: Replicas, ledgers: LedgerKeeper,
        fence: FenceKeeper, workers: WorkerPool, archive: ResultArchive, results: ResultStore, node: NodeCore
    ) {
        self.membership = membership
        self.views = views
        self.queue = queue
        self.replicas = replicas
        self.ledgers = ledgers
        self.fence = fence
        self.workers = workers
        self.archive = archive
        self.results = results
        self.node = node
    }
}

extension Actor {
    /// Calls an actor of the same loop, at once and in place. A debug build traps off the loop.
    @inline(__always)
    nonisolated func onLoop<Value: Sendable>(_ body: (isolated Self) -> Value) -> Value {
        #if DEBUG
        assumeIsolated(body)
        #else
        // What `assumeIsolated` does after its check, which takes longer than most of these calls: the simulator, which
        // does little else, took 6 % less time without it.
        withoutActuallyEscaping(body) { body in unsafeBitCast(body, to: ((Self) -> Value).self)(self) }
        #endif
    }
}
