import Primitives

/// Whom to probe next: everybody once in a round, in an order shuffled anew for each (SWIM, section 4.3), so that the
/// time to the first probe of a dead member is bounded by two rounds.
struct ProbeOrder: Hashable, Sendable {
    private var names: [NodeName] = []
    /// Index of the next one.
    private var cursor = 0

    var count: Int { names.count }

    /// At a random place: a new member may wait for its first probe as long as any other.
    mutating func insert(_ name: NodeName, using random: inout SeededGenerator) {
        guard !names.contains(name) else { return }
        let place = Int.random(in: 0...names.count, using: &random)
        names.insert(name, at: place)
        if place < cursor { cursor += 1 }
    }

    mutating func remove(_ name: NodeName) {
        guard let place = names.firstIndex(of: name) else { return }
        names.remove(at: place)
        if place < cursor { cursor -= 1 }
    }

    mutating func next(using random: inout SeededGenerator) -> NodeName? {
        guard !names.isEmpty else { return nil }
        if cursor >= names.count {
            names.shuffle(using: &random)
            cursor = 0
        }
        defer { cursor += 1 }
        return names[cursor]
    }
}
