import Primitives

/// Whom each node holds dead or gone: that generation does not come back.
///
/// A node that returns under a new generation of its own was away itself, and begins anew.
struct Verdicts {
    private struct Seen {
        let judge: NodeID
        let start: Int
        var ended: Set<NodeID> = []
    }

    private var seen: [Int: Seen] = [:]

    /// - Parameters:
    ///   - members: whom the node knows, and whether they live.
    ///   - start: which start of its process it is.
    /// - Returns: who was dead or gone for it before, and lives.
    mutating func take(_ members: [(id: NodeID, isLiving: Bool)], by judge: NodeID, start: Int, at node: Int) -> NodeID?
    {
        if seen[node].map({ $0.judge != judge || $0.start != start }) ?? true {
            seen[node] = Seen(judge: judge, start: start)
        }
        for member in members {
            if member.isLiving {
                if seen[node]?.ended.contains(member.id) == true { return member.id }
            } else {
                seen[node]?.ended.insert(member.id)
            }
        }
        return nil
    }
}
