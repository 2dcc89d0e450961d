import Primitives
import Testing

@testable import Membership

@Suite struct ProofTests {
    /// What happens to member `b` here, at `a`; the others are `c`, `d` and `e`.
    enum Step: Sendable {
        case ownProof
        /// By that member, as told by one that lives.
        case proof(by: String)
        case unreachable
        case suspect(String)
        case dead(String)
        case left(String)
        case refuted(UInt32)
        /// This node sees that process gone too.
        case ownProofOf(String)
    }

    struct Case: CustomTestStringConvertible, Sendable {
        let steps: [Step]
        let state: MemberState
        let isProven: Bool

        init(_ steps: [Step], _ state: MemberState, proven: Bool = false) {
            self.steps = steps
            self.state = state
            isProven = proven
        }

        var testDescription: String { "\(steps) = \(state)\(isProven ? ", proven" : "")" }
    }

    static func take(_ step: Step, _ rig: inout Rig) -> [Membership.Effect] {
        func tell(_ rumor: Rumor) -> [Membership.Effect] {
            let subject = rumor.subject.name.rawValue
            let teller = ["c", "d", "e", "b"].first { $0 != subject && rig.state($0)?.isLiving == true }
            return rig.hear([rumor], from: teller ?? subject)
        }
        switch step {
        case .ownProof: return rig.handle(.exitProof(id("b")))
        case .proof(let witness): return tell(suspect("b", by: witness, proof: true))
        case .unreachable: return rig.handle(.portUnreachable(address("b")))
        case .suspect(let other): return tell(suspect(other, by: "d"))
        case .dead(let other): return tell(dead(other, by: "d"))
        case .left(let other): return tell(left(other))
        case .refuted(let incarnation): return tell(alive("b", incarnation))
        case .ownProofOf(let other): return rig.handle(.exitProof(id(other)))
        }
    }

    /// Among five. One proof is none; an unreachable port is one only after another member's.
    static let amongFive: [Case] = [
        Case([.ownProof], .suspect),
        Case([.ownProof, .ownProof, .ownProof], .suspect),
        Case([.ownProof, .proof(by: "a")], .suspect),
        Case([.ownProof, .unreachable, .unreachable], .suspect),
        Case([.ownProof, .proof(by: "c")], .dead, proven: true),
        Case([.proof(by: "c"), .ownProof], .dead, proven: true),
        Case([.proof(by: "c"), .unreachable], .dead, proven: true),
        Case([.unreachable, .proof(by: "c")], .suspect),
        Case([.unreachable, .proof(by: "c"), .unreachable], .dead, proven: true),
        Case([.unreachable, .unreachable], .alive),
        Case([.suspect("b"), .unreachable], .suspect),
        Case([.proof(by: "c")], .suspect),
        Case([.proof(by: "c"), .proof(by: "d"), .proof(by: "e")], .suspect),
        Case([.proof(by: "c"), .proof(by: "d"), .proof(by: "e"), .ownProof], .dead, proven: true),
        // Whose word does not count: strangers, the accused, the dead, those who left.
        Case([.ownProof, .proof(by: "x"), .proof(by: "b")], .suspect),
        Case([.dead("e"), .ownProof, .proof(by: "e")], .suspect),
        Case([.left("e"), .proof(by: "e"), .unreachable], .suspect),
        // A death without proof is not proven, but may be afterwards.
        Case([.dead("b")], .dead),
        Case([.ownProof, .dead("b")], .dead),
        Case([.ownProof, .dead("b"), .proof(by: "c")], .dead, proven: true),
        Case([.proof(by: "c"), .dead("b"), .ownProof], .dead, proven: true),
        Case([.dead("b"), .ownProof, .proof(by: "c")], .dead, proven: true),
        Case([.dead("b"), .proof(by: "c"), .unreachable], .dead, proven: true),
        Case([.dead("b"), .proof(by: "c"), .proof(by: "d")], .dead),
        Case([.left("b"), .ownProof, .proof(by: "c")], .left),
        Case([.ownProof, .proof(by: "c"), .left("b")], .left, proven: true),
        // Refuted: the own proof is insisted on once, others' are void until they insist.
        Case([.proof(by: "c"), .refuted(1), .ownProof], .suspect),
        Case([.proof(by: "c"), .refuted(1), .unreachable], .alive),
        Case([.ownProof, .refuted(1)], .suspect),
        Case([.ownProof, .refuted(1), .refuted(2)], .alive),
        Case([.ownProof, .refuted(1), .refuted(2), .proof(by: "c")], .alive),
    ]

