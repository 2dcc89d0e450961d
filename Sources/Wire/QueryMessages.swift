public import Primitives
public import TaskLedger
public import Views

/// What a node knows of a task that somebody asks for.
public enum LookupReply: Hashable, Sendable {
    case found(TaskRecord)
    /// None of the ledgers that it serves has it. `viewNumber`: as of this view.
    case unknown(viewNumber: UInt64)
    /// It had the task when it was asked, and cannot tell what has become of it: its end is not committed yet, or the
    /// ledger has gone to somebody else meanwhile, or may have.
    case unsettled
    /// One of its ledgers had the task, with an outcome, and keeps it no more.
    case forgotten
}

/// Which tasks to list.
public struct ListRequest: Hashable, Sendable {
    /// A bit for each raw value of a status; 0: any.
    public var statuses: UInt8
    public var queue: String?
    public var taskType: String?
    /// Ended at least so long ago.
    public var age: Duration?
    /// The type of the last failure, or a part of its message.
    public var error: String?
    public var before: TaskID?
    public var limit: UInt32
    /// Workflows, and no tasks; else the other way round.
    public var isOfWorkflows: Bool
    /// Only the tasks of this schedule.
    public var schedule: String?

    public init(
        statuses: UInt8, queue: String?, taskType: String?, age: Duration? = nil, error: String? = nil,
        before: TaskID?, limit: UInt32, isOfWorkflows: Bool = false, schedule: String? = nil
    ) {
        self.statuses = statuses
        self.queue = queue
        self.taskType = taskType
        self.age = age
        self.error = error
        self.before = before
        self.limit = limit
        self.isOfWorkflows = isOfWorkflows
        self.schedule = schedule
    }
}

public struct CancelReply: Hashable, Sendable {
    public var decision: CancelDecision
    public var record: TaskRecord?

    public init(decision: CancelDecision, record: TaskRecord?) {
        self.decision = decision
        self.record = record
    }
}

/// What became of tasks that another node was asked to accept: all or none.
public enum ForwardReply: Hashable, Sendable {
    case accepted([TaskID], holders: [NodeName])
    /// There is room for so many of them, from the first on; seconds after which there may be more.
    case full(fitting: UInt32, retryAfter: UInt32)
    /// There is room in their queues for so many of them, from the first on.
    case queueFull(fitting: UInt32)
    case unavailable
    /// No room on its disk: in its data folder.
    case diskFull(folder: String)
}

/// What the voters are told, for the next view: by a primary about one of its ledgers, or by anybody about the settings.
public enum Evidence: Hashable, Sendable {
    case ask(LearnerAsk)
    case askFailed(LearnerAsk)
    case unreachable(BackupComplaint)
    case drained(DrainedLedger)
    case change(SettingsChange)
    case slotsShipped(ShippedSlots)
}

extension ByteWriter {
    public mutating func lookupReply(_ value: LookupReply) {
        switch value {
        case .found(let record):
            uint8(1)
            taskRecord(record)
        case .unknown(let viewNumber):
            uint8(2)
            uint64(viewNumber)
        case .unsettled:
            uint8(3)
        case .forgotten:
            uint8(4)
        }
    }

    public mutating func listRequest(_ value: ListRequest) {
        uint8(value.statuses)
        optional(value.queue) { $0.string($1) }
        optional(value.taskType) { $0.string($1) }
        optional(value.age) { $0.duration($1) }
        optional(value.error) { $0.string($1) }
        optional(value.before) { $0.taskID($1) }
        uint32(value.limit)
        bool(value.isOfWorkflows)
        scheduleName(value.schedule)
    }

    public mutating func cancelReply(_ value: CancelReply) {
        switch value.decision {
        case .cancelled: uint8(1)
        case .requested: uint8(2)
        case .finished: uint8(3)
        case .unknown: uint8(4)
        }
        optional(value.record) { $0.taskRecord($1) }
    }

    public mutating func forwardReply(_ value: ForwardReply) {
        switch value {
        case .accepted(let ids, let holders):
            uint8(1)
            array(ids) { $0.taskID($1) }
            array(holders) { $0.nodeName($1) }
        case .full(let fitting, let retryAfter):
            uint8(2)
            varint(UInt64(fitting))
            varint(UInt64(retryAfter))
        case .unavailable: uint8(3)
        case .diskFull(let folder):
            uint8(4)
            text(folder, upTo: Limits.folderBytes)
        case .queueFull(let fitting):
            uint8(5)
            uint32(fitting)
        }
    }

