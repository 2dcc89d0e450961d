import EventLoop
import Primitives
import Testing

@testable import Registry

/// A registry on a loop, and what it has told.
struct Fixture {
    let loop: EventLoop
    let registry: RedisRegistry
    let events: Record<RegistryEvent>

    /// Awaits the n-th connection.
    @discardableResult
    func connected(_ count: Int = 1) async throws -> Bool {
        let events = try await events.wait { $0.filter(\.isConnection).count >= count }
        return events.filter(\.isConnection)[count - 1] == .connected(isFresh: true)
    }

    /// Makes a call on the loop and awaits its end, which has to come on the loop, after the call.
    func call<Value: Sendable>(
        _ make: @escaping @Sendable (RedisRegistry, @escaping RegistryCompletion<Value>) -> Void
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            loop.execute { [loop, registry] in
                let hasReturned = Record<Bool>()
                make(registry) { result in
                    #expect(loop.isCurrent && hasReturned.values == [true])
                    continuation.resume(with: result)
                }
                hasReturned.append(true)
            }
        }
    }

    func run<Value: Sendable>(_ body: @escaping @Sendable (RedisRegistry) -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            loop.execute { [registry] in continuation.resume(returning: body(registry)) }
        }
    }
}

extension RegistryEvent {
    var isConnection: Bool { if case .connected = self { true } else { false } }
    var isDisconnection: Bool { if case .disconnected = self { true } else { false } }
}

let quick = RedisRegistry.Settings(
    timeout: .seconds(10), probeEvery: .milliseconds(100), firstRest: .milliseconds(10),
    longestRest: .milliseconds(100))

/// For tests in which Redis stands still.
let impatient = RedisRegistry.Settings(
    timeout: .milliseconds(800), probeEvery: .milliseconds(100), firstRest: .milliseconds(10),
    longestRest: .milliseconds(100))

/// Runs a test with a registry; loop and connection end with it.
func withRegistry(
    url: String, cluster: String = "test", settings: RedisRegistry.Settings = quick, start: Bool = true,
    _ body: (Fixture) async throws -> Void
) async throws {
    let loop = try EventLoop(name: "test")
    loop.start()
    let registry = RedisRegistry(on: loop, url: try RedisURL(url), cluster: cluster, settings: settings)
    let fixture = Fixture(loop: loop, registry: registry, events: Record())
    if start {
        loop.execute {
            registry.start { event in
                #expect(loop.isCurrent)
                fixture.events.append(event)
            }
        }
    }
    let result: Result<Void, any Error>
    do { result = .success(try await body(fixture)) } catch { result = .failure(error) }
    await loop.shutdown()
    try result.get()
}

/// The same with a redis-server of its own.
func withRedis(
    arguments: [String] = [], settings: RedisRegistry.Settings = quick,
    _ body: (RedisServer, Fixture) async throws -> Void
) async throws {
    let server = try RedisServer(arguments: arguments)
    defer { server.end() }
    try await server.start()
    try await withRegistry(url: "redis://127.0.0.1:\(server.port)", settings: settings) { fixture in
        try await fixture.connected()
        try await body(server, fixture)
    }
}

func member(_ name: String, cluster: ClusterID? = nil, generation: UInt64 = 1) throws -> RegisteredMember {
    RegisteredMember(
        cluster: cluster, name: try #require(NodeName(name)), generation: Generation(generation),
        gossip: Address(host: "127.0.0.1", port: 1), peer: Address(host: "::1", port: 2),
        http: Address(host: "127.0.0.1", port: 3))
}

func token(_ run: UInt32, _ term: UInt64, _ attempt: UInt32) -> Token {
    Token(run: run, term: Term(term), attempt: attempt)
}

/// Fails a test with what it got instead of what it expected.
func unexpected(_ found: Any, sourceLocation: SourceLocation = #_sourceLocation) {
    Issue.record("found \(found)", sourceLocation: sourceLocation)
}
