import Primitives
import Testing

@testable import TaskLedger

/// The owner's machine: submissions, starts, grants, upkeep. Without backups everything is committed at once.
struct OwnerBench {
    var owner: TaskOwner
    var effects: [OwnerEffect] = []
    var now = Sample.instant(1000)

    init(
        slots: Int = 2, maxQueued: Int = 1000, maxQueuedBytes: Int = 1 << 30, backups: [StoreHolder] = [],
        hasRegistry: Bool = true
    ) {
        owner = TaskOwner(
            me: Sample.me,
            settings: TaskOwner.Settings(
                slots: slots, maxQueued: maxQueued, maxQueuedBytes: maxQueuedBytes, hasRegistry: hasRegistry), seed: 1)
        install(backups: backups)
    }

    mutating func install(
        view: UInt64 = 1, term: UInt64 = 1, backups: [StoreHolder] = [], members: [NodeID] = [Sample.me, Sample.thief],
        isHome: Bool = true, restsUntil: Instant? = nil, leaseRestsUntil: Instant? = nil,
        formerRests: (NodeName) -> Instant? = { _ in nil }, copy: LedgerCopy? = nil,
        slots: Set<KeySlot> = [], moves: [SlotMove] = []
    ) {
        _ = owner.install(
            viewNumber: view,
            roles: [
                LedgerRole(
                    ledger: Sample.ledger, term: Term(term), backups: backups, isHome: isHome, restsUntil: restsUntil,
                    slots: slots, moves: moves)
            ],
            members: Set(members), leaseRests: { _ in leaseRestsUntil }, formerRests: formerRests, at: now,
            timestamp: Sample.at,
            copies: { copy ?? LedgerCopy(id: $0) }, into: &effects)
    }

    mutating func wake() { owner.wake(at: now, timestamp: Sample.at) }

    mutating func submit(_ specs: TaskSpec...) throws -> [TaskID] {
        try owner.submit(specs, request: 1, at: now, microseconds: 1)
    }

    /// Starts what can be started. Returns what was started by now, and everything else that was wanted.
    mutating func turn() -> (starts: [Assignment], others: [OwnerEffect]) {
        owner.startReady(at: now, timestamp: Sample.at, into: &effects)
        owner.collectAtOnce(into: &effects)
        defer { effects = [] }
        var result: (starts: [Assignment], others: [OwnerEffect]) = ([], [])
        for effect in effects {
            if case .start(let assignment) = effect {
                result.starts.append(assignment)
            } else {
                result.others.append(effect)
            }
        }
        return result
    }

    mutating func report(_ attempt: AttemptID, _ outcome: AttemptOutcome, from executor: NodeID = Sample.me) {
        owner.take(
            AttemptReport(attempt: attempt, outcome: outcome), from: executor, at: now, timestamp: Sample.at,
            into: &effects)
    }

    /// Grants up to `limit` tasks to the thief.
    mutating func grant(_ limit: Int = 1, minimum: Priority = .low, bytes: Int = 1 << 20) -> [Assignment] {
        _ = owner.grant(
            to: Sample.thief, slots: 64, limit: limit, minimumPriority: minimum, bytes: bytes, at: now,
            timestamp: Sample.at)
        owner.collectAtOnce(into: &effects)
        defer { effects = [] }
        return effects.flatMap { effect -> [Assignment] in
            if case .grant(let assignments, Sample.thief) = effect { assignments } else { [] }
        }
    }

    /// Returns what the next primary takes over.
    @discardableResult
    mutating func stepDown() -> LedgerCopy? {
        owner.stepDown(Sample.ledger, into: &effects)
        return effects.compactMap { if case .deposed(let copy) = $0 { copy } else { nil } }.last
    }
    mutating func collect() { owner.collectAtOnce(into: &effects) }
    mutating func adopt(_ tail: [LedgerEntry]) {
        owner.adopt(tail, into: Sample.ledger, timestamp: Sample.at, effects: &effects)
    }

    mutating func cancel(_ id: TaskID) -> CancelDecision {
        owner.cancel(id, request: 2, timestamp: Sample.at, into: &effects)
    }

    mutating func archived(_ id: TaskID) {
        if let token = owner.task(id)?.resultToken { owner.archived(id, under: token) }
    }

    mutating func carryOut(_ wish: TaskWish, for id: TaskID) -> WishDecision {
        owner.carryOut(wish, for: id, request: 3, at: now, timestamp: Sample.at)
    }

    /// Whether a look after the replicas finds that the ledger has drained.
    mutating func isDrained() -> Bool {
        effects = []
        owner.lookAfterReplicas(candidates: [], copies: 2, at: now, isLinked: { _ in true }, into: &effects)
        return effects.contains { if case .drained(Sample.ledger, Term(2), view: 2) = $0 { true } else { false } }
    }

