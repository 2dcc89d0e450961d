import Primitives
import Views

/// Who could hear whom, and until when: what a fence may be measured by, whatever the nodes themselves believe (rule R3).
///
/// Looked at often, and when something starts; a pair is in contact if both processes run and nothing is cut between them, in
/// either direction. What begins between two looks counts only if it still lasts at one of them.
///
/// `@unchecked`: only touched by the world's thread.
final class Contacts: @unchecked Sendable {
    /// A node starts nothing unless a majority has answered what it sent less than this ago (rule R3).
    static let fence = Duration.seconds(2)
    /// For clocks that run at different speeds, and for the time between two looks.
    static let slack = Duration.milliseconds(250)
    static let interval = Duration.milliseconds(50)

    private let world: World
    /// `from * count + to`: when the two were last in contact.
    private var last: [Instant] = []
    private var count = 0
    private let isOn: Bool
    private let stage: Stage

    init(_ stage: Stage, isOn: Bool) {
        self.stage = stage
        self.isOn = isOn
        world = stage.world
    }

    func look() {
        guard isOn else { return }
        grow()
        let now = world.now
        for a in 0..<count {
            for b in 0..<count where a < b && isOpen(a, b) { last[a * count + b] = now }
        }
    }

    private func isOpen(_ a: Int, _ b: Int) -> Bool {
        [a, b].allSatisfy { world.nodes[$0].isUp && !world.nodes[$0].isPaused }
            && !world.network.isCut(from: a, to: b) && !world.network.isCut(from: b, to: a)
    }

    private func grow() {
        let nodes = world.nodes.count
        guard nodes > count else { return }
        var newLast = Array(repeating: world.now, count: nodes * nodes)
        for a in 0..<count {
            for b in 0..<count { newLast[a * nodes + b] = last[a * count + b] }
        }
        last = newLast
        count = nodes
    }

    /// Why a node must not start anything now; nil: it may, as far as can be seen.
    func problem(of node: Int) -> String? {
        guard isOn, node < count, let view = world.nodes[node].look({ $0.view }) ?? nil else { return nil }
        let now = world.now
        var heard = 0
        var longest: [Duration] = []
        for voter in view.voters {
            guard let other = stage.index(voter.name), other < count else { continue }
            let isThere = other == node || isOpen(node, other)
            let silence = isThere ? .zero : now - last[min(node, other) * count + max(node, other)]
            if silence <= Self.fence * 1.02 + Self.slack { heard += 1 }
            longest.append(silence)
        }
        guard heard < view.majority else { return nil }
        return "it was last in contact with the voters of its view \(view.number) "
            + longest.map { "\($0.milliseconds)" }.joined(separator: ", ") + " ms ago"
    }
}
