import Primitives
import Testing

@testable import Membership

@Suite struct JoiningTests {
    func joins(_ effects: [Membership.Effect]) -> [String] {
        effects.sent.filter { $0.message.body == .join }.map(\.host)
    }

    @Test func aJoinGoesToEverySeedAtOnceButToItself() {
        var rig = Rig()
        let effects = rig.handle(.join(seeds: [address("b"), address("a"), address("c"), address("b")]))
        #expect(joins(effects) == ["b", "c"])
        #expect(effects.rumors(to: "b").first == alive("a"))
    }

    /// Whoever looks for a cluster must not take a node that is in one for another that looks.
    @Test func alreadyTheFirstWordTellsOfTheViewThatWasBroughtAlong() {
        var rig = Rig()
        rig.machine = Membership(myself: id("a"), profile: profile("a"), viewNumber: 12, seed: 7)
        let effects = rig.handle(.join(seeds: [address("b")]))
        #expect(effects.sent.map(\.message.viewNumber) == [12])
    }

    @Test func theIsolatedTryForEverDoublingTheirRestUpToTenSeconds() {
        var rig = Rig()
        _ = rig.handle(.join(seeds: [address("b")]))
        var times: [Int64] = []
        let start = rig.now
        let end = start + .seconds(60)
        while rig.machine.nextDeadline <= end {
            rig.now = rig.machine.nextDeadline
            if !joins(rig.handle(.tick)).isEmpty { times.append((rig.now - start).milliseconds) }
        }
        #expect(times == [200, 600, 1400, 3000, 6200, 12_600, 22_600, 32_600, 42_600, 52_600])
    }

    @Test func aWelcomeBringsTheMembersAndTheRestByPushPull() {
        var rig = Rig()
        _ = rig.handle(.join(seeds: [address("b")]))
        let effects = rig.receive(.welcome, [alive("b"), alive("c")], from: "b")
        #expect(effects.contains(.pushPull(id("b"))))
        #expect(rig.machine.livingOthers.map(\.id) == [id("b"), id("c")])
        #expect(joins(rig.run(for: .seconds(9), answering: ["b", "c"])).isEmpty)
        #expect(!rig.receive(.welcome, [alive("b")], from: "b").contains(.pushPull(id("b"))))
    }

    @Test func whoeverJoinsIsWelcomedWithAsManyMembersAsFit() throws {
        var rig = Rig(peers: (0..<40).map { "n\($0)" })
        let effects = rig.receive(.join, [alive("z")], from: "z")
        let message = try #require(effects.sent.first { $0.message.body == .welcome }?.message)
        #expect(message.rumors.first == alive("a"))
        #expect(message.rumors.count > 10)
        #expect(message.encodedBytes <= GossipMessage.budget)
        #expect(GossipMessage.budget - message.encodedBytes < alive("n10").encodedBytes)
        #expect(rig.state("z") == .alive)
    }

    @Test func anUnknownSenderIsAskedWhoItIs() {
        var rig = Rig(peers: ["b"])
        let effects = rig.receive(.ping(sequence: 1, target: id("a")), from: "x")
        #expect(effects.bodies(to: "x") == [.ack(sequence: 1, of: id("a")), .join])
        // And of a known name the generation that is not known.
        #expect(rig.receive(.gossip, from: "b", generation: 11).bodies(to: "b") == [.join])
    }

    @Test func answersThatNobodyWaitsForAreBoundedPerPeriod() {
        var rig = Rig(peers: ["b"])
        var answers = 0
        for number in 0..<500 { answers += rig.receive(.gossip, from: "x\(number)").sent.count }
        for number in 0..<500 { answers += rig.receive(.join, from: "y\(number)").sent.count }
        #expect(answers == MembershipLimits.courtesies)
    }

    @Test func membersAreBoundedAndTheSurplusIsCounted() {
        var rig = Rig(peers: (0..<300).map { "n\($0)" })
        #expect(rig.machine.livingOthers.count == Limits.members - 1)
        #expect(rig.machine.refusedMembers == 45)
        // A newer generation takes the place of the older one.
        _ = rig.hear([alive("n7", generation: 11)], from: "n7", generation: 11)
        #expect(rig.machine.member(name("n7"))?.id == id("n7", 11))
        _ = rig.hear([dead("n7", generation: 11)], from: "n8")
        _ = rig.hear([alive("late")], from: "late")
        #expect(rig.state("late") == .alive)
    }

    @Test func seedsAreBounded() {
        var rig = Rig()
        for number in 0..<100 { _ = rig.handle(.join(seeds: [address("n\(number)")])) }
        #expect(rig.machine.seeds.count == MembershipLimits.seeds)
        #expect(rig.machine.seeds.last == address("n99"))
    }

