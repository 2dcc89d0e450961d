public import Primitives

/// A place in a ledger's log. Since a term has one primary, and a primary never writes a place twice, the same place means
/// the same entry, and the same history before it.
public struct Place: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var term: Term
    /// 1 is the first entry.
    public var sequence: UInt64

    public init(term: Term, sequence: UInt64) {
        self.term = term
        self.sequence = sequence
    }

    /// Before the first entry.
    public static let start = Place(term: Term(0), sequence: 0)

    public static func < (a: Place, b: Place) -> Bool { (a.term, a.sequence) < (b.term, b.sequence) }
    public var description: String { "\(term):\(sequence)" }
}

/// One entry of a ledger's log.
public struct LedgerEntry: Hashable, Sendable {
    public var place: Place
    public var event: LedgerEvent

    public init(place: Place, event: LedgerEvent) {
        self.place = place
        self.event = event
    }
}

/// What can happen to a task, as its owner decides it. The journal and the links between nodes carry these; the tags in
/// their codec are stable.
public enum LedgerEvent: Hashable, Sendable {
    // Beside the others it is large, and entries are moved about a lot.
    indirect case accepted(Acceptance)
    /// An executor was given the task under a token. To a slot of the owner itself this is also the start.
    case leased(TaskID, Lease)
    /// The executor began the attempt.
    case started(TaskID, Token, at: Timestamp)
    case completed(TaskID, Token, result: TaskResult, by: NodeName, at: Timestamp)
    /// For good.
    case failed(TaskID, Token, TaskFailure, by: NodeName?, at: Timestamp)
    /// An attempt failed, and another one is due later.
    case rescheduled(TaskID, Token, TaskFailure, due: Instant, at: Timestamp)
    /// The lease was revoked: its executor is gone, or never got it. `isBlamed` if the attempt had begun there, or may have
    /// and that not for the first time.
    case interrupted(TaskID, Token, isBlamed: Bool, at: Timestamp)
    /// A client wants it cancelled; its executor has it.
    case cancelRequested(TaskID, at: Timestamp)
    case cancelled(TaskID, at: Timestamp)
    case expired(TaskID, at: Timestamp)
    /// An outcome came after the first one.
    case duplicateDiscarded(TaskID)
    /// The ledger need not keep it any more: the registry has its outcome, its time is up, or a client wants that.
    case forgotten(TaskID)
    /// A client wants another priority, or another time, of a task that waits; `due` nil: it may start.
    case changed(TaskID, Priority, due: Instant?, at: Timestamp)
    /// Idempotency keys whose slots this ledger is to have, from the one that has them now.
    case bound([KeyBinding])
    /// A client wants a task that has ended run again. From then on it is enqueued at `enqueuedAt`.
    case retried(TaskID, run: UInt32, enqueuedAt: Instant, at: Timestamp)
    /// The second task has ended, which the first waits for. May release the first, or end it: see `Dependencies`.
    case dependencyEnded(TaskID, TaskID, ParentOutcome, at: Timestamp)
    /// All at once: a workflow and its tasks, or more tasks of one; never empty.
    case acceptedTogether([Acceptance])
    /// A step of a workflow has failed for good: what has not begun is not begun any more.
    case workflowFailing(TaskID, by: TaskID, at: Timestamp)
    /// All that belongs to the workflow has ended.
    case workflowEnded(TaskID, TaskStatus, TaskFailure?, at: Timestamp)
    /// Other nodes keep the detached result of that attempt from now on.
    case resultMoved(TaskID, Token, to: [StoreHolder])
    /// Somebody is to be told that the task has ended: there is a task for that from now on. See `Callbacks`.
    indirect case calledBack(TaskID, Acceptance)

