import Primitives
import Testing
import Views

/// Until when what others may still start is left alone.
@Suite struct LedgerRestsTests {
    private static let rest = Limits.fenceRest
    private static let one = LedgerID(1)

    private static func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    /// L1 in that term, of that primary; everybody else backs it up.
    private static func view(
        _ number: UInt64, _ members: String, _ primary: String, term: UInt64, exits: [NodeID] = [],
        _ change: (inout View) -> Void = { _ in }
    ) -> View {
        let backups = "abcd".filter { String($0) != primary }
        var view = makeView(
            members, voters: String(members.prefix(1)),
            ledgers: [ledger(1, primary, backups, term: term, founder: "a")],
            number: number)
        view.exits = exits
        change(&view)
        return view
    }

    private static let first = view(5, "abcd", "a", term: 1)

    /// A node that has seen the ledger's whole history, of which nothing rests.
    private static func rests(after view: View = first) -> LedgerRests {
        LedgerRests(known: view, at: at(-1_000_000))
    }

    private static func nobody(_ process: NodeID) -> Bool { false }

    @Test func aLedgerRestsFromTheInstallationOfTheViewThatDeposedItsPrimary() {
        var rests = Self.rests()
        rests.install(Self.view(6, "bcd", "b", term: 2), at: Self.at(100), isStopped: Self.nobody)
        #expect(rests.restsUntil(Self.one) == Self.at(100) + Self.rest)
        // Later views that change nothing about it do not make it rest longer.
        rests.install(Self.view(7, "bc", "b", term: 2), at: Self.at(500), isStopped: Self.nobody)
        #expect(rests.restsUntil(Self.one) == Self.at(100) + Self.rest)
        rests.install(Self.view(8, "b", "b", term: 2), at: Self.at(100) + Self.rest, isStopped: Self.nobody)
        #expect(rests.restsUntil(Self.one) == nil)
    }

    /// Removed though it lives, with nobody to take its place: it may start as long as if there were.
    @Test func aLedgerRestsFromWhenItsPrimaryWasRemovedNotFromItsTakeover() {
        var rests = Self.rests()
        rests.install(Self.view(6, "bcd", "a", term: 1), at: Self.at(100), isStopped: Self.nobody)
        #expect(rests.restsUntil(Self.one) == Self.at(100) + Self.rest)
        rests.install(Self.view(7, "bcd", "b", term: 2), at: Self.at(900), isStopped: Self.nobody)
        #expect(rests.restsUntil(Self.one) == Self.at(100) + Self.rest)
    }

    @Test func aLedgerInItsFirstTermDoesNotRest() {
        var rests = Self.rests()
        let next = Self.view(6, "abcd", "a", term: 1) { $0.ledgers.append(ledger(2, "b")) }
        rests.install(next, at: Self.at(100), isStopped: Self.nobody)
        #expect(rests.restsUntil(Self.one) == nil)
        #expect(rests.restsUntil(LedgerID(2)) == nil)
        var fresh = LedgerRests(known: nil, at: .zero)
        fresh.install(next, at: Self.at(100), isStopped: Self.nobody)
        #expect(fresh.restsUntil(Self.one) == nil)
    }

    /// What needs no waiting for: proof in the view, the caller's knowledge, a later generation with the same disk.
    @Test func aProcessThatStartsNothingAnyMoreIsNotWaitedFor() {
        let a = member("a").id
        var proven = Self.rests()
        proven.install(Self.view(6, "bcd", "b", term: 2, exits: [a]), at: Self.at(1), isStopped: Self.nobody)
        #expect(proven.restsUntil(Self.one) == nil)

        var known = Self.rests()
        known.install(Self.view(6, "abcd", "b", term: 2), at: Self.at(1)) { $0 == a }
        #expect(known.restsUntil(Self.one) == nil)

        for (disk, isOver) in [(nil, true), (0x77, false)] as [(UInt64?, Bool)] {
            var restarted = Self.rests()
            let next = Self.view(6, "abcd", "b", term: 2) {
                $0.members[0] = member("a", generation: 2, disk: disk)
                $0.voters = [$0.members[0].voter]
            }
            restarted.install(next, at: Self.at(1), isStopped: Self.nobody)
            #expect((restarted.restsUntil(Self.one) == nil) == isOver, "disk \(disk ?? 0)")
        }
    }

