import Primitives
import Testing

@testable import Views

/// Which ledger each key slot belongs to, and which slots are to move.
@Suite struct SlotPlanTests {
    static let three = makeView(
        "abc", voters: "abc", ledgers: [ledger(1, "a", "b"), ledger(2, "b", "c"), ledger(3, "c", "a")])

    private func counts(_ view: View) -> [Int] {
        view.ledgers.map { ledger in view.slots.count { $0 == ledger.id } }
    }

    private func movesByTarget(_ view: View) -> [LedgerID: Int] {
        Dictionary(view.moves.map { ($0.to, 1) }, uniquingKeysWith: +)
    }

    private func shipped(_ view: View, from ledger: UInt32, of number: UInt64? = nil) -> ShippedSlots {
        ShippedSlots(
            ledger: LedgerID(ledger), view: number ?? view.number, term: view.ledger(LedgerID(ledger))?.term ?? .first,
            moves: view.moves(from: LedgerID(ledger)))
    }

    @Test func aCrashMovesNothingButWhatIsToMoveIsPlanned() throws {
        let next = try #require(
            ViewPlanner.next(after: Self.three, observations(alive: "bc", observed(member("a"), .gone))))
        #expect(next.slots == Self.three.slots)
        #expect(next.moves.allSatisfy { next.slots[Int($0.slot.rawValue)] == LedgerID(1) })
        #expect(next.moves.count == Self.three.slots.count { $0 == LedgerID(1) })
        #expect(abs((movesByTarget(next)[LedgerID(2)] ?? 0) - (movesByTarget(next)[LedgerID(3)] ?? 0)) <= 2)
        try next.validate(after: Self.three)
        #expect(ViewPlanner.next(after: next, observations(alive: "bc")) == nil, "a plan stays as it is")
    }

    @Test func slotsMoveOnlyOnTheWordOfTheirPrimary() throws {
        let first = try #require(
            ViewPlanner.next(after: Self.three, observations(alive: "bc", observed(member("a"), .gone))))
        var seen = observations(alive: "bc")
        for stale in [
            shipped(first, from: 1, of: first.number - 1), shipped(first, from: 2),
            ShippedSlots(ledger: LedgerID(1), view: first.number, term: .first, moves: first.moves),
            ShippedSlots(
                ledger: LedgerID(1), view: first.number, term: Term(2),
                moves: [SlotMove(slot: first.moves[0].slot, to: LedgerID(1))]),
        ] {
            seen.shippedSlots = [stale]
            #expect(ViewPlanner.next(after: first, seen) == nil)
        }
        seen.shippedSlots = [shipped(first, from: 1)]
        let second = try #require(ViewPlanner.next(after: first, seen))
        try second.validate(after: first)
        #expect(second.moves.isEmpty && !second.slots.contains(LedgerID(1)))
        #expect(counts(second).max() == 128)
    }

    @Test func whoJoinsGetsAShare() throws {
        let joined = try #require(ViewPlanner.next(after: Self.three, observations(alive: "abcd")))
        #expect(joined.slots == Self.three.slots)
        #expect(movesByTarget(joined) == [LedgerID(4): 256 - 3 * 64])
        var seen = observations(alive: "abcd")
        seen.shippedSlots = [shipped(joined, from: 1), shipped(joined, from: 2), shipped(joined, from: 3)]
        let balanced = try #require(ViewPlanner.next(after: joined, seen))
        #expect(counts(balanced) == [64, 64, 64, 64] && balanced.moves.isEmpty)
    }

    @Test func aLedgerWithSlotsIsNotDeleted() throws {
        let view = makeView(
            "bc", voters: "bc", ledgers: [ledger(1, "b", "c", term: 2, founder: "a"), ledger(2, "b", "c")])
        var owning = view
        owning.slots = Array(repeating: LedgerID(1), count: 256)
        for (view, isDeleted) in [(view, true), (owning, false)] {
            var seen = observations(alive: "bc")
            seen.drainedLedgers = [DrainedLedger(ledger: LedgerID(1), view: view.number, term: Term(2))]
            let next = try #require(ViewPlanner.next(after: view, seen))
            #expect((next.ledger(LedgerID(1)) == nil) == isDeleted)
        }
    }

    @Test func noViewMovesASlotUnplanned() {
        var next = Self.three
        next.number += 1
        next.slots[0] = LedgerID(3)
        #expect(throws: ViewError.self) { try next.validate(after: Self.three) }
        var planned = Self.three
        planned.moves = [SlotMove(slot: KeySlot(rawValue: 0), to: LedgerID(3))]
        #expect(throws: Never.self) { try next.validate(after: planned) }
        planned.moves = [SlotMove(slot: KeySlot(rawValue: 0), to: LedgerID(1))]
        #expect(throws: ViewError.self) { try planned.validate() }
    }
}
