public import Primitives
public import TaskLedger

/// Tasks with keys, for the home of these keys to decide about: all or none.
public struct KeyedRequest: Hashable, Sendable {
    /// The ledger that the keys' slots belong to, as the asker's view says.
    public var home: LedgerID
    /// For those that are accepted.
    public var ids: [TaskID]
    /// Whether it was sent to this ledger before, under this id, and not answered.
    public var isAgain: [Bool]
    public var specs: [TaskSpec]

    public init(home: LedgerID, ids: [TaskID], isAgain: [Bool], specs: [TaskSpec]) {
        self.home = home
        self.ids = ids
        self.isAgain = isAgain
        self.specs = specs
    }
}

/// What a home answers.
public enum KeyedReply: Hashable, Sendable {
    /// Committed, in the order of the tasks.
    case decided([KeyedDecision], holders: [NodeName])
    case notHome
    case moving
    /// Seconds after which there may be room.
    case full(retryAfter: UInt32)
    /// No room on its disk: in its data folder.
    case diskFull(folder: String)
    /// It may not accept anything now.
    case unavailable
}
