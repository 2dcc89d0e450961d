import DequeModule
import HeapModule
public import Primitives

/// A task that an executor may run, under a token.
public struct Assignment: Hashable, Sendable {
    public var ledger: LedgerID
    public var id: TaskID
    public var token: Token
    public var spec: TaskSpec
    /// It runs alone on its node: it may be what killed others.
    public var isSolitary: Bool
    /// How the tasks ended that it depends on, in the order in which `spec` names them.
    public var parents: [ParentOutcome?]

    public init(
        ledger: LedgerID, id: TaskID, token: Token, spec: TaskSpec, isSolitary: Bool, parents: [ParentOutcome?] = []
    ) {
        self.ledger = ledger
        self.id = id
        self.token = token
        self.spec = spec
        self.isSolitary = isSolitary
        self.parents = parents
    }

    public var attempt: AttemptID { AttemptID(ledger: ledger, id: id, token: token) }
}

/// One attempt of one task.
public struct AttemptID: Hashable, Sendable {
    public var ledger: LedgerID
    public var id: TaskID
    public var token: Token

    public init(ledger: LedgerID, id: TaskID, token: Token) {
        self.ledger = ledger
        self.id = id
        self.token = token
    }
}

/// What an owner wants done.
public enum OwnerEffect: Sendable {
    case replicate(ReplicationEffect)
    /// Everything that was submitted with this request is committed.
    case accepted(request: UInt64)
    /// This node is no longer the owner of what was submitted with this request; it may have been accepted.
    case unconfirmed(request: UInt64)
    /// Run it in a slot of this node: one was reserved for it.
    case start(Assignment)
    /// Give these to a thief; if it does not answer, tell `grantFailed`.
    case grant([Assignment], to: NodeID)
    /// The executor need not go on with it.
    case stop(AttemptID, at: NodeID)
    /// The executor may forget these outcomes.
    case settled([AttemptID], for: NodeID)
    /// A task has its outcome, committed: waiters and the registry want to know.
    indirect case ended(TaskRecord)
    /// A ledger that this node served has another primary: its copy, whose tail may hold what nobody else knows.
    case deposed(LedgerCopy)
    /// Idempotency keys for the ledger that is to have their slots: its primary binds them, and then `shipped` follows.
    case ship(KeyShipment)
    /// The slots' keys are all bound in their new ledgers: a view may move them.
    case slotsShipped(LedgerID, Term, [SlotMove], view: UInt64)
    /// The ledger's founder is gone and nothing is left in it: a view may delete it.
    case drained(LedgerID, Term, view: UInt64)
}

/// A ledger's length at some moment.
public struct DurabilityMark: Hashable, Sendable {
    public var ledger: LedgerID
    public var term: Term
    public var sequence: UInt64

    public init(ledger: LedgerID, term: Term, sequence: UInt64) {
        self.ledger = ledger
        self.term = term
        self.sequence = sequence
    }
}

/// The owner's machine: every decision about the tasks of the ledgers that this node is primary of (rules R2, R5, R6).
///
/// It takes submissions, starts the best ready task in a free slot of its own, grants tasks to thieves, takes outcomes, and
/// decides about retries, interruptions, cancellation and expiry. Each decision is an entry of the task's ledger; what the
/// world sees of it happens at the time that rule R5 sets:
///
/// | entry | what waits for its commit |
/// | --- | --- |
/// | accepted | the answer 202 |
/// | leased to a peer | the grant |
/// | leased to an own slot | nothing; the start in the cases that `Starting` tells |
/// | an outcome | releasing the executor, `?wait`, the registry |
///
/// One ready queue serves all ledgers of a node, so priorities hold across them.
///
/// Files: Submission, KeyedSubmission, Firing, Releasing, Workflows, Extending, Callbacks, Starting, Granting, Outcomes,
/// Cancelling, Changing, DeadLetters, Takeover, SlotHandover, Resting, Upkeep, Room, Queries, QueueRules, QueueMeter, Permits, Explaining
/// are extensions, one per concern.
public struct TaskOwner: Sendable {
    /// What happens once an entry is committed.
    enum Action: Sendable {
        case accepted(request: UInt64)
        case start(Assignment)
        case grant([Assignment], NodeID)
        case settle(AttemptID, NodeID)
        case ended(TaskID)
        /// Everything that was accepted before the slots froze.
        case slotsFrozen(view: UInt64)
        /// Who keeps the task's result, or that nobody has to any more.
        case resultSettled(TaskID)
        /// All that was there when this node became the ledger's primary.
        case inherited
    }

