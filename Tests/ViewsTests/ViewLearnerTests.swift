import Primitives
import Testing
import Views

/// Founding, joining, catching up, and what a restarted node waits for.
@Suite struct ViewLearnerTests {
    @Test func founderIsAloneAndOwnsEverything() throws {
        var bench = Bench(VoterRecord(generation: Generation(9)))
        let cluster = ClusterID(high: 1, low: 2)
        let first = bench.handle(.found(cluster, ClusterSettings(copies: 3)))
        #expect(first.count == 1 && bench.machine.installed == nil)
        #expect(bench.handle(.persisted(ticket: bench.written)).summary == "install 1 confirmed")
        let view = try #require(bench.machine.installed)
        try view.validate()
        #expect(view.ledgerSummary == "L1.1 a" && view.memberSummary == "a" && view.voterSummary == "a")
        #expect(view.slots.allSatisfy { $0 == LedgerID(1) } && view.settings.copies == 3 && view.cluster == cluster)
        #expect(bench.handle(.found(ClusterID(high: 3, low: 3), ClusterSettings())).isEmpty)
    }

    @Test func founderDecidesAlone() throws {
        var bench = Bench(VoterRecord(generation: Generation(9)))
        bench.handleAndWrite(.found(ClusterID(high: 7, low: 7), ClusterSettings()))
        let view = try #require(bench.machine.installed)
        let next = ViewPlanner.next(
            after: view, Observations(nodes: [observed(member("a", generation: 9)), observed(member("b"))]))
        #expect(bench.handleAndWrite(.desired(next)).summary == "b:decided 2 install 2")
    }

    @Test(arguments: [true, false]) func nodeWithoutAViewInstallsWhatItMay(joins: Bool) {
        let settings = ViewAgreement.Settings(joins: joins)
        var stranger = Bench(VoterRecord(generation: Generation(9)), myself: member("z"), settings: settings)
        #expect(stranger.receive("b", 5, .decided(Example.view)).summary.hasSuffix("install 5") == joins)
        #expect(!stranger.machine.isConfirmed)
        var listed = Bench(VoterRecord(generation: Generation(1)), myself: member("a"), settings: settings)
        #expect(listed.receive("b", 5, .decided(Example.view)).summary == "install 5 confirmed")
        var restarted = Bench(VoterRecord(generation: Generation(9)), settings: settings)
        // It was taken in with this disk, and may be the vote that a majority lacks.
        #expect(restarted.receive("b", 5, .decided(Example.view)).summary.hasSuffix("install 5"))
    }

    @Test func nodeWithoutAViewAsksWhenItHearsOfOne() {
        var bench = Bench(VoterRecord(generation: Generation(9)))
        let heard = ViewAgreement.Event.heard(viewNumber: 5, from: name("b"), address: Address(host: "x", port: 1))
        #expect(bench.handle(heard).summary == "b:want 0")
    }

    @Test func laggardFetchesOnceInAWhile() {
        var bench = Bench(Example.record())
        bench.handle(.tick)
        func heard(_ number: UInt64) -> ViewAgreement.Event {
            .heard(viewNumber: number, from: name("d"), address: Address(host: "d", port: 1))
        }
        #expect(bench.handle(heard(5)).isEmpty)
        #expect(bench.handle(heard(7)).summary == "d:want 5")
        #expect(bench.handle(heard(7)).isEmpty)
        #expect(bench.handle(heard(8)).summary == "d:want 5")
        bench.now += .milliseconds(100)
        #expect(bench.handle(heard(7)).summary == "d:want 5")
    }

    @Test func anyLaterViewIsInstalledWhenItIsOnDisk() {
        var bench = Bench(Example.record(promised: ballot(3, "b"), accepted: (ballot(3, "b"), Example.other)))
        bench.confirm()
        bench.handle(.received(message("b", 6, .prepare(ballot(4, "b")))))
        let later = Example.following(Example.following(Example.next) { _ in }) { _ in }
        #expect(bench.handle(.received(message("c", 8, .decided(later)))).summary == "")
        #expect(bench.machine.installed == Example.view)
        // The votes about view 6 are dropped: the record that they told of may never be written.
        #expect(bench.handle(.persisted(ticket: bench.written)).summary == "install 8")
        #expect(bench.machine.record.promised == nil && bench.machine.record.accepted == nil)
        #expect(bench.receive("b", 6, .decided(Example.next)).summary == "")
        #expect(bench.receive("b", 6, .prepare(ballot(9, "b"))).summary == "b:decided 8")
    }

    @Test func badViewsAreRefused() {
        var bench = Bench(Example.record())
        bench.handle(.tick)
        var broken = Example.next
        broken.voters = []
        #expect(bench.receive("b", 6, .decided(broken)).summary == "b invalid")
        var foreign = Example.next
        foreign.cluster = ClusterID(high: 1, low: 1)
        #expect(bench.receive("b", 6, .decided(foreign)).summary == "b foreign")
        var different = Example.view
        different.settings.copies = 1
        #expect(bench.receive("b", 5, .decided(different)).summary == "b conflict")
        #expect(bench.machine.record.view == Example.view)
    }

