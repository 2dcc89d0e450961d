import EventLoop
import Membership
import Peers
import Primitives
import Views
import Wire

/// Keeps the view: carries out what the agreement machine wants, tells it what the planner wishes
/// (`ViewKeeper+Planning`), and tells the others what was installed (`+Installing`): rule R1. Asks the registry where
/// two voters need it (`+TieBreaker`), lets an operator go on without what is missing (`+Recovery`), and has the settings
/// changed (`+Settings`).
///
/// Also founds a cluster, if the registry (or, without one, the list of seeds) says that this node should; and returns
/// under a new generation when this one was removed.
///
/// The planner is asked when something has changed that it looks at. There is a timer for what the machines are waiting
/// for, and a slow tick in case that something was missed.
actor ViewKeeper {
    nonisolated let node: NodeContext
    nonisolated var unownedExecutor: UnownedSerialExecutor { node.scheduler.serialExecutor }

    var agreement: ViewAgreement
    var tie: TieBreaker
    /// The number of a view that the other one of two has claimed, as was logged.
    var lastTaken: UInt64?
    var isStopped = false
    var random: SeededGenerator

    private var timer: (any ScheduledAction)?
    private var timerAt = Instant.distantFuture
    private var nextLook = Instant.zero

    /// What has been said about the view that is installed.
    var evidence: [Evidence] = []
    var positions: [ReplicaPosition] = []
    /// How often there were new ones.
    var positionsLearned = 0
    var rollCall = RollCall()
    /// What the newest wish was made of.
    var planned: Planned?
    /// Of the views that this process may force.
    var salt: UInt64

    /// When the view was installed, or the process started: a member that was never heard of since then for long is
    /// gone.
    var installedAt: Instant
    let startedAt: Instant
    /// The cluster was down when this process started.
    var wasCold = false
    var lastInstalled: View?
    var isReturning = false
    /// Counts the machines that there have been: the disk's answer to an earlier one means nothing to this one.
    var epoch = 0
    var isRegistryConnected = false
    var forcing: Forcing?
    /// What this node wants changed in the settings, by the ids of the changes.
    var changes: [UInt64: PendingChange] = [:]
    var awaited: [AwaitedView] = []
    /// Who was a member until lately, and when it was seen that it is none.
    var former: [NodeName: Instant] = [:]
    /// When views may have come and gone that this process has not seen, and members with them.
    var unseenAt: Instant

    init(_ node: NodeContext, record: VoterRecord, seed: UInt64) {
        self.node = node
        random = SeededGenerator(seed: seed)
        startedAt = node.now
        installedAt = startedAt
        unseenAt = startedAt
        salt = random.next()
        tie = TieBreaker(node.name, seed: random.next())
        agreement = ViewAgreement(
            myself: Member(id: node.identity, profile: node.profile), record: record,
            settings: Self.settings(node.configuration), seed: random.next())
    }

    /// A node installs no view of a cluster that has not listed it: it would be bound to a cluster that may be gone.
    static func settings(_ configuration: NodeConfiguration) -> ViewAgreement.Settings {
        ViewAgreement.Settings(joins: false, survives: configuration.onSplit == .survive)
    }

    /// The view that is installed.
    var view: View? { agreement.installed }
    /// Whether this process may run anything: its view is current as far as a majority knows, and lists it.
    var isConfirmed: Bool { agreement.isConfirmed && view?.member(node.identity) != nil }

    /// Whether the view can change if it has to: enough voters are there, as far as gossip knows.
    var canDecide: Bool {
        guard let view else { return false }
        let members = node.colleagues.membership.onLoop { $0.members }
        let living = view.voters.count { voter in
            members.contains {
                $0.id.name == voter.name && $0.profile.disk == voter.store && $0.state.isLiving
            }
        }
        return living >= view.majority || agreement.mayDecideAlone
    }

    /// Whether another member of the view lives.
    var hasCompany: Bool {
        node.colleagues.membership.onLoop { $0.members }.contains { record in
            record.state == .alive && record.id.name != node.name && view?.member(record.id) != nil
        }
    }

    /// Whether the view still counts on this node, though there is somebody to take its place: as primary of a ledger,
    /// or as a backup; or to tell those who vote from now on that they do. A node that leaves waits until it does not.
    var isNeeded: Bool {
        guard let view else { return false }
        let members = node.colleagues.membership.onLoop { $0.members }
        let others = members.count { record in
            record.state == .alive && !record.load.isDraining && view.member(record.id) != nil
                && record.id.name != node.name
        }
        // An empty one, too: if its only replica left it behind it would be unavailable for ever. A voter that has not
        // heard of the drain yet gives this node a new one as soon as the old one is handed over.
        let isPrimary = view.ledgers.contains {
            $0.primary == StoreHolder(name: node.name, store: node.profile.store)
        }
        let isBackup = view.ledgers.contains { $0.backups.contains { $0.name == node.name } }
        let informed = view.voters.count { voter in
            members.contains { $0.id.name == voter.name && $0.state == .alive && $0.viewNumber >= view.number }
        }
        if others > 0, informed < view.majority { return true }
        return others > 0 && isPrimary || others >= Int(view.settings.copies) && (isBackup || isPrimary)
    }

    /// This node's answer as a voter.
    func answer(_ request: PermitRequest) -> PermitReply { agreement.answer(request) }

    // MARK: Time

    func start() {
        if let view {
            tell(.installed(view, isVoter: agreement.isVoter))
            // Even before it is known to be current: a node with an empty folder must not begin a cluster beside this one.
            node.colleagues.archive.onLoop { $0.joined(view.cluster) }
        }
        membershipChanged()
        tick()
    }

    func stop() {
        isStopped = true
        timer?.cancel()
        endForcing(.failure(.stopped))
        endChanges()
    }

    private func tick() {
        timerAt = .distantFuture
        guard !isStopped else { return }
        handle(.tick)
        tell(.tick)
        let isLookDue = node.now >= nextLook
        if isLookDue {
            nextLook = node.now + Limits.viewTick
            noticeRegistry()
            catchUp()
        }
        if rollCall.isOver(at: node.now) {
            rollCall.end()
            reconsider()
            goOnForcing()
        } else if isLookDue {
            reconsider()
        }
        setTimer()
    }

    /// After anything that may have brought the next deadline nearer.
    func setTimer() {
        guard !isStopped else { return }
        var due = nextLook
        for deadline in [agreement.nextDeadline, tie.nextDeadline, rollCall.due] {
            if let deadline { due = min(due, deadline) }
        }
        guard due < timerAt else { return }
        timer?.cancel()
        timerAt = due
        timer = node.scheduler.schedule(after: max(due - node.now, .zero)) { [self] in onLoop { $0.tick() } }
    }

    /// A view that was decided without this node, and whose news was lost, is fetched from whoever says to have it.
    private func catchUp() {
        let members = node.colleagues.membership.onLoop { $0.members }
        guard let best = members.filter({ $0.state.isLiving }).max(by: { $0.viewNumber < $1.viewNumber }) else {
            return
        }
        fetch(best.viewNumber, from: best.id.name, address: best.profile.peer)
    }

    // MARK: The agreement machine

    func handle(_ event: ViewAgreement.Event) {
        guard !isStopped else { return }
        var effects: [ViewAgreement.Effect] = []
        agreement.handle(event, at: node.now, into: &effects)
        for effect in effects { carryOut(effect) }
        setTimer()
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
            if let coldUntil = agreement.coldUntil {
                node.logger.info(
                    "the cluster was down: waiting for the other voters",
                    metadata: ["atMost": "\(coldUntil - node.now)"])
            }
            node.colleagues.queue.onLoop { $0.standingChanged() }
            reconsider()
        case .warm:
            wasCold = true
            reconsider()
        case .claim(let number, let mark):
            noticeRegistry()
            tell(.claim(number: number, mark: mark))
        case .refused(let refusal, let name):
            node.logger.warning("view message refused", metadata: ["from": "\(name)", "reason": "\(refusal)"])
        }
    }

    private func persisted(_ ticket: UInt64, _ result: Result<Void, SystemError>) {
        switch result {
        case .success:
            handle(.persisted(ticket: ticket))
        case .failure(let error):
            // Nothing that rests on this record is said: the node neither votes nor installs. It cannot go on like
            // this.
            node.logger.critical("the view cannot be written", metadata: ["error": "\(error)"])
            node.colleagues.node.stopBecause("\(error)")
        }
    }

    private func send(_ message: ViewMessage, to name: NodeName, at address: Address) {
        node.logger.debug(
            "view message", metadata: ["to": "\(name)", "about": "\(message.number)", "what": "\(message.body.brief)"])
        let frame = Frame(.view, at: node.now) { $0.viewMessage(message) }
        if let id = node.peers[name], node.isLinked(id) {
            node.transport.send(frame, to: id)
        } else {
            // Paxos does not mind the generation: whoever is at the address now is asked.
            node.transport.request(frame, at: address, within: .seconds(1)) { _ in }
        }
    }

    func receive(_ message: ViewMessage) { handle(.received(message)) }

    /// A member says with its gossip which view it has; what else it says may be of interest as well.
    func heard(_ number: UInt64, from name: NodeName, address: Address) {
        fetch(number, from: name, address: address)
        if isDrainNews(of: name) { reconsider() }
    }

    private func fetch(_ number: UInt64, from name: NodeName, address: Address) {
        guard number > view?.number ?? 0 else { return }
        handle(.heard(viewNumber: number, from: name, address: address))
    }

    func found(_ cluster: ClusterID) {
        handle(.found(cluster, ClusterSettings(copies: node.configuration.copies)))
    }
}

extension Limits {
    /// How often it is looked whether anything was missed.
    static let viewTick = Duration.milliseconds(500)
    /// Statements of primaries about one view.
    static let evidence = 4096
}
