public import Primitives
public import TaskLedger

// Results, in the ledger and detached, and the messages by which nodes hand detached ones to each other.

/// Asks a node to keep a result: sent in parts, one after the other; the last one is answered when all of it is durable.
public struct KeepRequest: Hashable, Sendable {
    public var id: ResultID
    public var byteCount: UInt32
    /// Where the part begins.
    public var offset: UInt32
    public var part: [UInt8]

    public init(id: ResultID, byteCount: UInt32, offset: UInt32, part: [UInt8]) {
        self.id = id
        self.byteCount = byteCount
        self.offset = offset
        self.part = part
    }
}

/// Asks a node for a part of a result that it keeps.
public struct ReadRequest: Hashable, Sendable {
    public var id: ResultID
    public var offset: UInt32

    public init(id: ResultID, offset: UInt32) {
        self.id = id
        self.offset = offset
    }
}

/// Asks a node to read a result that it keeps, and to compare it with what it should be.
public struct ScrubRequest: Hashable, Sendable {
    public var id: ResultID
    public var byteCount: UInt32
    public var checksum: UInt32

    public init(id: ResultID, byteCount: UInt32, checksum: UInt32) {
        self.id = id
        self.byteCount = byteCount
        self.checksum = checksum
    }
}

extension ByteWriter {
    public mutating func taskResult(_ value: TaskResult) {
        switch value {
        case .inline(let bytes):
            uint8(1)
            byteString(bytes)
        case .detached(let result):
            uint8(2)
            varint(UInt64(result.byteCount))
            uint32(result.checksum)
            array(result.holders) { $0.storeHolder($1) }
        }
    }

    public mutating func resultID(_ value: ResultID) {
        taskID(value.task)
        token(value.token)
    }

    public mutating func keepRequest(_ value: KeepRequest) {
        resultID(value.id)
        varint(UInt64(value.byteCount))
        varint(UInt64(value.offset))
        byteString(value.part)
    }

    public mutating func readRequest(_ value: ReadRequest) {
        resultID(value.id)
        varint(UInt64(value.offset))
    }

    public mutating func scrubRequest(_ value: ScrubRequest) {
        resultID(value.id)
        varint(UInt64(value.byteCount))
        uint32(value.checksum)
    }
}

extension ByteReader {
    public mutating func taskResult() throws(WireError) -> TaskResult {
        switch try uint8() {
        case 1: .inline(try byteString(upTo: Limits.inlineResultBytes, "result"))
        case 2:
            .detached(
                DetachedResult(
                    byteCount: try resultBytes(), checksum: try uint32(), holders: try resultHolders()))
        default: throw .invalid("result")
        }
    }

    mutating func resultHolders() throws(WireError) -> [StoreHolder] {
        let holders = try array(upTo: Limits.copies, "holders of a result") { reader throws(WireError) in
            try reader.storeHolder()
        }
        guard !holders.isEmpty else { throw .invalid("holders of a result") }
        return holders
    }

    private mutating func resultBytes() throws(WireError) -> UInt32 {
        UInt32(try number(upTo: UInt64(Limits.resultBytes), "bytes of a result"))
    }

    public mutating func resultID() throws(WireError) -> ResultID {
        ResultID(task: try taskID(), token: try attemptToken())
    }

    public mutating func keepRequest() throws(WireError) -> KeepRequest {
        let request = KeepRequest(
            id: try resultID(), byteCount: try resultBytes(), offset: try resultBytes(),
            part: try byteString(upTo: Limits.resultPartBytes, "part of a result"))
        guard Int(request.offset) + request.part.count <= Int(request.byteCount), !request.part.isEmpty else {
            throw .invalid("part of a result")
        }
        return request
    }

    public mutating func readRequest() throws(WireError) -> ReadRequest {
        ReadRequest(id: try resultID(), offset: try resultBytes())
    }

    /// What is answered to a `ReadRequest`; nil: it is not there.
    public mutating func resultPart() throws(WireError) -> [UInt8]? {
        try optional { reader throws(WireError) in
            try reader.byteString(upTo: Limits.resultPartBytes, "part of a result")
        }
    }

    public mutating func scrubRequest() throws(WireError) -> ScrubRequest {
        ScrubRequest(id: try resultID(), byteCount: try resultBytes(), checksum: try uint32())
    }

    public mutating func copyState() throws(WireError) -> CopyState {
        guard let state = CopyState(rawValue: try uint8()) else { throw .invalid("state of a copy") }
        return state
    }

    public mutating func resultNeed() throws(WireError) -> ResultNeed {
        guard let need = ResultNeed(rawValue: try uint8()) else { throw .invalid("need of a result") }
        return need
    }
}

extension Limits {
    /// One message carries so much of a detached result: others on the same link do not wait for long.
    public static let resultPartBytes = 256 << 10
    /// Detached results that one message asks after.
    public static let askedResults = 1000
}
