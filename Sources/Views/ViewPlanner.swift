public import Primitives

/// Computes what the next view should be. Pure: the same view and observations give the same answer everywhere,
/// whatever the order of the observations.
///
/// - **Members**: who is gone or has left leaves, who is alive enters, a new generation replaces the old one; nothing
///   changes on account of a suspect, or of a member that nobody has news of. That one drains is kept with it.
/// - **Voters** (`VoterPlan`): all living members that do not drain, at most `Limits.voters`, but 3 of 4 and 5 of 6;
///   present voters are kept first. One of three dies: the two that are left vote. One of two dies: the last one goes
///   on by the rules for a tie, or waits.
/// - **Mark of the tie-breaker**: kept as long as there are two voters and it is not lost; else the one at hand, if
///   any.
/// - **Exits**: members that leave, and are proven to be gone. Only noted: no view is made for their sake.
/// - **Ledgers** (`LedgerPlan`): takeover when the primary is gone, drains, was restarted or has another store;
///   otherwise changes of its backups, a learner only by a valid ask. Lost ledgers are given up, drained ones deleted,
///   members without one get one.
/// - **Key slots** (`SlotPlan`): each ledger whose founder serves it gets its share, by hand-over.
/// - **Settings**: as they are, but for the changes that were asked for in this very view.
///
/// All changes are batched into one view. It is a fixed point: with the same observations, without the asks, the plan
/// after the planned view is nil; only a drain may take one more step. Where too few voters are left to decide
/// anything, see `ForcedViews.swift`.
public enum ViewPlanner {
    /// Nil: nothing is to be changed.
    public static func next(after view: View, _ observed: Observations) -> View? {
        plan(after: view, observed, nil)
    }

    static func plan(after view: View, _ observed: Observations, _ forcing: Forcing?) -> View? {
        let situation = Situation(view, observed)
        var next = view
        next.number = view.number &+ (forcing?.jump ?? 1)
        next.members = situation.members
        next.voters = VoterPlan.voters(after: view, situation)
        guard !next.voters.isEmpty else { return nil }
        next.tieMark = next.voters.count == 2 ? tieMark(after: view, observed) : nil
        next.exits = view.members.map(\.id).filter { id in
            next.member(id) == nil && observed.nodes.contains { $0.id == id && $0.isExitProven }
        }.sorted()

        var plan = LedgerPlan(view, situation, observed, forcing)
        plan.decide()
        next.ledgers = plan.ledgers
        next.nextLedger = plan.nextLedger
        next.losses = Array((view.losses + plan.losses).suffix(Limits.lostLedgers))
        let slots = SlotPlan(after: view, next, observed.shippedSlots)
        next.slots = slots.slots
        next.moves = slots.moves
        var changes = observed.changes.filter { $0.view == view.number }
        #if PLANTED_BUGS
        if PlantedBug.isActive(.settingsMadeAgain) { changes = observed.changes }
        #endif
        next.settings = next.settings.applying(changes, in: next.number)
        guard forcing == nil, !plan.isForced else { return next }

        var unchanged = next
        unchanged.number = view.number
        unchanged.exits = view.exits
        return unchanged == view ? nil : next
    }

    private static func tieMark(after view: View, _ observed: Observations) -> UInt64? {
        if let mark = view.tieMark, !observed.isTieMarkLost { return mark }
        return observed.tieMark
    }

    /// Whose positions are worth asking for before a takeover: the replicas that could become primary, where there is a
    /// choice. Their answers go to `Observations.positions`; the takeover need not wait for them.
    public static func positionsWanted(
        _ view: View, _ observed: Observations
    ) -> [(ledger: LedgerID, replica: StoreHolder)] {
        positionsWanted(view, observed, nil)
    }

    static func positionsWanted(
        _ view: View, _ observed: Observations, _ forcing: Forcing?
    ) -> [(ledger: LedgerID, replica: StoreHolder)] {
        let plan = LedgerPlan(view, Situation(view, observed), observed, forcing)
        return view.ledgers.flatMap { ledger -> [(ledger: LedgerID, replica: StoreHolder)] in
            guard let candidates = plan.takeoverCandidates(of: ledger), candidates.count > 1 else { return [] }
            return candidates.map { (ledger.id, $0) }
        }
    }
}

/// The nodes as the next view will find them.
struct Situation {
    /// Of the next view, ascending by name.
    let members: [Member]
    private let nodes: [NodeName: ObservedNode]
    private let memberOf: [NodeName: Member]
    private let previousOf: [NodeName: Member]

    init(_ view: View, _ observed: Observations) {
        var nodes: [NodeName: ObservedNode] = [:]
        for node in observed.nodes {
            if let other = nodes[node.id.name], other.id.generation >= node.id.generation { continue }
            nodes[node.id.name] = node
        }
        // News of a generation that the view has replaced is no news.
        for member in view.members {
            guard let node = nodes[member.id.name], node.id.generation < member.id.generation else { continue }
            nodes[member.id.name] = nil
        }

        var members: [Member] = []
        for member in view.members {
            guard let node = nodes[member.id.name] else {
                members.append(member)
                continue
            }
            switch node.condition {
            case .gone, .left: break
            case .suspect:
                var kept = member
                if node.id == member.id, node.isDraining { kept.isDraining = true }
                members.append(kept)
            case .alive:
                let isDraining = node.isDraining || member.isDraining && node.id == member.id
                members.append(Member(id: node.id, profile: node.profile, isDraining: isDraining))
            }
        }
        let previous = Dictionary(view.members.map { ($0.id.name, $0) }, uniquingKeysWith: { first, _ in first })
        let joining = nodes.values.filter { $0.condition == .alive && previous[$0.id.name] == nil }
            .sorted { $0.id < $1.id }.prefix(max(0, Limits.members - members.count))
        members += joining.map { Member(id: $0.id, profile: $0.profile, isDraining: $0.isDraining) }
        members.sort { $0.id.name < $1.id.name }

        self.members = members
        self.nodes = nodes
        previousOf = previous
        memberOf = Dictionary(members.map { ($0.id.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    func member(_ name: NodeName) -> Member? { memberOf[name] }

    /// In the view that is to be changed.
    func previousMember(_ name: NodeName) -> Member? { previousOf[name] }

    func isDraining(_ name: NodeName) -> Bool { memberOf[name]?.isDraining ?? false }

    /// A member that gossip believes to be alive, in the generation that the next view lists.
    func isAlive(_ name: NodeName) -> Bool { memberOf[name] != nil && nodes[name]?.condition == .alive }

    /// Alive, as the observer knows at first hand.
    func isAnswering(_ name: NodeName) -> Bool { isAlive(name) && nodes[name]?.isLinked == true }

    /// Alive, and with this very store.
    func isAlive(_ replica: StoreHolder) -> Bool { isAlive(replica.name) && memberOf[replica.name]?.replica == replica }

    /// The node lives without this store: what it held will not come back.
    func isLost(_ replica: StoreHolder) -> Bool { isAlive(replica.name) && memberOf[replica.name]?.replica != replica }

    /// Not known to be of use any more; a suspect is still kept.
    func isAway(_ replica: StoreHolder) -> Bool { memberOf[replica.name]?.replica != replica }
}
