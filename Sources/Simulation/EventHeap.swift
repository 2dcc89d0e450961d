import Primitives

/// What is to come, the earliest first; of the same instant, what was pushed first.
struct EventHeap<Item> {
    private struct Key {
        let at: Instant
        let order: UInt64
        let place: Int

        static func < (a: Key, b: Key) -> Bool { a.at == b.at ? a.order < b.order : a.at < b.at }
    }

    private var keys: [Key] = []
    /// The items stay where they are; the keys move.
    private var items: [Item] = []
    private var free: [Int] = []
    private var order: UInt64 = 0
    private let empty: Item

    init(empty: Item) { self.empty = empty }

    var earliest: Instant? { keys.first?.at }

    mutating func push(_ item: consuming Item, at instant: Instant) {
        let place = free.popLast() ?? items.count
        if place == items.count { items.append(item) } else { items[place] = item }
        order += 1
        let key = Key(at: instant, order: order, place: place)
        var hole = keys.count
        keys.append(key)
        while hole > 0, key < keys[(hole - 1) / 2] {
            keys[hole] = keys[(hole - 1) / 2]
            hole = (hole - 1) / 2
        }
        keys[hole] = key
    }

    /// There has to be something to come.
    mutating func pop() -> Item {
        let first = keys[0]
        let last = keys.removeLast()
        if !keys.isEmpty { sink(last) }
        free.append(first.place)
        var taken = empty
        swap(&taken, &items[first.place])
        return taken
    }

    private mutating func sink(_ key: Key) {
        var hole = 0
        while 2 * hole + 1 < keys.count {
            var child = 2 * hole + 1
            if child + 1 < keys.count, keys[child + 1] < keys[child] { child += 1 }
            guard keys[child] < key else { break }
            keys[hole] = keys[child]
            hole = child
        }
        keys[hole] = key
    }
}
