public import Primitives

/// What has happened to a task before its present attempt: how earlier attempts and runs ended, and what clients
/// changed.
///
/// A task that completes at its first attempt has none: what happened last is in the record itself. Only the newest
/// `Limits.historySteps` are kept; older ones are counted.
public struct TaskHistory: Hashable, Sendable {
    public struct Step: Hashable, Sendable {
        public enum Kind: Hashable, Sendable {
            /// The attempt failed, and another one is due later.
            case attemptFailed(TaskFailure)
            /// The attempt was cut off, or never begun. `isBlamed` if it counts against the task.
            case interrupted(isBlamed: Bool)
            /// The end of an earlier run.
            case ended(TaskStatus, TaskFailure?)
            /// A client began a new run.
            case retried
            /// A client changed the priority, or when the task may start.
            case changed(Priority, from: Priority)
            case cancelRequested
            /// The tasks that it waited for have ended.
            case released
        }

        public var kind: Kind
        public var at: Timestamp
        public var run: UInt32
        /// Of the attempt; nil if it is of none.
        public var token: Token?
        /// Who had the attempt.
        public var node: NodeName?
        public var leasedAt: Timestamp?
        public var startedAt: Timestamp?
        /// After a failed attempt or a change: when it was to be due; nil: at once.
        public var due: Instant?

        public init(
            kind: Kind, at: Timestamp, run: UInt32, token: Token? = nil, node: NodeName? = nil,
            leasedAt: Timestamp? = nil, startedAt: Timestamp? = nil, due: Instant? = nil
        ) {
            self.kind = kind
            self.at = at
            self.run = run
            self.token = token
            self.node = node
            self.leasedAt = leasedAt
            self.startedAt = startedAt
            self.due = due
        }

        var failure: TaskFailure? {
            switch kind {
            case .attemptFailed(let failure): failure
            case .ended(_, let failure): failure
            case .interrupted, .retried, .changed, .cancelRequested, .released: nil
            }
        }
    }

    /// Ascending by time.
    public private(set) var steps: [Step]
    /// How many older ones are not kept.
    public private(set) var cut: UInt32

    public init(steps: [Step] = [], cut: UInt32 = 0) {
        self.steps = steps
        self.cut = cut
    }

    var cost: Int { steps.reduce(0) { $0 + 96 + ($1.failure?.message.utf8.count ?? 0) } }

    mutating func append(_ step: Step) {
        var step = step
        switch step.kind {
        case .attemptFailed(let failure): step.kind = .attemptFailed(failure.shortened)
        case .ended(let status, let failure): step.kind = .ended(status, failure?.shortened)
        case .interrupted, .retried, .changed, .cancelRequested, .released: break
        }
        if steps.count >= Limits.historySteps {
            steps.removeFirst(steps.count - Limits.historySteps + 1)
            cut &+= 1
        }
        steps.append(step)
    }
}

extension TaskFailure {
    /// As a history keeps it.
    var shortened: TaskFailure {
        guard message.utf8.count > Limits.historyErrorBytes else { return self }
        var copy = self
        var bytes = message.utf8.prefix(Limits.historyErrorBytes)
        while String(bytes) == nil { bytes = bytes.dropLast() }
        copy.message = String(bytes) ?? ""
        return copy
    }
}

/// One thing that happened to a task, as clients see it.
public struct TaskTransition: Hashable, Sendable {
    public enum Kind: String, Sendable, CaseIterable {
        case accepted
        /// An executor was given it.
        case leased
        /// The executor began the attempt.
        case started
        /// Another attempt is due later.
        case attemptFailed = "attempt_failed"
        /// The attempt was cut off, or given back.
        case interrupted
        case cancelRequested = "cancel_requested"
        /// Priority, or when it may start.
        case changed
        /// A new run.
        case retried
        /// The tasks that it waited for have ended.
        case released
        case completed
        case failed
        case cancelled
        case expired
    }

    public var kind: Kind
    public var at: Timestamp
    /// Where; nil if the owner of that time decided it by itself.
    public var node: NodeName?
    public var run: UInt32
    /// Nil if it is of no attempt.
    public var attempt: UInt32?
    /// The term of the ledger in which the attempt was granted.
    public var term: Term?
    public var failure: TaskFailure?
    /// What a change has set.
    public var priority: Priority?
    /// An interruption that counts towards poison.
    public var isBlamed: Bool

    public init(
        kind: Kind, at: Timestamp, node: NodeName? = nil, run: UInt32, attempt: UInt32? = nil, term: Term? = nil,
        failure: TaskFailure? = nil, priority: Priority? = nil, isBlamed: Bool = false
    ) {
        self.kind = kind
        self.at = at
        self.node = node
        self.run = run
        self.attempt = attempt
        self.term = term
        self.failure = failure
        self.priority = priority
        self.isBlamed = isBlamed
    }
}

extension TaskRecord {
    /// All that is known to have happened to the task, in order.
    ///
    /// - Parameter accepter: the node that the ledger was made for: it alone accepts.
    public func transitions(acceptedBy accepter: NodeName?) -> [TaskTransition] {
        var all = [TaskTransition(kind: .accepted, at: id.createdAt, node: accepter, run: 1)]
        for step in history.steps { all += Self.transitions(of: step) }
        if status.isFinal {
            let end = TaskHistory.Step(
                kind: .ended(status, failure), at: finishedAt ?? id.createdAt, run: run, token: finalToken,
                node: finalToken == nil ? nil : worker, leasedAt: leasedAt, startedAt: startedAt)
            all += Self.transitions(of: end)
        } else if let lease {
            all += Self.attempt(lease.token, lease.holder.name, run, leasedAt, lease.isStarted ? startedAt : nil)
        }
        return all
    }

    private static func attempt(
        _ token: Token?, _ node: NodeName?, _ run: UInt32, _ leasedAt: Timestamp?, _ startedAt: Timestamp?
    ) -> [TaskTransition] {
        [(TaskTransition.Kind.leased, leasedAt), (.started, startedAt)].compactMap { kind, at in
            at.map {
                TaskTransition(
                    kind: kind, at: $0, node: node, run: run, attempt: token?.attempt, term: token?.term)
            }
        }
    }

    private static func transitions(of step: TaskHistory.Step) -> [TaskTransition] {
        var all = attempt(step.token, step.node, step.run, step.leasedAt, step.leasedAt == nil ? nil : step.startedAt)
        var last = TaskTransition(
            kind: .retried, at: step.at, node: step.node, run: step.run, attempt: step.token?.attempt,
            term: step.token?.term)
        switch step.kind {
        case .attemptFailed(let failure):
            last.kind = .attemptFailed
            last.failure = failure
        case .interrupted(let isBlamed):
            last.kind = .interrupted
            last.isBlamed = isBlamed
        case .ended(let status, let failure):
            switch status {
            case .completed: last.kind = .completed
            case .cancelled: last.kind = .cancelled
            case .expired: last.kind = .expired
            case .failed, .scheduled, .blocked, .pending, .processing:
                last.kind = .failed
                last.failure = failure
            }
        case .retried: last.kind = .retried
        case .changed(let priority, from: _):
            last.kind = .changed
            last.priority = priority
        case .cancelRequested: last.kind = .cancelRequested
        case .released: last.kind = .released
        }
        all.append(last)
        return all
    }
}

extension Limits {
    /// Of one task's history; an attempt is one of them.
    public static let historySteps = 32
    /// The message of an earlier attempt's error; a longer one is cut.
    public static let historyErrorBytes = 1024
}