    /// The model's `waitForLastOnly`: the proof about the last primary says nothing about the one before it.
    @Test func earlierPrimariesAreStillWaitedFor() {
        var rests = Self.rests()
        rests.install(Self.view(6, "bcd", "b", term: 2), at: Self.at(100), isStopped: Self.nobody)
        rests.install(
            Self.view(7, "cd", "c", term: 3, exits: [member("b").id]), at: Self.at(400), isStopped: Self.nobody)
        #expect(rests.restsUntil(Self.one) == Self.at(100) + Self.rest)
        rests.install(Self.view(8, "d", "d", term: 4), at: Self.at(700), isStopped: Self.nobody)
        #expect(rests.restsUntil(Self.one) == Self.at(700) + Self.rest)
    }

    /// The proof counts only for one deposition that this node has seen happen.
    @Test func whatHappenedUnseenIsWaitedForWhateverIsProven() {
        let b = member("b").id
        var rests = Self.rests()
        // Views 6 and 7 were missed: in one of them b took over, and lost it to c.
        rests.install(Self.view(8, "cd", "c", term: 3, exits: [b]), at: Self.at(100)) { _ in true }
        #expect(rests.restsUntil(Self.one) == Self.at(100) + Self.rest)

        // One term later: nobody can have come in between.
        var next = Self.rests()
        next.install(Self.view(8, "bcd", "b", term: 2), at: Self.at(100)) { $0 == member("a").id }
        #expect(next.restsUntil(Self.one) == nil)

        // The one who came in between is gone again.
        var gone = Self.rests()
        gone.install(Self.view(8, "cd", "b", term: 2), at: Self.at(100)) { _ in true }
        #expect(gone.restsUntil(Self.one) == Self.at(100) + Self.rest)

        // A ledger that was made and taken over meanwhile.
        var made = Self.rests()
        let view = Self.view(8, "abcd", "a", term: 1) {
            $0.ledgers += [ledger(2, "c", term: 2, founder: "b"), ledger(3, "d")]
        }
        made.install(view, at: Self.at(100)) { _ in true }
        #expect(made.restsUntil(LedgerID(2)) == Self.at(100) + Self.rest)
        #expect(made.restsUntil(LedgerID(3)) == nil)
    }

    @Test func theSamePrimaryInALaterTermWaitsForNobody() {
        var rests = Self.rests()
        rests.install(Self.view(6, "abcd", "a", term: 2), at: Self.at(100), isStopped: Self.nobody)
        #expect(rests.restsUntil(Self.one) == nil)
    }

    @Test func olderViewsChangeNothing() {
        var rests = Self.rests()
        rests.install(Self.view(5, "bcd", "b", term: 2), at: Self.at(100), isStopped: Self.nobody)
        #expect(rests.restsUntil(Self.one) == nil)
    }

    // MARK: A restart

    @Test func aProcessThatStartsRemembersNothing() {
        let old = Self.view(5, "abcd", "a", term: 4)
        var rests = LedgerRests(known: old, at: Self.at(10))
        #expect(rests.restsUntil(Self.one) == Self.at(10) + Self.rest)
        // It takes the ledger up itself: the process before it is gone, whoever came before that may not be.
        let next = Self.view(6, "abcd", "a", term: 5) { $0.members[0] = member("a", generation: 2) }
        rests.install(next, at: Self.at(700), isStopped: Self.nobody)
        #expect(rests.restsUntil(Self.one) == Self.at(10) + Self.rest)

        var blank = LedgerRests(known: nil, at: Self.at(10))
        blank.install(next, at: Self.at(700), isStopped: Self.nobody)
        #expect(blank.restsUntil(Self.one) == Self.at(700) + Self.rest)
    }

    @Test func aLedgerInItsFirstTermThatNobodyServesHadAPrimary() {
        let rests = LedgerRests(known: Self.view(5, "bcd", "a", term: 1), at: Self.at(10))
        #expect(rests.restsUntil(Self.one) == Self.at(10) + Self.rest)
        #expect(LedgerRests(known: Self.first, at: Self.at(10)).restsUntil(Self.one) == nil)
    }

    // MARK: Late news

