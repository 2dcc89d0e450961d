import Primitives
import Testing

@testable import TaskLedger

/// Results that the ledger does not hold itself.
struct DetachedResultTests {
    private static let one = StoreHolder(name: Sample.me.name, store: StoreID(1))
    private static let two = StoreHolder(name: Sample.thief.name, store: StoreID(2))
    private static let three = StoreHolder(name: Sample.name("x"), store: StoreID(3))

    private static func detached(_ holders: [StoreHolder] = [one, two]) -> DetachedResult {
        DetachedResult(byteCount: 10 << 20, checksum: 7, holders: holders)
    }

    /// A task that has completed with a detached result.
    private static func completed() throws -> (bench: OwnerBench, id: ResultID) {
        var bench = OwnerBench(slots: 1, hasRegistry: false)
        let task = try bench.submit(TaskOwnerTests.spec())[0]
        let start = try #require(bench.turn().starts.first)
        bench.report(start.attempt, .completed(.detached(detached())))
        bench.collect()
        return (bench, ResultID(task: task, token: start.token))
    }

    @Test func theLedgerHoldsTheNamesOfHoldersOnly() throws {
        let (bench, id) = try Self.completed()
        #expect(bench.status(id.task) == .completed)
        #expect(bench.owner.detachedResults.map(\.id) == [id])
        #expect(bench.owner.detachedResults.first?.result == Self.detached())
        #expect(bench.owner.outcomes.cost < 2000, "ten megabytes are somewhere else")
        let outcome = try #require(bench.owner.task(id.task)?.outcome)
        #expect(outcome.result == nil)
        #expect(outcome.resultBytes == 10 << 20, "children know that they can ask for it")
        #expect(bench.owner.derivedFault() == nil)
    }

    @Test func whoKeepsItMayChange() throws {
        var (bench, id) = try Self.completed()
        bench.owner.moved(id, to: [Self.two, Self.three])
        #expect(bench.owner.detachedResults.first?.result.holders == [Self.two, Self.three])
        // Of another attempt, of nobody, of a task that is not here: nothing changes.
        bench.owner.moved(ResultID(task: id.task, token: Sample.token(9)), to: [Self.one])
        bench.owner.moved(id, to: [])
        bench.owner.moved(ResultID(task: Sample.task(99), token: id.token), to: [Self.one])
        #expect(bench.owner.detachedResults.first?.result.holders == [Self.two, Self.three])

        let deposed = bench.stepDown()
        let copy = try #require(deposed)
        bench.install(view: 2, term: 2, copy: copy)
        #expect(bench.owner.detachedResults.first?.result.holders == [Self.two, Self.three], "the next primary knows")
        #expect(bench.owner.derivedFault() == nil)
    }

    /// By that it is seen that all of them have to be looked at again: the same number of them says nothing.
    @Test func itIsToldWhenAnythingOfThemChanged() throws {
        var (bench, id) = try Self.completed()
        var seen = bench.owner.detachedChanges
        func changed() -> Bool {
            defer { seen = bench.owner.detachedChanges }
            return bench.owner.detachedChanges != seen
        }
        bench.owner.moved(id, to: [Self.two, Self.three])
        #expect(changed())
        bench.owner.moved(id, to: [Self.two, Self.three])
        _ = try bench.submit(TaskOwnerTests.spec())
        bench.collect()
        #expect(!changed(), "nothing of a result was changed")

        let deposed = bench.stepDown()
        #expect(changed(), "it is somebody else's now")
        let copy = try #require(deposed)
        bench.install(view: 2, term: 2, copy: copy)
        #expect(changed(), "it is back")
        bench.collect()
        #expect(!changed())
        bench.owner.dropExpiredOutcomes(wallClock: Timestamp(milliseconds: Int64.max / 2))
        #expect(changed(), "it is forgotten")
    }

    /// Whoever kept it is not told to remove it before that is committed, and not by who has just taken over either.
    @Test func nobodyIsFreedByWhatMayBeUndone() throws {
        var (bench, id) = try Self.completed()
        #expect(bench.owner.need(of: id, by: Self.one) == .needed)
        bench.owner.moved(id, to: [Self.two, Self.three])
        #expect(bench.owner.need(of: id, by: Self.one) == .needed)
        bench.owner.moved(id, to: [Self.three])
        bench.collect()
        #expect(bench.owner.need(of: id, by: Self.one) == .obsolete)
        #expect(bench.owner.need(of: id, by: Self.three) == .needed)
        #expect(bench.owner.need(of: ResultID(task: Sample.task(99), token: id.token), by: Self.one) == .unknown)

        let deposed = bench.stepDown()
        let copy = try #require(deposed)
        bench.install(view: 2, term: 2, copy: copy)
        #expect(bench.owner.need(of: id, by: Self.one) == .needed, "what was inherited is not committed yet")
        bench.collect()
        #expect(bench.owner.need(of: id, by: Self.one) == .obsolete)

        bench.owner.dropExpiredOutcomes(wallClock: Timestamp(milliseconds: Int64.max / 2))
        #expect(bench.owner.task(id.task) == nil)
        #expect(bench.owner.need(of: id, by: Self.three) == .needed)
        bench.collect()
        #expect(bench.owner.need(of: id, by: Self.three) == .obsolete)
        #expect(bench.owner.unsettledResults.isEmpty)
        #expect(bench.owner.derivedFault() == nil)
    }

    @Test func aLaterResultReplacesNone() throws {
        var (bench, id) = try Self.completed()
        let late = AttemptID(ledger: Sample.ledger, id: id.task, token: Sample.token(7))
        bench.report(late, .completed(.detached(Self.detached([Self.three]))), from: Sample.thief)
        #expect(bench.owner.detachedResults.first?.result == Self.detached())
        let record = try #require(bench.owner.task(id.task))
        #expect(record.need(of: late.token, by: Self.three, isSettled: true) == .obsolete)
    }

    /// What the owner of a task says to whoever keeps a result of it.
    @Test func needs() throws {
        let (bench, id) = try Self.completed()
        let done = try #require(bench.owner.task(id.task))
        var open = OwnerBench(slots: 1)
        let submitted = try open.submit(TaskOwnerTests.spec())[0]
        let waiting = try #require(open.owner.task(submitted))
        let earlier = Token(run: 0, term: Term(1), attempt: 1)
        let rows: [(TaskRecord, Token, StoreHolder, isSettled: Bool, ResultNeed)] = [
            (done, id.token, Self.one, true, .needed),
            (done, id.token, Self.three, true, .obsolete),
            // It may come to nothing.
            (done, id.token, Self.three, false, .needed),
            (done, Sample.token(8), Self.one, true, .obsolete),
            (done, Sample.token(8), Self.one, false, .needed),
            (done, Token(run: 2, term: Term(1), attempt: 1), Self.one, true, .needed),
            (done, earlier, Self.one, true, .obsolete),
            (waiting, Sample.token(1), Self.one, true, .needed),
            (waiting, earlier, Self.one, true, .obsolete),
        ]
        for (number, row) in rows.enumerated() {
            #expect(row.0.need(of: row.1, by: row.2, isSettled: row.isSettled) == row.4, "row \(number)")
        }
    }
}
