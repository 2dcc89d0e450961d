public import Primitives
public import TaskLedger

// Keys: what they stand for, and how they move from one home to another.

extension ByteWriter {
    public mutating func bodyDigest(_ value: BodyDigest) {
        uint64(value.high)
        uint64(value.low)
    }

    public mutating func keyBinding(_ value: KeyBinding) {
        string(value.name.key)
        optional(value.name.orderingKey) { $0.string($1) }
        bodyDigest(value.body)
        taskID(value.task)
        instant(value.until)
    }

    public mutating func keyShipment(_ value: KeyShipment) {
        ledgerID(value.from)
        varint(value.view)
        ledgerID(value.to)
        array(value.bindings) { $0.keyBinding($1) }
    }

    public mutating func slotMove(_ value: SlotMove) {
        uint8(value.slot.rawValue)
        ledgerID(value.to)
    }

    public mutating func keyedRequest(_ value: KeyedRequest) {
        ledgerID(value.home)
        array(value.ids) { $0.taskID($1) }
        array(value.isAgain) { $0.bool($1) }
        array(value.specs) { $0.taskSpec($1) }
    }

    public mutating func keyedReply(_ value: KeyedReply) {
        switch value {
        case .decided(let decisions, let holders):
            uint8(1)
            array(decisions) { $0.keyedDecision($1) }
            array(holders) { $0.nodeName($1) }
        case .notHome: uint8(2)
        case .moving: uint8(3)
        case .full(let seconds):
            uint8(4)
            varint(UInt64(seconds))
        case .diskFull(let folder):
            uint8(5)
            text(folder, upTo: Limits.folderBytes)
        case .unavailable: uint8(6)
        }
    }

    mutating func keyedDecision(_ value: KeyedDecision) {
        switch value {
        case .accepted: uint8(1)
        case .repeated: uint8(2)
        case .conflict: uint8(3)
        case .unknown: uint8(4)
        case .queueFull: uint8(5)
        }
        taskID(value.task)
    }
}

extension ByteReader {
    /// An idempotency or ordering key.
    mutating func key(_ field: String) throws(WireError) -> String {
        let key = try string(upTo: Limits.keyBytes, field)
        guard !key.isEmpty else { throw .invalid(field) }
        return key
    }

    public mutating func bodyDigest() throws(WireError) -> BodyDigest {
        BodyDigest(high: try uint64(), low: try uint64())
    }

    public mutating func keyBinding() throws(WireError) -> KeyBinding {
        KeyBinding(
            name: KeyName(
                key: try key("idempotency key"),
                orderingKey: try optional { reader throws(WireError) in try reader.key("ordering key") }),
            body: try bodyDigest(), task: try taskID(), until: try instant())
    }

    mutating func keyBindings() throws(WireError) -> [KeyBinding] {
        try array(upTo: Limits.messageEntries, "keys") { reader throws(WireError) in try reader.keyBinding() }
    }

    public mutating func keyShipment() throws(WireError) -> KeyShipment {
        KeyShipment(from: try ledgerID(), view: try varint(), to: try ledgerID(), bindings: try keyBindings())
    }

    public mutating func slotMove() throws(WireError) -> SlotMove {
        SlotMove(slot: KeySlot(rawValue: try uint8()), to: try ledgerID())
    }

    mutating func slotMoves() throws(WireError) -> [SlotMove] {
        try array(upTo: Limits.keySlots, "moves of key slots") { reader throws(WireError) in try reader.slotMove() }
    }

    public mutating func keyedRequest() throws(WireError) -> KeyedRequest {
        let request = KeyedRequest(
            home: try ledgerID(),
            ids: try array(upTo: Limits.batchTasks, "ids") { reader throws(WireError) in try reader.taskID() },
            isAgain: try array(upTo: Limits.batchTasks, "repetitions") { reader throws(WireError) in try reader.bool()
            },
            specs: try array(upTo: Limits.batchTasks, "tasks") { reader throws(WireError) in try reader.taskSpec() })
        guard request.ids.count == request.specs.count, request.isAgain.count == request.specs.count else {
            throw .invalid("tasks with keys")
        }
        return request
    }

    public mutating func keyedReply() throws(WireError) -> KeyedReply {
        switch try uint8() {
        case 1:
            .decided(
                try array(upTo: Limits.batchTasks, "decisions") { reader throws(WireError) in
                    try reader.keyedDecision()
                },
                holders: try array(upTo: Limits.replicas, "holders") { reader throws(WireError) in
                    try reader.nodeName()
                })
        case 2: .notHome
        case 3: .moving
        case 4: .full(retryAfter: try varint32("seconds"))
        case 5: .diskFull(folder: try string(upTo: Limits.folderBytes, "data folder"))
        case 6: .unavailable
        default: throw .invalid("reply about keys")
        }
    }

    private mutating func keyedDecision() throws(WireError) -> KeyedDecision {
        switch try uint8() {
        case 1: .accepted(try taskID())
        case 2: .repeated(try taskID())
        case 3: .conflict(try taskID())
        case 4: .unknown(try taskID())
        case 5: .queueFull(try taskID())
        default: throw .invalid("decision about a key")
        }
    }
}
