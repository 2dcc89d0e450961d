import Primitives
import Testing

@testable import Membership

@Suite struct ProbingTests {
    /// Runs to the next ping of `peer`; the others answer theirs.
    func ping(_ peer: String, _ rig: inout Rig) -> UInt32? {
        for _ in 0..<20 {
            rig.now = rig.machine.nextDeadline
            let effects = rig.handle(.tick)
            if let sequence = effects.pings(to: peer).first { return sequence }
            for case .send(let message, let target) in effects {
                guard case .ping(let sequence, let member) = message.body else { continue }
                _ = rig.receive(.ack(sequence: sequence, of: member), from: target.host)
            }
        }
        return nil
    }

    @Test func everyPeriodOneMemberIsPinged() {
        var rig = Rig(peers: ["b", "c", "d"])
        let effects = rig.run(for: .milliseconds(6000), answering: ["b", "c", "d"])
        let counts = ["b", "c", "d"].map { effects.pings(to: $0).count }
        #expect(counts == [10, 10, 10])
        #expect(effects.pingRequests.isEmpty)
        #expect(rig.machine.localHealthScore == 0)
        #expect(effects.changes.isEmpty)
    }

    @Test func aPingIsAckedWithItsSequence() {
        var rig = Rig(peers: ["b"])
        let effects = rig.receive(.ping(sequence: 77, target: id("a")), from: "b")
        #expect(effects.bodies(to: "b") == [.ack(sequence: 77, of: id("a"))])
    }

    @Test func aPingForAnotherGenerationIsAnsweredByAnIntroductionOnly() {
        var rig = Rig(peers: ["b"])
        let effects = rig.receive(.ping(sequence: 77, target: id("a", 9)), from: "b")
        #expect(effects.bodies(to: "b") == [.gossip])
        #expect(effects.rumors(to: "b").first == alive("a"))
    }

    @Test func aPingForAnotherNameIsIgnored() {
        var rig = Rig(peers: ["b"])
        #expect(rig.receive(.ping(sequence: 77, target: id("x")), from: "b") == [])
    }

    @Test func withoutAckThreeOthersAreAskedAfterTheTimeout() throws {
        var rig = Rig(peers: ["b", "c", "d", "e", "f"])
        let sequence = try #require(ping("b", &rig))
        let early = rig.run(for: .milliseconds(79))
        #expect(early.pingRequests.isEmpty)
        let late = rig.run(for: .milliseconds(1))
        #expect(late.pingRequests.map(\.sequence) == [sequence, sequence, sequence])
        #expect(Set(late.pingRequests.map(\.host)).count == 3)
        #expect(!late.pingRequests.contains { $0.host == "b" })
    }

    /// Peers beside `b`, and when `b` is pinged in a probe that it does not answer.
    @Test(
        arguments: [([], [0, 80, 160]), (["c"], [0, 80]), (["c", "d"], [0, 80]), (["c", "d", "e"], [0])]
            as [([String], [Int64])]) func pingsAreRepeatedWhereHelpersAreMissing(_ others: [String], _ times: [Int64])
    {
        var rig = Rig(peers: ["b"] + others)
        _ = rig.run(for: .milliseconds(1), answering: Set(others + ["b"]))
        // Before the next period.
        var pings = rig.handle(.connectionLost(id("b"))).pings(to: "b").map { (Int64(0), $0) }
        let start = rig.now
        while rig.machine.nextDeadline < start + .milliseconds(200) {
            rig.now = rig.machine.nextDeadline
            for sequence in rig.handle(.tick).pings(to: "b") {
                pings.append(((rig.now - start).milliseconds, sequence))
            }
        }
        let probe = pings.first?.1
        #expect(pings.filter { $0.1 == probe }.map(\.0) == times)
    }

