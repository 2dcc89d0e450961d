import Primitives
import Testing
import Views

/// The planner's table of situations: ledgers. Members are a to d, all vote that can, two copies.
@Suite struct LedgerPlanTests {
    struct Case: CustomTestStringConvertible {
        let title: String
        var before: [LedgerAssignment]
        var observed: Observations
        /// As `ledgerSummary`; nil: no change.
        var expected: String?
        var testDescription: String { title }
    }

    static let (a, b, c, d) = (member("a"), member("b"), member("c"), member("d"))
    static let own = [ledger(1, "a", "b"), ledger(2, "b", "c"), ledger(3, "c", "d"), ledger(4, "d", "a")]

    static func ask(_ letter: String, ledger: UInt32 = 1, view: UInt64 = 5, term: UInt64 = 1, store: UInt64? = nil)
        -> LearnerAsk
    {
        LearnerAsk(
            ledger: LedgerID(ledger), view: view, term: Term(term), learner: member(letter, store: store).replica)
    }

    static func with(_ observed: Observations, _ change: (inout Observations) -> Void) -> Observations {
        var observed = observed
        change(&observed)
        return observed
    }

    static let takeovers: [Case] = [
        Case(
            title: "a backup takes over from the dead", before: own,
            observed: observations(alive: "bcd", observed(a, .gone)), expected: "L1.2 b L2.1 b+c L3.1 c+d L4.1 d"),
        Case(
            title: "a suspect keeps its ledger", before: own,
            observed: observations(alive: "bcd", observed(a, .suspect)),
            expected: nil),
        Case(
            title: "a suspect is not made primary", before: own,
            observed: observations(alive: "cd", observed(a, .gone), observed(b, .suspect)),
            expected: "L1.1 a+b L2.1 b+c L3.1 c+d L4.1 d"),
        Case(
            title: "a restarted primary gets a higher term", before: [ledger(1, "a")] + own.dropFirst(),
            observed: observations(alive: "bcd", observed(member("a", generation: 2))),
            expected: "L1.2 a L2.1 b+c L3.1 c+d L4.1 d+a"),
        Case(
            title: "with equal logs, who owns least", before: [ledger(1, "a", "bc"), ledger(2, "b", term: 4)],
            observed: observations(alive: "bcd", observed(a, .gone)), expected: "L1.2 c+b L2.4 b L3.1 c L4.1 d"),
        Case(
            title: "the longest log wins", before: [ledger(1, "a", "bc"), ledger(2, "b", term: 4)],
            observed: with(observations(alive: "bcd", observed(a, .gone))) {
                $0.positions = [
                    ReplicaPosition(ledger: LedgerID(1), replica: c.replica, term: Term(1), sequence: 9),
                    ReplicaPosition(ledger: LedgerID(1), replica: b.replica, term: Term(2), sequence: 1),
                ]
            }, expected: "L1.2 b+c L2.4 b L3.1 c L4.1 d"),
        Case(
            title: "a drain hands over, and keeps its copy till there is another", before: own,
            observed: observations(alive: "bcd", observed(a, draining: true)),
            expected: "L1.2 b+a L2.1 b+c L3.1 c+d L4.1 d+a"),
        Case(
            title: "a drain without another copy waits", before: [ledger(1, "a")] + own.dropFirst(),
            observed: observations(alive: "bcd", observed(a, draining: true)),
            expected: "L1.1 a L2.1 b+c L3.1 c+d L4.1 d+a"),
        Case(
            title: "nobody hands over to one that drains, or is out of reach", before: own,
            observed: with(observations(alive: "cd", observed(a, draining: true), observed(b, draining: true))) {
                $0.unreachableBackups = [
                    BackupComplaint(ledger: LedgerID(2), view: 5, term: Term(1), backup: c.replica)
                ]
            }, expected: "L1.1 a+b L2.1 b L3.1 c+d L4.1 d+a"),
        Case(
            title: "who drains takes over if nobody else can", before: own,
            observed: observations(alive: "cd", observed(a, .gone), observed(b, draining: true)),
            expected: "L1.2 b L2.2 c+b L3.1 c+d L4.1 d"),
        Case(
            title: "unavailable while a store may come back", before: [ledger(1, "a", "b")],
            observed: observations(alive: "cd", observed(a, .gone), observed(member("b", generation: 2, store: 9))),
            expected: "L1.1 a+b L2.1 b L3.1 c L4.1 d"),
        Case(
            title: "lost when all its stores are", before: [ledger(1, "a", "b"), ledger(2, "c")],
            observed: observations(
                alive: "cd", observed(member("a", generation: 2, store: 8)),
                observed(member("b", generation: 2, store: 9))),
            expected: "L2.1 c L3.1 a L4.1 b L5.1 d"),
    ]