    // MARK: Restart

    private func answer(
        _ letter: String, _ number: UInt64, asked: UInt64 = 9, disk: UInt64? = nil, isRunning: Bool = true
    ) -> ViewAgreement.Event {
        .received(message(letter, number, .current(asked: Generation(asked), isRunning: isRunning), disk: disk))
    }

    @Test func restartedNodeIsConfirmedByAMajority() throws {
        var bench = Bench(Example.record())
        #expect(bench.machine.nextDeadline == .zero && !bench.machine.isConfirmed)
        #expect(bench.handle(.tick).summary == "b:want 5 c:want 5")
        bench.now = try #require(bench.machine.nextDeadline)
        #expect(bench.handle(.tick).summary == "b:want 5 c:want 5")
        #expect(bench.handle(answer("b", 5, asked: 8)).isEmpty)  // to the process before
        #expect(bench.handle(answer("b", 5, disk: 1)).isEmpty)  // from a wiped disk
        #expect(bench.handle(answer("b", 0)).isEmpty)
        #expect(bench.handle(answer("d", 5)).isEmpty)  // not a voter
        #expect(!bench.machine.isConfirmed)
        #expect(bench.handle(answer("c", 4)).summary == "confirmed")
        #expect(bench.machine.isConfirmed && bench.machine.nextDeadline == nil)
    }

    @Test func restartedNodeThatDoesNotVoteNeedsAMajorityOfOthers() {
        var bench = Bench(Example.record(), myself: member("d", generation: 9))
        bench.handle(.tick)
        #expect(bench.handle(answer("b", 5)).isEmpty)
        #expect(bench.handle(answer("b", 5)).isEmpty)
        #expect(bench.handle(answer("c", 5)).summary == "confirmed")
    }

    @Test func onlyVoterConfirmsItself() {
        let view = makeView("ab", voters: "a", ledgers: [ledger(1, "a", "b")])
        var bench = Bench(VoterRecord(generation: Generation(8), view: view))
        // There is nobody else to wait for.
        #expect(bench.handle(.tick).summary == "confirmed warm")
    }

    @Test func newerViewStartsTheQuestionAnew() {
        var bench = Bench(Example.record())
        bench.handle(.tick)
        #expect(bench.handle(answer("b", 8)).summary == "b:want 5")
        let newer = Example.following(Example.next) {
            $0.voters = [member("b").voter, member("c").voter, member("d").voter]
        }
        #expect(bench.receive("b", 7, .decided(newer)).summary == "b:want 7 c:want 7 d:want 7 install 7")
        #expect(bench.handle(answer("c", 7)).isEmpty)
        #expect(bench.handle(answer("d", 7)).summary == "confirmed")
    }

    @Test func newerViewThatListsTheProcessConfirmsIt() {
        var bench = Bench(Example.record())
        bench.handle(.tick)
        let listing = Example.following(Example.view) {
            $0.members[0].id = member("a", generation: 9).id
            $0.ledgers[0].term = Term(2)
        }
        #expect(bench.receive("b", 6, .decided(listing)).summary.hasSuffix("install 6 confirmed"))
    }

    @Test func restartedVoterVotesBeforeItIsConfirmed() {
        var bench = Bench(Example.record())
        bench.handle(.tick)
        #expect(bench.receive("b", 6, .prepare(ballot(1, "b"))).summary == "b:promise 1.b")
        #expect(!bench.machine.isConfirmed)
    }

    /// A node that was removed returns under a new generation within its process.
    @Test func replacedMachineHandsOverWhatWasNotOnDiskYet() {
        var old = Bench(Example.record())
        old.confirm()
        old.handle(.received(message("b", 6, .decided(Example.next))))
        old.handle(.received(message("b", 7, .prepare(ballot(1, "b")))))
        var new = Bench(VoterRecord(generation: Generation(8)))
        new.machine = ViewAgreement(
            myself: member("a", generation: 10), record: old.machine.record, installed: old.machine.installed, seed: 1)
        #expect(new.machine.installed == Example.view)
        #expect(new.handle(.received(message("b", 7, .prepare(ballot(1, "b"))))).summary == "b:want 6 c:want 6")
        #expect(new.handle(.persisted(ticket: 1)).summary == "install 6 b:promise 1.b")
        #expect(new.machine.record.generation == Generation(10) && !new.machine.isConfirmed)
    }

    @Test func generationRisesEvenIfTheClockWasSetBack() {
        let record = VoterRecord(generation: Generation(500))
        #expect(record.nextGeneration(millisecondsSince1970: 400) == Generation(501))
        #expect(record.nextGeneration(millisecondsSince1970: 600) == Generation(600))
    }
}
