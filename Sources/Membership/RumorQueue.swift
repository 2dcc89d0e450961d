import Primitives

/// Rumors that are still to be spread, those sent least often first, then the newest.
///
/// A rumor replaces older ones about the same name. Only suspicions of one generation and incarnation by different
/// accusers stand side by side, since each confirms the others; and a proof beside the death that it bears out. After
/// its limit of sendings a rumor is dropped.
struct RumorQueue: Hashable, Sendable {
    private struct Entry: Hashable, Sendable {
        let rumor: Rumor
        let bytes: Int
        let order: UInt64
        var sendings = 0

        func precedes(_ other: Entry) -> Bool {
            sendings != other.sendings ? sendings < other.sendings : order > other.order
        }
    }

    /// In the order of sending.
    private var entries: [Entry] = []
    private var nextOrder: UInt64 = 0
    let capacity: Int

    init(capacity: Int = MembershipLimits.rumors) { self.capacity = capacity }

    var isEmpty: Bool { entries.isEmpty }
    var count: Int { entries.count }
    var rumors: [Rumor] { entries.map(\.rumor) }

    mutating func enqueue(_ rumor: Rumor) {
        entries.removeAll { Self.replaces(rumor, $0.rumor) }
        if entries.count >= capacity { entries.removeLast() }
        // The newest of those never sent: first of all.
        entries.insert(Entry(rumor: rumor, bytes: rumor.encodedBytes, order: nextOrder), at: 0)
        nextOrder += 1
    }

    private static func replaces(_ rumor: Rumor, _ old: Rumor) -> Bool {
        guard old.subject.name == rumor.subject.name else { return false }
        switch (rumor, old) {
        case (.suspect(let id, let incarnation, let accuser, _), .suspect(let other, let before, let first, _)):
            return id != other || incarnation != before || accuser == first
        case (.suspect(let id, _, _, _), .dead(let other, _, _, _)): return id != other
        default: return true
        }
    }

    /// Rumors that fit together in `budget` bytes, counted as sent once more.
    mutating func take(fitting budget: Int, sendingLimit: Int, excluding told: [Rumor] = []) -> [Rumor] {
        var taken: [Rumor] = []
        var rest = budget
        for index in entries.indices where entries[index].bytes <= rest && !told.contains(entries[index].rumor) {
            guard taken.count + told.count < GossipMessage.maximumRumors else { break }
            rest -= entries[index].bytes
            entries[index].sendings += 1
            taken.append(entries[index].rumor)
        }
        if !taken.isEmpty {
            entries.removeAll { $0.sendings >= sendingLimit }
            entries.sort { $0.precedes($1) }
        }
        return taken
    }

    mutating func removeAll() { entries.removeAll() }

    func contains(_ rumor: Rumor) -> Bool { entries.contains { $0.rumor == rumor } }
}
