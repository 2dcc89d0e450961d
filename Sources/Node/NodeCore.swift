package import Logging
package import Primitives
package import Service
import Synchronization
package import TaskExecution
package import TaskLedger
package import Views

/// One node of a cluster: the actors, composed, on the platform that they are given. See `Node` for its life.
///
/// What the simulator runs is this, whole.
package final class NodeCore: Sendable {
    let context: NodeContext
    private let platform: NodePlatform
    private let stopping = Mutex(Stopping())

    private struct Stopping {
        var reason: String?
        var waiters: [CheckedContinuation<String, Never>] = []
    }

    /// What the transport has to know before it is made.
    package static func identity(_ configuration: NodeConfiguration, _ stored: StoredNode) -> NodeID {
        NodeID(name: configuration.name, generation: stored.record.generation)
    }

    /// - Parameters:
    ///   - stored: what the volume held, recovered.
    ///   - handlers: what the node can run.
    package init(
        _ configuration: NodeConfiguration, on platform: NodePlatform, stored: StoredNode,
        handlers: [any TaskHandler], logger: Logger
    ) {
        var random = SeededGenerator(seed: platform.seed)
        self.platform = platform
        func advertised(_ address: Address) -> Address { Address(host: configuration.advertise, port: address.port) }
        let profile = MemberProfile(
            gossip: advertised(configuration.gossip), peer: advertised(configuration.peer),
            http: advertised(configuration.http), disk: stored.disk, store: stored.store,
            slots: UInt16(clamping: configuration.slots))
        context = NodeContext(
            configuration: configuration, identity: Self.identity(configuration, stored), profile: profile,
            platform: platform, logger: logger)
        context.colleagues = Colleagues(
            membership: MembershipActor(context, known: stored.record.view, seed: random.next()),
            views: ViewKeeper(context, record: stored.record, seed: random.next()),
            queue: LocalQueue(context, seed: random.next()),
            replicas: Replicas(context, recovered: stored.ledgers),
            ledgers: LedgerKeeper(context, recovered: stored.journal),
            fence: FenceKeeper(context, known: stored.record.view),
            workers: WorkerPool(context, handlers: handlers, seed: random.next()),
            archive: ResultArchive(context, candidate: ClusterID(high: random.next(), low: random.next())),
            results: ResultStore(context, files: stored.results), node: self)
    }

    package var service: any ClusterService { NodeService(context) }
    package var name: NodeName { context.name }

    // MARK: Life

    /// Listens to peers and gossip, and begins to join. Returns before the node is a member: `service.unreadiness` tells.
    package func start() async throws {
        await context.colleagues.ledgers.open()
        // Before any primary can ask.
        await onLoop { [actors = context.colleagues] in
            guard let view = actors.views.onLoop({ $0.view }) else { return }
            actors.replicas.onLoop { $0.recall(view) }
        }
        _ = try await context.transport.start(delegate: Switchboard(context))
        try await onLoop { [self] in
            let actors = context.colleagues
            let channel = try platform.openGossip(
                { bytes, address in actors.membership.onLoop { $0.receive(bytes, from: address) } },
                { address in actors.membership.onLoop { $0.handle(.portUnreachable(address)) } })
            platform.observePauses(Limits.fencePause) { gap in actors.fence.onLoop { $0.paused(for: gap) } }
            actors.membership.onLoop { $0.start(channel) }
            actors.views.onLoop { $0.start() }
            actors.fence.onLoop { $0.start() }
            actors.queue.onLoop { $0.start() }
            actors.workers.onLoop { $0.start() }
            actors.archive.onLoop { $0.start() }
            actors.results.onLoop { $0.start() }
        }
        context.logger.info("node started", metadata: ["generation": "\(context.identity.generation)"])
    }

    /// Takes no new work, hands its ledgers over, finishes what runs here, and leaves. Gives up waiting after `limit`: what
    /// is left is taken over like that of a node that died. Returns at once when the node cannot go on: see `breakdown`.
    package func leave(within limit: Duration) async {
        let actors = context.colleagues
        let deadline = context.now + limit
        await onLoop {
            actors.queue.onLoop { $0.drain() }
            actors.workers.onLoop { $0.drain() }
        }
        // Twice in a row: a voter that had not heard of the drain may just be giving this node a new ledger.
        var done = 0
        while done < 2, context.now < deadline {
            let isDone = await onLoop {
                // Without anybody to commit with, outcomes cannot be settled: nothing is left to wait for but the handlers.
                let isSettled = actors.workers.onLoop {
                    $0.isIdle || !$0.isBusy && !actors.views.onLoop { $0.hasCompany }
                }
                return isSettled && !actors.views.onLoop { $0.isNeeded } && actors.archive.onLoop { $0.isIdle }
                    && (actors.results.onLoop { $0.count == 0 } || !actors.views.onLoop { $0.hasCompany })
            }
            done = isDone ? done + 1 : 0
            // A state to be reached, looked at twenty times a second: nobody is waiting for the result more urgently.
            await pause(.milliseconds(50))
        }
        // Whoever breaks down says nothing: the others find out, as when it is killed.
        guard breakdown == nil else { return }
        await actors.membership.leave()
        context.logger.info("left")
    }

    /// Stops the actors, makes the journal durable, and closes the links. The loop has to run until this returns.
    package func stop() async {
        let actors = context.colleagues
        await onLoop { [registry = context.registry] in
            actors.archive.onLoop { $0.stop() }
            actors.results.onLoop { $0.stop() }
            actors.workers.onLoop { $0.stop() }
            actors.fence.onLoop { $0.stop() }
            actors.queue.onLoop { $0.stop() }
            actors.views.onLoop { $0.stop() }
            actors.membership.onLoop { $0.stop() }
            registry.stop()
        }
        await actors.ledgers.close()
        await context.transport.shutdown()
    }

    /// The node cannot go on. The first reason counts, but for those of a node that leaves in good order.
    func stopBecause(_ reason: String) {
        let waiters = stopping.withLock { stopping -> [CheckedContinuation<String, Never>] in
            guard stopping.reason.map({ Self.isInGoodOrder($0) }) ?? true else { return [] }
            stopping.reason = reason
            defer { stopping.waiters = [] }
            return stopping.waiters
        }
        for waiter in waiters { waiter.resume(returning: reason) }
    }

    /// The reason if a client has asked for it.
    package static let askedToLeave = "asked to leave"

    private static let toldToLeave = "told to leave"
    private static func isInGoodOrder(_ reason: String) -> Bool { reason == askedToLeave || reason == toldToLeave }

    /// `failure` returns: nobody needs to know any more.
    package func stopWaiting() { stopBecause(Self.toldToLeave) }

    /// Why the node cannot even hand over what it has; nil as long as it can.
    package var breakdown: String? { stopReason.flatMap { Self.isInGoodOrder($0) ? nil : $0 } }

    /// Why the node cannot go on; nil as long as it can.
    package var stopReason: String? { stopping.withLock { $0.reason } }

    /// Returns when the node cannot go on, and why.
    package func failure() async -> String {
        await withCheckedContinuation { continuation in
            let reason = stopping.withLock { stopping -> String? in
                if stopping.reason == nil { stopping.waiters.append(continuation) }
                return stopping.reason
            }
            if let reason { continuation.resume(returning: reason) }
        }
    }

    /// Nothing of the node runs any more: its actors, which refer to each other in a circle, are freed. A process of its own
    /// need not do this; the simulator ends thousands of nodes.
    package func dissolve() { context.dissolve() }

    // MARK: The loop

    private func pause(_ duration: Duration) async {
        await withCheckedContinuation { continuation in
            context.scheduler.execute { [context] in
                _ = context.scheduler.schedule(after: duration) { continuation.resume() }
            }
        }
    }

    private func onLoop<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            context.scheduler.execute { continuation.resume(returning: body()) }
        }
    }

    private func onLoop<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            context.scheduler.execute { continuation.resume(with: Result { try body() }) }
        }
    }
}

