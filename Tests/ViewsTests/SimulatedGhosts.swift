import Primitives
import Views

/// What must never be contradicted, and nobody in the cluster knows as a whole.
struct Ghosts {
    struct Vote: Hashable {
        var number: UInt64
        var ballot: Ballot
    }

    let seed: UInt64
    /// Every view that was installed anywhere.
    var views: [UInt64: View] = [:]
    /// Who has accepted what, on disk: by the disks that there are, whatever their nodes claim.
    private var accepted: [Vote: (view: View, votes: [StoreHolder: Setting])] = [:]
    private var pending: [NodeName: [(ticket: UInt64, vote: Vote, view: View, setting: Setting)]] = [:]
    /// Which view each one follows.
    private var parents: [UInt64: UInt64] = [:]
    /// Who was given the number of a view by the registry.
    private var claims: [UInt64: NodeName] = [:]

    /// What was true when a vote was cast.
    struct Setting {
        /// Voters whose process was there, and confirmed.
        var living: Set<StoreHolder>
        /// Of whom it was proven, then or earlier, that a process is gone.
        var proven: Set<NodeName>
    }
    private var primaries: [LedgerID: [Term: StoreHolder]] = [:]
    /// The newest view of each node's disk when its process began.
    private var startedIn: [NodeName: UInt64] = [:]
    /// Nodes whose view was obsolete, as a majority of its voters knew, when their process began.
    private var stale: Set<NodeName> = []
    /// Too few voters are left: nothing is expected at the end.
    var isExcused = false
    /// An operator has forced a view.
    var isRecovered = false
    /// Views that were decided by one of two, by claim or by proof, and that were forced by proof.
    private(set) var claimed = 0
    private(set) var alone = 0
    private(set) var forced = 0

    init(seed: UInt64) { self.seed = seed }

    mutating func starts(_ node: SimulatedCluster.Node, isStale: Bool) {
        if isStale { stale.insert(node.name) } else { stale.remove(node.name) }
        pending[node.name] = []
        startedIn[node.name] = node.durable.view?.number ?? 0
    }

    mutating func crashes(_ node: SimulatedCluster.Node) { pending[node.name] = [] }

    mutating func willWrite(
        _ record: VoterRecord, ticket: UInt64, by node: SimulatedCluster.Node, living: Set<StoreHolder>
    ) {
        guard let accept = record.accepted, let view = record.view else { return }
        parents[accept.view.number] = view.number
        pending[node.name, default: []].append(
            (
                ticket, Vote(number: accept.view.number, ballot: accept.ballot), accept.view,
                Setting(living: living, proven: Set(node.proofs.map(\.name)))
            ))
    }

    mutating func grants(_ number: UInt64, to name: NodeName) throws(Violation) {
        if let other = claims[number], other != name { throw fail("\(other) and \(name) both have view \(number)") }
        claims[number] = name
    }

    mutating func forces(_ view: View, after previous: View) {
        parents[view.number] = previous.number
        isForcedByHand.insert(view.number)
    }
    private var isForcedByHand: Set<UInt64> = []

    mutating func wrote(upTo ticket: UInt64, by node: SimulatedCluster.Node) {
        for entry in pending[node.name] ?? [] where entry.ticket <= ticket {
            let voter = StoreHolder(name: node.name, store: node.disk)
            // The first time is what counts: a vote is written again with whatever comes after it.
            if accepted[entry.vote]?.votes[voter] == nil {
                accepted[entry.vote, default: (entry.view, [:])].votes[voter] = entry.setting
            }
        }
        pending[node.name]?.removeAll { $0.ticket <= ticket }
    }

    mutating func confirms(_ node: SimulatedCluster.Node) throws(Violation) {
        let number = node.machine?.installed?.number ?? 0
        guard number >= startedIn[node.name] ?? 0 else { throw fail("\(node.name) is confirmed in an older view") }
        guard number > startedIn[node.name] ?? 0 || !stale.contains(node.name) else {
            throw fail("\(node.name) is confirmed in view \(number), which a majority of its voters has left")
        }
    }

    mutating func installs(_ view: View, asks: [LearnerAsk]) throws(Violation) {
        if let known = views[view.number] {
            guard known == view else { throw fail("view \(view.number) has two contents") }
            return
        }
        views[view.number] = view
        guard view.number > 1 else { return try checkPrimaries(of: view) }
        guard let parent = parents[view.number], let previous = views[parent] else {
            throw fail("view \(view.number) was decided by voters who did not know the one before")
        }
        guard isForcedByHand.contains(view.number) || isDecided(view, after: previous) else {
            throw fail("view \(view.number) was not accepted by those who may decide it")
        }
        try checkPrimaries(of: view)
        try checkChange(from: previous, to: view, asks)
    }

