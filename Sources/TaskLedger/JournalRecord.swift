public import Primitives

/// What a node writes down about its ledgers. `StoredLedgers` folds these, in their order, back to the copies.
///
/// The tags in the codec are stable: these are read by later versions of the program.
public enum JournalRecord: Hashable, Sendable {
    /// What the entries were added to.
    public enum Target: UInt8, Hashable, Sendable {
        /// The copy that counts.
        case held
        /// The copy that a primary is sending, beside the one that counts.
        case incoming
    }

    /// Why a whole copy is written.
    public enum Purpose: UInt8, Hashable, Sendable {
        /// A primary sends it: it replaces the copy that counts with `copyEnds`, at once.
        case incoming
        /// The node's own copy, so that older segments of the journal can go.
        case snapshot
    }

    /// Contiguous entries, and up to where the ledger was known to be committed then.
    case entries(LedgerID, Target, [LedgerEntry], committed: UInt64)
    /// A term above any before it was seen: lower ones are refused.
    case seen(LedgerID, Term)
    /// Records of the tasks follow, with entries in between.
    case copyBegins(LedgerID, Purpose, place: Place, seen: Term)
    /// Right after `copyBegins`: entries up to its place that may not be committed; their effects are in the records.
    case copyTail(LedgerID, Purpose, [LedgerEntry])
    /// Tasks as they were when this was written, all entries written before included.
    case copyRecords(LedgerID, Purpose, [TaskRecord])
    /// Idempotency keys as they were when this was written.
    case copyKeys(LedgerID, Purpose, [KeyBinding])
    /// Tasks up to `forgottenUpTo` may have been in the ledger, and been forgotten.
    case copyEnds(LedgerID, Purpose, committed: UInt64, forgottenUpTo: TaskID?)
    /// The node keeps nothing of the ledger any more.
    case dropped(LedgerID)
    /// The store begins: written before anybody hears of it, so that an empty journal is known to be a lost one.
    case opened

    public var ledger: LedgerID? {
        switch self {
        case .opened: nil
        case .entries(let id, _, _, _), .seen(let id, _), .copyBegins(let id, _, _, _), .copyTail(let id, _, _),
            .copyRecords(let id, _, _), .copyKeys(let id, _, _), .copyEnds(let id, _, _, _), .dropped(let id):
            id
        }
    }
}

/// The ledgers of a node, as its journal's records add up to them.
///
/// - Between `snapshotBegan` and `snapshotEnded` each ledger is written anew while it changes: entries apply to the old copy
///   and to the one that is being written (a fuzzy snapshot). What the journal held before the mark may be gone, so entries
///   of a ledger that is not known yet are passed over until its own copy begins.
/// - A snapshot without an end is discarded: the segments before it are there.
/// - Everything else that does not fit is damage, and is refused: nothing is skipped in silence.
public struct StoredLedgers: Sendable {
    /// The journal holds what its writer cannot have written.
    public enum Damage: Error, Hashable, Sendable, CustomStringConvertible {
        case gap(LedgerID, after: Place, found: Place)
        case noCopyBegun(LedgerID)

        public var description: String {
            switch self {
            case .gap(let id, let last, let found): "ledger \(id) goes on with entry \(found) after \(last)"
            case .noCopyBegun(let id): "a part of a copy of ledger \(id) that did not begin"
            }
        }
    }

    private struct Stored: Sendable {
        var held: LedgerCopy?
        var incoming: LedgerCopy?
        var snapshot: LedgerCopy?
    }

    private var ledgers: [LedgerID: Stored] = [:]
    private var isInSnapshot = false

    public init() {}

    /// What the node holds, ascending by ledger.
    public var copies: [LedgerCopy] { ledgers.keys.sorted().compactMap { ledgers[$0]?.held } }

    public mutating func snapshotBegan() {
        isInSnapshot = true
        for id in ledgers.keys { ledgers[id]?.snapshot = nil }
    }

