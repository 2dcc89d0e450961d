public import Primitives

/// The broker-free cluster's notice board: who is there, who founds, and the results for people who look in Redis.
///
/// Nothing here is needed for a cluster to run. A registry that is away fails calls at once; it never queues them. So
/// who owns something (a registration, results) writes it when told `connected`, and again when told that the store is
/// fresh.
///
/// All functions are called on the loop. A completion runs on the loop, exactly once, and never before the call that it
/// belongs to returns. A call that ends in `timedOut` or `disconnected` may have had its effect: every call here can be
/// repeated.
public protocol Registry: AnyObject, Sendable {
    /// False for a registry that only reads a list: results stay in the ledger then.
    var storesResults: Bool { get }

    /// Whether calls have a chance now.
    var isConnected: Bool { get }

    /// Connects, and reconnects until `stop`. Once.
    func start(_ observer: @escaping @Sendable (RegistryEvent) -> Void)

    /// Every call that waits fails with `stopped`, and so do later ones. No event comes after this. Harmless when
    /// repeated.
    func stop()

    /// Says that a node is there, for `ttl`. Repeated well before that.
    func register(_ member: RegisteredMember, ttl: Duration, _ completion: @escaping RegistryCompletion<Void>)

    /// Takes the node's registration back, if it is still that of its generation.
    func unregister(_ node: NodeID, _ completion: @escaping RegistryCompletion<Void>)

    /// Who has said to be there. Entries of another cluster than the confirmed one are left out and counted.
    func members(_ completion: @escaping RegistryCompletion<MemberListing>)

    /// Proposes an id for a cluster that has none. The id in force, maybe another's: of all who call this within `ttl`
    /// one founds. An id that is confirmed already is in force.
    func claimFounder(_ candidate: ClusterID, ttl: Duration, _ completion: @escaping RegistryCompletion<FounderClaim>)

    /// Makes the id permanent, unless another one is. The id in force: a caller that gets another one back is in the
    /// wrong cluster. From now on other clusters' entries are refused. Repeated when the store is fresh.
    func confirmCluster(_ id: ClusterID, _ completion: @escaping RegistryCompletion<ClusterID>)

    /// The permanent id, if there is one.
    func clusterID(_ completion: @escaping RegistryCompletion<ClusterID?>)

    /// Breaks a tie of two voters: the first to claim the number of a view gets it. Who has it.
    func claimView(
        _ number: UInt64, by node: NodeName, ttl: Duration, _ completion: @escaping RegistryCompletion<NodeName>)

    /// Stores the outcome of a task for `ttl`, unless one with a higher token is there.
    func writeResult(_ result: StoredResult, _ completion: @escaping RegistryCompletion<WriteOutcome>)

    /// The document that was written; nil if there is none, or its time is up.
    func readResult(_ id: TaskID, _ completion: @escaping RegistryCompletion<[UInt8]?>)
}

/// How a call of a registry ends.
public typealias RegistryCompletion<Value> = @Sendable (Result<Value, RegistryError>) -> Void

/// What a node says about itself to those that look for a cluster.
public struct RegisteredMember: Hashable, Sendable {
    /// Nil while the node belongs to no cluster.
    public var cluster: ClusterID?
    public var name: NodeName
    public var generation: Generation
    public var gossip: Address
    public var peer: Address
    public var http: Address

    public init(
        cluster: ClusterID?, name: NodeName, generation: Generation, gossip: Address, peer: Address, http: Address
    ) {
        self.cluster = cluster
        self.name = name
        self.generation = generation
        self.gossip = gossip
        self.peer = peer
        self.http = http
    }
}

public struct MemberListing: Hashable, Sendable {
    /// Ascending by name.
    public var members: [RegisteredMember]
    /// Entries of other clusters.
    public var foreign: Int
    /// Entries that are none.
    public var malformed: Int

    public init(members: [RegisteredMember], foreign: Int = 0, malformed: Int = 0) {
        self.members = members
        self.foreign = foreign
        self.malformed = malformed
    }
}

/// The outcome of a task, as it is shown to people.
public struct StoredResult: Hashable, Sendable {
    public var id: TaskID
    /// Of the attempt that brought the outcome.
    public var token: Token
    /// JSON.
    public var document: [UInt8]
    public var ttl: Duration

    public init(id: TaskID, token: Token, document: [UInt8], ttl: Duration) {
        self.id = id
        self.token = token
        self.document = document
        self.ttl = ttl
    }
}

public enum WriteOutcome: Hashable, Sendable {
    case written
    /// The same token is there: the document was written before.
    case present
    /// A higher token is there, and stays.
    case superseded
}

public enum RegistryEvent: Hashable, Sendable {
    /// Calls have a chance. `isFresh`: the store is not the one of before, or new: write again what should be there.
    case connected(isFresh: Bool)
    /// The store was emptied under a connection that held.
    case emptied
    /// The connection is lost, or an attempt at one failed, and why. Attempts go on.
    case disconnected(RegistryError)
}

public enum RegistryError: Error, Hashable, Sendable, CustomStringConvertible {
    /// There is no connection.
    case unavailable(String)
    /// More waits than may wait. Nothing was sent.
    case overloaded(String)
    /// No answer in time. The connection is given up.
    case timedOut(String)
    /// The connection broke while the call waited.
    case disconnected(String)
    /// Redis answered with an error.
    case refused(String)
    /// Redis answered with something else than expected, or a value is none of ours.
    case malformed(String)
    /// This registry cannot do that.
    case unsupported(String)
    case stopped

    public var description: String {
        switch self {
        case .unavailable(let reason), .overloaded(let reason), .timedOut(let reason), .disconnected(let reason),
            .refused(let reason), .malformed(let reason), .unsupported(let reason):
            reason
        case .stopped: "the registry was stopped"
        }
    }
}

/// The id of the cluster that there is, or that somebody may found.
public struct FounderClaim: Hashable, Sendable {
    public let id: ClusterID
    /// There is such a cluster. Otherwise its founder may have ended before there was one: then the claim ends.
    public let isConfirmed: Bool

    public init(id: ClusterID, isConfirmed: Bool) {
        self.id = id
        self.isConfirmed = isConfirmed
    }
}
