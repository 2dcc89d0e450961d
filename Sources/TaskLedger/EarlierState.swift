public import Primitives

/// The state of a task at an earlier time, rebuilt from its record: what its history tells is gone through again up to
/// that time.
///
/// Times are those that the owners of that time told, each by its own clock; what came later is never told to have been before
/// what came first. What the record does not tell: who owned the
/// task then, and the expiry that a run had which was run again.
public struct EarlierState: Hashable, Sendable {
    public var status: TaskStatus
    public var priority: Priority
    public var run: UInt32 = 1
    /// Attempts of the run that had begun.
    public var attempt: UInt32 = 0
    public var interruptions: UInt32 = 0
    public var startedAt: Timestamp?
    public var worker: NodeName?
    public var finishedAt: Timestamp?
    /// When it was to be due.
    public var due: Timestamp?
    public var failure: TaskFailure?
    public var isCancelRequested = false
    /// Runs that began by waiting for other tasks.
    var blockedRuns: Set<UInt32> = []

    public enum Lookup: Hashable, Sendable {
        case found(EarlierState)
        /// The task was accepted later.
        case notAccepted
        /// What happened then is not kept any more; the history begins at this time.
        case notKept(since: Timestamp)
    }

    fileprivate enum Change {
        case leased(NodeName?)
        case started(at: Timestamp)
        case step(TaskHistory.Step)

        /// It can come at any time of an attempt.
        var isRequest: Bool { if case .step(let step) = self { step.kind == .cancelRequested } else { false } }
    }
}

extension TaskRecord {
    /// - Parameter wallClock: what time it is, or was, when an instant of this node's clock is.
    public func state(at time: Timestamp, wallClock: (Instant) -> Timestamp) -> EarlierState.Lookup {
        guard time >= id.createdAt else { return .notAccepted }
        let past = self.past()
        if history.cut > 0, let first = past.first?.at, time < first { return .notKept(since: first) }
        var state = EarlierState(status: .pending, priority: spec.priority)
        // The first change that a client made tells what was before it.
        for case .changed(_, from: let before) in history.steps.lazy.map(\.kind) {
            state.priority = before
            break
        }
        if !spec.dependencies.isEmpty {
            state.blockedRuns = Set(history.steps.filter { $0.kind == .released }.map(\.run)).union([1])
            if status == .blocked { state.blockedRuns.insert(run) }
        }
        if history.cut > 0 {
            beginAfterTheCut(&state)
        } else if !spec.dependencies.isEmpty {
            state.status = .blocked
        } else if spec.delay > 0 {
            state.status = .scheduled
            state.due = Timestamp(milliseconds: id.createdAt.milliseconds + Int64(clamping: spec.delay))
        }
        #if PLANTED_BUGS
        let isEver = PlantedBug.isActive(.presentForPast)
        #else
        let isEver = false
        #endif
        for (at, change) in past where isEver || at <= time { state.apply(change, wallClock) }
        if state.status == .scheduled, let due = state.due, due <= time {
            state.status = .pending
            state.due = nil
        }
        return .found(state)
    }

    /// In the order in which it happened, and so by time: what an owner has noted whose clock is behind that of the one before
    /// counts as noted at the time of what came before it.
    private func past() -> [(at: Timestamp, change: EarlierState.Change)] {
        var all: [(at: Timestamp, change: EarlierState.Change)] = []
        func attempt(_ node: NodeName?, _ leasedAt: Timestamp?, _ startedAt: Timestamp?) {
            guard let leasedAt else { return }
            // The history tells of an attempt when it has ended: what a client has asked for meanwhile stands before it.
            let requests = all.reversed().prefix { $0.change.isRequest }.count
            var segment = Array(all.suffix(requests))
            all.removeLast(requests)
            if let startedAt { segment.insert((max(startedAt, leasedAt), .started(at: startedAt)), at: 0) }
            segment.insert((leasedAt, .leased(node)), at: 0)
            all += segment.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }
                .map(\.element)
        }
        for step in history.steps {
            attempt(step.node, step.leasedAt, step.startedAt)
            all.append((step.at, .step(step)))
        }
        if status.isFinal {
            attempt(worker, leasedAt, startedAt)
            let at = finishedAt ?? id.createdAt
            all.append(
                (
                    at,
                    .step(TaskHistory.Step(kind: .ended(status, failure), at: at, run: run, token: finalToken))
                ))
        } else if let lease {
            attempt(lease.holder.name, leasedAt, lease.isStarted ? startedAt : nil)
        }
        for index in all.indices.dropFirst() { all[index].at = max(all[index].at, all[index - 1].at) }
        return all
    }

    /// What the run of the oldest step that is kept had counted before it: the whole less what is told since.
    private func beginAfterTheCut(_ state: inout EarlierState) {
        guard let first = history.steps.first else { return }
        state.run = first.run
        if case .retried = first.kind { state.run = first.run - 1 }
        guard state.run == run else { return }
        let blamed = history.steps.count { $0.run == run && $0.kind == .interrupted(isBlamed: true) }
        state.interruptions = interruptions >= blamed ? interruptions - UInt32(blamed) : 0
        let begun = history.steps.count { step in
            guard step.run == run, step.leasedAt != nil else { return false }
            if case .interrupted = step.kind { return step.startedAt != nil }
            return true
        }
        let isPresentBegun = leasedAt != nil && (startedAt != nil || status.isFinal)
        let later = UInt32(begun + (isPresentBegun ? 1 : 0))
        state.attempt = begunAttempts >= later ? begunAttempts - later : 0
    }
}

extension EarlierState {
    fileprivate mutating func apply(_ change: Change, _ wallClock: (Instant) -> Timestamp) {
        switch change {
        case .leased(let node):
            status = .processing
            due = nil
            worker = node
            startedAt = nil
        case .started(let at):
            attempt += 1
            startedAt = at
        case .step(let step):
            apply(step, wallClock)
        }
    }

    private mutating func apply(_ step: TaskHistory.Step, _ wallClock: (Instant) -> Timestamp) {
        switch step.kind {
        case .attemptFailed(let failure):
            endAttempt()
            self.failure = failure
            wait(until: step.due.map(wallClock))
        case .interrupted(let isBlamed):
            if isBlamed { interruptions += 1 }
            wait(until: nil)
        case .ended(let status, let failure):
            endAttempt()
            self.status = status
            self.failure = failure
            due = nil
            finishedAt = step.at
        case .retried:
            let isBlocked = blockedRuns.contains(step.run)
            self = EarlierState(
                status: isBlocked ? .blocked : .pending, priority: priority, run: step.run, blockedRuns: blockedRuns)
        case .changed(let priority, from: _):
            self.priority = priority
            if status != .blocked { wait(until: step.due.map(wallClock)) }
        case .cancelRequested:
            isCancelRequested = true
        case .released:
            wait(until: step.due.map(wallClock))
        }
    }

    /// One that has come to an end has begun, though its owner may not have heard of that before.
    private mutating func endAttempt() {
        if status == .processing, startedAt == nil { attempt += 1 }
    }

    private mutating func wait(until due: Timestamp?) {
        status = due == nil ? .pending : .scheduled
        self.due = due
    }
}