    @Test func inCompanySeedsAndTheDeadAreReachedForNowAndThen() {
        var rig = Rig(peers: ["b", "c"])
        _ = rig.handle(.join(seeds: [address("b"), address("s")]))
        _ = rig.hear([dead("c")], from: "b")
        let reached = joins(rig.run(for: .seconds(31), answering: ["b"]))
        #expect(Set(reached) == ["s", "c"])
        #expect(reached.count == 6)
    }

    @Test func joinsRepeatedByTheOwnerDoNotPutOffReachingForTheDead() {
        var rig = Rig(peers: ["b", "c"])
        _ = rig.hear([dead("c")], from: "b")
        var reached = 0
        for _ in 0..<10 {
            _ = rig.handle(.join(seeds: [address("b")]))
            reached += joins(rig.run(for: .seconds(5), answering: ["b"])).filter { $0 == "c" }.count
        }
        #expect(reached == 5)
    }

    @Test func aWelcomeByAKnownMemberInCompanyIsNoReasonForAPushPull() {
        var rig = Rig(peers: ["b", "c"])
        // Its seed address is another than the one by which it is known.
        #expect(joins(rig.handle(.join(seeds: [address("alias")]))) == ["alias"])
        #expect(!rig.receive(.welcome, [alive("b")], from: "b").contains(.pushPull(id("b"))))
        #expect(rig.receive(.welcome, [alive("d")], from: "d").contains(.pushPull(id("d"))))
    }

    // MARK: Push-pull

    @Test func everyThirtySecondsTheStateIsExchangedWithALivingMember() {
        var rig = Rig(peers: ["b", "c"])
        _ = rig.hear([dead("c")], from: "b")
        let effects = rig.run(for: .seconds(90), answering: ["b"])
        let exchanges = effects.filter { if case .pushPull = $0 { true } else { false } }
        #expect(exchanges.count == 3)
        #expect(exchanges.allSatisfy { $0 == .pushPull(id("b")) })
    }

    func record(_ text: String, _ state: MemberState = .alive, generation: UInt64 = 10, incarnation: UInt32 = 0)
        -> MemberRecord
    {
        MemberRecord(
            id: id(text, generation), profile: profile(text), state: state, incarnation: Incarnation(incarnation),
            since: Instant(nanoseconds: 500_000_000))
    }

    @Test func aMergeFollowsTheRulesOfPrecedence() {
        var rig = Rig(peers: ["b", "c", "d", "e"])
        let effects = rig.handle(
            .merge(
                [
                    record("a", .suspect), record("b"), record("c", .suspect), record("d", .dead),
                    record("e", .left), record("f"), record("g", .dead), record("h", .left),
                ], from: id("b")))
        let states = ["b", "c", "d", "e", "f", "g", "h"].map { rig.state($0) }
        #expect(states == [.alive, .suspect, .dead, .left, .alive, .dead, .left])
        #expect(rig.machine.incarnation == Incarnation(1))
        // Those met as dead are no change, they are merely shown.
        #expect(!effects.changes.contains { $0.id == id("g") || $0.id == id("h") })
        #expect(rig.machine.member(name("g"))?.since == Instant(nanoseconds: 500_000_000))
    }

