public import Primitives

/// A ledger that this node backs up, or is about to (rule R2).
///
/// - `append` from a term at least as high as any seen, whose `previous` is `last`: takes the entries, answers `held`.
///   Entries that it holds already (sent again after a broken link) are skipped.
/// - `append` that does not fit: answers `mismatch` with the tail that may not be committed; the primary either knows
///   `last` and continues from there, or adopts the tail and sends a whole copy.
/// - `copy`: gathers a new copy beside the old one, which stays what counts until the last chunk has come; then the new
///   one replaces it at once. So a listed replica never holds less than it has acknowledged. What an earlier link still
///   delivers after a later one is no part of it: a chunk of another copy, or one of this term that ends before `last`.
/// - `seal`: a view was installed that gives the ledger a higher term. Never at a promise: a ballot may fail.
///
/// Durability is the caller's: what has to be written down comes as `JournalRecord`s, and an answer may be sent once they
/// are as durable as the settings demand.
public struct Replica: Sendable {
    public private(set) var copy: LedgerCopy
    private var incoming: LedgerCopy?
    /// Of the copy that is `incoming`.
    private var incomingNumber: UInt64 = 0
    /// A primary is sending a whole copy.
    public var isReceiving: Bool { incoming != nil }
    /// The term of the last primary that it answered. That primary may count on what it was told, listed or not: such a
    /// copy is not dropped as long as the ledger is in this term.
    public private(set) var followed = Term(0)

    public init(id: LedgerID) { copy = LedgerCopy(id: id) }

    /// What an old primary keeps when it steps down.
    public init(_ copy: LedgerCopy) { self.copy = copy }

    /// What was read from the disk. Who was told what is not known any more: it may have been the primary of the highest
    /// term that was seen.
    public init(recovered copy: LedgerCopy) {
        self.copy = copy
        followed = copy.seen
    }

    public mutating func seal(_ term: Term, into records: inout [JournalRecord]) {
        #if PLANTED_BUGS
        if PlantedBug.isActive(.noSeal) { return }
        #endif
        guard term > copy.seen else { return }
        copy.see(term)
        records.append(.seen(copy.id, term))
    }

    public mutating func handle(_ request: AppendRequest, into records: inout [JournalRecord]) -> ReplicaReply {
        guard request.term >= copy.seen else { return .sealed(copy.seen) }
        seal(request.term, into: &records)
        followed = request.term
        // A request without entries asks what counts; the rest of a copy that was on its way may be lost.
        if request.entries.isEmpty { incoming = nil }
        if var gathering = incoming, gathering.seen == request.term, request.previous == gathering.last {
            incoming = nil  // One reference: else every change would copy all of it.
            var taken: [LedgerEntry] = []
            for entry in request.entries where follows(entry, gathering.last, request.term) {
                gathering.take(entry)
                taken.append(entry)
            }
            incoming = gathering
            if !taken.isEmpty {
                records.append(.entries(copy.id, .incoming, taken, committed: gathering.committed))
            }
            return .copying
        }
        guard copy.contains(request.previous) == true else { return mismatch(request) }
        var taken: [LedgerEntry] = []
        defer {
            if !taken.isEmpty { records.append(.entries(copy.id, .held, taken, committed: copy.committed)) }
        }
        for entry in request.entries {
            if follows(entry, copy.last, request.term) {
                copy.take(entry)
                taken.append(entry)
            } else if copy.contains(entry.place) != true {
                return mismatch(request)
            }
        }
        // Entries of its own after the last one sent are another history, unless nothing was said about them yet.
        if let end = request.entries.last?.place, end != copy.last, copy.last.term < request.term {
            return mismatch(request)
        }
        if request.entries.isEmpty, request.previous != copy.last { return mismatch(request) }
        copy.commit(upTo: request.committed)
        return .held(copy.last)
    }

    public mutating func handle(_ request: CopyRequest, into records: inout [JournalRecord]) -> ReplicaReply {
        guard request.term >= copy.seen else { return .sealed(copy.seen) }
        seal(request.term, into: &records)
        followed = request.term
        guard !isOutdated(request) else { return .mismatch(last: copy.last, tail: [], isWhole: true) }
        if request.isFirst {
            incomingNumber = request.number
            incoming = LedgerCopy(id: copy.id, last: request.place, seen: request.term)
            records.append(.copyBegins(copy.id, .incoming, place: request.place, seen: request.term))
        }
        guard var gathering = incoming, gathering.seen == request.term, incomingNumber == request.number,
            gathering.last == request.place
        else {
            incoming = nil
            return .mismatch(last: copy.last, tail: [], isWhole: true)
        }
        incoming = nil
        for record in request.records { gathering.insert(record) }
        gathering.bind(request.keys)
        if !request.keys.isEmpty { records.append(.copyKeys(copy.id, .incoming, request.keys)) }
        if !request.records.isEmpty { records.append(.copyRecords(copy.id, .incoming, request.records)) }
        guard request.isLast else {
            incoming = gathering
            return .copying
        }
        gathering.commit(upTo: request.committed)
        gathering.forgot(upTo: request.forgottenUpTo)
        copy = gathering
        records.append(
            .copyEnds(copy.id, .incoming, committed: request.committed, forgottenUpTo: request.forgottenUpTo))
        return .held(copy.last)
    }

    /// What is held and not known to be committed, after `sequence`: of at most one frame.
    public func tail(after sequence: UInt64) -> (entries: [LedgerEntry], isWhole: Bool) {
        let start = max(sequence, copy.committed)
        // After a whole copy, what came before it is not held as entries.
        let first = copy.recent.first.map { $0.place.sequence - 1 } ?? start
        let entries = copy.entries(after: max(start, first), bytes: Limits.offerBytes) ?? []
        return (entries, (entries.last?.place ?? copy.last) >= copy.last)
    }

    /// A primary's log only grows: a copy that ends before what is held from the same term was sent before that.
    private func isOutdated(_ request: CopyRequest) -> Bool {
        #if PLANTED_BUGS
        if PlantedBug.isActive(.outdatedCopyTaken) { return false }
        #endif
        return copy.last.term == request.term && request.place < copy.last
    }

    private func follows(_ entry: LedgerEntry, _ last: Place, _ term: Term) -> Bool {
        entry.place.sequence == last.sequence + 1 && entry.place.term >= last.term && entry.place.term <= term
    }

    private func mismatch(_ request: AppendRequest) -> ReplicaReply {
        let (entries, isWhole) = tail(after: request.offerAfter)
        return .mismatch(last: copy.last, tail: entries, isWhole: isWhole)
    }
}

extension Limits {
    /// Entries of one offered tail, so that it fits a frame.
    public static let offerBytes = 4 << 20
    /// Entries of one append request.
    public static let appendBytes = 512 << 10
    /// Records of one chunk of a copy.
    public static let copyBytes = 512 << 10
}
