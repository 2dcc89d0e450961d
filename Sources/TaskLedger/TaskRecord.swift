public import Primitives

/// What a ledger knows of one task: the fold of its events.
///
/// States: `blocked` -> `scheduled` -> `pending` -> `processing` -> `completed` or `failed`; a failed attempt goes back to `scheduled`
/// until its retry is due, an interruption to `pending`; `cancelled` and `expired` end a task that was not started.
/// A final state is left only by a manual retry, which begins a new run.
public struct TaskRecord: Hashable, Sendable {
    public let id: TaskID
    public private(set) var spec: TaskSpec
    public internal(set) var status: TaskStatus
    /// Orders it among the ready ones; kept over retries, interruptions and takeovers. A new run has its own, or old
    /// dead letters would pass all that is new.
    public internal(set) var enqueuedAt: Instant
    /// When a `scheduled` task may start.
    public internal(set) var due: Instant?
    /// Nil: never, or a client wants it run again.
    public internal(set) var expires: Instant?
    /// Of the current attempt, while `processing`.
    public internal(set) var lease: Lease?
    /// A manual retry begins a new run.
    public internal(set) var run: UInt32 = 1
    /// Leases of this run.
    public internal(set) var attempts: UInt32 = 0
    /// Leases of this run that ended before their attempt had begun: the grant never arrived, or was given back.
    public internal(set) var idleLeases: UInt32 = 0
    /// Attempts of this run that failed.
    public internal(set) var failures: UInt32 = 0
    /// Attempts of this run that were cut off after they had begun.
    public internal(set) var interruptions: UInt32 = 0
    public internal(set) var isCancelRequested = false
    public internal(set) var duplicatesDiscarded: UInt32 = 0
    /// Of the last attempt.
    public internal(set) var startedAt: Timestamp?
    /// Who had the last attempt.
    public internal(set) var worker: NodeName?
    public internal(set) var finishedAt: Timestamp?
    public internal(set) var result: TaskResult?
    /// Of the last failed attempt.
    public internal(set) var failure: TaskFailure?
    /// The token under which the last outcome was reached, of this run or of the one before.
    public internal(set) var finalToken: Token?
    /// When the last attempt was leased; nil if that attempt is in the history.
    public internal(set) var leasedAt: Timestamp?
    /// How often a client has changed its priority, or when it may start.
    public internal(set) var changes: UInt32 = 0
    /// How the tasks ended that it depends on, in the order of `spec.dependencies.parents`; nil: not known yet.
    public internal(set) var parents: [ParentOutcome?] = []
    /// Of a workflow: the step by which it fails, once that is decided.
    public internal(set) var failedBy: TaskID?
    public internal(set) var history = TaskHistory()
    /// Its place among the tasks with the same ordering key; 0: it has none.
    public internal(set) var ordinal: UInt64 = 0
    /// Tasks with the same ordering key come first.
    public internal(set) var isBehind = false
    /// There is a task that tells of the end of this run. See `Callbacks`.
    public internal(set) var isCalledBack = false

    public init(_ acceptance: Acceptance) {
        id = acceptance.id
        spec = acceptance.spec
        enqueuedAt = acceptance.enqueuedAt
        due = acceptance.due
        expires = acceptance.expires
        parents = Array(repeating: nil, count: spec.dependencies.parents.count)
        status = !parents.isEmpty || spec.isWorkflow ? .blocked : acceptance.due == nil ? .pending : .scheduled
    }

    /// A record as another node knows it.
    public init(
        id: TaskID, spec: TaskSpec, status: TaskStatus, enqueuedAt: Instant, due: Instant?, expires: Instant?,
        lease: Lease?, run: UInt32, attempts: UInt32, idleLeases: UInt32, failures: UInt32,
        interruptions: UInt32, isCancelRequested: Bool,
        duplicatesDiscarded: UInt32, startedAt: Timestamp?, worker: NodeName?, finishedAt: Timestamp?,
        result: TaskResult?,
        failure: TaskFailure?, finalToken: Token?, leasedAt: Timestamp? = nil, changes: UInt32 = 0,
        parents: [ParentOutcome?] = [], failedBy: TaskID? = nil, history: TaskHistory = TaskHistory(),
        ordinal: UInt64 = 0, isBehind: Bool = false, isCalledBack: Bool = false
    ) {
        self.id = id
        self.spec = spec
        self.status = status
        self.enqueuedAt = enqueuedAt
        self.due = due
        self.expires = expires
        self.lease = lease
        self.run = run
        self.attempts = attempts
        self.idleLeases = idleLeases
        self.failures = failures
        self.interruptions = interruptions
        self.isCancelRequested = isCancelRequested
        self.duplicatesDiscarded = duplicatesDiscarded
        self.startedAt = startedAt
        self.worker = worker
        self.finishedAt = finishedAt
        self.result = result
        self.failure = failure
        self.finalToken = finalToken
        self.leasedAt = leasedAt
        self.changes = changes
        self.parents = parents
        self.failedBy = failedBy
        self.history = history
        self.ordinal = ordinal
        self.isBehind = isBehind
        self.isCalledBack = isCalledBack
    }

