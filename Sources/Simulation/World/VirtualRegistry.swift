import Primitives
import Registry

/// One process's connection to the world's Redis, with the life of `RedisClient`:
///
///     idle -> connecting -> open -> resting -> connecting; any -> stopped
///
/// Commands arrive in the order of the calls and so do their answers. A connection that is silent for the timeout is
/// given up, one whose Redis has stopped is reset; a call that waits fails then, though it may have had its effect. The
/// store is looked at on connecting and every `probeEvery`, which tells whether it is the one of before.
///
/// `@unchecked`: only touched by the world's thread.
final class VirtualRegistry: Registry, @unchecked Sendable {
    private enum State { case idle, connecting, open, resting, stopped }

    private struct Call {
        let number: UInt64
        let deadline: Instant
        let fail: (RegistryError) -> Void
    }

    let node: Int
    private let redis: VirtualRedis
    private let process: VirtualProcess
    private let settings = RedisRegistry.Settings()
    private var random: SeededGenerator
    private var observer: @Sendable (RegistryEvent) -> Void = { _ in }
    private var state = State.idle
    /// Counts connections, so that what belongs to an earlier one is ignored.
    private var connection: UInt64 = 0
    private var failures = 0
    private var lastError = RegistryError.unavailable("no connection to Redis was tried yet")
    private var calls: [Call] = []
    private var lastCall: UInt64 = 0
    private var lastArrival = Instant.zero
    private var lastAnswer = Instant.zero
    private var watch: VirtualTimer?
    private var probe: VirtualTimer?
    private var openedAt = Instant.zero
    private var runID: UInt64?
    private var sentinel: UInt64?
    private var cluster: ClusterID?
    private var registered: RegisteredMember?

    init(_ redis: VirtualRedis, on node: Int, process: VirtualProcess, seed: UInt64) {
        self.redis = redis
        self.node = node
        self.process = process
        random = SeededGenerator(seed: seed)
    }

    var storesResults: Bool { true }
    var isConnected: Bool { state == .open }

    func start(_ observer: @escaping @Sendable (RegistryEvent) -> Void) {
        guard state == .idle else { return }
        self.observer = observer
        redis.add(self)
        connect()
    }

    func stop() {
        guard state != .stopped else { return }
        state = .stopped
        observer = { _ in }
        redis.remove(self)
        giveUp(.stopped)
    }

    /// The process has died.
    func detach() { stop() }

    // MARK: Connecting

    private func connect() {
        state = .connecting
        connection += 1
        let connection = connection
        // To connect, and to be greeted.
        let greeting = redis.drawLatency() * 2
        let answer = redis.drawLatency() * 2
        guard redis.isReachable(from: node), greeting + answer <= settings.timeout else {
            return later(settings.timeout) { [self] in
                if connection == self.connection { rest(after: .timedOut("Redis did not answer in time")) }
            }
        }
        // From the network's side: a paused process hears of it later.
        process.timeline.schedule(.registry, for: nil, node: node, at: process.timeline.now + greeting) { [self] in
            guard connection == self.connection, state == .connecting else { return }
            guard redis.isUp else {
                return process.deliver(.registry) { [self] in
                    guard connection == self.connection else { return }
                    rest(after: .unavailable("cannot connect to Redis: connection refused"))
                }
            }
            let runID = redis.runID
            let (isNew, sentinel) = redis.lookAtSentinel()
            process.timeline.schedule(.registry, for: process, at: process.timeline.now + answer) { [self] in
                guard connection == self.connection, state == .connecting else { return }
                let isFresh =
                    isNew || self.sentinel.map { $0 != sentinel } ?? false || self.runID.map { $0 != runID } ?? false
                self.runID = runID
                self.sentinel = sentinel
                state = .open
                failures = 0
                openedAt = process.now
                if !redis.isUp || !redis.isReachable(from: node) { return connectionLost() }
                observer(.connected(isFresh: isFresh))
            }
        }
    }

    private func later(_ delay: Duration, _ action: @escaping () -> Void) {
        _ = process.schedule(.timer, after: delay, action)
    }

    private func rest(after error: RegistryError) {
        guard state != .stopped else { return }
        state = .resting
        connection += 1
        lastError = error
        let doubled = settings.firstRest * (1 << min(failures, 20))
        let rest = min(doubled, settings.longestRest) * Double.random(in: 0.5...1, using: &random)
        failures += 1
        let connection = connection
        later(rest) { [self] in if connection == self.connection, state == .resting { connect() } }
        observer(.disconnected(error))
    }

    /// The connection ends: what waits fails, later, and in order.
    private func giveUp(_ error: RegistryError) {
        connection += 1
        watch?.cancel()
        watch = nil
        probe?.cancel()
        probe = nil
        let pending = calls
        calls = []
        let now = process.now
        guard !pending.isEmpty || state != .stopped else { return }
        // Whose call fails may call again at once: that call is not of this connection, nor of the next one.
        if state != .stopped { state = .resting }
        process.perform { [self] in
            for call in pending {
                if case .timedOut = error, call.deadline > now {
                    call.fail(.disconnected("the connection to Redis was given up: \(error)"))
                } else {
                    call.fail(error)
                }
            }
            rest(after: error)
        }
    }

    // MARK: What happens to the other side

