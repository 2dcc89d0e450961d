import Primitives

/// A group that waits to be written, or is being written.
struct PendingGroup {
    let kind: GroupCodec.Kind
    /// Of a mark, otherwise 0.
    let snapshot: UInt64
    /// The room of the header, then the records.
    private(set) var bytes = [UInt8](repeating: 0, count: GroupCodec.headerBytes)
    private(set) var count = 0
    var completions: [Journal.Completion] = []

    init(_ kind: GroupCodec.Kind, snapshot: UInt64 = 0) {
        self.kind = kind
        self.snapshot = snapshot
    }

    /// A mark is alone in its group, and so is a record that fills one.
    func takes(_ record: [UInt8]) -> Bool {
        kind == .records
            && bytes.count + GroupCodec.recordHeaderBytes + record.count
                <= GroupCodec.headerBytes + Limits.journalGroupBytes
    }

    mutating func append(_ record: [UInt8]) {
        GroupCodec.appendRecord(record, to: &bytes)
        count += 1
    }

    mutating func seal(durable: JournalPosition, writtenAt: UInt64, store: StoreID, at position: JournalPosition) {
        GroupCodec.seal(
            &bytes, kind: kind, count: count, durable: durable, writtenAt: writtenAt, snapshot: snapshot,
            place: GroupCodec.Place(store: store, segment: position.segment), offset: position.offset)
    }
}
