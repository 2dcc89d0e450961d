public import Journal
public import Primitives

/// What a node is told before it starts. All of it has been checked.
public struct NodeConfiguration: Sendable {
    public var name: NodeName
    /// Name of the cluster: nodes of another one are refused.
    public var cluster: String
    /// Listens for clients; port 0 is not allowed here, since others are told the address.
    public var http: Address
    public var peer: Address
    public var gossip: Address
    /// The host that others reach this node at.
    public var advertise: String
    /// What must survive a restart: the identity of the disk, the generation, the promises about views.
    public var dataDirectory: String
    /// Where handlers read and write files.
    public var workDirectory: String
    /// Resolved gossip addresses to begin with.
    public var seeds: [Address]
    /// How many nodes they are: a name may stand for several addresses.
    public var seedNodes: Int
    public var slots: Int
    public var maxQueued: Int
    public var maxQueuedBytes: Int
    /// How many nodes hold each task; of the node that founds the cluster.
    public var copies: UInt8
    /// When an entry of the journal counts as durable.
    public var sync: SyncPolicy
    /// What a node does that has lost the other half of a cluster of two, and knows of no tie-breaker.
    public var onSplit: SplitPolicy
    /// A larger result is kept by some nodes as a file, and not in the ledger; at most `Limits.inlineResultBytes`.
    public var inlineResultBytes = Limits.inlineResultBytes
    /// Large results are compared with their checksums once in so long.
    public var scrubInterval = Limits.scrubInterval
    /// It can sign what is told of the ends of tasks: else it takes none with a callback.
    public var signsCallbacks = false
    /// When the next segment of the journal begins.
    public var journalSegmentBytes = 64 << 20

    public enum SplitPolicy: String, Sendable, CaseIterable {
        /// Goes on alone if the other process is proven to be gone.
        case survive
        /// Waits for the other in any case.
        case stop
    }

    public init(
        name: NodeName, cluster: String, http: Address, peer: Address, gossip: Address, advertise: String,
        dataDirectory: String, workDirectory: String, seeds: [Address], seedNodes: Int? = nil, slots: Int,
        maxQueued: Int, maxQueuedBytes: Int = 1 << 30, copies: UInt8 = 2,
        sync: SyncPolicy = .always, onSplit: SplitPolicy = .survive
    ) {
        self.name = name
        self.cluster = cluster
        self.http = http
        self.peer = peer
        self.gossip = gossip
        self.advertise = advertise
        self.dataDirectory = dataDirectory
        self.workDirectory = workDirectory
        self.seeds = seeds
        self.seedNodes = seedNodes ?? seeds.count
        self.slots = slots
        self.maxQueued = maxQueued
        self.maxQueuedBytes = maxQueuedBytes
        self.copies = copies
        self.sync = sync
        self.onSplit = onSplit
    }
}
