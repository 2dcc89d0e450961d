import DequeModule
import HeapModule
public import Primitives

/// The tasks that could start now, the best one first.
///
/// Between priorities the static key `enqueuedAt - weight x (priority - 1)` of a priority's oldest task decides, smaller
/// first: priorities age linearly without ever being sorted anew. A priority is served before another one only by tasks
/// that came at most `weight` per level of difference later, so at most 9 x weight, and nothing starves.
///
/// Within one priority the queues take turns by their weights, and within a queue its fairness keys (tasks without one are
/// one of them), each as `Rota` says: a key that floods holds nobody back but itself. Within a key tasks start as they came:
/// a FIFO for fresh tasks (their times ascend) and a small heap for those that come back with an older time.
///
/// A queue that is *blocked* (paused, or at one of its limits) keeps its tasks, and neither its turns nor their age count.
///
/// Every step takes O(log n) of the queues and keys that have ready tasks. Removal is lazy: whoever takes an item checks
/// that its task is still ready (`ticket` tells two entries of one task apart). Until it is taken, an item that has lapsed
/// may make its priority seem older than it is.
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
        var queue = "default"
        /// Of fairness; empty: none.
        var key = ""

        static func < (a: Item, b: Item) -> Bool { (a.enqueuedAt, a.id) < (b.enqueuedAt, b.id) }
    }

    private var levels = Array(repeating: Level(), count: 10)
    private let weight: Duration
    private var blocked: Set<String> = []
    private var shares: [String: UInt16] = [:]
    /// Items that it holds, those of blocked queues and those that have lapsed too.
    private(set) var count = 0

    /// - Parameter weight: how much waiting outweighs one level of priority.
    init(weight: Duration = Limits.agingWeight) {
        #if PLANTED_BUGS
        let weight = PlantedBug.isActive(.priorityIgnored) ? .zero : weight
        #endif
        self.weight = weight
    }

    mutating func insert(_ item: Item) {
        count += 1
        levels[Int(item.priority.rawValue) - 1].insert(item, standing(of: item.queue)) { $0.append(item) }
    }

    /// Puts back what was taken and not used: these come before all others of their keys, in the order given, and it is their
    /// keys' and queues' turn again.
    mutating func putBack(_ items: some BidirectionalCollection<Item>) {
        for item in items.reversed() {
            count += 1
            levels[Int(item.priority.rawValue) - 1].putBack(item, standing(of: item.queue))
        }
    }

    private func standing(of queue: String) -> Standing {
        Standing(isBlocked: blocked.contains(queue), cost: cost(of: queue))
    }

    private func cost(of queue: String) -> UInt64 { Rota.unit / UInt64(max(1, shares[queue] ?? 1)) }

    // MARK: Queues

    func isBlocked(_ queue: String) -> Bool { blocked.contains(queue) }

    mutating func setBlocked(_ isBlocked: Bool, _ queue: String) {
        guard isBlocked != blocked.contains(queue) else { return }
        if isBlocked { blocked.insert(queue) } else { blocked.remove(queue) }
        for level in levels.indices { levels[level].set(standing(of: queue), queue) }
    }

    /// Its share of the starts, compared with those of other queues; nil: 1.
    mutating func setShare(_ share: UInt16?, of queue: String) {
        guard shares[queue] != share else { return }
        shares[queue] = share
        for level in levels.indices { levels[level].set(standing(of: queue), queue) }
    }

    // MARK: The best item

    private func key(_ age: Rota.Age, _ level: Int) -> Instant { age.enqueuedAt - weight * level }

    private var bestLevel: Int? {
        var best: (level: Int, key: Instant)?
        for level in levels.indices.reversed() {
            guard let oldest = levels[level].oldest else { continue }
            let key = key(oldest, level)
            if let current = best, current.key <= key { continue }
            best = (level, key)
        }
        return best?.level
    }

    /// The best item; it may have lapsed.
    var head: Item? { bestLevel.flatMap { levels[$0].head } }

    mutating func popHead() -> Item? {
        guard let level = bestLevel, let item = levels[level].popHead() else { return nil }
        count -= 1
        return item
    }

    /// Items that start before `item` would if nothing came any more, at most `limit`; some may have lapsed. For an
    /// explanation now and then: it copies what it looks at.
    func itemsAhead(of item: Item, limit: Int) -> [Item] {
        var rest = self
        var ahead: [Item] = []
        while ahead.count < limit, let next = rest.popHead(), next.id != item.id || next.ticket != item.ticket {
            ahead.append(next)
        }
        return ahead
    }

    /// When the oldest item of a queue was enqueued; it may have lapsed.
    func oldest(of queue: String) -> Instant? { levels.lazy.compactMap { $0.oldest(of: queue) }.min() }

    /// Drops what has lapsed.
    mutating func compact(_ isLive: (Item) -> Bool) {
        count = 0
        for level in levels.indices { count += levels[level].compact(isLive) }
    }
}

extension Rota {
    /// What a task costs a queue of weight 1.
    static let unit: UInt64 = 1_000_000
}

extension Limits {
    /// Waiting this long outweighs one level of priority.
    public static let agingWeight = Duration.seconds(30)
}
