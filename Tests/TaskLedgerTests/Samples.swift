import Primitives

@testable import TaskLedger

/// Short ways to say what the tests of this target are about.
enum Sample {
    static func name(_ text: String) -> NodeName {
        guard let name = NodeName(text) else { preconditionFailure("not a name: \(text)") }
        return name
    }

    static func node(_ text: String, _ generation: UInt64 = 1) -> NodeID {
        NodeID(name: name(text), generation: Generation(generation))
    }

    static func replica(_ text: String, _ store: UInt64 = 1) -> StoreHolder {
        StoreHolder(name: name(text), store: StoreID(store))
    }

    static let ledger = LedgerID(1)
    static let at = Timestamp(milliseconds: 7)
    static let me = node("me")
    static let thief = node("thief")
    static let failure = TaskFailure(type: "e", message: "m", isRetryable: true)
    static let finalFailure = TaskFailure(type: "e", message: "m", isRetryable: false)

    static func task(_ number: UInt64) -> TaskID { TaskID(high: 1, low: number) }
    static func token(_ attempt: UInt32, term: UInt64 = 1, run: UInt32 = 1) -> Token {
        Token(run: run, term: Term(term), attempt: attempt)
    }
    static func instant(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    static func acceptance(_ number: UInt64, _ spec: TaskSpec = TaskSpec(type: "t"), due: Instant? = nil) -> Acceptance
    {
        Acceptance(id: task(number), spec: spec, enqueuedAt: .zero, due: due, expires: nil)
    }

    static func place(_ term: UInt64, _ sequence: UInt64) -> Place { Place(term: Term(term), sequence: sequence) }

    /// Entry number `sequence`: the acceptance of task number `sequence`.
    static func entry(_ term: UInt64, _ sequence: UInt64, payload: Int = 0) -> LedgerEntry {
        let spec = TaskSpec(type: "t", payload: Array(repeating: 0, count: payload))
        return LedgerEntry(place: place(term, sequence), event: .accepted(acceptance(sequence, spec)))
    }

    static func lease(_ attempt: UInt32, at holder: NodeID = thief, isStarted: Bool = false) -> Lease {
        Lease(token: token(attempt), holder: holder, at: at, isStarted: isStarted)
    }

    static func append(
        _ term: UInt64, after previous: Place, _ entries: [LedgerEntry] = [], committed: UInt64 = 0,
        offerAfter: UInt64 = 0
    ) -> AppendRequest {
        AppendRequest(
            ledger: ledger, term: Term(term), previous: previous, entries: entries, committed: committed,
            offerAfter: offerAfter)
    }
}
