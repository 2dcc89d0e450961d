import Peers
import Primitives
import TaskLedger
import Views
import Wire

/// The ledgers that this node backs up, and those that it has lost and still has something of.
actor Replicas {
    nonisolated let node: NodeContext
    nonisolated var unownedExecutor: UnownedSerialExecutor { node.scheduler.serialExecutor }

    /// By number; never iterated without sorting.
    private var replicas: [LedgerID: Replica] = [:]
    /// Copies of ledgers that this node was primary of: what only they may hold is offered to the new primary.
    private var offers: Set<LedgerID> = []
    /// Up to where the tail was offered to the present primary.
    private var offeredUpTo: [LedgerID: UInt64] = [:]
    private var view: View?

    /// - Parameter recovered: what the journal held. This node may have been primary of some: what only it may hold is
    ///   offered, as after a takeover.
    init(_ node: NodeContext, recovered: [LedgerCopy]) {
        self.node = node
        for copy in recovered {
            #if PLANTED_BUGS
            if PlantedBug.isActive(.recoverySkipsLedger), copy.id == recovered.last?.id, recovered.count > 1 {
                continue
            }
            #endif
            replicas[copy.id] = Replica(recovered: copy)
            offers.insert(copy.id)
        }
    }

    var ledgers: [LedgerID] { replicas.keys.sorted() }
    var copies: [LedgerCopy] { ledgers.compactMap { replicas[$0]?.copy } }
    func copy(of id: LedgerID) -> LedgerCopy? { replicas[id]?.copy }
    /// About how many bytes the copies take.
    var liveCost: Int { replicas.values.reduce(0) { $0 + $1.copy.state.cost } }
    /// A primary is sending a whole copy.
    var isReceiving: Bool { replicas.values.contains(where: \.isReceiving) }

    private func write(_ records: [JournalRecord]) {
        if !records.isEmpty { node.colleagues.ledgers.onLoop { $0.write(records) } }
    }

    // MARK: Requests of primaries

    /// `reply` is called once what it says is durable.
    func handle(_ request: AppendRequest, _ reply: @escaping @Sendable (ReplicaReply) -> Void) {
        // A disk that does not keep up: silence, so that the primary looks for another backup.
        guard !node.colleagues.ledgers.onLoop({ $0.isCongested }) else { return }
        let answer = replica(request.ledger, asked: request.term) { $0.handle(request, into: &$1) }
        // It has what the primary has, which counts on it from now on: there is nothing to offer, and nothing to be dropped.
        if case .held = answer { offers.remove(request.ledger) }
        whenDurable(answer, reply)
    }

    func handle(_ request: CopyRequest, _ reply: @escaping @Sendable (ReplicaReply) -> Void) {
        guard !node.colleagues.ledgers.onLoop({ $0.isCongested }) else { return }
        let answer = replica(request.ledger, asked: request.term) { $0.handle(request, into: &$1) }
        if case .held = answer { offers.remove(request.ledger) }
        whenDurable(answer, reply)
    }

    private func whenDurable(_ answer: ReplicaReply, _ reply: @escaping @Sendable (ReplicaReply) -> Void) {
        #if PLANTED_BUGS
        if PlantedBug.isActive(.backupAcksBeforeDisk) { return reply(answer) }
        #endif
        switch answer {
        case .held, .sealed, .mismatch:
            node.colleagues.ledgers.onLoop { $0.whenDurable { reply(answer) } }
        case .copying:
            // Nothing counts before the last part: the primary may go on sending.
            reply(answer)
        }
    }

    /// - Parameter term: of who asks.
    private func replica(
        _ id: LedgerID, asked term: Term, _ change: (inout Replica, inout [JournalRecord]) -> ReplicaReply
    ) -> ReplicaReply {
        #if PLANTED_BUGS
        if PlantedBug.isActive(.noSeal), node.colleagues.queue.onLoop({ $0.term(of: id) }) != nil {
            var unwritten: [JournalRecord] = []
            return change(&replicas[id, default: Replica(id: id)], &unwritten)
        }
        #endif
        // The primary of a ledger does not follow another one: a view makes it step down first.
        if let own = node.colleagues.queue.onLoop({ $0.term(of: id) }) { return .sealed(own) }
        // A ledger that the view does not list any more is gone for good, and so is whoever still serves it.
        if let view, view.ledger(id) == nil, id < view.nextLedger { return .sealed(term.next) }
        // A copy that begins here is bound by the view like one that was there when it was installed: a late primary must
        // not commit by it.
        // In place: a second reference would copy the whole ledger at every append.
        var records: [JournalRecord] = []
        defer { write(records) }
        if replicas[id] == nil {
            replicas[id] = Replica(id: id)
            if let ledger = view?.ledger(id) { replicas[id]?.seal(ledger.term, into: &records) }
        }
        return change(&replicas[id, default: Replica(id: id)], &records)
    }

    private func drop(_ id: LedgerID) {
        offers.remove(id)
        if replicas.removeValue(forKey: id) != nil { write([.dropped(id)]) }
    }

    // MARK: Views

    /// The view of the process before this one, maybe long out of date: what it bound the copies to still binds them, and
    /// what was not there any more then is not there now. A late primary of before must not commit by a copy here. What the
    /// copies are good for the present view will tell.
    func recall(_ view: View) {
        #if PLANTED_BUGS
        if PlantedBug.isActive(.viewNotRecalled) { return }
        #endif
        self.view = view
        seal(by: view)
    }

    private func seal(by view: View) {
        var records: [JournalRecord] = []
        for id in replicas.keys.sorted() {
            if let ledger = view.ledger(id) { replicas[id]?.seal(ledger.term, into: &records) }
        }
        write(records)
    }

    /// Seals what the view gives a higher term, and forgets what it does not list any more once it was offered.
    func install(_ view: View) {
        self.view = view
        seal(by: view)
        for id in replicas.keys.sorted() where view.ledger(id) == nil && id < view.nextLedger { drop(id) }
        // A new primary may not have adopted what the old one took.
        offeredUpTo.removeAll()
        for id in offers.sorted() { offer(id) }
        dropUnlisted(view)
    }

    /// A copy that no view lists, and that has nothing to offer, is of no use: a learner begins anew.
    private func dropUnlisted(_ view: View) {
        for id in replicas.keys.sorted() where !offers.contains(id) {
            guard let ledger = view.ledger(id), !ledger.replicas.contains(where: { $0.name == node.name }) else {
                continue
            }
            // A learner in transit is not listed yet: its primary may count on what it was told in this term.
            // Or in a later one, if this view is late.
            if let replica = replicas[id], replica.followed >= ledger.term { continue }
            drop(id)
        }
    }

    /// This node's copy of a ledger that it is primary of from now on; an empty one if it has none.
    func take(_ id: LedgerID) -> LedgerCopy {
        offers.remove(id)
        return replicas.removeValue(forKey: id)?.copy ?? LedgerCopy(id: id)
    }

    /// A ledger that this node served has another primary.
    func deposed(_ copy: LedgerCopy) {
        replicas[copy.id] = Replica(copy)
        offers.insert(copy.id)
        offer(copy.id)
    }

    /// Offers what may be known here only to the ledger's primary, until it says that it has it.
    private func offer(_ id: LedgerID) {
        guard let replica = replicas[id], let ledger = view?.ledger(id), ledger.primary.name != node.name else {
            return
        }
        if ledger.replicas.contains(where: { $0.name == node.name }) {
            // Listed as a backup: the primary's own requests find the difference, and take the tail.
            offers.remove(id)
            return
        }
        let tail = replica.tail(after: offeredUpTo[id] ?? 0)
        guard let end = tail.entries.last?.place.sequence else { return drop(id) }
        guard let primary = node.peers[ledger.primary.name] else { return again(id) }
        let request = OfferRequest(ledger: id, tail: tail.entries)
        node.transport.request(
            Frame(.offer, at: node.now) { $0.offerRequest(request) }, to: primary, within: .seconds(2)
        ) { [self] result in
            onLoop { $0.offered(id, upTo: end, isWhole: tail.isWhole, result) }
        }
    }

    /// A long tail takes several rounds.
    private func offered(_ id: LedgerID, upTo end: UInt64, isWhole: Bool, _ result: Result<Frame, PeerError>) {
        guard offers.contains(id) else { return }
        guard case .success(let frame) = result, frame.body == [1] else { return again(id) }
        if isWhole {
            drop(id)
        } else {
            offeredUpTo[id] = end
            offer(id)
        }
    }

    private func again(_ id: LedgerID) {
        _ = node.scheduler.schedule(after: .milliseconds(500)) { [self] in
            onLoop { if $0.offers.contains(id) { $0.offer(id) } }
        }
    }

    /// How long the copies are, for a takeover.
    func positions(of ledgers: [LedgerID]) -> [ReplicaPosition] {
        let me = StoreHolder(name: node.name, store: node.profile.store)
        return ledgers.compactMap { id in
            guard let copy = replicas[id]?.copy else { return nil }
            return ReplicaPosition(ledger: id, replica: me, term: copy.last.term, sequence: copy.last.sequence)
        }
    }
}
