import Primitives
import Testing
import Views

/// A voter that starts with a view on its disk: "a" of "abc".
@Suite struct ColdStartTests {
    private func bench() -> Bench {
        var bench = Bench(Example.record())
        bench.handleAndWrite(.tick)
        return bench
    }

    private func answer(_ letter: String, isRunning: Bool) -> ViewAgreement.Event {
        .received(message(letter, 5, .current(asked: Generation(9), isRunning: isRunning)))
    }

    private func peer(_ letter: String, disk: UInt64? = nil) -> ViewAgreement.Peer {
        let member = member(letter, generation: 2, disk: disk)
        return ViewAgreement.Peer(
            id: member.id, disk: member.profile.disk, address: member.profile.peer, isAlive: true)
    }

    @Test func whoMeetsARunningVoterDoesNotWait() {
        var bench = bench()
        #expect(bench.handle(answer("b", isRunning: true)).summary == "confirmed")
        #expect(bench.machine.coldUntil == nil)
        #expect(bench.handleAndWrite(.desired(Example.next)).summary.contains("prepare"))
    }

    @Test func afterAColdStartWishesWaitForAllVoters() throws {
        var bench = bench()
        #expect(bench.handle(answer("b", isRunning: false)).summary == "confirmed")
        let end = try #require(bench.machine.coldUntil)
        #expect(end == bench.now + .seconds(30) && bench.machine.isConfirmed)
        #expect(!bench.handleAndWrite(.desired(Example.next)).summary.contains("prepare"))
        bench.now = end - .nanoseconds(1)
        #expect(!bench.handleAndWrite(.tick).summary.contains("prepare"))
        #expect(bench.machine.nextDeadline == end)
        bench.now = end
        #expect(bench.handleAndWrite(.tick).summary.hasPrefix("warm b:prepare"))
    }

    @Test func allVotersTogetherGoOnAtOnce() {
        var bench = bench()
        bench.handle(answer("b", isRunning: false))
        #expect(bench.handle(.peers([peer("b")])).summary == "")
        // Also one that has lost its disk: no waiting brings that back.
        #expect(bench.handle(.peers([peer("b"), peer("c", disk: 1)])).summary == "warm")
    }

    @Test func runningVoterThatAnswersLateEndsTheWait() {
        var bench = bench()
        bench.handle(answer("b", isRunning: false))
        #expect(bench.handle(answer("c", isRunning: true)).summary == "warm")
    }

    @Test func viewThatListsTheProcessEndsTheWait() {
        var bench = bench()
        bench.handle(answer("b", isRunning: false))
        let listing = Example.following(Example.view) {
            $0.members[0].id = member("a", generation: 9).id
            $0.ledgers[0].term = Term(2)
        }
        #expect(bench.receive("b", 6, .decided(listing)).summary.hasSuffix("install 6 warm"))
    }

    @Test func itVotesAllTheSameAndSaysThatItIsNotRunning() {
        var bench = bench()
        bench.handle(answer("b", isRunning: false))
        #expect(bench.receive("b", 6, .prepare(ballot(1, "b"))).summary == "b:promise 1.b")
        func answersAsRunning() -> Bool? {
            for case .send(let message, _, _) in bench.handle(.received(message("c", 5, .wantView))) {
                if case .current(_, let isRunning) = message.body { return isRunning }
            }
            return nil
        }
        #expect(answersAsRunning() == false)
        bench.handle(.peers([peer("b"), peer("c")]))
        #expect(answersAsRunning() == true)
    }

    @Test func whatItHadAcceptedIsTakenUpInAnyCase() {
        var bench = Bench(Example.record(promised: ballot(1, "b"), accepted: (ballot(1, "b"), Example.next)))
        bench.handleAndWrite(.tick)
        bench.handle(answer("b", isRunning: false))
        bench.now += .milliseconds(400)
        #expect(bench.handleAndWrite(.tick).summary.contains("prepare 2.a"))
        #expect(bench.machine.coldUntil != nil)
    }
}
