public import Primitives
public import TaskLedger

/// What a node tells a peer about itself, for reports of the whole cluster.
public struct PeerStatus: Hashable, Sendable {
    public struct Ledger: Hashable, Sendable {
        public var id: LedgerID
        public var open: UInt64

        public init(id: LedgerID, open: UInt64) {
            self.id = id
            self.open = open
        }
    }

    public struct Queue: Hashable, Sendable {
        public var name: String
        /// By the raw value of the status.
        public var counts: [UInt64]
        /// How long its oldest ready task has been waiting; nil: none is ready.
        public var oldestAge: Duration?
        /// Nil: nothing was measured.
        public var statistics: QueueStatistics?

        public init(
            name: String, counts: [UInt64], oldestAge: Duration? = nil, statistics: QueueStatistics? = nil
        ) {
            self.name = name
            self.counts = counts
            self.oldestAge = oldestAge
            self.statistics = statistics
        }
    }

    public struct Slot: Hashable, Sendable {
        public var index: UInt32
        public var task: TaskID
        public var taskType: String
        public var queue: String
        public var ledger: LedgerID
        public var since: Timestamp

        public init(index: UInt32, task: TaskID, taskType: String, queue: String, ledger: LedgerID, since: Timestamp) {
            self.index = index
            self.task = task
            self.taskType = taskType
            self.queue = queue
            self.ledger = ledger
            self.since = since
        }
    }

    public struct Takeover: Hashable, Sendable {
        public var ledger: LedgerID
        public var term: Term
        public var from: NodeName
        public var to: NodeName
        public var at: Timestamp
        public var recovered: UInt64

        public init(ledger: LedgerID, term: Term, from: NodeName, to: NodeName, at: Timestamp, recovered: UInt64) {
            self.ledger = ledger
            self.term = term
            self.from = from
            self.to = to
            self.at = at
            self.recovered = recovered
        }
    }

    /// Its journal, and the disk that it is on.
    public struct Disk: Hashable, Sendable {
        public var journalBytes: UInt64
        public var isFull: Bool
        /// As the setting says it: `always`.
        public var sync: String
        /// Nil before the first sync of the process.
        public var sinceSync: Duration?
        public var worstSync: Duration

        public init(journalBytes: UInt64, isFull: Bool, sync: String, sinceSync: Duration?, worstSync: Duration) {
            self.journalBytes = journalBytes
            self.isFull = isFull
            self.sync = sync
            self.sinceSync = sinceSync
            self.worstSync = worstSync
        }
    }

    /// What it may do, as far as it knows.
    public struct Standing: Hashable, Sendable {
        /// A majority of the voters has just let it start tasks.
        public var mayStart: Bool
        public var reachesMajority: Bool
        /// Why it takes no submissions; nil: it does.
        public var unreadiness: String?

        public init(mayStart: Bool, reachesMajority: Bool, unreadiness: String?) {
            self.mayStart = mayStart
            self.reachesMajority = reachesMajority
            self.unreadiness = unreadiness
        }
    }

    /// What has ended and is kept in its ledgers, but for dead letters; and what is held and bounded.
    public struct Retention: Hashable, Sendable {
        public var outcomes: UInt64
        public var outcomeBytes: UInt64
        /// Given up for the bounds before their time, since the process began.
        public var cut: UInt64
        /// Of open tasks, and outcomes that the registry lacks.
        public var queuedBytes: UInt64

        public init(outcomes: UInt64 = 0, outcomeBytes: UInt64 = 0, cut: UInt64 = 0, queuedBytes: UInt64 = 0) {
            self.outcomes = outcomes
            self.outcomeBytes = outcomeBytes
            self.cut = cut
            self.queuedBytes = queuedBytes
        }
    }

    /// Its dead letters.
    public struct Letters: Hashable, Sendable {
        public var count: UInt64
        public var bytes: UInt64
        /// When the oldest one failed.
        public var oldest: Timestamp?
        /// Given up for the bounds, since the process began.
        public var dropped: UInt64

        public init(count: UInt64 = 0, bytes: UInt64 = 0, oldest: Timestamp? = nil, dropped: UInt64 = 0) {
            self.count = count
            self.bytes = bytes
            self.oldest = oldest
            self.dropped = dropped
        }
    }

    public var node: NodeID
    public var viewNumber: UInt64
    public var viewDigest: UInt64
    public var load: LoadDigest
    public var slotCount: UInt32
    public var busy: [Slot]
    public var taskTypes: [String]
    public var completed: UInt64
    public var failed: UInt64
    public var duplicatesDiscarded: UInt64
    public var stolen: UInt64
    public var unwrittenResults: UInt64
    /// Nil: no registry.
    public var isRegistryConnected: Bool?
    public var ledgers: [Ledger]
    public var queues: [Queue]
    public var takeovers: [Takeover]
    public var disk: Disk
    public var standing: Standing
    public var letters: Letters
    public var retention: Retention

    public init(
        node: NodeID, viewNumber: UInt64, viewDigest: UInt64, load: LoadDigest, slotCount: UInt32, busy: [Slot],
        taskTypes: [String], completed: UInt64, failed: UInt64, duplicatesDiscarded: UInt64, stolen: UInt64,
        unwrittenResults: UInt64, isRegistryConnected: Bool?, ledgers: [Ledger], queues: [Queue],
        takeovers: [Takeover], disk: Disk, standing: Standing,
        letters: Letters = Letters(), retention: Retention = Retention()
    ) {
        self.node = node
        self.viewNumber = viewNumber
        self.viewDigest = viewDigest
        self.load = load
        self.slotCount = slotCount
        self.busy = busy
        self.taskTypes = taskTypes
        self.completed = completed
        self.failed = failed
        self.duplicatesDiscarded = duplicatesDiscarded
        self.stolen = stolen
        self.unwrittenResults = unwrittenResults
        self.isRegistryConnected = isRegistryConnected
        self.ledgers = ledgers
        self.queues = queues
        self.takeovers = takeovers
        self.disk = disk
        self.standing = standing
        self.letters = letters
        self.retention = retention
    }
}

extension Limits {
    /// Takeovers that a node remembers.
    public static let takeovers = 64
    /// Queues of one status answer.
    public static let reportedQueues = 10_000
    /// Why a node takes no submissions: a sentence.
    static let reasonBytes = 1024
}
