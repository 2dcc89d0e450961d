package import Journal
package import Logging
package import Node
package import Peers
package import Primitives

/// A whole cluster in one process and on one thread: the real actors of every node, on a virtual clock, a virtual
/// network, virtual disks and a virtual Redis. The same settings give the same run, event by event: `trace.hash` tells.
///
/// A world belongs to the thread that made it; several worlds may run at a time, each on its own. Nothing happens but
/// in `run`: between two calls the caller looks, and interferes.
///
///     let world = World(WorldSettings(seed: 1, nodes: 3))
///     for node in world.nodes { node.start() }
///     world.run(until: { world.agreedView != nil }, atMost: .seconds(20))
///     world.nodes[0].call { await $0.submit(specs) } _: { outcomes in ... }      // nil: the process died first
///     world.after(.seconds(1)) { world.nodes[1].crash(.kill) }
///     world.network.cut(from: 0, to: 2)
///     world.run(for: .seconds(10))
///     world.end()
///
/// `@unchecked`: only touched by the thread that made it; every job that arrives is checked for that.
package final class World: @unchecked Sendable {
    package let settings: WorldSettings
    /// The clock, and everything that is to happen.
    package let timeline: Timeline
    package let network: VirtualNetwork
    /// Nil: nodes have a `StaticRegistry`.
    package let redis: VirtualRedis?
    /// What handlers did. For checkers.
    package let observations: Observations
    /// In the order in which they were added; `SimulatedNode.index` is the position here.
    package private(set) var nodes: [SimulatedNode] = []
    private var random: SeededGenerator

    package init(_ settings: WorldSettings) {
        self.settings = settings
        random = SeededGenerator(seed: settings.seed)
        timeline = Timeline(seed: random.next(), trace: settings.trace, yieldChance: settings.yieldChance)
        network = VirtualNetwork(timeline: timeline, settings: settings.network, seed: random.next())
        redis = settings.hasRedis ? VirtualRedis(timeline: timeline, seed: random.next()) : nil
        observations = Observations(timeline: timeline)
        for _ in 0..<settings.nodes { addNode() }
    }

    // MARK: Time

    /// True time since the world began; nodes' clocks differ from it as their `NodeClock` says.
    package var now: Instant { timeline.now }

    /// Lets the world go on for `duration` of virtual time.
    package func run(for duration: Duration) { _ = timeline.run(until: timeline.now + duration) { false } }

    /// Lets the world go on until `condition` holds; it is asked after every event.
    /// - Returns: whether it held within `limit`.
    @discardableResult
    package func run(until condition: () -> Bool, atMost limit: Duration) -> Bool {
        timeline.run(until: timeline.now + limit, condition)
    }

    /// Calls `action` in `run`, after `delay`. For clients and faults: no node's pause or crash touches it.
    @discardableResult
    package func after(_ delay: Duration, _ action: @escaping () -> Void) -> VirtualTimer {
        timeline.schedule(after: delay, action)
    }

    /// Called after every event: for invariants. Asking nodes for much after every event is slow.
    package var afterEvent: (() -> Void)? {
        get { timeline.afterEvent }
        set { timeline.afterEvent = newValue }
    }

    /// The hash of all that has happened so far.
    package var traceHash: UInt64 { timeline.trace.hash }
    /// Events dispatched so far.
    package var eventCount: UInt64 { timeline.eventCount }

    /// A generator of its own for each label: what one draws does not change another's numbers.
    package func generator(_ label: String) -> SeededGenerator {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in label.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return SeededGenerator(seed: settings.seed ^ hash)
    }

    // MARK: Nodes

    /// A node that is down, with an empty disk; `start()` brings it up.
    ///
    /// - Parameter others: the nodes that it looks for; nil: the first three, of which the first founds the cluster if there is
    ///   no registry.
    @discardableResult
    package func addNode(seeds others: [Int]? = nil) -> SimulatedNode {
        let index = nodes.count
        let seeds = (others ?? Array(0..<min(3, max(1, settings.nodes)))).map { VirtualNetwork.gossipAddress($0) }
        let node = SimulatedNode(index: index, world: self, seeds: seeds, seed: random.next())
        nodes.append(node)
        return node
    }

    func logger(for node: SimulatedNode) -> Logger {
        let log = VirtualLog(
            node: node.index, timeline: timeline, sink: settings.logSink, logLevel: settings.logLevel)
        return Logger(label: "apus", factory: { _ in log })
    }

    /// The nodes whose process runs, paused or not.
    package var running: [SimulatedNode] { nodes.filter { $0.core != nil } }

    /// Called when a process is about to end or to be paused, whatever is the cause.
    package var beforeChange: () -> Void = {}

    /// Ends everything and breaks the references between a node's actors, so that the memory is freed. The world is of
    /// no more use.
    package func end() {
        for node in nodes where node.isUp { node.crash(.kill) }
        timeline.end()
        beforeChange = {}
    }
}

/// What a world is made of.
package struct WorldSettings: Sendable {
    package var seed: UInt64
    /// Nodes at the beginning, all down.
    package var nodes: Int
    package var slots = 4
    package var maxQueued = 10_000
    /// Copies of each task.
    package var copies: UInt8 = 2
    package var hasRedis = true
    package var sync = SyncPolicy.always
    package var onSplit = NodeConfiguration.SplitPolicy.survive
    package var journalSegmentBytes = 4 << 20
    package var inlineResultBytes = 64 << 10
    package var scrubInterval = Duration.seconds(30)
    package var links = LinkTuning()
    package var network = NetworkSettings()
    package var disk = DiskSettings()
    /// The chance that a node's loop lets others go first between two of its jobs.
    package var yieldChance = 0.05
    /// Greatest deviation of a node's clock from true time; each node's is drawn.
    package var drift = 0.01
    package var trace = TraceOutput.hash
    /// What nodes log from this level on goes to `logSink`, and into a text trace.
    package var logLevel = Logger.Level.critical
    package var logSink: (@Sendable (_ node: Int, Logger.Level, String) -> Void)?

    package init(seed: UInt64, nodes: Int) {
        self.seed = seed
        self.nodes = nodes
    }
}
