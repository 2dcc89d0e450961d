import Primitives

/// What becomes of the ledgers (rule R2, Takeover).
///
/// Safety rests on two rules: a takeover lists only replicas that the view before it listed, and a learner is listed
/// only by an ask that names this very view and term. Everything else is a matter of availability.
struct LedgerPlan {
    private let view: View
    private let situation: Situation
    private let observed: Observations
    /// Every ledger gets a higher term then: the missing may have given it one.
    private let forcing: Forcing?

    private(set) var ledgers: [LedgerAssignment] = []
    private(set) var nextLedger: LedgerID
    private(set) var losses: [LedgerLoss] = []
    /// A view has to be made even if it is no different: a primary waits for a learner that failed.
    private(set) var isForced = false
    /// Ledgers that each node is primary of in the next view.
    private var owned: [NodeName: Int] = [:]

    init(_ view: View, _ situation: Situation, _ observed: Observations, _ forcing: Forcing? = nil) {
        self.view = view
        self.situation = situation
        self.observed = observed
        self.forcing = forcing
        nextLedger = view.nextLedger
        if let forcing {
            let (next, overflow) = nextLedger.rawValue.addingReportingOverflow(forcing.ledgerJump)
            nextLedger = LedgerID(overflow ? .max : next)
        }
    }

    mutating func decide() {
        for ledger in view.ledgers where takeoverCandidates(of: ledger) == nil {
            owned[ledger.primary.name, default: 0] += 1
        }
        for ledger in view.ledgers {
            if let candidates = takeoverCandidates(of: ledger) {
                takeOver(ledger, candidates)
            } else {
                ledgers.append(withBackupsRevised(ledger))
            }
        }
        create()
        deleteDrained()
    }

    // MARK: Takeover

    /// The replicas that may become primary, ascending by name; nil: the primary stays. Empty: nobody can, for now.
    func takeoverCandidates(of ledger: LedgerAssignment) -> [StoreHolder]? {
        let isServed = serves(ledger)
        if isServed, forcing == nil {
            // Only a living primary that drains hands over, and only to one that stays.
            guard situation.isDraining(ledger.primary.name), situation.isAlive(ledger.primary) else { return nil }
        }
        let living = ledger.replicas.filter(situation.isAlive).sorted()
        if forcing != nil {
            // Whoever has gone on without a break knows best.
            return isServed && situation.isAlive(ledger.primary) ? [ledger.primary] : living
        }
        if isServed {
            let stay = living.filter { !situation.isDraining($0.name) && !isUnreachable($0, of: ledger) }
            return stay.isEmpty ? nil : stay
        }
        let stay = living.filter { !situation.isDraining($0.name) }
        return stay.isEmpty ? living : stay
    }

    /// Whether the process that is primary now will still be there: a restarted one never resumes its term.
    private func serves(_ ledger: LedgerAssignment) -> Bool {
        guard let before = situation.previousMember(ledger.primary.name),
            let after = situation.member(ledger.primary.name)
        else {
            return false
        }
        return before.id == after.id && before.replica == ledger.primary && after.replica == ledger.primary
    }

    private mutating func takeOver(_ ledger: LedgerAssignment, _ candidates: [StoreHolder]) {
        func rank(_ replica: StoreHolder) -> (Term, UInt64, Int) {
            let position = observed.positions.filter { $0.ledger == ledger.id && $0.replica == replica }
                .max { ($0.term, $0.sequence) < ($1.term, $1.sequence) }
            return (position?.term ?? Term(0), position?.sequence ?? 0, -(owned[replica.name] ?? 0))
        }
        // Of equals the first: they ascend by name.
        guard var primary = candidates.first else { return keepOrGiveUp(ledger) }
        for candidate in candidates.dropFirst() where rank(candidate) > rank(primary) { primary = candidate }

        owned[primary.name, default: 0] += 1
        var next = ledger
        next.term = raised(ledger.term)
        next.primary = primary
        let others = ledger.replicas.filter { $0 != primary && !situation.isAway($0) }
        next.backups = others.filter { !(serves(ledger) && isUnreachable($0, of: ledger)) }.sorted()
        releaseDraining(&next)
        ledgers.append(next)
    }

