package import Primitives
import Registry

/// The Redis of a world: what is stored, and whether it answers. Each process has a `VirtualRegistry` that talks to it.
///
/// It does what `RedisRegistry`'s commands do, each as one step, without their bytes.
///
/// `@unchecked`: only touched by the world's thread.
package final class VirtualRedis: @unchecked Sendable {
    let timeline: Timeline
    var random: SeededGenerator

    /// Of a command and of its answer, each with as much again drawn on top. Over the clients' timeout (2 s for both)
    /// they give up.
    package var latency = Duration.microseconds(150)
    package private(set) var isUp = true
    package private(set) var counters = RedisCounters()
    /// Who does not reach it. Never iterated.
    private var cutOff: Set<Int> = []
    private var clients: [VirtualRegistry] = []

    private(set) var runID: UInt64
    private var sentinel: UInt64?
    private var permanent: ClusterID?
    private var founder: (id: ClusterID, until: Instant)?
    /// By name, by number, by task; iterated only in sorted order.
    private var members: [NodeName: (entry: RegisteredMember, until: Instant)] = [:]
    private var views: [UInt64: (node: NodeName, until: Instant)] = [:]
    private var stored: [TaskID: (token: Token, document: [UInt8], until: Instant)] = [:]

    init(timeline: Timeline, seed: UInt64) {
        self.timeline = timeline
        random = SeededGenerator(seed: seed)
        runID = random.next()
    }

    // MARK: Faults

    /// Stops it: connections are reset, new ones refused.
    package func stop() {
        guard isUp else { return }
        isUp = false
        counters.stops += 1
        for client in clients { client.connectionLost() }
    }

    /// Starts it again under a new run id: with what it had, or empty.
    package func start(empty: Bool) {
        guard !isUp else { return }
        isUp = true
        runID = random.next()
        if empty { clear() }
    }

    /// FLUSHALL. Clients that are connected notice when they look at their sentinel.
    package func flush() {
        counters.flushes += 1
        clear()
        for client in clients { client.storeChanged() }
    }

    private func clear() {
        sentinel = nil
        permanent = nil
        founder = nil
        members = [:]
        views = [:]
        stored = [:]
    }

    /// Whether the node reaches it: what it sends vanishes otherwise.
    package func setReachable(_ isReachable: Bool, from node: Int) {
        if isReachable { cutOff.remove(node) } else { cutOff.insert(node) }
        for client in clients where client.node == node { client.pathChanged() }
    }

    package func isReachable(from node: Int) -> Bool { !cutOff.contains(node) }

    // MARK: Looking

    /// Outcomes by task: token and document, without those whose time is up. For checkers.
    package var results: [TaskID: (token: Token, document: [UInt8])] {
        stored.filter { $0.value.until > timeline.now }.mapValues { ($0.token, $0.document) }
    }

    /// All that were ever written, those included that are gone by now. For checkers.
    package private(set) var writes: [(id: TaskID, token: Token)] = []

    package var cluster: ClusterID? { permanent }

    // MARK: Clients

    func add(_ client: VirtualRegistry) { clients.append(client) }
    func remove(_ client: VirtualRegistry) { clients.removeAll { $0 === client } }
    func drawLatency() -> Duration { latency + latency * random.unit() }

    // MARK: Commands

    /// `SET sentinel NX`, `GET sentinel`. Whether it was set now, and what is there.
    func lookAtSentinel() -> (isNew: Bool, value: UInt64) {
        if let sentinel { return (false, sentinel) }
        let new = random.next()
        sentinel = new
        return (true, new)
    }

    func register(_ member: RegisteredMember, _ ttl: Duration) {
        members[member.name] = (member, timeline.now + lifetime(ttl))
    }

    func unregister(_ member: RegisteredMember) {
        if members[member.name]?.entry == member { members[member.name] = nil }
    }

    func listing(for cluster: ClusterID?) -> MemberListing {
        var listing = MemberListing(members: [])
        for name in members.keys.sorted() {
            guard let (entry, until) = members[name], until > timeline.now else { continue }
            if let cluster, let theirs = entry.cluster, theirs != cluster {
                listing.foreign += 1
            } else {
                listing.members.append(entry)
            }
        }
        return listing
    }

    func claimFounder(_ candidate: ClusterID, _ ttl: Duration) -> FounderClaim {
        if let permanent { return FounderClaim(id: permanent, isConfirmed: true) }
        if let founder, founder.until > timeline.now { return FounderClaim(id: founder.id, isConfirmed: false) }
        founder = (candidate, timeline.now + lifetime(ttl))
        return FounderClaim(id: candidate, isConfirmed: false)
    }

    func confirm(_ id: ClusterID) -> ClusterID {
        if let permanent { return permanent }
        permanent = id
        return id
    }

    func claimView(_ number: UInt64, _ node: NodeName, _ ttl: Duration) -> NodeName {
        if let claim = views[number], claim.until > timeline.now { return claim.node }
        views[number] = (node, timeline.now + lifetime(ttl))
        counters.viewClaims += 1
        return node
    }

    func write(_ result: StoredResult) -> WriteOutcome {
        if let held = stored[result.id], held.until > timeline.now {
            if held.token > result.token { return .superseded }
            if held.token == result.token { return .present }
        }
        stored[result.id] = (result.token, result.document, timeline.now + lifetime(result.ttl))
        writes.append((result.id, result.token))
        counters.results += 1
        return .written
    }

    func read(_ id: TaskID) -> [UInt8]? {
        guard let held = stored[id], held.until > timeline.now else { return nil }
        return held.document
    }

    private func lifetime(_ ttl: Duration) -> Duration { max(.milliseconds(1), ttl) }
}

/// What a world's Redis has seen. For summaries.
package struct RedisCounters: Hashable, Sendable {
    package internal(set) var stops = 0
    package internal(set) var flushes = 0
    package internal(set) var viewClaims = 0
    package internal(set) var results = 0
}
