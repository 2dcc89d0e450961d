public import Primitives
public import TaskLedger
public import Views

/// The slots of one node.
public struct NodeWorkers: Sendable, Hashable {
    public struct Slot: Sendable, Hashable {
        public var index: Int
        /// Nil: free.
        public var task: TaskID?
        public var taskType: String?
        public var queue: String?
        /// The owner of the task.
        public var owner: NodeName?
        public var since: Timestamp?

        public init(
            index: Int, task: TaskID? = nil, taskType: String? = nil, queue: String? = nil, owner: NodeName? = nil,
            since: Timestamp? = nil
        ) {
            self.index = index
            self.task = task
            self.taskType = taskType
            self.queue = queue
            self.owner = owner
            self.since = since
        }
    }

    public var node: NodeName
    /// False: the node did not answer, so nothing is known of its slots.
    public var isReachable: Bool
    public var slots: [Slot]
    public var taskTypes: [String]

    public init(node: NodeName, isReachable: Bool, slots: [Slot], taskTypes: [String]) {
        self.node = node
        self.isReachable = isReachable
        self.slots = slots
        self.taskTypes = taskTypes
    }
}

/// One queue, over the whole cluster.
public struct QueueSummary: Sendable, Hashable {
    public var name: String
    /// Tasks in each status that the ledgers hold.
    public var depth: [TaskStatus: Int]
    /// How long the oldest ready task has been waiting.
    public var oldestAge: Duration?
    public var settings: QueueSettings
    /// Of the last minute, of the nodes that answer.
    public var statistics: QueueStatistics
    /// Nodes that did not answer.
    public var missing: [NodeName]

    public init(
        name: String, depth: [TaskStatus: Int], oldestAge: Duration?, settings: QueueSettings? = nil,
        statistics: QueueStatistics = QueueStatistics(), missing: [NodeName]
    ) {
        self.name = name
        self.settings = settings ?? QueueSettings(name: name)
        self.statistics = statistics
        self.depth = depth
        self.oldestAge = oldestAge
        self.missing = missing
    }
}

/// The cluster as one node sees it, with what the others say of themselves.
public struct ClusterReport: Sendable, Hashable {
    public enum MemberState: String, Sendable {
        case alive
        case suspect
        /// Gone without a word.
        case dead
        /// Gone as announced.
        case left
        /// Known to gossip, and not yet in the view.
        case joining
        /// Listed by the view, and never heard of since this node's process began.
        case absent
    }

    /// The journal of a member, and the disk that it is on.
    public struct Disk: Sendable, Hashable {
        public var journalBytes: UInt64
        /// No room: the member takes no new tasks, and goes on with those that it has.
        public var isFull: Bool
        /// `always`, `interval:100ms` or `never`.
        public var sync: String
        /// Since the last sync ended; nil before the first of its process.
        public var sinceSync: Duration?
        /// From handing something to the disk until it was durable, the longest since its process began.
        public var worstSync: Duration

        public init(journalBytes: UInt64, isFull: Bool, sync: String, sinceSync: Duration?, worstSync: Duration) {
            self.journalBytes = journalBytes
            self.isFull = isFull
            self.sync = sync
            self.sinceSync = sinceSync
            self.worstSync = worstSync
        }
    }

    /// What has ended and is kept in ledgers, but for dead letters.
    public struct Outcomes: Sendable, Hashable {
        public var count: UInt64
        public var bytes: UInt64
        /// Given up before their result_ttl for the bounds, though no registry has them, since the processes of their nodes
        /// began.
        public var cut: UInt64

        public init(count: UInt64 = 0, bytes: UInt64 = 0, cut: UInt64 = 0) {
            self.count = count
            self.bytes = bytes
            self.cut = cut
        }
    }

    /// Tasks that have failed for good.
    public struct Letters: Sendable, Hashable {
        public var count: UInt64
        public var bytes: UInt64
        /// When the oldest one failed.
        public var oldest: Timestamp?
        /// Given up for the bounds, since the processes of their nodes began.
        public var dropped: UInt64

        public init(count: UInt64 = 0, bytes: UInt64 = 0, oldest: Timestamp? = nil, dropped: UInt64 = 0) {
            self.count = count
            self.bytes = bytes
            self.oldest = oldest
            self.dropped = dropped
        }
    }

    public struct MemberReport: Sendable, Hashable {
        public var name: NodeName
        public var state: MemberState
        /// Since when it is in that state, as far as this node knows.
        public var since: Timestamp
        public var generation: Generation
        public var incarnation: Incarnation
        public var profile: MemberProfile
        public var load: LoadDigest
        /// Slots that run a task; nil if the member did not answer.
        public var busySlots: Int?
        /// Outcomes recorded since its process began.
        public var completed: UInt64?
        public var failed: UInt64?
        public var duplicatesDiscarded: UInt64?
        /// Tasks of other owners that it has run.
        public var stolen: UInt64?
        /// The view that it has installed.
        public var viewNumber: UInt64?
        public var viewDigest: UInt64?
        public var isVoter: Bool
        /// Age of what is told about it.
        public var dataAge: Duration
        /// Whether its link to the registry is up; nil: unknown, or no registry.
        public var isRegistryConnected: Bool?
        /// Outcomes that wait for the registry.
        public var unwrittenResults: UInt64?
        public var disk: Disk?
        /// Whether it may start tasks: a majority of the voters has just said so.
        public var mayStart: Bool?
        /// Whether it hears from a majority of the voters.
        public var reachesMajority: Bool?
        /// Why it takes no submissions; nil: it does, or did not answer.
        public var unreadiness: String?