    /// The task that it is about; nil: none.
    public var task: TaskID? {
        switch self {
        case .accepted(let acceptance): acceptance.id
        case .acceptedTogether(let acceptances): acceptances.first?.id ?? TaskID(high: 0, low: 0)
        case .workflowFailing(let id, _, _), .workflowEnded(let id, _, _, _): id
        case .leased(let id, _), .started(let id, _, _), .completed(let id, _, _, _, _), .failed(let id, _, _, _, _),
            .rescheduled(let id, _, _, _, _), .interrupted(let id, _, _, _), .cancelRequested(let id, _),
            .cancelled(let id, _), .expired(let id, _), .duplicateDiscarded(let id), .forgotten(let id),
            .changed(let id, _, _, _), .retried(let id, _, _, _), .dependencyEnded(let id, _, _, _),
            .resultMoved(let id, _, _), .calledBack(let id, _):
            id
        case .bound: nil
        }
    }

    /// About how many bytes it takes, in memory and on the wire.
    public var cost: Int {
        switch self {
        case .accepted(let acceptance): 160 + acceptance.spec.cost
        case .calledBack(_, let acceptance): 176 + acceptance.spec.cost
        case .acceptedTogether(let acceptances): acceptances.reduce(0) { $0 + 160 + $1.spec.cost }
        case .workflowEnded(_, _, let failure, _): 64 + (failure?.message.utf8.count ?? 0)
        case .completed(_, _, let result, _, _): 64 + result.cost
        case .resultMoved(_, _, let holders): 64 + 64 * holders.count
        case .failed(_, _, let failure, _, _), .rescheduled(_, _, let failure, _, _): 64 + failure.message.utf8.count
        case .dependencyEnded(_, _, let outcome, _): 64 + outcome.cost
        case .leased, .started, .interrupted, .cancelRequested, .cancelled, .expired, .duplicateDiscarded, .forgotten,
            .changed, .retried, .workflowFailing:
            64
        case .bound(let bindings): bindings.reduce(64) { $0 + $1.cost }
        }
    }
}

/// A task as it was accepted.
public struct Acceptance: Hashable, Sendable {
    public var id: TaskID
    public var spec: TaskSpec
    /// When it was submitted, on the clock of whoever reads this: it is aged on the way.
    public var enqueuedAt: Instant
    /// Not to be started before; nil: at once.
    public var due: Instant?
    /// Not to be started after; nil: never too late.
    public var expires: Instant?

    public init(id: TaskID, spec: TaskSpec, enqueuedAt: Instant, due: Instant?, expires: Instant?) {
        self.id = id
        self.spec = spec
        self.enqueuedAt = enqueuedAt
        self.due = due
        self.expires = expires
    }

    /// What its idempotency key stands for from now on.
    var binding: KeyBinding? {
        guard let idempotency = spec.idempotency, let name = spec.keyName else { return nil }
        return KeyBinding(
            name: name, body: idempotency.body, task: id,
            until: (due ?? enqueuedAt) + .milliseconds(Int64(clamping: idempotency.window)))
    }
}

/// Who may run a task, and under which token.
public struct Lease: Hashable, Sendable {
    public var token: Token
    /// A generation of a node: the lease of an older one is void.
    public var holder: NodeID
    public var at: Timestamp
    /// The attempt has begun: at the owner's own slots with the lease itself.
    public var isStarted: Bool

    public init(token: Token, holder: NodeID, at: Timestamp, isStarted: Bool) {
        self.token = token
        self.holder = holder
        self.at = at
        self.isStarted = isStarted
    }
}

extension TaskSpec {
    /// About how many bytes it takes.
    public var cost: Int {
        payload.count + type.utf8.count + queue.utf8.count + (orderingKey?.utf8.count ?? 0)
            + (idempotency.map { $0.key.utf8.count + 32 } ?? 0) + (fairnessKey?.utf8.count ?? 0)
            + metadata.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count + 16 } + 24 * dependencies.parents.count
            + (workflow?.cost ?? 0) + (callbackURL?.utf8.count ?? 0)
    }
}
