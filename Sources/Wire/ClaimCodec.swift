import Primitives
public import TaskLedger

extension ByteWriter {
    public mutating func permitClaim(_ value: PermitClaim) {
        string(value.queue)
        uint64(value.view)
        varint(value.number)
        varint(UInt64(value.wanted))
        varint(UInt64(value.unused))
        array(value.held) { writer, held in
            writer.ledgerID(held.ledger)
            writer.varint(UInt64(held.count))
        }
    }

    public mutating func permitLoan(_ value: PermitLoan) {
        varint(value.number)
        varint(UInt64(value.permits))
        uint8(value.shortage?.rawValue ?? 0)
    }
}

extension ByteReader {
    public mutating func permitClaim() throws(WireError) -> PermitClaim {
        let queue = try string(upTo: Limits.nameBytes, "queue")
        guard NodeName.isValid(queue) else { throw .invalid("queue") }
        return PermitClaim(
            queue: queue, view: try uint64(), number: try varint(), wanted: try varint32("starts that are wanted"),
            unused: try varint32("unused permits"),
            held: try array(upTo: Limits.ledgers, "ledgers") { (reader) throws(WireError) in
                PermitClaim.Held(ledger: try reader.ledgerID(), count: try reader.varint32("leases"))
            })
    }

    public mutating func permitLoan() throws(WireError) -> PermitLoan {
        PermitLoan(
            number: try varint(), permits: UInt32(try number(upTo: UInt64(Limits.loanedPermits), "permits")),
            shortage: try shortage(orNone: true))
    }

    mutating func shortage(orNone: Bool) throws(WireError) -> PermitShortage? {
        let code = try uint8()
        if code == 0, orNone { return nil }
        guard let shortage = PermitShortage(rawValue: code) else { throw .invalid("shortage of permits") }
        return shortage
    }
}
