/// How long tasks of each type take, as far as is known: an exponential mean, each measurement moving it by an eighth of
/// the difference.
///
/// Bounded: beyond `Limits.measuredTypes` the table begins anew, since names of types come from clients.
public struct MeanDurations: Sendable {
    private var means: [String: Duration] = [:]

    public init() {}

    /// Of a type that was never measured: `Limits.assumedDuration`.
    public func mean(of type: String) -> Duration { means[type] ?? Limits.assumedDuration }

    public func isMeasured(_ type: String) -> Bool { means[type] != nil }

    public mutating func measured(_ duration: Duration, of type: String) {
        if means.count >= Limits.measuredTypes, means[type] == nil { means.removeAll() }
        let sample = max(duration, Limits.shortestDuration)
        means[type] = means[type].map { $0 + (sample - $0) / 8 } ?? sample
    }
}

extension Limits {
    public static let measuredTypes = 1000
    /// Before a task of a type was measured.
    public static let assumedDuration = Duration.milliseconds(50)
    /// Nothing counts as shorter, so that a batch stays bounded by time.
    public static let shortestDuration = Duration.microseconds(50)
    /// A stolen batch is worth about so much work of all the thief's slots.
    public static let batchTime = Duration.milliseconds(25)
}
