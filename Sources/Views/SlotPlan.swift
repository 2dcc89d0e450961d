import Primitives

/// Which ledger each key slot belongs to in the next view, and which slots are to move after it.
///
/// - A slot moves when the primary of its ledger has said, of the view that is followed, that all is handed over
///   (`ShippedSlots`). So a slot never leaves a ledger that still accepts its keys.
/// - Slots of a ledger that is not listed any more go to the others: it was lost, and what it knew of keys with it.
/// - A ledger is a **home** if its founder serves it and does not drain. Homes get equal shares; what others have, or
///   have too many of, is planned to move. Without a home, everything stays.
///
/// What is planned follows from the view alone, so a plan stays as it is until something happens to it.
struct SlotPlan {
    private(set) var slots: [LedgerID]
    private(set) var moves: [SlotMove] = []

    /// - Parameter next: with its members and ledgers, and whatever slots.
    init(after view: View, _ next: View, _ shipped: [ShippedSlots]) {
        slots = view.slots
        guard !next.ledgers.isEmpty else {
            slots = Array(repeating: LedgerID(0), count: Limits.keySlots)
            return
        }
        let listed = Set(next.ledgers.map(\.id))
        for word in shipped where word.view == view.number && view.ledger(word.ledger)?.term == word.term {
            for move in word.moves where view.moves.contains(move) && listed.contains(move.to) {
                let slot = Int(move.slot.rawValue)
                if slots[slot] == word.ledger { slots[slot] = move.to }
            }
        }
        let homes = next.ledgers.filter { ledger in
            guard let member = next.member(ledger.primary.name), member.replica == ledger.primary else { return false }
            return ledger.primary == ledger.founder && !member.isDraining
        }.map(\.id)
        let available = next.ledgers.filter(next.isAvailable).map(\.id)
        let takers = !homes.isEmpty ? homes : !available.isEmpty ? available : next.ledgers.map(\.id)

        // In three rounds: what may stay, what has nowhere to stay, what has to move.
        // There are few takers: to search them is faster than to hash, and this is planned at every look.
        let share = (Limits.keySlots + takers.count - 1) / takers.count
        var counts = Array(repeating: 0, count: takers.count)
        var rest: [Int] = []
        for (slot, ledger) in slots.enumerated() {
            if let place = takers.firstIndex(of: ledger), counts[place] < share {
                counts[place] += 1
            } else {
                rest.append(slot)
            }
        }
        for slot in rest {
            guard let place = takers.indices.min(by: { (counts[$0], takers[$0]) < (counts[$1], takers[$1]) }) else {
                continue
            }
            let taker = takers[place]
            if !listed.contains(slots[slot]) {
                slots[slot] = taker
            } else if !homes.isEmpty {
                moves.append(SlotMove(slot: KeySlot(rawValue: UInt8(slot)), to: taker))
            } else {
                continue
            }
            counts[place] += 1
        }
    }
}
