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
    private var accepted: [Vote: (view: View, voters: Set<StoreHolder>)] = [:]
    private var pending: [NodeName: [(ticket: UInt64, vote: Vote, view: View)]] = [:]
    private var primaries: [LedgerID: [Term: StoreHolder]] = [:]
    /// The newest view of each node's disk when its process began.
    private var startedIn: [NodeName: UInt64] = [:]
    /// Nodes whose view was obsolete, as a majority of its voters knew, when their process began.
    private var stale: Set<NodeName> = []
    /// Too few voters are left: nothing is expected at the end.
    var isExcused = false

    init(seed: UInt64) { self.seed = seed }

    mutating func starts(_ node: SimulatedCluster.Node, isStale: Bool) {
        if isStale { stale.insert(node.name) } else { stale.remove(node.name) }
        pending[node.name] = []
        startedIn[node.name] = node.durable.view?.number ?? 0
    }

    mutating func crashes(_ node: SimulatedCluster.Node) { pending[node.name] = [] }

    mutating func willWrite(_ record: VoterRecord, ticket: UInt64, by node: SimulatedCluster.Node) {
        guard let accept = record.accepted else { return }
        pending[node.name, default: []].append(
            (ticket, Vote(number: accept.view.number, ballot: accept.ballot), accept.view))
    }

    mutating func wrote(upTo ticket: UInt64, by node: SimulatedCluster.Node) {
        for entry in pending[node.name] ?? [] where entry.ticket <= ticket {
            accepted[entry.vote, default: (entry.view, [])].voters.insert(
                StoreHolder(name: node.name, store: node.disk))
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
        guard let previous = views[view.number - 1] else {
            throw fail("view \(view.number) was decided by voters who did not know view \(view.number - 1)")
        }
        let isDecided = accepted.contains { vote, what in
            vote.number == view.number && what.view == view
                && what.voters.intersection(previous.voters).count >= previous.majority
        }
        guard isDecided else { throw fail("view \(view.number) was not accepted by a majority of its electors") }
        try checkPrimaries(of: view)
        try checkChange(from: previous, to: view, asks)
    }

    private mutating func checkPrimaries(of view: View) throws(Violation) {
        for ledger in view.ledgers {
            let terms = primaries[ledger.id] ?? [:]
            if let primary = terms[ledger.term], primary != ledger.primary {
                throw fail("\(ledger.id) has two primaries in term \(ledger.term)")
            }
            guard terms.keys.allSatisfy({ $0 <= ledger.term }) else { throw fail("the term of \(ledger.id) falls") }
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
