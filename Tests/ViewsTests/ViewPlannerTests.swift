import Primitives
import Testing
import Views

/// The planner's table of situations: members and voters.
@Suite struct ViewPlannerMemberTests {
    struct Case: CustomTestStringConvertible {
        let title: String
        var members: String
        var voters: String
        var observed: Observations
        /// Members, voters; nil: no change.
        var expected: (String, String)?
        var testDescription: String { title }
    }

    static let cases: [Case] = [
        Case(title: "nothing new", members: "abc", voters: "abc", observed: observations(alive: "abc"), expected: nil),
        Case(title: "no news at all", members: "abc", voters: "abc", observed: Observations(), expected: nil),
        Case(
            title: "suspects stay", members: "abc", voters: "abc",
            observed: observations(alive: "a", observed(member("b"), .suspect), observed(member("c"), .suspect)),
            expected: nil),
        Case(
            title: "unknown suspects do not enter", members: "a", voters: "a",
            observed: observations(alive: "a", observed(member("b"), .suspect)), expected: nil),
        Case(
            title: "two vote", members: "a", voters: "a", observed: observations(alive: "ab"), expected: ("ab", "ab")),
        Case(
            title: "who does not answer the observer has no vote yet", members: "a", voters: "a",
            observed: observations(alive: "a", observed(member("b"), linked: false)), expected: ("ab", "a")),
        Case(
            title: "who has a vote keeps it though it does not answer", members: "ab", voters: "ab",
            observed: observations(alive: "a", observed(member("b"), linked: false)), expected: nil),
        Case(
            title: "three vote", members: "ab", voters: "ab", observed: observations(alive: "abc"),
            expected: ("abc", "abc")),
        Case(
            title: "of four, present voters stay", members: "abc", voters: "abc", observed: observations(alive: "0abc"),
            expected: ("0abc", "abc")),
        Case(
            title: "of six, five vote", members: "abcde", voters: "abcde", observed: observations(alive: "0abcde"),
            expected: ("0abcde", "abcde")),
        Case(
            title: "five vote", members: "abcd", voters: "abc", observed: observations(alive: "abcde"),
            expected: ("abcde", "abcde")),
        Case(
            title: "never more than seven", members: "abcdefgh", voters: "bcdefgh",
            observed: observations(alive: "abcdefghij"), expected: ("abcdefghij", "bcdefgh")),
        Case(
            title: "a dead voter is replaced", members: "abcd", voters: "abc",
            observed: observations(alive: "acd", observed(member("b"), .gone)), expected: ("acd", "acd")),
        Case(
            title: "with two left, both vote", members: "abc", voters: "abc",
            observed: observations(alive: "bc", observed(member("a"), .gone)), expected: ("bc", "bc")),
        Case(
            title: "with one left, it votes", members: "ab", voters: "ab",
            observed: observations(alive: "b", observed(member("a"), .gone)), expected: ("b", "b")),
        Case(
            title: "of two left, a suspect votes on", members: "abc", voters: "abc",
            observed: observations(alive: "c", observed(member("a"), .left), observed(member("b"), .suspect)),
            expected: ("bc", "bc")),
        Case(
            title: "of two, one drains: the other votes", members: "ab", voters: "ab",
            observed: observations(alive: "b", observed(member("a"), draining: true)), expected: ("ab", "b")),
        Case(
            title: "who drains does not vote", members: "abcd", voters: "abc",
            observed: observations(alive: "acd", observed(member("b"), draining: true)), expected: ("abcd", "acd")),
        Case(
            title: "all drain: the voters stay", members: "a", voters: "a",
            observed: observations(alive: "", observed(member("a"), draining: true)), expected: ("a", "a")),
        Case(
            title: "news of an older generation is none", members: "abc", voters: "abc",
            observed: observations(alive: "ab", observed(member("c", generation: 0), .gone)), expected: nil),
    ]

    @Test(arguments: cases) func membersAndVotersFollowWhatIsObserved(example: Case) throws {
        let ledgers = example.members.enumerated().map { ledger(UInt32($0.offset + 1), String($0.element)) }
        let view = makeView(example.members, voters: example.voters, ledgers: ledgers, copies: 1)
        let next = ViewPlanner.next(after: view, example.observed)
        #expect(next?.memberSummary == example.expected?.0)
        #expect(next?.voterSummary == example.expected?.1)
        try next?.validate(after: view)
    }

    @Test func restartedVoterWithItsDiskVotesOn() throws {
        let view = makeView("abc", voters: "abc", ledgers: [ledger(1, "a"), ledger(2, "b"), ledger(3, "c")])
        let next = try #require(
            ViewPlanner.next(after: view, observations(alive: "ab", observed(member("c", generation: 2)))))
        #expect(next.member(name("c"))?.id.generation == Generation(2))
        #expect(next.voters == view.voters)
        #expect(next.ledgerSummary == "L1.1 a L2.1 b L3.2 c")
    }

    @Test func wipedVoterIsReplacedByItsNewDisk() throws {
        let view = makeView("abc", voters: "abc", ledgers: [ledger(1, "a", "c"), ledger(2, "b"), ledger(3, "c", "a")])
        let wiped = member("c", generation: 2, disk: 77, store: 78)
        let next = try #require(ViewPlanner.next(after: view, observations(alive: "ab", observed(wiped))))
        #expect(next.voters == [member("a").voter, member("b").voter, wiped.voter])
        #expect(next.ledgerSummary == "L1.1 a L2.1 b L3.2 a L4.1 c")
        #expect(next.ledgers[3].founder == wiped.replica)
        try next.validate(after: view)
    }

    @Test func membersAreBounded() throws {
        let view = makeView("a", voters: "a", ledgers: [ledger(1, "a")])
        let crowd = (0..<300).map { number -> ObservedNode in
            let id = NodeID(name: name("n\(1000 + number)"), generation: Generation(1))
            var profile = member("a").profile
            profile.store = StoreID(UInt64(number))
            return ObservedNode(id: id, profile: profile, condition: .alive)
        }
        let next = try #require(ViewPlanner.next(after: view, Observations(nodes: [observed(member("a"))] + crowd)))
        #expect(next.members.count == Limits.members)
        #expect(next.member(name("n1254")) != nil && next.member(name("n1255")) == nil)
        try next.validate(after: view)
        #expect(ViewPlanner.next(after: next, Observations(nodes: [observed(member("a"))] + crowd)) == nil)
    }

    @Test func orderOfObservationsDoesNotMatter() {
        let view = makeView(
            "abc", voters: "abc", ledgers: [ledger(1, "a", "b"), ledger(2, "b", "c"), ledger(3, "c", "a")])
        var observed = observations(alive: "bcdef", observed(member("a"), .gone))
        observed.asks = ["d", "e"].map {
            LearnerAsk(ledger: LedgerID(2), view: 5, term: Term(1), learner: member($0).replica)
        }
        let expected = ViewPlanner.next(after: view, observed)
        var random = SeededGenerator(seed: 3)
        for _ in 0..<20 {
            observed.nodes.shuffle(using: &random)
            observed.asks.shuffle(using: &random)
            #expect(ViewPlanner.next(after: view, observed) == expected)
        }
    }
}
