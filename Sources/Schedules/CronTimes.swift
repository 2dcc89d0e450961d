public import Primitives

/// When a cron expression fires in a time zone.
///
/// Where the clock is put forward or back, what people who know Vixie cron (and systemd, for times that are skipped) expect:
///
/// - An expression that *names* its hour and minute fires once for every local time that it names. One that is skipped
///   fires at the moment at which the clock is put forward; of one that is repeated, only the first fires.
/// - An expression whose hour or minute begins with `*` *counts* time: it fires whenever the clock shows a time that fits.
///   What is skipped does not fire, what is repeated fires twice.
///
/// So `30 2 * * *` fires every day, and `*/10 * * * *` every ten minutes, on all days.
public struct CronTimes: Hashable, Sendable {
    public let expression: CronExpression
    public let zone: TimeZoneRules

    public init(_ expression: CronExpression, in zone: TimeZoneRules) {
        self.expression = expression
        self.zone = zone
    }

    /// The first time after `time`; nil: it does not come to pass any more, as far as the time zone is known.
    public func next(after time: Timestamp) -> Timestamp? {
        let second = (time.milliseconds - CivilTime.modulo(time.milliseconds, 1000)) / 1000
        return next(from: second + 1).map { Timestamp(milliseconds: $0 * 1000) }
    }

    /// In seconds since 1970. Goes through the spans of time in which the clock is not changed, one after the other.
    private func next(from start: Int64) -> Int64? {
        let horizon = start + Limits.cronHorizonDays * CivilTime.daySeconds
        var from = start
        while from < horizon {
            let span = zone.span(at: from)
            let end = min(span.end ?? horizon, horizon)
            var local = from + span.offset
            if !expression.countsTime, let change = span.start {
                let before = change + span.previousOffset
                let after = change + span.offset
                // What was skipped fires now.
                if from == change, before < after, expression.first(from: before, before: after) != nil { return from }
                // What is repeated has fired.
                if after < before { local = max(local, before) }
            }
            if let found = expression.first(from: local, before: end + span.offset) { return found - span.offset }
            from = end
        }
        return nil
    }
}
