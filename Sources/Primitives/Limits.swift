/// Every bound of the system that is not a setting. Each has a test that meets it.
public enum Limits {
    /// Names of nodes, queues and task types.
    public static let nameBytes = 63
    /// A numeric address, or a host name before it is resolved (RFC 1035).
    public static let hostBytes = 253
    /// One task's payload.
    public static let payloadBytes = 1 << 20
    /// What a handler may return; a longer result fails the attempt.
    public static let resultBytes = 16 << 20
    /// A result that a ledger holds itself; a larger one is detached.
    public static let inlineResultBytes = 64 << 10
    /// Tasks that one task may wait for.
    public static let dependencies = 100
    /// Steps of one workflow.
    public static let workflowTasks = 1000
    /// Message of a failed attempt; a longer one is cut.
    public static let errorBytes = 4096
    /// What the errors of dead letters are searched for.
    public static let errorFilterBytes = 256
    /// Tasks of one batch submission.
    public static let batchTasks = 10_000
    /// A request body: a full batch of ordinary tasks, or a payload of the greatest size escaped.
    public static let bodyBytes = 16 << 20
    /// Keys and values of one task's metadata.
    public static let metadataEntries = 16
    public static let metadataKeyBytes = 64
    public static let metadataValueBytes = 512
    /// A task's fairness key.
    public static let fairnessKeyBytes = 255
    /// Nesting of a JSON document.
    public static let jsonDepth = 128
    /// Retries of one task.
    public static let retries = 100
    /// How long a handler may have a failed task rest (a day).
    public static let retryAfterMilliseconds: UInt32 = 86_400_000
    /// One attempt, in seconds (a day).
    public static let timeoutSeconds = 86_400
    /// `delay`, `run_at`, `expires_in`: how far ahead, in seconds (a year).
    public static let horizonSeconds = 31_536_000
    /// A long poll, in seconds.
    public static let waitSeconds = 60
    /// A page of a listing.
    public static let pageTasks = 1000
    /// A frame on a link between nodes.
    public static let frameBytes = 8 << 20
    /// A hello on a link: the longest names take 300.
    public static let helloBytes = 1024
    /// Bytes that wait to be written to one peer, or to be taken from all of them.
    public static let linkQueueBytes = 64 << 20
    /// Requests to one peer that have no answer yet.
    public static let requestsInFlight = 65_536
    /// Connections from other nodes.
    public static let inboundLinks = 1024
    /// A gossip datagram: below the usual path MTU, with room for a seal.
    public static let datagramBytes = 1400
    /// Voters of a view.
    public static let voters = 7
    /// Members of a view.
    public static let members = 256
    /// Copies of a task that a cluster may be set to.
    public static let copies = 5
    /// Replicas of one ledger that a view lists: a draining one and its successor may both be there for a while.
    public static let replicas = 8
    /// Ledgers of a view.
    public static let ledgers = 1024
    /// Losses of ledgers that a view remembers.
    public static let lostLedgers = 16
    /// Key slots of a cluster.
    public static let keySlots = 256
}
