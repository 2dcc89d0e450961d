import Primitives
import Testing

@testable import Membership

@Suite struct ProofTests {
    @Test func proofIsSpreadAtOnceWithoutWaitingForThePeriod() {
        var rig = Rig(peers: ["b", "c", "d", "e"])
        let effects = rig.handle(.exitProof(id("b")))
        #expect(effects.changes == [Change(id: id("b"), was: .alive, state: .suspect)])
        let told = effects.sent.filter { $0.message.rumors.contains(suspect("b", by: "a", proof: true)) }
        #expect(Set(told.map(\.host)).subtracting(["b"]).count >= 2)
        // The accused is told too: it may refute.
        #expect(told.contains { $0.host == "b" })
    }

    @Test func ownAndAnothersProofMakeADeathCertainInEitherOrder() {
        for ownFirst in [true, false] {
            var rig = Rig(peers: ["b", "c", "d"])
            let rumor = [suspect("b", by: "c", proof: true)]
            if ownFirst { _ = rig.handle(.exitProof(id("b"))) } else { _ = rig.hear(rumor, from: "c") }
            #expect(rig.state("b") == .suspect)
            let effects = ownFirst ? rig.hear(rumor, from: "c") : rig.handle(.exitProof(id("b")))
            #expect(rig.state("b") == .dead)
            #expect(effects.rumors(to: "d").contains(dead("b", by: "a")))
        }
    }

    @Test func oneProofTwiceIsOne() {
        var rig = Rig(peers: ["b", "c", "d"])
        for _ in 0..<3 { _ = rig.handle(.exitProof(id("b"))) }
        _ = rig.hear([suspect("b", by: "a", proof: true)], from: "c")
        #expect(rig.state("b") == .suspect)
    }

    @Test func twoProofsOfOthersAreNotOwnEvidence() {
        var rig = Rig(peers: ["b", "c", "d", "e"])
        _ = rig.hear([suspect("b", by: "c", proof: true), suspect("b", by: "d", proof: true)], from: "c")
        #expect(rig.state("b") == .suspect)
    }

    @Test(arguments: ["x", "b", "a", "d"])
    func proofBySomebodyWhoIsNoLivingOtherMemberDoesNotCount(_ accuser: String) {
        var rig = Rig(peers: ["b", "c", "d"])
        _ = rig.hear([left("d")], from: "d")
        _ = rig.handle(.exitProof(id("b")))
        _ = rig.hear([suspect("b", by: accuser, proof: true)], from: "c")
        #expect(rig.state("b") == .suspect)
    }

    @Test func inAClusterOfTwoOwnProofSuffices() {
        var rig = Rig(peers: ["b"])
        #expect(
            rig.handle(.exitProof(id("b"))).changes == [
                Change(id: id("b"), was: .alive, state: .suspect), Change(id: id("b"), was: .suspect, state: .dead),
            ])
    }

    @Test func whenTheLastWitnessIsGoneTooBothAreDead() {
        var rig = Rig(peers: ["b", "c"])
        _ = rig.handle(.exitProof(id("b")))
        #expect(rig.state("b") == .suspect)
        _ = rig.handle(.exitProof(id("c")))
        #expect([rig.state("b"), rig.state("c")] == [.dead, .dead])
    }

    @Test func whoHearsOfAProofProbesAtOnceAndTheSuspicionIsShorter() {
        var rig = Rig(peers: ["b", "c"])
        let effects = rig.hear([suspect("b", by: "c", proof: true)], from: "c")
        #expect(effects.pings(to: "b").count == 1)
        #expect(rig.state("b") == .suspect)
        _ = rig.run(for: .milliseconds(799), answering: ["c"])
        #expect(rig.state("b") == .suspect)
        _ = rig.run(for: .milliseconds(1), answering: ["c"])
        #expect(rig.state("b") == .dead)
    }

    @Test func theAccusedRefutesEvenAgainstProof() {
        var rig = Rig(peers: ["b", "c"])
        _ = rig.handle(.exitProof(id("b")))
        let effects = rig.hear([alive("b", 1)], from: "b")
        #expect(effects.changes == [Change(id: id("b"), was: .suspect, state: .alive)])
        // The refuted proof is worth nothing any more.
        _ = rig.hear([suspect("b", 0, by: "c", proof: true)], from: "c")
        #expect(rig.state("b") == .alive)
    }

    @Test func proofAboutAnotherGenerationIsIgnored() {
        var rig = Rig(peers: ["b", "c"])
        #expect(rig.handle(.exitProof(id("b", 9))) == [])
        #expect(rig.handle(.exitProof(id("b", 11))) == [])
        #expect(rig.handle(.exitProof(id("x"))) == [])
        _ = rig.hear([left("b")], from: "b")
        #expect(rig.handle(.exitProof(id("b"))).changes == [])
        #expect(rig.state("b") == .left)
    }
}
