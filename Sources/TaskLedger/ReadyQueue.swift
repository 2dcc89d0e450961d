import DequeModule
import HeapModule
public import Primitives

/// The tasks that could start now, the best one first.
///
/// Order is by the static key `enqueuedAt - weight x (priority - 1)`, smaller first: priorities age linearly without ever
/// being sorted anew. A task is overtaken only by tasks that came at most `weight` per level of difference later, so at
/// most 9 x weight, and nothing starves.
///
/// Ten levels, each a FIFO for fresh tasks (their times ascend) and a small heap for those that come back with an older
/// time: O(1) for the usual task, O(log returning) for the others. Removal is lazy: whoever takes an item checks that its
/// task is still ready (`ticket` tells two entries of one task apart).
struct ReadyQueue: Sendable {
    /// Tells the times apart that one task was enqueued.
    struct Ticket: Sendable, Hashable {
        var run: UInt32
        var attempts: UInt32
        var changes: UInt32
    }

    struct Item: Sendable, Comparable {
        var id: TaskID
        var ledger: LedgerID
        var priority: Priority
        var enqueuedAt: Instant
        var ticket: Ticket

        static func < (a: Item, b: Item) -> Bool { (a.enqueuedAt, a.id) < (b.enqueuedAt, b.id) }
    }

    private struct Level: Sendable {
        var fresh: Deque<Item> = []
        var returning = Heap<Item>()

        var head: Item? {
            switch (fresh.first, returning.min) {
            case (nil, let item), (let item, nil): item
            case (let a?, let b?): a < b ? a : b
            }
        }

        mutating func removeHead() -> Item? {
            guard let item = fresh.first else { return returning.popMin() }
            if let other = returning.min, other < item { return returning.popMin() }
            return fresh.popFirst()
        }
    }

    private var levels = Array(repeating: Level(), count: 10)
    private let weight: Duration

    /// - Parameter weight: how much waiting outweighs one level of priority.
    init(weight: Duration = Limits.agingWeight) {
        #if PLANTED_BUGS
        let weight = PlantedBug.isActive(.priorityIgnored) ? .zero : weight
        #endif
        self.weight = weight
    }

    mutating func insert(_ item: Item) {
        let level = Int(item.priority.rawValue) - 1
        if let newest = levels[level].fresh.last, item < newest {
            levels[level].returning.insert(item)
        } else {
            levels[level].fresh.append(item)
        }
    }

    /// Puts back what was taken and not used: these come before all others of their level, in the order given.
    mutating func putBack(_ items: some BidirectionalCollection<Item>) {
        for item in items.reversed() { levels[Int(item.priority.rawValue) - 1].fresh.prepend(item) }
    }

    private func key(_ item: Item) -> Instant { item.enqueuedAt - weight * Int(item.priority.rawValue - 1) }

    private var bestLevel: Int? {
        var best: (level: Int, key: Instant)?
        for level in levels.indices.reversed() {
            guard let head = levels[level].head else { continue }
            let key = key(head)
            if let current = best, current.key <= key { continue }
            best = (level, key)
        }
        return best?.level
    }

    /// Items that start before `item` would, at most `limit` of each level; some may have lapsed.
    func itemsAhead(of item: Item, limit: Int) -> [Item] {
        let mine = key(item)
        let isAhead = { (other: Item) in key(other) < mine || key(other) == mine && other.id < item.id }
        var ahead: [Item] = []
        for level in levels {
            // What was put back stands in front, in order as well.
            ahead += level.fresh.prefix(limit).prefix(while: isAhead)
            ahead += level.returning.unordered.lazy.filter(isAhead).prefix(limit)
        }
        return ahead
    }

    /// The best item; it may have lapsed.
    var head: Item? { bestLevel.flatMap { levels[$0].head } }

    mutating func popHead() -> Item? {
        guard let level = bestLevel else { return nil }
        return levels[level].removeHead()
    }
}

extension Limits {
    /// Waiting this long outweighs one level of priority.
    public static let agingWeight = Duration.seconds(30)
}
