import Primitives

extension ViewAgreement {
    /// A ballot of this node's.
    struct Attempt: Sendable {
        enum Phase: Sendable {
            case preparing(best: AcceptedView?)
            case proposing(View)
        }

        var ballot: Ballot
        /// It is to end in a view that is forced by proof.
        let isForced: Bool
        var phase: Phase
        /// Whose votes count in this phase so far: each once.
        var votes: [StoreHolder] = []
        var deadline: Instant
    }

    /// Takes the newest wish: what a ballot proposes is fixed only when its first phase is over, so changes are
    /// batched.
    mutating func wish(for view: View?, at now: Instant) {
        guard let current = record.view, let view,
            view.number == current.number &+ 1 || view.isForced(after: current)
        else {
            desired = nil
            if record.accepted == nil { proposeAt = nil }
            return
        }
        let isForced = view.isForced(after: current)
        let isNew = isForced != (desired?.isForced(after: current) ?? false)
        desired = view
        guard isVoter, mayPropose else { return }
        if isNew, isForced { return proposeAnew(at: now) }
        guard attempt == nil else { return }
        let turn = now + settings.step * rank
        if proposeAt == nil { proposeAt = turn }
    }

    /// What a ballot waits for has changed: the one under way is given up, another begins at once.
    mutating func proposeAnew(at now: Instant) {
        guard isVoter, mayPropose else { return }
        attempt = nil
        failures = 0
        proposeAt = now + settings.step * rank
    }

    /// How many living voters come before this one.
    var rank: Int {
        guard let voters = record.view?.voters else { return 0 }
        return voters.count { $0.name < myself.id.name && peers[$0.name]?.isAlive ?? true }
    }

    /// Another voter's ballot is under way: overtake it only if it stalls. One that ends without a decision, and may
    /// have been decided unknown to all, is taken up again even if this node wishes for nothing.
    mutating func giveTime(to ballot: Ballot, at now: Instant) {
        guard ballot.name != myself.id.name, attempt == nil, isVoter else { return }
        guard desired != nil || record.accepted != nil else { return }
        proposeAt = now + settings.patience + settings.step * rank
    }

    mutating func beginBallot(at now: Instant, into effects: inout [Effect]) {
        proposeAt = nil
        guard let view = record.view, isVoter, attempt == nil, mayPropose else { return }
        highestRound = max(highestRound, record.promised?.round ?? 0)
        guard highestRound < .max else { return }
        highestRound += 1
        let ballot = Ballot(round: highestRound, generation: myself.id.generation, name: myself.id.name)
        attempt = Attempt(
            ballot: ballot, isForced: desired?.isForced(after: view) ?? false, phase: .preparing(best: nil),
            deadline: now + settings.phaseTimeout)
        askVoters(.prepare(ballot), into: &effects)
        let sender = message(.prepare(ballot), about: 0).sender
        prepare(ballot, sender, at: now, into: &effects)
    }

    mutating func countPromise(
        _ ballot: Ballot, _ accepted: AcceptedView?, of voter: StoreHolder, at now: Instant,
        into effects: inout [Effect]
    ) {
        guard var attempt, attempt.ballot == ballot, case .preparing(var best) = attempt.phase,
            !attempt.votes.contains(voter), let current = record.view
        else { return }
        if let accepted, best.map({ $0.ballot < accepted.ballot }) ?? true {
            // A minority cannot tell whether what it has accepted as the next view was chosen, or something else. What
            // it forces has another number in any case; a view that it may have forced already has to stay the one.
            if !attempt.isForced || accepted.view.isForced(after: current) { best = accepted }
        }
        attempt.votes.append(voter)
        attempt.phase = .preparing(best: best)
        self.attempt = attempt
        guard isQuorum(attempt.votes, of: attempt) else { return }

        // The missing are back: what is decided with them is not forced.
        if attempt.isForced, isMajority(attempt.votes) { return abandonBallot(at: now) }
        // What may have been chosen in a lower ballot has to be proposed again.
        if settings.mutation == .aloneIgnoresAccepted, !isMajority(attempt.votes) { best = nil }
        #if PLANTED_BUGS
        if PlantedBug.isActive(.ownWishFirst), desired != nil { best = nil }
        #endif
        guard let view = best?.view ?? desired, attempt.isForced == view.isForced(after: current) || best != nil else {
            // The wish has passed. Only the own vote, not on disk yet, may tell of an accepted view: then try again.
            abandonBallot(at: now)
            return
        }
        attempt.phase = .proposing(view)
        attempt.votes = []
        attempt.deadline = now + settings.phaseTimeout
        self.attempt = attempt
        askVoters(.propose(ballot, view), into: &effects)
        let sender = message(.propose(ballot, view), about: 0).sender
        accept(view, in: ballot, sender, at: now, into: &effects)
    }

    mutating func countAcceptance(
        _ ballot: Ballot, of voter: StoreHolder, at now: Instant, into effects: inout [Effect]
    ) {
        guard var attempt, attempt.ballot == ballot, case .proposing(let view) = attempt.phase,
            !attempt.votes.contains(voter)
        else { return }
        attempt.votes.append(voter)
        self.attempt = attempt
        guard isQuorum(attempt.votes, of: attempt) else { return }
        announce(view, into: &effects)
        adopt(view, at: now)
    }

    mutating func giveWay(_ ballot: Ballot, to promised: Ballot, at now: Instant) {
        highestRound = max(highestRound, promised.round)
        guard attempt?.ballot == ballot else { return }
        abandonBallot(at: now)
    }

    mutating func abandonBallot(at now: Instant) {
        attempt = nil
        let doublings = min(failures, 16)
        failures += 1
        let pause = min(settings.backoff * (1 << doublings), settings.maximumBackoff).nanoseconds
        guard pause > 0 else {
            proposeAt = now
            return
        }
        proposeAt = now + .nanoseconds(Int64.random(in: pause / 2...pause, using: &random)) + settings.step * rank
    }

    private func askVoters(_ body: ViewMessage.Body, into effects: inout [Effect]) {
        guard let view = record.view else { return }
        for voter in view.voters where voter.name != myself.id.name {
            guard let address = address(of: voter.name) else { continue }
            effects.append(.send(message(body, about: view.number &+ 1), to: voter.name, address: address))
        }
    }

    /// To everybody whom it concerns: the members before and after. Others hear of its number by gossip.
    func announce(_ view: View, into effects: inout [Effect]) {
        let old = record.view?.members.map(\.id.name) ?? []
        let names = Set(old).union(view.members.map(\.id.name)).subtracting([myself.id.name])
        for name in names.sorted() {
            guard let address = peers[name]?.address ?? view.member(name)?.profile.peer ?? address(of: name) else {
                continue
            }
            effects.append(.send(message(.decided(view), about: view.number), to: name, address: address))
        }
    }
}
