public import Primitives

/// From a primary to a replica: what comes after `previous`. Empty, it only asks where the replica is.
public struct AppendRequest: Hashable, Sendable {
    public var ledger: LedgerID
    public var term: Term
    /// The place of the entry before the first one.
    public var previous: Place
    public var entries: [LedgerEntry]
    /// Up to here the primary knows its entries to be committed.
    public var committed: UInt64
    /// If the histories differ: offer the tail after this sequence number (a long tail takes several rounds).
    public var offerAfter: UInt64

    public init(
        ledger: LedgerID, term: Term, previous: Place, entries: [LedgerEntry], committed: UInt64, offerAfter: UInt64
    ) {
        self.ledger = ledger
        self.term = term
        self.previous = previous
        self.entries = entries
        self.committed = committed
        self.offerAfter = offerAfter
    }
}

/// From a primary to a replica whose history is not a beginning of its own: some of its tasks, as they are now. Chunks
/// and appended entries come in the order in which they were sent; the last chunk replaces what the replica held, at once.
public struct CopyRequest: Hashable, Sendable {
    public var ledger: LedgerID
    public var term: Term
    /// Counts the copies that the primary has begun to send in this term: chunks of different ones make no whole.
    public var number: UInt64
    public var isFirst: Bool
    public var isLast: Bool
    /// Where the primary was when it sent this: every earlier entry is in a chunk, or was sent before.
    public var place: Place
    public var records: [TaskRecord]
    /// Some of its idempotency keys.
    public var keys: [KeyBinding]
    public var committed: UInt64
    /// Tasks up to this one may have been in the ledger, and been forgotten.
    public var forgottenUpTo: TaskID?

    public init(
        ledger: LedgerID, term: Term, number: UInt64, isFirst: Bool, isLast: Bool, place: Place, records: [TaskRecord],
        keys: [KeyBinding] = [], committed: UInt64, forgottenUpTo: TaskID? = nil
    ) {
        self.ledger = ledger
        self.term = term
        self.number = number
        self.isFirst = isFirst
        self.isLast = isLast
        self.place = place
        self.records = records
        self.keys = keys
        self.committed = committed
        self.forgottenUpTo = forgottenUpTo
    }
}

/// What a replica answers to both.
public enum ReplicaReply: Hashable, Sendable {
    /// It holds everything up to this place.
    case held(Place)
    /// It receives a copy and holds nothing that counts yet.
    case copying
    /// It has seen a higher term: the sender is sealed.
    case sealed(Term)
    /// The entry at `previous` is not its own. `tail` is what it holds and does not know to be committed, after the
    /// sequence number asked for; `isWhole` if that is all of it.
    case mismatch(last: Place, tail: [LedgerEntry], isWhole: Bool)
}

/// From a replica that no view lists any more: what only it may hold, for the primary to adopt.
public struct OfferRequest: Hashable, Sendable {
    public var ledger: LedgerID
    public var tail: [LedgerEntry]

    public init(ledger: LedgerID, tail: [LedgerEntry]) {
        self.ledger = ledger
        self.tail = tail
    }
}
