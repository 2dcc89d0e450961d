import Primitives
import Testing

@testable import TaskLedger

/// What is inherited starts only when no earlier primary can start it any more (rule R3).
@Suite struct RestingTests {
    private static let rest = Duration.milliseconds(2040)

    /// A ledger as it is taken over: three tasks ready, one that the thief has, one that a removed node has.
    private static func inherited() -> LedgerCopy {
        var copy = LedgerCopy(id: Sample.ledger)
        for number in 1...5 as ClosedRange<UInt64> {
            _ = copy.append(.accepted(Sample.acceptance(number)), in: Term(1))
        }
        _ = copy.append(.leased(Sample.task(4), Sample.lease(1)), in: Term(1))
        _ = copy.append(.leased(Sample.task(5), Sample.lease(1, at: Sample.node("gone"))), in: Term(1))
        return copy
    }

    private static func takeover(rests: Duration? = rest, slots: Int = 8) -> OwnerBench {
        var bench = OwnerBench(slots: slots)
        bench.stepDown()
        bench.effects = []
        bench.install(view: 2, term: 2, restsUntil: rests.map { bench.now + $0 }, copy: inherited())
        return bench
    }

    @Test func nothingInheritedStartsOrIsGrantedBeforeItsTime() throws {
        var bench = Self.takeover()
        let end = bench.now + Self.rest
        #expect(bench.owner.restsUntil(Sample.ledger) == end)
        #expect(bench.owner.restingCount == 4)
        #expect(bench.owner.readyCount == 0)
        #expect(bench.owner.headPriority == nil)
        #expect(bench.turn().starts.isEmpty)
        #expect(bench.grant(4).isEmpty)
        #expect(bench.owner.derivedFault() == nil)

        bench.now = end - .nanoseconds(1)
        bench.wake()
        #expect(bench.turn().starts.isEmpty)

        #expect(bench.owner.nextAlarm == end)
        bench.now = end
        bench.wake()
        #expect(bench.owner.restingCount == 0)
        #expect(bench.owner.readyCount == 4)
        #expect(bench.owner.derivedFault() == nil)
        // The thief keeps the one that it has.
        let started = bench.turn().starts.map(\.id)
        #expect(started == [1, 2, 3, 5].map(Sample.task))
        #expect(bench.status(Sample.task(4)) == .processing)
    }

    @Test func aLedgerThatNeedNotRestStartsAtOnce() {
        for rest in [nil, Duration.zero, .milliseconds(-5)] {
            var bench = Self.takeover(rests: rest)
            let started = bench.turn().starts.count
            #expect(started == 4)
            #expect(bench.owner.restsUntil(Sample.ledger) == nil)
        }
    }

    /// An outcome needs no clock: it is taken while the task rests, and the task does not start afterwards.
    @Test func outcomesAndWishesAreTakenWhileTasksRest() throws {
        var bench = Self.takeover()
        let gone = AttemptID(ledger: Sample.ledger, id: Sample.task(5), token: Sample.token(1))
        bench.report(gone, .completed([1]), from: Sample.node("gone"))
        #expect(bench.status(Sample.task(5)) == .completed)
        let decision = bench.cancel(Sample.task(1))
        #expect(decision == .cancelled)
        #expect(bench.owner.derivedFault() == nil)
        bench.now += Self.rest
        bench.wake()
        #expect(bench.turn().starts.map(\.id) == [2, 3].map(Sample.task))
        #expect(bench.owner.derivedFault() == nil)
    }

