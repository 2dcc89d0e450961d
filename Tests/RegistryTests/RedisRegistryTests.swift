import EventLoop
import Primitives
import Testing

@testable import Registry

struct RedisRegistryTests {
    let ours = ClusterID(high: 1, low: 2)
    let theirs = ClusterID(high: 3, low: 4)

    @Test func membersAreListedOnceRegistered() async throws {
        try await withRedis { server, fixture in
            let empty = try await fixture.call { $0.members($1) }
            #expect(empty == MemberListing(members: []))
            for name in ["b", "a"] {
                let entry = try member(name)
                try await fixture.call { $0.register(entry, ttl: .seconds(10), $1) }
            }
            let listing = try await fixture.call { $0.members($1) }
            #expect(try listing == MemberListing(members: [member("a"), member("b")]))
            let shown = try server.cli("get", "apus:test:member:a")
            #expect(
                shown
                    == #"{"cluster":null,"generation":1,"gossip":"127.0.0.1:1","http":"127.0.0.1:3","name":"a","peer":"[::1]:2"}"#
            )
            let ttl = try #require(Int(try server.cli("pttl", "apus:test:member:a")))
            #expect((1...10_000).contains(ttl))
        }
    }

    @Test func aRegistrationEndsWithItsTTL() async throws {
        try await withRedis { server, fixture in
            let entry = try member("a")
            try await fixture.call { $0.register(entry, ttl: .milliseconds(50), $1) }
            while try await fixture.call({ $0.members($1) }).members != [] {}
        }
    }

    @Test func unregisteringTakesBackOnlyOnesOwn() async throws {
        try await withRedis { server, fixture in
            let entry = try member("a", generation: 1)
            let id = NodeID(name: entry.name, generation: entry.generation)
            try await fixture.call { $0.register(entry, ttl: .seconds(10), $1) }
            // A later generation, of another process.
            let later = try MemberEntry.encode(try member("a", generation: 2))
            try server.cli("set", "apus:test:member:a", String(decoding: later, as: UTF8.self))
            try await fixture.call { $0.unregister(id, $1) }
            #expect(try server.cli("exists", "apus:test:member:a") == "1")
            try await fixture.call { $0.register(entry, ttl: .seconds(10), $1) }
            try await fixture.call { $0.unregister(id, $1) }
            #expect(try server.cli("exists", "apus:test:member:a") == "0")
        }
    }

    @Test func foreignAndMalformedEntriesAreCounted() async throws {
        try await withRedis { server, fixture in
            let own = ours
            for (name, cluster) in [("a", ours), ("b", theirs)] {
                let entry = try member(name, cluster: cluster)
                try await fixture.call { $0.register(entry, ttl: .seconds(10), $1) }
            }
            let fresh = try member("c")
            try await fixture.call { $0.register(fresh, ttl: .seconds(10), $1) }
            let garbage = [
                "", "null", "{}", "[1]", "\u{1}\u{2}", #"{"cluster":null,"name":"g0"}"#,
                String(repeating: "[", count: 3000),
                String(repeating: "x", count: 10_000),
                #"{"cluster":"zz","generation":1,"gossip":"h:1","http":"h:1","name":"g8","peer":"h:1"}"#,
                #"{"cluster":null,"generation":-1,"gossip":"h:1","http":"h:1","name":"g9","peer":"h:1"}"#,
                #"{"cluster":null,"generation":1,"gossip":"h:99999","http":"h:1","name":"g10","peer":"h:1"}"#,
                #"{"cluster":null,"generation":1,"gossip":"h:1","http":"h:1","name":"other","peer":"h:1"}"#,
            ]
            for (number, text) in garbage.enumerated() { try server.cli("set", "apus:test:member:g\(number)", text) }
            try server.cli("set", "apus:test:member:NOT A NAME", "x")
            try server.cli("lpush", "apus:test:member:list", "x")
            // Keys of a cluster whose name begins alike, or looks like a pattern, are others.
            try server.cli("set", "apus:test2:member:x", "x")
            let before = try await fixture.call { $0.members($1) }
            #expect(before.members.map(\.name.rawValue) == ["a", "b", "c"])
            _ = try await fixture.call { $0.confirmCluster(own, $1) }
            let listing = try await fixture.call { $0.members($1) }
            #expect(listing.members.map(\.name.rawValue) == ["a", "c"])
            #expect(listing.foreign == 1 && listing.malformed == garbage.count + 1)
        }
    }

    @Test func aListingReadsEveryPage() async throws {
        try await withRedis { server, fixture in
            for number in 0..<600 {
                let entry = try member("n\(number)")
                fixture.loop.execute { [registry = fixture.registry] in
                    registry.register(entry, ttl: .seconds(60)) { _ in }
                }
            }
            let listing = try await fixture.call { $0.members($1) }
            #expect(listing.members.count == 600)
            #expect(listing.members == listing.members.sorted { $0.name < $1.name })
        }
    }

    @Test func oneOfManyFounds() async throws {
        let server = try RedisServer()
        defer { server.end() }
        try await server.start()
        let answers = Record<FounderClaim>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<8 {
                group.addTask { [port = server.port] in
                    try await withRegistry(url: "redis://127.0.0.1:\(port)") { fixture in
                        try await fixture.connected()
                        let candidate = ClusterID(high: 7, low: UInt64(number))
                        answers.append(
                            try await fixture.call { $0.claimFounder(candidate, ttl: .seconds(30), $1) })
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(answers.values.count == 8 && Set(answers.values).count == 1)
    }

    @Test func aConfirmedClusterStays() async throws {
        try await withRedis { server, fixture in
            let (ours, theirs) = (ours, theirs)
            let none = try await fixture.call { $0.clusterID($1) }
            #expect(none == nil)
            let founder = try await fixture.call { $0.claimFounder(ours, ttl: .seconds(30), $1) }
            let confirmed = try await fixture.call { $0.confirmCluster(ours, $1) }
            let known = try await fixture.call { $0.clusterID($1) }
            #expect(founder == FounderClaim(id: ours, isConfirmed: false) && confirmed == ours && known == ours)
            // The claim ends; who comes then does not found another cluster.
            try server.cli("del", "apus:test:founder")
            let late = try await fixture.call { $0.claimFounder(theirs, ttl: .seconds(30), $1) }
            let stray = try await fixture.call { $0.confirmCluster(theirs, $1) }
            #expect(late == FounderClaim(id: ours, isConfirmed: true) && stray == ours)
            #expect(try server.cli("get", "apus:test:uuid") == ours.description)
            #expect(try server.cli("ttl", "apus:test:uuid") == "-1")
        }
    }

    @Test func aViewIsWonByTheFirst() async throws {
        try await withRedis { server, fixture in
            let (a, b) = (try #require(NodeName("a")), try #require(NodeName("b")))
            let first = try await fixture.call { $0.claimView(7, by: a, ttl: .seconds(30), $1) }
            let second = try await fixture.call { $0.claimView(7, by: b, ttl: .seconds(30), $1) }
            let next = try await fixture.call { $0.claimView(8, by: b, ttl: .seconds(30), $1) }
            #expect(first == a && second == a && next == b)
        }
    }

    @Test func theHighestTokenStays() async throws {
        try await withRedis { server, fixture in
            let id = TaskID(high: 5, low: 6)
            func write(_ token: Token, _ text: String) async throws -> WriteOutcome {
                let result = StoredResult(id: id, token: token, document: Array(text.utf8), ttl: .seconds(60))
                return try await fixture.call { $0.writeResult(result, $1) }
            }
            let none = try await fixture.call { $0.readResult(id, $1) }
            #expect(none == nil)
            // Beyond 53 bits, and where the digits of one part are more than the other's.
            let steps: [(Token, String, WriteOutcome, String)] = [
                (token(1, 9, 9), "a", .written, "a"),
                (token(1, 9, 9), "b", .present, "a"),
                (token(1, 10, 1), "c", .written, "c"),
                (token(1, 9, 10), "d", .superseded, "c"),
                (token(1, (1 << 62) + 1, 1), "e", .written, "e"),
                (token(1, 1 << 62, 2), "f", .superseded, "e"),
                (token(1, .max, .max), "g", .written, "g"),
                (token(.max, 1, 1), "h", .written, "h"),
            ]
            for (token, text, outcome, present) in steps {
                #expect(try await write(token, text) == outcome)
                let read = try await fixture.call { $0.readResult(id, $1) }
                #expect(read == Array(present.utf8))
            }
            #expect(try server.cli("get", "apus:test:result:\(id)") == "h")
            for key in ["result", "token"] {
                let ttl = try #require(Int(try server.cli("pttl", "apus:test:\(key):\(id)")))
                #expect((1...60_000).contains(ttl))
            }
            // A result that Redis has evicted is written again.
            try server.cli("del", "apus:test:result:\(id)")
            #expect(try await write(token(1, 1, 1), "i") == .written)
        }
    }

    @Test func aLostScriptIsSentAgain() async throws {
        try await withRedis { server, fixture in
            try server.cli("script", "flush")
            let result = StoredResult(
                id: TaskID(high: 1, low: 1), token: token(1, 1, 1), document: [1], ttl: .seconds(5))
            let outcome = try await fixture.call { $0.writeResult(result, $1) }
            #expect(outcome == .written)
        }
    }

    @Test func documentsOfAnyBytesComeBack() async throws {
        try await withRedis { server, fixture in
            for size in [0, 1, 16_384, 1 << 20, Limits.registryDocumentBytes] {
                let document = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
                let id = TaskID(high: 1, low: UInt64(size))
                let result = StoredResult(id: id, token: token(1, 1, 1), document: document, ttl: .seconds(60))
                let outcome = try await fixture.call { $0.writeResult(result, $1) }
                let read = try await fixture.call { $0.readResult(id, $1) }
                #expect(outcome == .written && read == document)
            }
            let over = StoredResult(
                id: TaskID(high: 1, low: 1), token: token(1, 1, 1),
                document: [UInt8](repeating: 0, count: Limits.registryDocumentBytes + 1), ttl: .seconds(60))
            await #expect(throws: RegistryError.self) { _ = try await fixture.call { $0.writeResult(over, $1) } }
        }
    }

    @Test func answersComeInTheOrderOfTheCalls() async throws {
        try await withRedis { server, fixture in
            let order = Record<Int>()
            fixture.loop.execute { [registry = fixture.registry] in
                for number in 0..<2000 {
                    let result = StoredResult(
                        id: TaskID(high: 0, low: UInt64(number)), token: token(1, 1, 1),
                        document: [UInt8(number & 0xFF)],
                        ttl: .seconds(60))
                    registry.writeResult(result) { outcome in
                        if case .success(.written) = outcome { order.append(number) }
                    }
                }
            }
            let values = try await order.wait(count: 2000)
            #expect(values == Array(0..<2000))
        }
    }

    @Test func callsBeyondTheBoundAreRefusedAtOnce() async throws {
        try await withRedis { server, fixture in
            let outcomes = Record<Bool>()
            fixture.loop.execute { [registry = fixture.registry] in
                for _ in 0..<Limits.registryCommands + 100 {
                    registry.readResult(TaskID(high: 0, low: 0)) { result in
                        if case .failure(.overloaded) = result { outcomes.append(false) } else { outcomes.append(true) }
                    }
                }
            }
            let values = try await outcomes.wait(count: Limits.registryCommands + 100)
            #expect((100...110).contains(values.filter { !$0 }.count))
            let large = Record<Bool>()
            fixture.loop.execute { [registry = fixture.registry] in
                let document = [UInt8](repeating: 0, count: Limits.registryDocumentBytes)
                for number in 0..<12 {
                    let id = TaskID(high: 1, low: UInt64(number))
                    let result = StoredResult(id: id, token: token(1, 1, 1), document: document, ttl: .seconds(60))
                    registry.writeResult(result) { result in
                        if case .failure(.overloaded) = result { large.append(false) } else { large.append(true) }
                    }
                }
            }
            let answers = try await large.wait(count: 12)
            #expect(answers.filter { $0 }.count == (Limits.registryBytes - 1) / Limits.registryDocumentBytes)
        }
    }

    /// Whatever lies at our keys, calls end in errors, and the connection lives.
    @Test func valuesOfAWrongKindAreErrors() async throws {
        try await withRedis { server, fixture in
            let id = TaskID(high: 1, low: 1)
            let (ours, a) = (ours, try #require(NodeName("a")))
            try server.cli("lpush", "apus:test:result:\(id)", "x")
            try server.cli("lpush", "apus:test:token:\(id)", "x")
            try server.cli("set", "apus:test:founder", "no id")
            try server.cli("set", "apus:test:view:1", "NO NAME")
            await #expect(throws: RegistryError.self) { _ = try await fixture.call { $0.readResult(id, $1) } }
            await #expect(throws: RegistryError.self) {
                let result = StoredResult(id: id, token: token(1, 1, 1), document: [1], ttl: .seconds(5))
                _ = try await fixture.call { $0.writeResult(result, $1) }
            }
            await #expect(throws: RegistryError.self) {
                _ = try await fixture.call { $0.claimFounder(ours, ttl: .seconds(1), $1) }
            }
            await #expect(throws: RegistryError.self) {
                _ = try await fixture.call { $0.claimView(1, by: a, ttl: .seconds(1), $1) }
            }
            for (command, value) in [("set", "no id"), ("lpush", "x")] {
                try server.cli("del", "apus:test:uuid")
                try server.cli(command, "apus:test:uuid", value)
                await #expect(throws: RegistryError.self) { _ = try await fixture.call { $0.clusterID($1) } }
                await #expect(throws: RegistryError.self) { _ = try await fixture.call { $0.confirmCluster(ours, $1) } }
            }
            #expect(await fixture.run { $0.isConnected })
            #expect(fixture.events.values.filter(\.isDisconnection) == [])
        }
    }

    @Test func theStaticRegistrySaysThatItIsNone() async throws {
        let loop = try EventLoop(name: "test")
        loop.start()
        let answers = Record<String>()
        loop.execute {
            let registry = StaticRegistry(scheduler: loop)
            registry.members { if case .failure(let error) = $0 { answers.append(error.description) } }
            #expect(answers.values == [])
        }
        let told = try await answers.wait(count: 1)
        #expect(told[0].contains("--registry"))
        await loop.shutdown()
    }
}
