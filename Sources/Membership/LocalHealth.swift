/// How well this node itself seems to be doing (Lifeguard's local health multiplier).
///
/// The score rises when the fault may be ours: a probe fails, nacks are missing, somebody suspects us, the process was
/// not running; it falls with every answered probe. Periods and timeouts are stretched by score + 1.
struct LocalHealth: Hashable, Sendable {
    /// 0: healthy; `levels` - 1: the worst.
    private(set) var score = 0
    let levels: Int

    init(levels: Int) {
        precondition(levels > 0, "local health needs a level")
        self.levels = levels
    }

    mutating func worsen(by points: Int = 1) { score = min(score + points, levels - 1) }
    mutating func improve() { score = max(score - 1, 0) }

    func scaled(_ duration: Duration) -> Duration { score == 0 ? duration : duration * (score + 1) }
}
