import Primitives
import Testing
import Views

/// The proposer, as node "a" of "abc".
@Suite struct ViewProposerTests {
    private func bench(_ record: VoterRecord = Example.record(), as letter: String = "a", dead: String = "") -> Bench {
        var bench = Bench(record, myself: member(letter, generation: 9))
        bench.confirm()
        let peers = "abcd".filter { String($0) != letter }.map { other in
            ViewAgreement.Peer(
                id: member(String(other)).id, disk: member(String(other)).profile.disk,
                address: Address(host: "new-\(other)", port: 1), isAlive: !dead.contains(other))
        }
        bench.handle(.peers(peers))
        return bench
    }

    @Test func ballotRunsToADecision() {
        var bench = bench()
        #expect(bench.handleAndWrite(.desired(Example.next)).summary == "b:prepare 1.a c:prepare 1.a")
        #expect(bench.receive("b", 6, .promise(ballot(1, "a"), accepted: nil)).summary == "b:propose 1.a c:propose 1.a")
        // The own vote is on disk: one more decides, and everybody hears of it.
        let end = bench.receive("c", 6, .accepted(ballot(1, "a")))
        #expect(end.summary == "b:decided 6 c:decided 6 d:decided 6 install 6")
        #expect(bench.machine.installed == Example.next)
        #expect(bench.machine.record == VoterRecord(generation: Generation(9), view: Example.next))
    }

    @Test func messagesGoWhereGossipSaysThatNodesAre() {
        var bench = bench()
        let addresses = bench.handle(.desired(Example.next)).compactMap { effect -> String? in
            if case .send(_, _, let address) = effect { address.host } else { nil }
        }
        #expect(addresses == ["new-b", "new-c"])
    }

    @Test func votesOfOneVoterCountOnce() {
        var bench = bench()
        bench.handle(.desired(Example.next))  // the own promise is not on disk yet
        #expect(bench.handle(.received(message("b", 6, .promise(ballot(1, "a"), accepted: nil)))).summary == "")
        #expect(bench.handle(.received(message("b", 6, .promise(ballot(1, "a"), accepted: nil)))).summary == "")
        let wiped = message("c", 6, .promise(ballot(1, "a"), accepted: nil), disk: 1)
        #expect(bench.handle(.received(wiped)).summary == "")
        #expect(bench.handle(.received(message("d", 6, .promise(ballot(1, "a"), accepted: nil)))).summary == "")
        let last = message("c", 6, .promise(ballot(1, "a"), accepted: nil))
        #expect(bench.handle(.received(last)).summary == "b:propose 1.a c:propose 1.a")
    }

    @Test func acceptancesOfOneVoterCountOnce() {
        var bench = bench()
        bench.handleAndWrite(.desired(Example.next))
        // The own vote is not on disk yet.
        bench.handle(.received(message("b", 6, .promise(ballot(1, "a"), accepted: nil))))
        #expect(bench.handle(.received(message("b", 6, .accepted(ballot(1, "a"))))).summary == "")
        #expect(bench.handle(.received(message("b", 6, .accepted(ballot(1, "a"))))).summary == "")
        #expect(bench.handle(.received(message("c", 6, .accepted(ballot(1, "a")), disk: 1))).summary == "")
        #expect(bench.handleAndWrite(.persisted(ticket: bench.written)).summary.hasSuffix("install 6"))
    }

    @Test func acceptedViewOfTheHighestBallotIsProposed() {
        var bench = bench(Example.record(promised: ballot(1, "b"), accepted: (ballot(1, "b"), Example.other)))
        bench.handleAndWrite(.desired(Example.next))
        bench.now += .milliseconds(250)  // its vote had given b time
        bench.handleAndWrite(.tick)
        let third = Example.following(Example.view) { $0.settings.copies = 3 }
        let promise = ViewMessage.Body.promise(
            ballot(2, "a"), accepted: AcceptedView(ballot: ballot(1, "c"), view: third))
        let proposals = bench.receive("c", 6, promise).compactMap { effect -> View? in
            if case .send(let message, _, _) = effect, case .propose(_, let view) = message.body { view } else { nil }
        }
        #expect(proposals == [third, third])
        #expect(bench.machine.record.accepted == AcceptedView(ballot: ballot(2, "a"), view: third))
    }

