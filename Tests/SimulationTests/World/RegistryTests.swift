import Primitives
import Registry
import Testing

@testable import Simulation

private final class Shop: @unchecked Sendable {
    let timeline: Timeline
    let redis: VirtualRedis
    var processes: [VirtualProcess] = []
    var registries: [VirtualRegistry] = []
    let notes = Notes()

    init(_ count: Int, seed: UInt64 = 1) {
        timeline = Timeline(seed: seed, trace: .hash, yieldChance: 0.1)
        redis = VirtualRedis(timeline: timeline, seed: seed)
        for index in 0..<count {
            let clock = VirtualClock(timeline: timeline, greatestDrift: 0.01, seed: seed &+ UInt64(index))
            let process = VirtualProcess(timeline: timeline, clock: clock, index: index, seed: seed &+ UInt64(index))
            let registry = VirtualRegistry(redis, on: index, process: process, seed: seed &+ UInt64(index))
            processes.append(process)
            registries.append(registry)
            let notes = notes
            process.execute {
                registry.start { event in
                    switch event {
                    case .connected(let isFresh): notes.add("\(index) connected\(isFresh ? ", fresh" : "")")
                    case .emptied: notes.add("\(index) emptied")
                    case .disconnected(let error): notes.add("\(index) \(Self.kind(error))")
                    }
                }
            }
        }
    }

    static func kind(_ error: RegistryError) -> String {
        switch error {
        case .unavailable: "unavailable"
        case .overloaded: "overloaded"
        case .timedOut: "timedOut"
        case .disconnected: "disconnected"
        case .refused: "refused"
        case .malformed: "malformed"
        case .unsupported: "unsupported"
        case .stopped: "stopped"
        }
    }

    func on(_ index: Int, _ body: @escaping @Sendable (VirtualRegistry) -> Void) {
        let registry = registries[index]
        processes[index].execute { body(registry) }
        run(.milliseconds(10))
    }

    func run(_ duration: Duration) { _ = timeline.run(until: timeline.now + duration) { false } }

    func name(_ text: String) -> NodeName { NodeName(text) ?? { preconditionFailure("a name") }() }

    func member(_ text: String, generation: UInt64 = 1, cluster: ClusterID? = nil) -> RegisteredMember {
        let address = Address(host: "10.0.0.1", port: 1)
        return RegisteredMember(
            cluster: cluster, name: name(text), generation: Generation(generation), gossip: address, peer: address,
            http: address)
    }

    /// What a call ended with.
    func note<Value>(_ result: Result<Value, RegistryError>) {
        switch result {
        case .success(let value): notes.add("\(value)")
        case .failure(let error): notes.add(Self.kind(error))
        }
    }
}

@Suite struct RegistryTests {
    @Test func the_first_to_come_finds_a_fresh_store_and_the_others_do_not() {
        let shop = Shop(3)
        shop.run(.seconds(1))
        #expect(shop.notes.all.filter { $0.hasSuffix("fresh") }.count == 1)
        #expect(shop.notes.all.count == 3)
    }

    @Test func a_registration_ends_with_its_time_and_by_its_own_generation_only() {
        let shop = Shop(2)
        shop.run(.seconds(1))
        shop.notes.all = []
        let (old, new) = (shop.member("a"), shop.member("a", generation: 2))
        shop.on(0) { $0.register(old, ttl: .seconds(3)) { _ in } }
        shop.on(1) { $0.register(new, ttl: .seconds(3)) { _ in } }
        shop.on(0) { $0.unregister(NodeID(name: old.name, generation: old.generation)) { _ in } }
        shop.on(0) { $0.members { shop.note($0.map { $0.members.map(\.generation.rawValue) }) } }
        shop.run(.seconds(3))
        shop.on(0) { $0.members { shop.note($0.map(\.members.count)) } }
        #expect(shop.notes.all == ["[2]", "0"])
    }

    @Test func one_founds_and_the_confirmed_cluster_is_for_ever() {
        let shop = Shop(2)
        shop.run(.seconds(1))
        shop.notes.all = []
        let (one, two) = (ClusterID(high: 1, low: 1), ClusterID(high: 2, low: 2))
        shop.on(0) { $0.claimFounder(one, ttl: .seconds(10)) { shop.note($0.map { $0.id == one }) } }
        shop.on(1) { $0.claimFounder(two, ttl: .seconds(10)) { shop.note($0.map { $0.id == one }) } }
        shop.run(.seconds(11))
        shop.on(1) { $0.claimFounder(two, ttl: .seconds(10)) { shop.note($0.map { $0.id == two }) } }
        shop.on(1) { $0.confirmCluster(two) { shop.note($0.map { $0 == two }) } }
        shop.run(.seconds(11))
        shop.on(0) { $0.claimFounder(one, ttl: .seconds(10)) { shop.note($0.map { $0.id == two }) } }
        shop.on(0) { $0.clusterID { shop.note($0.map { $0 == two }) } }
        // Entries of other clusters are left out once one is confirmed.
        let (ours, foreign) = (shop.member("a", cluster: two), shop.member("b", cluster: one))
        shop.on(0) { $0.register(ours, ttl: .seconds(9)) { _ in } }
        shop.on(0) { $0.register(foreign, ttl: .seconds(9)) { _ in } }
        shop.on(1) { $0.members { shop.note($0.map { "\($0.members.count) \($0.foreign)" }) } }
        #expect(shop.notes.all == [String](repeating: "true", count: 6) + ["1 1"])
    }