    /// As long as the former primary may start tasks it also tells that they wait.
    @Test func whatIsDecidedInTheMeantimeIsToldAfterwards() throws {
        var bench = Self.takeover()
        _ = bench.turn()
        let gone = AttemptID(ledger: Sample.ledger, id: Sample.task(5), token: Sample.token(1))
        bench.report(gone, .completed([1]), from: Sample.node("gone"))
        _ = bench.cancel(Sample.task(1))
        _ = bench.carryOut(.change(priority: .high, delay: nil), for: Sample.task(2))
        func told(_ effects: [OwnerEffect]) -> [String] {
            effects.compactMap { effect in
                switch effect {
                case .ended(let record): "\(record.id)"
                case .accepted(let request): "request \(request)"
                default: nil
                }
            }
        }
        #expect(told(bench.turn().others).isEmpty)
        for id in [Sample.task(1), Sample.task(5)] {
            let record = try #require(bench.owner.task(id))
            #expect(record.status.isFinal && !bench.owner.isTellable(record))
        }

        var deposed = bench
        deposed.stepDown()
        #expect(deposed.owner.uncommittedEnds.isEmpty)
        let unconfirmed = deposed.effects.count { if case .unconfirmed = $0 { true } else { false } }
        #expect(unconfirmed == 2, "it is somebody else's to tell now")

        bench.now += Self.rest
        bench.wake()
        let all = ["\(Sample.task(5))", "\(Sample.task(1))", "request 2", "request 3"]
        #expect(Set(told(bench.turn().others)) == Set(all))
        #expect(bench.owner.uncommittedEnds.isEmpty)
        #expect(bench.owner.derivedFault() == nil)
    }

    @Test func whatBecomesReadyInTheMeantimeRestsToo() throws {
        var bench = Self.takeover()
        // A new task in a resting ledger, and one that the thief gives back.
        let ids = try bench.submit(TaskOwnerTests.spec())
        let held = AttemptID(ledger: Sample.ledger, id: Sample.task(4), token: Sample.token(1))
        bench.report(held, .released, from: Sample.thief)
        #expect(bench.turn().starts.isEmpty)
        #expect(bench.owner.restingCount == 6)
        bench.now += Self.rest
        bench.wake()
        let started = Set(bench.turn().starts.map(\.id))
        #expect(started == Set((1...5).map(Sample.task) + ids))
    }

    @Test func aTaskThatExpiresWhileItRestsDoesNotStart() throws {
        var copy = LedgerCopy(id: Sample.ledger)
        var acceptance = Sample.acceptance(1)
        acceptance.expires = Sample.instant(1500)
        _ = copy.append(.accepted(acceptance), in: Term(1))
        var bench = OwnerBench()
        bench.stepDown()
        bench.install(view: 2, term: 2, restsUntil: bench.now + Self.rest, copy: copy)
        bench.now = Sample.instant(1500)
        bench.wake()
        #expect(bench.status(Sample.task(1)) == .expired)
        bench.now += Self.rest
        bench.wake()
        #expect(bench.turn().starts.isEmpty)
        #expect(bench.owner.derivedFault() == nil)
    }

    /// Another of the node's ledgers is not held up.
    @Test func onlyTheInheritedLedgerRests() throws {
        var bench = OwnerBench(slots: 8)
        let own = try bench.submit(TaskOwnerTests.spec())
        let other = LedgerID(2)
        var copy = LedgerCopy(id: other)
        _ = copy.append(.accepted(Sample.acceptance(1)), in: Term(1))
        _ = bench.owner.install(
            viewNumber: 2,
            roles: [
                LedgerRole(ledger: Sample.ledger, term: Term(1), backups: [], isHome: true),
                LedgerRole(
                    ledger: other, term: Term(2), backups: [], isHome: false, restsUntil: bench.now + Self.rest),
            ], members: [Sample.me], at: bench.now, timestamp: Sample.at, copies: { _ in copy }, into: &bench.effects)
        #expect(bench.owner.readyCount == 1)
        #expect(bench.turn().starts.map(\.id) == own)
    }

    @Test func aRestEndsEarlierWhenItIsKnownThatNobodyIsWaitedFor() {
        var bench = Self.takeover()
        let now = bench.now
        bench.owner.shortenRests({ _ in now + .milliseconds(100) }, at: now)
        #expect(bench.owner.restsUntil(Sample.ledger) == now + .milliseconds(100))
        bench.owner.shortenRests({ _ in now + .seconds(9) }, at: now)
        #expect(bench.owner.restsUntil(Sample.ledger) == now + .milliseconds(100), "a rest is not made longer")
        bench.owner.shortenRests({ _ in nil }, at: now)
        #expect(bench.turn().starts.count == 4)
    }

