import Peers
import Primitives
import Testing

@testable import Peers
@testable import Simulation

/// Two or three processes with transports, and what they were told.
private final class Wires: @unchecked Sendable {
    final class End: PeerDelegate, @unchecked Sendable {
        let process: VirtualProcess
        let transport: VirtualTransport
        var told: [String] = []
        /// Requests of tag 9 are not answered.
        var answers = true

        init(_ process: VirtualProcess, _ transport: VirtualTransport) {
            self.process = process
            self.transport = transport
        }

        func received(request: Frame, from peer: NodeID, reply: @escaping PeerReply) {
            told.append("request \(request.tag) from \(peer.name)")
            if request.tag != 9 { reply(Frame(request.tag, request.body.reversed())) }
        }
        func received(message: Frame, from peer: NodeID) { told.append("message \(message.tag) from \(peer.name)") }
        func linkUp(_ peer: NodeID, version: UInt16) { told.append("up \(peer.name)") }
        func linkDown(_ peer: NodeID, _ reason: LinkEnd) { told.append("down \(peer.name) \(reason)") }
        func processGone(_ peer: NodeID) { told.append("gone \(peer.name)") }
        func peerEvent(_ event: PeerEvent) {}
    }

    let timeline: Timeline
    let network: VirtualNetwork
    var ends: [End] = []
    private let seed: UInt64

    init(_ count: Int, seed: UInt64 = 1, path: PathSettings = PathSettings(), startAll: Bool = true) {
        self.seed = seed
        timeline = Timeline(seed: seed, trace: .hash, yieldChance: 0.2)
        var settings = NetworkSettings()
        settings.path = path
        network = VirtualNetwork(timeline: timeline, settings: settings, seed: seed)
        for index in 0..<count {
            network.addHost()
            ends.append(makeEnd(index, generation: 1))
            if startAll { start(index) }
        }
    }

    private func makeEnd(_ index: Int, generation: UInt64) -> End {
        let clock = VirtualClock(timeline: timeline, greatestDrift: 0.01, seed: seed &+ UInt64(index))
        let process = VirtualProcess(
            timeline: timeline, clock: clock, index: index, seed: seed &+ UInt64(index) &+ generation << 8)
        let transport = VirtualTransport(
            on: index, process: process, network: network, address: VirtualNetwork.peerAddress(index),
            clusterName: "c", identity: id(index, generation), cluster: nil, seed: seed &+ UInt64(index))
        network.processStarted(process, on: index)
        return End(process, transport)
    }

    func id(_ index: Int, _ generation: UInt64 = 1) -> NodeID {
        NodeID(name: name(index), generation: Generation(generation))
    }

    private func name(_ index: Int) -> NodeName {
        NodeName("n\(index)") ?? { preconditionFailure("a name") }()
    }

    func start(_ index: Int) {
        let end = ends[index]
        Task.detached(executorPreference: end.process.poolExecutor) {
            _ = try? await end.transport.start(delegate: end)
        }
        run(.milliseconds(1))
    }

    func link(_ from: Int, _ to: Int, generation: UInt64 = 1) {
        let peer = Peer(id: id(to, generation), address: VirtualNetwork.peerAddress(to))
        on(from) { $0.setPeers([peer]) }
        run(.milliseconds(20))
    }

    func on(_ index: Int, _ body: @escaping @Sendable (VirtualTransport) -> Void) {
        let transport = ends[index].transport
        ends[index].process.execute { body(transport) }
    }

    func ask(_ from: Int, _ to: Int, tag: UInt16 = 1, within limit: Duration = .seconds(1), _ notes: Notes) {
        let timeline = timeline
        let target = id(to)
        on(from) { transport in
            transport.request(Frame(tag, [1, 2]), to: target, within: limit) { result in
                switch result {
                case .success(let frame): notes.add("\(frame.body)")
                case .failure(let error): notes.add("\(error) at \(timeline.now.nanoseconds / 100_000_000)")
                }
            }
        }
    }