    @Test func withThreeNodesTheOnlyOtherHelps() throws {
        var rig = Rig(peers: ["b", "c"])
        _ = try #require(ping("b", &rig))
        #expect(rig.run(for: .milliseconds(80)).pingRequests.map(\.host) == ["c"])
    }

    @Test func suspectsAreNotAskedToHelp() throws {
        var rig = Rig(peers: ["b", "c", "d"])
        _ = rig.hear([suspect("c", by: "d")], from: "d")
        _ = try #require(ping("b", &rig))
        #expect(rig.run(for: .milliseconds(80)).pingRequests(about: "b").map(\.host) == ["d"])
    }

    @Test func aLateAckStillCounts() throws {
        var rig = Rig(peers: ["b", "c"])
        let sequence = try #require(ping("b", &rig))
        _ = rig.run(for: .milliseconds(150))
        _ = rig.receive(.ack(sequence: sequence, of: id("b")), from: "b")
        _ = rig.run(for: .milliseconds(50))
        #expect(rig.state("b") == .alive)
    }

    @Test func anAckThroughAHelperCounts() throws {
        var rig = Rig(peers: ["b", "c"])
        let sequence = try #require(ping("b", &rig))
        _ = rig.run(for: .milliseconds(100))
        _ = rig.receive(.ack(sequence: sequence, of: id("b")), from: "c")
        _ = rig.run(for: .milliseconds(100))
        #expect(rig.state("b") == .alive)
    }

    @Test func acksOfOthersSequencesAndSendersDoNotCount() throws {
        var rig = Rig(peers: ["b", "c", "d"])
        let sequence = try #require(ping("b", &rig))
        _ = rig.receive(.ack(sequence: sequence &+ 1, of: id("b")), from: "b")
        _ = rig.receive(.ack(sequence: sequence, of: id("c")), from: "c")
        _ = rig.receive(.ack(sequence: sequence, of: id("b")), from: "d")
        _ = rig.receive(.ack(sequence: sequence, of: id("b", 9)), from: "b", generation: 9)
        _ = rig.run(for: .milliseconds(200))
        #expect(rig.state("b") == .suspect)
    }

    @Test func withoutAnyAckTheMemberIsSuspectAtTheEndOfThePeriodAndIsToldSo() throws {
        var rig = Rig(peers: ["b", "c", "d"])
        _ = try #require(ping("b", &rig))
        _ = rig.run(for: .milliseconds(199))
        #expect(rig.state("b") == .alive)
        let effects = rig.run(for: .milliseconds(1))
        #expect(effects.changes == [Change(id: id("b"), was: .alive, state: .suspect)])
        #expect(effects.rumors(to: "b").contains(suspect("b", by: "a")))
    }