    /// The next view may know more: and a ledger that is being served does not begin to rest.
    @Test func theNextViewShortensARestAndBeginsNone() {
        var bench = Self.takeover()
        bench.install(view: 3, term: 2, restsUntil: bench.now + .seconds(9))
        #expect(bench.owner.restsUntil(Sample.ledger) == bench.now + Self.rest)
        bench.install(view: 4, term: 2)
        #expect(bench.owner.restsUntil(Sample.ledger) == nil)
        bench.install(view: 5, term: 2, restsUntil: bench.now + .seconds(9))
        #expect(bench.owner.restsUntil(Sample.ledger) == nil)
        #expect(bench.turn().starts.count == 4)
    }

    @Test func aRestingLedgerThatGoesToAnotherLeavesNothingBehind() {
        var bench = Self.takeover()
        bench.stepDown()
        #expect(bench.owner.readyCount == 0)
        #expect(bench.owner.restingCount == 0)
        bench.now += Self.rest
        bench.wake()
        #expect(bench.turn().starts.isEmpty)
        // It comes back while items of before are still in the queue: they must not start what rests.
        bench.install(view: 3, term: 3, copy: Self.inherited())
        bench.stepDown()
        bench.install(view: 4, term: 4, restsUntil: bench.now + Self.rest, copy: Self.inherited())
        #expect(bench.turn().starts.isEmpty)
        bench.now += Self.rest
        bench.wake()
        #expect(bench.turn().starts.count == 4)
        #expect(bench.owner.derivedFault() == nil)
    }

    // MARK: Leases

    /// A thief is removed from the view: what it had not begun, it may still begin for a while.
    @Test func whatARemovedMemberHeldRestsAlthoughItsLedgerDoesNot() throws {
        var bench = OwnerBench(slots: 8)
        let ids = try bench.submit(TaskOwnerTests.spec(), TaskOwnerTests.spec(), TaskOwnerTests.spec())
        let granted = bench.grant(3)
        #expect(!granted.isEmpty)
        _ = bench.turn()
        let until = bench.now + Self.rest
        bench.install(view: 2, members: [Sample.me], leaseRestsUntil: until)
        #expect(bench.owner.derivedFault() == nil)
        #expect(bench.turn().starts.isEmpty)
        #expect(bench.owner.restingCount == granted.count)
        #expect(bench.owner.nextAlarm == until)
        let more = try bench.submit(TaskOwnerTests.spec())
        #expect(bench.turn().starts.map(\.id) == more, "other tasks of the ledger go on")
        bench.now = until
        bench.wake()
        let started = Set(bench.turn().starts.map(\.id))
        #expect(started == Set(granted.map(\.id)))
        #expect(started.isSubset(of: ids))
        #expect(bench.owner.derivedFault() == nil)
    }

    @Test(arguments: [true, false]) func aRevokedLeaseOfATaskThatIsOverLeavesNothing(isCancelled: Bool) throws {
        var bench = OwnerBench(slots: 0)
        let ids = try bench.submit(TaskOwnerTests.spec(delivery: isCancelled ? .atLeastOnce : .atMostOnce))
        #expect(bench.grant(1).count == 1)
        if isCancelled { _ = bench.cancel(ids[0]) }
        bench.install(view: 2, members: [Sample.me], leaseRestsUntil: bench.now + Self.rest)
        #expect(bench.status(ids[0]) == (isCancelled ? .cancelled : .failed))
        #expect(bench.owner.restingCount == 0)
        #expect(bench.owner.derivedFault() == nil)
    }

