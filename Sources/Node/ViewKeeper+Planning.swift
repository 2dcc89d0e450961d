import Membership
import Peers
import Primitives
import Views
import Wire

/// Whose lengths were asked for before a takeover, and since when the answers are waited for.
struct RollCall {
    struct Item: Hashable {
        var ledger: LedgerID
        var replica: StoreHolder
    }

    private var asked: Set<Item> = []
    /// Nil: nobody is waited for.
    private(set) var due: Instant?

    /// What of `wanted` is to be asked now. Everybody is asked once for each view; whoever answers late counts all the
    /// same.
    mutating func begin(_ wanted: [Item], until due: Instant) -> [Item] {
        let new = wanted.filter { !asked.contains($0) }
        guard !new.isEmpty else { return [] }
        asked.formUnion(new)
        self.due = due
        return new
    }

    func isOver(at now: Instant) -> Bool { due.map { now >= $0 } ?? false }
    mutating func end() { due = nil }
}

/// What a wish was made of: if nothing of it has changed, the wish has not.
struct Planned: Equatable {
    /// What `observed` was made of, by the numbers of its versions: as long as these are the same it need not be made.
    struct Basis: Equatable {
        var epoch: Int
        var view: UInt64
        var isConfirmed: Bool
        var isDraining: Bool
        var members: UInt64
        var links: UInt64
        /// There is only more of it, until the next view.
        var evidence: Int
        var positions: Int
        var tieMark: UInt64?
        var isTieMarkLost: Bool
        var givesUpTheAbsent: Bool

        func isSameStanding(as other: Basis) -> Bool {
            (epoch, view, isConfirmed, isDraining)
                == (other.epoch, other.view, other.isConfirmed, other.isDraining)
        }
    }

    var basis: Basis
    var observed: Observations
}

/// What the next view should be.
extension ViewKeeper {
    func membershipChanged() {
        let members = node.colleagues.membership.onLoop { $0.members }
        handle(
            .peers(
                members.map {
                    ViewAgreement.Peer(
                        id: $0.id, disk: $0.profile.disk, address: $0.profile.peer, isAlive: $0.state.isLiving,
                        isExitProven: $0.hasEnded)
                }))
        link(members)
        node.colleagues.fence.onLoop { $0.membershipChanged() }
        reconsider()
    }

