/// A heap of small numbers, each with a key that may change: the least first; O(log n) for every change.
struct SlotHeap<Key: Comparable & Sendable>: Sendable {
    private var keys: [Key?] = []
    private var heap: [Int] = []
    /// Where in `heap` each slot stands; -1: it does not.
    private var places: [Int] = []

    /// The slot with the least key.
    var first: Int? { heap.first }
    var leastKey: Key? { heap.first.flatMap { keys[$0] } }
    var isEmpty: Bool { heap.isEmpty }
    var count: Int { heap.count }

    /// Nil: it is not in the heap.
    func key(of slot: Int) -> Key? { slot < keys.count ? keys[slot] : nil }

    /// Puts it in, or changes its key.
    mutating func set(_ slot: Int, to key: Key) {
        while keys.count <= slot {
            keys.append(nil)
            places.append(-1)
        }
        keys[slot] = key
        if places[slot] < 0 {
            places[slot] = heap.count
            heap.append(slot)
        }
        rise(places[slot])
        sink(places[slot])
    }

    mutating func remove(_ slot: Int) {
        guard slot < places.count, places[slot] >= 0 else { return }
        let place = places[slot]
        let last = heap.removeLast()
        keys[slot] = nil
        places[slot] = -1
        guard last != slot else { return }
        heap[place] = last
        places[last] = place
        rise(place)
        sink(places[last])
    }

    private func isLess(_ a: Int, _ b: Int) -> Bool {
        guard let first = keys[heap[a]], let second = keys[heap[b]] else { return false }
        return first < second
    }

    private mutating func swap(_ a: Int, _ b: Int) {
        heap.swapAt(a, b)
        places[heap[a]] = a
        places[heap[b]] = b
    }

    private mutating func rise(_ start: Int) {
        var place = start
        while place > 0, isLess(place, (place - 1) / 2) {
            swap(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
    }

    private mutating func sink(_ start: Int) {
        var place = start
        while true {
            var least = place
            for child in [2 * place + 1, 2 * place + 2] where child < heap.count && isLess(child, least) {
                least = child
            }
            guard least != place else { return }
            swap(place, least)
            place = least
        }
    }
}

/// Things with small numbers, which are given away and used again.
struct Slots<Value: Sendable>: Sendable {
    private var values: [Value?] = []
    private var free: [Int] = []

    mutating func insert(_ value: Value) -> Int {
        if let slot = free.popLast() {
            values[slot] = value
            return slot
        }
        values.append(value)
        return values.count - 1
    }

    mutating func remove(_ slot: Int) {
        values[slot] = nil
        free.append(slot)
    }

    /// In place, and nothing where there is nothing.
    mutating func update<Result>(_ slot: Int, _ change: (inout Value) -> Result) -> Result? {
        guard values[slot] != nil else { return nil }
        // Taken out meanwhile: a second reference would copy it.
        guard var value = values[slot].take() else { return nil }
        defer { values[slot] = value }
        return change(&value)
    }

    subscript(slot: Int) -> Value? { values[slot] }
}