    func run(_ duration: Duration) { _ = timeline.run(until: timeline.now + duration) { false } }

    func kill(_ index: Int, isPowered: Bool = true) {
        ends[index].process.die()
        network.processEnded(on: index, isPowered: isPowered)
        ends[index].transport.processEnded()
        ends[index].process.runOut()
        ends[index].process.bury()
    }

    func restart(_ index: Int, generation: UInt64) {
        network.powerOn(index)
        ends[index] = makeEnd(index, generation: generation)
        start(index)
    }
}

@Suite struct TransportTests {
    @Test func requests_are_answered_and_messages_arrive_in_the_order_of_the_calls() {
        for seed in UInt64(1)...20 {
            var path = PathSettings(latency: .microseconds(100), jitter: .milliseconds(2))
            path.loss = 0.2
            let wires = Wires(2, seed: seed, path: path)
            wires.link(0, 1)
            wires.run(.seconds(3))
            let notes = Notes()
            let target = wires.id(1)
            wires.on(0) { transport in
                for number in UInt16(10)..<60 {
                    if number.isMultiple(of: 2) {
                        transport.send(Frame(number, []), to: target)
                    } else {
                        transport.request(Frame(number, [1, 2]), to: target, within: .seconds(60)) { result in
                            notes.add((try? result.get().body == [2, 1]) == true ? "well" : "\(result)")
                        }
                    }
                }
            }
            wires.run(.seconds(60))
            #expect(notes.all == [String](repeating: "well", count: 25), "seed \(seed)")
            let expected = (10..<60).map { $0 % 2 == 0 ? "message \($0) from n0" : "request \($0) from n0" }
            #expect(wires.ends[1].told.filter { !$0.hasPrefix("up") } == expected, "seed \(seed)")
        }
    }

    @Test func each_node_has_a_link_of_its_own_to_the_other() {
        let wires = Wires(2)
        wires.link(0, 1)
        #expect(wires.ends[0].told == ["up n1"])
        #expect(wires.ends[1].told == [])
        wires.link(1, 0)
        #expect(wires.ends[1].told == ["up n0"])
        #expect(wires.network.counters.connections == 2)
    }

    @Test func a_request_without_an_answer_ends_at_its_deadline() {
        let wires = Wires(2)
        wires.link(0, 1)
        let notes = Notes()
        wires.ask(0, 1, tag: 9, within: .milliseconds(500), notes)
        wires.run(.milliseconds(490))
        #expect(notes.all == [])
        wires.run(.milliseconds(30))
        #expect(notes.all == ["timedOut(sent: true) at 5"])
    }

    @Test func whoever_is_no_peer_is_not_asked() {
        let wires = Wires(2)
        let notes = Notes()
        wires.ask(0, 1, notes)
        wires.run(.milliseconds(10))
        #expect(notes.all == ["unknownPeer at 0"])
    }

    @Test func a_killed_process_is_proven_to_be_gone_and_requests_fail_at_once() {
        for seed in UInt64(1)...20 {
            let wires = Wires(2, seed: seed)
            wires.link(0, 1)
            let notes = Notes()
            wires.ask(0, 1, tag: 9, within: .seconds(10), notes)
            wires.run(.milliseconds(80))
            wires.kill(1)
            wires.run(.milliseconds(10))
            #expect(notes.all == ["linkLost(Peers.LinkEnd.lost) at 1"], "seed \(seed)")
            #expect(wires.ends[0].told == ["up n1", "down n1 lost", "gone n1"], "seed \(seed)")
            wires.ask(0, 1, within: .seconds(10), notes)
            wires.run(.milliseconds(10))
            #expect(notes.all.last == "unreachable(Peers.LinkEnd.connectionRefused) at 1", "seed \(seed)")
        }
    }

