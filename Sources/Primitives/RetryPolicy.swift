/// How often a failed task is tried again, and how long it rests before.
public struct RetryPolicy: Hashable, Sendable {
    public enum Backoff: UInt8, Sendable, CaseIterable {
        /// base x 2^(retry - 1)
        case exponential
        /// base x retry
        case linear
        /// base
        case fixed
        /// at once
        case none
    }

    /// Retries after the first attempt: 0...`Limits.retries`.
    public var maxRetries: UInt16
    public var backoff: Backoff
    /// Milliseconds before the first retry.
    public var base: UInt32
    /// Milliseconds at most.
    public var maximum: UInt32
    /// Each delay is multiplied by a random factor in 1 - jitter ... 1 + jitter. In thousandths: 0...1000.
    public var jitter: UInt16

    public init(
        maxRetries: UInt16 = 3, backoff: Backoff = .exponential, base: UInt32 = 1000, maximum: UInt32 = 3_600_000,
        jitter: UInt16 = 200
    ) {
        self.maxRetries = maxRetries
        self.backoff = backoff
        self.base = base
        self.maximum = maximum
        self.jitter = jitter
    }

    /// The rest before retry number `retry` (1 is the first).
    public func delay(beforeRetry retry: UInt32, using generator: inout SeededGenerator) -> Duration {
        let rest: UInt64 =
            switch backoff {
            case .exponential: retry > 32 ? UInt64(maximum) : UInt64(base) << UInt64(max(retry, 1) - 1)
            case .linear: UInt64(base) * UInt64(retry)
            case .fixed: UInt64(base)
            case .none: 0
            }
        let bounded = min(rest, UInt64(maximum))
        guard bounded > 0 else { return .zero }
        let thousandths =
            jitter == 0 ? 1000 : UInt64.random(in: 1000 - UInt64(jitter)...1000 + UInt64(jitter), using: &generator)
        return .milliseconds(Int64(min(bounded * thousandths / 1000, UInt64(maximum))))
    }
}