    /// A ledger that this node is primary of.
    struct Owned: Sendable {
        var primary: LedgerPrimary<Action>
        /// It was made for this node, so new tasks go there; else it only drains.
        var isHome: Bool
        /// The newest task that was there already when this node became its primary.
        var inheritedUpTo: TaskID?
        /// What was there then is committed.
        var isInheritanceCommitted = false
        /// Until then nothing of it starts (rule R3); nil: it does not rest. See `Resting`.
        var restsUntil: Instant?
        /// What is to be ready then; items may have lapsed.
        var resting: [ReadyQueue.Item] = []
        /// What is to be told then.
        var withheld: [Action] = []
        /// Ended tasks whose outcome the registry has, oldest first, but for dead letters.
        var archived: Deque<TaskID> = []
        /// Oldest first; items may have lapsed. See `DeadLetters`.
        var letters: Deque<Letter> = []
        /// Those of them whose outcome the registry has.
        var archivedLetters: Set<TaskID> = []
        /// Ended tasks whose outcome the registry still lacks.
        var unarchived = 0
        /// Attempts whose outcome came second, and was counted.
        var discarded: Set<AttemptID> = []
        /// The tasks of each workflow. See `Workflows`.
        var workflows: [TaskID: Roster] = [:]
        /// Those whose end the registry has.
        var storedWorkflows: Set<TaskID> = []
        /// The key slots whose home it is, and those that another ledger is to have. See `SlotHandover`.
        var slots: Set<KeySlot> = []
        var moves: [SlotMove] = []
        var handover: SlotHandover?
        /// The view in which the voters were told that it has drained: they may delete it by the next one, so it takes nothing
        /// more in this one.
        var drainedIn: UInt64?

        var mayBeDeleted: Bool { drainedIn == primary.viewNumber }
    }

    struct Alarm: Sendable, Comparable {
        var at: Instant
        var id: TaskID
        var ledger: LedgerID

        static func < (a: Alarm, b: Alarm) -> Bool { (a.at, a.id) < (b.at, b.id) }
    }

    public struct Settings: Sendable {
        public var slots: Int
        /// Open tasks, and outcomes that wait for the registry, beyond which submissions are refused.
        public var maxQueued: Int
        /// About how many bytes they may take.
        public var maxQueuedBytes: Int
        /// Outcomes are written to a registry: the ledger may forget them early.
        public var hasRegistry: Bool
        /// Idempotency keys that a ledger remembers; beyond, tasks with a new one are refused.
        public var maxKeys = Limits.boundKeys

        public init(slots: Int, maxQueued: Int = 1_000_000, maxQueuedBytes: Int = 1 << 30, hasRegistry: Bool = true) {
            self.slots = slots
            self.maxQueued = maxQueued
            self.maxQueuedBytes = maxQueuedBytes
            self.hasRegistry = hasRegistry
        }
    }

    public struct Counters: Sendable, Hashable {
        public var completed: UInt64 = 0
        public var failed: UInt64 = 0
        public var duplicatesDiscarded: UInt64 = 0
        public var granted: UInt64 = 0
        public var lettersDropped: UInt64 = 0
        /// Outcomes of any kind.
        public var ended: UInt64 = 0
        /// Outcomes given up for the bounds before their time, though nobody else keeps them.
        public var outcomesCut: UInt64 = 0
    }

    /// A takeover that this node has made.
    public struct TakeoverRecord: Sendable, Hashable {
        public var ledger: LedgerID
        public var term: Term
        /// Tasks without an outcome.
        public var recovered: Int
    }