    private mutating func isDecided(_ view: View, after previous: View) -> Bool {
        let ballots = accepted.filter { $0.key.number == view.number && $0.value.view == view }.values.map { ballot in
            ballot.votes.filter { previous.voters.contains($0.key) }
        }
        if ballots.contains(where: { $0.count >= previous.majority }) { return true }
        // One of two, or survivors: who did not vote may not have been there.
        for ballot in ballots {
            let missing = previous.voters.filter { ballot[$0] == nil }
            if previous.voters.count == 2, previous.tieMark != nil {
                guard let voter = ballot.keys.first, claims[view.number] == voter.name else { continue }
                claimed += 1
                return true
            }
            let isLiving = ballot.values.contains { setting in
                missing.contains { voter in
                    setting.living.contains(voter)
                        && (previous.voters.count == 2 || !setting.proven.contains(voter.name))
                }
            }
            guard !ballot.isEmpty, !isLiving else { continue }
            let isForced = view.number != previous.number + 1
            guard isForced == (previous.voters.count > 2) else { continue }
            if isForced { forced += 1 } else { alone += 1 }
            return true
        }
        return false
    }

    private mutating func checkPrimaries(of view: View) throws(Violation) {
        for ledger in view.ledgers {
            let terms = primaries[ledger.id] ?? [:]
            if let primary = terms[ledger.term], primary != ledger.primary {
                throw fail("\(ledger.id) has two primaries in term \(ledger.term)")
            }
            primaries[ledger.id, default: [:]][ledger.term] = ledger.primary
        }
    }

    /// The rules once more, told in another way than in the planner and in `validate(after:)`.
    private func checkChange(from previous: View, to view: View, _ asks: [LearnerAsk]) throws(Violation) {
        for ledger in view.ledgers {
            guard let before = previous.ledgers.first(where: { $0.id == ledger.id }) else {
                guard primaries[ledger.id]?.count == 1, ledger.term == .first, ledger.backups.isEmpty else {
                    throw fail("the new \(ledger.id) is not new")
                }
                continue
            }
            guard ledger.term >= before.term else { throw fail("the term of \(ledger.id) falls") }
            let added = Set(ledger.replicas).subtracting(before.replicas)
            for replica in added {
                let isAsked = asks.contains {
                    $0.ledger == ledger.id && $0.view == previous.number && $0.term == ledger.term
                        && $0.learner == replica
                }
                guard isAsked, ledger.term == before.term else {
                    throw fail("view \(view.number) lists \(replica) for \(ledger.id) that nobody asked for")
                }
            }
            let primary = ledger.primary.name
            if ledger.term == before.term, view.isAvailable(ledger),
                view.member(primary)?.id != previous.member(primary)?.id
            {
                throw fail("a restarted primary of \(ledger.id) goes on in term \(ledger.term)")
            }
        }
        for lost in previous.ledgers where !view.ledgers.contains(where: { $0.id == lost.id }) {
            guard !previous.isAvailable(lost) || view.slots.allSatisfy({ $0 != lost.id }) else {
                throw fail("the deleted \(lost.id) owns key slots")
            }
        }
    }

    private func fail(_ what: String) -> Violation { Violation(seed: seed, what: what) }
}

extension View {
    var summary: String {
        let ledgers = ledgers.map { "\($0.id).\($0.term) \($0.primary) +\($0.backups)" }.joined(separator: ", ")
        return "view \(number): members \(members.map(\.id)), voters \(voters), \(ledgers)"
    }
}

extension ViewMessage.Body {
    var summary: String {
        switch self {
        case .prepare(let ballot): "prepare \(ballot)"
        case .promise(let ballot, let accepted): "promise \(ballot), accepted \(accepted.map { "\($0.ballot)" } ?? "-")"
        case .propose(let ballot, _): "propose \(ballot)"
        case .accepted(let ballot): "accepted \(ballot)"
        case .refuse(let ballot, let promised): "refuse \(ballot) for \(promised)"
        case .decided: "decided"
        case .wantView: "wantView"
        case .current: "current"
        }
    }
}