    public mutating func evidence(_ value: Evidence) {
        switch value {
        case .ask(let ask):
            uint8(1)
            learnerAsk(ask)
        case .askFailed(let ask):
            uint8(2)
            learnerAsk(ask)
        case .unreachable(let complaint):
            uint8(3)
            ledgerID(complaint.ledger)
            uint64(complaint.view)
            uint64(complaint.term.rawValue)
            storeHolder(complaint.backup)
        case .slotsShipped(let shipped):
            uint8(6)
            ledgerID(shipped.ledger)
            uint64(shipped.view)
            uint64(shipped.term.rawValue)
            array(shipped.moves) { $0.slotMove($1) }
        case .drained(let ledger):
            uint8(4)
            ledgerID(ledger.ledger)
            uint64(ledger.view)
            uint64(ledger.term.rawValue)
        case .change(let change):
            uint8(5)
            settingsChange(change)
        }
    }

    private mutating func learnerAsk(_ value: LearnerAsk) {
        ledgerID(value.ledger)
        uint64(value.view)
        uint64(value.term.rawValue)
        storeHolder(value.learner)
    }
}

extension ByteReader {
    public mutating func lookupReply() throws(WireError) -> LookupReply {
        switch try uint8() {
        case 1: .found(try taskRecord())
        case 2: .unknown(viewNumber: try uint64())
        case 3: .unsettled
        case 4: .forgotten
        default: throw .invalid("lookup reply")
        }
    }

    public mutating func listRequest() throws(WireError) -> ListRequest {
        let name = { (reader: inout ByteReader) throws(WireError) -> String in
            try reader.string(upTo: Limits.nameBytes, "name")
        }
        return ListRequest(
            statuses: try uint8(), queue: try optional(name), taskType: try optional(name),
            age: try optional { reader throws(WireError) in try reader.duration() },
            error: try optional { reader throws(WireError) in
                try reader.string(upTo: Limits.errorFilterBytes, "error")
            },
            before: try optional { reader throws(WireError) in try reader.taskID() }, limit: try uint32(),
            isOfWorkflows: try bool(), schedule: try scheduleName())
    }

    public mutating func cancelReply() throws(WireError) -> CancelReply {
        let decision: CancelDecision
        switch try uint8() {
        case 1: decision = .cancelled
        case 2: decision = .requested
        case 3: decision = .finished
        case 4: decision = .unknown
        default: throw .invalid("cancel reply")
        }
        return CancelReply(
            decision: decision, record: try optional { reader throws(WireError) in try reader.taskRecord() })
    }

    public mutating func forwardReply() throws(WireError) -> ForwardReply {
        switch try uint8() {
        case 1:
            .accepted(
                try array(upTo: Limits.batchTasks, "ids") { reader throws(WireError) in try reader.taskID() },
                holders: try array(upTo: Limits.members, "holders") { reader throws(WireError) in try reader.nodeName()
                })
        case 2: .full(fitting: try varint32("fitting tasks"), retryAfter: try varint32("seconds"))
        case 3: .unavailable
        case 5: .queueFull(fitting: try uint32())
        case 4: .diskFull(folder: try string(upTo: Limits.folderBytes, "folder"))
        default: throw .invalid("forward reply")
        }
    }

    public mutating func evidence() throws(WireError) -> Evidence {
        switch try uint8() {
        case 1: .ask(try learnerAsk())
        case 2: .askFailed(try learnerAsk())
        case 3:
            .unreachable(
                BackupComplaint(
                    ledger: try ledgerID(), view: try uint64(), term: Term(try uint64()), backup: try storeHolder()))
        case 6:
            .slotsShipped(
                ShippedSlots(
                    ledger: try ledgerID(), view: try uint64(), term: Term(try uint64()), moves: try slotMoves()))
        case 4: .drained(DrainedLedger(ledger: try ledgerID(), view: try uint64(), term: Term(try uint64())))
        case 5: .change(try settingsChange())
        default: throw .invalid("evidence")
        }
    }

    private mutating func learnerAsk() throws(WireError) -> LearnerAsk {
        LearnerAsk(ledger: try ledgerID(), view: try uint64(), term: Term(try uint64()), learner: try storeHolder())
    }
}

extension Limits {
    /// The path of a data folder, as a peer tells it; a longer one is cut.
    static let folderBytes = 1024
}
