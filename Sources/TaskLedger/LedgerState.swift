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

    /// Without taking the record out, which is large.
    func has(_ id: TaskID) -> Bool { tasks.index(forKey: id) != nil }

    /// In a stable order: ids ascend, so that two replicas walk their tasks alike.
    public var sortedIDs: [TaskID] { tasks.keys.sorted() }

    mutating func apply(_ event: LedgerEvent) {
        released = nil
        switch event {
        case .accepted(let acceptance):
            guard !has(acceptance.id) else { return }
            accept(acceptance)
        case .acceptedTogether(let acceptances):
            for acceptance in acceptances where !has(acceptance.id) { accept(acceptance) }
        case .bound(let bindings):
            for binding in bindings { keys.bind(binding, at: nil) }
        case .calledBack(let id, let acceptance):
            change(id, by: event)
            // Of a copy that is being made, the task that has ended may not be here yet.
            if !has(acceptance.id) { accept(acceptance) }
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
        let (before, after, names) = Self.change(&tasks.values[index], change)
        recount(id, names, from: before, to: after)
    }

    private static func change(
        _ record: inout TaskRecord, _ change: (inout TaskRecord) -> Void
    ) -> (before: TaskWeight, after: TaskWeight, names: TaskNames) {
        let before = TaskWeight(record)
        change(&record)
        return (before, TaskWeight(record), TaskNames(record))
    }

    /// Nil: it was not there before, or is not there any more.
    private mutating func recount(_ id: TaskID, _ names: TaskNames, from before: TaskWeight?, to after: TaskWeight?) {
        guard before != after else { return }
        if let before { add(before, -1) }
        if let after { add(after, 1) }
        if let key = names.orderingKey, before?.isOrdered ?? false != after?.isOrdered ?? false {
            let slot = KeySlot(of: key, in: .ordering)
            orders[slot, default: 0] += after?.isOrdered ?? false ? 1 : -1
            if orders[slot] == 0 { orders[slot] = nil }
        }
        Self.note(id, in: &processing, before?.status == .processing, after?.status == .processing)
        Self.note(id, in: &detached, before?.isDetached ?? false, after?.isDetached ?? false)
        // A workflow is in no queue.
        guard !names.isWorkflow else { return }
        let bytes = (after?.waitingCost ?? 0) - (before?.waitingCost ?? 0)
        if bytes != 0 {
            let sum = openCostOf[names.queue, default: 0] + bytes
            openCostOf[names.queue] = sum == 0 ? nil : sum
        }
        guard before?.status != after?.status else { return }
        Self.count(
            &depth[names.queue, default: Array(repeating: 0, count: TaskStatus.allCases.count)], before?.status,
            after?.status)
    }

    private mutating func add(_ weight: TaskWeight, _ sign: Int) {
        cost += sign * weight.cost
        switch weight.kind {
        case .open:
            openCount += sign
            openCost += sign * weight.cost
        case .letter:
            letterCount += sign
            letterCost += sign * weight.cost
        case .outcome:
            outcomeCount += sign
            outcomeCost += sign * weight.cost
        }
    }

    private static func note(_ id: TaskID, in set: inout Set<TaskID>, _ wasThere: Bool, _ isThere: Bool) {
        guard wasThere != isThere else { return }
        if isThere { set.insert(id) } else { set.remove(id) }
    }

    private static func count(_ counts: inout [Int], _ before: TaskStatus?, _ after: TaskStatus?) {
        if let before { counts[Int(before.rawValue)] -= 1 }
        if let after { counts[Int(after.rawValue)] += 1 }
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
        recount(record.id, TaskNames(record), from: nil, to: TaskWeight(record))
    }

    private mutating func remove(_ record: TaskRecord) {
        tasks[record.id] = nil
        recount(record.id, TaskNames(record), from: TaskWeight(record), to: nil)
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

/// What a task adds to the sums of its ledger.
private struct TaskWeight: Equatable {
    enum Kind {
        case open
        case letter
        case outcome
    }

    let kind: Kind
    let status: TaskStatus
    let cost: Int
    /// In its queue, as long as it is open.
    let waitingCost: Int
    /// Tasks with the same ordering key may still have to wait for it.
    let isOrdered: Bool
    let isDetached: Bool

    init(_ record: borrowing TaskRecord) {
        status = record.status
        kind = !status.isFinal ? .open : record.isLetter ? .letter : .outcome
        cost = record.cost
        waitingCost = kind == .open ? record.spec.cost : 0
        isOrdered = record.spec.orderingKey != nil && status != .completed
        isDetached = record.result?.detached != nil
    }
}

/// By what a task is counted.
private struct TaskNames {
    let queue: String
    let orderingKey: String?
    let isWorkflow: Bool

    init(_ record: borrowing TaskRecord) {
        queue = record.spec.queue
        orderingKey = record.spec.orderingKey
        isWorkflow = record.spec.isWorkflow
    }
}

extension Limits {
    /// Tasks that a ledger has forgotten and would still recognise.
    public static let forgottenTasks = 65_536
}
