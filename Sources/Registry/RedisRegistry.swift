public import EventLoop
public import Primitives

/// The registry in Redis.
///
/// | key | value |
/// | --- | --- |
/// | `apus:{cluster}:member:{name}` | a member's entry, JSON, with a TTL |
/// | `apus:{cluster}:uuid` | the cluster's id |
/// | `apus:{cluster}:founder` | the id of who may found, with a TTL |
/// | `apus:{cluster}:view:{number}` | who has won this number, with a TTL |
/// | `apus:{cluster}:result:{task}` | the document of a result, as it was given, with its TTL |
/// | `apus:{cluster}:token:{task}` | the token of that result, with the same TTL |
/// | `apus:{cluster}:sentinel` | a random number: another one means another store |
///
/// The token is a key of its own, so that `GET` of a result shows plain JSON and the script that compares tokens does
/// not parse documents. It is written in decimal digits of fixed width, as Lua's numbers have 53 bits: strings of that
/// form are in the order of the tokens.
///
/// `@unchecked`: only touched on the loop.
public final class RedisRegistry: Registry, @unchecked Sendable {
    public struct Settings: Hashable, Sendable {
        /// For a connection, and for each answer. When one is missing the connection is given up.
        public var timeout: Duration
        /// How often an open connection is tried, and the store looked at.
        public var probeEvery: Duration
        /// Before the first attempt to reconnect; doubles from one to the next.
        public var firstRest: Duration
        public var longestRest: Duration

        public init(
            timeout: Duration = .seconds(2), probeEvery: Duration = .seconds(1),
            firstRest: Duration = .milliseconds(50),
            longestRest: Duration = .seconds(5)
        ) {
            self.timeout = timeout
            self.probeEvery = probeEvery
            self.firstRest = firstRest
            self.longestRest = longestRest
        }
    }

    public let url: RedisURL
    let loop: EventLoop
    let client: RedisClient
    let prefix: String
    /// The one that was confirmed: other clusters' entries are refused.
    var cluster: ClusterID?
    private var registered: (id: NodeID, entry: [UInt8])?

    /// - Parameters:
    ///   - cluster: the cluster's name, a part of every key.
    ///   - seed: of what is drawn at random: rests and the sentinel.
    public init(
        on loop: EventLoop, url: RedisURL, cluster name: String, settings: Settings = Settings(),
        seed: UInt64 = .random(in: 0...UInt64.max)
    ) {
        self.loop = loop
        self.url = url
        prefix = "apus:\(name):"
        client = RedisClient(
            on: loop, url: url, sentinelKey: prefix + "sentinel", settings: settings, seed: seed)
    }

    public var storesResults: Bool { true }
    public var isConnected: Bool { client.isConnected }
    public func start(_ observer: @escaping @Sendable (RegistryEvent) -> Void) { client.start(observer) }
    public func stop() { client.stop() }

    // MARK: - Members

    public func register(_ member: RegisteredMember, ttl: Duration, _ completion: @escaping RegistryCompletion<Void>) {
        let entry: [UInt8]
        do throws(RegistryError) { entry = try MemberEntry.encode(member) } catch {
            return loop.execute { completion(.failure(error)) }
        }
        registered = (NodeID(name: member.name, generation: member.generation), entry)
        let key = RedisPart.text(prefix + "member:\(member.name)")
        client.send(["SET", key, .bytes(entry), "PX", Self.milliseconds(ttl)]) { result in
            completion(result.flatMap { Self.expectOK($0) })
        }
    }

    public func unregister(_ node: NodeID, _ completion: @escaping RegistryCompletion<Void>) {
        guard let registered, registered.id == node else { return loop.execute { completion(.success(())) } }
        self.registered = nil
        let key = prefix + "member:\(node.name)"
        client.run(.deleteIfEqual, keys: [key], arguments: [.bytes(registered.entry)]) { result in
            completion(result.flatMap { Self.expectInteger($0).map { _ in } })
        }
    }

    public func members(_ completion: @escaping RegistryCompletion<MemberListing>) {
        MemberScan(client, prefix: prefix + "member:", cluster: cluster, completion).begin()
    }

    // MARK: - The cluster's id

    public func claimFounder(
        _ candidate: ClusterID, ttl: Duration, _ completion: @escaping RegistryCompletion<FounderClaim>
    ) {
        let founder = RedisPart.text(prefix + "founder")
        let claim: [RedisPart] = ["SET", founder, .text(candidate.description), "NX", "PX", Self.milliseconds(ttl)]
        // The permanent id is read last: if the claim of who wrote it had ended, so that this one could succeed, then
        // it is there by now.
        client.send([claim, ["GET", founder], ["GET", .text(prefix + "uuid")]]) { result in
            completion(
                result.flatMap { answers in
                    let isConfirmed = answers[2] != .null
                    if !isConfirmed, case .error(let text) = answers[0] { return .failure(.refused(text)) }
                    return Self.expectCluster(answers[isConfirmed ? 2 : 1]).map {
                        FounderClaim(id: $0, isConfirmed: isConfirmed)
                    }
                })
        }
    }

