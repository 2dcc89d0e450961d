public import Primitives

/// What a successful attempt has returned: JSON.
///
/// A ledger is written by each of its replicas, again by each of their snapshots, and is held in memory. A large result would
/// be all of that many times over. So it is detached: some nodes keep it as a file, as many as there are to be copies of a
/// task, and the ledger says which. An outcome with such a result is reported only when those nodes have it on their disks.
public enum TaskResult: Hashable, Sendable, ExpressibleByArrayLiteral {
    case inline([UInt8])
    case detached(DetachedResult)

    public init(arrayLiteral elements: UInt8...) { self = .inline(elements) }

    /// Nil: it is not in the ledger.
    public var inline: [UInt8]? {
        if case .inline(let bytes) = self { bytes } else { nil }
    }

    public var detached: DetachedResult? {
        if case .detached(let result) = self { result } else { nil }
    }

    /// Of the result, wherever it is.
    public var byteCount: Int {
        switch self {
        case .inline(let bytes): bytes.count
        case .detached(let result): Int(result.byteCount)
        }
    }

    /// About how many bytes it takes in a ledger.
    var cost: Int {
        switch self {
        case .inline(let bytes): bytes.count
        case .detached(let result): 16 + 64 * result.holders.count
        }
    }
}

/// A result that is not in the ledger.
public struct DetachedResult: Hashable, Sendable {
    public var byteCount: UInt32
    /// CRC-32C: what a holder hands over is compared with it.
    public var checksum: UInt32
    /// Who keeps it, on which disk; at most `Limits.copies`.
    public var holders: [StoreHolder]

    public init(byteCount: UInt32, checksum: UInt32, holders: [StoreHolder]) {
        self.byteCount = byteCount
        self.checksum = checksum
        self.holders = holders
    }
}

/// Names a detached result: each attempt may have returned another one.
public struct ResultID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var task: TaskID
    public var token: Token

    public init(task: TaskID, token: Token) {
        self.task = task
        self.token = token
    }

    public static func < (a: ResultID, b: ResultID) -> Bool { (a.task, a.token) < (b.task, b.token) }

    public var description: String { "\(task)-\(token)" }
}

/// What the owner of a task says of a detached result that somebody keeps.
public enum ResultNeed: UInt8, Hashable, Sendable, CaseIterable {
    /// It is the task's result, or may become that: it has to stay.
    case needed = 1
    /// It is not, and never will be.
    case obsolete = 2
    /// There is no such task here.
    case unknown = 3
}

/// What a node found that has read its copy of a detached result again.
public enum CopyState: UInt8, Hashable, Sendable, CaseIterable {
    case whole = 1
    /// It is not what it was, or not there: the node keeps nothing of it any more.
    case gone = 2
    /// The disk does not give it: that may pass.
    case unreadable = 3
}

extension TaskRecord {
    /// The detached result of a completed task.
    public var detachedResult: (id: ResultID, result: DetachedResult)? {
        guard let finalToken, let detached = result?.detached else { return nil }
        return (ResultID(task: id, token: finalToken), detached)
    }

    /// Whether `holder` has to go on keeping a result of this task.
    ///
    /// - Parameter isSettled: an outcome that the record has is committed.
    public func need(of token: Token, by holder: StoreHolder, isSettled: Bool) -> ResultNeed {
        if let (id, detached) = detachedResult, id.token == token {
            return detached.holders.contains(holder) || !isSettled ? .needed : .obsolete
        }
        // An outcome of an earlier run does not count any more; of this run only the first one does.
        if token.run < run || status.isFinal && isSettled && token.run == run { return .obsolete }
        return .needed
    }
}

/// Whoever keeps a result asks whether it is still needed, and removes it if it is not. So nothing is said to be obsolete by
/// an entry that is not committed: a takeover may undo that, and the task would have its old holders again, or be there again.
extension TaskOwner {
    /// Completed tasks whose results are detached, ascending by ledger and id: who keeps them is looked after.
    public var detachedResults: [(id: ResultID, result: DetachedResult)] {
        ledgers.flatMap { owned in
            owned.primary.state.detached.sorted().compactMap { owned.primary.state[$0]?.detachedResult }
        }
    }

    /// Other nodes keep a result now: some that kept it are gone, or have lost their disks.
    public mutating func moved(_ id: ResultID, to holders: [StoreHolder]) {
        guard !holders.isEmpty, let index = index(of: id.task),
            let (known, detached) = ledgers[index].primary.state[id.task]?.detachedResult, known == id,
            detached.holders != holders
        else { return }
        record(.resultMoved(id.task, id.token, to: Array(holders.prefix(Limits.copies))), in: index)
    }

    /// What `holder` is told of a result that it keeps.
    public func need(of id: ResultID, by holder: StoreHolder) -> ResultNeed {
        guard unsettledResults[id.task] == nil, ledgers.allSatisfy(\.isInheritanceCommitted) else { return .needed }
        if let record = task(id.task) { return record.need(of: id.token, by: holder, isSettled: isTellable(record)) }
        return hasForgotten(id.task) ? .obsolete : .unknown
    }

    /// Whether somebody may stop to keep a result by this event.
    func freesHolders(_ event: LedgerEvent, in index: Int) -> Bool {
        switch event {
        case .resultMoved: true
        case .forgotten(let id): ledgers[index].primary.state[id]?.result?.detached != nil
        default: false
        }
    }

    mutating func unsettle(_ id: TaskID, in index: Int) {
        unsettledResults[id, default: 0] += 1
        ledgers[index].primary.whenCommitted(.resultSettled(id))
    }

    mutating func resultSettled(_ id: TaskID) {
        let count = (unsettledResults[id] ?? 0) - 1
        unsettledResults[id] = count > 0 ? count : nil
    }
}
