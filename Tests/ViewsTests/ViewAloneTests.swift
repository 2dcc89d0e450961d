import Primitives
import Testing
import Views

/// Node "a" in its ninth generation, which the view lists, with voters that come and go.
@Suite struct ViewAloneTests {
    private static func view(_ letters: String, mark: UInt64? = nil) -> View {
        var view = makeView(
            letters, voters: letters, ledgers: letters.enumerated().map { ledger(UInt32($0 + 1), "\($1)") })
        view.members[0] = member("a", generation: 9)
        view.tieMark = mark
        return view
    }

    private static func without(_ letters: String, _ view: View) -> View {
        Example.following(view) { next in
            next.members.removeAll { letters.contains($0.id.name.rawValue) }
            next.voters.removeAll { letters.contains($0.name.rawValue) }
            next.tieMark = nil
        }
    }

    private static func peer(
        _ letter: String, generation: UInt64 = 1, disk: UInt64? = nil, alive: Bool = false, proven: Bool = false
    ) -> ViewAgreement.Peer {
        let member = member(letter, generation: generation, disk: disk)
        return ViewAgreement.Peer(
            id: member.id, disk: member.profile.disk, address: member.profile.peer, isAlive: alive,
            isExitProven: proven)
    }

    /// - Parameter isConfirmed: by a majority that was running.
    private func bench(
        _ view: View, accepted: (Ballot, View)? = nil, isConfirmed: Bool = true, survives: Bool = true,
        generation: UInt64 = 9
    ) -> Bench {
        let record = VoterRecord(
            generation: Generation(generation), view: view, promised: accepted?.0,
            accepted: accepted.map { AcceptedView(ballot: $0.0, view: $0.1) })
        var bench = Bench(
            record, myself: member("a", generation: generation), settings: ViewAgreement.Settings(survives: survives))
        bench.handleAndWrite(.tick)
        for voter in view.voters where isConfirmed && voter.name != name("a") {
            let answer = ViewMessage.Body.current(asked: Generation(generation), isRunning: true)
            bench.handle(.received(message(voter.name.rawValue, view.number, answer)))
        }
        #expect(bench.machine.isConfirmed == isConfirmed)
        return bench
    }

    // MARK: Two voters, by a claim

    @Test func whoLosesItsPeerClaimsTheNumberAndDecidesAlone() {
        let view = Self.view("ab", mark: 77)
        var bench = bench(view)
        bench.handle(.peers([Self.peer("b")]))
        let first = bench.handleAndWrite(.desired(Self.without("b", view)))
        #expect(first.contains(.claim(number: 6, mark: 77)))
        #expect(!first.summary.contains("install"))
        #expect(!bench.machine.mayDecideAlone)
        let end = bench.handleAndWrite(.claimGranted(number: 6)).summary
        #expect(end.contains("b:prepare 2.a") && end.hasSuffix("b:decided 6 install 6"))
    }

    @Test func theRegistryIsAskedAgain() throws {
        let view = Self.view("ab", mark: 77)
        var bench = bench(view)
        bench.handle(.peers([Self.peer("b")]))
        bench.handleAndWrite(.desired(Self.without("b", view)))
        let start = bench.now
        bench.now = start + .milliseconds(499)
        #expect(!bench.handleAndWrite(.tick).summary.contains("claim"))
        bench.now = start + .milliseconds(500)
        #expect(bench.handleAndWrite(.tick).summary.contains("claim 6"))
        bench.handle(.peers([Self.peer("b", alive: true)]))
        bench.now = start + .seconds(2)
        #expect(!bench.handleAndWrite(.tick).summary.contains("claim"), "there is somebody to decide with")
    }

