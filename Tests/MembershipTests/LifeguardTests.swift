import Primitives
import Testing

@testable import Membership

/// What the switch turns off, and what Lifeguard's parts do when it is on.
@Suite struct LifeguardTests {
    static func rig(_ hasLifeguard: Bool, peers: [String] = ["b", "c", "d", "e"]) -> Rig {
        var settings = Membership.Settings()
        settings.hasLifeguard = hasLifeguard
        return Rig(peers: peers, settings: settings)
    }

    @Test(arguments: [true, false]) func poorLocalHealthStretchesNothingWithoutIt(_ hasLifeguard: Bool) {
        var rig = Self.rig(hasLifeguard)
        _ = rig.run(for: .milliseconds(700))
        #expect((rig.machine.localHealthScore > 0) == hasLifeguard)
        _ = rig.handle(.restart(id("a", 11)))
        _ = rig.run(for: .milliseconds(700))
        #expect((rig.machine.localHealthScore > 0) == hasLifeguard)
    }

    @Test(arguments: [true, false]) func helpersSendNoNacksWithoutIt(_ hasLifeguard: Bool) {
        var rig = Self.rig(hasLifeguard)
        let request = GossipMessage.Body.pingRequest(sequence: 5, target: id("c"), address: address("c"))
        _ = rig.receive(request, from: "b")
        let later = rig.run(for: .milliseconds(100)).bodies(to: "b")
        #expect(later.contains(.nack(sequence: 5)) == hasLifeguard)
        // About one who is dead: the news is told all the same.
        _ = rig.hear([dead("c", by: "d")], from: "d")
        let effects = rig.receive(request, from: "b")
        #expect(effects.bodies(to: "b") == [hasLifeguard ? .nack(sequence: 5) : .gossip])
        #expect(effects.rumors(to: "b").first == dead("c", by: "a"))
    }

    @Test(arguments: [(true, 4800), (false, 800)])
    func aSuspicionThatNobodyConfirmsIsShortestWithoutIt(_ hasLifeguard: Bool, _ milliseconds: Int64) {
        var rig = Self.rig(hasLifeguard)
        _ = rig.hear([suspect("b", by: "c")], from: "c")
        _ = rig.run(for: .milliseconds(milliseconds - 1), answering: ["b", "c", "d", "e"])
        #expect(rig.state("b") == .suspect)
        _ = rig.run(for: .milliseconds(1), answering: ["b", "c", "d", "e"])
        #expect(rig.state("b") == .dead)
    }

    @Test(arguments: [true, false]) func confirmationsAreNotSpreadWithoutIt(_ hasLifeguard: Bool) {
        var rig = Self.rig(hasLifeguard)
        _ = rig.hear([suspect("b", by: "c")], from: "c")
        _ = rig.hear([suspect("b", by: "d")], from: "d")
        #expect(rig.machine.queue.contains(suspect("b", by: "c")))
        #expect(rig.machine.queue.contains(suspect("b", by: "d")) == hasLifeguard)
    }

    @Test(arguments: [true, false]) func nobodyTellsASuspectWithoutIt(_ hasLifeguard: Bool) {
        var rig = Self.rig(hasLifeguard)
        _ = rig.hear([suspect("b", by: "c")], from: "c")
        // The rumor has been gossiped by now; what comes after is for the suspect alone.
        let effects = rig.run(for: .milliseconds(790), answering: ["c", "d", "e"])
        let pings = effects.sent.filter { sent in
            if case .ping = sent.message.body { sent.host == "b" } else { false }
        }
        #expect(pings.contains { $0.message.rumors.contains(suspect("b", by: "c")) } == hasLifeguard)
    }

    @Test(arguments: [true, false]) func aSuspectThatPingsIsToldWithTheAck(_ hasLifeguard: Bool) {
        var rig = Self.rig(hasLifeguard)
        _ = rig.hear([suspect("b", by: "c")], from: "c")
        _ = rig.run(for: .milliseconds(700), answering: ["c", "d", "e"])
        #expect(rig.machine.queue.isEmpty)
        let effects = rig.receive(.ping(sequence: 1, target: id("a")), from: "b")
        #expect(effects.bodies(to: "b") == [.ack(sequence: 1, of: id("a"))])
        #expect(effects.rumors(to: "b") == (hasLifeguard ? [suspect("b", by: "c")] : []))
    }

    /// One in a period beside the one whose turn it is.
    @Test func theSuspectWhoseTimeIsUpFirstIsProbedInEveryPeriod() {
        let others = (0..<20).map { "n\($0)" }
        var rig = Rig(peers: ["b", "c"] + others)
        _ = rig.hear([suspect("c", by: "n1")], from: "n1")
        _ = rig.hear([suspect("b", by: "n1"), suspect("b", by: "n2")], from: "n2")
        var effects: [Membership.Effect] = []
        for _ in 0..<5 { effects += rig.run(for: .milliseconds(200), answering: Set(others + ["b", "c"])) }
        #expect(effects.pings(to: "b").count >= 5)
        #expect(effects.pings(to: "c").count <= 1)
        let pings = effects.sent.filter { if case .ping = $0.message.body { true } else { false } }
        #expect(pings.count <= 10)
    }

    @Test func anAckCarriesTheRefutationOfAnOldSuspicion() {
        var rig = Rig(peers: ["b", "c"])
        _ = rig.hear([suspect("a", by: "c")], from: "c")
        _ = rig.run(for: .seconds(2), answering: ["b", "c"])
        let effects = rig.receive(.ping(sequence: 9, target: id("a")), [suspect("a", by: "b")], from: "b")
        #expect(effects.bodies(to: "b") == [.ack(sequence: 9, of: id("a"))])
        #expect(effects.rumors(to: "b") == [alive("a", 1)])
    }

    @Test func helpersAreToldOfTheSuspicionAndPassTheIncarnationOn() throws {
        var rig = Rig(peers: ["b", "c"])
        _ = rig.hear([suspect("b", by: "c")], from: "c")
        _ = rig.handle(.connectionLost(id("b")))
        let asked = rig.run(for: .milliseconds(80)).sent.first { sent in
            if case .pingRequest = sent.message.body { sent.host == "c" } else { false }
        }
        #expect(try #require(asked).message.rumors.contains(suspect("b", by: "c")))

        var helper = Rig(peers: ["b", "c"])
        _ = helper.hear([alive("c", 4)], from: "c")
        _ = helper.run(for: .seconds(3), answering: ["b", "c"])
        let request = GossipMessage.Body.pingRequest(sequence: 5, target: id("c"), address: address("c"))
        let sequence = try #require(helper.receive(request, from: "b").pings(to: "c").first)
        let effects = helper.receive(.ack(sequence: sequence, of: id("c")), from: "c")
        #expect(effects.rumors(to: "b") == [alive("c", 4)])
    }
}
