import APIModel
import DequeModule
import EventLoop
import Primitives
import Registry
import Service
import TaskLedger

/// The node's side of the registry: says that the node is there, finds others, and stores outcomes.
///
/// Outcomes are written once their ledger has committed them, at most `Limits.registryWrites` at a time; those that fail
/// wait until the registry is back. They stay in the ledger until they are written.
actor ResultArchive {
    nonisolated let node: NodeContext
    nonisolated var unownedExecutor: UnownedSerialExecutor { node.scheduler.serialExecutor }

    private var cluster: ClusterID?
    private var waiting: Deque<TaskID> = []
    private var underWay = 0
    /// Those whose results are kept by nodes that could not be asked: tried again at the next look.
    private var notToBeHad: [TaskID] = []
    private var isStopped = false
    private var timer: (any ScheduledAction)?
    private var written: [(id: TaskID, token: Token)] = []
    private let candidate: ClusterID
    private let began: Instant
    private var hasHeardOfCluster = false
    /// When this node may have got the claim that it has; nil: it has asked for none.
    private var claimedAt: Instant?
    /// The registry could not be reached at some time since the start.
    private var hasMissedRegistry = false
    /// No cluster is founded by the registry's word before that.
    private var claimAt = Instant.distantFuture

    init(_ node: NodeContext, candidate: ClusterID) {
        self.node = node
        self.candidate = candidate
        began = node.now
    }

    /// Nothing waits for the registry, or it could not be written now.
    var isIdle: Bool { underWay == 0 && (waiting.isEmpty && notToBeHad.isEmpty || !node.registry.isConnected) }

    var isConnected: Bool? { node.registry.storesResults ? node.registry.isConnected : nil }

    func start() {
        node.registry.start { [self] event in onLoop { $0.happened(event) } }
        lookAfter()
    }

    func stop() {
        isStopped = true
        timer?.cancel()
        node.registry.unregister(node.identity) { _ in }
    }

    private func happened(_ event: RegistryEvent) {
        node.colleagues.views.onLoop { $0.registryChanged(event) }
        switch event {
        case .connected(let isFresh):
            // An empty registry that was away may belong to a cluster whose members have not come back to it yet, or have
            // not noticed that it was emptied.
            claimAt =
                node.now
                + (hasMissedRegistry
                    ? Limits.registryReturn : node.configuration.seeds.isEmpty ? .zero : Limits.registryNotice)
            node.logger.info("registry connected", metadata: ["fresh": "\(isFresh)"])
            if let cluster { confirm(cluster) }
            register()
            if isFresh { node.colleagues.queue.onLoop { $0.rewriteOutcomes() } }
            write()
        case .emptied:
            node.logger.warning("the registry was emptied: writing again what is held here")
            if let cluster { confirm(cluster) }
            register()
            node.colleagues.queue.onLoop { $0.rewriteOutcomes() }
        case .disconnected(let error):
            hasMissedRegistry = true
            node.logger.warning("registry disconnected", metadata: ["reason": "\(error)"])
        }
    }

    // MARK: Discovery

    private func lookAfter() {
        guard !isStopped else { return }
        register()
        discover()
        foundIfNeeded()
        waiting.append(contentsOf: notToBeHad)
        notToBeHad = []
        write()
        timer = node.scheduler.schedule(after: cluster == nil ? .milliseconds(250) : Limits.registryInterval) {
            [self] in
            onLoop { $0.lookAfter() }
        }
    }

    private func register() {
        guard node.registry.isConnected else { return }
        let identity = node.identity
        let member = RegisteredMember(
            cluster: cluster, name: identity.name, generation: identity.generation, gossip: node.profile.gossip,
            peer: node.profile.peer, http: node.profile.http)
        node.registry.register(member, ttl: Limits.registryInterval * 4) { [self] result in
            if case .failure(let error) = result { onLoop { $0.failed("register", error) } }
        }
    }

    private func failed(_ what: String, _ error: RegistryError) {
        node.logger.debug("registry: \(what) failed", metadata: ["reason": "\(error)"])
    }

    private func discover() {
        guard node.registry.isConnected else { return }
        node.registry.members { [self] result in onLoop { $0.discovered(result) } }
    }

    private func discovered(_ result: Result<MemberListing, RegistryError>) {
        switch result {
        case .success(let listing):
            let seeds = listing.members.filter { $0.name != node.name }.map(\.gossip)
            if !seeds.isEmpty { node.colleagues.membership.onLoop { $0.handle(.join(seeds: seeds)) } }
        case .failure(let error):
            failed("members", error)
        }
    }

    // MARK: Founding

    /// A node without a view founds a cluster if the registry lets it, or, without a registry, if it is the first of its
    /// seeds (or has none), most of the seeds are there, and it has heard of no cluster for a while.
    ///
    /// Most of them, since a first seed that comes back with an empty disk to a network that is cut must not take the
    /// silence for a beginning.
    private func foundIfNeeded() {
        guard cluster == nil, node.colleagues.views.onLoop({ $0.view == nil }), !knowsCluster else { return }
        if node.registry.storesResults {
            guard node.registry.isConnected, node.now >= claimAt else { return }
            if claimedAt.map({ node.now - $0 > Limits.founderTTL + .seconds(1) }) ?? true { claimedAt = node.now }
            node.registry.claimFounder(candidate, ttl: Limits.founderTTL) { [self] result in
                onLoop { $0.claimed(result) }
            }
        } else {
            let seeds = node.configuration.seeds
            guard node.configuration.seedNodes > 1 else {
                if seeds.isEmpty || seeds.first == node.profile.gossip { found() }
                return
            }
            let living = node.colleagues.membership.onLoop { $0.members }.count {
                $0.state.isLiving && seeds.contains($0.profile.gossip)
            }
            if seeds.first == node.profile.gossip, node.now - began > Limits.foundingPatience,
                living > node.configuration.seedNodes / 2
            {
                found()
            }
        }
    }

    private func found() { node.colleagues.views.onLoop { $0.found(candidate) } }

    /// Somebody is in a cluster already, even if nothing has been heard of it for a while: this node will be asked into it.
    private var knowsCluster: Bool {
        if !hasHeardOfCluster {
            hasHeardOfCluster = node.colleagues.membership.onLoop { $0.members }.contains {
                $0.id.name != node.name && $0.viewNumber > 0
            }
        }
        return hasHeardOfCluster
    }

    private func claimed(_ result: Result<FounderClaim, RegistryError>) {
        switch result {
        case .success(let claim) where claim.id == candidate:
            // The claim of whoever was stopped meanwhile may be about to end.
            if !knowsCluster, let claimedAt, node.now - claimedAt < Limits.claimLife { found() }
        case .success(let claim):
            claimedAt = nil
            // Its founder may end before it has founded: then somebody else may, once the claim has.
            guard claim.isConfirmed else { return }
            // It is not forgotten if the registry is.
            hasHeardOfCluster = true
            if node.now - began > .seconds(10) {
                node.logger.warning(
                    "the registry names a cluster that nobody answers for",
                    metadata: [
                        "cluster": "\(claim.id)",
                        "advice":
                            "start its members; or remove its keys from the registry, and start this node again",
                    ])
            }
        case .failure(let error): failed("claim", error)
        }
    }

    /// A view of this cluster was installed.
    func joined(_ cluster: ClusterID) {
        self.cluster = cluster
        confirm(cluster)
        register()
    }

    private func confirm(_ cluster: ClusterID) {
        guard node.registry.isConnected else { return }
        node.registry.confirmCluster(cluster) { [self] result in
            onLoop { archive in
                if case .success(let other) = result, other != cluster {
                    archive.node.logger.error(
                        "the registry belongs to another cluster of the same name",
                        metadata: ["ours": "\(cluster)", "theirs": "\(other)"])
                    let isAlone = archive.node.colleagues.views.onLoop { $0.view?.members.count == 1 }
                    if isAlone {
                        archive.node.colleagues.node.stopBecause(
                            "it has founded a cluster beside another one of the same name (\(other)); remove its data folder, "
                                + "and it will join that one")
                    }
                }
            }
        }
    }

    // MARK: Outcomes

    func ended(_ record: TaskRecord) {
        guard node.registry.storesResults else { return }
        #if PLANTED_BUGS
        if PlantedBug.isActive(.resultNeverArchived) { return }
        #endif
        waiting.append(record.id)
        write()
    }

    private func write() {
        guard node.registry.isConnected, !isStopped, let cluster else { return }
        while underWay < Limits.registryWrites, let id = waiting.popFirst() {
            guard let record = node.colleagues.queue.onLoop({ $0.owner.task(id) }), record.status.isFinal else {
                continue
            }
            underWay += 1
            if record.detachedResult == nil { write(record, record.result, cluster) } else { fetch(record) }
        }
    }

    /// The registry is given the whole document, also if the result is kept elsewhere.
    private func fetch(_ record: TaskRecord) {
        let service = NodeService(node)
        Task.detached(executorPreference: node.handlerExecutor) { [self] in
            guard let (id, detached) = record.detachedResult else { return }
            let loaded = await service.load(id, detached)
            node.scheduler.execute { self.onLoop { $0.fetched(record, loaded) } }
        }
    }

    private func fetched(_ record: TaskRecord, _ loaded: LoadedResult) {
        guard let cluster, !isStopped else { return underWay -= 1 }
        switch loaded {
        case .here(let result): write(record, .inline(result), cluster)
        case .lost:
            node.logger.error(
                "a result is lost with the disks that kept it", metadata: ["task": "\(record.id)"])
            write(record, nil, cluster)
        case .away:
            underWay -= 1
            // Whoever keeps it may come back.
            notToBeHad.append(record.id)
        }
    }

    private func write(_ record: TaskRecord, _ result: TaskResult?, _ cluster: ClusterID) {
        let (id, token) = (record.id, record.resultToken)
        let stored = StoredResult(
            id: id, token: token, document: document(record, result, cluster),
            ttl: .milliseconds(Int64(clamping: max(1, record.spec.resultTTL))))
        node.registry.writeResult(stored) { [self] outcome in onLoop { $0.wrote(id, token, outcome) } }
    }

    private func wrote(_ id: TaskID, _ token: Token, _ result: Result<WriteOutcome, RegistryError>) {
        underWay -= 1
        switch result {
        case .success:
            if written.isEmpty { node.scheduler.execute { [self] in onLoop { $0.tellWritten() } } }
            written.append((id, token))
        case .failure(let error):
            #if PLANTED_BUGS
            if PlantedBug.isActive(.unwrittenResultForgotten) {
                return node.colleagues.queue.onLoop { $0.archived([(id, token)]) }
            }
            #endif
            failed("result", error)
            waiting.append(id)
            switch error {
            case .refused, .overloaded:
                // It is there and does not want more: full, read-only, or too busy. Not again before the next look.
                return
            case .unavailable, .timedOut, .disconnected, .malformed, .unsupported, .stopped:
                break
            }
        }
        write()
    }

    private func tellWritten() {
        let outcomes = written
        written.removeAll()
        node.colleagues.queue.onLoop { $0.archived(outcomes) }
    }

    /// As `GET /api/tasks/{id}` shows it, with the cluster's id before it.
    private func document(_ record: TaskRecord, _ result: TaskResult?, _ cluster: ClusterID) -> [UInt8] {
        var snapshot = TaskSnapshot(record, owner: node.name, at: node.now, timestamp: node.timestamp)
        // In the registry it is whole, or lost.
        if let bytes = result?.inline {
            snapshot.result = bytes
            snapshot.detached = nil
        } else {
            snapshot.detached?.holders = []
        }
        let workflow =
            record.spec.isWorkflow ? node.colleagues.queue.onLoop { $0.snapshot(ofWorkflow: record.id) } : nil
        let body =
            workflow.map { JSONWriter.bytes(of: WorkflowDocument($0), reserving: 4096) }
            ?? JSONWriter.bytes(of: TaskDocument(snapshot), reserving: 1024 + record.cost + (result?.byteCount ?? 0))
        return Array("{\"cluster\":\"\(cluster)\",".utf8) + body.dropFirst()
    }

    /// The document of a task that no ledger holds any more.
    func read(_ id: TaskID) async -> Result<[UInt8]?, RegistryError> {
        guard node.registry.storesResults else { return .success(nil) }
        guard node.registry.isConnected else { return .failure(.unavailable("the registry is not connected")) }
        return await withCheckedContinuation { continuation in
            node.registry.readResult(id) { continuation.resume(returning: $0) }
        }
    }
}

