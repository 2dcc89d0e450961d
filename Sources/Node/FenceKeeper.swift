import EventLoop
import Membership
import Peers
import Primitives
import Views
import Wire

/// Asks the voters for leave to start tasks, and keeps what others may still start (rules R3 and R4).
///
/// Nothing is started, granted or accepted while there is no permit: the queue and the slots are told when it comes and
/// goes, and each handler's call asks `gate` once more.
///
/// A request names the view that the node acts by: it is sent only when the queue and the slots have installed that view
/// (`viewInstalled`). The permit's times are of the clock that goes on while the machine sleeps; those of the rests need not
/// be, since a clock that stands still makes them longer.
///
/// Once the node drains, the gate stays closed: others take its ledgers over without waiting when they hear of it
/// (`LedgerRests`).
actor FenceKeeper {
    nonisolated let node: NodeContext
    nonisolated var unownedExecutor: UnownedSerialExecutor { node.scheduler.serialExecutor }

    /// For other threads.
    nonisolated let gate = StartGate()

    private var permit = StartPermit()
    private var rests: LedgerRests
    private var view: View?
    private var wasValid = false
    private var period: (any ScheduledAction)?
    private var expiry: (any ScheduledAction)?
    /// When it comes, by `clock`; nil: none is set.
    private var expiryAt: Instant?
    private var isStopped = false
    private var isDraining = false

    init(_ node: NodeContext, known view: View?) {
        self.node = node
        rests = LedgerRests(known: view, at: node.now)
    }

    private var clock: Instant { node.scheduler.boottime }
    var isValid: Bool { permit.isValid(at: clock) }

    func start() { ask() }

    func stop() {
        isStopped = true
        period?.cancel()
        expiry?.cancel()
        gate.open(until: nil)
    }

    // MARK: The permit

    private func ask() {
        guard !isStopped else { return }
        period?.cancel()
        period = node.scheduler.schedule(after: Limits.fencePeriod) { [self] in onLoop { $0.ask() } }
        guard let view, view.member(node.identity) != nil else { return }
        let request = PermitRequest(asker: node.identity, view: view.number, number: permit.ask(at: clock))
        let frame = Frame(.permit, at: node.now) { $0.permitRequest(request) }
        for voter in view.voters {
            if voter.name == node.name {
                take(node.colleagues.views.onLoop { $0.answer(request) }, from: voter.name)
            } else if let id = node.peers[voter.name] {
                node.transport.request(frame, to: id, within: Limits.fence) { [self] result in
                    guard case .success(let answer) = result else { return }
                    onLoop { $0.answered(answer, by: id) }
                }
            }
        }
    }

    private func answered(_ frame: Frame, by id: NodeID) {
        do throws(WireError) {
            take(try frame.read(at: node.now) { reader throws(WireError) in try reader.permitReply() }, from: id.name)
        } catch {
            node.logger.warning("answer about a permit refused", metadata: ["from": "\(id)", "reason": "\(error)"])
        }
    }

    private func take(_ reply: PermitReply, from name: NodeName) {
        switch reply.verdict {
        case .granted:
            permit.granted(reply.number, by: StoreHolder(name: name, store: reply.disk))
            reconsider()
        case .withheld:
            break
        case .outdated(let newest):
            guard let address = view?.member(name)?.profile.peer else { return }
            node.colleagues.views.onLoop { $0.heard(newest, from: name, address: address) }
        }
    }

    /// A member of the view asks this voter.
    func asked(_ request: PermitRequest, by peer: NodeID) -> PermitReply {
        var reply = node.colleagues.views.onLoop { $0.answer(request) }
        if request.asker != peer { reply.verdict = .withheld }
        return reply
    }

    /// Tells the others if the permit has come or gone, and wakes when it ends.
    private func reconsider() {
        let end = permit.expiresAt
        gate.open(until: isDraining ? nil : end)
        let isValid = isValid
        // One that comes too early only looks and is set again: cheaper than to set it anew with every answer.
        if let end, isValid, expiryAt.map({ end < $0 }) ?? true {
            expiry?.cancel()
            expiryAt = end
            expiry = node.scheduler.schedule(after: max(end - clock, .zero)) { [self] in
                onLoop {
                    $0.expiryAt = nil
                    $0.reconsider()
                }
            }
        }
        guard isValid != wasValid else { return }
        wasValid = isValid
        if !isValid, end != nil {
            node.logger.warning("no majority of the voters answers: nothing is started or accepted here")
        }
        node.colleagues.workers.onLoop { $0.permitChanged(isValid: isValid) }
        node.colleagues.queue.onLoop { $0.standingChanged() }
    }

    /// The loop stood still: who knows what was decided meanwhile.
    func paused(for gap: Duration) {
        node.logger.warning("the process was paused", metadata: ["for": "\(gap)"])
        permit.paused()
        reconsider()
        ask()
    }

    /// What has not begun by now will not begin here. For good: before anybody hears that this node drains.
    func drain() {
        isDraining = true
        reconsider()
    }

    /// A voter may be within reach again.
    func linkUp() { if !isValid { ask() } }

    /// The process goes on under another generation.
    func returned() {
        permit.revoke()
        reconsider()
    }

    // MARK: Views

    /// Before the queue installs it, which asks what rests.
    func install(_ view: View) {
        let members = node.colleagues.membership.onLoop { $0.members }
        rests.install(view, at: node.now) { process in
            members.contains { $0.id == process && ($0.isExitProven || $0.load.isDraining) }
        }
    }

    /// The queue and the slots have given up what the view takes from this node.
    func viewInstalled(_ view: View) {
        self.view = view
        permit.install(view, as: node.identity)
        reconsider()
        if !isValid { ask() }
    }

    /// When the ledger may be touched; nil: now.
    func restsUntil(_ ledger: LedgerID) -> Instant? { rests.restsUntil(ledger) }
    func restsUntil(leaseOf holder: NodeID) -> Instant? { rests.restsUntil(leaseOf: holder) }
    func restsUntil(leaseOfFormer name: NodeName) -> Instant { rests.restsUntil(leaseOfFormer: name) }

    /// Gossip has news of who is gone.
    func membershipChanged() {
        stopped(node.colleagues.membership.onLoop { $0.members }.filter(\.isExitProven).map(\.id))
    }

    /// These start nothing any more: they have ended, or say that they drain.
    func stopped(_ processes: [NodeID]) {
        var hasChanged = false
        for process in processes where rests.stopped(process, at: node.now) { hasChanged = true }
        if hasChanged { node.colleagues.queue.onLoop { $0.restsChanged() } }
    }
}
