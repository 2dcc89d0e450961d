import Primitives
public import Views

// Leave to start tasks (rule R3): small and frequent.

extension ByteWriter {
    public mutating func permitRequest(_ value: PermitRequest) {
        nodeID(value.asker)
        varint(value.view)
        varint(value.number)
    }

    public mutating func permitReply(_ value: PermitReply) {
        varint(value.number)
        uint64(value.disk.rawValue)
        switch value.verdict {
        case .granted: uint8(1)
        case .withheld: uint8(2)
        case .outdated(let newest):
            uint8(3)
            varint(newest)
        }
    }
}

extension ByteReader {
    public mutating func permitRequest() throws(WireError) -> PermitRequest {
        PermitRequest(asker: try nodeID(), view: try varint(), number: try varint())
    }

    public mutating func permitReply() throws(WireError) -> PermitReply {
        PermitReply(number: try varint(), disk: StoreID(try uint64()), verdict: try verdict())
    }

    private mutating func verdict() throws(WireError) -> PermitVerdict {
        switch try uint8() {
        case 1: .granted
        case 2: .withheld
        case 3: .outdated(newest: try varint())
        default: throw .invalid("verdict about a permit")
        }
    }
}
