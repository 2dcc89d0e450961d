import Primitives
import Testing
import Views

/// The voter's side of the fence: whom it answers. View 5: a, b and c vote; a is primary of L1, b of L2; d is a member.
@Suite struct FenceDutyTests {
    private static let base = makeView(
        "abcd", voters: "abc", ledgers: [ledger(1, "a", "b"), ledger(2, "b", "ac", term: 3)], number: 5)

    private static func next(_ change: (inout View) -> Void) -> View {
        var view = base
        view.number = 6
        change(&view)
        return view
    }

    private static func record(_ view: View?, accepted: View? = nil) -> VoterRecord {
        let ballot = Ballot(round: 1, generation: Generation(1), name: name("c"))
        return VoterRecord(
            generation: Generation(1), view: view, promised: ballot,
            accepted: accepted.map { AcceptedView(ballot: ballot, view: $0) })
    }

    private static func verdict(_ asker: NodeID, in view: UInt64 = 5, _ record: VoterRecord) -> PermitVerdict {
        FenceDuty.verdict(on: PermitRequest(asker: asker, view: view, number: 1), by: record)
    }

    struct Case: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let accepted: View?
        /// Members that are not answered any more.
        let fenced: String

        init(_ what: String, fences fenced: String, _ change: ((inout View) -> Void)?) {
            testDescription = what
            accepted = change.map(FenceDutyTests.next)
            self.fenced = fenced
        }
    }

    static let cases: [Case] = [
        Case("nothing accepted", fences: "", nil),
        Case("nothing changes", fences: "") { _ in },
        Case("a loses its ledger to b", fences: "a") {
            $0.ledgers[0] = ledger(1, "b", "a", term: 2, founder: "a")
        },
        Case("b gets a higher term of its own", fences: "b") { $0.ledgers[1].term = Term(4) },
        Case("d leaves", fences: "d") { $0.members.removeLast() },
        Case("d starts again", fences: "d") { $0.members[3] = member("d", generation: 2) },
        Case("backups change", fences: "") { $0.ledgers[0].backups = [] },
        Case("a ledger is deleted", fences: "") { $0.ledgers.removeLast() },
        Case("a ledger is added", fences: "") { $0.ledgers.append(ledger(3, "d")) },
        Case("somebody joins", fences: "") { $0.members.append(member("e")) },
        Case("other voters", fences: "abcd") { $0.voters = [member("a").voter] },
        Case("a voter has another disk", fences: "abcd") { $0.voters[0].store = StoreID(9) },
        Case("a and its ledger go, and a voter with it", fences: "abcd") {
            $0.members.removeFirst()
            $0.voters = [member("b").voter]
            $0.ledgers[0] = ledger(1, "b", term: 2, founder: "a")
        },
    ]

    @Test(arguments: cases) func anAcceptedViewThatDeposesSilencesTheVoter(_ item: Case) {
        for letter in "abcd" {
            let verdict = Self.verdict(member(String(letter)).id, Self.record(Self.base, accepted: item.accepted))
            #expect(verdict == (item.fenced.contains(letter) ? .withheld : .granted), "\(letter)")
        }
    }

    /// A ballot that was only promised may fail: no reason to stop anybody.
    @Test func aPromiseFencesNobody() {
        #expect(Self.record(Self.base).promised != nil)
        #expect(Self.verdict(member("a").id, Self.record(Self.base)) == .granted)
    }

    @Test func anObsoleteAskerIsToldOfTheNewerView() {
        let newer = Self.next { $0.ledgers[0] = ledger(1, "b", "a", term: 2, founder: "a") }
        for letter in "abcd" {
            #expect(Self.verdict(member(String(letter)).id, in: 5, Self.record(newer)) == .outdated(newest: 6))
            #expect(Self.verdict(member(String(letter)).id, in: 6, Self.record(newer)) == .granted)
        }
    }

    /// The view that was decided instead of the accepted one says who is answered.
    @Test func aFailedBallotFencesOnlyUntilTheInstanceEnds() {
        let accepted = Self.next { $0.members.removeLast() }
        let decided = Self.next { $0.ledgers[0].backups = [] }
        #expect(Self.verdict(member("d").id, Self.record(Self.base, accepted: accepted)) == .withheld)
        #expect(Self.verdict(member("d").id, in: 6, Self.record(decided)) == .granted)
        #expect(Self.verdict(member("d").id, in: 6, Self.record(accepted)) == .withheld)
    }

    @Test func strangersAndOtherGenerationsAreNotAnswered() {
        #expect(Self.verdict(member("e").id, Self.record(Self.base)) == .withheld)
        #expect(Self.verdict(member("a", generation: 2).id, Self.record(Self.base)) == .withheld)
        #expect(Self.verdict(member("a", generation: 0).id, Self.record(Self.base)) == .withheld)
    }

    /// Who is behind has accepted nothing that comes after the asker's view.
    @Test func aVoterThatIsBehindAnswers() {
        let accepted = Self.next { $0.members.removeLast() }
        for record in [Self.record(nil), Self.record(Self.base), Self.record(Self.base, accepted: accepted)] {
            #expect(Self.verdict(member("d").id, in: 6, record) == .granted)
            #expect(Self.verdict(member("e").id, in: 7, record) == .granted)
        }
    }

    /// From the agreement's own record, at once: it need not be on disk yet.
    @Test func theAgreementAnswersFromItsRecord() {
        let deposing = Self.next { $0.ledgers[0] = ledger(1, "b", "a", term: 2, founder: "a") }
        var agreement = ViewAgreement(
            myself: member("b"), record: VoterRecord(generation: Generation(1), view: Self.base), seed: 1)
        let request = PermitRequest(asker: member("a").id, view: 5, number: 7)
        let before = agreement.answer(request)
        #expect(before == PermitReply(number: 7, disk: member("b").profile.disk, verdict: .granted))
        let proposer = member("c")
        let sender = ViewMessage.Sender(
            id: proposer.id, disk: proposer.profile.disk, address: proposer.profile.peer)
        let ballot = Ballot(round: 1, generation: Generation(1), name: name("c"))
        var effects: [ViewAgreement.Effect] = []
        agreement.handle(
            .received(
                ViewMessage(cluster: Self.base.cluster, sender: sender, number: 6, body: .propose(ballot, deposing))),
            at: .zero, into: &effects)
        #expect(agreement.answer(request).verdict == .withheld)
        // And after a restart with what was written.
        let restarted = ViewAgreement(
            myself: member("b", generation: 2), record: agreement.record, seed: 1)
        #expect(restarted.answer(request).verdict == .withheld)
    }
}