    @Test func aSuspectIsToldSoWithEveryPing() throws {
        var rig = Rig(peers: ["b", "c", "d"])
        _ = rig.hear([suspect("b", by: "c")], from: "c")
        let effects = rig.run(for: .milliseconds(1500), answering: ["b", "c", "d"])
        let messages = effects.sent.filter { $0.host == "b" }.map(\.message).filter {
            if case .ping = $0.body { true } else { false }
        }
        #expect(messages.count > 1)
        for message in messages { #expect(message.rumors.first == suspect("b", by: "c")) }
    }

    @Test func answeringPingsAloneDoesNotRefuteASuspicion() {
        var rig = Rig(peers: ["b", "c", "d"])
        _ = rig.hear([suspect("b", by: "c")], from: "c")
        _ = rig.run(for: .milliseconds(1000), answering: ["b", "c", "d"])
        #expect(rig.state("b") == .suspect)
    }

    @Test func aSuspectThatDoesNotRefuteIsDeadWhenItsTimeIsUp() {
        var rig = Rig(peers: ["b", "c", "d", "e"])
        _ = rig.hear([suspect("b", by: "c")], from: "c")
        _ = rig.run(for: .milliseconds(4799), answering: ["b", "c", "d", "e"])
        #expect(rig.state("b") == .suspect)
        let effects = rig.run(for: .milliseconds(1), answering: ["b", "c", "d", "e"])
        #expect(effects.changes == [Change(id: id("b"), was: .suspect, state: .dead)])
        // At once, to three others and to the accused.
        for host in ["b", "c", "d", "e"] { #expect(effects.rumors(to: host).contains(dead("b", by: "a"))) }
    }

    @Test func confirmationsShortenTheSuspicion() {
        var rig = Rig(peers: ["b", "c", "d", "e"])
        _ = rig.hear([suspect("b", by: "c")], from: "c")
        _ = rig.hear([suspect("b", by: "d")], from: "d")
        _ = rig.hear([suspect("b", by: "d")], from: "e")
        // 4.8 - 4 x log 2 / log 3 = 2.276 s.
        var other = rig
        _ = other.run(for: .milliseconds(2275), answering: ["b", "c", "d", "e"])
        #expect(other.state("b") == .suspect)
        _ = other.run(for: .milliseconds(2), answering: ["b", "c", "d", "e"])
        #expect(other.state("b") == .dead)
        // 0.8 s, and after a late confirmation the time of a probe.
        _ = rig.run(for: .milliseconds(1500), answering: ["b", "c", "d", "e"])
        _ = rig.hear([suspect("b", by: "e")], from: "e")
        _ = rig.run(for: .milliseconds(199), answering: ["b", "c", "d", "e"])
        #expect(rig.state("b") == .suspect)
        _ = rig.run(for: .milliseconds(1), answering: ["b", "c", "d", "e"])
        #expect(rig.state("b") == .dead)
    }

    @Test func confirmationsAreSpreadWhileTheyAreNeeded() {
        var rig = Rig(peers: ["b", "c", "d", "e", "f"])
        for accuser in ["c", "d", "e", "f"] { _ = rig.hear([suspect("b", by: accuser)], from: accuser) }
        let spread = ["c", "d", "e", "f"].map { rig.machine.queue.contains(suspect("b", by: $0)) }
        #expect(spread == [true, true, true, false])
    }

    @Test func theOwnFailedProbeConfirmsASuspicionOfOthers() throws {
        var rig = Rig(peers: ["b", "c", "d", "e"])
        _ = rig.hear([suspect("b", by: "c")], from: "c")
        _ = try #require(ping("b", &rig))
        let effects = rig.run(for: .milliseconds(200), answering: ["c", "d", "e"])
        #expect(rig.machine.suspicions.first?.accusers == [name("c"), name("a")])
        #expect(effects.allRumors.contains(suspect("b", by: "a")))
    }

    @Test func inAClusterOfTwoASuspicionIsShortest() {
        var rig = Rig(peers: ["b"])
        _ = rig.hear([suspect("b", by: "x")], from: "b")
        _ = rig.run(for: .milliseconds(799))
        #expect(rig.state("b") == .suspect)
        _ = rig.run(for: .milliseconds(1))
        #expect(rig.state("b") == .dead)
    }

    // MARK: Local health

    @Test func aFailedProbeWithoutHelpersHintsAtOneself() throws {
        var rig = Rig(peers: ["b"])
        _ = try #require(ping("b", &rig))
        _ = rig.run(for: .milliseconds(200))
        #expect(rig.machine.localHealthScore == 1)
    }

    @Test(arguments: [(["c", "d", "e"], 0), (["c", "d"], 1), (["c"], 2), ([], 3)])
    func everyMissingNackHintsAtOneself(_ nacking: [String], _ score: Int) throws {
        var rig = Rig(peers: ["b", "c", "d", "e"])
        _ = try #require(ping("b", &rig))
        _ = rig.run(for: .milliseconds(200), nacking: Set(nacking))
        #expect(rig.machine.localHealthScore == score)
    }

    @Test func nacksCountOncePerHelperAndFromHelpersOnly() throws {
        var rig = Rig(peers: ["b", "c", "d"])
        let sequence = try #require(ping("b", &rig))
        _ = rig.run(for: .milliseconds(100))
        for sender in ["c", "c", "b", "x"] { _ = rig.receive(.nack(sequence: sequence), from: sender) }
        _ = rig.run(for: .milliseconds(100))
        #expect(rig.machine.localHealthScore == 1)
    }

    @Test func anAnsweredProbeImprovesAndPoorHealthStretchesPeriodAndTimeout() throws {
        var rig = Rig(peers: ["b", "c"])
        rig.machine.health.worsen(by: 3)
        let sequence = try #require(rig.handle(.connectionLost(id("b"))).pings(to: "b").first)
        let early = rig.run(for: .milliseconds(319))
        #expect(early.pingRequests.isEmpty)
        #expect(rig.run(for: .milliseconds(1)).pingRequests.map(\.sequence) == [sequence])
        _ = rig.receive(.ack(sequence: sequence, of: id("b")), from: "b")
        #expect(rig.machine.localHealthScore == 2)
        // The period that began in the first 200 ms lasts 800.
        let late = rig.run(for: .milliseconds(479))
        let sequences = (early + late).sent.compactMap { sent in
            if case .ping(let sequence, _) = sent.message.body { sequence } else { nil }
        }
        #expect(Set(sequences).subtracting([sequence]).count == 1)
    }

    @Test func timeInWhichTheProcessDidNotRunIsNotHeldAgainstOthers() throws {
        var rig = Rig(peers: ["b", "c", "d"])
        _ = rig.hear([suspect("c", by: "d")], from: "d")
        let sequence = try #require(ping("b", &rig))
        rig.now += .seconds(60)
        let effects = rig.handle(.tick)
        #expect(effects.changes.isEmpty)
        #expect(rig.machine.localHealthScore == 1)
        _ = rig.receive(.ack(sequence: sequence, of: id("b")), from: "b")
        _ = rig.hear([alive("c", 1)], from: "c")
        _ = rig.run(for: .milliseconds(100), answering: ["b", "c", "d"])
        #expect(["b", "c", "d"].map { rig.state($0) } == [.alive, .alive, .alive])
    }

    // MARK: Helping

    @Test func aHelperPingsAndPassesTheAckOn() throws {
        var rig = Rig(peers: ["b", "c"])
        let request = GossipMessage.Body.pingRequest(sequence: 5, target: id("c"), address: address("elsewhere"))
        let sequence = try #require(rig.receive(request, from: "b").pings(to: "c").first)
        #expect(sequence != 5)
        let effects = rig.receive(.ack(sequence: sequence, of: id("c")), [alive("c", 1)], from: "c")
        #expect(effects.bodies(to: "b") == [.ack(sequence: 5, of: id("c"))])
        #expect(effects.rumors(to: "b").contains(alive("c", 1)))
        #expect(rig.run(for: .milliseconds(100)).bodies(to: "b").allSatisfy { $0 != .nack(sequence: 5) })
    }

    @Test func aHelperWithoutAnswerSendsOneNackInTimeAndPassesALateAckOn() throws {
        var rig = Rig(peers: ["b", "c"])
        let request = GossipMessage.Body.pingRequest(sequence: 5, target: id("c"), address: address("c"))
        let sequence = try #require(rig.receive(request, from: "b").pings(to: "c").first)
        #expect(!rig.run(for: .milliseconds(63)).bodies(to: "b").contains(.nack(sequence: 5)))
        let later = rig.run(for: .milliseconds(100)).bodies(to: "b").filter { $0 == .nack(sequence: 5) }
        #expect(later.count == 1)
        let effects = rig.receive(.ack(sequence: sequence, of: id("c")), from: "c")
        #expect(effects.bodies(to: "b") == [.ack(sequence: 5, of: id("c"))])
    }

    @Test func aHelperThatKnowsBetterSaysSoAtOnce() {
        var rig = Rig(peers: ["b", "c"])
        _ = rig.hear([dead("c", by: "b")], from: "b")
        let request = GossipMessage.Body.pingRequest(sequence: 5, target: id("c"), address: address("c"))
        let effects = rig.receive(request, from: "b")
        #expect(effects.bodies(to: "b") == [.nack(sequence: 5)])
        #expect(effects.rumors(to: "b").first == dead("c", by: "a"))
    }

    @Test func relaysAreBounded() {
        var rig = Rig(peers: ["b"])
        for number in 0..<UInt32(MembershipLimits.relays + 50) {
            _ = rig.receive(
                .pingRequest(sequence: number, target: id("x"), address: address("x")), from: "b")
        }
        #expect(rig.machine.relays.count == MembershipLimits.relays)
        let effects = rig.receive(.pingRequest(sequence: 9999, target: id("x"), address: address("x")), from: "b")
        #expect(effects.bodies(to: "b") == [.nack(sequence: 9999)])
        _ = rig.run(for: .seconds(3), answering: ["b"])
        #expect(rig.machine.relays.isEmpty)
    }

    // MARK: Hints

    @Test func aLostConnectionStartsAProbeAtOnceUnlessOneIsUnderWay() {
        var rig = Rig(peers: ["b", "c"])
        #expect(rig.handle(.connectionLost(id("b"))).pings(to: "b").count == 1)
        #expect(rig.handle(.connectionLost(id("b"))) == [])
        #expect(rig.handle(.connectionLost(id("c", 9))) == [])
        #expect(rig.handle(.connectionLost(id("nobody"))) == [])
        #expect(rig.state("b") == .alive)
    }

    @Test func anUnreachablePortStartsAProbeThenGoesToHelpersAtOnce() {
        var rig = Rig(peers: ["b", "c"])
        #expect(rig.handle(.portUnreachable(address("b"))).pings(to: "b").count == 1)
        #expect(rig.handle(.portUnreachable(address("b"))).pingRequests.map(\.host) == ["c"])
        #expect(rig.handle(.portUnreachable(address("b"))) == [])
        #expect(rig.handle(.portUnreachable(address("nobody"))) == [])
        _ = rig.run(for: .milliseconds(200), answering: ["c"])
        #expect(rig.state("b") == .suspect)
    }

    @Test func anUnreachablePortIsNotPingedAgainAndAgain() {
        var rig = Rig(peers: ["b"])
        var pings = 0
        for _ in 0..<20 { pings += rig.handle(.portUnreachable(address("b"))).pings(to: "b").count }
        #expect(pings == 1)
    }

    @Test func probesUnderWayAreBounded() {
        var rig = Rig(peers: (0..<100).map { "n\($0)" })
        for number in 0..<100 { _ = rig.handle(.connectionLost(id("n\(number)"))) }
        #expect(rig.machine.probes.count == MembershipLimits.probes)
    }

    @Test func loadAndViewRideOnEveryMessageAndAreReported() {
        var rig = Rig(peers: ["b"])
        let load = LoadDigest(ready: 7, open: 9, headPriority: 10, freeSlots: 3)
        #expect(
            rig.receive(.gossip, from: "b", load: load, view: 4) == [.loadChanged(id("b"), load, viewNumber: 4)])
        #expect(rig.receive(.gossip, from: "b", load: load, view: 4) == [])
        #expect(rig.machine.member(name("b"))?.load == load)
        #expect(rig.machine.member(name("b"))?.heardAt == rig.now)
        _ = rig.handle(.loadChanged(load))
        _ = rig.handle(.viewChanged(number: 8))
        let sent = rig.run(for: .milliseconds(400), answering: ["b"]).sent
        #expect(!sent.isEmpty)
        for (message, _) in sent { #expect(message.load == load && message.viewNumber == 8) }
    }
}
