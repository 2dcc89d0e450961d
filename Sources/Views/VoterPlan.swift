import Primitives

/// Chooses voters: all who may vote, at most `Limits.voters`; of four 3, of six 5.
///
/// With four voters a majority is three: no more may die than of three, one answer more is waited for, and halves may
/// stand against each other. With six likewise. Two are different: with one voter of two its death alone would stop
/// everything, and the other's would not; with two voters either may die, as long as something outside breaks the tie
/// (`TieBreaker`, or proof: see `ViewAgreement`). So when one of three voters dies, the two that are left vote, and
/// when one of those dies as well, the last one goes on by the rules of the tie, not by being the one that was chosen.
///
/// Present voters come first (of them the living before the suspects), then other living members, each by name; these only
/// if they answer the observer, since a vote given to one that has just gone for good may never be taken back. Who drains
/// votes only when everybody drains. A voter whose disk was wiped is kept under its new one.
enum VoterPlan {
    static func voters(after view: View, _ situation: Situation) -> [StoreHolder] {
        let present = Set(view.voters.map(\.name))
        func candidates(_ isEligible: (NodeName) -> Bool) -> [Member] {
            let eligible = situation.members.filter { isEligible($0.id.name) }
            let voters = eligible.filter { present.contains($0.id.name) }
            return voters.filter { situation.isAlive($0.id.name) } + voters.filter { !situation.isAlive($0.id.name) }
                + eligible.filter { !present.contains($0.id.name) && situation.isAnswering($0.id.name) }
        }
        var chosen = candidates { !situation.isDraining($0) }
        if chosen.isEmpty { chosen = candidates { _ in true } }
        return chosen.prefix(count(of: chosen.count)).map(\.voter).sorted()
    }

    /// How many of so many candidates vote.
    static func count(of candidates: Int) -> Int {
        let count = min(Limits.voters, candidates)
        return count > 2 && count.isMultiple(of: 2) ? count - 1 : count
    }
}
