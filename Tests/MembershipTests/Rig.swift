import Primitives

@testable import Membership

func name(_ text: String) -> NodeName {
    guard let name = NodeName(text) else { preconditionFailure("\(text) is no name") }
    return name
}

func id(_ text: String, _ generation: UInt64 = 10) -> NodeID {
    NodeID(name: name(text), generation: Generation(generation))
}

func address(_ text: String) -> Address { Address(host: text, port: 7000) }

func profile(_ text: String, slots: UInt16 = 4) -> MemberProfile {
    MemberProfile(
        gossip: address(text), peer: Address(host: text, port: 7001), http: Address(host: text, port: 7002),
        disk: StoreID(1), store: StoreID(2), slots: slots)
}

func alive(_ text: String, _ incarnation: UInt32 = 0, generation: UInt64 = 10, slots: UInt16 = 4) -> Rumor {
    .alive(id(text, generation), Incarnation(incarnation), profile(text, slots: slots))
}

func suspect(
    _ text: String, _ incarnation: UInt32 = 0, generation: UInt64 = 10, by accuser: String = "z", proof: Bool = false
) -> Rumor {
    .suspect(id(text, generation), Incarnation(incarnation), by: name(accuser), hasProof: proof)
}

func dead(
    _ text: String, _ incarnation: UInt32 = 0, generation: UInt64 = 10, by accuser: String = "z", proof: Bool = false
) -> Rumor {
    .dead(id(text, generation), Incarnation(incarnation), by: name(accuser), isProven: proof)
}

func left(_ text: String, _ incarnation: UInt32 = 0, generation: UInt64 = 10) -> Rumor {
    .left(id(text, generation), Incarnation(incarnation))
}

/// One machine, named `a`, and a clock that the test moves.
struct Rig {
    var machine: Membership
    var now = Instant(nanoseconds: 1_000_000_000)

    /// - Parameter peers: living members that it knows.
    init(peers: [String] = [], settings: Membership.Settings = .init(), seed: UInt64 = 7) {
        machine = Membership(myself: id("a"), profile: profile("a"), settings: settings, seed: seed)
        for peer in peers { _ = hear([alive(peer)], from: peer) }
    }

    mutating func handle(_ event: Membership.Event) -> [Membership.Effect] {
        var effects: [Membership.Effect] = []
        machine.handle(event, at: now, into: &effects)
        return effects
    }

    mutating func receive(
        _ body: GossipMessage.Body, _ rumors: [Rumor] = [], from peer: String, generation: UInt64 = 10,
        load: LoadDigest = LoadDigest(), view: UInt64 = 0
    ) -> [Membership.Effect] {
        let message = GossipMessage(
            sender: id(peer, generation), load: load, viewNumber: view, body: body, rumors: rumors)
        return handle(.received(message, from: address(peer)))
    }

    mutating func hear(
        _ rumors: [Rumor], from peer: String, generation: UInt64 = 10, view: UInt64 = 0
    ) -> [Membership.Effect] {
        receive(.gossip, rumors, from: peer, generation: generation, view: view)
    }

    /// Ticks at every deadline up to `duration` from now. `answering` peers ack each ping at once, `nacking` ones nack
    /// each request.
    mutating func run(
        for duration: Duration, answering: Set<String> = [], nacking: Set<String> = []
    ) -> [Membership.Effect] {
        let end = now + duration
        var all: [Membership.Effect] = []
        while machine.nextDeadline <= end {
            now = max(now, machine.nextDeadline)
            var pending = handle(.tick)
            while !pending.isEmpty {
                all += pending
                var caused: [Membership.Effect] = []
                for case .send(let message, let target) in pending {
                    switch message.body {
                    case .ping(let sequence, let member) where answering.contains(target.host):
                        caused += receive(.ack(sequence: sequence, of: member), from: target.host)
                    case .pingRequest(let sequence, _, _) where nacking.contains(target.host):
                        caused += receive(.nack(sequence: sequence), from: target.host)
                    default: break
                    }
                }
                pending = caused
            }
        }
        now = end
        return all
    }

    func state(_ text: String) -> MemberState? { machine.member(name(text))?.state }
}

extension [Membership.Effect] {
    var sent: [(message: GossipMessage, host: String)] {
        compactMap { effect in
            guard case .send(let message, let target) = effect else { return nil }
            return (message, target.host)
        }
    }

    func rumors(to host: String) -> [Rumor] { sent.filter { $0.host == host }.flatMap(\.message.rumors) }

    var allRumors: [Rumor] { sent.flatMap(\.message.rumors) }

    /// Name, former state, new state of every change.
    var changes: [Change] {
        compactMap { effect in
            guard case .memberChanged(let record, let was) = effect else { return nil }
            return Change(id: record.id, was: was, state: record.state)
        }
    }

    func pings(to host: String) -> [UInt32] {
        sent.compactMap { sent in
            guard case .ping(let sequence, _) = sent.message.body, sent.host == host else { return nil }
            return sequence
        }
    }

    var pingRequests: [(sequence: UInt32, host: String)] { pingRequests() }

    func pingRequests(about member: String? = nil) -> [(sequence: UInt32, host: String)] {
        sent.compactMap { sent in
            guard case .pingRequest(let sequence, let target, _) = sent.message.body,
                member.map({ target.name == name($0) }) ?? true
            else { return nil }
            return (sequence, sent.host)
        }
    }

    func bodies(to host: String) -> [GossipMessage.Body] { sent.filter { $0.host == host }.map(\.message.body) }
}

struct Change: Hashable {
    let id: NodeID
    let was: MemberState?
    let state: MemberState
}
