import Primitives
public import TaskLedger

// What a node writes down about its ledgers. Instants go as ages at the time of writing: whoever reads them back gives the
// reader the instant that corresponds to the wall clock of the group they were written in.

extension ByteWriter {
    public mutating func journalRecord(_ value: JournalRecord) {
        switch value {
        case .entries(let ledger, let target, let entries, let committed):
            uint8(1)
            ledgerID(ledger)
            uint8(target.rawValue)
            array(entries) { $0.ledgerEntry($1) }
            varint(committed)
        case .seen(let ledger, let term):
            uint8(2)
            ledgerID(ledger)
            varint(term.rawValue)
        case .copyBegins(let ledger, let purpose, let place, let seen):
            uint8(3)
            ledgerID(ledger)
            uint8(purpose.rawValue)
            self.place(place)
            varint(seen.rawValue)
        case .copyTail(let ledger, let purpose, let entries):
            uint8(4)
            ledgerID(ledger)
            uint8(purpose.rawValue)
            array(entries) { $0.ledgerEntry($1) }
        case .copyRecords(let ledger, let purpose, let records):
            uint8(5)
            ledgerID(ledger)
            uint8(purpose.rawValue)
            array(records) { $0.taskRecord($1) }
        case .copyEnds(let ledger, let purpose, let committed, let forgotten):
            uint8(6)
            ledgerID(ledger)
            uint8(purpose.rawValue)
            varint(committed)
            optional(forgotten) { $0.taskID($1) }
        case .dropped(let ledger):
            uint8(7)
            ledgerID(ledger)
        case .opened:
            uint8(8)
        case .copyKeys(let ledger, let purpose, let keys):
            uint8(9)
            ledgerID(ledger)
            uint8(purpose.rawValue)
            array(keys) { $0.keyBinding($1) }
        }
    }
}

extension ByteReader {
    public mutating func journalRecord() throws(WireError) -> JournalRecord {
        switch try uint8() {
        case 1: .entries(try ledgerID(), try target(), try ledgerEntries(), committed: try varint())
        case 2: .seen(try ledgerID(), try term())
        case 3: .copyBegins(try ledgerID(), try purpose(), place: try place(), seen: try term())
        case 4: .copyTail(try ledgerID(), try purpose(), try ledgerEntries())
        case 5:
            .copyRecords(
                try ledgerID(), try purpose(),
                try array(upTo: Limits.messageEntries, "records") { (reader) throws(WireError) in
                    try reader.taskRecord()
                })
        case 6:
            .copyEnds(
                try ledgerID(), try purpose(), committed: try varint(),
                forgottenUpTo: try optional { reader throws(WireError) in try reader.taskID() })
        case 7: .dropped(try ledgerID())
        case 8: .opened
        case 9: .copyKeys(try ledgerID(), try purpose(), try keyBindings())
        default: throw .invalid("kind of journal record")
        }
    }

    private mutating func target() throws(WireError) -> JournalRecord.Target {
        guard let value = JournalRecord.Target(rawValue: try uint8()) else { throw .invalid("target of entries") }
        return value
    }

    private mutating func purpose() throws(WireError) -> JournalRecord.Purpose {
        guard let value = JournalRecord.Purpose(rawValue: try uint8()) else { throw .invalid("purpose of a copy") }
        return value
    }
}
