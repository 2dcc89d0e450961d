import EventLoop
import Peers
import Primitives
import TaskLedger
import Views
import Wire

/// Who waits for the answer to a claim, and about which queue.
struct Claimant: Hashable {
    var queue: String
    var owner: NodeID
}

/// Settings of queues, as they bind this node: as an owner of tasks, and as the home of queues.
extension LocalQueue {
    func installSettings(of view: View) {
        owner.setRules(rules(view))
        var answers: [QueueHome.Answer] = []
        home.install(
            atHome(view),
            ledgers: Dictionary(
                view.ledgers.filter(view.isAvailable).map { ($0.id, $0.term) }, uniquingKeysWith: { first, _ in first }),
            listed: Set(view.ledgers.map(\.id)), members: Set(view.members.map(\.id)), at: node.now, into: &answers)
        tell(answers)
    }

    /// The length and the bytes that a queue may have are split evenly between the members that take work: no node has to ask
    /// another one before it accepts a task; who has none left forwards to one that has. What a node takes over counts to
    /// its share, so for a while the queue may hold less than it might.
    private func rules(_ view: View) -> [String: QueueRules] {
        let members = view.members.filter { !$0.isDraining }
        let rank = members.firstIndex { $0.id.name == node.name }
        return Dictionary(
            view.settings.queues.map { queue in
                func share(_ limit: UInt64?) -> Int? {
                    limit.map(Int.init(clamping:)).map { limit in
                        rank.map { limit / members.count + ($0 < limit % members.count ? 1 : 0) } ?? 0
                    }
                }
                let rules = QueueRules(
                    isPaused: queue.isPaused, weight: queue.weight, maxLength: share(queue.maxLength.map(UInt64.init)),
                    maxBytes: share(queue.maxBytes), hasRate: queue.rate != nil,
                    hasConcurrency: queue.concurrency != nil)
                return (queue.name, rules)
            }, uniquingKeysWith: { first, _ in first })
    }

    // MARK: The home

    private func homeLedger(of queue: String, _ view: View) -> LedgerAssignment? {
        view.ledger(view.slots[Int(KeySlot(of: queue, in: .queue).rawValue)])
    }

    /// The limits of queues whose home this node is. It begins anew with every term of the ledger: what an earlier one knew is
    /// void.
    private func atHome(_ view: View) -> [String: QueueHome.Rules] {
        let me = StoreHolder(name: node.name, store: node.profile.store)
        var rules: [String: QueueHome.Rules] = [:]
        var terms: [LedgerID: Term] = [:]
        for queue in view.settings.queues where queue.rate != nil || queue.concurrency != nil {
            guard let ledger = homeLedger(of: queue.name, view), ledger.primary == me,
                view.member(node.identity) != nil
            else { continue }
            terms[ledger.id] = ledger.term
            rules[queue.name] = QueueHome.Rules(rate: queue.rate, concurrency: queue.concurrency)
        }
        if terms != homeTerms {
            // Rarely, and then for all: a home that knows nothing is only slow for a moment.
            if terms.contains(where: { homeTerms[$0.key] != nil && homeTerms[$0.key] != $0.value }) { clearHome() }
            homeTerms = terms
        }
        return rules
    }

    private func clearHome() {
        home.clear()
        for claimant in claimants.keys.sorted(by: { ($0.queue, $0.owner) < ($1.queue, $1.owner) }) {
            guard let waiting = claimants.removeValue(forKey: claimant) else { continue }
            waiting.reply(PermitLoan(number: waiting.number, permits: 0, shortage: .noHome))
        }
    }

    /// A peer, or this node itself, asks for permits. `reply` is called once, within `Limits.permitWait` or so.
    ///
    /// Whoever cannot vouch for being the home, or serves a ledger that still rests, lends nothing: another one may lend.
    func claimed(_ claim: PermitClaim, by owner: NodeID, _ reply: @escaping @Sendable (PermitLoan) -> Void) {
        guard let view, claim.view == view.number, mayVouch, !isDraining,
            let ledger = homeLedger(of: claim.queue, view),
            self.owner.term(of: ledger.id) == ledger.term, self.owner.restsUntil(ledger.id) == nil
        else { return reply(PermitLoan(number: claim.number, permits: 0, shortage: .noHome)) }
        let claimant = Claimant(queue: claim.queue, owner: owner)
        if let earlier = claimants[claimant] {
            guard earlier.number < claim.number else {
                return reply(PermitLoan(number: claim.number, permits: 0, shortage: .noHome))
            }
            earlier.reply(PermitLoan(number: earlier.number, permits: 0, shortage: .noHome))
        }
        claimants[claimant] = (claim.number, reply)
        var answers: [QueueHome.Answer] = []
        home.take(claim, by: owner, at: node.now, into: &answers)
        tell(answers)
    }

    private func tell(_ answers: [QueueHome.Answer]) {
        for answer in answers {
            let claimant = Claimant(queue: answer.queue, owner: answer.owner)
            guard let waiting = claimants[claimant], waiting.number == answer.loan.number else { continue }
            claimants[claimant] = nil
            waiting.reply(answer.loan)
        }
        setHomeAlarm()
    }

    private func setHomeAlarm() {
        guard let at = home.nextDeadline else { return }
        if let homeAlarmAt, homeAlarmAt <= at { return }
        homeAlarm?.cancel()
        homeAlarmAt = at
        homeAlarm = node.scheduler.schedule(after: max(at - node.now, .microseconds(100))) { [self] in
            onLoop { queue in
                queue.homeAlarmAt = nil
                var answers: [QueueHome.Answer] = []
                queue.home.wake(at: queue.node.now, into: &answers)
                queue.tell(answers)
            }
        }
    }

    // MARK: The owner

    /// - Parameter spare: tasks that could start now.
    func claimPermits(for spare: Int) {
        guard let view else { return }
        let sent = node.now
        for var claim in owner.claims(spare: spare, at: sent) {
            claim.view = view.number
            let (queue, number) = (claim.queue, claim.number)
            guard let ledger = homeLedger(of: queue, view), view.isAvailable(ledger) else {
                owner.take(nil, of: queue, number: number, sent: sent, at: sent)
                continue
            }
            if ledger.primary.name == node.name {
                // In a turn of its own: the answer may come at once, in the middle of this one.
                node.scheduler.execute { [self, claim] in onLoop { $0.claimHere(claim, sent) } }
            } else if let home = node.peers[ledger.primary.name] {
                let frame = Frame(.claim, at: sent) { $0.permitClaim(claim) }
                node.transport.request(frame, to: home, within: Limits.permitWait * 2) { [self] result in
                    onLoop { local in
                        let loan = try? result.get().read(
                            at: local.node.now, { reader throws(WireError) in try reader.permitLoan() })
                        local.answered(loan, of: queue, number, sent)
                    }
                }
            } else {
                owner.take(nil, of: queue, number: number, sent: sent, at: sent)
            }
        }
    }

    private func claimHere(_ claim: PermitClaim, _ sent: Instant) {
        claimed(claim, by: node.identity) { [self] loan in
            onLoop { $0.answered(loan, of: claim.queue, claim.number, sent) }
        }
    }

    private func answered(_ loan: PermitLoan?, of queue: String, _ number: UInt64, _ sent: Instant) {
        owner.take(loan, of: queue, number: number, sent: sent, at: node.now)
        turn()
    }
}
