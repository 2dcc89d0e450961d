import DequeModule
import Primitives

/// Which tasks of a ledger have to wait for others with the same ordering key: each key has a lane of its open tasks, in
/// the order of their acceptance, and only the first one may run; the others are `blocked`.
///
/// A task leaves its lane when it ends, however that may be: a dead letter does not hold up those behind it. One that is
/// run again joins at the end. Retries and interruptions keep the place.
///
/// The order is that of the ledger's entries, and goes with the tasks' records as an ordinal. A copy that is still being
/// made may lack a task, and then takes the next one for the first; so nobody decides by a copy before it is whole, and a
/// new primary settles who is first (`LedgerState.settleLanes`).
struct OrderingLanes: Sendable {
    private struct Place: Sendable {
        var ordinal: UInt64
        var id: TaskID
    }

    private var lanes: [String: Deque<Place>] = [:]
    private var next: UInt64 = 1

    func isFirst(_ id: TaskID, of key: String) -> Bool { lanes[key]?.first?.id == id }

    /// How many tasks come before this one.
    func count(before id: TaskID, of key: String) -> Int { lanes[key]?.firstIndex { $0.id == id } ?? 0 }

    /// All tasks of a key, in their order.
    func tasks(of key: String) -> [TaskID] { lanes[key]?.map(\.id) ?? [] }

    /// The first tasks of all lanes, ascending.
    var heads: [TaskID] { lanes.values.compactMap(\.first?.id).sorted() }

    /// At the end. Returns its ordinal.
    mutating func join(_ id: TaskID, _ key: String) -> UInt64 {
        insert(id, key, ordinal: next)
        return next - 1
    }

    /// Where its ordinal says.
    mutating func insert(_ id: TaskID, _ key: String, ordinal: UInt64) {
        next = max(next, ordinal + 1)
        var lane = lanes.removeValue(forKey: key) ?? []
        let position = lane.lastIndex { $0.ordinal < ordinal }.map { $0 + 1 } ?? 0
        lane.insert(Place(ordinal: ordinal, id: id), at: position)
        lanes[key] = lane
    }

    /// Returns who is the first one now, if that has changed.
    mutating func leave(_ id: TaskID, _ key: String) -> TaskID? {
        guard var lane = lanes.removeValue(forKey: key) else { return nil }
        let position = lane.firstIndex { $0.id == id }
        if let position { lane.remove(at: position) }
        if !lane.isEmpty { lanes[key] = lane }
        return position == 0 ? lane.first?.id : nil
    }
}