    @Test func nothingIsClaimedWithoutAReason() {
        let view = Self.view("ab", mark: 77)
        var alive = bench(view)
        alive.handle(.peers([Self.peer("b", alive: true)]))
        #expect(!alive.handleAndWrite(.desired(Self.without("b", view))).summary.contains("claim"))
        var content = bench(view)
        #expect(!content.handle(.peers([Self.peer("b")])).summary.contains("claim"), "no wish")
        var unmarked = bench(Self.view("ab"))
        unmarked.handle(.peers([Self.peer("b")]))
        #expect(!unmarked.handleAndWrite(.desired(Self.without("b", view))).summary.contains("claim"))
        var three = bench(Self.view("abc"))
        three.handle(.peers([Self.peer("b"), Self.peer("c")]))
        #expect(!three.handleAndWrite(.desired(Self.without("bc", Self.view("abc")))).summary.contains("claim"))
    }

    @Test(arguments: [(false, UInt64(9)), (true, 10)])
    func whoStartedAgainUsesNeitherClaimNorProof(isConfirmed: Bool, generation: UInt64) {
        for mark in [nil, UInt64(77)] {
            let view = Self.view("ab", mark: mark)
            var bench = bench(view, isConfirmed: isConfirmed, generation: generation)
            bench.handle(.peers([Self.peer("b", proven: true)]))
            #expect(!bench.handleAndWrite(.desired(Self.without("b", view))).summary.contains("claim"))
            #expect(!bench.handleAndWrite(.claimGranted(number: 6)).summary.contains("install"))
            #expect(!bench.machine.mayDecideAlone)
        }
    }

    @Test func aClaimOfAnotherNumberIsVoid() {
        let view = Self.view("ab", mark: 77)
        var bench = bench(view)
        bench.handle(.peers([Self.peer("b")]))
        bench.handleAndWrite(.desired(Self.without("b", view)))
        for number: UInt64 in [5, 7] {
            #expect(!bench.handleAndWrite(.claimGranted(number: number)).summary.contains("install"))
        }
        // One that was used is void as well.
        bench.handleAndWrite(.claimGranted(number: 6))
        #expect(bench.machine.installed?.number == 6 && !bench.machine.mayDecideAlone)
    }

    @Test(arguments: [UInt64?.none, 77]) func whatWasAcceptedEarlierIsDecided(mark: UInt64?) {
        let view = Self.view("ab", mark: mark)
        let other = Example.following(view) { $0.settings.copies = 3 }
        var bench = bench(view, accepted: (ballot(4, "b"), other))
        bench.handleAndWrite(.peers([Self.peer("b", proven: true)]))
        bench.handleAndWrite(.desired(Self.without("b", view)))
        bench.handleAndWrite(.claimGranted(number: 6))
        #expect(bench.machine.installed == other)
    }

    /// A vote of its own, still on its way to the disk, counts as well.
    @Test func whatIsBeingAcceptedIsDecided() {
        let view = Self.view("ab")
        let other = Example.following(view) { $0.settings.copies = 3 }
        var bench = bench(view)
        bench.handle(.received(message("b", 6, .propose(ballot(4, "b"), other))))
        bench.handle(.peers([Self.peer("b", proven: true)]))
        bench.handle(.desired(Self.without("b", view)))
        bench.handleAndWrite(.persisted(ticket: bench.written))
        bench.now += .seconds(1)
        bench.handleAndWrite(.tick)
        #expect(bench.machine.installed == other)
    }

    @Test func proofIsNoClaim() {
        let view = Self.view("ab", mark: 77)
        var bench = bench(view)
        bench.handle(.peers([Self.peer("b", proven: true)]))
        #expect(!bench.handleAndWrite(.desired(Self.without("b", view))).summary.contains("install"))
        #expect(!bench.machine.mayDecideAlone, "the other one may have claimed the number before it died")
    }

    // MARK: Two voters, by proof

    @Test func proofIsEnoughWhereThereIsNoMark() {
        let view = Self.view("ab")
        var bench = bench(view)
        bench.handle(.peers([Self.peer("b", proven: true)]))
        #expect(bench.machine.mayDecideAlone)
        #expect(bench.handleAndWrite(.desired(Self.without("b", view))).summary.hasSuffix("b:decided 6 install 6"))
    }

