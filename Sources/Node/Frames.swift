import Peers
import Primitives
import TaskLedger
import Views
import Wire

extension Frame {
    /// A frame whose body `write` makes up. Ages in it are relative to `now`.
    init(_ tag: MessageTag, at now: Instant, _ write: (inout ByteWriter) -> Void = { _ in }) {
        var writer = ByteWriter(now: now)
        write(&writer)
        self.init(tag.rawValue, writer.bytes)
    }

    /// Reads the whole body: bytes that remain are an error.
    func read<Value>(
        at now: Instant, _ read: (inout ByteReader) throws(WireError) -> Value
    ) throws(WireError) -> Value {
        var reader = ByteReader(body[...], now: now)
        let value = try read(&reader)
        try reader.finish()
        return value
    }
}

extension ByteReader {
    mutating func attemptIDs() throws(WireError) -> [AttemptID] {
        try array(upTo: Limits.attemptsPerMessage, "attempts") { reader throws(WireError) in try reader.attemptID() }
    }

    mutating func replicaPosition() throws(WireError) -> ReplicaPosition {
        ReplicaPosition(
            ledger: try ledgerID(), replica: try storeHolder(), term: Term(try uint64()), sequence: try uint64())
    }
}

extension ByteWriter {
    mutating func attemptIDs(_ attempts: [AttemptID]) { array(attempts) { $0.attemptID($1) } }

    mutating func replicaPosition(_ position: ReplicaPosition) {
        ledgerID(position.ledger)
        storeHolder(position.replica)
        uint64(position.term.rawValue)
        uint64(position.sequence)
    }
}

extension Limits {
    /// Attempts that one message between nodes names.
    static let attemptsPerMessage = 65_536
}
