import Membership
import Primitives
import Views
import Wire

/// What this node may do now, and why not: for people, so every reason says what has to happen and what will.
extension LocalQueue {
    var standing: PeerStatus.Standing {
        PeerStatus.Standing(mayStart: !owner.isPaused, reachesMajority: hasPermit, unreadiness: unreadiness)
    }

    /// A majority of the voters has answered what this node asked in the last moments.
    private var hasPermit: Bool { node.colleagues.fence.onLoop { $0.isValid } }
    private var isConfirmed: Bool { node.colleagues.views.onLoop { $0.isConfirmed } }

    /// Whether it may tell of its tasks: whoever may have replaced it tells nothing newer yet (`Resting`).
    var mayVouch: Bool { isConfirmed && hasPermit }

    /// See `ClusterService.currentSettings`.
    var currentSettings: ClusterSettings? { mayVouch ? view?.settings : nil }

    /// Why this node takes no submissions; nil: it does.
    var unreadiness: String? {
        if isDraining { return "\(node.name) is draining: it takes no new work, the other nodes do" }
        return ignorance
            ?? (owner.ownedLedgers.isEmpty ? "\(node.name) has no ledger yet: the next view gives it one" : nil)
    }

    /// Why "there is no such task" would mean nothing if this node said it; nil: it would.
    ///
    /// Whoever is cut off does not know what the others have accepted, or taken over, since.
    var ignorance: String? {
        guard let voters else {
            return "\(node.name) is not a member of a cluster yet: it looks for one at its seeds and in the registry"
        }
        if mayVouch { return nil }
        if voters.there.count < voters.needed { return waiting(for: voters) }
        return isConfirmed
            ? "\(node.name) was paused, or a majority of the voters has not answered it for "
                + "\(Limits.fence.components.seconds) s: it starts nothing until they do, and goes on by itself then"
            : "\(node.name) waits until a majority of the voters has confirmed its view, and the view lists this process: "
                + "it goes on by itself then"
    }

    private func waiting(for voters: Voters) -> String {
        let there = voters.there.isEmpty ? "none is" : "only \(named(voters.there)) is"
        return
            "\(node.name) waits for a majority of the voters: of \(named(voters.there + voters.missing)) \(there) here, and "
            + "\(voters.needed) are needed. It goes on by itself when \(named(voters.missing)) come back, and what was "
            + "accepted waits with it; if they never will, `apus recover` tells what going on without them costs"
    }

    private func named(_ names: [NodeName]) -> String { names.sorted().map(\.rawValue).joined(separator: ", ") }

    private struct Voters {
        var there: [NodeName] = []
        var missing: [NodeName] = []
        var needed: Int
    }

    /// Of the view that is installed: with their disks here, as far as gossip is sure of it, or not; nil without a view.
    private var voters: Voters? {
        guard let view = node.colleagues.views.onLoop({ $0.view }) else { return nil }
        let members = node.colleagues.membership.onLoop { $0.members }
        var voters = Voters(needed: view.majority)
        for voter in view.voters {
            let isMe = voter.name == node.name && voter.store == node.profile.disk
            let isHere = members.contains {
                $0.id.name == voter.name && $0.profile.disk == voter.store && $0.state == .alive
            }
            if isMe || isHere { voters.there.append(voter.name) } else { voters.missing.append(voter.name) }
        }
        return voters
    }
}