    @Test func proofThatComesLaterStartsTheBallotAnew() {
        let view = Self.view("ab")
        var bench = bench(view)
        bench.handle(.peers([Self.peer("b")]))
        #expect(!bench.handleAndWrite(.desired(Self.without("b", view))).summary.contains("install"))
        #expect(bench.handleAndWrite(.peers([Self.peer("b", proven: true)])).summary.hasSuffix("install 6"))
    }

    struct Doubt: CustomTestStringConvertible {
        let title: String
        var peers: [ViewAgreement.Peer]
        var survives = true
        var heard: ViewMessage?
        var testDescription: String { title }
    }

    static let doubts: [Doubt] = [
        Doubt(title: "dead, not proven", peers: [peer("b")]),
        Doubt(title: "told to stop", peers: [peer("b", proven: true)], survives: false),
        Doubt(title: "an earlier generation's end", peers: [peer("b", generation: 0, proven: true)]),
        Doubt(title: "the end of one with another disk", peers: [peer("b", generation: 2, disk: 1, proven: true)]),
        Doubt(title: "alive again", peers: [peer("b", generation: 2, alive: true)]),
        Doubt(
            title: "a later process has spoken", peers: [peer("b", proven: true)],
            heard: {
                var heard = message("b", 5, .wantView)
                heard.sender.id = member("b", generation: 2).id
                return heard
            }()),
    ]

    @Test(arguments: doubts) func doubtIsNoProof(doubt: Doubt) {
        let view = Self.view("ab")
        var bench = bench(view, survives: doubt.survives)
        if let heard = doubt.heard { bench.handle(.received(heard)) }
        bench.handle(.peers(doubt.peers))
        #expect(!bench.handleAndWrite(.desired(Self.without("b", view))).summary.contains("install"))
        bench.now += .seconds(5)
        #expect(!bench.handleAndWrite(.tick).summary.contains("install"))
    }

    @Test func proofIsRememberedWhenTheNameReturnsWithAnotherDisk() {
        let view = Self.view("ab")
        var bench = bench(view)
        bench.handle(.peers([Self.peer("b", proven: true)]))
        bench.handle(.peers([Self.peer("b", generation: 2, disk: 1, alive: true)]))
        #expect(bench.machine.mayDecideAlone)
    }

    // MARK: Three and more

