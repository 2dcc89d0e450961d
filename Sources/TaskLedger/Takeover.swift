public import Primitives

/// What a view says about one ledger, in this target's terms.
public struct LedgerRole: Hashable, Sendable {
    public var ledger: LedgerID
    public var term: Term
    public var backups: [StoreHolder]
    /// It was made for this node.
    public var isHome: Bool
    /// Nothing of it may be started before, since an earlier primary still may (rule R3); nil: that is over.
    public var restsUntil: Instant?
    /// The key slots that belong to it, and those of them that another ledger is to have.
    public var slots: Set<KeySlot>
    public var moves: [SlotMove]

    public init(
        ledger: LedgerID, term: Term, backups: [StoreHolder], isHome: Bool, restsUntil: Instant? = nil,
        slots: Set<KeySlot> = [], moves: [SlotMove] = []
    ) {
        self.ledger = ledger
        self.term = term
        self.backups = backups
        self.isHome = isHome
        self.restsUntil = restsUntil
        self.slots = slots
        self.moves = moves
    }
}

/// How a ledger gets a new primary (rules R1, R2, R6).
///
/// A view names this node as primary, in a term above any before. Then:
/// 1. The copy that this node holds as a replica becomes the ledger. It holds everything that was ever committed, since
///    the view before listed it, and every replica that the newest view lists holds every committed entry. It may hold
///    more; that is committed when today's backups hold it too. Nothing is copied, nobody is asked.
/// 2. Tasks without a lease are ready, with the priority and the time of submission that they always had; all of them only
///    when no earlier primary can start them any more (`Resting`).
/// 3. A lease whose holder is not a member of the view is void: an interruption, blamed on the task only if it had begun.
///    The task is ready when that holder cannot begin it any more, which it may have been about to. The primary before may
///    have voided it, and died while the task rested: it goes on resting.
/// 4. A lease whose holder is a member stays: the holder is asked whether it has it. "No" bars the token there, and the
///    task is ready again. Its outcome comes to this node, since executors report to whoever the view names.
/// 5. Outcomes are told to the registry again: nobody knows which of them it has.
/// 6. Of each of them it is seen whether somebody is still to be told by a task (`Callbacks`).
/// 7. The old primary, if it lives, is sealed: no backup takes anything from it. When it comes back it offers what only it
///    has: accepted tasks that nobody knows are adopted, outcomes applied to tasks still open.
///
/// A restart of the primary is the same path: a view raises the term first.
extension TaskOwner {
    /// Installs a view. Ledgers that are new to this node are taken from `copies`; those that it has lost come back as
    /// `deposed`.
    ///
    /// - Parameters:
    ///   - members: who may hold leases.
    ///   - leaseRests: until when somebody may begin what it held who is not a member any more; nil: that is over.
    ///   - formerRests: the same for any process of a name that is not a member any more.
    ///   - copies: removes and returns this node's replica of a ledger, sealed; an empty one for a new ledger.
    /// - Returns: the takeovers of ledgers in which there was anything.
    public mutating func install(
        viewNumber: UInt64, roles: [LedgerRole], members: Set<NodeID>,
        leaseRests: (NodeID) -> Instant? = { _ in nil }, formerRests: (NodeName) -> Instant? = { _ in nil },
        at now: Instant, timestamp: Timestamp,
        copies: (LedgerID) -> LedgerCopy, into effects: inout [OwnerEffect]
    ) -> [TakeoverRecord] {
        var takeovers: [TakeoverRecord] = []
        // A ledger that stays here in a higher term: its copy is nowhere but here.
        var kept: [LedgerID: LedgerCopy] = [:]
        for owned in ledgers
        where !roles.contains(where: { $0.ledger == owned.primary.id && $0.term == owned.primary.term }) {
            guard let copy = release(owned.primary.id, into: &effects) else { continue }
            if roles.contains(where: { $0.ledger == copy.id && $0.term > copy.last.term }) {
                kept[copy.id] = copy
            } else {
                effects.append(.deposed(copy))
            }
        }
        for role in roles {
            if let index = index(of: role.ledger) {
                ledgers[index].primary.install(viewNumber: viewNumber, backups: role.backups)
                ledgers[index].isHome = role.isHome
                install(role, in: index)
                shortenRest(index, to: role.restsUntil, at: now)
                continue
            }
            let copy = kept[role.ledger] ?? copies(role.ledger)
            // A process never serves a term that an earlier entry of its copy was written in. The view is obsolete, then,
            // and a later one may count on this copy.
            guard role.term > copy.last.term, role.term >= copy.seen else {
                effects.append(.deposed(copy))
                continue
            }
            var primary = LedgerPrimary<Action>(copy, term: role.term, viewNumber: viewNumber)
            primary.install(viewNumber: viewNumber, backups: role.backups)
            let position = ledgers.firstIndex { $0.primary.id > role.ledger } ?? ledgers.endIndex
            let rest = role.restsUntil.flatMap { $0 > now ? $0 : nil }
            ledgers.insert(Owned(primary: primary, isHome: role.isHome, restsUntil: rest), at: position)
            detachedChanges += 1
            install(role, in: position)
            let recovered = inherit(position, formerRests, at: now)
            if role.term > .first {
                takeovers.append(TakeoverRecord(ledger: role.ledger, term: role.term, recovered: recovered))
            }
        }
        revokeLeases(notHeldBy: members, leaseRests, at: now, timestamp: timestamp)
        askAllAgain()
        for index in ledgers.indices { advanceHandover(in: index, at: now, into: &effects) }
        var replication: [ReplicationEffect] = []
        for index in ledgers.indices { ledgers[index].primary.askAgain(into: &replication) }
        effects.append(contentsOf: replication.map(OwnerEffect.replicate))
        return takeovers
    }

