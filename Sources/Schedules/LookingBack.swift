public import Primitives

/// How far a home looks back.
extension ScheduleTiming {
    /// Where a look begins that is to consider what comes after `last`.
    ///
    /// - Not more than `Limits.scheduleMemory` before `now`.
    /// - If all missed firings are made up for: not before the last `Limits.caughtUpFirings` of them.
    func beginning(after last: Timestamp, at now: Timestamp, catchUp: CatchUpPolicy) -> Timestamp {
        let earliest = max(last, Timestamp(milliseconds: now.milliseconds - Limits.scheduleMemory))
        let isLate = now.milliseconds - earliest.milliseconds > Limits.scheduleGrace
        guard catchUp == .all, isLate, hasMore(than: Limits.caughtUpFirings, after: earliest, upTo: now) else {
            return earliest
        }
        if case .interval(let milliseconds, _) = self {
            return Timestamp(milliseconds: now.milliseconds - milliseconds * Int64(Limits.caughtUpFirings))
        }
        // Cron expressions know no part of a second.
        var (low, high) = (earliest.milliseconds, now.milliseconds)
        while high - low > 1000 {
            let middle = low + (high - low) / 2
            if hasMore(than: Limits.caughtUpFirings, after: Timestamp(milliseconds: middle), upTo: now) {
                low = middle
            } else {
                high = middle
            }
        }
        return Timestamp(milliseconds: high)
    }

    private func hasMore(than count: Int, after time: Timestamp, upTo limit: Timestamp) -> Bool {
        var time = time
        for _ in 0...count {
            guard let found = next(after: time), found <= limit else { return false }
            time = found
        }
        return true
    }
}

extension Limits {
    /// Milliseconds: what was missed longer ago is left out.
    public static let scheduleMemory: Int64 = 7 * 86_400_000
    /// Missed firings of one schedule that are made up for: the last ones.
    public static let caughtUpFirings = 100
}