    /// Offers entries that only another replica has; true once they are adopted and committed.
    mutating func isAdopted(_ tail: [LedgerEntry]) -> Bool {
        effects = []
        owner.adopt(tail, into: Sample.ledger, request: 4, timestamp: Sample.at, effects: &effects)
        owner.collectAtOnce(into: &effects)
        return effects.contains { if case .accepted(request: 4) = $0 { true } else { false } }
    }

    func status(_ id: TaskID) -> TaskStatus? { owner.task(id)?.status }
}

@Suite struct TaskOwnerTests {
    static func spec(
        _ priority: Int = 5, retries: UInt16 = 0, delivery: TaskSpec.Delivery = .atLeastOnce, payload: Int = 4
    ) -> TaskSpec {
        TaskSpec(
            type: "t", payload: Array(repeating: 0, count: payload), priority: Priority(priority) ?? .normal,
            retry: RetryPolicy(maxRetries: retries), delivery: delivery)
    }

    @Test func submissionIsAllOrNothingAndRefusedWhenFull() throws {
        var bench = OwnerBench(maxQueued: 2)
        #expect(throws: OwnerRefusal.full) { try bench.submit(Self.spec(), Self.spec(), Self.spec()) }
        #expect(bench.owner.openCount == 0)
        #expect(try bench.submit(Self.spec(), Self.spec()).count == 2)
        #expect(throws: OwnerRefusal.full) { try bench.submit(Self.spec()) }
        bench.stepDown()
        #expect(throws: OwnerRefusal.notAnOwner) { try bench.submit(Self.spec()) }
    }

    @Test func acceptedIsSaidOnlyWhenBackupsHoldIt() throws {
        var bench = OwnerBench(backups: [Sample.replica("b")])
        _ = try bench.submit(Self.spec())
        #expect(bench.turn().others.isEmpty)
        bench.stepDown()
        let isUnconfirmed = bench.turn().others.contains {
            if case .unconfirmed(request: 1) = $0 { true } else { false }
        }
        #expect(isUnconfirmed)
    }

    @Test func bestPriorityStartsFirstAsLongAsSlotsAreFree() throws {
        var bench = OwnerBench(slots: 2)
        let ids = try bench.submit(Self.spec(1), Self.spec(10), Self.spec(5))
        #expect(bench.turn().starts.map(\.id) == [ids[1], ids[2]])
        bench.owner.slotsFree(1)
        #expect(bench.turn().starts.map(\.id) == [ids[0]])
        #expect(bench.owner.derivedFault() == nil)
    }

    @Test func startThatMustNotBeRepeatedWaitsForItsCommit() throws {
        var bench = OwnerBench(backups: [Sample.replica("b")])
        let ids = try bench.submit(Self.spec(10, delivery: .atMostOnce), Self.spec(1))
        #expect(bench.turn().starts.map(\.id) == [ids[1]])
        #expect(bench.owner.reserved == 1)
        bench.install(view: 2)
        #expect(bench.turn().starts.map(\.id) == [ids[0]])
        #expect(bench.owner.reserved == 0)
    }

    @Test func pausedOwnerStartsAndGrantsNothing() throws {
        var bench = OwnerBench()
        _ = try bench.submit(Self.spec())
        bench.owner.isPaused = true
        #expect(bench.turn().starts.isEmpty)
        #expect(bench.grant().isEmpty)
    }

    @Test func everySecondTaskIsGrantedAndTheNextOneKept() throws {
        var bench = OwnerBench()
        let ids = try bench.submit(Self.spec(), Self.spec(), Self.spec(), Self.spec(), Self.spec())
        #expect(bench.grant(9).map(\.id) == [ids[1], ids[3]])
        #expect(bench.owner.readyCount == 3)
        #expect(bench.turn().starts.map(\.id) == [ids[0], ids[2]])
    }

    @Test func onlyReadyTaskIsGranted() throws {
        var bench = OwnerBench()
        let ids = try bench.submit(Self.spec())
        #expect(bench.grant().map(\.id) == ids)
    }

    @Test func grantIsBoundedByPriorityAndBytes() throws {
        var bench = OwnerBench()
        let ids = try bench.submit(
            Self.spec(9), Self.spec(9, payload: 600), Self.spec(9), Self.spec(9, payload: 600), Self.spec(2),
            Self.spec(2))
        #expect(bench.grant(9, minimum: .high, bytes: 1000).map(\.id) == [ids[1]])
        #expect(bench.grant(9, bytes: 1).count == 1, "one task is granted however large")
        #expect(bench.owner.derivedFault() == nil)
    }