    /// Steps 2, 4 and 5. Returns how many tasks have no outcome.
    private mutating func inherit(
        _ index: Int, _ formerRests: (NodeName) -> Instant?, at now: Instant
    ) -> Int {
        let ledger = ledgers[index].primary.id
        ledgers[index].primary.settleLanes()
        let ids = ledgers[index].primary.state.sortedIDs
        ledgers[index].inheritedUpTo = ids.last
        for id in ids {
            guard let record = ledgers[index].primary.state[id] else { continue }
            enroll(record, in: index)
            if let until = record.lastVoidHolder.flatMap(formerRests), until > now { rest(record, until, in: index) }
            if !record.status.isFinal, let expires = record.expires {
                alarms.insert(Alarm(at: expires, id: id, ledger: ledger))
            }
            switch record.status {
            case .pending:
                queue(record, in: index)
            case .scheduled:
                #if PLANTED_BUGS
                if PlantedBug.isActive(.takeoverForgetsDelays) { continue }
                #endif
                alarms.insert(Alarm(at: record.due ?? now, id: id, ledger: ledger))
            case .processing:
                if let lease = record.lease { doubtful[id] = AttemptID(ledger: ledger, id: id, token: lease.token) }
            case .blocked:
                awaitParents(of: record)
            case .completed, .failed, .cancelled, .expired:
                ledgers[index].unarchived += 1
                ledgers[index].primary.whenCommitted(.ended(id))
                uncommittedEnds.insert(id)
            }
        }
        ledgers[index].primary.whenCommitted(.inherited)
        gatherLetters(in: index)
        return ledgers[index].primary.state.openCount
    }

    /// Step 3, and whenever a member leaves.
    private mutating func revokeLeases(
        notHeldBy members: Set<NodeID>, _ leaseRests: (NodeID) -> Instant?, at now: Instant, timestamp: Timestamp
    ) {
        #if PLANTED_BUGS
        if PlantedBug.isActive(.leasesOfTheDeadKept) { return }
        #endif
        for index in ledgers.indices {
            for id in ledgers[index].primary.state.leased {
                guard let record = ledgers[index].primary.state[id], let lease = record.lease,
                    !members.contains(lease.holder)
                else { continue }
                revoke(record, lease, until: leaseRests(lease.holder), in: index, at: now, timestamp)
            }
        }
    }

    /// The ledger has another primary, or is sealed: nothing more of it is decided here. What waits for a commit is
    /// unconfirmed; its executors report to the new primary.
    public mutating func stepDown(_ ledger: LedgerID, into effects: inout [OwnerEffect]) {
        if let copy = release(ledger, into: &effects) { effects.append(.deposed(copy)) }
    }