    private func raised(_ term: Term) -> Term {
        guard let forcing else { return term.next }
        let (value, overflow) = term.rawValue.addingReportingOverflow(forcing.jump)
        return Term(overflow ? .max : value)
    }

    /// No living replica is listed. The ledger is unavailable, until one of its stores comes back or all are known
    /// lost: as their nodes say, or an operator.
    private mutating func keepOrGiveUp(_ ledger: LedgerAssignment) {
        if forcing?.isFinal == true || ledger.replicas.allSatisfy(situation.isLost) {
            let number = view.number &+ (forcing?.jump ?? 1)
            losses.append(LedgerLoss(ledger: ledger.id, primary: ledger.primary.name, view: number))
        } else {
            var next = ledger
            if forcing != nil { next.term = raised(ledger.term) }
            ledgers.append(next)
        }
    }

    // MARK: Backups

    private mutating func withBackupsRevised(_ ledger: LedgerAssignment) -> LedgerAssignment {
        var next = ledger
        next.backups.removeAll { situation.isAway($0) || isUnreachable($0, of: ledger) }
        let failed = observed.failedAsks.filter { isCurrent($0.ledger, $0.view, $0.term, ledger) }
        if !failed.isEmpty { isForced = true }
        let asks = observed.asks.filter { isCurrent($0.ledger, $0.view, $0.term, ledger) && !failed.contains($0) }
        for learner in asks.map(\.learner).sorted() where !next.replicas.contains(learner) {
            let isFree = !next.replicas.contains { $0.name == learner.name } && next.replicas.count < Limits.replicas
            if situation.isAlive(learner), !situation.isDraining(learner.name), isFree {
                next.backups.append(learner)
            } else if situation.isAlive(learner) || situation.isAway(learner) {
                // The primary waits for it all the same, until there is a later view.
                isForced = true
            }
        }
        next.backups.sort()
        releaseDraining(&next)
        return next
    }

    private func isCurrent(_ id: LedgerID, _ number: UInt64, _ term: Term, _ ledger: LedgerAssignment) -> Bool {
        id == ledger.id && number == view.number && term == ledger.term
    }

    private func isUnreachable(_ backup: StoreHolder, of ledger: LedgerAssignment) -> Bool {
        observed.unreachableBackups.contains {
            isCurrent($0.ledger, $0.view, $0.term, ledger) && $0.backup == backup
        }
    }

    /// Backups that drain go once there are enough copies without them.
    private func releaseDraining(_ ledger: inout LedgerAssignment) {
        let staying = ledger.replicas.count { !situation.isDraining($0.name) }
        guard staying >= Int(view.settings.copies) else { return }
        ledger.backups.removeAll { situation.isDraining($0.name) }
    }

    // MARK: Creation and deletion

    private mutating func create() {
        // A member whose ledger was taken over, and which returned with its store, needs another one: that one only
        // drains.
        let founders = Set(ledgers.filter { $0.primary == $0.founder }.map(\.founder))
        for member in situation.members where situation.isAlive(member.replica) && !founders.contains(member.replica) {
            guard !situation.isDraining(member.id.name), ledgers.count < Limits.ledgers, nextLedger.rawValue < .max
            else {
                continue
            }
            ledgers.append(
                LedgerAssignment(
                    id: nextLedger, term: .first, primary: member.replica, backups: [], founder: member.replica))
            nextLedger = LedgerID(nextLedger.rawValue + 1)
        }
    }

    /// A drained ledger goes when its founder's store has left, or has lost it to another: nobody would fill it again. One
    /// that key slots belong to stays until they have moved, and so does the last one.
    private mutating func deleteDrained() {
        let drained = view.ledgers.filter { ledger in
            observed.drainedLedgers.contains { isCurrent($0.ledger, $0.view, $0.term, ledger) }
                && !view.slots.contains(ledger.id)
                && (ledger.primary != ledger.founder || !situation.members.contains { $0.replica == ledger.founder })
        }
        for ledger in drained where ledgers.count > 1 {
            // One that is taken over or lost in this view is not what its primary spoke of.
            ledgers.removeAll { $0.id == ledger.id && $0.term == ledger.term }
        }
    }
}
