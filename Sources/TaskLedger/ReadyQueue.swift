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
/// An item whose task is not ready any more, though nobody took it, has *lapsed*: it is said so (`lapse`). It stays where it
/// is until it is the first of its key, and is dropped then. So the first of each key is a task that could start, what has
/// lapsed takes no turn, and its age counts for nothing.
///
/// Every step takes O(log n) of the queues and keys that have ready tasks, and for each item that has lapsed once.
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
    private var lapsed = Lapsed()
    /// Tasks that are ready, those of blocked queues too.
    private(set) var count = 0
    /// Items that it keeps though they have lapsed.
    var lapsedCount: Int { lapsed.count }

    /// - Parameter weight: how much waiting outweighs one level of priority.
    init(weight: Duration = Limits.agingWeight) {
        #if PLANTED_BUGS
        let weight = PlantedBug.isActive(.priorityIgnored) ? .zero : weight
        #endif
        self.weight = weight
    }

    mutating func insert(_ item: Item) {
        count += 1
        levels[Int(item.priority.rawValue) - 1].insert(item, standing(of: item.queue))
    }

    /// Puts back what was taken and not used: these come before all others of their keys, in the order given, and it is their
    /// keys' and queues' turn again.
    mutating func putBack(_ items: some BidirectionalCollection<Item>) {
        for item in items.reversed() {
            count += 1
            levels[Int(item.priority.rawValue) - 1].putBack(item, standing(of: item.queue))
        }
    }

    /// The task of an item that is in the queue is not ready any more.
    mutating func lapse(_ item: Item) {
        #if PLANTED_BUGS
        if PlantedBug.isActive(.lapsedLeads) { return }
        #endif
        count -= 1
        lapsed.insert(item)
        levels[Int(item.priority.rawValue) - 1].dropLapsed(item.queue, item.key, blocked.contains(item.queue), &lapsed)
        // In a queue that is blocked for long, or behind a task that waits for long, nobody meets them.
        if lapsed.count > count + Limits.lapsedItems { compact { _ in true } }
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

    var head: Item? { bestLevel.flatMap { levels[$0].head } }

    mutating func popHead() -> Item? {
        guard let level = bestLevel, let item = levels[level].popHead(&lapsed) else { return nil }
        count -= 1
        return item
    }

    /// Items that start before `item` would if nothing came any more, at most `limit`. For an explanation now and then: it
    /// copies what it looks at.
    func itemsAhead(of item: Item, limit: Int) -> [Item] {
        var rest = self
        var ahead: [Item] = []
        while ahead.count < limit, let next = rest.popHead(), next.id != item.id || next.ticket != item.ticket {
            ahead.append(next)
        }
        return ahead
    }

    /// When the oldest item of a queue was enqueued.
    func oldest(of queue: String) -> Instant? { levels.lazy.compactMap { $0.oldest(of: queue) }.min() }

    /// Drops what has lapsed, and what is not to be kept.
    mutating func compact(_ isKept: (Item) -> Bool) {
        let lapsed = lapsed
        count = 0
        for level in levels.indices { count += levels[level].compact { isKept($0) && !lapsed.contains($0) } }
        self.lapsed = Lapsed()
    }
}

extension ReadyQueue {
    /// Items that are queued, and whose tasks are not ready any more.
    struct Lapsed: Sendable {
        private struct Entry: Hashable {
            var id: TaskID
            var ledger: LedgerID
            var ticket: Ticket

            init(_ item: Item) {
                id = item.id
                ledger = item.ledger
                ticket = item.ticket
            }
        }

        private var entries: Set<Entry> = []

        var count: Int { entries.count }

        func contains(_ item: Item) -> Bool { !entries.isEmpty && entries.contains(Entry(item)) }

        mutating func insert(_ item: Item) { entries.insert(Entry(item)) }

        /// - Returns: whether it was there.
        mutating func remove(_ item: Item) -> Bool { !entries.isEmpty && entries.remove(Entry(item)) != nil }
    }
}

extension Rota {
    /// What a task costs a queue of weight 1.
    static let unit: UInt64 = 1_000_000
}

extension Limits {
    /// Waiting this long outweighs one level of priority.
    public static let agingWeight = Duration.seconds(30)
    /// Items of the ready queue whose tasks are not ready any more, besides as many as there are ready tasks.
    static let lapsedItems = 10_000
}
