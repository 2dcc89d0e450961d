import Primitives

/// The other members, one row per name, ascending: the living, and as tombstones the dead and the left.
struct MemberTable: Hashable, Sendable {
    private(set) var rows: [MemberRecord] = []
    private(set) var livingCount = 0

    private func place(of name: NodeName) -> Int {
        var low = 0
        var high = rows.count
        while low < high {
            let middle = (low + high) / 2
            if rows[middle].id.name < name { low = middle + 1 } else { high = middle }
        }
        return low
    }

    subscript(name: NodeName) -> MemberRecord? {
        let place = place(of: name)
        guard place < rows.count, rows[place].id.name == name else { return nil }
        return rows[place]
    }

    /// That generation, if it is the one known.
    subscript(id: NodeID) -> MemberRecord? {
        guard let record = self[id.name], record.id == id else { return nil }
        return record
    }

    var living: [MemberRecord] { rows.filter(\.state.isLiving) }

    /// Inserts `record`, or replaces the row of its name.
    mutating func put(_ record: MemberRecord) {
        let place = place(of: record.id.name)
        if place < rows.count, rows[place].id.name == record.id.name {
            livingCount -= rows[place].state.isLiving ? 1 : 0
            rows[place] = record
        } else {
            rows.insert(record, at: place)
        }
        livingCount += record.state.isLiving ? 1 : 0
        if rows.count - livingCount > MembershipLimits.tombstones { removeOldestTombstone() }
    }

    /// What a member says of itself in passing.
    mutating func hear(_ load: LoadDigest, viewNumber: UInt64, of name: NodeName, at instant: Instant) {
        let place = place(of: name)
        guard place < rows.count, rows[place].id.name == name else { return }
        rows[place].load = load
        rows[place].viewNumber = viewNumber
        rows[place].heardAt = instant
    }

    private mutating func removeOldestTombstone() {
        var oldest: Int?
        for (index, row) in rows.enumerated() where !row.state.isLiving {
            if let known = oldest, rows[known].since <= row.since { continue }
            oldest = index
        }
        if let oldest { rows.remove(at: oldest) }
    }

    mutating func removeTombstones(where shouldRemove: (MemberRecord) -> Bool) {
        rows.removeAll { !$0.state.isLiving && shouldRemove($0) }
    }
}
