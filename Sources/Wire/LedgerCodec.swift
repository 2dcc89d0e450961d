public import Primitives
public import TaskLedger

// What owners, replicas and executors say to each other. Instants go as ages, so that clocks need not agree.

extension ByteWriter {
    public mutating func appendRequest(_ value: AppendRequest) {
        ledgerID(value.ledger)
        varint(value.term.rawValue)
        place(value.previous)
        array(value.entries) { $0.ledgerEntry($1) }
        varint(value.committed)
        varint(value.offerAfter)
    }

    public mutating func copyRequest(_ value: CopyRequest) {
        ledgerID(value.ledger)
        varint(value.term.rawValue)
        varint(value.number)
        bool(value.isFirst)
        bool(value.isLast)
        place(value.place)
        array(value.records) { $0.taskRecord($1) }
        array(value.keys) { $0.keyBinding($1) }
        varint(value.committed)
        optional(value.forgottenUpTo) { $0.taskID($1) }
    }

    public mutating func replicaReply(_ value: ReplicaReply) {
        switch value {
        case .held(let place):
            uint8(1)
            self.place(place)
        case .copying:
            uint8(2)
        case .sealed(let term):
            uint8(3)
            varint(term.rawValue)
        case .mismatch(let last, let tail, let isWhole):
            uint8(4)
            place(last)
            array(tail) { $0.ledgerEntry($1) }
            bool(isWhole)
        }
    }

    public mutating func offerRequest(_ value: OfferRequest) {
        ledgerID(value.ledger)
        array(value.tail) { $0.ledgerEntry($1) }
    }

    public mutating func attemptID(_ value: AttemptID) {
        ledgerID(value.ledger)
        taskID(value.id)
        token(value.token)
    }

    public mutating func assignment(_ value: Assignment) {
        attemptID(value.attempt)
        taskSpec(value.spec)
        bool(value.isSolitary)
        parentOutcomes(value.parents)
    }

    public mutating func attemptReport(_ value: AttemptReport) {
        attemptID(value.attempt)
        switch value.outcome {
        case .completed(let result):
            uint8(1)
            taskResult(result)
        case .failed(let failure):
            uint8(2)
            taskFailure(failure)
        case .stopped:
            uint8(3)
        case .released:
            uint8(4)
        }
    }

    public mutating func stealRequest(_ value: StealRequest) {
        varint(UInt64(min(max(value.wanted, 0), Limits.stolenTasks)))
        priority(value.minimumPriority)
    }
}

extension ByteReader {
    public mutating func appendRequest() throws(WireError) -> AppendRequest {
        AppendRequest(
            ledger: try ledgerID(), term: try term(), previous: try place(), entries: try ledgerEntries(),
            committed: try varint(), offerAfter: try varint())
    }

    public mutating func copyRequest() throws(WireError) -> CopyRequest {
        CopyRequest(
            ledger: try ledgerID(), term: try term(), number: try varint(), isFirst: try bool(), isLast: try bool(),
            place: try place(),
            records: try array(upTo: Limits.messageEntries, "records") { (reader) throws(WireError) in
                try reader.taskRecord()
            }, keys: try keyBindings(), committed: try varint(),
            forgottenUpTo: try optional { reader throws(WireError) in try reader.taskID() })
    }

    public mutating func replicaReply() throws(WireError) -> ReplicaReply {
        switch try uint8() {
        case 1: .held(try place())
        case 2: .copying
        case 3: .sealed(try term())
        case 4: .mismatch(last: try place(), tail: try ledgerEntries(), isWhole: try bool())
        default: throw .invalid("reply of a replica")
        }
    }

    public mutating func offerRequest() throws(WireError) -> OfferRequest {
        OfferRequest(ledger: try ledgerID(), tail: try ledgerEntries())
    }

    mutating func ledgerEntries() throws(WireError) -> [LedgerEntry] {
        try array(upTo: Limits.messageEntries, "entries") { (reader) throws(WireError) in try reader.ledgerEntry() }
    }

    public mutating func attemptID() throws(WireError) -> AttemptID {
        AttemptID(ledger: try ledgerID(), id: try taskID(), token: try attemptToken())
    }

    public mutating func assignment() throws(WireError) -> Assignment {
        let attempt = try attemptID()
        let assignment = Assignment(
            ledger: attempt.ledger, id: attempt.id, token: attempt.token, spec: try taskSpec(), isSolitary: try bool(),
            parents: try parentOutcomes())
        guard assignment.parents.count == assignment.spec.dependencies.parents.count else {
            throw .invalid("ends of parents")
        }
        return assignment
    }

    public mutating func attemptReport() throws(WireError) -> AttemptReport {
        AttemptReport(attempt: try attemptID(), outcome: try attemptOutcome())
    }

    private mutating func attemptOutcome() throws(WireError) -> AttemptOutcome {
        switch try uint8() {
        case 1: .completed(try taskResult())
        case 2: .failed(try taskFailure())
        case 3: .stopped
        case 4: .released
        default: throw .invalid("outcome of an attempt")
        }
    }

    public mutating func stealRequest() throws(WireError) -> StealRequest {
        StealRequest(
            wanted: Int(try number(upTo: UInt64(Limits.stolenTasks), "tasks wanted")), minimumPriority: try priority())
    }
}

extension Limits {
    /// Entries or records of one message: an event counts at least 64 bytes, so no batch within its bytes has more.
    public static let messageEntries = max(offerBytes, appendBytes, copyBytes) / 64 + 1
    /// Tasks that one node may ask another for at once.
    public static let stolenTasks = 65_535
}
