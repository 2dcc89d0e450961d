import Primitives

/// Deciding without a majority of the voters.
///
/// **Two voters.** A majority is both. One that has lost the other may decide alone, by one of two means. Which one
/// holds for a view is a part of its content, so that the two are never used against each other:
/// - **A claim**, if the view has a mark (`View.tieMark`). The registry is a third acceptor, which belongs to whoever
///   claimed the number of the next view first (`TieBreaker`, which also says why the mark is needed). So every set of
///   voters that can decide contains the claimant: it decides with its own vote, the other one cannot without it. The
///   claim is no licence to propose anything: phase 1 still runs, on the claimant's own vote.
/// - **Proof**, if it has none, and the node was told to `survive`: the other's process is proven to be gone. The
///   survivor then is in every set that can decide: a process that is gone decides nothing, and the one that follows it
///   on the same disk does not decide alone before a view lists it, for which the survivor has to vote. (It is not
///   enough that it is confirmed. It may have been so in an earlier view, by a majority whose vote for this one it
///   shared unknowingly.) With neither, both wait: the two halves of a cut cluster stop.
///
/// Why not proof as well where there is a mark: the other one may have claimed the number, decided, and died. Whoever
/// has lost the registry asks for a view without a mark while both are there.
///
/// **Three voters or more.** Survivors that are no majority may force a view (`ForcedViews.swift`) if every other
/// voter's process is proven to be gone: all who are left have to vote for it.
///
/// All of this only by a confirmed process that the view lists: one that has started again does not know what was
/// decided while it was away, and waits for its peer, or for an operator.
///
/// **An operator's force** needs no votes at all: `.force`.
extension ViewAgreement {
    // MARK: Who is gone

    mutating func meet(_ all: [Peer], at now: Instant, into effects: inout [Effect]) {
        let couldBefore = mayDecideAlone
        peers = Dictionary(all.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
        for peer in all where isTracked(peer.voter) {
            met[peer.voter] = max(met[peer.voter] ?? peer.id.generation, peer.id.generation)
            guard peer.isExitProven else { continue }
            proven[peer.voter] = max(proven[peer.voter] ?? peer.id.generation, peer.id.generation)
        }
        endColdStartIfAllAreThere(at: now, into: &effects)
        if !couldBefore, mayDecideAlone { proposeAnew(at: now) }
    }

    mutating func meet(_ sender: ViewMessage.Sender) {
        guard isTracked(sender.voter) else { return }
        met[sender.voter] = max(met[sender.voter] ?? sender.id.generation, sender.id.generation)
    }

    private func isTracked(_ voter: StoreHolder) -> Bool { record.view?.voters.contains(voter) ?? false }

    /// The last process of that voter that anybody can know of is proven to be gone.
    func isProvenGone(_ voter: StoreHolder) -> Bool {
        guard let generation = proven[voter], let listed = record.view?.member(voter.name)?.id.generation else {
            return false
        }
        let isNewest = generation >= max(met[voter] ?? listed, listed)
        return isNewest || settings.mutation == .staleProof
    }

    /// With its disk, as far as gossip knows.
    private func isThere(_ voter: StoreHolder) -> Bool {
        guard let peer = peers[voter.name] else { return true }
        return peer.isAlive && peer.voter == voter
    }

    // MARK: Who may decide

    /// The other one of two voters, this being one of them.
    private var otherVoter: StoreHolder? {
        guard let view = record.view, view.voters.count == 2, isVoter else { return nil }
        return view.voters.first { $0 != myself.voter }
    }

    /// Whether this process was there when the view was decided, and knows it.
    private var isEstablished: Bool { isConfirmed && record.view?.member(myself.id) != nil }
    private var mayClaim: Bool { isEstablished || settings.mutation == .claimUnconfirmed }

    /// Whether this one of two voters may decide without the other.
    public var mayDecideAlone: Bool {
        guard let view = record.view, let other = otherVoter, !isThere(other) else { return false }
        if view.tieMark != nil { return claimed == view.number &+ 1 && mayClaim }
        guard isEstablished, settings.survives else { return false }
        return isProvenGone(other) || settings.mutation == .aloneWithoutProof
    }

    /// Whether the votes that this ballot has are enough for what it is to end in.
    func isQuorum(_ votes: [StoreHolder], of attempt: Attempt) -> Bool {
        guard let view = record.view else { return false }
        if isMajority(votes) { return true }
        guard attempt.isForced else { return votes == [myself.voter] && mayDecideAlone }
        guard isEstablished, settings.survives, view.voters.count > 2, votes.contains(myself.voter) else {
            return false
        }
        return view.voters.allSatisfy { voter in
            votes.contains(voter) || isProvenGone(voter)
                || settings.mutation == .forceWithoutProof && !isThere(voter)
        }
    }

    /// What was accepted is taken up in any case. A wish of one that has just started waits: see "Restart".
    var mayPropose: Bool { record.accepted != nil || desired != nil && isConfirmed && coldUntil == nil }

    // MARK: The claim

    /// Asks the registry while there is something to decide, and nobody to decide it with.
    mutating func considerClaim(at now: Instant) {
        guard let view = record.view, view.tieMark != nil, claimed != view.number &+ 1, mayPropose, mayClaim,
            let other = otherVoter, !isThere(other)
        else {
            claimAt = nil
            return
        }
        if claimAt == nil { claimAt = now }
    }

    mutating func claim(at now: Instant, into effects: inout [Effect]) {
        guard let view = record.view, let mark = view.tieMark else { return }
        claimAt = now + settings.claimInterval
        effects.append(.claim(number: view.number &+ 1, mark: mark))
    }

    mutating func takeClaim(of number: UInt64, at now: Instant) {
        guard let view = record.view, number == view.number &+ 1, view.tieMark != nil, mayClaim else { return }
        claimed = number
        if mayDecideAlone { proposeAnew(at: now) }
    }

    // MARK: An operator's word

    mutating func force(_ view: View, at now: Instant, into effects: inout [Effect]) {
        guard let current = record.view else { return }
        do throws(ViewError) {
            guard view.isForced(after: current) else { throw .illegalChange("its number does not jump") }
            try view.validate(after: current)
        } catch {
            effects.append(.refused(.invalidView(error), from: myself.id.name))
            return
        }
        announce(view, into: &effects)
        adopt(view, at: now)
    }
}