    /// Without payload, result and history, for listings: a page of them could be a gigabyte.
    public var summary: TaskRecord {
        var copy = self
        copy.spec.payload = []
        copy.result = nil
        copy.parents = parents.map { $0?.outline }
        if let part = spec.workflow { copy.spec.workflow = part.outline }
        copy.history = TaskHistory()
        return copy
    }

    /// Without payload and result: neither tells why a task waits, or what has happened to it.
    public var outline: TaskRecord {
        var copy = summary
        copy.history = history
        return copy
    }

    /// As it was, about, before its outcome, which may not be told yet.
    public var beforeItsEnd: TaskRecord {
        var copy = self
        copy.status = spec.isWorkflow ? .blocked : .pending
        copy.finishedAt = nil
        copy.result = nil
        copy.failure = nil
        copy.finalToken = nil
        return copy
    }

    /// Attempts of this run that have begun, as far as is known.
    public var begunAttempts: UInt32 {
        let idle = idleLeases + (lease?.isStarted == false ? 1 : 0)
        return attempts > idle ? attempts - idle : 0
    }

    /// Has failed for good, and can be looked at and run again.
    var isLetter: Bool { status == .failed && !spec.isWorkflow }

    /// Two interruptions may have had one cause, the task itself: from then on it runs alone on a node.
    public var isSuspectedPoison: Bool { interruptions >= Limits.neighbourlyInterruptions }

    /// Who had the newest attempt, if nobody reported its end: that process may not even have begun it yet.
    var lastVoidHolder: NodeName? {
        if status == .cancelled || status == .failed, finalToken != nil { return worker }
        guard lease == nil, let step = history.steps.last(where: { $0.token != nil }) else { return nil }
        switch step.kind {
        case .interrupted, .ended(.cancelled, _), .ended(.failed, _): return step.node
        case .attemptFailed, .ended, .retried, .changed, .cancelRequested, .released: return nil
        }
    }

    /// About how many bytes it takes.
    public var cost: Int {
        400 + spec.cost + (result?.cost ?? 0) + (failure?.message.utf8.count ?? 0) + history.cost
            + parents.reduce(0) { $0 + ($1?.cost ?? 0) }
    }

    /// Under which the registry keeps the outcome: a later run has a greater one.
    public var resultToken: Token {
        guard let finalToken, finalToken.run == run else { return Token(run: run, term: Term(0), attempt: 0) }
        return finalToken
    }