    public internal(set) var me: NodeID
    let settings: Settings
    /// Ascending by id.
    var ledgers: [Owned] = []
    var ready = ReadyQueue()
    /// Tasks that could start: those of queues that are blocked do not count.
    public internal(set) var readyCount = 0
    /// Ready tasks of each queue, blocked or not.
    var readyOf: [String: Int] = [:]
    /// Of queues that have any.
    var rules: [String: QueueRules] = [:]
    /// Of queues with a rate or a limit on concurrency.
    var permits: [String: Permits] = [:]
    /// Those of them that have ready tasks and no permits.
    var starved: Set<String> = []
    /// Those whose homes have to be told what is held here.
    var tellings: Set<String> = []
    /// Those with permits.
    var lending: Set<String> = []
    var lastClaim: UInt64 = 0
    var meters: [String: QueueMeter] = [:]
    var lastMeterSweep = Instant.zero
    /// When the first of them began.
    var began: Instant?
    /// Tasks whose lease was revoked, and until when the one that held it may still begin them.
    var revoked: [TaskID: Instant] = [:]
    var alarms = Heap<Alarm>()
    /// Tasks that blocked ones wait for. See `Releasing`.
    var awaited: [TaskID: Awaited] = [:]
    var questions = Heap<Question>()
    /// Workflows to be looked at, since something has happened to them.
    var stirred: Set<TaskID> = []
    /// Tasks that have ended, and of whose end somebody is to be told. See `Callbacks`.
    var untold: Set<TaskID> = []
    /// Slots of this node that nothing runs in or waits for.
    public internal(set) var freeSlots: Int
    /// Slots that wait for the commit of a lease.
    var reserved = 0
    /// A task that has to be alone holds all slots until it ends.
    var solitary: TaskID?
    /// Nothing starts or is granted: the node is draining, or fenced.
    public var isPaused = false
    /// Leases that were inherited, or whose grant may not have arrived: their holders are asked.
    var doubtful: [TaskID: AttemptID] = [:]
    var generator: SeededGenerator
    var ids: TaskIDGenerator
    public internal(set) var counters = Counters()
    var drain = DrainRate()
    /// Tasks whose outcome nobody may see yet.
    var uncommittedEnds: Set<TaskID> = []
    /// Tasks with detached results, and how many entries that say who has to keep those are not committed. See `TaskResult`.
    var unsettledResults: [TaskID: Int] = [:]
    /// How often it changed which results of this node's tasks are detached, or who keeps one.
    public internal(set) var detachedChanges = 0
    /// Entries of ledgers that this node serves no more, which the journal does not hold yet.
    var released: [JournalRecord] = []
    /// By type: how much work a grant is.
    var durations = MeanDurations()

    public init(me: NodeID, settings: Settings, seed: UInt64) {
        self.me = me
        self.settings = settings
        freeSlots = settings.slots
        generator = SeededGenerator(seed: seed)
        ids = TaskIDGenerator(seed: generator.next())
    }

    func index(of ledger: LedgerID) -> Int? { ledgers.firstIndex { $0.primary.id == ledger } }

    /// Which of this node's ledgers has the task.
    func index(of id: TaskID) -> Int? {
        let tag = id.ledgerTag
        let guess = ledgers.firstIndex { TaskID.tag(of: $0.primary.id) == tag }
        if let guess, ledgers[guess].primary.state.has(id) { return guess }
        return ledgers.firstIndex { $0.primary.state.has(id) }
    }

    /// Records an event, and keeps what is derived from the states of tasks: the ready queue, alarms, counters.
    mutating func record(_ event: LedgerEvent, in index: Int, then action: Action? = nil) {
        guard let id = event.task else { return ledgers[index].primary.append(event, then: action) }
        let before = ledgers[index].primary.state[id]?.status
        if case .forgotten = event { leaveWorkflow(id, in: index) }
        let freesHolders = freesHolders(event, in: index)
        let wasDetached = ledgers[index].primary.state.detached.contains(id)
        let queued = before == .pending ? queuedItem(id, event, in: index) : nil
        ledgers[index].primary.append(event)
        if let queued, ledgers[index].primary.state[id]?.status != .pending { ready.lapse(queued) }
        if let action { whenTellable(action, in: index) }
        if wasDetached || ledgers[index].primary.state.detached.contains(id) { detachedChanges += 1 }
        if freesHolders { unsettle(id, in: index) }
        if case .ended(let id) = action { uncommittedEnds.insert(id) }
        guard let record = ledgers[index].primary.state[id] else { return }
        let released = ledgers[index].primary.state.released
        settle(record, was: before, in: index)
        if let released, let next = ledgers[index].primary.state[released] {
            settle(next, was: .blocked, in: index)
        }
    }

    /// What stands for a pending task in the ready queue. What is being leased was taken from there.
    private func queuedItem(_ id: TaskID, _ event: LedgerEvent, in index: Int) -> ReadyQueue.Item? {
        if case .leased = event { return nil }
        guard !rests(id, in: index), let record = ledgers[index].primary.state[id] else { return nil }
        return item(record, ledgers[index].primary.id)
    }