extension TaskSnapshot {
    /// - Parameters:
    ///   - owner: the node whose ledger has it.
    ///   - now: the two clocks at one moment: what is due by one is shown by the other.
    init(_ record: TaskRecord, owner: NodeName, at now: Instant, timestamp: Timestamp) {
        let worker = record.worker
        self.init(
            id: record.id, spec: record.spec, status: record.status, owner: owner, attempt: record.begunAttempts,
            run: record.run, interruptions: record.interruptions, worker: worker,
            stolenBy: worker == owner ? nil : worker,
            createdAt: record.id.createdAt, startedAt: record.startedAt, finishedAt: record.finishedAt,
            dueAt: record.due.map { Timestamp(milliseconds: timestamp.milliseconds + ($0 - now).milliseconds) },
            result: record.result?.inline, finalToken: record.finalToken, detached: record.result?.detached,
            failure: record.failure, isCancelRequested: record.isCancelRequested,
            duplicatesDiscarded: record.duplicatesDiscarded, parents: record.parents)
    }
}

extension Limits {
    /// How often a node says that it is there, and looks who else is.
    static let registryInterval = Duration.seconds(3)
    /// Results on their way to the registry at a time.
    static let registryWrites = 256
    /// How long a founder has to found before another may.
    static let founderTTL = Duration.seconds(10)
    /// How long a founder may take to found, of that time.
    static let claimLife = Duration.seconds(5)
    /// How long the members of a cluster need to find a registry that comes back, at most.
    static let registryReturn = Duration.seconds(6)
    /// How long they need to notice that it was emptied.
    static let registryNotice = Duration.seconds(1)
    /// How long the first seed listens for an existing cluster before it founds one.
    static let foundingPatience = Duration.seconds(2)
}
