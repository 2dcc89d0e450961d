import Primitives
import Testing

@testable import TaskLedger

/// Tasks that wait for others: what is recorded of these, and what follows.
struct DependencyTests {
    static let completed = ParentOutcome(end: .completed, result: [0x31])
    static let failed = ParentOutcome(end: .failed, failure: Sample.failure)

    private static func waiting(
        for count: Int, _ policy: TaskDependencies.FailurePolicy = .fail, needed: UInt16? = nil, due: Instant? = nil
    ) -> TaskRecord {
        let parents = (0..<count).map { Sample.task(100 + UInt64($0)) }
        let spec = TaskSpec(
            type: "t", dependencies: TaskDependencies(parents: parents, onFailure: policy, needed: needed))
        return TaskRecord(Sample.acceptance(1, spec, due: due))
    }

    @Test(
        arguments: [
            // Of two parents; how they end, one after the other, and what the child is after each.
            ("fail", nil, "cc", [TaskStatus.blocked, .pending]), ("fail", nil, "cf", [.blocked, .failed]),
            ("fail", nil, "fc", [.failed, .failed]), ("cancel", nil, "fc", [.cancelled, .cancelled]),
            ("cancel", nil, "cx", [.blocked, .cancelled]), ("run", nil, "fc", [.blocked, .pending]),
            ("run", nil, "ff", [.blocked, .pending]), ("fail", 1 as UInt16?, "fc", [.blocked, .pending]),
            ("fail", 1, "ff", [.blocked, .failed]), ("fail", 1, "cf", [.pending, .pending]),
            ("run", 1, "cf", [.pending, .pending]), ("fail", 9, "cc", [.blocked, .pending]),
            ("fail", nil, "cl", [.blocked, .failed]), ("cancel", nil, "ec", [.cancelled, .cancelled]),
        ] as [(String, UInt16?, String, [TaskStatus])])
    func thePolicyDecides(policy: String, needed: UInt16?, ends: String, statuses: [TaskStatus]) throws {
        let policy = try #require(TaskDependencies.FailurePolicy.allCases.first { $0.name == policy })
        var record = Self.waiting(for: 2, policy, needed: needed)
        #expect(record.status == .blocked)
        for (index, (letter, status)) in zip(ends, statuses).enumerated() {
            let end: ParentOutcome.End =
                switch letter {
                case "c": .completed
                case "f": .failed
                case "x": .cancelled
                case "e": .expired
                default: .lost
                }
            record.apply(
                .dependencyEnded(record.id, Sample.task(100 + UInt64(index)), ParentOutcome(end: end), at: Sample.at))
            #expect(record.status == status)
        }
        #expect((record.finishedAt != nil) == record.status.isFinal)
        if record.status == .failed {
            #expect(record.failure?.type == "dependency_failed")
            #expect(record.failure?.isRetryable == false)
        }
    }

    @Test func aParentIsHeardOfOnce() {
        var record = Self.waiting(for: 2)
        record.apply(.dependencyEnded(record.id, Sample.task(100), Self.completed, at: Sample.at))
        record.apply(.dependencyEnded(record.id, Sample.task(100), Self.failed, at: Sample.at))
        record.apply(.dependencyEnded(record.id, Sample.task(7), Self.completed, at: Sample.at))
        #expect(record.parents == [Self.completed, nil])
        #expect(record.openParents == [Sample.task(101)])
    }

    private struct Unexpected: Error {}

    @Test func aReleasedTaskWaitsForItsTime() throws {
        let due = Sample.instant(9000)
        var record = Self.waiting(for: 1, due: due)
        record.apply(.dependencyEnded(record.id, Sample.task(100), Self.completed, at: Sample.at))
        #expect(record.status == .scheduled)
        #expect(record.due == due)
        #expect(record.transitions(acceptedBy: nil).map(\.kind) == [.accepted, .released])
        let before = record.state(at: record.id.createdAt, wallClock: { _ in Sample.at })
        guard case .found(let state) = before else { throw Unexpected() }
        #expect(state.status == .blocked)
    }

    @Test func resultsAreBounded() {
        var record = Self.waiting(for: 5, .run)
        for parent in record.spec.dependencies.parents {
            let result = [UInt8](repeating: 0x31, count: Limits.parentResultBytes)
            record.apply(
                .dependencyEnded(record.id, parent, ParentOutcome(end: .completed, result: result), at: Sample.at))
        }
        #expect(record.parents.map { $0?.result != nil } == [true, true, true, true, false])
        #expect(record.parents.last??.resultBytes == UInt32(Limits.parentResultBytes))
        let large = ParentOutcome(
            .completed, result: .inline([UInt8](repeating: 0x31, count: Limits.parentResultBytes + 1)), failure: nil)
        #expect(large?.result == nil)
        #expect(large?.resultBytes == UInt32(Limits.parentResultBytes + 1))
    }

    @Test func aNewRunAsksAgainAfterThoseThatDidNotComplete() {
        var record = Self.waiting(for: 2)
        record.apply(.dependencyEnded(record.id, Sample.task(100), Self.completed, at: Sample.at))
        record.apply(.dependencyEnded(record.id, Sample.task(101), Self.failed, at: Sample.at))
        record.apply(.retried(record.id, run: 2, enqueuedAt: .zero, at: Sample.at))
        #expect(record.status == .blocked)
        #expect(record.openParents == [Sample.task(101)])
        record.apply(.dependencyEnded(record.id, Sample.task(101), Self.completed, at: Sample.at))
        #expect(record.status == .pending)
    }

    // MARK: The owner