    /// The primary that voided the lease dies before the rest is over: the next one knows of it from the task's history.
    @Test(arguments: [true, false]) func aRestOutlivesThePrimaryThatBeganIt(hasEnded: Bool) throws {
        var bench = OwnerBench(slots: 8)
        let held = try bench.submit(TaskOwnerTests.spec(delivery: hasEnded ? .atMostOnce : .atLeastOnce))[0]
        #expect(bench.grant(1).count == 1)
        let free = try bench.submit(TaskOwnerTests.spec())[0]
        let until = bench.now + Self.rest
        bench.install(view: 2, members: [Sample.me], leaseRestsUntil: until)

        let deposed = bench.stepDown()
        let copy = try #require(deposed)
        bench.install(
            view: 3, term: 2, members: [Sample.me], formerRests: { $0 == Sample.thief.name ? until : nil }, copy: copy)
        #expect(bench.owner.derivedFault() == nil)
        bench.collect()
        if hasEnded { #expect(bench.carryOut(.retry, for: held) == .done) }
        #expect(bench.turn().starts.map(\.id) == [free], "only what somebody else may begin waits")
        #expect(bench.owner.nextAlarm == until)
        bench.now = until
        bench.wake()
        #expect(bench.turn().starts.map(\.id) == [held])
        #expect(bench.owner.derivedFault() == nil)
    }

    /// It expired while it ran, was interrupted, and its rest is over: it has ended, and a new run of it waits for nothing.
    @Test func aTaskThatExpiredBeforeItHasRestedCanBeRunAgain() throws {
        var bench = OwnerBench(slots: 8)
        var spec = TaskOwnerTests.spec()
        spec.expiry = 1000
        let id = try bench.submit(spec)[0]
        #expect(bench.grant(1).count == 1)
        _ = bench.turn()
        bench.now += .milliseconds(1500)
        bench.wake()
        #expect(bench.status(id) == .processing, "what has been given away does not expire")
        let until = bench.now + Self.rest
        bench.install(view: 2, members: [Sample.me], leaseRestsUntil: until)
        #expect(bench.status(id) == .pending)
        bench.now = until
        bench.wake()
        #expect(bench.status(id) == .expired)
        #expect(bench.turn().starts.isEmpty)
        #expect(bench.owner.derivedFault() == nil)
        #expect(bench.carryOut(.retry, for: id) == .done)
        #expect(bench.turn().starts.map(\.id) == [id])
        #expect(bench.owner.derivedFault() == nil)
    }

    /// Both the ledger and the lease: the longer rest holds.
    @Test func aRevokedLeaseOfARestingLedgerWaitsForBoth() {
        for (ledger, lease) in [(500, 900), (900, 500)] {
            var bench = OwnerBench(slots: 8)
            bench.stepDown()
            let now = bench.now
            bench.install(
                view: 2, term: 2, restsUntil: now + .milliseconds(ledger),
                leaseRestsUntil: now + .milliseconds(lease), copy: Self.inherited())
            var started: [TaskID: Int] = [:]
            for time in [500, 900] {
                bench.now = now + .milliseconds(time)
                bench.wake()
                for start in bench.turn().starts { started[start.id] = time }
            }
            #expect(started[Sample.task(1)] == ledger)
            #expect(started[Sample.task(5)] == 900)
            #expect(bench.owner.derivedFault() == nil)
        }
    }

    /// What rests costs nothing: a turn does not look at it.
    @Test func aLargeRestingBacklogDoesNotHoldUpATurn() throws {
        var copy = LedgerCopy(id: LedgerID(2))
        for number in 1...20_000 as ClosedRange<UInt64> {
            _ = copy.append(.accepted(Sample.acceptance(number)), in: Term(1))
        }
        var bench = OwnerBench(slots: 1)
        _ = bench.owner.install(
            viewNumber: 2,
            roles: [
                LedgerRole(ledger: Sample.ledger, term: Term(1), backups: [], isHome: true),
                LedgerRole(
                    ledger: LedgerID(2), term: Term(2), backups: [], isHome: false,
                    restsUntil: bench.now + Self.rest),
            ], members: [Sample.me], at: bench.now, timestamp: Sample.at, copies: { _ in copy }, into: &bench.effects)
        #expect(bench.owner.restingCount == 20_000)
        #expect(bench.owner.ready.head == nil, "nothing of it is in the queue")
        bench.now += Self.rest
        bench.wake()
        #expect(bench.owner.readyCount == 20_000)
    }
}
