import DequeModule
public import Primitives

/// What the entries of a ledger add up to: its tasks. The same entries give the same state at every replica.
///
/// That a `scheduled` task has become due is not an entry: every replica can see it from the time.
public struct LedgerState: Sendable {
    public private(set) var tasks: [TaskID: TaskRecord] = [:]
    /// Tasks without an outcome.
    public private(set) var openCount = 0
    /// About how many bytes those take.
    public private(set) var openCost = 0
    /// About how many bytes all tasks take.
    public private(set) var cost = 0
    /// Tasks that have ended, but for dead letters, and about how many of the bytes are theirs.
    public private(set) var outcomeCount = 0
    public private(set) var outcomeCost = 0
    /// Tasks that have failed for good, and about how many of the bytes are theirs.
    public private(set) var letterCount = 0
    public private(set) var letterCost = 0
    /// How many tasks of each queue are in each status, by the status's raw value.
    public private(set) var depth: [String: [Int]] = [:]
    /// About how many bytes the open tasks of each queue take.
    public private(set) var openCostOf: [String: Int] = [:]

    public private(set) var keys = KeyBindings()
    private var lanes = OrderingLanes()
    /// How many tasks with ordering keys of each slot have not completed.
    private var orders: [KeySlot: Int] = [:]
    /// The task that the last event let go, if any: nothing comes before it any more.
    private(set) var released: TaskID?

    private var processing: Set<TaskID> = []
    /// Tasks that have completed, and whose results are kept elsewhere. Never iterated unsorted.
    private(set) var detached: Set<TaskID> = []
    /// Tasks that were forgotten not long ago, with the token of their outcome: a later outcome of one is a duplicate.
    private(set) var forgotten: [TaskID: Token] = [:]
    private var forgottenOrder: Deque<TaskID> = []
    /// Ids up to this one may have been forgotten, though `forgotten` does not say so.
    private var horizon: TaskID?

    /// Whether the task was here, has ended and is kept no more; false as well of one that was forgotten long before.
    public func hasForgotten(_ id: TaskID) -> Bool { forgotten[id] != nil }

    /// Whether a task that is not known now may have been: it is not to be taken for a new one.
    func mayHaveForgotten(_ id: TaskID) -> Bool {
        forgotten[id] != nil || horizon.map { id <= $0 } ?? false
    }

    /// What a copy of this state that is made of its tasks alone has to be told.
    public var forgottenUpTo: TaskID? { [forgotten.keys.max(), horizon].compactMap(\.self).max() }

    mutating func forgot(upTo id: TaskID?) { horizon = [id, horizon].compactMap(\.self).max() }

    public init() {}

    /// Tasks that an executor has, ascending.
    public var leased: [TaskID] { processing.sorted() }

    public subscript(id: TaskID) -> TaskRecord? { tasks[id] }

    /// In a stable order: ids ascend, so that two replicas walk their tasks alike.
    public var sortedIDs: [TaskID] { tasks.keys.sorted() }

    mutating func apply(_ event: LedgerEvent) {
        released = nil
        switch event {
        case .accepted(let acceptance):
            guard tasks[acceptance.id] == nil else { return }
            accept(acceptance)
        case .acceptedTogether(let acceptances):
            for acceptance in acceptances where tasks[acceptance.id] == nil { accept(acceptance) }
        case .bound(let bindings):
            for binding in bindings { keys.bind(binding, at: nil) }
        case .calledBack(let id, let acceptance):
            change(id, by: event)
            // Of a copy that is being made, the task that has ended may not be here yet.
            if tasks[acceptance.id] == nil { accept(acceptance) }
        case .forgotten(let id):
            guard let record = tasks[id], record.status.isFinal else { return }
            remove(record)
            remember(record)
        default:
            if let id = event.task { change(id, by: event) }
        }
    }

    private mutating func accept(_ acceptance: Acceptance) {
        var record = TaskRecord(acceptance)
        if let key = record.spec.orderingKey {
            record.ordinal = lanes.join(record.id, key)
            if !lanes.isFirst(record.id, of: key) { record.block() }
            #if PLANTED_BUGS
            if PlantedBug.isActive(.orderIgnored) { record.unblock() }
            #endif
        }
        add(record)
        #if PLANTED_BUGS
        if PlantedBug.isActive(.keyNotBound) { return }
        #endif
        if let binding = acceptance.binding { keys.bind(binding, at: acceptance.enqueuedAt) }
    }

