import Primitives
import Service
import Views

/// What a user should know or do, one sentence each: what is wrong, what it means, and what ends it.
extension NodeService {
    func warnings(
        _ all: Everybody, _ ledgers: [ClusterReport.LedgerReport], _ members: [ClusterReport.MemberReport]
    ) -> [String] {
        guard let view = all.view else { return ["\(node.name) is not a member of a cluster yet"] }
        return majority(members, view) + unavailable(ledgers) + thin(ledgers, members, view) + disks(members)
            + registry(all)
            + members.filter { $0.state == .suspect }.map { "\($0.name) does not answer: it may be gone, or slow" }
    }

    /// Who takes no tasks, and why. Without a majority all have the same reason: it is told once.
    private func majority(_ members: [ClusterReport.MemberReport], _ view: View) -> [String] {
        let living = view.voters.count { voter in members.contains { $0.name == voter.name && $0.state == .alive } }
        let mine = members.first { $0.name == node.name }
        if living < view.majority {
            return [mine?.unreadiness ?? "only \(living) of \(view.voters.count) voters live: no view can change"]
        }
        return members.filter { $0.state == .alive && !$0.load.isDraining }.compactMap(\.unreadiness)
    }

    private func unavailable(_ ledgers: [ClusterReport.LedgerReport]) -> [String] {
        ledgers.filter { !$0.isAvailable }.map { ledger in
            let holders = ([ledger.primary] + ledger.backups).map(\.rawValue).joined(separator: ", ")
            return
                "tasks that \(ledger.founder) took wait (ledger \(ledger.id)): no copy of them is here. They go on when "
                + "\(ledger.backups.isEmpty ? holders : "one of \(holders)") comes back with its disk"
        }
    }

    private func thin(
        _ ledgers: [ClusterReport.LedgerReport], _ members: [ClusterReport.MemberReport], _ view: View
    ) -> [String] {
        let thin = ledgers.filter { $0.isAvailable && !$0.isFullyReplicated }
        guard !thin.isEmpty else { return [] }
        let living = members.count { $0.state == .alive }
        let owners = Set(thin.map(\.primary)).sorted().map(\.rawValue).joined(separator: ", ")
        let remedy = living < Int(view.settings.copies) ? "start another node" : "another copy is being made"
        return ["tasks of \(owners) have fewer than \(view.settings.copies) copies: \(remedy)"]
    }

    private func disks(_ members: [ClusterReport.MemberReport]) -> [String] {
        members.filter { $0.disk?.isFull == true }.map {
            "\($0.name) has no room on its disk: it takes no new tasks and goes on with those that it has; free space "
                + "there, and it takes tasks again by itself"
        }
    }

    private func registry(_ all: Everybody) -> [String] {
        let disconnected = all.answers.filter { $0.value.isRegistryConnected == false }.keys.sorted()
        guard !disconnected.isEmpty else { return [] }
        let names = disconnected.map(\.rawValue).joined(separator: ", ")
        return ["\(names) cannot reach the registry: results wait in the ledgers"]
    }
}
