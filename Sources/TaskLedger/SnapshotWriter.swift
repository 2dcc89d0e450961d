public import Primitives

/// Writes a node's ledgers anew, a part at a time, while they change (a fuzzy snapshot): the other half of
/// `StoredLedgers`, where it says how the parts are read back.
///
/// Before each part everything that has happened has to be in the journal, since the records hold its effects. A ledger that
/// comes while the snapshot is being written is written too. One that is dropped is forgotten, and written from its
/// beginning if it comes back.
public struct SnapshotWriter: Sendable {
    private var begun: Set<LedgerID> = []
    private var current: (ledger: LedgerID, tasks: ArraySlice<TaskID>, keys: ArraySlice<KeyName>)?

    public init() {}

    /// The node keeps nothing of this ledger any more.
    public mutating func dropped(_ id: LedgerID) {
        begun.remove(id)
        if current?.ledger == id { current = nil }
    }

    /// The next part, of about `bytes`; nil: everything has been written.
    ///
    /// - Parameters:
    ///   - ledgers: those that the node holds now, ascending.
    ///   - copy: the copy of one of them.
    public mutating func next(
        ledgers: [LedgerID], bytes: Int, copy: (LedgerID) -> LedgerCopy?
    ) -> [JournalRecord]? {
        var records: [JournalRecord] = []
        if current == nil {
            guard let id = ledgers.first(where: { !begun.contains($0) }), let copy = copy(id) else { return nil }
            begun.insert(id)
            current = (id, copy.state.sortedIDs[...], copy.state.keys.sortedNames[...])
            records.append(.copyBegins(id, .snapshot, place: copy.last, seen: copy.seen))
            records.append(.copyTail(id, .snapshot, copy.uncommitted))
        }
        guard let (id, tasks, keys) = current, let copy = copy(id) else { return records }
        var rest = tasks
        var parts: [TaskRecord] = []
        var cost = 0
        while cost < bytes, let task = rest.popFirst() {
            guard let record = copy.state[task] else { continue }
            parts.append(record)
            cost += record.cost
        }
        if !parts.isEmpty { records.append(.copyRecords(id, .snapshot, parts)) }
        var restOfKeys = keys
        var bindings: [KeyBinding] = []
        while cost < bytes, let key = restOfKeys.popFirst() {
            guard let binding = copy.state.keys[key] else { continue }
            bindings.append(binding)
            cost += binding.cost
        }
        if !bindings.isEmpty { records.append(.copyKeys(id, .snapshot, bindings)) }
        if rest.isEmpty, restOfKeys.isEmpty {
            records.append(
                .copyEnds(id, .snapshot, committed: copy.committed, forgottenUpTo: copy.state.forgottenUpTo))
            current = nil
        } else {
            current = (id, rest, restOfKeys)
        }
        return records
    }
}