    /// Links to everybody who is alive, and to members of the view of whom gossip has not spoken yet.
    func link(_ members: [MemberRecord]) {
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

    /// What is said about the current view; void in any other.
    func take(_ new: Evidence) {
        guard !evidence.contains(new), evidence.count < Limits.evidence else { return }
        evidence.append(new)
        reconsider()
    }

    /// Everything that speaks for or against the view, as far as this node knows.
    func observations(_ view: View) -> Observations {
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
                id: record.id, profile: record.profile, condition: condition, isDraining: record.load.isDraining,
                isExitProven: record.hasEnded, isLinked: record.id == node.identity || node.isLinked(record.id))
        }
        if mayGiveUpTheAbsent {
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
            case .change(let change): observed.changes.append(change)
            case .slotsShipped(let shipped): observed.shippedSlots.append(shipped)
            }
        }
        observed.positions = positions
        observed.tieMark = tie.mark(at: node.now)
        observed.isTieMarkLost = tie.isLost
        return observed
    }

    /// Whether a member of whom gossip has never spoken is gone. After a cold start nodes take their time.
    private var mayGiveUpTheAbsent: Bool {
        guard agreement.coldUntil == nil, node.now - installedAt > Limits.absencePatience else { return false }
        return !wasCold || node.now - startedAt > Limits.coldStartPatience
    }

    /// Whether that member has begun to drain, or ended, since the last wish.
    func isDrainNews(of name: NodeName) -> Bool {
        guard let known = planned?.observed.nodes.first(where: { $0.id.name == name }),
            let record = node.colleagues.membership.onLoop({ $0.members }).first(where: { $0.id.name == name })
        else { return false }
        return known.isDraining != record.load.isDraining
    }

    /// Asks the planner, if anything has changed, once the lengths of the replicas that may take over are known or took
    /// too long.
    func reconsider() {
        guard !isStopped, let view = agreement.installed, agreement.isVoter else { return }
        let basis = basis(view)
        guard planned?.basis != basis else { return }
        let observed = observations(view)
        if let planned, planned.observed == observed, planned.basis.isSameStanding(as: basis) {
            self.planned?.basis = basis
            return
        }
        // Who leaves goes on with nothing: if the others come back after it, they had better go on from what all know.
        let isForced =
            isConfirmed && !basis.isDraining && node.configuration.onSplit == .survive
            && ViewPlanner.mayForce(after: view, observed)
        let wanted =
            isForced
            ? ViewPlanner.positionsWantedToForce(view, observed) : ViewPlanner.positionsWanted(view, observed)
        guard hasPositions(of: wanted, patience: isConfirmed ? Limits.rollCall : Limits.coldRollCall) else {
            // A wish from before, when fewer were here, must not be carried out meanwhile: it would pass over the one that has
            // most.
            if planned != nil {
                planned = nil
                handle(.desired(nil))
            }
            return
        }
        planned = Planned(basis: basis, observed: observed)
        handle(
            .desired(
                isForced
                    ? ViewPlanner.forced(after: view, observed, salt: salt) : ViewPlanner.next(after: view, observed)))
    }

    private func basis(_ view: View) -> Planned.Basis {
        Planned.Basis(
            epoch: epoch, view: view.number, isConfirmed: agreement.isConfirmed,
            isDraining: node.colleagues.queue.onLoop { $0.isDraining },
            members: node.colleagues.membership.onLoop { $0.version }, links: node.linkChanges,
            evidence: evidence.count,
            positions: positionsLearned, tieMark: tie.mark(at: node.now), isTieMarkLost: tie.isLost,
            givesUpTheAbsent: mayGiveUpTheAbsent)
    }

    /// Whether they are known, or were waited for. Asks for them.
    func hasPositions(of wanted: [(ledger: LedgerID, replica: StoreHolder)], patience: Duration) -> Bool {
        let missing = wanted.map { RollCall.Item(ledger: $0.ledger, replica: $0.replica) }.filter { item in
            !positions.contains { $0.ledger == item.ledger && $0.replica == item.replica }
        }
        ask(rollCall.begin(missing, until: node.now + patience), within: patience)
        let isKnown = missing.allSatisfy { item in
            positions.contains { $0.ledger == item.ledger && $0.replica == item.replica }
        }
        if isKnown || rollCall.isOver(at: node.now) { rollCall.end() }
        setTimer()
        return rollCall.due == nil
    }

    private func ask(_ items: [RollCall.Item], within patience: Duration) {
        for name in Set(items.map(\.replica.name)).sorted() {
            let ledgers = items.filter { $0.replica.name == name }.map(\.ledger)
            if name == node.name {
                learn(node.colleagues.replicas.onLoop { $0.positions(of: ledgers) })
            } else if let id = node.peers[name] {
                let frame = Frame(.positions, at: node.now) { $0.array(ledgers) { $0.ledgerID($1) } }
                node.transport.request(frame, to: id, within: patience) { [self] result in
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
        goOnForcing()
    }

    private func learn(_ new: [ReplicaPosition]) {
        positionsLearned += 1
        for position in new {
            positions.removeAll { $0.ledger == position.ledger && $0.replica == position.replica }
            positions.append(position)
        }
    }
}

extension MemberRecord {
    /// It starts nothing any more: that was proven, or it has said so itself.
    var hasEnded: Bool { isExitProven || state == .left }
}

extension Limits {
    /// How long a takeover waits for the lengths of the replicas.
    static let rollCall = Duration.milliseconds(100)
    /// The same when nodes have just started, and their disks have much to do.
    static let coldRollCall = Duration.seconds(2)
    /// A member of the view that gossip has never spoken of for so long is gone.
    static let absencePatience = Duration.seconds(10)
}