    mutating func settle(_ record: TaskRecord, was before: TaskStatus?, in index: Int) {
        let after = record.status
        guard before != after else { return }
        if record.spec.workflow != nil, after != .processing { enroll(record, in: index) }
        if before == .pending { unqueue(record, in: index) }
        if before == .processing {
            doubtful[record.id] = nil
            leaseEnded(of: record.spec.queue)
        }
        switch after {
        case .pending:
            queue(record, in: index)
        case .scheduled:
            if let due = record.due { alarms.insert(Alarm(at: due, id: record.id, ledger: ledgers[index].primary.id)) }
        case .blocked:
            awaitParents(of: record)
        case .processing:
            break
        case .completed, .failed, .cancelled, .expired:
            ledgers[index].unarchived += 1
            counters.ended += 1
            if after == .completed, !record.spec.isWorkflow { counters.completed += 1 }
            if record.isLetter {
                counters.failed += 1
                ledgers[index].letters.append(Letter(id: record.id, run: record.run))
            }
        }
        if before == nil, !after.isFinal, let expires = record.expires {
            alarms.insert(Alarm(at: expires, id: record.id, ledger: ledgers[index].primary.id))
        }
    }

    func item(_ record: TaskRecord, _ ledger: LedgerID) -> ReadyQueue.Item {
        ReadyQueue.Item(
            id: record.id, ledger: ledger, priority: record.spec.priority, enqueuedAt: record.enqueuedAt,
            ticket: ticket(of: record), queue: record.spec.queue, key: record.spec.fairnessKey ?? "")
    }

    /// Differs each time that a task is enqueued.
    private func ticket(of record: TaskRecord) -> ReadyQueue.Ticket {
        ReadyQueue.Ticket(run: record.run, attempts: record.attempts, changes: record.changes)
    }

    /// The task of an item, if that is still ready, and was not enqueued anew since.
    func live(_ item: ReadyQueue.Item) -> (index: Int, record: TaskRecord)? {
        guard let index = index(of: item.ledger), let record = ledgers[index].primary.state[item.id],
            record.status == .pending, ticket(of: record) == item.ticket, !rests(item.id, in: index)
        else { return nil }
        return (index, record)
    }

    /// What the journal has to hold before it can be committed. To be called once a turn, before `flush`.
    public mutating func takeUnwritten() -> [JournalRecord] {
        var records = released
        released.removeAll()
        for index in ledgers.indices {
            let entries = ledgers[index].primary.takeUnwritten()
            guard !entries.isEmpty else { continue }
            records.append(
                .entries(ledgers[index].primary.id, .held, entries, committed: ledgers[index].primary.committed))
        }
        return records
    }

    /// How far each ledger has come that the journal does not hold whole: to be given to `madeDurable` once the journal has
    /// all that it was handed up to now.
    public var awaitingDurability: [DurabilityMark] {
        ledgers.lazy.filter(\.primary.awaitsDurability).map { owned in
            DurabilityMark(
                ledger: owned.primary.id, term: owned.primary.term, sequence: owned.primary.copy.last.sequence)
        }
    }

    public mutating func madeDurable(_ marks: [DurabilityMark]) {
        for mark in marks {
            guard let index = index(of: mark.ledger), ledgers[index].primary.term == mark.term else { continue }
            ledgers[index].primary.madeDurable(upTo: mark.sequence)
        }
    }

    /// What has been committed takes effect. To be called after every event that was handled, together with `flush`.
    public mutating func collect(into effects: inout [OwnerEffect]) {
        for index in ledgers.indices {
            for action in ledgers[index].primary.takeCommitted() {
                switch action {
                case .accepted(let request): effects.append(.accepted(request: request))
                case .start(let assignment):
                    reserved -= 1
                    effects.append(.start(assignment))
                case .grant(let assignments, let thief): effects.append(.grant(assignments, to: thief))
                case .slotsFrozen(let view): slotsFrozen(in: index, view)
                case .resultSettled(let id): resultSettled(id)
                case .inherited: ledgers[index].isInheritanceCommitted = true
                case .settle(let attempt, let executor): effects.append(.settled([attempt], for: executor))
                case .ended(let id):
                    uncommittedEnds.remove(id)
                    // A client may want it run again by now.
                    guard let record = ledgers[index].primary.state[id], record.status.isFinal else { continue }
                    effects.append(.ended(record))
                    endedHere(id)
                    if record.spec.workflow != nil { leaveOpen(record, in: index) }
                    noteCallback(of: record, in: index)
                    if !settings.hasRegistry { archived(id, under: record.resultToken) }
                }
            }
        }
    }

    /// Sends what is new to the replicas: once a turn of the loop, after all that happened in it.
    public mutating func flush(isLinked: (NodeName) -> Bool, into effects: inout [OwnerEffect]) {
        var replication: [ReplicationEffect] = []
        for index in ledgers.indices { ledgers[index].primary.flush(isLinked: isLinked, into: &replication) }
        effects.append(contentsOf: replication.map(OwnerEffect.replicate))
    }
}
