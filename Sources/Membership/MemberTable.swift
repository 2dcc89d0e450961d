import Primitives

/// The other members, one row per name, ascending: the living, and as tombstones the dead and the left.
///
/// A row is large: what happens for every datagram finds its index and reads the fields in place.
struct MemberTable: Hashable, Sendable {
    private(set) var rows: [MemberRecord] = []
    /// Indices of the living, ascending.
    private(set) var livingIndices: [Int] = []

    var livingCount: Int { livingIndices.count }

    /// Where the row of `name` is, or would be.
    private func place(of name: NodeName) -> Int {
        var low = 0
        var high = rows.count
        while low < high {
            let middle = (low + high) / 2
            if rows[middle].id.name < name { low = middle + 1 } else { high = middle }
        }
        return low
    }

    func index(of name: NodeName) -> Int? {
        // To tell names apart is cheaper than to order them.
        guard rows.count > 12 else { return rows.firstIndex { $0.id.name == name } }
        let place = place(of: name)
        return place < rows.count && rows[place].id.name == name ? place : nil
    }

    subscript(name: NodeName) -> MemberRecord? { index(of: name).map { rows[$0] } }

    /// That generation, if it is the one known.
    subscript(id: NodeID) -> MemberRecord? {
        guard let index = index(of: id.name), rows[index].id.generation == id.generation else { return nil }
        return rows[index]
    }

    var living: [MemberRecord] { livingIndices.map { rows[$0] } }

    /// Inserts `record`, or replaces the row of its name.
    mutating func put(_ record: MemberRecord) {
        let place = place(of: record.id.name)
        if place < rows.count, rows[place].id.name == record.id.name {
            let wasLiving = rows[place].state.isLiving
            rows[place] = record
            if wasLiving == record.state.isLiving { return }
        } else {
            rows.insert(record, at: place)
        }
        findLiving()
        if rows.count - livingCount > MembershipLimits.tombstones { removeOldestTombstone() }
    }

    /// What a member says of itself in passing. Whether it is news.
    mutating func hear(_ load: LoadDigest, viewNumber: UInt64, of index: Int, at instant: Instant) -> Bool {
        rows[index].heardAt = instant
        guard rows[index].load != load || rows[index].viewNumber != viewNumber else { return false }
        rows[index].load = load
        rows[index].viewNumber = viewNumber
        return true
    }

    private mutating func findLiving() { livingIndices = rows.indices.filter { rows[$0].state.isLiving } }

    private mutating func removeOldestTombstone() {
        var oldest: Int?
        for (index, row) in rows.enumerated() where !row.state.isLiving {
            if let known = oldest, rows[known].since <= row.since { continue }
            oldest = index
        }
        guard let oldest else { return }
        rows.remove(at: oldest)
        findLiving()
    }

    mutating func removeTombstones(where shouldRemove: (MemberRecord) -> Bool) {
        let before = rows.count
        rows.removeAll { !$0.state.isLiving && shouldRemove($0) }
        if rows.count != before { findLiving() }
    }
}
