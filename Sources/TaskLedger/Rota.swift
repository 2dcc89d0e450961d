import Primitives

/// Whose turn it is, of several that share something by weights: start-time fair queueing (Goyal, Vin, Cheng, 1996) with
/// tasks of one size. With equal weights that is round robin, which is what deficit round robin comes to when all tasks cost
/// the same; with others the starts are spread more evenly than in rounds.
///
/// Each has a *turn*, a virtual time; the least comes next, and its turn moves on by its cost. Who enters comes after
/// whoever is there and waits for this round: so who comes and goes gains nothing by it, and nothing needs to be kept of
/// those that are gone. Of equal turns, who has waited for longer.
///
/// It also knows who has the oldest task, which decides between priorities.
struct Rota: Sendable {
    /// Of a task: when it was enqueued, and its id.
    struct Age: Comparable, Sendable {
        var enqueuedAt: Instant
        var id: TaskID

        init(_ item: ReadyQueue.Item) {
            enqueuedAt = item.enqueuedAt
            id = item.id
        }

        static func < (a: Age, b: Age) -> Bool { (a.enqueuedAt, a.id) < (b.enqueuedAt, b.id) }
    }

    private struct Turn: Comparable, Sendable {
        var at: UInt64
        var order: Int64

        static func < (a: Turn, b: Turn) -> Bool { (a.at, a.order) < (b.at, b.order) }
    }

    private var turns = SlotHeap<Turn>()
    private var ages = SlotHeap<Age>()
    /// The turn that was served last.
    private var now: UInt64 = 0
    private var last: Int64 = 0
    private var first: Int64 = 0

    var next: Int? { turns.first }
    var oldest: Age? { ages.leastKey }
    var isEmpty: Bool { turns.isEmpty }

    func contains(_ slot: Int) -> Bool { turns.key(of: slot) != nil }

    mutating func enter(_ slot: Int, oldest: Age, cost: UInt64) {
        last += 1
        turns.set(slot, to: Turn(at: now + cost, order: last))
        ages.set(slot, to: oldest)
    }

    mutating func leave(_ slot: Int) {
        turns.remove(slot)
        ages.remove(slot)
    }

    mutating func setOldest(_ age: Age, of slot: Int) { if contains(slot) { ages.set(slot, to: age) } }

    /// One of its tasks was taken.
    mutating func served(_ slot: Int, cost: UInt64) {
        guard let turn = turns.key(of: slot) else { return }
        now = max(now, turn.at)
        last += 1
        turns.set(slot, to: Turn(at: turn.at + cost, order: last))
    }

    /// One that was taken has come back: it is its turn again, before others of that time.
    mutating func unserved(_ slot: Int, cost: UInt64) {
        guard let turn = turns.key(of: slot) else { return }
        first -= 1
        turns.set(slot, to: Turn(at: turn.at - min(cost, turn.at), order: first))
    }
}
