import Primitives
import Testing

@testable import TaskLedger

/// Which entries are committed, who is sent what, and when a learner is asked for (rules R2 and R5).
@Suite struct LedgerPrimaryTests {
    static let (a, b) = (Sample.replica("a"), Sample.replica("b"))

    var primary = LedgerPrimary<Int>(LedgerCopy(id: Sample.ledger), term: Term(1), viewNumber: 1)
    var effects: [ReplicationEffect] = []
    /// What the nodes at the other end hold.
    var replicas: [NodeName: Replica] = [:]

    mutating func append(_ count: Int = 1, payload: Int = 0) {
        for _ in 0..<count {
            let next = primary.copy.last.sequence + 1
            primary.append(Sample.entry(1, next, payload: payload).event, then: Int(next))
        }
    }

    /// Carries requests and answers to and fro until there are none; what is not for replicas is returned.
    mutating func exchange(with names: [NodeName]) -> [ReplicationEffect] {
        var others: [ReplicationEffect] = []
        primary.flush(isLinked: names.contains, into: &effects)
        while !effects.isEmpty {
            let effect = effects.removeFirst()
            switch effect {
            case .append(let request, let holder, let epoch):
                reply(holder, epoch) { $0.handle(request) }
            case .copy(let request, let holder, let epoch):
                reply(holder, epoch) { $0.handle(request) }
            case .askToList, .askFailed, .unreachable:
                others.append(effect)
            }
            primary.flush(isLinked: names.contains, into: &effects)
        }
        return others
    }

    mutating func flush() { primary.flush(isLinked: { _ in true }, into: &effects) }

    private mutating func reply(_ holder: StoreHolder, _ epoch: UInt32, _ handle: (inout Replica) -> ReplicaReply) {
        let reply = handle(&replicas[holder.name, default: Replica(id: Sample.ledger)])
        _ = primary.handle(reply, from: holder.name, epoch: epoch, at: .zero, into: &effects)
    }

    @Test mutating func withoutBackupsAllIsCommittedAtOnce() {
        append(2)
        #expect(primary.commitAtOnce() == [1, 2])
        #expect(primary.commitAtOnce() == [])
    }

    @Test mutating func everyListedBackupHasToHoldAnEntry() {
        primary.install(viewNumber: 2, backups: [Self.a, Self.b])
        append(3)
        #expect(primary.commitAtOnce() == [])
        _ = exchange(with: [Self.a.name])
        #expect(primary.commitAtOnce() == [])
        _ = exchange(with: [Self.b.name])
        #expect(primary.commitAtOnce() == [1, 2, 3])
        #expect(primary.committed == 3)
        append()
        _ = exchange(with: [Self.a.name])
        #expect(primary.commitAtOnce() == [])
        primary.install(viewNumber: 3, backups: [Self.a])
        #expect(primary.commitAtOnce() == [4], "only a view releases a backup")
    }

    @Test mutating func learnerIsAskedForOnceItHoldsAllAndThenWaitedFor() {
        append(3)
        #expect(primary.commitAtOnce() == [1, 2, 3])
        primary.addLearner(Self.a)
        let asks = exchange(with: [Self.a.name])
        guard case .askToList(_, _, Self.a, view: 1)? = asks.first, asks.count == 1 else {
            Issue.record("\(asks)")
            return
        }
        append()
        #expect(primary.commitAtOnce() == [], "from the ask on it is required")
        _ = exchange(with: [Self.a.name])
        #expect(primary.commitAtOnce() == [4])
    }

    @Test mutating func viewThatDoesNotListTheLearnerReleasesIt() {
        primary.addLearner(Self.a)
        _ = exchange(with: [Self.a.name])
        append()
        #expect(primary.commitAtOnce() == [])
        primary.install(viewNumber: 2, backups: [])
        #expect(primary.commitAtOnce() == [1])
        #expect(primary.learner == nil, "it has to be chosen anew, or it would be asked for in every view")
    }