    @Test(arguments: amongFive)
    func whatIsProvenAmongFive(_ row: Case) {
        var rig = Rig(peers: ["b", "c", "d", "e"])
        for step in row.steps { _ = Self.take(step, &rig) }
        #expect(rig.state("b") == row.state)
        #expect(rig.machine.member(name("b"))?.isExitProven == row.isProven)
        let open = rig.machine.evidence.filter { $0.subject == id("b") }
        #expect(open.isEmpty || !row.isProven)
    }

    /// Among three. Without anybody to ask, the own proof is enough; a suspect may be asked.
    static let amongThree: [Case] = [
        Case([.ownProof], .suspect),
        Case([.dead("c"), .ownProof], .dead, proven: true),
        Case([.ownProof, .left("c")], .dead, proven: true),
        Case([.suspect("c"), .ownProof], .suspect),
        Case([.suspect("c"), .ownProof, .dead("c")], .dead, proven: true),
        Case([.ownProof, .dead("b"), .dead("c")], .dead, proven: true),
        Case([.ownProof, .ownProofOf("c")], .dead, proven: true),
        Case([.ownProofOf("c"), .ownProof], .dead, proven: true),
        Case([.dead("c"), .proof(by: "c"), .unreachable], .suspect),
    ]

    @Test(arguments: amongThree)
    func whatIsProvenAmongThree(_ row: Case) {
        var rig = Rig(peers: ["b", "c"])
        for step in row.steps { _ = Self.take(step, &rig) }
        #expect(rig.state("b") == row.state)
        #expect(rig.machine.member(name("b"))?.isExitProven == row.isProven)
    }

    @Test func proofIsSpreadAtOnceWithoutWaitingForThePeriod() {
        var rig = Rig(peers: ["b", "c", "d", "e"])
        let effects = rig.handle(.exitProof(id("b")))
        #expect(effects.changes == [Change(id: id("b"), was: .alive, state: .suspect)])
        let told = effects.sent.filter { $0.message.rumors.contains(suspect("b", by: "a", proof: true)) }
        #expect(Set(told.map(\.host)).subtracting(["b"]).count >= 2)
        // The accused is told too: it may refute.
        #expect(told.contains { $0.host == "b" })
    }

    @Test func urgentNewsIsSentASecondTimeAndNoMore() {
        var rig = Rig(peers: ["b", "c", "d"])
        _ = rig.run(for: .milliseconds(200), answering: ["b", "c", "d"])
        // Far from the end of a period.
        rig.now = rig.machine.nextDeadline
        _ = rig.handle(.tick)
        _ = rig.handle(.exitProof(id("b")))
        let second = rig.run(for: .milliseconds(50), answering: ["c", "d"])
        #expect(second.bodies(to: "c").contains(.gossip) && second.bodies(to: "d").contains(.gossip))
        #expect(second.allRumors.contains(suspect("b", by: "a", proof: true)))
        let later = rig.run(for: .milliseconds(25), answering: ["c", "d"])
        #expect(!later.sent.contains { $0.message.body == .gossip })
    }