    @Test func newestWishIsProposed() {
        var bench = bench()
        bench.handleAndWrite(.desired(Example.next))
        bench.handle(.desired(Example.other))
        _ = bench.receive("b", 6, .promise(ballot(1, "a"), accepted: nil))
        #expect(bench.machine.record.accepted?.view == Example.other)
    }

    @Test func wishForAnotherNumberIsDropped() {
        var bench = bench()
        #expect(bench.handle(.desired(Example.view)).isEmpty)
        #expect(bench.handle(.desired(Example.following(Example.next) { _ in })).isEmpty)
        #expect(bench.handle(.desired(nil)).isEmpty)
    }

    @Test(arguments: [("b", "", 50), ("c", "", 100), ("c", "a", 50), ("c", "ab", 0)])
    func lowestLivingVoterProposesFirst(letter: String, dead: String, delay: Int64) {
        var bench = bench(as: letter, dead: dead)
        let start = bench.now
        let first = bench.handle(.desired(Example.next))
        #expect(first.summary.contains("prepare") == (delay == 0))
        guard delay > 0 else { return }
        #expect(bench.machine.nextDeadline == start + .milliseconds(delay))
        bench.now = start + .milliseconds(delay) - .nanoseconds(1)
        #expect(!bench.handle(.tick).summary.contains("prepare"))
        bench.now = start + .milliseconds(delay)
        #expect(bench.handle(.tick).summary.contains("prepare 1.\(letter)"))
    }

    @Test func ballotThatStallsIsOvertaken() {
        var bench = bench(as: "c", dead: "b")
        bench.handle(.desired(Example.next))
        let start = bench.now
        _ = bench.receive("a", 6, .prepare(Ballot(round: 4, generation: Generation(1), name: name("a"))))
        bench.now = start + .milliseconds(299)
        #expect(!bench.handle(.tick).summary.contains("prepare"))
        bench.now = start + .milliseconds(300)
        #expect(bench.handle(.tick).summary.contains("prepare 5.c"))
    }

    @Test func acceptedViewThatNobodyDecidesIsTakenUp() throws {
        var bench = bench(as: "c")
        _ = bench.receive("b", 6, .propose(ballot(1, "b"), Example.next))
        bench.now = try #require(bench.machine.nextDeadline)
        bench.now += .seconds(1)
        #expect(bench.handle(.tick).summary.contains("prepare 2.c"))
    }

    @Test func restartTakesUpWhatItHadAccepted() {
        var bench = Bench(Example.record(promised: ballot(1, "b"), accepted: (ballot(1, "b"), Example.next)))
        bench.handle(.tick)
        bench.now += .milliseconds(400)
        #expect(bench.handle(.tick).summary.contains("prepare 2.a"))
    }

    @Test func refusedBallotBacksOffAndGoesHigher() throws {
        var bench = bench()
        bench.handleAndWrite(.desired(Example.next))
        _ = bench.receive("b", 6, .refuse(ballot(1, "a"), promised: ballot(7, "b")))
        var pauses: [Duration] = []
        for _ in 0..<12 {
            let due = try #require(bench.machine.nextDeadline)
            pauses.append(due - bench.now)
            bench.now = due
            bench.handleAndWrite(.tick)
            bench.now = try #require(bench.machine.nextDeadline)  // nobody answers
            bench.handleAndWrite(.tick)
        }
        #expect((.milliseconds(25)...Duration.milliseconds(50)).contains(pauses[0]))
        #expect(pauses[11] > .milliseconds(450) && pauses.allSatisfy { $0 <= .seconds(2) })
        #expect(bench.machine.record.promised?.round ?? 0 >= 8)
    }

    @Test func lowerBallotsRefusalDoesNotDisturb() {
        var bench = bench()
        bench.handleAndWrite(.desired(Example.next))
        _ = bench.receive("b", 6, .refuse(ballot(0, "a"), promised: ballot(7, "b")))
        #expect(bench.receive("b", 6, .promise(ballot(1, "a"), accepted: nil)).summary == "b:propose 1.a c:propose 1.a")
    }

    @Test func roundsNeverOverflow() {
        var bench = bench()
        _ = bench.receive("b", 6, .prepare(ballot(.max, "b")))
        bench.handle(.desired(Example.next))
        bench.now += .seconds(5)
        #expect(!bench.handle(.tick).summary.contains("prepare"))
    }
}