    @Test func a_process_that_says_goodbye_is_not_called_gone() {
        let wires = Wires(2)
        wires.link(0, 1)
        let end = wires.ends[1]
        Task.detached(executorPreference: end.process.poolExecutor) { await end.transport.shutdown() }
        wires.run(.milliseconds(10))
        wires.kill(1)
        wires.run(.seconds(5))
        #expect(wires.ends[0].told == ["up n1", "down n1 goodbye"])
    }

    @Test func a_machine_without_power_is_silent_and_nobody_is_called_gone() {
        let wires = Wires(2)
        wires.link(0, 1)
        wires.kill(1, isPowered: false)
        wires.run(.seconds(10))
        #expect(wires.ends[0].told == ["up n1"])
        let notes = Notes()
        wires.ask(0, 1, within: .milliseconds(500), notes)
        wires.run(.seconds(6))
        // From the first request: 3 s of silence.
        #expect(notes.all.count == 1)
        #expect(wires.ends[0].told == ["up n1", "down n1 silent"])
        // An idle link to such a machine ends by keep-alive.
        let other = Wires(2)
        other.link(0, 1)
        other.kill(1, isPowered: false)
        other.run(.seconds(70))
        #expect(other.ends[0].told == ["up n1", "down n1 lost"])
    }

    @Test func a_machine_that_is_back_resets_what_it_does_not_know() {
        let wires = Wires(2)
        wires.link(0, 1)
        wires.kill(1, isPowered: false)
        wires.run(.seconds(1))
        wires.restart(1, generation: 2)
        wires.run(.seconds(31))
        #expect(Array(wires.ends[0].told.prefix(2)) == ["up n1", "down n1 lost"])
        // The new process is not the one that was meant.
        #expect(!wires.ends[0].told.contains("gone n1"))
        #expect(wires.ends[0].told.filter { $0 == "up n1" }.count == 1)
    }

    @Test func another_generation_is_refused_until_it_is_the_one_that_is_meant() {
        let wires = Wires(2)
        wires.link(0, 1, generation: 2)
        wires.run(.seconds(5))
        #expect(wires.ends[0].told == [])
        wires.link(0, 1)
        wires.run(.seconds(5))
        #expect(wires.ends[0].told == ["up n1"])
    }

    @Test func other_clusters_are_refused() {
        let wires = Wires(2)
        let (one, two) = (ClusterID(high: 1, low: 1), ClusterID(high: 2, low: 2))
        let ids = [wires.id(0), wires.id(1)]
        wires.on(0) { $0.setIdentity(ids[0], cluster: one) }
        wires.on(1) { $0.setIdentity(ids[1], cluster: two) }
        wires.link(0, 1)
        wires.run(.seconds(2))
        #expect(wires.ends[0].told == [])
        // A link that was made in ignorance ends when both know.
        let other = Wires(2)
        other.link(0, 1)
        other.on(0) { $0.setIdentity(ids[0], cluster: one) }
        other.run(.milliseconds(10))
        #expect(other.ends[0].told == ["up n1"])
        other.on(1) { $0.setIdentity(ids[1], cluster: two) }
        other.run(.milliseconds(100))
        // The acceptor had heard no cluster from the dialler; the dialler finds out when it dials again.
        other.on(0) { $0.setPeers([]) }
        other.run(.milliseconds(100))
        other.link(0, 1)
        other.run(.seconds(1))
        #expect(other.ends[0].told == ["up n1", "down n1 closed"])
    }

    @Test func a_new_identity_dials_anew() {
        let wires = Wires(2)
        wires.link(0, 1)
        let renamed = wires.id(0, 5)
        wires.on(0) { $0.setIdentity(renamed, cluster: nil) }
        wires.run(.milliseconds(100))
        #expect(wires.ends[0].told == ["up n1", "down n1 closed", "up n1"])
    }