    /// What earlier terms left may be committed: a learner without it is not asked for.
    @Test mutating func newPrimaryAsksForNobodyWhoLacksWhatItInherited() {
        var copy = LedgerCopy(id: Sample.ledger)
        for sequence in 1...3 as ClosedRange<UInt64> { copy.take(Sample.entry(1, sequence)) }
        primary = LedgerPrimary<Int>(copy, term: Term(2), viewNumber: 5)
        primary.install(viewNumber: 5, backups: [Self.b])
        primary.addLearner(Self.a)
        primary.flush(isLinked: { $0 == Self.a.name }, into: &effects)
        _ = primary.handle(
            .mismatch(last: Sample.place(1, 2), tail: [], isWhole: true), from: Self.a.name, epoch: 1, at: .zero,
            into: &effects)
        primary.askAgain(into: &effects)
        #expect(!effects.contains { if case .askToList = $0 { true } else { false } })
        replicas[Self.a.name] = Replica(LedgerCopyTests.copy([Sample.entry(1, 1), Sample.entry(1, 2)]))
        effects = []
        primary.linkDown(Self.a.name, at: .zero)
        let asks = exchange(with: [Self.a.name])
        #expect(asks.contains { if case .askToList = $0 { true } else { false } })
        #expect(replicas[Self.a.name]?.copy.last == Sample.place(1, 3))
    }

    @Test mutating func windowBoundsTheRequestsUnderWay() {
        primary.install(viewNumber: 2, backups: [Self.a])
        _ = exchange(with: [Self.a.name])
        append(3 * Limits.replicationWindow, payload: Limits.appendBytes)
        primary.flush(isLinked: { _ in true }, into: &effects)
        #expect(effects.count == Limits.replicationWindow)
        primary.flush(isLinked: { _ in true }, into: &effects)
        #expect(effects.count == Limits.replicationWindow)
        _ = exchange(with: [Self.a.name])
        #expect(primary.commitAtOnce().count == 3 * Limits.replicationWindow)
    }

    @Test mutating func answersOfABrokenLinkAreIgnored() {
        primary.install(viewNumber: 2, backups: [Self.a])
        _ = exchange(with: [Self.a.name])
        append()
        primary.flush(isLinked: { _ in true }, into: &effects)
        effects = []
        primary.linkDown(Self.a.name, at: .zero)
        _ = primary.handle(.held(Sample.place(1, 1)), from: Self.a.name, epoch: 0, at: .zero, into: &effects)
        #expect(primary.commitAtOnce() == [])
        _ = exchange(with: [Self.a.name])
        #expect(primary.commitAtOnce() == [1])
    }

    @Test mutating func copyGoesOnWhileEntriesComeAndLinksBreak() {
        for cut in 0..<12 {
            var test = LedgerPrimaryTests()
            test.append(20, payload: 100_000)
            test.replicas[Self.a.name] = Replica(LedgerCopyTests.copy([Sample.entry(1, 1), Sample.entry(7, 2)]))
            test.primary = LedgerPrimary<Int>(test.primary.copy, term: Term(8), viewNumber: 1)
            test.primary.install(viewNumber: 1, backups: [Self.a])
            test.flush()
            // Each copy that is begun has a number of its own, which all its chunks have.
            var number: UInt64 = 0
            for step in 0..<40 where !test.effects.isEmpty {
                let effect = test.effects.removeFirst()
                if step == cut {
                    test.effects = []
                    test.primary.linkDown(Self.a.name, at: .zero)
                } else if case .append(let request, let holder, let epoch) = effect {
                    test.reply(holder, epoch) { $0.handle(request) }
                } else if case .copy(let request, let holder, let epoch) = effect {
                    #expect(request.isFirst ? request.number > number : request.number == number)
                    number = request.number
                    test.reply(holder, epoch) { $0.handle(request) }
                }
                if step.isMultiple(of: 2) {
                    let next = test.primary.copy.last.sequence + 1
                    test.primary.append(Sample.entry(1, next).event, then: Int(next))
                }
                test.flush()
            }
            _ = test.exchange(with: [Self.a.name])
            _ = test.primary.commitAtOnce()
            #expect(test.primary.committed == test.primary.copy.last.sequence, "cut at \(cut)")
            let tasks = test.replicas[Self.a.name]?.copy.state.sortedIDs.map(\.low)
            let differing = test.primary.copy.state.sortedIDs.filter {
                test.replicas[Self.a.name]?.copy.state[$0] != test.primary.copy.state[$0]
            }
            #expect(differing.map(\.low) == [], "cut at \(cut)")
            #expect(tasks == test.primary.copy.state.sortedIDs.map(\.low), "cut at \(cut)")
            #expect(test.replicas[Self.a.name]?.copy.last == test.primary.copy.last)
        }
    }