    @Test func theLastOfThreeForcesAViewByProof() throws {
        let view = Self.view("abc")
        var bench = bench(view)
        bench.handle(.peers([Self.peer("b", proven: true), Self.peer("c", proven: true)]))
        #expect(
            !bench.handleAndWrite(.desired(Self.without("bc", view))).summary.contains("install"), "the next number")
        let seen = Observations(nodes: [
            observed(member("a", generation: 9)), gone("b"), gone("c"),
        ])
        let forced = try #require(ViewPlanner.forced(after: view, seen, salt: 5))
        #expect(bench.handleAndWrite(.desired(forced)).summary.contains("b:decided 1000010 c:decided 1000010 install"))
        #expect(bench.machine.installed == forced)
    }

    private func gone(_ letter: String) -> ObservedNode {
        var node = observed(member(letter), .gone)
        node.isExitProven = true
        return node
    }

    @Test func oneVoterOfWhomNothingIsProvenIsEnoughToWait() throws {
        let view = Self.view("abc")
        let seen = Observations(nodes: [observed(member("a", generation: 9)), gone("b"), gone("c")])
        let forced = try #require(ViewPlanner.forced(after: view, seen, salt: 5))
        for (survives, isConfirmed, isProven) in [(true, true, false), (false, true, true), (true, false, true)] {
            var bench = bench(view, isConfirmed: isConfirmed, survives: survives)
            bench.handle(.peers([Self.peer("b", proven: true), Self.peer("c", proven: isProven)]))
            #expect(!bench.handleAndWrite(.desired(forced)).summary.contains("install"))
        }
    }

    @Test func allSurvivorsHaveToAgree() throws {
        let view = Self.view("abcde")
        let seen = Observations(
            nodes: [observed(member("a", generation: 9)), observed(member("b")), gone("c"), gone("d"), gone("e")])
        let forced = try #require(ViewPlanner.forced(after: view, seen, salt: 5))
        var bench = bench(view)
        bench.handle(
            .peers([Self.peer("b", alive: true)] + ["c", "d", "e"].map { Self.peer($0, proven: true) }))
        #expect(bench.handleAndWrite(.desired(forced)).summary.contains("b:prepare 1.a"))
        // What b has accepted as the next view may not be what the others have decided.
        let next = AcceptedView(ballot: ballot(0, "c"), view: Self.without("e", view))
        #expect(bench.receive("b", 6, .promise(ballot(1, "a"), accepted: next)).summary.contains("b:propose 1.a"))
        #expect(bench.receive("b", 6, .accepted(ballot(1, "a"))).summary.hasSuffix("install \(forced.number)"))
        #expect(bench.machine.installed == forced)
    }

    @Test func whatWasForcedAlreadyStaysTheOne() throws {
        let view = Self.view("abcde")
        let seen = Observations(
            nodes: [observed(member("a", generation: 9)), observed(member("b")), gone("c"), gone("d"), gone("e")])
        let mine = try #require(ViewPlanner.forced(after: view, seen, salt: 5))
        let other = try #require(ViewPlanner.forced(after: view, seen, salt: 6))
        var bench = bench(view)
        bench.handle(
            .peers([Self.peer("b", alive: true)] + ["c", "d", "e"].map { Self.peer($0, proven: true) }))
        bench.handleAndWrite(.desired(mine))
        let accepted = AcceptedView(ballot: ballot(0, "b"), view: other)
        _ = bench.receive("b", 6, .promise(ballot(1, "a"), accepted: accepted))
        _ = bench.receive("b", 6, .accepted(ballot(1, "a")))
        #expect(bench.machine.installed == other)
    }

    @Test func whereAMajorityAnswersNothingIsForced() throws {
        let view = Self.view("abc")
        let seen = Observations(nodes: [observed(member("a", generation: 9)), gone("b"), gone("c")])
        let forced = try #require(ViewPlanner.forced(after: view, seen, salt: 5))
        var bench = bench(view)
        bench.handle(.peers([Self.peer("b", proven: true), Self.peer("c")]))
        bench.handleAndWrite(.desired(forced))
        #expect(!bench.receive("b", 6, .promise(ballot(1, "a"), accepted: nil)).summary.contains("propose"))
    }

    // MARK: By an operator

    @Test(arguments: ["a", "d"]) func anOperatorsWordIsEnough(letter: String) throws {
        let view = makeView("abcd", voters: "abc", ledgers: [ledger(1, "a", "d"), ledger(2, "b")])
        var bench = Bench(VoterRecord(generation: Generation(8), view: view), myself: member(letter, generation: 9))
        bench.handleAndWrite(.tick)
        let seen = Observations(nodes: [observed(member("a", generation: 9)), observed(member("d", generation: 9))])
        let forced = try #require(ViewPlanner.recovered(after: view, seen, salt: 1))
        let end = bench.handleAndWrite(.force(forced)).summary
        #expect(end.contains("decided \(forced.number)") && end.hasSuffix("install \(forced.number) confirmed"))
        #expect(bench.machine.installed == forced)
    }

    @Test func onlyAForcedViewThatMayFollowIsForced() throws {
        let view = Self.view("abc")
        var bench = bench(view)
        #expect(bench.handleAndWrite(.force(Self.without("bc", view))).summary == "a invalid")
        let seen = Observations(nodes: [observed(member("a", generation: 9))])
        var forced = try #require(ViewPlanner.recovered(after: view, seen, salt: 1))
        forced.ledgers[0].term = Term(2)
        #expect(bench.handleAndWrite(.force(forced)).summary == "a invalid")
        #expect(bench.machine.installed == view)
    }
}
