import Primitives
import Testing

@testable import TaskLedger

/// What clients want of tasks that do not run: every wish in every state.
@Suite struct ChangingTests {
    enum State: CaseIterable { case pending, scheduled, processing, completed, failed, cancelled, expired }

    /// A task in a state, its end committed and archived.
    static func bench(_ state: State) throws -> (bench: OwnerBench, id: TaskID) {
        var bench = OwnerBench(slots: 1)
        var spec = TaskOwnerTests.spec()
        if state == .scheduled { spec.delay = 5000 }
        if state == .expired { spec.expiry = 1000 }
        let id = try #require(try bench.submit(spec).first)
        switch state {
        case .pending, .scheduled: break
        case .processing: _ = bench.turn()
        case .completed, .failed:
            let attempt = try #require(bench.turn().starts.first).attempt
            bench.report(attempt, state == .completed ? .completed([1]) : .failed(Sample.finalFailure))
        case .cancelled: _ = bench.cancel(id)
        case .expired:
            bench.now += .seconds(2)
            bench.wake()
        }
        bench.collect()
        bench.archived(id)
        bench.effects = []
        return (bench, id)
    }

    static let table: [(wish: TaskWish, decisions: [WishDecision])] = [
        (.change(priority: .high, delay: nil), [.done, .done, .running, .ended, .ended, .ended, .ended]),
        (.change(priority: nil, delay: 9000), [.done, .done, .running, .ended, .ended, .ended, .ended]),
        (.retry, [.notEnded, .notEnded, .notEnded, .completed, .done, .done, .done]),
        (.purge, [.notEnded, .notEnded, .notEnded, .noLetter, .done, .noLetter, .noLetter]),
    ]