    static let backups: [Case] = [
        Case(
            title: "a learner enters by an ask", before: [ledger(1, "a")] + own.dropFirst(),
            observed: with(observations(alive: "abcd")) { $0.asks = [ask("c")] },
            expected: "L1.1 a+c L2.1 b+c L3.1 c+d L4.1 d+a"),
        Case(
            title: "an ask for another view is void", before: own,
            observed: with(observations(alive: "abcd")) { $0.asks = [ask("c", view: 4), ask("c", view: 6)] },
            expected: nil),
        Case(
            title: "an ask of another term is void", before: own,
            observed: with(observations(alive: "abcd")) { $0.asks = [ask("c", term: 2)] }, expected: nil),
        Case(
            title: "an ask does not outlive its primary", before: own,
            observed: with(observations(alive: "bcd", observed(a, .gone))) { $0.asks = [ask("c")] },
            expected: "L1.2 b L2.1 b+c L3.1 c+d L4.1 d"),
        Case(
            title: "a suspect learner is waited for", before: own,
            observed: with(observations(alive: "abd", observed(c, .suspect))) { $0.asks = [ask("c")] }, expected: nil),
        Case(
            title: "a learner with another store ends in a view like the last", before: own,
            observed: with(observations(alive: "abcd")) { $0.asks = [ask("c", store: 5)] },
            expected: "L1.1 a+b L2.1 b+c L3.1 c+d L4.1 d+a"),
        Case(
            title: "a failed learner ends in a view like the last", before: own,
            observed: with(observations(alive: "abcd")) {
                $0.asks = [ask("c")]; $0.failedAsks = [ask("c")]
            },
            expected: "L1.1 a+b L2.1 b+c L3.1 c+d L4.1 d+a"),
        Case(
            title: "an old failure changes nothing", before: own,
            observed: with(observations(alive: "abcd")) { $0.failedAsks = [ask("c", view: 4)] }, expected: nil),
        Case(
            title: "a dead backup leaves", before: own, observed: observations(alive: "acd", observed(b, .gone)),
            expected: "L1.1 a L2.2 c L3.1 c+d L4.1 d+a"),
        Case(
            title: "a restarted backup with its store stays", before: own,
            observed: observations(alive: "acd", observed(member("b", generation: 2))),
            expected: "L1.1 a+b L2.2 b+c L3.1 c+d L4.1 d+a"),
        Case(
            title: "an unreachable backup leaves", before: own,
            observed: with(observations(alive: "abcd")) {
                $0.unreachableBackups = [
                    BackupComplaint(ledger: LedgerID(1), view: 5, term: Term(1), backup: b.replica),
                    BackupComplaint(ledger: LedgerID(2), view: 4, term: Term(1), backup: c.replica),
                ]
            }, expected: "L1.1 a L2.1 b+c L3.1 c+d L4.1 d+a"),
        Case(
            title: "a draining backup leaves when its successor is there", before: own,
            observed: with(observations(alive: "acd", observed(b, draining: true))) { $0.asks = [ask("c")] },
            expected: "L1.1 a+c L2.2 c+b L3.1 c+d L4.1 d+a"),
    ]

