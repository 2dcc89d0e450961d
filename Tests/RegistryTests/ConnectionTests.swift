import EventLoop
import Glibc
import Primitives
import Synchronization
import Testing

@testable import Registry

/// What happens to calls when the connection, or Redis, does not behave.
struct ConnectionTests {
    @Test func aRefusedConnectionIsReportedAndTriedAgain() async throws {
        let server = try RedisServer()
        defer { server.end() }
        try await withRegistry(url: "redis://127.0.0.1:\(server.port)") { fixture in
            let events = try await fixture.events.wait(count: 2)
            for event in events {
                guard case .disconnected(.unavailable(let reason)) = event else { return unexpected(event) }
                #expect(reason.contains("ECONNREFUSED") && reason.contains("\(server.port)"))
            }
            let error = await #expect(throws: RegistryError.self) { _ = try await fixture.call { $0.clusterID($1) } }
            guard case .unavailable = error else { return unexpected(error as Any) }
            try await server.start()
            #expect(try await fixture.connected())
        }
    }

    @Test func aNameThatDoesNotResolveIsReported() async throws {
        try await withRegistry(url: "redis://name.invalid:1") { fixture in
            let events = try await fixture.events.wait(count: 1)
            guard case .disconnected(.unavailable(let reason)) = events[0] else { return unexpected(events) }
            #expect(reason.contains("name.invalid"))
        }
    }

    @Test func namesAreResolved() async throws {
        let server = try RedisServer()
        defer { server.end() }
        try await server.start()
        // ::1 may come first, where nobody listens.
        try await withRegistry(url: "redis://localhost:\(server.port)") { try await $0.connected() }
    }

    @Test func aCrashUnderLoadLeavesNoCallWithoutAnEnd() async throws {
        try await withRedis { server, fixture in
            let load = Load(fixture)
            fixture.loop.execute { load.begin(callers: 200) }
            try await load.outcomes.wait { $0.count > 2000 }
            server.crash()
            try await fixture.events.wait { $0.contains(where: \.isDisconnection) }
            try await server.start()
            #expect(try await fixture.connected(2))
            let before = load.answered.load(ordering: .relaxed)
            try await load.outcomes.wait { _ in load.answered.load(ordering: .relaxed) > before + 1000 }
            try await load.end()
            #expect(load.failed.load(ordering: .relaxed) > 0)
        }
    }

    /// SIGSTOP: the kernel still accepts what is sent, and nothing answers.
    @Test func aRedisThatStandsStillIsGivenUp() async throws {
        try await withRedis(settings: impatient) { server, fixture in
            let load = Load(fixture)
            fixture.loop.execute { load.begin(callers: 50) }
            try await load.outcomes.wait { $0.count > 500 }
            server.signal(SIGSTOP)
            let start = fixture.loop.now
            let events = try await fixture.events.wait { $0.contains(where: \.isDisconnection) }
            guard case .disconnected(.timedOut)? = events.first(where: \.isDisconnection) else {
                return unexpected(events)
            }
            #expect(fixture.loop.now - start < .seconds(10))
            // Attempts during the stop fail as well: connections are accepted, greetings are not answered.
            try await fixture.events.wait { $0.filter(\.isDisconnection).count >= 2 }
            server.signal(SIGCONT)
            #expect(try await fixture.connected(2) == false)
            let before = load.answered.load(ordering: .relaxed)
            try await load.outcomes.wait { _ in load.answered.load(ordering: .relaxed) > before + 100 }
            try await load.end()
            #expect(load.failed.load(ordering: .relaxed) > 0)
        }
    }

    @Test func aRestartIsSeenAsAnotherStore() async throws {
        try await withRedis { server, fixture in
            #expect(try await fixture.connected())
            server.crash()
            try await server.start()
            #expect(try await fixture.connected(2))
        }
    }

    /// The sentinel comes back from the disk, but the last writes may not have got there.
    @Test func aRestartFromDiskIsSeenAsAnotherStore() async throws {
        try await withRedis { server, fixture in
            let sentinel = try server.cli("get", "apus:test:sentinel")
            try server.cli("save")
            server.crash()
            try await server.start()
            #expect(try await fixture.connected(2))
            #expect(try server.cli("get", "apus:test:sentinel") == sentinel)
        }
    }

    @Test func aBrokenConnectionToTheSameStoreIsNotFresh() async throws {
        try await withRedis { server, fixture in
            try server.cli("client", "kill", "type", "normal")
            #expect(try await fixture.connected(2) == false)
        }
    }

    @Test func everyRegistrySeesThatTheStoreWasEmptied() async throws {
        try await withRedis { server, fixture in
            try await withRegistry(url: "redis://127.0.0.1:\(server.port)") { other in
                #expect(try await other.connected() == false)
                try server.cli("flushall")
                try await fixture.events.wait { $0.contains(.emptied) }
                try await other.events.wait { $0.contains(.emptied) }
                #expect(try server.cli("exists", "apus:test:sentinel") == "1")
            }
        }
    }