    @Test func loadsComeWithAMergeIfTheyWereHeardLater() {
        var rig = Rig(peers: ["b", "c"])
        let load = LoadDigest(ready: 3)
        var told = record("c")
        told.load = load
        told.viewNumber = 2
        told.heardAt = rig.now + .seconds(5)
        #expect(
            rig.handle(.merge([told], from: id("b"))).contains(.loadChanged(id("c"), load, viewNumber: 2)) == false)
        rig.now += .milliseconds(50)
        #expect(rig.handle(.merge([told], from: id("b"))).contains(.loadChanged(id("c"), load, viewNumber: 2)))
        #expect(rig.machine.member(name("c"))?.heardAt == rig.now)
    }

    @Test func theStateOfTheDeadIsNotBelieved() {
        var rig = Rig(peers: ["b", "c"])
        _ = rig.hear([dead("b", by: "c")], from: "c")
        #expect(rig.handle(.merge([record("c", .dead), record("x")], from: id("b"))) == [])
        #expect(rig.state("c") == .alive)
        #expect(rig.state("x") == nil)
        // It outranks by its view: then it is this node that returns.
        var leader = record("b")
        leader.viewNumber = 5
        let effects = rig.handle(.merge([record("a", .dead), leader], from: id("b")))
        #expect(effects == [.declaredDead(by: id("b"))])
    }

    @Test func tombstonesAreForgottenAfterADayAndKeepTheirAgeOnTheWay() {
        var rig = Rig(peers: ["b", "c"])
        rig.now += .seconds(90_000)
        var old = record("x", .dead)
        old.since = rig.now - .seconds(86_401)
        var recent = record("y", .dead)
        recent.since = rig.now - .seconds(86_000)
        var future = record("z", .left)
        future.since = rig.now + .seconds(86_000)
        _ = rig.handle(.merge([old, recent, future], from: id("b")))
        #expect(rig.state("x") == nil)
        #expect(rig.state("y") == .dead)
        #expect(rig.machine.member(name("z"))?.since == rig.now)
        for _ in 0..<20 {
            rig.now += .seconds(30)
            _ = rig.handle(.tick)
        }
        #expect(rig.state("y") == nil)
        #expect(rig.state("z") == .left)
        // Its name may be used again all the time.
        _ = rig.hear([alive("z", generation: 11)], from: "z", generation: 11)
        #expect(rig.state("z") == .alive)
    }

    // MARK: Leaving

    @Test func aFarewellIsSpreadOftenEnoughThenThereIsSilence() {
        var rig = Rig(peers: ["b", "c", "d"])
        let first = rig.handle(.leave)
        for host in ["b", "c", "d"] { #expect(first.rumors(to: host).contains(left("a"))) }
        #expect(!first.contains(.left))
        let rest = rig.run(for: .milliseconds(500))
        #expect(rest.last == .left)
        #expect((first + rest).allRumors.filter { $0 == left("a") }.count >= 4)
        #expect(rig.machine.nextDeadline == .distantFuture)
        #expect(rig.receive(.ping(sequence: 1, target: id("a")), from: "b") == [])
        #expect(rig.handle(.tick) == [])
        #expect(rig.handle(.viewChanged(number: 3)) == [])
        #expect(rig.machine.member(name("a"))?.state == .left)
    }

    @Test func aloneTheFarewellIsSpreadAtOnce() {
        var rig = Rig()
        #expect(rig.handle(.leave) == [.left])
        #expect(rig.handle(.leave) == [])
    }

    @Test func whileLeavingAccusationsAreNotRefutedAndPingsAreAnsweredWithTheFarewell() {
        var rig = Rig(peers: ["b", "c", "d"])
        _ = rig.handle(.leave)
        let effects = rig.receive(
            .ping(sequence: 1, target: id("a")), [suspect("a"), left("a"), dead("a")], from: "b")
        #expect(effects.bodies(to: "b") == [.ack(sequence: 1, of: id("a"))])
        #expect(effects.rumors(to: "b").first == left("a"))
        #expect(rig.machine.incarnation == Incarnation(0))
    }

    @Test func theLeftAreNoLongerProbedNorReachedFor() {
        var rig = Rig(peers: ["b", "c"])
        _ = rig.hear([left("b")], from: "b")
        let effects = rig.run(for: .seconds(25), answering: ["c"])
        #expect(!effects.sent.contains { $0.host == "b" })
    }

    // MARK: Returning

    @Test func aNewGenerationStartsAfreshWithTheLivingAndReachesForTheDead() {
        var rig = Rig(peers: ["b", "c", "d"])
        _ = rig.hear([suspect("a", 3), dead("c")], from: "b")
        let effects = rig.handle(.restart(id("a", 11)))
        #expect(rig.machine.myself == id("a", 11))
        #expect(rig.machine.incarnation == Incarnation(0))
        #expect(rig.machine.localHealthScore == 0)
        #expect(rig.state("c") == nil)
        #expect(joins(effects) == ["c"])
        for host in ["b", "d"] { #expect(effects.rumors(to: host).contains(alive("a", generation: 11))) }
        // The verdict on the old one means nothing to the new one.
        #expect(!rig.hear([dead("a")], from: "b").contains(.declaredDead(by: id("b"))))
        #expect(rig.hear([dead("a", generation: 11)], from: "b").contains(.declaredDead(by: id("b"))))
    }

    @Test func whoHasLeftMayReturnAndGivesSuspectsTheirTimeAnew() {
        var rig = Rig(peers: ["b", "c"])
        _ = rig.hear([suspect("c", by: "b")], from: "b")
        _ = rig.handle(.leave)
        _ = rig.run(for: .seconds(60))
        let effects = rig.handle(.restart(id("a", 11)))
        #expect(effects.rumors(to: "b").contains(alive("a", generation: 11)))
        #expect(!rig.run(for: .milliseconds(700), answering: ["b"]).pings(to: "b").isEmpty)
        #expect(rig.state("c") == .suspect)
        _ = rig.run(for: .seconds(5), answering: ["b"])
        #expect(rig.state("c") == .dead)
    }
}
