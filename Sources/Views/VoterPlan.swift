import Primitives

/// Chooses voters.
enum VoterPlan {
    /// Present voters first (of them the living before the suspects), then other living members, each by name. Who drains
    /// votes only when everybody drains. A voter whose disk was wiped is kept under its new one.
    static func voters(after view: View, _ situation: Situation) -> [StoreHolder] {
        let present = Set(view.voters.map(\.name))
        func candidates(_ isEligible: (NodeName) -> Bool) -> [Member] {
            let eligible = situation.members.filter { isEligible($0.id.name) }
            let voters = eligible.filter { present.contains($0.id.name) }
            return voters.filter { situation.isAlive($0.id.name) } + voters.filter { !situation.isAlive($0.id.name) }
                + eligible.filter { !present.contains($0.id.name) && situation.isAlive($0.id.name) }
        }
        var chosen = candidates { !situation.isDraining($0) }
        if chosen.isEmpty { chosen = candidates { _ in true } }
        let count = min(Limits.voters, chosen.count)
        return chosen.prefix(count.isMultiple(of: 2) ? max(0, count - 1) : count).map(\.voter).sorted()
    }
}
