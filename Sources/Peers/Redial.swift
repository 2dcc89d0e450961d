import Primitives

/// When to dial again: at once, after 1 ms and 4 ms, then after 20 ms doubling up to 1 s, with jitter.
///
/// The quick ones are for proof: a process that is being killed may still accept a connection that the next moment
/// resets. A link that held on for a while starts anew; one that did not goes on where it was, so that a peer which
/// accepts and drops cannot make us spin.
struct Redial {
    static let quick: [Duration] = [.zero, .milliseconds(1), .milliseconds(4)]
    static let first: Duration = .milliseconds(20)
    static let longest: Duration = .seconds(1)
    /// A link that was up for so long counts as good.
    static let good: Duration = .milliseconds(100)

    private(set) var attempts = 0
    private var random: SeededGenerator

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    /// How long to wait before the next dial, which this counts.
    mutating func next() -> Duration {
        defer { attempts += 1 }
        if attempts < Self.quick.count { return Self.quick[attempts] }
        let doublings = min(attempts - Self.quick.count, 6)
        let delay = min(Self.first.nanoseconds << Int64(doublings), Self.longest.nanoseconds)
        return .nanoseconds(Int64.random(in: delay / 2...delay, using: &random))
    }

    mutating func linkEnded(after uptime: Duration) {
        if uptime >= Self.good { attempts = 0 }
    }
}
