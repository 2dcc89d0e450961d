import Primitives

/// Draws what happens to the nodes next: the same seed gives the same faults, as far as the cluster lets them happen.
struct DrillPlan: Sendable {
    enum Fault: Hashable, Sendable {
        /// SIGKILL; started again after that time.
        case kill(Int, startAfter: Duration)
        /// SIGSTOP, and SIGCONT after that time.
        case pause(Int, for: Duration)

        var node: Int {
            switch self {
            case .kill(let index, _), .pause(let index, _): index
            }
        }
    }

    private var random: SeededGenerator
    /// Between two faults.
    let interval: Duration

    init(seed: UInt64, interval: Duration) {
        random = SeededGenerator(seed: seed)
        self.interval = interval
    }

    /// Three of four faults are kills. A pause is shorter, as long as, or longer than the cluster's patience with a silent
    /// node. What is broken is mended before the next fault is due, but for what that takes itself.
    ///
    /// - Parameter running: the numbers of the nodes that may be chosen, ascending.
    mutating func next(running: [Int]) -> Fault? {
        guard let index = running.randomElement(using: &random) else { return nil }
        let longest = min(interval.milliseconds / 2, 4000)
        let time = Duration.milliseconds(Int64.random(in: longest / 4...longest, using: &random))
        return Int.random(in: 0..<4, using: &random) < 3 ? .kill(index, startAfter: time) : .pause(index, for: time)
    }

    /// Who is asked next.
    mutating func target(of count: Int) -> Int { Int.random(in: 0..<count, using: &random) }
}
