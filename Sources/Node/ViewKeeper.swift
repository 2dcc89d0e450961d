import EventLoop
import Membership
import Peers
import Primitives
import Registry
import Views
import Wire

/// Keeps the view: carries out what the agreement machine wants, tells it what the planner wishes, and tells the others
/// what was installed (rule R1).
///
/// Also founds a cluster, if the registry (or, without one, the list of seeds) says that this node should; and returns
/// under a new generation when this one was removed.
actor ViewKeeper {
    nonisolated let node: NodeContext
    nonisolated var unownedExecutor: UnownedSerialExecutor { node.scheduler.serialExecutor }

    private var agreement: ViewAgreement
    private var timer: (any ScheduledAction)?
    private var isStopped = false

    /// What primaries have said about the view that is installed.
    private var evidence: [Evidence] = []
    private var positions: [ReplicaPosition] = []
    private var positionsAsked: (view: UInt64, at: Instant)?
    /// When the view was installed, or the process started: a member that was never heard of since then for long is gone.
    private var installedAt: Instant
    private var isReturning = false
    /// Counts the machines that there have been: the disk's answer to an earlier one means nothing to this one.
    private var epoch = 0
    private var random: SeededGenerator

    init(_ node: NodeContext, record: VoterRecord, seed: UInt64) {
        self.node = node
        random = SeededGenerator(seed: seed)
        installedAt = node.now
        agreement = ViewAgreement(
            myself: Member(id: node.identity, profile: node.profile), record: record, settings: Self.settings,
            seed: random.next())
    }

    /// A node installs no view of a cluster that has not listed it: it would be bound to a cluster that may be gone.
    private static let settings = ViewAgreement.Settings(joins: false)

    /// The view that is installed.
    var view: View? { agreement.installed }
    /// Whether this process may run anything: its view is current as far as a majority knows, and lists it.
    var isConfirmed: Bool { agreement.isConfirmed && view?.member(node.identity) != nil }

    /// Whether another member of the view lives.
    var hasCompany: Bool {
        node.colleagues.membership.onLoop { $0.members }.contains { record in
            record.state == .alive && record.id.name != node.name && view?.member(record.id) != nil
        }
    }

    /// Whether the view still counts on this node, though there is somebody to take its place: as primary of a ledger, or
    /// as a backup. A node that leaves waits until it does not.
    var isNeeded: Bool {
        guard let view else { return false }
        let others = node.colleagues.membership.onLoop { $0.members }.count { record in
            record.state == .alive && !record.load.isDraining && view.member(record.id) != nil
                && record.id.name != node.name
        }
        // An empty one, too: if its only replica left it behind it would be unavailable for ever. A voter that has not heard of
        // the drain yet gives this node a new one as soon as the old one is handed over.
        let isPrimary = view.ledgers.contains {
            $0.primary == StoreHolder(name: node.name, store: node.profile.store)
        }
        let isBackup = view.ledgers.contains { $0.backups.contains { $0.name == node.name } }
        return others > 0 && isPrimary || others >= Int(view.settings.copies) && (isBackup || isPrimary)
    }

    func start() {
        membershipChanged()
        tick()
    }

    func stop() {
        isStopped = true
        timer?.cancel()
    }

    private func tick() {
        guard !isStopped else { return }
        handle(.tick)
        catchUp()
        reconsider()
        timer?.cancel()
        timer = node.scheduler.schedule(after: Limits.viewTick) { [self] in onLoop { $0.tick() } }
    }

    /// A view that was decided without this node, and whose news was lost, is fetched from whoever says to have it.
    private func catchUp() {
        let members = node.colleagues.membership.onLoop { $0.members }
        guard let best = members.filter({ $0.state.isLiving }).max(by: { $0.viewNumber < $1.viewNumber }) else {
            return
        }
        heard(best.viewNumber, from: best.id.name, address: best.profile.peer)
    }

    // MARK: The agreement machine

    private func handle(_ event: ViewAgreement.Event) {
        guard !isStopped else { return }
        var effects: [ViewAgreement.Effect] = []
        agreement.handle(event, at: node.now, into: &effects)
        for effect in effects { carryOut(effect) }
    }

    private func carryOut(_ effect: ViewAgreement.Effect) {
        switch effect {
        case .persist(let record, let ticket):
            node.volume.replace(StoredNode.viewFile, with: record.fileBytes()) { [self, epoch] result in
                onLoop { if $0.epoch == epoch { $0.persisted(ticket, result) } }
            }
        case .send(let message, let name, let address):
            send(message, to: name, at: address)
        case .install(let view):
            install(view)
        case .confirmed:
            node.logger.info("view confirmed", metadata: ["view": "\(view?.number ?? 0)"])
            node.colleagues.queue.onLoop { $0.standingChanged() }
        case .warm:
            reconsider()
        case .claim:
            // The tie-breaker comes with the rest of the two-node rules.
            break
        case .refused(let refusal, let name):
            node.logger.warning("view message refused", metadata: ["from": "\(name)", "reason": "\(refusal)"])
        }
    }

    private func persisted(_ ticket: UInt64, _ result: Result<Void, SystemError>) {
        switch result {
        case .success:
            handle(.persisted(ticket: ticket))
            reconsider()
        case .failure(let error):
            // Nothing that rests on this record is said: the node neither votes nor installs. It cannot go on like this.
            node.logger.critical("the view cannot be written", metadata: ["error": "\(error)"])
            node.colleagues.node.stopBecause("\(error)")
        }
    }

    private func send(_ message: ViewMessage, to name: NodeName, at address: Address) {
        let frame = Frame(.view, at: node.now) { $0.viewMessage(message) }
        if let id = node.peers[name], node.isLinked(id) {
            node.transport.send(frame, to: id)
        } else {
            // Paxos does not mind the generation: whoever is at the address now is asked.
            node.transport.request(frame, at: address, within: .seconds(1)) { _ in }
        }
    }

    func receive(_ message: ViewMessage) {
        handle(.received(message))
        reconsider()
    }

    func heard(_ number: UInt64, from name: NodeName, address: Address) {
        guard number > view?.number ?? 0 else { return }
        handle(.heard(viewNumber: number, from: name, address: address))
    }

    func found(_ cluster: ClusterID) {
        handle(.found(cluster, ClusterSettings(copies: node.configuration.copies)))
    }

    // MARK: What the next view should be

    func membershipChanged() {
        let members = node.colleagues.membership.onLoop { $0.members }
        handle(
            .peers(
                members.map {
                    ViewAgreement.Peer(
                        id: $0.id, disk: $0.profile.disk, address: $0.profile.peer, isAlive: $0.state.isLiving,
                        isExitProven: $0.isExitProven)
                }))
        link(members)
        reconsider()
    }

    /// Links to everybody who is alive, and to members of the view of whom gossip has not spoken yet.
    private func link(_ members: [MemberRecord]) {
        var peers: [Peer] = []
        var stores: [NodeName: StoreID] = [:]
        for record in members where record.state.isLiving && record.id.name != node.name {
            peers.append(Peer(id: record.id, address: record.profile.peer))
            stores[record.id.name] = record.profile.store
        }
        for member in view?.members ?? [] where member.id.name != node.name {
            if members.contains(where: { $0.id.name == member.id.name }) { continue }
            peers.append(Peer(id: member.id, address: member.profile.peer))
            stores[member.id.name] = member.profile.store
        }
        node.setStores(stores)
        node.peers = Dictionary(peers.map { ($0.id.name, $0.id) }, uniquingKeysWith: { first, _ in first })
        node.transport.setPeers(peers)
        node.colleagues.workers.onLoop { $0.peersChanged() }
    }

    /// What a primary says about the current view; void in any other.
    func take(_ new: Evidence) {
        guard !evidence.contains(new), evidence.count < Limits.evidence else { return }
        evidence.append(new)
        reconsider()
    }

    /// Everything that speaks for or against the view, as far as this node knows.
    private func observations(_ view: View) -> Observations {
        let members = node.colleagues.membership.onLoop { $0.members }
        var observed = Observations()
        observed.nodes = members.map { record in
            let condition: ObservedNode.Condition =
                switch record.state {
                case .alive: .alive
                case .suspect: .suspect
                case .dead: .gone
                case .left: .left
                }
            return ObservedNode(
                id: record.id, profile: record.profile, condition: condition, isDraining: record.load.isDraining)
        }
        if node.now - installedAt > Limits.absencePatience {
            for member in view.members where !members.contains(where: { $0.id.name == member.id.name }) {
                observed.nodes.append(ObservedNode(id: member.id, profile: member.profile, condition: .gone))
            }
        }
        for item in evidence {
            switch item {
            case .ask(let ask): observed.asks.append(ask)
            case .askFailed(let ask): observed.failedAsks.append(ask)
            case .unreachable(let complaint): observed.unreachableBackups.append(complaint)
            case .drained(let ledger): observed.drainedLedgers.append(ledger)
            }
        }
        observed.positions = positions
        return observed
    }

    /// Asks the planner, once the lengths of the replicas that may take over are known or took too long.
    private func reconsider() {
        guard !isStopped, let view = agreement.installed, agreement.isVoter else { return }
        let observed = observations(view)
        let wanted = ViewPlanner.positionsWanted(view, observed).filter { item in
            !positions.contains { $0.ledger == item.ledger && $0.replica == item.replica }
        }
        if !wanted.isEmpty {
            if positionsAsked?.view != view.number {
                positionsAsked = (view.number, node.now)
                askPositions(wanted)
            }
            if let asked = positionsAsked, node.now - asked.at < Limits.rollCall { return }
        }
        handle(.desired(ViewPlanner.next(after: view, observed)))
    }

    private func askPositions(_ wanted: [(ledger: LedgerID, replica: StoreHolder)]) {
        for name in Set(wanted.map(\.replica.name)).sorted() {
            let ledgers = wanted.filter { $0.replica.name == name }.map(\.ledger)
            if name == node.name {
                learn(node.colleagues.replicas.onLoop { $0.positions(of: ledgers) })
            } else if let id = node.peers[name] {
                let frame = Frame(.positions, at: node.now) { $0.array(ledgers) { $0.ledgerID($1) } }
                node.transport.request(frame, to: id, within: Limits.rollCall) { [self] result in
                    guard case .success(let frame) = result else { return }
                    onLoop { $0.learnPositions(frame) }
                }
            }
        }
    }

    private func learnPositions(_ frame: Frame) {
        do throws(WireError) {
            learn(
                try frame.read(at: node.now) { reader throws(WireError) in
                    try reader.array(upTo: Limits.ledgers, "positions") { reader throws(WireError) in
                        try reader.replicaPosition()
                    }
                })
        } catch {
            node.logger.warning("positions refused", metadata: ["reason": "\(error)"])
        }
        reconsider()
    }

    private func learn(_ new: [ReplicaPosition]) {
        for position in new {
            positions.removeAll { $0.ledger == position.ledger && $0.replica == position.replica }
            positions.append(position)
        }
    }

    // MARK: Installing

    private func install(_ view: View) {
        let previous = lastInstalled
        lastInstalled = view
        installedAt = node.now
        evidence.removeAll()
        positions.removeAll()
        positionsAsked = nil
        node.logger.info(
            "view installed",
            metadata: [
                "view": "\(view.number)", "members": "\(view.members.map(\.id.name))",
                "voters": "\(view.voters.map(\.name))",
            ])
        if previous?.cluster != view.cluster { joined(view.cluster) }
        let wasListed = previous?.member(node.identity) != nil
        node.colleagues.replicas.onLoop { $0.install(view) }
        node.colleagues.queue.onLoop { $0.install(view, after: previous) }
        node.colleagues.workers.onLoop { $0.install(view) }
        link(node.colleagues.membership.onLoop { $0.members })
        node.colleagues.membership.onLoop { $0.handle(.viewChanged(number: view.number)) }
        if wasListed, view.member(node.identity) == nil, !node.colleagues.queue.onLoop({ $0.isDraining }) {
            returnUnderNewGeneration()
        }
        reconsider()
    }

    private var lastInstalled: View?

    private func joined(_ cluster: ClusterID) {
        node.transport.setIdentity(node.identity, cluster: cluster)
        node.colleagues.archive.onLoop { $0.joined(cluster) }
    }

    /// This generation was removed, or called dead, which is final. What it owned belongs to others by now; it steps down
    /// from all, keeps its promises and its disk, and comes back as a new generation. Its running tasks go on: they report
    /// to the new primaries.
    func returnUnderNewGeneration() {
        guard !isReturning, !isStopped, !node.colleagues.queue.onLoop({ $0.isDraining }) else { return }
        isReturning = true
        var record = agreement.record
        record.generation = record.nextGeneration(
            millisecondsSince1970: node.scheduler.microsecondsSince1970 / 1000)
        node.volume.replace(StoredNode.viewFile, with: record.fileBytes()) { [self, generation = record.generation] result in
            onLoop { $0.resume(as: generation, result) }
        }
    }

    private func resume(as generation: Generation, _ result: Result<Void, SystemError>) {
        isReturning = false
        guard case .success = result else {
            return node.colleagues.node.stopBecause("the new generation cannot be written: \(result)")
        }
        // Promises may have been made while the file was being written.
        var newest = agreement.record
        newest.generation = generation
        let identity = NodeID(name: node.name, generation: generation)
        node.logger.warning("returning under a new generation", metadata: ["generation": "\(generation)"])
        node.identity = identity
        epoch += 1
        agreement = ViewAgreement(
            myself: Member(id: identity, profile: node.profile), record: newest, installed: agreement.installed,
            settings: Self.settings, seed: random.next())
        node.transport.setIdentity(identity, cluster: newest.view?.cluster)
        node.colleagues.queue.onLoop { $0.returned(as: identity) }
        node.colleagues.workers.onLoop { $0.release() }
        node.colleagues.membership.onLoop { $0.handle(.restart(identity)) }
        membershipChanged()
    }
}

extension Limits {
    /// How often the planner is asked without a reason.
    static let viewTick = Duration.milliseconds(50)
    /// How long a takeover waits for the lengths of the replicas.
    static let rollCall = Duration.milliseconds(100)
    /// A member of the view that gossip has never spoken of for so long is gone.
    static let absencePatience = Duration.seconds(10)
    /// Statements of primaries about one view.
    static let evidence = 4096
}