    private mutating func release(_ ledger: LedgerID, into effects: inout [OwnerEffect]) -> LedgerCopy? {
        guard let index = index(of: ledger) else { return nil }
        var owned = ledgers.remove(at: index)
        detachedChanges += 1
        let entries = owned.primary.takeUnwritten()
        if !entries.isEmpty { released.append(.entries(ledger, .held, entries, committed: owned.primary.committed)) }
        for action in owned.primary.takeUncommitted() + owned.withheld {
            switch action {
            case .accepted(let request): effects.append(.unconfirmed(request: request))
            case .start: reserved -= 1
            case .ended(let id): uncommittedEnds.remove(id)
            case .resultSettled(let id): resultSettled(id)
            case .grant, .settle, .slotsFrozen, .inherited: break
            }
        }
        unqueueAll(of: owned)
        if let id = solitary, owned.primary.state.has(id) { solitary = nil }
        doubtful = doubtful.filter { $0.value.ledger != ledger }
        return owned.primary.copy
    }

    /// The process goes on as another generation of its node: it owns nothing until a view says so.
    public mutating func returned(as identity: NodeID) {
        precondition(ledgers.isEmpty, "it has stepped down from all that it owned")
        me = identity
    }

    /// What a replica with another history holds and this primary may lack: tasks that nobody here knows are accepted,
    /// outcomes of open tasks are applied. Leases and the rest are not: they meant something to their own primary only.
    ///
    /// A task that is unknown since it was forgotten is not adopted. Where that cannot be told any more nothing is adopted
    /// either: what no primary knows was never answered with 202, so it may be dropped, but never run again. Nor is one whose
    /// key may stand for another task by now. A ledger that the next view may delete adopts nothing: that would go with it.
    ///
    /// - Parameter request: `accepted(request)` follows once what was adopted is committed, `unconfirmed` if it cannot be
    ///   any more, or is not adopted now.
    public mutating func adopt(
        _ tail: [LedgerEntry], into ledger: LedgerID, request: UInt64? = nil, timestamp: Timestamp,
        effects: inout [OwnerEffect]
    ) {
        guard let index = index(of: ledger) else { return }
        guard !ledgers[index].mayBeDeleted else {
            if let request { effects.append(.unconfirmed(request: request)) }
            return
        }
        defer { if let request { ledgers[index].primary.whenCommitted(.accepted(request: request)) } }
        for entry in tail {
            let known = entry.event.task.flatMap { ledgers[index].primary.state[$0] }
            switch entry.event {
            case .accepted(let acceptance) where known == nil:
                guard !ledgers[index].primary.state.mayHaveForgotten(acceptance.id),
                    !acceptance.spec.isEnqueuedByWorkflow, isFree(acceptance, in: index)
                else { continue }
                if let part = acceptance.spec.workflow, !isOpenWorkflow(part.workflow, in: index) { continue }
                record(entry.event, in: index)
            // True whoever has said it.
            case .bound: record(entry.event, in: index)
            case .acceptedTogether(let acceptances) where known == nil:
                guard let first = acceptances.first, first.spec.isWorkflow, isFree(first, in: index),
                    !ledgers[index].primary.state.mayHaveForgotten(first.id)
                else {
                    continue
                }
                acceptTogether(acceptances, in: index)
            case .completed(let id, let token, let result, let executor, let at)
            where known?.status.isFinal == false && known?.run == token.run:
                if let lease = known?.lease, lease.token != token {
                    effects.append(.stop(AttemptID(ledger: ledger, id: id, token: lease.token), at: lease.holder))
                }
                let end = known.map { endTime(of: $0, in: index, at) } ?? at
                record(.completed(id, token, result: result, by: executor, at: end), in: index, then: .ended(id))
            case .failed(let id, let token, _, _, _) where known?.lease?.token == token:
                record(entry.event, in: index, then: .ended(id))
            case .accepted, .leased, .started, .completed, .failed, .rescheduled, .interrupted, .cancelRequested,
                .cancelled, .expired, .duplicateDiscarded, .forgotten, .changed, .retried, .dependencyEnded,
                .acceptedTogether, .workflowFailing, .workflowEnded, .resultMoved, .calledBack:
                break
            }
        }
    }
}
