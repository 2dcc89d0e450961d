import Primitives
import Testing

@testable import Membership

/// Whatever arrives, from whomever: nothing traps, and nothing grows beyond its bound.
@Suite struct HostileInputTests {
    static let names = ["a", "b", "c", "d", "x", "y"]
    static let numbers: [UInt64] = [0, 1, 9, 10, 11, .max - 1, .max]

    static func anID(_ random: inout SeededGenerator) -> NodeID {
        id(names[Int.random(in: 0..<names.count, using: &random)], number(&random))
    }

    static func number(_ random: inout SeededGenerator) -> UInt64 {
        numbers[Int.random(in: 0..<numbers.count, using: &random)]
    }

    static func aRumor(_ random: inout SeededGenerator) -> Rumor {
        let subject = anID(&random)
        let incarnation = Incarnation(UInt32(truncatingIfNeeded: number(&random)))
        let teller = anID(&random).name
        switch Int.random(in: 0..<6, using: &random) {
        case 0: return .alive(subject, incarnation, profile(teller.rawValue))
        case 1: return .suspect(subject, incarnation, by: teller, hasProof: false)
        case 2: return .suspect(subject, incarnation, by: teller, hasProof: true)
        case 3: return .dead(subject, incarnation, by: teller, isProven: false)
        case 4: return .dead(subject, incarnation, by: teller, isProven: true)
        default: return .left(subject, incarnation)
        }
    }

    static func aMessage(_ random: inout SeededGenerator) -> GossipMessage {
        let sequence = UInt32(truncatingIfNeeded: number(&random))
        let bodies: [GossipMessage.Body] = [
            .ping(sequence: sequence, target: anID(&random)),
            .pingRequest(sequence: sequence, target: anID(&random), address: address("x")),
            .ack(sequence: sequence, of: anID(&random)), .nack(sequence: sequence), .join, .welcome, .gossip,
        ]
        return GossipMessage(
            sender: anID(&random), load: LoadDigest(ready: .max), viewNumber: number(&random),
            body: bodies[Int.random(in: 0..<bodies.count, using: &random)],
            rumors: (0..<Int.random(in: 0..<6, using: &random)).map { _ in aRumor(&random) })
    }

    static func anEvent(_ random: inout SeededGenerator) -> Membership.Event {
        switch Int.random(in: 0..<40, using: &random) {
        case 0..<8: return .tick
        case 8: return .exitProof(anID(&random))
        case 9: return .connectionLost(anID(&random))
        case 10: return .portUnreachable(address("b"))
        case 11: return .join(seeds: [address("s\(number(&random) % 200)")])
        case 12: return .viewChanged(number: number(&random))
        case 13:
            let records = (0..<20).map { _ in
                MemberRecord(
                    id: anID(&random), profile: profile("x"),
                    state: MemberState.allCases[Int.random(in: 0..<4, using: &random)],
                    incarnation: Incarnation(UInt32(truncatingIfNeeded: number(&random))),
                    since: Instant(nanoseconds: Int64(bitPattern: number(&random))), viewNumber: number(&random),
                    heardAt: Instant(nanoseconds: Int64(bitPattern: number(&random))),
                    isExitProven: Bool.random(using: &random))
            }
            return .merge(records, from: anID(&random))
        default: return .received(aMessage(&random), from: address("x"))
        }
    }

    @Test(arguments: 0..<20)
    func nonsenseIsSurvivedWithinAllBounds(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var rig = Rig(peers: ["b", "c", "d"], seed: seed)
        var verdicts = 0
        for step in 0..<3000 {
            rig.now += .microseconds(Int64.random(in: 0..<20_000, using: &random))
            let effects = rig.handle(Self.anEvent(&random))
            for (message, _) in effects.sent {
                #expect(message.encodedBytes <= GossipMessage.budget)
                #expect(message.sender == rig.machine.myself)
            }
            if effects.contains(where: { if case .declaredDead = $0 { true } else { false } }) { verdicts += 1 }
            if step == 2500 { _ = rig.handle(.leave) }
            let names = rig.machine.members.map(\.id.name)
            #expect(names == Set(names).sorted())
            for suspicion in rig.machine.suspicions {
                #expect(rig.machine.member(suspicion.subject.name)?.state == .suspect)
            }
            for record in rig.machine.members where record.state.isLiving { #expect(!record.isExitProven) }
            #expect(
                rig.machine.livingOthers
                    == rig.machine.members.filter { record in
                        record.state.isLiving && record.id.name != rig.machine.myself.name
                    })
        }
        #expect(verdicts <= 1)
        #expect(rig.machine.members.count <= Self.names.count)
        #expect(rig.machine.seeds.count <= MembershipLimits.seeds)
        #expect(rig.machine.probes.count <= MembershipLimits.probes)
        #expect(rig.machine.relays.count <= MembershipLimits.relays)
        #expect(rig.machine.queue.count <= MembershipLimits.rumors)
        #expect(rig.machine.evidence.count <= MembershipLimits.evidence)
    }

    /// Every suspect has a suspicion, and every suspicion a suspect, whatever came before.
    @Test(arguments: 0..<10)
    func afterNonsenseTheProtocolGoesOn(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var rig = Rig(peers: ["b", "c", "d"], seed: seed)
        for _ in 0..<1000 {
            rig.now += .milliseconds(1)
            _ = rig.handle(Self.anEvent(&random))
            let suspects = rig.machine.members.filter { $0.state == .suspect }.map(\.id)
            #expect(suspects == rig.machine.suspicions.map(\.subject).sorted())
        }
        _ = rig.hear([alive("fresh")], from: "fresh")
        let effects = rig.run(for: .seconds(30), answering: ["fresh"])
        #expect(effects.pings(to: "fresh").count > 3)
        #expect(rig.state("fresh") == .alive)
        // Those that never answer are gone by now.
        #expect(rig.machine.livingOthers.map(\.id) == [id("fresh")])
    }

    @Test func aFullDatagramOfRumorsAboutStrangersStaysBounded() {
        var rig = Rig(peers: ["b"])
        for round in 0..<20 {
            _ = rig.hear((0..<112).map { alive("n\(round * 112 + $0)") }, from: "b")
        }
        #expect(rig.machine.members.count == Limits.members)
        for round in 0..<20 {
            _ = rig.hear((0..<112).map { dead("n\(round * 112 + $0)") }, from: "b")
            _ = rig.hear((0..<112).map { alive("m\(round * 112 + $0)") }, from: "b")
        }
        #expect(rig.machine.members.count <= Limits.members + MembershipLimits.tombstones)
        #expect(rig.machine.queue.count <= MembershipLimits.rumors)
    }
}
