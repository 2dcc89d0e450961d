import Primitives

/// The voter's side of the fence (rule R3): whether a member gets leave to start tasks.
///
/// The voter's newest view is m, the asker has installed view n:
///
/// | | verdict |
/// | --- | --- |
/// | n < m | `outdated`: the asker has to install m first, whatever m says of it |
/// | n = m, the asker is not a member (that generation) | `withheld` |
/// | n = m, a view was *accepted* that deposes the asker, or that has other voters | `withheld` |
/// | otherwise | `granted`; also if n > m: this voter has accepted nothing that comes after n |
///
/// A view **deposes** a member of the one before if it does not list that generation, or gives a ledger that the member is
/// primary of another primary or a higher term. Accepted means Paxos' accept, which is in the voter's record, so it outlives
/// a restart; never the promise. A ballot that failed fences nobody for ever: it ends with the instance, and a voter that has
/// accepted what nobody decides proposes it itself.
///
/// **Why the fence holds.** Let A have installed n and nothing later, and let v > n be the first view that deposes it, decided
/// at time D. Then every request of A's that counts was sent before D:
/// - If n + 1 deposes A or has other voters, a majority of n's voters had accepted it before D, and withholds since.
/// - Else v >= n + 2 is not decided before a majority of n + 1's voters, who are n's voters, has installed n + 1: `outdated`.
///
/// Any two majorities share a voter, and A needs one. A voter that is behind (m < n) has accepted nothing after n, and by the
/// same argument an answer to a request that named an earlier view than n is as good. Without "other voters" this would
/// be wrong: the old voters may never hear of the view in which new ones depose A.
public enum FenceDuty {
    public static func verdict(on request: PermitRequest, by record: VoterRecord) -> PermitVerdict {
        #if PLANTED_BUGS
        if PlantedBug.isActive(.permitForEverybody) { return .granted }
        #endif
        guard let view = record.view, request.view <= view.number else { return .granted }
        guard request.view == view.number else { return .outdated(newest: view.number) }
        guard view.member(request.asker) != nil else { return .withheld }
        guard let accepted = record.accepted?.view else { return .granted }
        return accepted.voters != view.voters || accepted.deposes(request.asker, after: view) ? .withheld : .granted
    }
}

extension View {
    /// Whether that member of `previous` may not start something any more that it could start in `previous`.
    func deposes(_ process: NodeID, after previous: View) -> Bool {
        guard let member = previous.member(process), self.member(process) != nil else { return true }
        return previous.ledgers.contains { ledger in
            guard ledger.primary == member.replica else { return false }
            // One that was deleted is drained or lost: nobody starts anything of it.
            guard let next = self.ledger(ledger.id) else { return false }
            return next.primary != ledger.primary || next.term != ledger.term
        }
    }
}