    @Test(arguments: takeovers + backups) func ledgersFollowWhatIsObserved(example: Case) throws {
        let view = makeView("abcd", voters: "bcd", ledgers: example.before)
        let next = ViewPlanner.next(after: view, example.observed)
        #expect(next?.ledgerSummary == example.expected)
        try next?.validate(after: view)
        // What was planned is final, but for the next step of a drain.
        if let next { #expect(ViewPlanner.next(after: next, example.observed) == nil) }
    }

    @Test func lossIsReportedAndItsSlotsGoToTheOthers() throws {
        var view = makeView("abc", voters: "abc", ledgers: [ledger(1, "a"), ledger(2, "b"), ledger(3, "c")])
        view.losses = (0..<16).map { LedgerLoss(ledger: LedgerID($0), primary: name("z"), view: 2) }
        let observed = observations(alive: "bc", observed(member("a", generation: 2, store: 9)))
        let next = try #require(ViewPlanner.next(after: view, observed))
        #expect(next.ledgerSummary == "L2.1 b L3.1 c L4.1 a")
        #expect(next.losses.count == Limits.lostLedgers)
        #expect(next.losses.last == LedgerLoss(ledger: LedgerID(1), primary: name("a"), view: 6))
        #expect([2, 3, 4].map { id in next.slots.count { $0 == LedgerID(id) } } == [86, 85, 85])
        try next.validate(after: view)
    }

    @Test func drainedLedgerOfALostFounderIsDeleted() throws {
        let orphan = ledger(1, "a", "b", term: 3, founder: "z")
        let view = makeView("ab", voters: "ab", ledgers: [orphan, ledger(2, "a"), ledger(3, "b")])
        var observed = observations(alive: "ab")
        let reports: [(UInt32, UInt64, UInt64, Bool)] = [
            (1, 5, 3, true), (1, 4, 3, false), (1, 5, 2, false), (2, 5, 1, false), (9, 5, 1, false),
        ]
        for (id, number, term, isDeleted) in reports {
            observed.drainedLedgers = [DrainedLedger(ledger: LedgerID(id), view: number, term: Term(term))]
            let next = ViewPlanner.next(after: view, observed)
            #expect((next != nil) == isDeleted, "L\(id).\(term) in view \(number)")
            #expect(next?.slots.count { $0 == LedgerID(2) } == (isDeleted ? 128 : nil))
            try next?.validate(after: view)
        }
    }

    /// It was suspected wrongly: its ledger was taken over, it is back with the same store.
    @Test func aMemberThatReturnsGetsALedgerAgainAndItsOldOneDrains() throws {
        let view = makeView("ab", voters: "ab", ledgers: [ledger(1, "b", term: 2, founder: "a"), ledger(2, "b")])
        let next = try #require(ViewPlanner.next(after: view, observations(alive: "ab")))
        #expect(next.ledgerSummary == "L1.2 b L2.1 b L3.1 a")
        try next.validate(after: view)
        #expect(ViewPlanner.next(after: next, observations(alive: "ab")) == nil, "one is enough")

        var observed = observations(alive: "ab")
        observed.drainedLedgers = [DrainedLedger(ledger: LedgerID(1), view: next.number, term: Term(2))]
        let last = try #require(ViewPlanner.next(after: next, observed))
        #expect(last.ledgerSummary == "L2.1 b L3.1 a")
    }

    @Test func lastLedgerIsNeverDeleted() {
        let view = makeView("a", voters: "a", ledgers: [ledger(1, "a", founder: "z")])
        let draining = Observations(
            nodes: [observed(Self.a, draining: true)],
            drainedLedgers: [DrainedLedger(ledger: LedgerID(1), view: 5, term: .first)])
        let next = ViewPlanner.next(after: view, draining)
        #expect(next?.ledgers == view.ledgers && next?.members.first?.isDraining == true)
    }

    @Test func drainingMemberGetsNoLedger() throws {
        let view = makeView("a", voters: "a", ledgers: [ledger(1, "a")])
        let next = try #require(
            ViewPlanner.next(after: view, observations(alive: "a", observed(Self.b, draining: true))))
        #expect(next.ledgerSummary == "L1.1 a" && next.memberSummary == "ab")
    }

    @Test func positionsAreWantedWhereThereIsAChoice() {
        let view = makeView(
            "abcd", voters: "bcd", ledgers: [ledger(1, "a", "bc"), ledger(2, "a", "d"), ledger(3, "d", "b")])
        let wanted = ViewPlanner.positionsWanted(view, observations(alive: "bcd", observed(Self.a, .gone)))
        #expect(wanted.map(\.ledger) == [LedgerID(1), LedgerID(1)])
        #expect(wanted.map(\.replica) == [Self.b.replica, Self.c.replica])
        #expect(ViewPlanner.positionsWanted(view, observations(alive: "abcd")).isEmpty)
    }
}
