public import DequeModule
public import Primitives

/// One replica of a ledger: the state that its entries add up to, and the newest entries themselves.
///
/// Entries are folded as they come, committed or not. A copy whose newest entries turn out not to be the primary's is
/// therefore not mended: its tail is offered to the primary, and the whole copy is replaced by the primary's.
///
/// `recent` holds at least all that may not be committed yet (a primary bounds that to `Limits.uncommittedEntries`), so a
/// replica that becomes primary can re-send its tail, and one that diverged can offer it.
public struct LedgerCopy: Sendable {
    public let id: LedgerID
    public private(set) var last: Place
    /// The highest term seen: what comes from a lower one is refused.
    public private(set) var seen: Term
    public private(set) var state = LedgerState()
    /// Contiguous, ending with `last`.
    public private(set) var recent: Deque<LedgerEntry> = []
    private var recentCost = 0
    /// Up to here entries are known to be committed.
    public private(set) var committed: UInt64 = 0

    public init(id: LedgerID, last: Place = .start, seen: Term = Term(0)) {
        self.id = id
        self.last = last
        self.seen = max(seen, last.term)
    }

    // MARK: Writing

    /// As primary: the next entry of `term`.
    public mutating func append(_ event: LedgerEvent, in term: Term) -> Place {
        precondition(term >= last.term, "a primary never writes in an earlier term")
        let place = Place(term: term, sequence: last.sequence + 1)
        take(LedgerEntry(place: place, event: event))
        return place
    }

    /// As backup: the primary's next entry. The caller has checked that it follows `last`.
    mutating func take(_ entry: LedgerEntry) {
        last = entry.place
        seen = max(seen, entry.place.term)
        state.apply(entry.event)
        recent.append(entry)
        recentCost += entry.event.cost
        trim()
    }

    /// The primary's record of a task, while the whole ledger is being copied.
    mutating func insert(_ record: TaskRecord) { state.insert(record) }

    /// The primary's idempotency keys, while the whole ledger is being copied.
    mutating func bind(_ bindings: [KeyBinding]) {
        for binding in bindings { state.bind(binding) }
    }

    /// No entry: a void binding means nothing, at whichever replica it is kept longer.
    mutating func pruneKeys(at now: Instant) { state.pruneKeys(at: now) }

    /// See `LedgerState`.
    mutating func settleLanes() { state.settleLanes() }

    mutating func forgot(upTo id: TaskID?) { state.forgot(upTo: id) }

    /// Entries up to `last`, whose effects are in the records of the tasks.
    mutating func recall(_ entries: [LedgerEntry]) {
        recent.append(contentsOf: entries)
        recentCost += entries.reduce(0) { $0 + $1.event.cost }
    }

    /// Places that a copy in progress has caught up to without entries of its own.
    mutating func jump(to place: Place) {
        recent.removeAll()
        recentCost = 0
        last = place
        seen = max(seen, place.term)
    }

    mutating func becomeDue(_ id: TaskID) { state.becomeDue(id) }

    /// What it is committed up to, as far as this replica knows.
    mutating func commit(upTo sequence: UInt64) {
        committed = max(committed, min(sequence, last.sequence))
        trim()
    }

    /// Refuses lower terms from now on.
    mutating func see(_ term: Term) { seen = max(seen, term) }

    /// Committed entries are kept only as far as they help others to catch up without a whole copy.
    private mutating func trim() {
        while let first = recent.first, first.place.sequence <= committed,
            recent.count > Limits.recentEntries || recentCost > Limits.recentBytes
        {
            recentCost -= first.event.cost
            recent.removeFirst()
        }
    }

    // MARK: Reading

    /// The entries that may not be committed.
    public var uncommitted: [LedgerEntry] {
        guard let first = recent.first, committed < last.sequence else { return [] }
        return Array(recent.dropFirst(Int(max(committed + 1, first.place.sequence) - first.place.sequence)))
    }

    /// Whether `place` is in this history; nil if it is too old to tell.
    func contains(_ place: Place) -> Bool? {
        if place == last || place == .start { return true }
        if place.sequence > last.sequence { return false }
        #if PLANTED_BUGS
        if PlantedBug.isActive(.tailsComparedByLength) { return true }
        #endif
        guard let first = recent.first else { return place.sequence == last.sequence ? false : nil }
        if place.sequence + 1 < first.place.sequence { return nil }
        // The place before the first recent entry: its term is not known any more.
        if place.sequence + 1 == first.place.sequence { return nil }
        return recent[Int(place.sequence - first.place.sequence)].place == place
    }

    /// Entries after `sequence`, of at most about `bytes`, at least one; nil if they are not held any more.
    public func entries(after sequence: UInt64, bytes: Int) -> [LedgerEntry]? {
        guard sequence < last.sequence else { return [] }
        guard let first = recent.first, sequence + 1 >= first.place.sequence else { return nil }
        var batch: [LedgerEntry] = []
        var cost = 0
        for index in Int(sequence + 1 - first.place.sequence)..<recent.count {
            cost += recent[index].event.cost
            if cost > bytes, !batch.isEmpty { break }
            batch.append(recent[index])
        }
        return batch
    }

    /// The place of an entry that is held; nil if it is not.
    func place(at sequence: UInt64) -> Place? {
        if sequence == last.sequence { return last }
        if sequence == 0 { return .start }
        guard let first = recent.first, sequence >= first.place.sequence, sequence < last.sequence else { return nil }
        return recent[Int(sequence - first.place.sequence)].place
    }
}

extension Limits {
    /// Entries that a primary may have written ahead of what is committed; beyond, submissions are refused.
    public static let uncommittedEntries = 65_536
    public static let uncommittedBytes = 64 << 20
    /// Committed entries that are kept for a backup whose link was down for a moment.
    public static let recentEntries = 16_384
    public static let recentBytes = 8 << 20
}