    @Test func garbageAtTheSentinelIsReplaced() async throws {
        try await withRedis { server, fixture in
            for command in ["set", "lpush"] {
                let before = fixture.events.values.filter { $0 == .emptied }.count
                try server.cli("del", "apus:test:sentinel")
                try server.cli(command, "apus:test:sentinel", "garbage")
                try await fixture.events.wait { $0.filter { $0 == .emptied }.count > before }
            }
            #expect(await fixture.run { $0.isConnected })
        }
    }

    @Test func thePasswordIsGiven() async throws {
        let server = try RedisServer(arguments: ["--requirepass", "s@cret"])
        defer { server.end() }
        try await server.start()
        for credentials in [":s%40cret@", "default:s%40cret@"] {
            try await withRegistry(url: "redis://\(credentials)127.0.0.1:\(server.port)/2") { fixture in
                try await fixture.connected()
                let none = try await fixture.call { $0.clusterID($1) }
                #expect(none == nil)
            }
        }
    }

    @Test(arguments: [(":wrong@", "password"), ("", "NOAUTH")])
    func aWrongPasswordIsSaid(credentials: String, reason: String) async throws {
        let server = try RedisServer(arguments: ["--requirepass", "secret"])
        defer { server.end() }
        try await server.start()
        try await withRegistry(url: "redis://\(credentials)127.0.0.1:\(server.port)") { fixture in
            let events = try await fixture.events.wait(count: 1)
            guard case .disconnected(.refused(let text)) = events[0] else { return unexpected(events) }
            #expect(text.contains(reason) && !text.contains("wrong@"))
        }
    }

    @Test func aDatabaseThatIsNotThereIsSaid() async throws {
        let server = try RedisServer()
        defer { server.end() }
        try await server.start()
        try await withRegistry(url: "redis://127.0.0.1:\(server.port)/99") { fixture in
            let events = try await fixture.events.wait(count: 1)
            guard case .disconnected(.refused(let text)) = events[0] else { return unexpected(events) }
            #expect(text.contains("99"))
        }
    }

    @Test func aStopEndsEveryCallOnce() async throws {
        try await withRedis { server, fixture in
            let outcomes = Record<RegistryError?>()
            server.signal(SIGSTOP)
            defer { server.signal(SIGCONT) }
            fixture.loop.execute { [registry = fixture.registry] in
                for _ in 0..<100 {
                    registry.clusterID {
                        if case .failure(let error) = $0 { outcomes.append(error) } else { outcomes.append(nil) }
                    }
                }
                registry.stop()
                registry.stop()
                #expect(outcomes.values.isEmpty)
                registry.clusterID { if case .failure(let error) = $0 { outcomes.append(error) } }
            }
            let values = try await outcomes.wait(count: 101)
            #expect(values.allSatisfy { $0 == .stopped })
            #expect(await fixture.run { $0.isConnected } == false)
            #expect(fixture.events.values.filter(\.isDisconnection) == [])
        }
    }

    @Test func aRegistryThatNobodyHoldsDoesNotHoldTheShutdownUp() async throws {
        let server = try RedisServer()
        defer { server.end() }
        try await server.start()
        let loop = try EventLoop(name: "test")
        loop.start()
        let url = try RedisURL("redis://127.0.0.1:\(server.port)")
        let events = Record<RegistryEvent>()
        loop.execute { RedisRegistry(on: loop, url: url, cluster: "test").start { events.append($0) } }
        try await events.wait { $0.contains { $0.isConnection } }
        await loop.shutdown()
    }

    @Test func callsAreRefusedBeforeTheStart() async throws {
        try await withRegistry(url: "redis://127.0.0.1:1", start: false) { fixture in
            await #expect(throws: RegistryError.self) { _ = try await fixture.call { $0.clusterID($1) } }
        }
    }

    /// Callers that call again as soon as they are answered.
    ///
    /// `@unchecked`: `isEnding` and `waiting` are only touched on the loop.
    private final class Load: @unchecked Sendable {
        let outcomes = Record<Int>()
        let answered = Atomic<Int>(0)
        let failed = Atomic<Int>(0)
        private let fixture: Fixture
        private let ended = Record<Int>()
        private var isEnding = false
        private var waiting = 0

        init(_ fixture: Fixture) { self.fixture = fixture }

        func begin(callers: Int) { for number in 0..<callers { call(UInt64(number)) } }

        private func call(_ number: UInt64) {
            waiting += 1
            let result = StoredResult(
                id: TaskID(high: 9, low: number), token: token(1, 1, 1), document: Array("{}".utf8), ttl: .seconds(60))
            let once = Atomic<Int>(0)
            fixture.registry.writeResult(result) { [self] result in
                #expect(once.add(1, ordering: .relaxed).newValue == 1)
                waiting -= 1
                switch result {
                case .success:
                    answered.add(1, ordering: .relaxed)
                    outcomes.append(1)
                    if !isEnding { call(number) }
                case .failure:
                    failed.add(1, ordering: .relaxed)
                    outcomes.append(0)
                    if !isEnding { _ = fixture.loop.schedule(after: .milliseconds(5)) { [self] in call(number) } }
                }
                if isEnding, waiting == 0 { ended.append(0) }
            }
        }

        /// Lets every call come to its end.
        func end() async throws {
            let isIdle = await fixture.run { [self] _ in
                isEnding = true
                return waiting == 0
            }
            if !isIdle { try await ended.wait(count: 1) }
        }
    }
}