    /// Redis has stopped: the connection is reset.
    func connectionLost() {
        guard state == .open || state == .connecting else { return }
        let connection = connection
        let arrival = process.timeline.now + redis.drawLatency()
        guard redis.isReachable(from: node) else { return pathChanged() }
        process.timeline.schedule(.registry, for: process, at: arrival) { [self] in
            guard connection == self.connection, state == .open else { return }
            giveUp(.disconnected("the connection to Redis broke"))
        }
    }

    /// An open connection notices that nothing comes any more when it looks at the store, and that something does.
    func pathChanged() {
        guard state == .open else { return }
        lookLater()
    }

    /// The store was emptied: noticed at the next look.
    func storeChanged() {
        guard state == .open else { return }
        lookLater()
    }

    /// The looks are at whole multiples of `probeEvery` since the connection was made; only those that would see
    /// something are carried out.
    private func lookLater() {
        guard probe == nil else { return }
        let every = settings.probeEvery
        let past = (process.now - openedAt) / every
        let wait = every * (past.rounded(.down) + 1) - (process.now - openedAt)
        probe = process.schedule(.timer, after: max(wait, .milliseconds(1))) { [self] in
            probe = nil
            look()
        }
    }

    private func look() {
        guard state == .open else { return }
        send({ $0.lookAtSentinel() }) { [self] result in
            guard case .success(let (isNew, value)) = result else { return }
            let isFresh = isNew || sentinel != value
            sentinel = value
            if isFresh { observer(.emptied) }
        }
    }

    // MARK: Calls

    private func send<Value>(
        _ command: @escaping (VirtualRedis) -> Value, _ completion: @escaping (Result<Value, RegistryError>) -> Void
    ) {
        switch state {
        case .open: break
        case .stopped: return process.perform { completion(.failure(.stopped)) }
        case .idle, .connecting, .resting:
            let error = RegistryError.unavailable("there is no connection to Redis: \(lastError)")
            return process.perform { completion(.failure(error)) }
        }
        guard calls.count < Self.waitingCalls else {
            let error = RegistryError.overloaded("\(calls.count) commands wait for Redis: try again later")
            return process.perform { completion(.failure(error)) }
        }
        lastCall += 1
        let number = lastCall
        calls.append(
            Call(number: number, deadline: process.now + settings.timeout, fail: { completion(.failure($0)) }))
        watchLater()
        guard redis.isReachable(from: node) else { return }
        let timeline = process.timeline
        let connection = connection
        lastArrival = max(timeline.now + redis.drawLatency(), lastArrival + .nanoseconds(1))
        timeline.schedule(.registry, for: nil, node: node, at: lastArrival) { [self] in
            guard connection == self.connection, redis.isUp, redis.isReachable(from: node) else { return }
            let value = command(redis)
            lastAnswer = max(timeline.now + redis.drawLatency(), lastAnswer + .nanoseconds(1))
            timeline.schedule(.registry, for: process, at: lastAnswer) { [self] in
                guard connection == self.connection, calls.first?.number == number, redis.isReachable(from: node) else {
                    return
                }
                calls.removeFirst()
                completion(.success(value))
            }
        }
    }

    private static let waitingCalls = 8192

    /// The oldest call that waits must not wait for longer than the timeout.
    private func watchLater() {
        guard watch == nil, let first = calls.first else { return }
        watch = process.schedule(.timer, after: max(first.deadline - process.now, .milliseconds(1))) { [self] in
            watch = nil
            guard state == .open, let first = calls.first else { return }
            guard first.deadline <= process.now else { return watchLater() }
            // If it was this process that stood still, then the answers are here, and come first.
            watch = process.schedule(.timer, after: .milliseconds(1)) { [self] in
                watch = nil
                guard state == .open, let first = calls.first else { return }
                guard first.deadline <= process.now else { return watchLater() }
                giveUp(.timedOut("Redis did not answer within \(settings.timeout)"))
            }
        }
    }

    // MARK: Registry

    func register(_ member: RegisteredMember, ttl: Duration, _ completion: @escaping RegistryCompletion<Void>) {
        registered = member
        send({ $0.register(member, ttl) }, completion)
    }

    func unregister(_ node: NodeID, _ completion: @escaping RegistryCompletion<Void>) {
        guard let member = registered, NodeID(name: member.name, generation: member.generation) == node else {
            return process.execute { completion(.success(())) }
        }
        registered = nil
        send({ $0.unregister(member) }, completion)
    }

    func members(_ completion: @escaping RegistryCompletion<MemberListing>) {
        let cluster = cluster
        send({ $0.listing(for: cluster) }, completion)
    }

    func claimFounder(
        _ candidate: ClusterID, ttl: Duration, _ completion: @escaping RegistryCompletion<FounderClaim>
    ) {
        send({ $0.claimFounder(candidate, ttl) }, completion)
    }

    func confirmCluster(_ id: ClusterID, _ completion: @escaping RegistryCompletion<ClusterID>) {
        cluster = id
        send({ $0.confirm(id) }, completion)
    }

    func clusterID(_ completion: @escaping RegistryCompletion<ClusterID?>) { send({ $0.cluster }, completion) }

    func claimView(
        _ number: UInt64, by node: NodeName, ttl: Duration, _ completion: @escaping RegistryCompletion<NodeName>
    ) {
        send({ $0.claimView(number, node, ttl) }, completion)
    }

    func writeResult(_ result: StoredResult, _ completion: @escaping RegistryCompletion<WriteOutcome>) {
        send({ $0.write(result) }, completion)
    }

    func readResult(_ id: TaskID, _ completion: @escaping RegistryCompletion<[UInt8]?>) {
        send({ $0.read(id) }, completion)
    }
}