    @Test func failedAttemptRestsWithinTheBoundsOfItsBackoff() throws {
        var bench = OwnerBench(slots: 1)
        let id = try #require(try bench.submit(Self.spec(retries: 2)).first)
        for retry in 1...2 as ClosedRange<Int64> {
            let start = try #require(bench.turn().starts.first)
            bench.report(start.attempt, .failed(Sample.failure))
            let due = try #require(bench.owner.task(id)?.due)
            #expect(((due - bench.now).milliseconds) >= 800 << (retry - 1))
            #expect(((due - bench.now).milliseconds) <= 1200 << (retry - 1))
            #expect(bench.owner.nextAlarm == due)
            bench.owner.slotsFree(1)
            #expect(bench.turn().starts.isEmpty)
            bench.now = due
            bench.owner.wake(at: due, timestamp: Sample.at)
        }
        let last = try #require(bench.turn().starts.first)
        #expect(last.token == Sample.token(3))
        bench.report(last.attempt, .failed(Sample.failure))
        #expect(bench.status(id) == .failed)
    }

    @Test(arguments: [false, true]) func finalFailureIsNotRetried(isRetryable: Bool) throws {
        var bench = OwnerBench()
        let id = try #require(
            try bench.submit(Self.spec(retries: 5, delivery: isRetryable ? .atMostOnce : .atLeastOnce)).first)
        let start = try #require(bench.turn().starts.first)
        bench.report(start.attempt, .failed(isRetryable ? Sample.failure : Sample.finalFailure))
        #expect(bench.status(id) == .failed)
    }

    @Test func taskThatIsNotStartedInTimeExpires() throws {
        var bench = OwnerBench(slots: 1)
        var spec = Self.spec()
        spec.expiry = 100
        let ids = try bench.submit(spec, spec)
        #expect(bench.turn().starts.map(\.id) == [ids[0]])
        bench.now = bench.now + .milliseconds(100)
        bench.owner.wake(at: bench.now, timestamp: Sample.at)
        #expect(bench.status(ids[1]) == .expired)
        #expect(bench.status(ids[0]) == .processing, "what was started goes on")
    }

    @Test func delayedTaskIsReadyWhenItIsDue() throws {
        var bench = OwnerBench()
        var spec = Self.spec()
        spec.delay = 50
        let id = try #require(try bench.submit(spec).first)
        #expect(bench.turn().starts.isEmpty)
        bench.now = bench.now + .milliseconds(50)
        bench.owner.wake(at: bench.now, timestamp: Sample.at)
        #expect(bench.turn().starts.map(\.id) == [id])
    }

    @Test func cancellationInEveryState() throws {
        var bench = OwnerBench(slots: 1)
        var delayed = Self.spec()
        delayed.delay = 1000
        let ids = try bench.submit(Self.spec(), Self.spec(), delayed)
        let start = try #require(bench.turn().starts.first)
        #expect(bench.cancel(ids[1]) == .cancelled)
        #expect(bench.cancel(ids[2]) == .cancelled)
        #expect(bench.cancel(ids[2]) == .finished)
        #expect(bench.cancel(Sample.task(99)) == .unknown)
        #expect(bench.cancel(ids[0]) == .requested)
        #expect(bench.status(ids[0]) == .processing)
        let isStopped = bench.turn().others.contains {
            if case .stop(start.attempt, Sample.me) = $0 { true } else { false }
        }
        #expect(isStopped)
        bench.report(start.attempt, .stopped)
        #expect(bench.status(ids[0]) == .cancelled)
        #expect(bench.owner.derivedFault() == nil)
    }

    @Test func suspectedPoisonRunsAloneAndIsGivenUpInTheEnd() throws {
        var bench = OwnerBench(slots: 2)
        let id = try #require(try bench.submit(Self.spec(10)).first)
        for round in 0..<Limits.interruptions {
            bench.owner.slotsFree(2)
            let isAlone = round >= Limits.neighbourlyInterruptions
            if isAlone {
                bench.owner.slotsFree(1)
                #expect(bench.turn().starts.isEmpty, "it waits until nothing else runs")
                bench.owner.slotsFree(2)
            }
            let start = try #require(bench.turn().starts.first)
            #expect(start.isSolitary == isAlone)
            let record = try #require(bench.owner.task(id))
            let lease = try #require(record.lease)
            bench.owner.interrupt(record, lease, isBlamed: true, in: 0, timestamp: Sample.at)
        }
        #expect(bench.status(id) == .failed)
        #expect(bench.owner.task(id)?.failure?.type == "poison")
        #expect(bench.owner.solitary == nil)
    }

    /// The start of what was inherited waits until it is committed: it might be what took the process down.
    @Test func inheritedStartsWaitForTheirCommit() throws {
        for backups in [[], [Sample.replica("b")]] {
            var bench = OwnerBench(slots: 2)
            let old = try bench.submit(Self.spec(10))
            bench.install(view: 2, term: 2, backups: backups)
            let new = try bench.submit(Self.spec(5))
            bench.owner.slotsFree(2)
            bench.effects = []
            bench.owner.startReady(at: bench.now, timestamp: Sample.at, into: &bench.effects)
            let starts = bench.effects.compactMap { effect -> TaskID? in
                if case .start(let assignment) = effect { assignment.id } else { nil }
            }
            #expect(starts == new)
            #expect(bench.owner.task(old[0])?.status == .processing)
        }
    }
}