        public init(
            name: NodeName, state: MemberState, since: Timestamp, generation: Generation, incarnation: Incarnation,
            profile: MemberProfile, load: LoadDigest, busySlots: Int? = nil, completed: UInt64? = nil,
            failed: UInt64? = nil, duplicatesDiscarded: UInt64? = nil, stolen: UInt64? = nil, viewNumber: UInt64? = nil,
            viewDigest: UInt64? = nil, isVoter: Bool = false, dataAge: Duration = .zero,
            isRegistryConnected: Bool? = nil, unwrittenResults: UInt64? = nil, disk: Disk? = nil,
            mayStart: Bool? = nil, reachesMajority: Bool? = nil, unreadiness: String? = nil
        ) {
            self.name = name
            self.state = state
            self.since = since
            self.generation = generation
            self.incarnation = incarnation
            self.profile = profile
            self.load = load
            self.busySlots = busySlots
            self.completed = completed
            self.failed = failed
            self.duplicatesDiscarded = duplicatesDiscarded
            self.stolen = stolen
            self.viewNumber = viewNumber
            self.viewDigest = viewDigest
            self.isVoter = isVoter
            self.dataAge = dataAge
            self.isRegistryConnected = isRegistryConnected
            self.unwrittenResults = unwrittenResults
            self.disk = disk
            self.mayStart = mayStart
            self.reachesMajority = reachesMajority
            self.unreadiness = unreadiness
        }
    }

    public struct LedgerReport: Sendable, Hashable {
        public var id: LedgerID
        public var term: Term
        public var primary: NodeName
        public var backups: [NodeName]
        /// The node that it was made for.
        public var founder: NodeName
        /// Whether its primary is a living member: else its tasks answer 503.
        public var isAvailable: Bool
        /// As many copies as the setting asks for.
        public var isFullyReplicated: Bool
        /// Tasks without an outcome; nil if the primary did not answer.
        public var openTasks: UInt64?

        public init(
            id: LedgerID, term: Term, primary: NodeName, backups: [NodeName], founder: NodeName, isAvailable: Bool,
            isFullyReplicated: Bool, openTasks: UInt64?
        ) {
            self.id = id
            self.term = term
            self.primary = primary
            self.backups = backups
            self.founder = founder
            self.isAvailable = isAvailable
            self.isFullyReplicated = isFullyReplicated
            self.openTasks = openTasks
        }
    }

    /// A ledger that got a new primary since its old one was gone.
    public struct Takeover: Sendable, Hashable {
        public var ledger: LedgerID
        public var term: Term
        public var from: NodeName
        public var to: NodeName
        public var at: Timestamp
        /// Tasks without an outcome that the new primary found in its copy.
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

    /// A ledger of which no listed copy is left: what was not yet ended in it is gone.
    public struct Loss: Sendable, Hashable {
        public var ledger: LedgerID
        public var primary: NodeName
        /// The view that gave it up.
        public var view: UInt64
        /// Open tasks as last heard of; nil if nobody knows.
        public var tasks: UInt64?

        public init(ledger: LedgerID, primary: NodeName, view: UInt64, tasks: UInt64?) {
            self.ledger = ledger
            self.primary = primary
            self.view = view
            self.tasks = tasks
        }
    }

    public var name: String
    public var id: ClusterID?
    public var answeredBy: NodeName
    public var viewNumber: UInt64
    public var viewDigest: UInt64
    /// False: two living members have different views at this moment.
    public var viewsAgree: Bool
    public var voters: [NodeName]
    public var copies: Int
    /// Ascending by name: members, those that are gone, and those about to join.
    public var members: [MemberReport]
    public var ledgers: [LedgerReport]
    public var takeovers: [Takeover]
    public var losses: [Loss]
    /// Of the nodes that answer.
    public var letters: Letters
    public var outcomes: Outcomes
    /// About how many bytes of open tasks the nodes hold, and of outcomes that the registry lacks.
    public var queuedBytes: UInt64
    /// What a user should know or do; empty if all is well.
    public var warnings: [String]

    public init(
        name: String, id: ClusterID?, answeredBy: NodeName, viewNumber: UInt64, viewDigest: UInt64, viewsAgree: Bool,
        voters: [NodeName], copies: Int, members: [MemberReport], ledgers: [LedgerReport], takeovers: [Takeover],
        losses: [Loss], letters: Letters = Letters(), outcomes: Outcomes = Outcomes(), queuedBytes: UInt64 = 0,
        warnings: [String]
    ) {
        self.name = name
        self.id = id
        self.answeredBy = answeredBy
        self.viewNumber = viewNumber
        self.viewDigest = viewDigest
        self.viewsAgree = viewsAgree
        self.voters = voters
        self.copies = copies
        self.members = members
        self.ledgers = ledgers
        self.takeovers = takeovers
        self.losses = losses
        self.letters = letters
        self.outcomes = outcomes
        self.queuedBytes = queuedBytes
        self.warnings = warnings
    }
}

/// What `/health` tells.
public struct NodeHealth: Sendable, Hashable {
    public enum Status: String, Sendable {
        case healthy
        /// It works, and something needs attention.
        case degraded
        case draining
        case starting
    }

    public var status: Status
    public var node: NodeName
    /// Living members of the view.
    public var members: Int
    public var workers: Int
    /// Over the whole cluster, as gossip tells it.
    public var pendingTasks: UInt64
    /// Recorded by this node since it began.
    public var completedTasks: UInt64
    public var timestamp: Timestamp

    public init(
        status: Status, node: NodeName, members: Int, workers: Int, pendingTasks: UInt64, completedTasks: UInt64,
        timestamp: Timestamp
    ) {
        self.status = status
        self.node = node
        self.members = members
        self.workers = workers
        self.pendingTasks = pendingTasks
        self.completedTasks = completedTasks
        self.timestamp = timestamp
    }
}
