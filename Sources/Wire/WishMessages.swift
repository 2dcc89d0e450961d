public import Primitives
public import TaskLedger

/// What a task's owner knows of it, for people.
public struct Inspection: Hashable, Sendable {
    public var record: TaskRecord
    /// The node that its ledger was made for.
    public var accepter: NodeName?
    public var cause: WaitCause
    /// Why its owner takes no submissions; nil: it does.
    public var unreadiness: String?

    public init(record: TaskRecord, accepter: NodeName?, cause: WaitCause, unreadiness: String?) {
        self.record = record
        self.accepter = accepter
        self.cause = cause
        self.unreadiness = unreadiness
    }
}

public struct WishRequest: Hashable, Sendable {
    public var task: TaskID
    public var wish: TaskWish

    public init(task: TaskID, wish: TaskWish) {
        self.task = task
        self.wish = wish
    }
}

public struct WishReply: Hashable, Sendable {
    public var decision: WishDecision
    /// Afterwards; nil as well if that is not committed, and will not be told.
    public var record: TaskRecord?

    public init(decision: WishDecision, record: TaskRecord?) {
        self.decision = decision
        self.record = record
    }
}

/// Dead letters to be run again, or forgotten. Of `filter` statuses, limit and cursor do not matter.
public struct SweepRequest: Hashable, Sendable {
    public var isPurge: Bool
    public var filter: ListRequest

    public init(isPurge: Bool, filter: ListRequest) {
        self.isPurge = isPurge
        self.filter = filter
    }
}

public struct SweepReply: Hashable, Sendable {
    public var done: UInt64
    /// Others that fit: there is no room for them now.
    public var left: UInt64
    /// False: it may have been done in part only.
    public var isCommitted: Bool

    public init(done: UInt64, left: UInt64, isCommitted: Bool) {
        self.done = done
        self.left = left
        self.isCommitted = isCommitted
    }
}

extension ByteWriter {
    /// Nil: it is not known, or cannot be told.
    public mutating func inspection(_ value: Inspection?) {
        optional(value) { writer, value in
            writer.taskRecord(value.record)
            writer.optional(value.accepter) { $0.nodeName($1) }
            writer.waitCause(value.cause)
            writer.optional(value.unreadiness) { $0.text($1, upTo: Limits.reasonBytes) }
        }
    }

    private mutating func waitCause(_ value: WaitCause) {
        switch value {
        case .ended: uint8(1)
        case .runs: uint8(2)
        case .granted: uint8(3)
        case .notDue: uint8(4)
        case .retryRest: uint8(5)
        case .dependencies: uint8(6)
        case .order(let count):
            uint8(12)
            varint(UInt64(max(count, 0)))
        case .fence(let until):
            uint8(7)
            optional(until) { $0.instant($1) }
        case .ownerPaused: uint8(8)
        case .queuePaused: uint8(14)
        case .queueLimited(let shortage):
            uint8(13)
            uint8(shortage.rawValue)
        case .solitude: uint8(9)
        case .behind(let count, let isMore):
            uint8(10)
            varint(UInt64(max(0, count)))
            bool(isMore)
        case .next: uint8(11)
        }
    }

    public mutating func wishRequest(_ value: WishRequest) {
        taskID(value.task)
        switch value.wish {
        case .change(let priority, let delay):
            uint8(1)
            optional(priority) { $0.priority($1) }
            optional(delay) { $0.varint($1) }
        case .retry: uint8(2)
        case .purge: uint8(3)
        }
    }

    public mutating func wishReply(_ value: WishReply) {
        uint8(value.decision.rawValue)
        optional(value.record) { $0.taskRecord($1) }
    }

    public mutating func sweepRequest(_ value: SweepRequest) {
        bool(value.isPurge)
        listRequest(value.filter)
    }

    public mutating func sweepReply(_ value: SweepReply) {
        varint(value.done)
        varint(value.left)
        bool(value.isCommitted)
    }
}

extension ByteReader {
    public mutating func inspection() throws(WireError) -> Inspection? {
        try optional { reader throws(WireError) in
            Inspection(
                record: try reader.taskRecord(),
                accepter: try reader.optional { reader throws(WireError) in try reader.nodeName() },
                cause: try reader.waitCause(),
                unreadiness: try reader.optional { reader throws(WireError) in
                    try reader.string(upTo: Limits.reasonBytes, "reason")
                })
        }
    }

    private mutating func waitCause() throws(WireError) -> WaitCause {
        switch try uint8() {
        case 1: .ended
        case 2: .runs
        case 3: .granted
        case 4: .notDue
        case 5: .retryRest
        case 6: .dependencies
        case 12: .order(behind: Int(try varint32("tasks before it")))
        case 7: .fence(until: try optionalInstant())
        case 8: .ownerPaused
        case 14: .queuePaused
        case 13: .queueLimited(try shortage(orNone: false) ?? .learning)
        case 9: .solitude
        case 10:
            .behind(Int(try number(upTo: UInt64(Limits.countedAhead), "tasks ahead")), isMore: try bool())
        case 11: .next
        default: throw .invalid("cause of waiting")
        }
    }

    public mutating func wishRequest() throws(WireError) -> WishRequest {
        let task = try taskID()
        switch try uint8() {
        case 1:
            return WishRequest(
                task: task,
                wish: .change(
                    priority: try optional { reader throws(WireError) in try reader.priority() },
                    delay: try optional { reader throws(WireError) in
                        try reader.number(upTo: UInt64(Limits.horizonSeconds) * 1000, "delay")
                    }))
        case 2: return WishRequest(task: task, wish: .retry)
        case 3: return WishRequest(task: task, wish: .purge)
        default: throw .invalid("wish")
        }
    }

    public mutating func wishReply() throws(WireError) -> WishReply {
        guard let decision = WishDecision(rawValue: try uint8()) else { throw .invalid("decision") }
        return WishReply(
            decision: decision, record: try optional { reader throws(WireError) in try reader.taskRecord() })
    }

    public mutating func sweepRequest() throws(WireError) -> SweepRequest {
        SweepRequest(isPurge: try bool(), filter: try listRequest())
    }

    public mutating func sweepReply() throws(WireError) -> SweepReply {
        SweepReply(done: try varint(), left: try varint(), isCommitted: try bool())
    }
}