    @Test mutating func otherHistoryIsOfferedForAdoption() {
        primary.install(viewNumber: 2, backups: [Self.a])
        append(2)
        primary.flush(isLinked: { _ in true }, into: &effects)
        let tail = [Sample.entry(7, 9)]
        let answer = primary.handle(
            .mismatch(last: Sample.place(7, 9), tail: tail, isWhole: true), from: Self.a.name, epoch: 0, at: .zero,
            into: &effects)
        guard case .adopt(tail) = answer else {
            Issue.record("\(answer)")
            return
        }
    }

    /// A backup that still is primary itself, in an earlier view, does not depose its successor.
    @Test mutating func onlyAHigherTermDeposes() {
        primary.install(viewNumber: 2, backups: [Self.a])
        append()
        for (term, isSealed) in [(1, false), (2, true)] as [(UInt64, Bool)] {
            effects = []
            primary.flush(isLinked: { _ in true }, into: &effects)
            guard case .append(_, _, let epoch)? = effects.first else {
                Issue.record("\(effects)")
                return
            }
            let answer = primary.handle(.sealed(Term(term)), from: Self.a.name, epoch: epoch, at: .zero, into: &effects)
            if case .sealed(Term(2)) = answer { #expect(isSealed) } else { #expect(!isSealed) }
        }
    }

    @Test mutating func backupWithoutAWordIsReportedAndFailedLearnerToo() {
        primary.install(viewNumber: 2, backups: [Self.a])
        _ = exchange(with: [Self.a.name])
        primary.addLearner(Self.b)
        _ = exchange(with: [Self.a.name, Self.b.name])
        primary.linkDown(Self.a.name, at: .zero)
        primary.linkDown(Self.b.name, at: .zero)
        effects = []
        let patience = Instant.zero + Limits.backupPatience
        primary.sweep(at: patience, isLinked: { _ in false }, into: &effects)
        #expect(effects.count == 1, "only the ask is repeated: \(effects)")
        effects = []
        primary.sweep(at: patience + .nanoseconds(1), isLinked: { _ in false }, into: &effects)
        #expect(effects.contains { if case .unreachable(_, _, Self.a, view: 2) = $0 { true } else { false } })
        #expect(effects.contains { if case .askFailed(_, _, Self.b, view: 2) = $0 { true } else { false } })
        append()
        #expect(primary.commitAtOnce() == [], "until a later view both are waited for")
    }

    /// Its link is up, and it answers nothing: a full disk, say. One that was stopped finds old requests, and their answers
    /// right after them, so it is looked at several times.
    @Test mutating func silentBackupIsReportedOnceItWasLookedAtOften() {
        primary.install(viewNumber: 2, backups: [Self.a])
        _ = exchange(with: [Self.a.name])
        append()
        flush()
        effects = []
        let late = Instant.zero + Limits.backupPatience + .nanoseconds(1)
        for now in [.zero, late, late] {
            primary.sweep(at: now, isLinked: { _ in true }, into: &effects)
            #expect(effects.isEmpty, "\(effects)")
        }
        primary.sweep(at: late, isLinked: { _ in true }, into: &effects)
        #expect(effects.contains { if case .unreachable(_, _, Self.a, view: 2) = $0 { true } else { false } })
    }

    @Test mutating func restsOnlyWhenEverybodyHasEverything() {
        let isLinked: (NodeName) -> Bool = { $0 == Self.a.name }
        #expect(primary.isAtRest(isLinked: isLinked))
        primary.install(viewNumber: 2, backups: [Self.a])
        #expect(!primary.isAtRest(isLinked: isLinked), "it was not located")
        _ = exchange(with: [Self.a.name])
        _ = primary.commitAtOnce()
        #expect(primary.isAtRest(isLinked: isLinked))
        #expect(!primary.isAtRest { _ in false }, "a lost link is to be noticed")
        append()
        #expect(!primary.isAtRest(isLinked: isLinked))
        _ = exchange(with: [Self.a.name])
        #expect(!primary.isAtRest(isLinked: isLinked), "something hangs on the commit")
        _ = primary.commitAtOnce()
        #expect(primary.isAtRest(isLinked: isLinked))
        primary.addLearner(Self.b)
        #expect(!primary.isAtRest(isLinked: isLinked))
    }

    @Test mutating func congestionEndsWithTheCommit() {
        primary.install(viewNumber: 2, backups: [Self.a])
        append(65, payload: 1 << 20)
        #expect(primary.isCongested)
        _ = exchange(with: [Self.a.name])
        _ = primary.commitAtOnce()
        #expect(!primary.isCongested)
    }
}
