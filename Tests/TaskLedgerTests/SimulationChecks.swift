import Primitives

@testable import TaskLedger

/// The promises, as sentences that can be false.
extension Simulation {
    func complain(_ text: String?) {
        if fault == nil, let text { fault = text }
    }

    /// Primaries never commit different entries at one place, nor two of them in one term.
    func observeCommits(_ node: Int) {
        for ledger in nodes[node].owner.ownedLedgers {
            guard let copy = nodes[node].owner.copy(of: ledger),
                let committed = nodes[node].owner.committed(of: ledger),
                let term = nodes[node].owner.term(of: ledger)
            else { continue }
            complain(
                ghost.commit(
                    copy, upTo: committed, by: SimulationGhost.Service(ledger: ledger, term: term), nodes[node].id))
        }
    }

    /// After every step of a node.
    func check(_ node: Int) {
        if let fault = nodes[node].owner.derivedFault() { complain("\(nodes[node].name): \(fault)") }
        checkLemma()
    }

    /// Every replica that the newest view lists, and whose store still exists, holds every committed entry.
    private func checkLemma() {
        for ledger in authority.view.ledgers {
            guard let last = ghost.committed[ledger.id]?.last?.place else { continue }
            for replica in ledger.replicas {
                guard let node = index(of: replica.name), nodes[node].isUp, nodes[node].store == replica.store else {
                    continue
                }
                guard let copy = nodes[node].copy(of: ledger.id) else {
                    return complain("\(replica) is listed for \(ledger.id), has nothing, and \(last) is committed")
                }
                let held = copy.place(at: last.sequence)
                if copy.last.sequence < last.sequence || held ?? last != last {
                    return complain(
                        "\(replica) is listed for \(ledger.id), is at \(copy.last), and \(last) is committed")
                }
            }
        }
    }

    /// A handler is called.
    func began(_ assignment: Assignment, at node: Int) {
        ghost.runs += 1
        let id = assignment.id
        if assignment.spec.delivery == .atMostOnce,
            !ghost.started.insert(.init(task: id, run: assignment.token.run)).inserted
        {
            complain("\(id), at most once, starts again with \(assignment.token) at \(nodes[node].name)")
        }
        if assignment.isSolitary, nodes[node].holder.runningCount > 1 {
            complain("\(id) may be poison, and is not alone")
        }
        for run in ghost.running[id] ?? [] where run.token < assignment.token {
            // Who was suspected may be replaced; so may a start in an own slot, until its lease is committed.
            let isKnown = ghost.committedLeases.contains(SimulationGhost.Grant(task: id, token: run.token))
            let isConnected =
                nodes[run.node].isUp && nodes[run.node].id == run.id && !nodes[run.node].isSuspected
                && authority.view.members[run.id] != nil
            if isKnown, isConnected {
                complain(
                    "\(id) runs at \(run.id) under \(run.token), and \(nodes[node].name) starts \(assignment.token)")
            }
        }
        ghost.running[id, default: []].append(
            SimulationGhost.Run(node: node, process: nodes[node].process, id: nodes[node].id, token: assignment.token))
    }

    /// What still has to happen before nothing is left to be done; nil: nothing.
    func unsettled() -> String? {
        let lost = authority.lost
        for id in ghost.accepted.sorted() where ghost.outcomes[id] == nil {
            guard let ledger = ghost.ledgerOf[id], !lost.contains(ledger) else { continue }
            return "\(id) of \(ledger) was accepted and has no outcome"
        }
        for node in nodes {
            guard node.view?.number == authority.view.number else { return "\(node.name) is not in the newest view" }
            if let left = node.owner.leftover(copies: settings.copies) { return "\(node.name): \(left)" }
            if node.holder.runningCount > 0 || node.holder.heldCount > 0 { return "\(node.name) has assignments" }
            if !node.offers.isEmpty { return "\(node.name) offers \(node.offers.sorted())" }
            for report in node.holder.unsettled where isKnown(report.attempt) {
                return "\(node.name) still reports \(report.attempt)"
            }
        }
        for ledger in authority.view.ledgers {
            guard let primary = index(of: ledger.primary.name), let copy = nodes[primary].owner.copy(of: ledger.id)
            else {
                return "nobody serves \(ledger.id)"
            }
            if copy.state.openCount > 0 { return "\(copy.state.openCount) tasks of \(ledger.id) are open" }
            for backup in ledger.backups {
                guard let node = index(of: backup.name), let other = nodes[node].copy(of: ledger.id) else {
                    return "\(backup) has no copy of \(ledger.id)"
                }
                if other.last != copy.last { return "\(backup) has \(ledger.id) up to \(other.last) of \(copy.last)" }
                if other.state.tasks != copy.state.tasks { complain("\(backup) folds \(ledger.id) to something else") }
            }
        }
        return nil
    }

    private func isKnown(_ attempt: AttemptID) -> Bool { nodes.contains { $0.owner.task(attempt.id) != nil } }
}