    private static func child(of parent: TaskID, _ policy: TaskDependencies.FailurePolicy = .fail) -> TaskSpec {
        TaskSpec(type: "t", dependencies: TaskDependencies(parents: [parent], onFailure: policy))
    }

    private func ask(_ bench: inout OwnerBench) -> [TaskID] {
        bench.owner.parentsToAsk(at: bench.now, timestamp: Sample.at)
    }

    @Test func aParentOfTheSameNodeIsNotAskedFor() throws {
        var bench = OwnerBench(slots: 1)
        let parent = try bench.submit(TaskSpec(type: "t"))[0]
        let child = try bench.submit(Self.child(of: parent))[0]
        let started = bench.turn().starts
        #expect(started.map(\.id) == [parent])
        #expect(ask(&bench) == [])
        bench.report(started[0].attempt, .completed([0x37]))
        #expect(ask(&bench) == [])
        #expect(bench.owner.task(child)?.status == .blocked)
        // Committed.
        _ = bench.turn()
        #expect(bench.owner.hasQuestions(at: bench.now))
        #expect(ask(&bench) == [])
        #expect(bench.owner.task(child)?.status == .pending)
        bench.owner.slotsFree(1)
        let next = bench.turn().starts
        #expect(next.map(\.id) == [child])
        #expect(next.first?.parents == [ParentOutcome(end: .completed, result: [0x37])])
        #expect(bench.owner.derivedFault() == nil)
    }

    @Test func othersAreAskedAgainAndAgain() throws {
        var bench = OwnerBench(slots: 1)
        let child = try bench.submit(Self.child(of: Sample.task(9)))[0]
        #expect(ask(&bench) == [Sample.task(9)])
        #expect(ask(&bench) == [])
        bench.now = bench.now + Limits.parentInterval
        #expect(ask(&bench) == [Sample.task(9)])
        // A view may have given it to somebody else.
        bench.install(view: 2)
        #expect(ask(&bench) == [Sample.task(9)])
        bench.owner.dependencyEnded(Sample.task(9), Self.completed, timestamp: Sample.at)
        #expect(bench.owner.task(child)?.status == .pending)
        bench.now = bench.now + Limits.parentInterval
        #expect(ask(&bench) == [])
    }

    @Test func whatNobodyKnowsIsLostOnlyAfterAWhile() throws {
        var bench = OwnerBench(slots: 1)
        let child = try bench.submit(Self.child(of: Sample.task(9)))[0]
        for answer in 1...Limits.unknownAnswers {
            #expect(ask(&bench) == [Sample.task(9)])
            #expect(bench.owner.task(child)?.status == .blocked)
            bench.owner.parentUnknown(Sample.task(9), at: bench.now, timestamp: Sample.at)
            if answer == 1 { bench.owner.parentExists(Sample.task(9)) }
            if answer == 1 { bench.owner.parentUnknown(Sample.task(9), at: bench.now, timestamp: Sample.at) }
            bench.now = bench.now + Limits.unknownInterval
        }
        #expect(bench.owner.task(child)?.status == .failed)
        #expect(bench.owner.task(child)?.parents == [ParentOutcome(end: .lost)])
        // It is told when it is committed, and not before.
        let record = try #require(bench.owner.task(child))
        #expect(!bench.owner.isTellable(record))
        let ends = bench.turn().others.compactMap { if case .ended(let record) = $0 { record.id } else { nil } }
        #expect(ends == [child])
        #expect(bench.owner.derivedFault() == nil)
    }

    @Test func aTakeoverAsksAnew() throws {
        var bench = OwnerBench(slots: 1)
        let child = try bench.submit(Self.child(of: Sample.task(9)))[0]
        _ = ask(&bench)
        let copy = try #require(bench.owner.copy(of: Sample.ledger))
        var other = OwnerBench(slots: 1)
        other.owner.stepDown(Sample.ledger, into: &other.effects)
        other.install(view: 2, term: 2, copy: copy)
        #expect(other.owner.task(child)?.status == .blocked)
        #expect(ask(&other) == [Sample.task(9)])
        // The old one forgets what it has asked for.
        bench.owner.stepDown(Sample.ledger, into: &bench.effects)
        bench.now = bench.now + Limits.parentInterval
        #expect(ask(&bench) == [])
    }

    @Test func aReleasedTaskStartsWhenItsReleaseIsCommitted() throws {
        var bench = OwnerBench(slots: 1, backups: [Sample.replica("b")])
        let child = try bench.submit(Self.child(of: Sample.task(9)))[0]
        bench.owner.dependencyEnded(Sample.task(9), Self.completed, timestamp: Sample.at)
        #expect(bench.owner.task(child)?.status == .pending)
        #expect(bench.turn().starts == [])
        #expect(bench.owner.task(child)?.status == .processing)
    }

    @Test func whatIsBlockedCanBeCancelledChangedAndExpire() throws {
        var bench = OwnerBench(slots: 1)
        var spec = Self.child(of: Sample.task(9))
        let first = try bench.submit(spec)[0]
        spec.expiry = 1000
        let second = try bench.submit(spec)[0]
        #expect(
            bench.owner.cancel(first, request: 5, timestamp: Sample.at, into: &bench.effects) == .cancelled)
        let decision = bench.owner.carryOut(
            .change(priority: .high, delay: 500), for: second, request: 6, at: bench.now, timestamp: Sample.at)
        #expect(decision == .done)
        #expect(bench.owner.task(second)?.status == .blocked)
        #expect(bench.owner.task(second)?.due == bench.now + .milliseconds(500))
        bench.now = bench.now + .seconds(2)
        bench.wake()
        #expect(bench.owner.task(second)?.status == .expired)
        #expect(bench.owner.derivedFault() == nil)
    }
}
