import Primitives
import Views

/// Who could hear whom, and until when: what a fence may be measured by, whatever the nodes themselves believe (rule R3).
///
/// Looked at often; a pair is in contact if both processes run and nothing is cut between them, in either direction, and has
/// been so for as long as a round trip takes.
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
    /// Since when they can talk; nil: they cannot.
    private var since: [Instant?] = []
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
        let canTalk = world.nodes.map { $0.isUp && !$0.isPaused }
        let trip = world.settings.network.path.latency * 2
        for a in 0..<count {
            for b in 0..<count where a < b {
                let isOpen =
                    canTalk[a] && canTalk[b] && !world.network.isCut(from: a, to: b)
                    && !world.network.isCut(from: b, to: a)
                guard isOpen else {
                    since[a * count + b] = nil
                    continue
                }
                let begin = since[a * count + b] ?? now
                since[a * count + b] = begin
                if now >= begin + trip { last[a * count + b] = now }
            }
        }
    }

    private func grow() {
        let nodes = world.nodes.count
        guard nodes > count else { return }
        var newLast = Array(repeating: world.now, count: nodes * nodes)
        var newSince = Array(repeating: Instant?.none, count: nodes * nodes)
        for a in 0..<count {
            for b in 0..<count {
                newLast[a * nodes + b] = last[a * count + b]
                newSince[a * nodes + b] = since[a * count + b]
            }
        }
        last = newLast
        since = newSince
        count = nodes
    }

    /// Why a node must not start anything now; nil: it may, as far as can be seen.
    func problem(of node: Int) -> String? {
        guard isOn, node < count, let view = stage.installed(at: node) else { return nil }
        let now = world.now
        var heard = 0
        var longest: [Duration] = []
        for voter in view.voters {
            guard let other = stage.index(voter.name), other < count else { continue }
            let silence = other == node ? .zero : now - last[min(node, other) * count + max(node, other)]
            if silence <= Self.fence * 1.02 + Self.slack { heard += 1 }
            longest.append(silence)
        }
        guard heard < view.majority else { return nil }
        return "it was last in contact with the voters of its view \(view.number) "
            + longest.map { "\($0.milliseconds)" }.joined(separator: ", ") + " ms ago"
    }
}