    public func confirmCluster(_ id: ClusterID, _ completion: @escaping RegistryCompletion<ClusterID>) {
        cluster = id
        let key = RedisPart.text(prefix + "uuid")
        client.send([["SET", key, .text(id.description), "NX"], ["GET", key]]) { result in
            completion(
                result.flatMap { answers in
                    if case .error(let text) = answers[0] { return .failure(.refused(text)) }
                    return Self.expectCluster(answers[1])
                })
        }
    }

    public func clusterID(_ completion: @escaping RegistryCompletion<ClusterID?>) {
        client.send(["GET", .text(prefix + "uuid")]) { result in
            completion(
                result.flatMap { answer in
                    answer == .null ? .success(nil) : Self.expectCluster(answer).map(Optional.some)
                })
        }
    }

    public func claimView(
        _ number: UInt64, by node: NodeName, ttl: Duration, _ completion: @escaping RegistryCompletion<NodeName>
    ) {
        let key = RedisPart.text(prefix + "view:\(number)")
        let claim: [RedisPart] = ["SET", key, .text(node.rawValue), "NX", "PX", Self.milliseconds(ttl)]
        client.send([claim, ["GET", key]]) { result in
            completion(
                result.flatMap { answers in
                    if case .error(let text) = answers[0] { return .failure(.refused(text)) }
                    return Self.expectBytes(answers[1]).flatMap { bytes in
                        NodeName(String(decoding: bytes, as: UTF8.self)).map { .success($0) }
                            ?? .failure(.malformed("the claim of view \(number) in Redis names no node"))
                    }
                })
        }
    }

    // MARK: - Results

    public func writeResult(_ result: StoredResult, _ completion: @escaping RegistryCompletion<WriteOutcome>) {
        guard result.document.count <= Limits.registryDocumentBytes else {
            let error = RegistryError.unsupported(
                "a result of \(result.document.count) bytes is over the limit of \(Limits.registryDocumentBytes)")
            return loop.execute { completion(.failure(error)) }
        }
        let id = result.id.description
        let keys = [prefix + "result:" + id, prefix + "token:" + id]
        let arguments = [
            .text(Self.sortable(result.token)), .bytes(result.document), Self.milliseconds(result.ttl),
        ]
        client.run(.writeResult, keys: keys, arguments: arguments) { answer in
            completion(
                answer.flatMap { Self.expectInteger($0) }.flatMap { code in
                    switch code {
                    case 0: .success(.superseded)
                    case 1: .success(.written)
                    case 2: .success(.present)
                    default: .failure(.malformed("Redis answered \(code) where 0, 1 or 2 was expected"))
                    }
                })
        }
    }

    public func readResult(_ id: TaskID, _ completion: @escaping RegistryCompletion<[UInt8]?>) {
        client.send(["GET", .text(prefix + "result:\(id)")]) { result in
            completion(
                result.flatMap { answer in
                    answer == .null ? .success(nil) : Self.expectBytes(answer).map(Optional.some)
                })
        }
    }

    // MARK: - Forms

    /// 10, 20 and 10 digits: the order of these strings is the order of tokens.
    static func sortable(_ token: Token) -> String {
        func padded(_ number: some FixedWidthInteger, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: width - digits.utf8.count) + digits
        }
        return padded(token.run, 10) + "." + padded(token.term.rawValue, 20) + "." + padded(token.attempt, 10)
    }

    /// Redis refuses 0, and what overflows its clock.
    private static func milliseconds(_ ttl: Duration) -> RedisPart {
        .text(String(min(max(1, ttl.milliseconds), Int64(Limits.horizonSeconds) * 1000)))
    }

    private static func expectOK(_ value: RedisValue) -> Result<Void, RegistryError> {
        if case .error(let text) = value { return .failure(.refused("Redis refuses a write: \(text)")) }
        return value.isOK ? .success(()) : .failure(.malformed("Redis answered \(value.kind) where OK was expected"))
    }

    private static func expectInteger(_ value: RedisValue) -> Result<Int64, RegistryError> {
        switch value {
        case .integer(let number): .success(number)
        case .error(let text): .failure(.refused("Redis refuses a script: \(text)"))
        case .null, .bytes, .array: .failure(.malformed("Redis answered \(value.kind) where a number was expected"))
        }
    }

    static func expectBytes(_ value: RedisValue) -> Result<[UInt8], RegistryError> {
        switch value {
        case .bytes(let bytes): .success(bytes)
        case .error(let text): .failure(.refused("Redis refuses a read: \(text)"))
        case .null: .failure(.malformed("a key has expired in Redis between two commands: try again"))
        case .integer, .array: .failure(.malformed("Redis answered \(value.kind) where a string was expected"))
        }
    }

    private static func expectCluster(_ value: RedisValue) -> Result<ClusterID, RegistryError> {
        expectBytes(value).flatMap { bytes in
            ClusterID(String(decoding: bytes.prefix(64), as: UTF8.self)).map { .success($0) }
                ?? .failure(.malformed("a key of this cluster in Redis holds something that is no cluster's id"))
        }
    }
}
