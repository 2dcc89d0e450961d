public import EventLoop
public import Primitives

/// No registry: nodes find each other by the seeds that they are given, results stay in the ledger, and a cluster is
/// founded by the node that is told to. Everything that needs a store says so.
///
/// `@unchecked`: only touched on the scheduler.
public final class StaticRegistry: Registry, @unchecked Sendable {
    private let scheduler: any Scheduler
    private var isStopped = false

    public init(scheduler: any Scheduler) { self.scheduler = scheduler }

    public var storesResults: Bool { false }
    public var isConnected: Bool { false }

    public func start(_ observer: @escaping @Sendable (RegistryEvent) -> Void) {}
    public func stop() { isStopped = true }

    public func register(_ member: RegisteredMember, ttl: Duration, _ completion: @escaping RegistryCompletion<Void>) {
        refuse(completion)
    }

    public func unregister(_ node: NodeID, _ completion: @escaping RegistryCompletion<Void>) { refuse(completion) }

    public func members(_ completion: @escaping RegistryCompletion<MemberListing>) { refuse(completion) }

    public func claimFounder(
        _ candidate: ClusterID, ttl: Duration, _ completion: @escaping RegistryCompletion<FounderClaim>
    ) {
        refuse(completion)
    }

    public func confirmCluster(_ id: ClusterID, _ completion: @escaping RegistryCompletion<ClusterID>) {
        refuse(completion)
    }

    public func clusterID(_ completion: @escaping RegistryCompletion<ClusterID?>) { refuse(completion) }

    public func claimView(
        _ number: UInt64, by node: NodeName, ttl: Duration, _ completion: @escaping RegistryCompletion<NodeName>
    ) {
        refuse(completion)
    }

    public func writeResult(_ result: StoredResult, _ completion: @escaping RegistryCompletion<WriteOutcome>) {
        refuse(completion)
    }

    public func readResult(_ id: TaskID, _ completion: @escaping RegistryCompletion<[UInt8]?>) { refuse(completion) }

    private func refuse<Value>(_ completion: @escaping RegistryCompletion<Value>) {
        let error: RegistryError =
            isStopped
            ? .stopped
            : .unsupported("this node has no registry: start it with --registry redis://HOST:PORT to have one")
        scheduler.execute { completion(.failure(error)) }
    }
}