    @Test func a_cut_is_noticed_by_silence_only_and_short_ones_not_at_all() {
        let wires = Wires(2)
        wires.link(0, 1)
        let notes = Notes()
        wires.network.cut(from: 0, to: 1)
        wires.network.cut(from: 1, to: 0)
        wires.ask(0, 1, within: .seconds(10), notes)
        wires.run(.seconds(1))
        #expect(notes.all == [])
        wires.network.healAll()
        wires.run(.seconds(2))
        // TCP has sent it again.
        #expect(notes.all == ["[2, 1]"])
        wires.network.cut(from: 0, to: 1)
        wires.ask(0, 1, within: .seconds(1), notes)
        wires.run(.seconds(2))
        #expect(notes.all.last?.hasPrefix("timedOut(sent: true)") == true)
        #expect(wires.ends[0].told == ["up n1"])
        wires.run(.seconds(3))
        #expect(wires.ends[0].told == ["up n1", "down n1 silent"])
        wires.network.healAll()
        wires.run(.seconds(3))
        #expect(wires.ends[0].told == ["up n1", "down n1 silent", "up n1"])
    }

    @Test func a_one_way_cut_stops_both_directions_of_a_connection() {
        for (from, to) in [(0, 1), (1, 0)] {
            let wires = Wires(2)
            wires.link(0, 1)
            wires.network.cut(from: from, to: to)
            wires.run(.seconds(1))
            let notes = Notes()
            wires.ask(0, 1, within: .seconds(1), notes)
            wires.run(.seconds(2))
            #expect(notes.all.first?.hasPrefix("timedOut") == true)
            // And no new one can be made.
            let other = Wires(2)
            other.network.cut(from: from, to: to)
            other.link(0, 1)
            other.run(.seconds(3))
            #expect(other.ends[0].told == [])
            other.network.healAll()
            other.run(.seconds(3))
            #expect(other.ends[0].told == ["up n1"])
        }
    }

    @Test func a_paused_process_accepts_and_is_silent_then_answers() {
        let wires = Wires(2)
        wires.ends[1].process.pause(.stopped)
        wires.link(0, 1)
        #expect(wires.ends[0].told == [])
        let notes = Notes()
        wires.ask(0, 1, within: .seconds(30), notes)
        wires.run(.seconds(1))
        #expect(notes.all == [])
        wires.ends[1].process.resume()
        wires.run(.seconds(1))
        #expect(wires.ends[0].told == ["up n1"])
        #expect(notes.all == ["[2, 1]"])
    }

    @Test func a_reset_from_the_network_is_no_proof() {
        let wires = Wires(2)
        wires.link(0, 1)
        wires.network.resetConnections(between: 0, and: 1)
        wires.run(.seconds(2))
        #expect(wires.ends[0].told == ["up n1", "down n1 lost", "up n1"])
    }

