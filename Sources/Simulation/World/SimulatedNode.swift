import EventLoop
import Journal
import Logging
package import Node
import Peers
package import Primitives
import Registry
package import Service

/// One machine with a disk, and the process of a node that runs on it, or does not.
///
/// down -> starting -> up -> leaving -> down, and from each of these, by `crash`, to down. A paused process is still
/// up. What survives is the disk; everything else begins anew with `start`.
///
/// `@unchecked`: only touched by the world's thread.
package final class SimulatedNode: @unchecked Sendable {
    package enum Life: Hashable, Sendable {
        case down(Downfall)
        /// The disk was read; the journal, links and gossip are being opened.
        case starting
        case up
        /// It was told to leave, or a client asked for it, or it cannot go on: it hands over what it has, and ends.
        case leaving
    }

    package enum Downfall: Hashable, Sendable {
        case neverStarted
        case crashed(CrashKind)
        /// It ended by itself. `toldToLeave` and `NodeCore.askedToLeave`: in good order. Anything else is why it could
        /// not go on: it ended at once, as if it had been killed.
        case ended(String)
        /// It refused to start, and why: the disk is not what it should be.
        case refused(String)
    }

    package enum CrashKind: Hashable, Sendable {
        /// `kill -9`: the machine answers for it (connections are closed, ports unreachable), what was written stays in
        /// its page cache.
        case kill
        /// The machine is off until `start`: silence. What was not synced is lost, or a part of it.
        case powerLoss
    }

    /// Why a node ended that was told to by `leave`.
    package static let toldToLeave = "stopping"

    package let index: Int
    package let name: NodeName
    package let disk: VirtualDisk
    /// The clocks of this machine: jumps and drift.
    package let clock: VirtualClock
    package let gossip: Address
    package let peer: Address
    package let http: Address

    package private(set) var life = Life.down(.neverStarted)
    /// How often it was started.
    package private(set) var starts = 0
    /// The composed node; nil while it is down.
    package private(set) var core: NodeCore?
    private var process: VirtualProcess?
    private var transport: VirtualTransport?
    private var volume: VirtualVolume?
    private var results: VirtualVolume?
    private var registry: VirtualRegistry?
    private var random: SeededGenerator
    private unowned let world: World
    private let seeds: [Address]
    private var isPowered = true
    private var patience = Duration.seconds(25)
    /// Calls of clients that have no answer; what to do if the process ends.
    private var calls: [UInt64: () -> Void] = [:]
    private var lastCall: UInt64 = 0

    init(index: Int, world: World, seeds: [Address], seed: UInt64) {
        self.index = index
        self.world = world
        self.seeds = seeds
        var random = SeededGenerator(seed: seed)
        guard let name = NodeName("n\(index + 1)") else { preconditionFailure("n1 is a name") }
        self.name = name
        disk = VirtualDisk(settings: world.settings.disk, seed: random.next())
        clock = VirtualClock(timeline: world.timeline, greatestDrift: world.settings.drift, seed: random.next())
        gossip = VirtualNetwork.gossipAddress(index)
        peer = VirtualNetwork.peerAddress(index)
        http = VirtualNetwork.httpAddress(index)
        self.random = random
        world.network.addHost()
    }

    /// This life of the node; nil while it is down.
    package var identity: NodeID? { core?.identity }
    package var isPaused: Bool { process?.life == .paused }
    package var isUp: Bool { core != nil }
    /// Tasks of processes that ended which never came to an end: what they hold is leaked.
    package private(set) var leakedJobs = 0

    // MARK: Starting

    /// Starts the process from what the disk holds, under a new generation. Nothing if it is not down.
    package func start() {
        guard case .down = life else { return }
        assertOutside()
        if !isPowered {
            isPowered = true
            clock.reboot()
            world.network.powerOn(index)
        }
        starts += 1
        world.timeline.trace.fold(.start, node: index, at: world.now, UInt64(starts))
        let process = VirtualProcess(timeline: world.timeline, clock: clock, index: index, seed: random.next())
        let volume = VirtualVolume(disk, process: process)
        let configuration = configuration()
        let seed = random.next()
        let logger = world.logger(for: self)
        let recovered = Result {
            try world.timeline.enter(process, isOnLoop: true) {
                try StoredNode(configuration, volume: volume, on: process, seed: seed, logger: logger)
            }
        }
        switch recovered {
        case .success(let stored): compose(configuration, process, volume, stored, logger)
        case .failure(let error):
            world.timeline.trace.note("refuses to start: \(error)", node: index, at: world.now)
            life = .down(.refused("\(error)"))
            process.die()
            process.bury()
        }
    }

    private func configuration() -> NodeConfiguration {
        let settings = world.settings
        var configuration = NodeConfiguration(
            name: name, cluster: "simulated", http: http, peer: peer, gossip: gossip, advertise: gossip.host,
            dataDirectory: "/data", workDirectory: "/work", seeds: seeds, slots: settings.slots,
            maxQueued: settings.maxQueued, copies: settings.copies, sync: settings.sync, onSplit: settings.onSplit)
        configuration.journalSegmentBytes = settings.journalSegmentBytes
        configuration.inlineResultBytes = settings.inlineResultBytes
        configuration.scrubInterval = settings.scrubInterval
        configuration.signsCallbacks = true
        return configuration
    }

    private func compose(
        _ configuration: NodeConfiguration, _ process: VirtualProcess, _ volume: VirtualVolume, _ stored: StoredNode,
        _ logger: Logger
    ) {
        let network = world.network
        let index = index
        network.processStarted(process, on: index)
        let transport = VirtualTransport(
            on: index, process: process, network: network, address: peer, clusterName: configuration.cluster,
            identity: NodeCore.identity(configuration, stored), cluster: stored.record.view?.cluster,
            tuning: world.settings.links, seed: random.next())
        let results = VirtualVolume(disk, process: process)
        registry = world.redis.map { VirtualRegistry($0, on: index, process: process, seed: random.next()) }
        let platform = NodePlatform(
            scheduler: process, transport: transport, registry: registry ?? StaticRegistry(scheduler: process),
            volume: volume, results: results,
            openGossip: { received, unreachable in
                VirtualDatagramChannel(
                    process, on: index, network: network, receive: received, unreachable: unreachable)
            }, observePauses: { process.observePauses(longerThan: $0, $1) }, lastTurn: { process.lastTurn },
            handlerExecutor: process.poolExecutor, seed: random.next())
        let handler = SimulatedHandler(process: process, observations: world.observations, node: index, start: starts)
        let receiver = SimulatedReceiver(process: process, observations: world.observations, node: index, start: starts)
        let core = world.timeline.enter(process, isOnLoop: true) {
            NodeCore(configuration, on: platform, stored: stored, handlers: [handler, receiver], logger: logger)
        }
        self.process = process
        self.transport = transport
        self.volume = volume
        self.results = results
        self.core = core
        life = .starting
        Task.detached(executorPreference: process.poolExecutor) { await self.live(core, process) }
    }

    /// As the command line's `NodeLife`: runs until it is told to leave, or cannot go on and ends at once.
    private func live(_ core: NodeCore, _ process: VirtualProcess) async {
        do {
            try await core.start()
        } catch {
            return finishSoon("cannot start: \(error)", process)
        }
        guard process.isAlive else { return }
        if life == .starting { life = .up }
        let reason = await core.failure()
        guard process.isAlive else { return }
        if core.breakdown == nil {
            life = .leaving
            world.timeline.trace.note("leaves: \(reason)", node: index, at: world.now)
            await core.leave(within: patience)
            guard process.isAlive else { return }
        }
        if let breakdown = core.breakdown { return finishSoon(breakdown, process) }
        await core.stop()
        finishSoon(reason == NodeCore.askedToLeave ? reason : Self.toldToLeave, process)
    }

    /// Not from within the process that ends.
    private func finishSoon(_ reason: String, _ process: VirtualProcess) {
        guard process.isAlive else { return }
        world.timeline.schedule(after: .zero) { [self] in
            guard self.process === process else { return }
            world.timeline.trace.note("ends: \(reason)", node: index, at: world.now)
            end(.ended(reason), keepsPower: true)
        }
    }

    // MARK: Faults and life

    /// Ends the process at once. Nothing if it is down; a loss of power then still takes what is not synced.
    package func crash(_ kind: CrashKind) {
        assertOutside()
        world.timeline.trace.fold(.crash, node: index, at: world.now, kind == .kill ? 0 : 1)
        let wasUp = core != nil
        if wasUp { end(.crashed(kind), keepsPower: kind == .kill) }
        guard kind == .powerLoss else { return }
        disk.losePower()
        if !wasUp, isPowered { world.network.processEnded(on: index, isPowered: false) }
        isPowered = false
    }

    /// Stops the process (SIGSTOP), or puts the machine to sleep: then its monotonic clock stands still too. What comes
    /// from the network waits. Nothing if it is down or paused.
    package func pause(_ kind: PauseKind = .stopped) {
        assertOutside()
        world.beforeChange()
        process?.pause(kind)
    }

    /// The process goes on: its pause observer is told before anything else. Nothing if it is not paused.
    package func resume() {
        assertOutside()
        process?.resume()
    }

    /// SIGTERM: hands over and leaves, as the command line's `NodeLife` does. A paused process hears of it when it goes
    /// on.
    package func leave(within limit: Duration = .seconds(25)) {
        assertOutside()
        patience = limit
        guard let process, let core else { return }
        process.perform { core.stopWaiting() }
    }

    /// Wipes the disk; a process that runs is killed first.
    package func loseDisk() {
        if core != nil { crash(.kill) }
        disk.wipe()
    }

    private func assertOutside() {
        precondition(
            world.timeline.current == nil,
            "Nodes are not interfered with from within a process: use `World.after` from an observer.")
    }

    // MARK: The end

    private func end(_ downfall: Downfall, keepsPower: Bool) {
        guard let core, let process else { return }
        world.beforeChange()
        life = .down(downfall)
        world.observations.cutOff(node: index)
        process.die()
        world.network.processEnded(on: index, isPowered: keepsPower)
        transport?.processEnded()
        volume?.detach(&random)
        results?.detach(&random)
        registry?.detach()
        // Unseen by anybody: whatever waits for something is told that it will not come.
        core.stopWaiting()
        Task.detached(executorPreference: process.poolExecutor) { await core.stop() }
        process.runOut()
        core.dissolve()
        process.bury()
        leakedJobs += process.lostJobs
        self.core = nil
        self.process = nil
        transport = nil
        volume = nil
        results = nil
        registry = nil
        let waiting = calls.keys.sorted().compactMap { calls[$0] }
        calls = [:]
        for fail in waiting { world.after(.microseconds(200), fail) }
    }

    // MARK: Clients and checkers

    /// Calls the node as its HTTP side does. `completion` is called in `run`, once: with nil if the process ended
    /// before the answer, or does not run, which the client has to take for "I do not know".
    package func call<Value: Sendable>(
        _ body: @escaping @Sendable (any ClusterService) async -> Value,
        _ completion: @escaping @Sendable (Value?) -> Void
    ) {
        guard let core, let process else {
            world.after(.microseconds(200)) { completion(nil) }
            return
        }
        lastCall += 1
        let number = lastCall
        calls[number] = { completion(nil) }
        let service = core.service
        Task.detached(executorPreference: process.poolExecutor) { [self] in
            let value = await body(service)
            guard self.process === process, process.isAlive, calls.removeValue(forKey: number) != nil else { return }
            world.after(.microseconds(50)) { completion(value) }
        }
    }

    /// Looks into the node, whether it is paused or not, without being noticed; nil while it is down.
    package func look<Value>(_ body: (NodeCore) -> Value) -> Value? {
        guard let core, let process else { return nil }
        assertOutside()
        return world.timeline.enter(process, isOnLoop: true) { body(core) }
    }
}
