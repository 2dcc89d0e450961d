import Primitives

/// A binary heap: the earliest first, of equals the one that was added first.
struct EventQueue<Happening> {
    private var heap: [(at: Instant, order: UInt64, what: Happening)] = []
    private var added: UInt64 = 0

    mutating func add(_ what: Happening, at: Instant) {
        added += 1
        heap.append((at, added, what))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard isEarlier(child, parent) else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    mutating func removeFirst() -> (Instant, Happening)? {
        guard let first = heap.first else { return nil }
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && isEarlier(child, least) {
                least = child
            }
            guard least != parent else { return (first.at, first.what) }
            heap.swapAt(parent, least)
            parent = least
        }
    }

    private func isEarlier(_ a: Int, _ b: Int) -> Bool { (heap[a].at, heap[a].order) < (heap[b].at, heap[b].order) }
}