    @Test func anExitThatIsProvenIsSpreadWithItsProofAtOnce() {
        for ownFirst in [true, false] {
            var rig = Rig(peers: ["b", "c", "d"])
            let steps = ownFirst ? [Step.ownProof, .proof(by: "c")] : [.proof(by: "c"), .ownProof]
            _ = Self.take(steps[0], &rig)
            let effects = Self.take(steps[1], &rig)
            #expect(effects.changes == [Change(id: id("b"), was: .suspect, state: .dead)])
            #expect(effects.rumors(to: "d").contains(dead("b", by: "a", proof: true)))
        }
    }

    @Test func whoHearsThatAnExitIsProvenTakesItOver() {
        var rig = Rig(peers: ["b", "c", "d", "e"])
        let effects = rig.hear([dead("b", by: "c", proof: true)], from: "d")
        #expect(effects.changes == [Change(id: id("b"), was: .alive, state: .dead)])
        #expect(rig.machine.member(name("b"))?.isExitProven == true)
        #expect(effects.allRumors.contains(dead("b", by: "c", proof: true)))
        #expect(rig.hear([dead("b", by: "d", proof: true)], from: "d") == [])
    }

    @Test(arguments: [true, false]) func aDeathMayBeProvenAfterwards(_ byRumor: Bool) {
        var rig = Rig(peers: ["b", "c", "d", "e"])
        _ = rig.hear([dead("b", by: "c")], from: "c")
        _ = rig.run(for: .seconds(3), answering: ["c", "d", "e"])
        if !byRumor { _ = rig.handle(.exitProof(id("b"))) }
        let rumor = byRumor ? dead("b", by: "c", proof: true) : suspect("b", by: "c", proof: true)
        let effects = rig.hear([rumor], from: "c")
        #expect(effects.changes == [Change(id: id("b"), was: .dead, state: .dead)])
        #expect(rig.machine.member(name("b"))?.isExitProven == true)
        #expect(effects.allRumors.contains(dead("b", by: byRumor ? "c" : "a", proof: true)))
    }

    @Test func anOwnProofOfOneWhoIsDeadAlreadyIsToldToTheOthers() {
        var rig = Rig(peers: ["b", "c", "d", "e"])
        _ = rig.hear([dead("b", by: "c")], from: "c")
        let effects = rig.handle(.exitProof(id("b")))
        #expect(effects.allRumors.contains(suspect("b", by: "a", proof: true)))
        // It stands beside the death, which is still to be told.
        #expect(effects.allRumors.contains(dead("b", by: "c")))
        #expect(effects.changes.isEmpty)
    }

    @Test func aRecordCarriesTheProof() throws {
        var rig = Rig(peers: ["b", "c", "d"])
        _ = rig.handle(.exitProof(id("b")))
        _ = rig.hear([suspect("b", by: "c", proof: true)], from: "c")
        let records = rig.machine.fullState()
        var known = Rig(peers: ["b", "c", "d"])
        var fresh = Rig(peers: ["d"])
        _ = known.handle(.merge(records, from: id("d")))
        _ = fresh.handle(.merge(records, from: id("d")))
        for machine in [known.machine, fresh.machine] {
            let record = try #require(machine.member(name("b")))
            #expect(record.state == .dead && record.isExitProven)
        }
    }

    @Test func whenTheLastWitnessIsGoneTooBothAreDead() {
        var rig = Rig(peers: ["b", "c"])
        _ = rig.handle(.exitProof(id("b")))
        #expect(rig.state("b") == .suspect)
        _ = rig.handle(.exitProof(id("c")))
        for text in ["b", "c"] {
            #expect(rig.state(text) == .dead)
            #expect(rig.machine.member(name(text))?.isExitProven == true)
        }
    }

    @Test func whoHearsOfAProofPingsAtOnceAndTheSuspicionIsShorter() {
        var rig = Rig(peers: ["b", "c"])
        let effects = rig.hear([suspect("b", by: "c", proof: true)], from: "c")
        #expect(effects.pings(to: "b").count == 1)
        #expect(rig.state("b") == .suspect)
        _ = rig.run(for: .milliseconds(799), answering: ["c"])
        #expect(rig.state("b") == .suspect)
        _ = rig.run(for: .milliseconds(1), answering: ["c"])
        #expect(rig.state("b") == .dead)
        #expect(rig.machine.member(name("b"))?.isExitProven == false)
    }

