import Primitives
import Testing

@testable import Membership

/// What others say of this node (`a`, generation 10).
@Suite struct AccusationTests {
    @Test(arguments: [UInt32(0), 5])
    func aSuspicionIsRefutedByAHigherIncarnationAndSpreadAtOnce(_ incarnation: UInt32) {
        var rig = Rig(peers: ["b", "c", "d"])
        let effects = rig.hear([suspect("a", incarnation, by: "b")], from: "b")
        #expect(rig.machine.incarnation == Incarnation(incarnation + 1))
        #expect(rig.machine.localHealthScore == 1)
        for host in ["b", "c", "d"] { #expect(effects.rumors(to: host).contains(alive("a", incarnation + 1))) }
    }

    @Test func anOldSuspicionIsNoReasonForANewIncarnationButItsTellerIsPutRight() {
        var rig = Rig(peers: ["b", "c"])
        _ = rig.hear([suspect("a", 4, by: "c")], from: "c")
        let effects = rig.hear([suspect("a", 4, by: "b")], from: "b")
        #expect(rig.machine.incarnation == Incarnation(5))
        #expect(rig.machine.localHealthScore == 1)
        #expect(effects.rumors(to: "b").first == alive("a", 5))
    }

    @Test func aSuspicionWithProofIsRefutedTheSameWay() {
        var rig = Rig(peers: ["b", "c"])
        let effects = rig.hear([suspect("a", by: "b", proof: true)], from: "b")
        #expect(rig.machine.incarnation == Incarnation(1))
        #expect(effects.rumors(to: "b").contains(alive("a", 1)))
    }

    @Test func theAckToASuspiciousPingCarriesTheRefutation() {
        var rig = Rig(peers: ["b", "c"])
        let effects = rig.receive(.ping(sequence: 1, target: id("a")), [suspect("a", by: "b")], from: "b")
        let ack = effects.sent.first { $0.message.body == .ack(sequence: 1, of: id("a")) }
        #expect(ack?.message.rumors.contains(alive("a", 1)) == true)
    }

    @Test func theGreatestIncarnationDoesNotTrap() {
        var rig = Rig(peers: ["b"])
        _ = rig.hear([suspect("a", .max, by: "b")], from: "b")
        _ = rig.hear([suspect("a", .max, by: "b"), alive("a", .max)], from: "b")
        #expect(rig.machine.incarnation == Incarnation(.max))
    }

    @Test func aliveAtAHigherIncarnationIsSurpassed() {
        var rig = Rig(peers: ["b"])
        _ = rig.hear([alive("a", 7)], from: "b")
        #expect(rig.machine.incarnation == Incarnation(8))
        _ = rig.hear([alive("a", 8)], from: "b")
        _ = rig.hear([alive("a", 3)], from: "b")
        #expect(rig.machine.incarnation == Incarnation(8))
        #expect(rig.machine.localHealthScore == 0)
    }

    @Test(arguments: [dead("a", 0), dead("a", 9), left("a", 0)])
    func aVerdictIsFinalForTheGenerationAndToldOnce(_ verdict: Rumor) {
        var rig = Rig(peers: ["b", "c"])
        let effects = rig.hear([verdict], from: "b")
        #expect(effects.contains(.declaredDead(by: id("b"))))
        #expect(!rig.hear([verdict], from: "c").contains(.declaredDead(by: id("c"))))
        #expect(rig.machine.member(name("a"))?.state == .alive)
    }

    @Test func aVerdictOnAnOlderGenerationIsNone() {
        var rig = Rig(peers: ["b"])
        let effects = rig.hear([dead("a", generation: 9), left("a", generation: 9)], from: "b")
        #expect(effects == [])
    }

    @Test func anOlderGenerationBelievedAliveIsCorrected() {
        var rig = Rig(peers: ["b"])
        #expect(rig.hear([alive("a", generation: 9)], from: "b").rumors(to: "b").first == alive("a"))
    }

    @Test func aLaterGenerationThatSpeaksForItselfIsToldOnce() {
        var rig = Rig(peers: ["b"])
        #expect(rig.receive(.gossip, from: "a", generation: 11).contains(.nameTaken(id("a", 11))))
        #expect(rig.receive(.gossip, from: "a", generation: 11) == [])
        #expect(rig.receive(.gossip, from: "a", generation: .max).contains(.nameTaken(id("a", .max))))
        #expect(rig.machine.myself == id("a"))
        #expect(rig.machine.members.count == 2)
    }

    @Test func aLaterGenerationThatOthersSpeakOfIsAnotherProcessIfItDoesNotEnd() {
        var rig = Rig(peers: ["b"])
        let taken = Membership.Effect.nameTaken(id("a", 11))
        #expect(!rig.hear([alive("a", generation: 11)], from: "b").contains(taken))
        rig.now = rig.now + rig.machine.settings.rivalPatience
        #expect(rig.hear([alive("a", generation: 11)], from: "b").contains(taken))
        #expect(!rig.hear([alive("a", generation: 11)], from: "b").contains(taken))
    }

    /// As after a new disk, with a clock that was set back.
    @Test func aLaterGenerationThatHasEndedIsOutlived() {
        for verdict in [dead("a", generation: 11), left("a", generation: 11)] {
            var rig = Rig(peers: ["b"])
            _ = rig.hear([alive("a", generation: 11)], from: "b")
            #expect(rig.hear([verdict], from: "b").contains(.outlived(id("a", 11))))
            #expect(!rig.hear([verdict], from: "b").contains(.outlived(id("a", 11))))
            _ = rig.handle(.restart(id("a", 12)))
            #expect(rig.hear([verdict], from: "b") == [])
        }
        var rig = Rig(peers: ["b"])
        let highest = dead("a", generation: .max)
        #expect(!rig.hear([highest], from: "b").contains(.outlived(id("a", .max))))
        rig.now = rig.now + rig.machine.settings.rivalPatience
        #expect(rig.hear([highest], from: "b").contains(.nameTaken(id("a", .max))), "there is none above it")
    }

    @Test func theOwnEchoIsIgnored() {
        var rig = Rig(peers: ["b"])
        #expect(rig.receive(.ping(sequence: 1, target: id("a")), [dead("a")], from: "a") == [])
        #expect(rig.receive(.gossip, [dead("a")], from: "a", generation: 9) == [])
    }

    @Test func theDeadAreNotBelievedButTold() {
        var rig = Rig(peers: ["b", "c"])
        _ = rig.hear([dead("b", by: "c")], from: "c")
        let effects = rig.receive(.ping(sequence: 1, target: id("a")), [dead("c"), alive("x")], from: "b")
        #expect(effects.bodies(to: "b") == [.gossip])
        #expect(effects.rumors(to: "b").first == dead("b", by: "a"))
        #expect(rig.state("c") == .alive)
        #expect(rig.state("x") == nil)
    }

    @Test func anOlderGenerationIsToldOfTheNewer() {
        var rig = Rig()
        _ = rig.hear([alive("b", 0, generation: 11)], from: "b", generation: 11)
        let effects = rig.receive(.join, [alive("b", 7)], from: "b", generation: 10)
        #expect(effects.rumors(to: "b").first == alive("b", 0, generation: 11))
        #expect(rig.machine.member(name("b"))?.id == id("b", 11))
    }

    /// Own view number, the other's, whether this node (the smaller name) has to return.
    @Test(arguments: [(3, 2, false), (2, 3, true), (2, 2, false)] as [(UInt64, UInt64, Bool)])
    func ofTwoThatHoldEachOtherDeadOneStays(_ own: UInt64, _ other: UInt64, _ returns: Bool) {
        var rig = Rig(peers: ["b", "c"])
        _ = rig.handle(.viewChanged(number: own))
        _ = rig.hear([dead("b", by: "c")], from: "c")
        let effects = rig.hear([dead("a", by: "b")], from: "b", view: other)
        #expect(effects.contains(.declaredDead(by: id("b"))) == returns)
        #expect(effects.rumors(to: "b").contains(dead("b", by: "a")) == !returns)
    }

    @Test func strangersAndThoseWhoJoinAreNotBelievedAboutOthers() {
        var rig = Rig(peers: ["b", "c"])
        _ = rig.hear([dead("b"), alive("y")], from: "x")
        _ = rig.receive(.join, [alive("x"), suspect("b", by: "x"), dead("c", by: "x")], from: "x")
        #expect(["b", "c", "x", "y"].map { rig.state($0) } == [.alive, .alive, .alive, .alive])
        _ = rig.hear([dead("c", by: "x")], from: "x")
        #expect(rig.state("c") == .dead)
    }

    /// Own view number, the stranger's, whether this node (the smaller name) has to return.
    @Test(arguments: [(3, 2, false), (2, 3, true), (2, 2, false)] as [(UInt64, UInt64, Bool)])
    func aStrangerThatHoldsThisNodeDeadReturnsUnlessItKnowsALaterView(
        _ own: UInt64, _ other: UInt64, _ returns: Bool
    ) {
        var rig = Rig(peers: ["b", "c"])
        _ = rig.handle(.viewChanged(number: own))
        let effects = rig.receive(.join, [alive("x"), dead("a", by: "x")], from: "x", view: other)
        #expect(effects.contains(.declaredDead(by: id("x"))) == returns)
        #expect((effects.rumors(to: "x").first == dead("x", by: "a")) == !returns)
        #expect((rig.state("x") == nil) == !returns)
    }

    @Test func aChangedProfileIsSpreadUnderAHigherIncarnation() {
        var rig = Rig(peers: ["b"])
        let effects = rig.handle(.profileChanged(profile("a", slots: 8)))
        #expect(effects.rumors(to: "b").contains(alive("a", 1, slots: 8)))
        #expect(rig.handle(.profileChanged(profile("a", slots: 8))) == [])
    }
}