    /// Applies an event of this task. Total: an event that does not fit the state changes nothing, since it may come from
    /// a peer; its owner decides so that this does not happen.
    mutating func apply(_ event: LedgerEvent) {
        if case .duplicateDiscarded = event { duplicatesDiscarded &+= 1 }
        guard !status.isFinal else {
            switch event {
            case .retried(_, let run, let enqueuedAt, let at): begin(run, enqueuedAt, at)
            case .resultMoved(_, let token, let holders): moveResult(of: token, to: holders)
            case .calledBack: isCalledBack = true
            default: break
            }
            return
        }
        switch event {
        case .accepted, .acceptedTogether, .bound, .duplicateDiscarded, .forgotten, .retried, .resultMoved,
            .calledBack:
            break
        case .workflowFailing(_, let step, _):
            failedBy = step
        case .workflowEnded(_, let status, let failure, let at):
            guard status.isFinal else { return }
            self.failure = failure
            end(status, nil, at)
        case .leased(_, let lease):
            status = .processing
            due = nil
            self.lease = lease
            attempts &+= 1
            worker = lease.holder.name
            leasedAt = lease.at
            startedAt = lease.isStarted ? lease.at : nil
        case .started(_, let token, let at):
            guard lease?.token == token else { return }
            lease?.isStarted = true
            startedAt = at
        case .completed(_, let token, let result, let executor, let at):
            overtaken(by: token, at)
            self.result = result
            worker = executor
            failure = nil
            end(.completed, token, at)
        case .failed(_, let token, let failure, let executor, let at):
            overtaken(by: token, at)
            self.failure = failure
            if let executor { worker = executor }
            failures &+= 1
            end(.failed, token, at)
        case .rescheduled(_, let token, let failure, let due, let at):
            #if PLANTED_BUGS
            if PlantedBug.isActive(.retriesNotCounted) { failures &-= 1 }
            #endif
            guard lease?.token == token else { return }
            remember(.attemptFailed(failure), token, at, due: due)
            self.failure = failure
            failures &+= 1
            lease = nil
            status = .scheduled
            self.due = due
        case .interrupted(_, let token, let isBlamed, let at):
            guard lease?.token == token else { return }
            remember(.interrupted(isBlamed: isBlamed), token, at)
            #if PLANTED_BUGS
            if PlantedBug.isActive(.interruptionCountedAsFailure) { failures &+= 1 }
            #endif
            if isBlamed { interruptions &+= 1 }
            if lease?.isStarted == false { idleLeases &+= 1 }
            lease = nil
            status = .pending
        case .cancelRequested(_, let at):
            isCancelRequested = true
            history.append(TaskHistory.Step(kind: .cancelRequested, at: at, run: run))
        case .changed(_, let priority, let due, let at):
            guard status != .processing else { return }
            let step = TaskHistory.Step(
                kind: .changed(priority, from: spec.priority), at: at, run: run, due: due)
            spec.priority = priority
            changes &+= 1
            self.due = due
            if status != .blocked { status = due == nil ? .pending : .scheduled }
            history.append(step)
        case .cancelled(_, let at):
            end(.cancelled, lease?.token, at)
        case .expired(_, let at):
            end(.expired, lease?.token, at)
        case .dependencyEnded(_, let parent, let outcome, let at):
            learn(outcome, of: parent, at: at)
        }
    }

    private mutating func moveResult(of token: Token, to holders: [StoreHolder]) {
        guard finalToken == token, var detached = result?.detached else { return }
        detached.holders = holders
        result = .detached(detached)
    }

    mutating func end(_ status: TaskStatus, _ token: Token?, _ at: Timestamp) {
        self.status = status
        finalToken = token
        finishedAt = at
        lease = nil
        due = nil
        isBehind = false
    }

    /// The present attempt becomes one of the past.
    private mutating func remember(_ kind: TaskHistory.Step.Kind, _ token: Token?, _ at: Timestamp, due: Instant? = nil)
    {
        history.append(
            TaskHistory.Step(
                kind: kind, at: at, run: run, token: token, node: token == nil ? nil : worker, leasedAt: leasedAt,
                startedAt: leasedAt == nil ? nil : startedAt, due: due))
        leasedAt = nil
    }

    /// An attempt that was given up has come to an end after all: the present one is not needed any more.
    private mutating func overtaken(by token: Token?, _ at: Timestamp) {
        guard let present = lease?.token, present != token else { return }
        remember(.interrupted(isBlamed: false), present, at)
    }

    /// A new run. What the ones before have done is in the history.
    private mutating func begin(_ run: UInt32, _ enqueuedAt: Instant, _ at: Timestamp) {
        guard run == self.run &+ 1 else { return }
        remember(.ended(status, failure), finalToken?.run == self.run ? finalToken : nil, finishedAt ?? at)
        self.run = run
        history.append(TaskHistory.Step(kind: .retried, at: at, run: run))
        self.enqueuedAt = enqueuedAt
        status = .pending
        expires = nil
        spec.expiry = nil
        attempts = 0
        idleLeases = 0
        failures = 0
        interruptions = 0
        isCancelRequested = false
        #if PLANTED_BUGS
        isCalledBack = isCalledBack && PlantedBug.isActive(.newRunUntold)
        #else
        isCalledBack = false
        #endif
        startedAt = nil
        worker = nil
        finishedAt = nil
        result = nil
        failure = nil
        waitAnew()
    }

    /// Others come first.
    mutating func block() {
        isBehind = true
        status = .blocked
    }

    /// Nothing comes first any more.
    mutating func unblock() {
        isBehind = false
        guard status == .blocked, verdict != .waits else { return }
        status = due == nil ? .pending : .scheduled
    }

    mutating func becomeDue() {
        guard status == .scheduled else { return }
        status = .pending
        due = nil
    }
}

extension Limits {
    /// Interruptions after which a task runs alone on a node.
    public static let neighbourlyInterruptions: UInt32 = 2
    /// Interruptions, the first two included, after which a task is given up as poison.
    public static let interruptions: UInt32 = 5
}