    @Test(arguments: table.indices) func everyWishInEveryState(row: Int) throws {
        let (wish, decisions) = Self.table[row]
        for (state, expected) in zip(State.allCases, decisions) {
            var (bench, id) = try Self.bench(state)
            let before = bench.owner.task(id)
            let decision = bench.carryOut(wish, for: id)
            #expect(decision == expected, "\(wish) of a task that is \(state)")
            bench.collect()
            let isConfirmed = bench.effects.contains { if case .accepted(request: 3) = $0 { true } else { false } }
            #expect(isConfirmed == (expected == .done))
            if expected != .done { #expect(bench.owner.task(id) == before) }
            #expect(bench.owner.derivedFault() == nil)
            #expect(bench.owner.unarchivedCount == 0)
        }
    }

    @Test func whatIsNotKnownIsSaid() {
        var bench = OwnerBench()
        for wish in [TaskWish.retry, .purge, .change(priority: .low, delay: nil)] {
            let decision = bench.carryOut(wish, for: Sample.task(9))
            #expect(decision == .unknown)
        }
    }

    @Test func aChangedPriorityOrdersTheQueue() throws {
        var bench = OwnerBench(slots: 1)
        let ids = try bench.submit(TaskOwnerTests.spec(5), TaskOwnerTests.spec(5), TaskOwnerTests.spec(5))
        let high = bench.carryOut(.change(priority: .critical, delay: nil), for: ids[2])
        // There and back: no item of before is taken for one of now.
        for priority in [Priority.critical, .normal, .low] {
            let decision = bench.carryOut(.change(priority: priority, delay: nil), for: ids[0])
            #expect(decision == .done)
        }
        #expect(high == .done)
        #expect(bench.owner.readyCount == 3)
        var order: [TaskID] = []
        while let start = bench.turn().starts.first {
            order.append(start.id)
            #expect(start.spec.priority == bench.owner.task(start.id)?.spec.priority)
            bench.report(start.attempt, .completed([]))
            bench.owner.slotsFree(1)
        }
        #expect(order == [ids[2], ids[1], ids[0]])
        #expect(bench.owner.readyCount == 0)
        #expect(bench.owner.derivedFault() == nil)
    }

    @Test func aChangedTimeIsKept() throws {
        var bench = OwnerBench(slots: 1)
        let id = try #require(try bench.submit(TaskOwnerTests.spec()).first)
        let later = bench.carryOut(.change(priority: nil, delay: 5000), for: id)
        #expect(later == .done)
        #expect(bench.status(id) == .scheduled)
        #expect(bench.turn().starts.isEmpty)
        let evenLater = bench.carryOut(.change(priority: nil, delay: 9000), for: id)
        #expect(evenLater == .done)
        bench.now += .seconds(6)
        bench.wake()
        #expect(bench.turn().starts.isEmpty, "the alarm of before does not count")
        bench.now += .seconds(3)
        bench.wake()
        #expect(bench.turn().starts.map(\.id) == [id])
    }

    @Test func whatRestsBeforeARetryStartsAtOnceIfAskedTo() throws {
        var bench = OwnerBench(slots: 1)
        let id = try #require(try bench.submit(TaskOwnerTests.spec(retries: 3)).first)
        let first = try #require(bench.turn().starts.first)
        bench.report(first.attempt, .failed(Sample.failure))
        bench.owner.slotsFree(1)
        #expect(bench.status(id) == .scheduled)
        let decision = bench.carryOut(.change(priority: nil, delay: 0), for: id)
        #expect(decision == .done)
        #expect(bench.turn().starts.map(\.token.attempt) == [2])
        #expect(bench.owner.task(id)?.failures == 1, "the retry is used up all the same")
    }

    @Test func nothingIsPutOffBeyondItsExpiry() throws {
        var bench = OwnerBench()
        var spec = TaskOwnerTests.spec()
        spec.expiry = 5000
        let id = try #require(try bench.submit(spec).first)
        let beyond = bench.carryOut(.change(priority: nil, delay: 5000), for: id)
        #expect(beyond == .wouldExpire)
        let before = bench.carryOut(.change(priority: nil, delay: 4999), for: id)
        #expect(before == .done)
    }

    @Test func aNewRunStartsFromNothing() throws {
        var (bench, id) = try Self.bench(.failed)
        bench.now += .seconds(100)
        let decision = bench.carryOut(.retry, for: id)
        #expect(decision == .done)
        let record = try #require(bench.owner.task(id))
        #expect(record.status == .pending)
        #expect(record.enqueuedAt == bench.now, "it does not pass what is new")
        #expect((record.run, record.attempts, record.failures, record.interruptions) == (2, 0, 0, 0))
        bench.owner.slotsFree(1)
        let start = try #require(bench.turn().starts.first)
        #expect(start.token == Token(run: 2, term: .first, attempt: 1))
        bench.report(start.attempt, .completed([2]))
        bench.collect()
        #expect(bench.status(id) == .completed)
        #expect(bench.owner.unarchivedCount == 1)
    }

    /// The executor of the first run may say so again, or late: neither is an outcome of the second run.
    @Test func outcomesOfAnEarlierRunDoNotCount() throws {
        var (bench, id) = try Self.bench(.failed)
        let decision = bench.carryOut(.retry, for: id)
        #expect(decision == .done)
        let first = AttemptID(ledger: Sample.ledger, id: id, token: Sample.token(1))
        bench.report(first, .failed(Sample.finalFailure))
        #expect(bench.owner.task(id)?.duplicatesDiscarded == 0, "the same report again is no second outcome")
        bench.report(AttemptID(ledger: Sample.ledger, id: id, token: Sample.token(2)), .completed([9]))
        #expect(bench.status(id) == .pending)
        #expect(bench.owner.task(id)?.duplicatesDiscarded == 1)
        bench.collect()
        let isSettled = bench.effects.contains { if case .settled([first], for: _) = $0 { true } else { false } }
        #expect(isSettled)
    }

    /// The registry has the outcome of the first run; the second one's is still to be written.
    @Test func anOldOutcomeInTheRegistryIsNotTheNewOne() throws {
        var (bench, id) = try Self.bench(.failed)
        let old = try #require(bench.owner.task(id)).resultToken
        let decision = bench.carryOut(.retry, for: id)
        #expect(decision == .done)
        bench.owner.slotsFree(1)
        let start = try #require(bench.turn().starts.first)
        bench.report(start.attempt, .completed([2]))
        bench.collect()
        bench.owner.archived(id, under: old)
        #expect(bench.owner.unarchivedCount == 1)
        bench.archived(id)
        #expect(bench.owner.unarchivedCount == 0)
    }

    /// A task that was given up since its node was lost may still be begun there for a while (rule R3).
    @Test func aNewRunWaitsForTheFenceOfTheOldOne() throws {
        var bench = OwnerBench(slots: 1)
        let id = try #require(try bench.submit(TaskOwnerTests.spec(delivery: .atMostOnce)).first)
        _ = try #require(bench.grant().first)
        let end = bench.now + .seconds(2)
        bench.install(view: 2, members: [Sample.me], leaseRestsUntil: end)
        bench.collect()
        #expect(bench.status(id) == .failed)
        let decision = bench.carryOut(.retry, for: id)
        #expect(decision == .done)
        #expect(bench.turn().starts.isEmpty)
        let change = bench.carryOut(.change(priority: nil, delay: 60_000), for: id)
        #expect(change == .unsettled)
        #expect(bench.owner.derivedFault() == nil)
        bench.now = end
        bench.wake()
        #expect(bench.turn().starts.map(\.token.run) == [2])
        #expect(bench.owner.derivedFault() == nil)
    }

    @Test func thereIsNoNewRunWithoutRoom() throws {
        var bench = OwnerBench(slots: 1, maxQueued: 1)
        let id = try #require(try bench.submit(TaskOwnerTests.spec()).first)
        let start = try #require(bench.turn().starts.first)
        bench.report(start.attempt, .failed(Sample.finalFailure))
        bench.collect()
        let early = bench.carryOut(.retry, for: id)
        #expect(early == .full, "its outcome waits for the registry, and takes the room")
        bench.archived(id)
        let decision = bench.carryOut(.retry, for: id)
        #expect(decision == .done)
    }

    @Test func whatIsNotCommittedIsNotBuiltUpon() throws {
        var bench = OwnerBench(slots: 1)
        let id = try #require(try bench.submit(TaskOwnerTests.spec()).first)
        let start = try #require(bench.turn().starts.first)
        bench.report(start.attempt, .failed(Sample.finalFailure))
        let decision = bench.carryOut(.retry, for: id)
        #expect(decision == .unsettled)
    }
}
