import Primitives
import Testing
import Views

/// Views that no majority decides, as they are planned and reported. Members and voters are a, b, c.
@Suite struct ForcedViewTests {
    static let view = makeView(
        "abc", voters: "abc",
        ledgers: [ledger(1, "a", "b", term: 4), ledger(2, "b", "c"), ledger(3, "c", "b"), ledger(4, "a", "c")])

    static func gone(_ letter: String, proven: Bool = true) -> ObservedNode {
        var node = observed(member(letter), .gone)
        node.isExitProven = proven
        return node
    }

    @Test func onlyAMinorityWithProofAboutAllOthersMayForce() {
        let cases: [(Observations, Bool)] = [
            (observations(alive: "a", Self.gone("b"), Self.gone("c")), true),
            (observations(alive: "ab", Self.gone("c")), false),
            (observations(alive: "a", Self.gone("b"), Self.gone("c", proven: false)), false),
            (observations(alive: "a", Self.gone("b")), false),
            (observations(alive: "a", Self.gone("b"), observed(member("c", generation: 2, disk: 1))), false),
        ]
        for (index, (seen, mayForce)) in cases.enumerated() {
            #expect(ViewPlanner.mayForce(after: Self.view, seen) == mayForce, "case \(index)")
        }
        let two = makeView("ab", voters: "ab", ledgers: [ledger(1, "a")])
        #expect(!ViewPlanner.mayForce(after: two, observations(alive: "a", Self.gone("b"))), "two have other rules")
    }

    @Test func survivorsKeepWhatMayComeBack() throws {
        let seen = observations(alive: "a", Self.gone("b"), Self.gone("c"))
        let forced = try #require(ViewPlanner.forced(after: Self.view, seen, salt: 2))
        let jump: UInt64 = 1_000_002
        #expect(forced.number == 5 + jump)
        #expect(forced.ledgerSummary == "L1.\(4 + jump) a L2.\(1 + jump) b+c L3.\(1 + jump) c+b L4.\(1 + jump) a")
        #expect(forced.nextLedger.rawValue == 5 + 3 * 1024 && forced.losses.isEmpty)
        #expect(forced.voterSummary == "a" && forced.exits.map(\.name) == [name("b"), name("c")])
        try forced.validate(after: Self.view)
    }

    @Test func anOperatorGivesUpWhatNobodyHas() throws {
        // b is only suspected: it is missing all the same.
        let seen = observations(alive: "a", observed(member("b"), .suspect))
        let forced = try #require(ViewPlanner.recovered(after: Self.view, seen, salt: 0))
        #expect(forced.ledgerSummary == "L1.1000004 a L4.1000001 a")
        #expect(forced.losses.map(\.ledger) == [LedgerID(2), LedgerID(3)])
        #expect(forced.losses.allSatisfy { $0.view == forced.number })
        #expect(forced.memberSummary == "a" && forced.slots.allSatisfy { [LedgerID(1), LedgerID(4)].contains($0) })
        try forced.validate(after: Self.view)
        #expect(ViewPlanner.next(after: forced, seen) == nil)
    }

    @Test func restartedMembersTakeOverAndTheLongestWins() throws {
        var seen = Observations(nodes: [observed(member("b", generation: 2)), observed(member("c", generation: 2))])
        seen.positions = [
            ReplicaPosition(ledger: LedgerID(2), replica: member("c").replica, term: Term(1), sequence: 9),
            ReplicaPosition(ledger: LedgerID(2), replica: member("b").replica, term: Term(1), sequence: 8),
        ]
        let forced = try #require(ViewPlanner.recovered(after: Self.view, seen, salt: 0))
        let places = forced.ledgers.map { "\($0.id) \($0.primary.name)" }
        #expect(places.prefix(2) == ["L1 b", "L2 c"])
        let wanted = ViewPlanner.positionsWantedToForce(Self.view, seen)
        #expect(Set(wanted.map(\.ledger)) == [LedgerID(2), LedgerID(3)])
        try forced.validate(after: Self.view)
    }

    @Test func whoHasGoneOnWithoutABreakKeepsItsLedger() throws {
        var seen = observations(alive: "ab")
        seen.positions = [
            ReplicaPosition(ledger: LedgerID(1), replica: member("b").replica, term: Term(9), sequence: 9)
        ]
        let forced = try #require(ViewPlanner.recovered(after: Self.view, seen, salt: 0))
        #expect(forced.ledgers[0].primary == member("a").replica && forced.ledgers[0].term == Term(1_000_004))
    }