    @Test func newsThatAProcessHasStoppedEndsWhatWaitedForIt() {
        let (a, b) = (member("a").id, member("b").id)
        var rests = Self.rests()
        rests.install(Self.view(6, "bcd", "b", term: 2), at: Self.at(100), isStopped: Self.nobody)
        rests.install(Self.view(7, "cd", "c", term: 3), at: Self.at(400), isStopped: Self.nobody)
        let hasChanged = rests.stopped(b, at: Self.at(500))
        #expect(hasChanged)
        #expect(rests.restsUntil(Self.one) == Self.at(100) + Self.rest)
        let isNews = rests.stopped(b, at: Self.at(500))
        #expect(!isNews)
        let isLast = rests.stopped(a, at: Self.at(500))
        #expect(isLast)
        #expect(rests.restsUntil(Self.one) == nil)
    }

    /// Nobody knows who it is: no news ends that.
    @Test func noNewsEndsTheWaitForTheUnknown() {
        var rests = LedgerRests(known: Self.view(5, "abcd", "a", term: 2), at: Self.at(10))
        for letter in "abcd" { _ = rests.stopped(member(String(letter)).id, at: Self.at(20)) }
        #expect(rests.restsUntil(Self.one) == Self.at(10) + Self.rest)
    }

    // MARK: Leases

    @Test func leasesOfWhoHasLeftRest() {
        let (b, c) = (member("b").id, member("c").id)
        var rests = Self.rests()
        #expect(rests.restsUntil(leaseOf: b) == nil)
        rests.install(Self.view(6, "ad", "a", term: 1, exits: [c]), at: Self.at(100), isStopped: Self.nobody)
        #expect(rests.restsUntil(leaseOf: b) == Self.at(100) + Self.rest)
        #expect(rests.restsUntil(leaseOf: c) == Self.at(100))
        #expect(rests.restsUntil(leaseOf: member("d").id) == nil)
        #expect(rests.restsUntil(leaseOfFormer: b.name) == Self.at(100) + Self.rest)
        #expect(rests.restsUntil(leaseOfFormer: c.name) == Self.at(100))
        #expect(rests.restsUntil(leaseOfFormer: member("d").id.name) < Self.at(100), "it has never left")
        _ = rests.stopped(b, at: Self.at(200))
        #expect(rests.restsUntil(leaseOf: b) == Self.at(200))
        #expect(rests.restsUntil(leaseOfFormer: b.name) == Self.at(200))
    }

    @Test func leasesOfStrangersRestFromWhenThisNodeBeganToLook() {
        let stranger = member("x").id
        var rests = LedgerRests(known: Self.first, at: Self.at(10))
        #expect(rests.restsUntil(leaseOf: stranger) == Self.at(10) + Self.rest)
        rests.install(Self.view(6, "abcd", "a", term: 1), at: Self.at(100), isStopped: Self.nobody)
        #expect(rests.restsUntil(leaseOf: stranger) == Self.at(10) + Self.rest)
        // It may have come and gone in view 7.
        rests.install(Self.view(8, "abcd", "a", term: 1), at: Self.at(300), isStopped: Self.nobody)
        #expect(rests.restsUntil(leaseOf: stranger) == Self.at(300) + Self.rest)
    }

    @Test func whoComesBackUnderALaterGenerationHasGivenBackWhatItHeld() {
        var rests = Self.rests()
        let next = Self.view(6, "abcd", "a", term: 1) { $0.members[1] = member("b", generation: 2) }
        rests.install(next, at: Self.at(100), isStopped: Self.nobody)
        #expect(rests.restsUntil(leaseOf: member("b").id) == Self.at(100))
    }

    /// What is remembered is bounded; beyond that everybody who is no member is waited for.
    @Test func manyDeparturesAreForgottenOnTheSafeSide() {
        var rests = Self.rests()
        var number: UInt64 = 5
        for generation in 1...UInt64(Limits.departed + 2) {
            number += 1
            let view = Self.view(number, "abcd", "a", term: 1) {
                $0.members[1] = member("b", generation: generation + 1, disk: generation)
            }
            rests.install(view, at: Self.at(100), isStopped: Self.nobody)
        }
        for generation in [1, 500, UInt64(Limits.departed)] {
            let rest = rests.restsUntil(leaseOf: member("b", generation: generation).id)
            #expect(rest == Self.at(100) + Self.rest)
        }
    }
}