    @Test func aPingThatMayHaveArrivedBeforeTheEndIsSentAgain() throws {
        var rig = Rig(peers: ["b", "c"])
        let sequence = try #require(rig.handle(.connectionLost(id("b"))).pings(to: "b").first)
        let effects = rig.hear([suspect("b", by: "c", proof: true)], from: "c")
        #expect(effects.pings(to: "b") == [sequence])
        // What came back may be lost, so that the same proof is a reason once more; until there is a proof of its own.
        #expect(rig.hear([suspect("b", by: "c", proof: true)], from: "c").pings(to: "b") == [sequence])
        _ = rig.handle(.portUnreachable(address("b")))
        #expect(rig.hear([suspect("b", by: "c", proof: true)], from: "c").pings(to: "b") == [])
    }

    @Test func oneWhoIsDeadAlreadyIsPingedForTheProof() {
        var rig = Rig(peers: ["b", "c", "d"])
        _ = rig.hear([dead("b", by: "c")], from: "c")
        #expect(rig.hear([suspect("b", by: "c", proof: true)], from: "c").pings(to: "b").count == 1)
        #expect(rig.machine.probes.isEmpty)
    }

    @Test func theAccusedRefutesEvenAgainstProof() {
        var rig = Rig(peers: ["b", "c"])
        _ = rig.handle(.exitProof(id("b")))
        // It may have said so before its end: the proof is insisted on, once.
        let insisting = rig.hear([alive("b", 1)], from: "b")
        #expect(insisting.rumors(to: "b").contains(suspect("b", 1, by: "a", proof: true)))
        #expect(rig.state("b") == .suspect)
        let effects = rig.hear([alive("b", 2)], from: "b")
        #expect(effects.changes == [Change(id: id("b"), was: .suspect, state: .alive)])
        #expect(rig.machine.evidence.isEmpty)
        // The refuted proof is worth nothing any more.
        _ = rig.hear([suspect("b", 1, by: "c", proof: true)], from: "c")
        #expect(rig.state("b") == .alive)
    }

    @Test func aRefutationThatWasMissedMakesOthersProofsVoid() {
        var rig = Rig(peers: ["b", "c", "d", "e"])
        _ = rig.hear([suspect("b", 0, by: "c", proof: true)], from: "c")
        // It must have refuted, or nobody could suspect incarnation 1.
        _ = rig.hear([suspect("b", 1, by: "d")], from: "d")
        _ = rig.handle(.portUnreachable(address("b")))
        #expect(rig.state("b") == .suspect)
        _ = rig.hear([suspect("b", 1, by: "d", proof: true)], from: "d")
        _ = rig.handle(.portUnreachable(address("b")))
        #expect(rig.state("b") == .dead)
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

    @Test func aNewGenerationIsNotTouchedByTheProofOfTheOldOne() {
        var rig = Rig(peers: ["b", "c", "d"])
        _ = rig.handle(.exitProof(id("b")))
        _ = rig.hear([alive("b", generation: 11)], from: "b", generation: 11)
        #expect(rig.machine.evidence.isEmpty)
        _ = rig.hear([suspect("b", by: "c", proof: true)], from: "c")
        #expect(rig.state("b") == .alive)
        #expect(rig.machine.member(name("b"))?.isExitProven == false)
    }

    @Test func evidenceIsBounded() {
        let peers = (0..<200).map { "n\($0)" }
        var rig = Rig(peers: peers)
        for peer in peers { _ = rig.handle(.exitProof(id(peer))) }
        #expect(rig.machine.evidence.count == MembershipLimits.evidence)
        #expect(rig.machine.evidence.last?.subject == id("n199"))
    }
}