    public mutating func snapshotEnded() {
        isInSnapshot = false
        for id in ledgers.keys {
            if let snapshot = ledgers[id]?.snapshot { ledgers[id]?.held = snapshot }
            ledgers[id]?.snapshot = nil
        }
    }

    public mutating func apply(_ record: JournalRecord) throws(Damage) {
        guard let id = record.ledger else { return }
        // Taken out, so that a copy has one reference and is changed in place.
        var stored = ledgers.removeValue(forKey: id) ?? Stored()
        defer { if stored.held != nil || stored.incoming != nil || stored.snapshot != nil { ledgers[id] = stored } }
        switch record {
        case .entries(_, .held, let entries, let committed):
            if stored.held == nil, entries.first?.place.sequence == 1 { stored.held = LedgerCopy(id: id) }
            if stored.held == nil, !isInSnapshot, let first = entries.first {
                throw .gap(id, after: .start, found: first.place)
            }
            try Self.add(entries, committed, to: &stored.held)
            #if PLANTED_BUGS
            if PlantedBug.isActive(.snapshotWithoutTail) { return }
            #endif
            try Self.add(entries, committed, to: &stored.snapshot)
        case .entries(_, .incoming, let entries, let committed):
            guard stored.incoming != nil else { throw .noCopyBegun(id) }
            try Self.add(entries, committed, to: &stored.incoming)
        case .seen(_, let term):
            if stored.held == nil, !isInSnapshot { stored.held = LedgerCopy(id: id) }
            stored.held?.see(term)
            stored.snapshot?.see(term)
        case .copyBegins(_, .incoming, let place, let seen):
            stored.incoming = LedgerCopy(id: id, last: place, seen: seen)
        case .copyBegins(_, .snapshot, let place, let seen):
            stored.snapshot = LedgerCopy(id: id, last: place, seen: seen)
        case .copyTail(_, .incoming, let tail):
            guard stored.incoming != nil else { throw .noCopyBegun(id) }
            stored.incoming?.recall(tail)
        case .copyTail(_, .snapshot, let tail):
            guard stored.snapshot != nil else { throw .noCopyBegun(id) }
            stored.snapshot?.recall(tail)
        case .copyRecords(_, .incoming, let records):
            guard stored.incoming != nil else { throw .noCopyBegun(id) }
            for record in records { stored.incoming?.insert(record) }
        case .copyRecords(_, .snapshot, let records):
            guard stored.snapshot != nil else { throw .noCopyBegun(id) }
            for record in records { stored.snapshot?.insert(record) }
        case .copyKeys(_, .incoming, let keys):
            guard stored.incoming != nil else { throw .noCopyBegun(id) }
            stored.incoming?.bind(keys)
        case .copyKeys(_, .snapshot, let keys):
            guard stored.snapshot != nil else { throw .noCopyBegun(id) }
            stored.snapshot?.bind(keys)
        case .copyEnds(_, .incoming, let committed, let forgotten):
            guard var copy = stored.incoming else { throw .noCopyBegun(id) }
            copy.forgot(upTo: forgotten)
            copy.commit(upTo: committed)
            stored.held = copy
            // It was written whole since the mark, or the snapshot would not have begun.
            if isInSnapshot { stored.snapshot = copy }
            stored.incoming = nil
        case .copyEnds(_, .snapshot, let committed, let forgotten):
            guard stored.snapshot != nil else { throw .noCopyBegun(id) }
            stored.snapshot?.forgot(upTo: forgotten)
            stored.snapshot?.commit(upTo: committed)
        case .dropped:
            stored = Stored()
        case .opened:
            break
        }
    }

    private static func add(
        _ entries: [LedgerEntry], _ committed: UInt64, to copy: inout LedgerCopy?
    ) throws(Damage) {
        guard var held = copy else { return }
        copy = nil
        for entry in entries {
            guard entry.place.sequence == held.last.sequence + 1, entry.place.term >= held.last.term else {
                throw .gap(held.id, after: held.last, found: entry.place)
            }
            held.take(entry)
        }
        held.commit(upTo: committed)
        copy = held
    }
}
