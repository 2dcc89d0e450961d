public import Primitives

/// Which tasks a task waits for, and what it does if they do not succeed.
public struct TaskDependencies: Hashable, Sendable {
    public enum FailurePolicy: UInt8, Sendable, CaseIterable {
        /// It fails as soon as too many of them have not succeeded: a dead letter.
        case fail = 1
        /// It runs when all of them have ended, however.
        case run
        /// It is cancelled as soon as too many of them have not succeeded.
        case cancel

        /// The names that clients see.
        public var name: String {
            switch self {
            case .fail: "fail"
            case .run: "run"
            case .cancel: "cancel"
            }
        }
    }

    /// No two are alike; at most `Limits.dependencies`.
    public var parents: [TaskID]
    public var onFailure: FailurePolicy
    /// It runs when so many of them have completed; nil: all.
    public var needed: UInt16?

    public init(parents: [TaskID] = [], onFailure: FailurePolicy = .fail, needed: UInt16? = nil) {
        self.parents = parents
        self.onFailure = onFailure
        self.needed = needed
    }

    public static let none = TaskDependencies()
    public var isEmpty: Bool { parents.isEmpty }
}

/// How a task ended that another one waited for, as the waiting one knows it.
public struct ParentOutcome: Hashable, Sendable {
    public enum End: UInt8, Sendable, CaseIterable {
        case completed = 1
        case failed
        case cancelled
        case expired
        /// Nobody knows any more: its result's time was up before the waiting task's owner heard of it.
        case lost

        /// The names that clients see.
        public var name: String {
            switch self {
            case .completed: "completed"
            case .failed: "failed"
            case .cancelled: "cancelled"
            case .expired: "expired"
            case .lost: "lost"
            }
        }
    }

    public var end: End
    /// JSON; nil as well if it is too large to be handed on: then it has to be asked for.
    public var result: [UInt8]?
    /// Of the result, here or not; 0: there is none.
    public var resultBytes: UInt32
    public var failure: TaskFailure?

    public init(end: End, result: [UInt8]? = nil, resultBytes: UInt32? = nil, failure: TaskFailure? = nil) {
        self.end = end
        self.result = result
        self.resultBytes = resultBytes ?? UInt32(clamping: result?.count ?? 0)
        self.failure = failure
    }

    /// Nil: the task has not ended.
    public init?(_ status: TaskStatus, result: TaskResult?, failure: TaskFailure?) {
        switch status {
        case .completed: end = .completed
        case .failed: end = .failed
        case .cancelled: end = .cancelled
        case .expired: end = .expired
        case .scheduled, .blocked, .pending, .processing: return nil
        }
        resultBytes = UInt32(clamping: result?.byteCount ?? 0)
        self.result = result?.inline.flatMap { $0.count <= Limits.parentResultBytes ? $0 : nil }
        self.failure = end == .failed ? failure?.shortened : nil
    }

    /// Without its result.
    var outline: ParentOutcome { ParentOutcome(end: end, resultBytes: resultBytes, failure: failure) }

    var cost: Int { 64 + (result?.count ?? 0) + (failure?.message.utf8.count ?? 0) }
}

extension TaskRecord {
    /// What the ends of its parents, as far as they are known, say about a task.
    enum Verdict: Hashable {
        case waits
        case isReleased
        case ends(TaskStatus, TaskFailure?)
    }

    /// Parents whose end is not known yet, in the order in which they were named; none if it does not wait.
    public var openParents: [TaskID] {
        guard status == .blocked else { return [] }
        return zip(spec.dependencies.parents, parents).filter { $1 == nil }.map(\.0)
    }

    var verdict: Verdict {
        let dependencies = spec.dependencies
        let needed = min(Int(dependencies.needed ?? .max), parents.count)
        let open = parents.count { $0 == nil }
        let completed = parents.count { $0?.end == .completed }
        #if PLANTED_BUGS
        if PlantedBug.isActive(.firstParentIsEnough), completed > 0 { return .isReleased }
        #endif
        if completed >= needed { return .isReleased }
        switch dependencies.onFailure {
        case .run: return open == 0 ? .isReleased : .waits
        case .fail, .cancel: break
        }
        guard completed + open < needed else { return .waits }
        let failed = zip(dependencies.parents, parents).first { $1.map { $0.end != .completed } ?? false }
        let failure = failed.map { id, outcome in
            TaskFailure(
                type: "dependency_failed",
                message: outcome?.end == .lost
                    ? "task \(id), which it depends on, had ended, and its result_ttl was over before that was heard of"
                    : "task \(id), which it depends on, is \(outcome?.end.name ?? "unknown")",
                isRetryable: false)
        }
        return dependencies.onFailure == .fail ? .ends(.failed, failure) : .ends(.cancelled, failure)
    }

    /// Another task has ended that this one waits for.
    mutating func learn(_ outcome: ParentOutcome, of parent: TaskID, at: Timestamp) {
        guard status == .blocked, let index = spec.dependencies.parents.firstIndex(of: parent), parents[index] == nil
        else { return }
        var outcome = outcome
        let held = parents.reduce(0) { $0 + ($1?.result?.count ?? 0) }
        if held + (outcome.result?.count ?? 0) > Limits.parentResultsBytes { outcome.result = nil }
        parents[index] = outcome
        switch verdict {
        case .waits: break
        case .isReleased where isBehind: break
        case .isReleased:
            status = due == nil ? .pending : .scheduled
            history.append(TaskHistory.Step(kind: .released, at: at, run: run, due: due))
        case .ends(let status, let failure):
            self.failure = failure
            end(status, nil, at)
        }
    }

    /// A new run asks again after those that did not succeed: they may have been run again too.
    mutating func waitAnew() {
        guard !parents.isEmpty else { return }
        parents = parents.map { $0?.end == .completed ? $0 : nil }
        if verdict == .waits { status = .blocked }
    }
}

extension Limits {
    /// A parent's result that is handed to its children; a larger one they ask for.
    public static let parentResultBytes = 64 << 10
    /// All results of its parents that a task is handed.
    public static let parentResultsBytes = 256 << 10
}