    @Test func whoever_listens_at_an_address_is_asked_whatever_its_name() {
        let wires = Wires(2)
        let notes = Notes()
        func ask(_ address: Address) {
            wires.on(0) { transport in
                transport.request(Frame(1, [7, 8]), at: address, within: .seconds(1)) { result in
                    switch result {
                    case .success(let answer): notes.add("\(answer.peer.name) \(answer.frame.body)")
                    case .failure(let error): notes.add("\(error)")
                    }
                }
            }
            wires.run(.seconds(2))
        }
        ask(VirtualNetwork.peerAddress(1))
        wires.kill(1)
        ask(VirtualNetwork.peerAddress(1))
        ask(VirtualNetwork.peerAddress(0))
        #expect(
            notes.all == [
                "n1 [8, 7]", "unreachable(Peers.LinkEnd.connectionRefused)",
                "unreachable(Peers.LinkEnd.refused(Peers.Refusal.itself))",
            ])
    }

    @Test func what_is_said_while_a_link_is_dialled_waits_and_between_dials_fails() {
        let wires = Wires(2, path: PathSettings(latency: .milliseconds(100), jitter: .zero))
        let notes = Notes()
        let peer = Peer(id: wires.id(1), address: VirtualNetwork.peerAddress(1))
        wires.on(0) { transport in
            transport.setPeers([peer])
            #expect(transport.send(Frame(4, []), to: peer.id))
        }
        wires.ask(0, 1, within: .seconds(5), notes)
        wires.run(.seconds(1))
        #expect(wires.ends[0].told == ["up n1"])
        #expect(wires.ends[1].told == ["message 4 from n0", "request 1 from n0"])
        #expect(notes.all == ["[2, 1]"])
        // Between two dials nothing is taken.
        wires.kill(1)
        var refused = false
        for _ in 0..<100 where !refused {
            wires.run(.milliseconds(20))
            let before = notes.all.count
            let ends = wires.ends
            wires.on(0) { transport in ends[0].told.append("\(transport.send(Frame(5, []), to: peer.id))") }
            wires.ask(0, 1, notes)
            wires.run(.milliseconds(2))
            refused = ends[0].told.last == "false" && notes.all.count > before
        }
        #expect(refused)
        #expect(notes.all.last?.hasPrefix("unreachable(Peers.LinkEnd.connectionRefused)") == true)
    }

    @Test func too_much_is_refused_and_what_was_taken_is_counted() {
        let wires = Wires(2)
        wires.link(0, 1)
        wires.network.cut(from: 0, to: 1)
        let target = wires.id(1)
        let notes = Notes()
        wires.on(0) { transport in
            let frame = Frame(3, [UInt8](repeating: 0, count: 4 << 20))
            for _ in 0..<20 { notes.add(transport.send(frame, to: target) ? "taken" : "refused") }
            transport.request(frame, to: target, within: .seconds(1)) { result in
                if case .failure(.overloaded) = result { notes.add("overloaded") }
            }
        }
        wires.run(.milliseconds(100))
        #expect(notes.all.filter { $0 == "taken" }.count == 15)
        #expect(notes.all.last == "overloaded")
        #expect(wires.ends[0].transport.queuedBytes(to: target) == 15 * ((4 << 20) + 16))
        wires.network.healAll()
        wires.run(.seconds(1))
        #expect(wires.ends[0].transport.queuedBytes(to: target) == 0)
        #expect(wires.ends[1].told.count == 15)
    }

    // MARK: The same rules as the real ones

    @Test func dials_are_repeated_as_the_real_links_repeat_them() {
        for seed in UInt64(1)...20 {
            var (mine, real) = (VirtualRedial(seed: seed), Redial(seed: seed))
            for step in 0..<30 {
                #expect(mine.next() == real.next())
                if step.isMultiple(of: 7) {
                    let uptime = Duration.milliseconds(step.isMultiple(of: 2) ? 50 : 500)
                    mine.linkEnded(after: uptime)
                    real.linkEnded(after: uptime)
                }
            }
        }
    }

    @Test func hellos_are_judged_as_the_real_links_judge_them() {
        let wires = Wires(0)
        let clusters = [nil, ClusterID(high: 1, low: 1), ClusterID(high: 2, low: 2)]
        let nodes = [wires.id(1), wires.id(1, 2), wires.id(2)]
        let wanted = [nil] + nodes.map(Optional.some)
        var count = 0
        for name in ["a", "b"] {
            for mine in clusters {
                for theirs in clusters {
                    for node in nodes {
                        for (expected, meant) in wanted.flatMap({ first in wanted.map { (first, $0) } }) {
                            let a = VirtualHello(
                                clusterName: "a", cluster: mine, node: wires.id(1), expected: expected
                            ).judge(VirtualHello(clusterName: name, cluster: theirs, node: node, expected: meant))
                            let b = Hello(
                                versions: .current, clusterName: "a", cluster: mine, node: wires.id(1),
                                expected: expected
                            ).judge(
                                Hello(
                                    versions: .current, clusterName: name, cluster: theirs, node: node,
                                    expected: meant))
                            #expect(a == b)
                            count += 1
                        }
                    }
                }
            }
        }
        #expect(count == 2 * 3 * 3 * 3 * 16)
    }
}