    @Test func numbersOfTwoForcedViewsDiffer() throws {
        let seen = observations(alive: "a")
        let numbers = try [0, 1, 999_999, 1_000_000].map {
            try #require(ViewPlanner.recovered(after: Self.view, seen, salt: $0)).number
        }
        #expect(numbers == [1_000_005, 1_000_006, 2_000_004, 1_000_005])
    }

    static let illegal: [(String, @Sendable (inout View) -> Void)] = [
        ("a jump that is too short", { $0.number = 1_000_004 }),
        ("a jump that is too long", { $0.number += 1_000_000 }),
        ("a term that does not jump", { $0.ledgers[0].term = Term(5) }),
        ("a term that jumps further", { $0.ledgers[0].term = Term(1_000_005) }),
        ("a new ledger where others may have made one", { view in view.ledgers.append(ledger(100, "a")) }),
        ("no gap for ledgers", { $0.nextLedger = LedgerID(1028) }),
        ("a replica that was not listed", { $0.ledgers[1].backups = [member("b").replica] }),
    ]

    @Test(arguments: illegal.indices) func forcedViewIsCheckedAsWell(index: Int) throws {
        var view = try #require(ViewPlanner.recovered(after: Self.view, observations(alive: "ac"), salt: 0))
        view.members.append(member("d"))
        try view.validate(after: Self.view)
        Self.illegal[index].1(&view)
        if index == 6 { view.ledgers[1].backups = [member("d").replica] }
        #expect(throws: ViewError.self, "\(Self.illegal[index].0)") { try view.validate(after: Self.view) }
    }

    @Test func exitsAreNotedAndCauseNothing() throws {
        let seen = observations(alive: "ab", Self.gone("c"))
        let next = try #require(ViewPlanner.next(after: Self.view, seen))
        #expect(next.exits == [member("c").id])
        try next.validate(after: Self.view)
        #expect(ViewPlanner.next(after: next, seen) == nil)
        let unproven = observations(alive: "ab", Self.gone("c", proven: false))
        #expect(try #require(ViewPlanner.next(after: Self.view, unproven)).exits.isEmpty)
        #expect(ViewPlanner.next(after: next, unproven) == nil, "what was noted stays")
        // Another generation's end says nothing about the member.
        var other = observed(member("c", generation: 2), .gone)
        other.isExitProven = true
        let later = Observations(nodes: [observed(member("a")), observed(member("b")), other])
        #expect(try #require(ViewPlanner.next(after: Self.view, later)).exits.isEmpty)
    }

    @Test func markIsCarriedByTwoVotersAsLongAsItIsGood() throws {
        let two = makeView("ab", voters: "ab", ledgers: [ledger(1, "a"), ledger(2, "b")])
        var seen = observations(alive: "ab")
        #expect(ViewPlanner.next(after: two, seen) == nil)
        seen.tieMark = 7
        let marked = try #require(ViewPlanner.next(after: two, seen))
        #expect(marked.tieMark == 7)
        seen.tieMark = 8
        #expect(ViewPlanner.next(after: marked, seen) == nil, "the one that is there is good enough")
        seen.isTieMarkLost = true
        #expect(try #require(ViewPlanner.next(after: marked, seen)).tieMark == 8)
        seen.tieMark = nil
        let bare = try #require(ViewPlanner.next(after: marked, seen))
        #expect(bare.tieMark == nil)
        #expect(ViewPlanner.next(after: bare, seen) == nil)
        seen = observations(alive: "abc")
        seen.tieMark = 8
        #expect(try #require(ViewPlanner.next(after: marked, seen)).tieMark == nil, "three need none")
        for view in [marked, bare] { try view.validate() }
    }

    @Test func reportSaysWhatIsMissing() {
        let wiped = observed(member("b", generation: 2, disk: 1, store: 2))
        let report = RecoveryReport(Self.view, observations(alive: "a", wiped, observed(member("c"), .suspect)))
        #expect(report.viewNumber == 5 && report.voters == 3 && report.majority == 2 && report.livingVoters == 1)
        #expect(report.missingVoters.map(\.name) == [name("b"), name("c")])
        #expect(report.missingVoters.map(\.hasOtherDisk) == [true, false])
        #expect(report.lostLedgers.map(\.id) == [LedgerID(2), LedgerID(3)])
        #expect(report.lostLedgers.map(\.founder) == [name("b"), name("c")])
        #expect(report.keptLedgers.map(\.id) == [LedgerID(1), LedgerID(4)])
        #expect(report.keptLedgers.allSatisfy { $0.living == [name("a")] } && report.isNeeded)
        #expect(!RecoveryReport(Self.view, observations(alive: "ac")).isNeeded)
    }
}
