package import Primitives

/// The clocks of one machine: a monotonic one that runs a little too fast or too slow and begins anywhere, and a wall
/// clock that may be off and may jump.
///
/// `@unchecked`: only touched by the world's thread.
package final class VirtualClock: @unchecked Sendable {
    /// True time zero, by a wall clock that is right: 1 January 2026.
    static let epoch: Int64 = 1_767_225_600_000_000

    /// How wrong a wall clock is from the beginning, in microseconds, if clocks may drift.
    private static let greatestOffset: Int64 = 5_000_000

    private let timeline: Timeline
    private var random: SeededGenerator
    /// Of true time `base`, by the monotonic clock.
    private var local: Int64
    private var base: Int64 = 0
    private var wallOffset: Int64 = 0
    /// How much too fast it runs, in millionths.
    package private(set) var drift: Int64
    /// When the machine fell asleep; nil while it is awake.
    private var asleepSince: Instant?
    /// Since it was switched on.
    private var slept = Duration.zero

    init(timeline: Timeline, greatestDrift: Double, seed: UInt64) {
        self.timeline = timeline
        random = SeededGenerator(seed: seed)
        let bound = Int64(greatestDrift * 1_000_000)
        drift = bound > 0 ? Int64.random(in: -bound...bound, using: &random) : 0
        local = Int64.random(in: 1...1_000_000_000_000_000, using: &random)
        wallOffset = bound > 0 ? Int64.random(in: -Self.greatestOffset...Self.greatestOffset, using: &random) : 0
    }

    /// CLOCK_MONOTONIC.
    package var now: Instant {
        let elapsed = (asleepSince ?? timeline.now).nanoseconds - base
        return Instant(nanoseconds: local + elapsed + scaled(elapsed))
    }

    /// CLOCK_BOOTTIME: goes on while the machine sleeps.
    package var boottime: Instant { now + slept + (asleepSince.map { timeline.now - $0 } ?? .zero) }

    /// CLOCK_REALTIME.
    package var microsecondsSince1970: UInt64 {
        let elapsed = timeline.now.nanoseconds
        return UInt64(max(0, Self.epoch + (elapsed + scaled(elapsed)) / 1000 + wallOffset))
    }

    /// What a wall clock that is right says at some true time.
    static func rightTimestamp(_ instant: Instant) -> Timestamp {
        Timestamp(milliseconds: (epoch + instant.nanoseconds / 1000) / 1000)
    }

    /// How far the wall clock is from one that is right.
    var wallError: Duration {
        .microseconds(abs(Int64(microsecondsSince1970) - Self.epoch - timeline.now.nanoseconds / 1000))
    }

    private func scaled(_ nanoseconds: Int64) -> Int64 { Self.scaled(nanoseconds, by: drift) }

    private static func scaled(_ nanoseconds: Int64, by drift: Int64) -> Int64 {
        (1_000_000 as Int64).dividingFullWidth(nanoseconds.multipliedFullWidth(by: drift)).quotient
    }

    /// True time until so much has passed here.
    func trueDuration(_ duration: Duration) -> Duration {
        let nanoseconds = duration.nanoseconds
        let product = nanoseconds.multipliedFullWidth(by: 1_000_000)
        return .nanoseconds((1_000_000 + drift).dividingFullWidth(product).quotient)
    }

    /// The wall clock is set. The monotonic one does not notice.
    package func jumpWall(by duration: Duration) { wallOffset += duration.nanoseconds / 1000 }

    /// - Parameter drift: in millionths; -10,000 is 1 % too slow.
    package func setDrift(_ drift: Int64) {
        let now = now
        base = timeline.now.nanoseconds
        local = now.nanoseconds
        wallOffset += (scaled(base) - Self.scaled(base, by: drift)) / 1000
        self.drift = drift
    }

    /// The machine was off: its monotonic clock begins anew.
    func reboot() {
        asleepSince = nil
        slept = .zero
        base = timeline.now.nanoseconds
        local = Int64.random(in: 1...1_000_000_000_000_000, using: &random)
    }

    func fallAsleep() { asleepSince = timeline.now }

    /// - Returns: for how long it slept, in true time.
    func wakeUp() -> Duration {
        guard let since = asleepSince else { return .zero }
        let now = now
        asleepSince = nil
        base = timeline.now.nanoseconds
        local = now.nanoseconds
        slept += timeline.now - since
        return timeline.now - since
    }
}