    @Test func the_first_to_claim_a_view_has_it() {
        let shop = Shop(2)
        shop.run(.seconds(1))
        shop.notes.all = []
        let (a, b) = (shop.name("a"), shop.name("b"))
        shop.on(0) { $0.claimView(7, by: a, ttl: .seconds(60)) { shop.note($0) } }
        shop.on(1) { $0.claimView(7, by: b, ttl: .seconds(60)) { shop.note($0) } }
        shop.on(1) { $0.claimView(8, by: b, ttl: .seconds(60)) { shop.note($0) } }
        shop.run(.seconds(60))
        shop.on(1) { $0.claimView(7, by: b, ttl: .seconds(60)) { shop.note($0) } }
        #expect(shop.notes.all == ["a", "a", "b", "b"])
    }

    @Test func the_highest_token_keeps_its_result() {
        let shop = Shop(1)
        shop.run(.seconds(1))
        shop.notes.all = []
        let id = TaskID(high: 1, low: 1)
        for attempt in [2, 2, 1, 3] as [UInt32] {
            let result = StoredResult(
                id: id, token: Token(run: 0, term: .first, attempt: attempt), document: [UInt8(attempt)],
                ttl: .seconds(5))
            shop.on(0) { $0.writeResult(result) { shop.note($0) } }
        }
        shop.on(0) { $0.readResult(id) { shop.note($0.map { $0 ?? [] }) } }
        shop.run(.seconds(6))
        shop.on(0) { $0.readResult(id) { shop.note($0.map { $0 ?? [] }) } }
        #expect(shop.notes.all == ["written", "present", "superseded", "written", "[3]", "[]"])
    }

    @Test func a_redis_that_stops_and_comes_back_is_noticed_and_is_another_run() {
        for isEmpty in [false, true] {
            let shop = Shop(1)
            shop.run(.seconds(1))
            let id = ClusterID(high: 1, low: 1)
            shop.on(0) { $0.confirmCluster(id) { _ in } }
            shop.notes.all = []
            shop.redis.stop()
            shop.on(0) { $0.clusterID { shop.note($0.map { $0 == id }) } }
            shop.run(.seconds(1))
            #expect(shop.notes.all.prefix(2) == ["disconnected", "0 disconnected"])
            #expect(shop.notes.all.dropFirst(2).allSatisfy { $0 == "0 unavailable" })
            shop.on(0) { $0.clusterID { shop.note($0) } }
            #expect(shop.notes.all.last == "unavailable")
            shop.redis.start(empty: isEmpty)
            shop.run(.seconds(6))
            #expect(shop.notes.all.last == "0 connected, fresh")
            shop.on(0) { $0.clusterID { shop.note($0.map { $0 == id }) } }
            #expect(shop.notes.all.last == (isEmpty ? "false" : "true"))
        }
    }

    @Test func a_flush_is_noticed_by_everybody_within_a_second_or_so() {
        let shop = Shop(2)
        shop.run(.milliseconds(1300))
        shop.notes.all = []
        shop.redis.flush()
        shop.run(.milliseconds(1100))
        #expect(Set(shop.notes.all) == ["0 emptied", "1 emptied"])
        #expect(shop.notes.all.count == 2)
    }

    @Test func a_redis_that_does_not_answer_in_time_is_given_up_and_tried_again() {
        let shop = Shop(1)
        shop.run(.seconds(1))
        shop.notes.all = []
        shop.redis.latency = .seconds(5)
        shop.on(0) { $0.clusterID { shop.note($0) } }
        shop.run(.milliseconds(1900))
        #expect(shop.notes.all == [])
        shop.run(.milliseconds(200))
        #expect(shop.notes.all == ["timedOut", "0 timedOut"])
        shop.run(.seconds(3))
        shop.redis.latency = .microseconds(100)
        shop.run(.seconds(10))
        #expect(shop.notes.all.last == "0 connected")
    }

    @Test func a_node_that_is_cut_off_notices_at_its_next_look() {
        let shop = Shop(2)
        shop.run(.milliseconds(1200))
        shop.notes.all = []
        shop.redis.setReachable(false, from: 0)
        shop.run(.seconds(4))
        #expect(shop.notes.all.first == "0 timedOut")
        #expect(shop.notes.all.allSatisfy { $0.hasPrefix("0 ") })
        shop.redis.setReachable(true, from: 0)
        shop.run(.seconds(10))
        #expect(shop.notes.all.last == "0 connected")
    }

    @Test func a_stopped_registry_says_so_and_calls_nobody() {
        let shop = Shop(1)
        shop.run(.seconds(1))
        shop.notes.all = []
        shop.on(0) { registry in
            registry.clusterID { shop.note($0) }
            registry.stop()
            registry.clusterID { shop.note($0) }
        }
        shop.redis.stop()
        shop.run(.seconds(5))
        #expect(shop.notes.all == ["stopped", "stopped"])
    }
}