// MARK: - What checkers look at

/// A look into a node, on its loop: for the simulator's checkers.
extension NodeCore {
    package var identity: NodeID { context.identity }
    package var profile: MemberProfile { context.profile }

    /// The view that is installed.
    package var view: View? { context.colleagues.views.onLoop { $0.view } }

    package var isConfirmed: Bool { context.colleagues.views.onLoop { $0.isConfirmed } }

    /// Whether it would start a task now: the view lists it, a majority lets it, and it does not drain.
    package var mayStart: Bool {
        isConfirmed && !context.colleagues.queue.onLoop { $0.isDraining }
            && context.colleagues.fence.onLoop { $0.isValid }
    }

    /// The ledgers that this node serves: term, what it knows to be committed, and the tasks.
    package var served: [ServedLedger] {
        context.colleagues.queue.onLoop { queue in
            queue.owner.ownedLedgers.compactMap { queue.owner.served($0) }
        }
    }

    /// What this node, as its home, says is in the way of a schedule's next firing; nil: nothing, or it is no schedule's home.
    package func problem(ofSchedule name: String) -> String? {
        context.colleagues.queue.onLoop { $0.schedules(name).first?.problem }
    }

    /// The copies that this node keeps as a backup, ascending.
    package var copies: [LedgerCopy] { context.colleagues.replicas.onLoop { $0.copies } }

    /// Bytes that it holds and has not written yet.
    package var unwrittenBytes: Int { context.colleagues.ledgers.onLoop { $0.journal.status.bufferedBytes } }

    /// Whom it knows, itself among them, and whether they live.
    package var membersKnown: [(id: NodeID, isLiving: Bool)] {
        context.colleagues.membership.onLoop { membership in membership.members.map { ($0.id, $0.state.isLiving) } }
    }
}