    private mutating func change(_ id: TaskID, by event: LedgerEvent) {
        var key: String?
        var wasOpen = false
        var isOpen = false
        update(id) { record in
            wasOpen = !record.status.isFinal
            record.apply(event)
            isOpen = !record.status.isFinal
            key = record.spec.orderingKey
        }
        guard let key, wasOpen != isOpen else { return }
        if isOpen {
            let ordinal = lanes.join(id, key)
            let isFirst = lanes.isFirst(id, of: key)
            update(id) { record in
                record.ordinal = ordinal
                if !isFirst { record.block() }
            }
        } else if let next = lanes.leave(id, key) {
            update(next) { $0.unblock() }
            released = next
        }
    }

    /// Whether a task is the first one of its ordering key, or has none.
    func isFirstInLane(_ record: TaskRecord) -> Bool {
        record.spec.orderingKey.map { lanes.isFirst(record.id, of: $0) } ?? true
    }

    /// How many tasks with the same ordering key come before this one.
    func countBefore(_ record: TaskRecord) -> Int {
        record.spec.orderingKey.map { lanes.count(before: record.id, of: $0) } ?? 0
    }

    /// The open tasks with an ordering key, in their order.
    func lane(of key: String) -> [TaskID] { lanes.tasks(of: key) }

    /// Whether no task with an ordering key of this slot is here that is open, or may be run again.
    func isFreeOfOrders(in slot: KeySlot) -> Bool { orders[slot] == nil }

    /// The first task of each lane may run, and no other: a copy that was made of records and entries in between may have
    /// it otherwise.
    mutating func settleLanes() {
        for id in lanes.heads { update(id) { $0.unblock() } }
    }

    mutating func pruneKeys(at now: Instant) { keys.prune(at: now) }

    mutating func bind(_ binding: KeyBinding) { keys.bind(binding, at: nil) }

    /// In place: a record is not copied to be changed.
    private mutating func update(_ id: TaskID, _ change: (inout TaskRecord) -> Void) {
        guard let index = tasks.index(forKey: id) else { return }
        count(tasks.values[index], -1)
        change(&tasks.values[index])
        count(tasks.values[index], 1)
    }

    private mutating func count(_ record: TaskRecord, _ sign: Int) {
        let cost = record.cost
        self.cost += sign * cost
        if !record.status.isFinal {
            openCount += sign
            openCost += sign * cost
        } else if record.isLetter {
            letterCount += sign
            letterCost += sign * cost
        } else {
            outcomeCount += sign
            outcomeCost += sign * cost
        }
        if let key = record.spec.orderingKey, record.status != .completed {
            let slot = KeySlot(of: key, in: .ordering)
            orders[slot, default: 0] += sign
            if orders[slot] == 0 { orders[slot] = nil }
        }
        let status = Int(record.status.rawValue)
        if record.status == .processing {
            if sign > 0 { processing.insert(record.id) } else { processing.remove(record.id) }
        }
        if record.result?.detached != nil {
            if sign > 0 { detached.insert(record.id) } else { detached.remove(record.id) }
        }
        // A workflow is in no queue.
        guard !record.spec.isWorkflow else { return }
        if !record.status.isFinal {
            let bytes = openCostOf[record.spec.queue, default: 0] + sign * record.spec.cost
            openCostOf[record.spec.queue] = bytes == 0 ? nil : bytes
        }
        depth[record.spec.queue, default: Array(repeating: 0, count: TaskStatus.allCases.count)][status] += sign
    }

    /// A record from a snapshot replaces what was known of its task.
    mutating func insert(_ record: TaskRecord) {
        if let old = tasks[record.id] {
            remove(old)
            if let key = old.spec.orderingKey, !old.status.isFinal { _ = lanes.leave(old.id, key) }
        }
        if let key = record.spec.orderingKey, !record.status.isFinal {
            lanes.insert(record.id, key, ordinal: record.ordinal)
        }
        add(record)
    }

    private mutating func add(_ record: TaskRecord) {
        tasks[record.id] = record
        count(record, 1)
    }

    private mutating func remove(_ record: TaskRecord) {
        tasks[record.id] = nil
        count(record, -1)
        // A queue that nobody uses any more is forgotten, or names chosen by clients would pile up.
        if depth[record.spec.queue]?.allSatisfy({ $0 == 0 }) == true { depth[record.spec.queue] = nil }
    }

    private mutating func remember(_ record: TaskRecord) {
        forgotten[record.id] = record.finalToken ?? Token(run: record.run, term: Term(0), attempt: 0)
        forgottenOrder.append(record.id)
        while forgottenOrder.count > Limits.forgottenTasks, let oldest = forgottenOrder.popFirst() {
            forgotten[oldest] = nil
            forgot(upTo: oldest)
        }
    }

    mutating func becomeDue(_ id: TaskID) { update(id) { $0.becomeDue() } }
}

extension Limits {
    /// Tasks that a ledger has forgotten and would still recognise.
    public static let forgottenTasks = 65_536
}
