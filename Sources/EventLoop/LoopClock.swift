import Glibc
public import Primitives

/// When a loop last turned, on two clocks.
public struct LoopTurn: Hashable, Sendable {
    /// Turns since the loop started.
    public var number: UInt64
    /// CLOCK_MONOTONIC, which stands still while the machine sleeps.
    public var monotonic: Instant
    /// CLOCK_BOOTTIME, which does not.
    public var boottime: Instant
}

/// The clocks of the loop, and its memory of when it last turned.
///
/// A turn is noted twice: before the loop goes to wait, and at the first callback after the wait, before that callback
/// does anything. The heartbeat of the loop bounds the wait, so a gap of CLOCK_BOOTTIME between two notes that exceeds
/// the heartbeat means that the process, the machine or long callbacks held the loop up.
final class LoopClock: Sendable {
    private let last: Lock<LoopTurn>

    init() {
        last = Lock(LoopTurn(number: 0, monotonic: Self.monotonic(), boottime: Self.boottime()))
    }

    var lastTurn: LoopTurn { last.withLock { $0 } }

    /// Notes that the loop is at work. Returns what CLOCK_BOOTTIME shows.
    func note(isNewTurn: Bool) -> Instant {
        let monotonic = Self.monotonic()
        let boottime = Self.boottime()
        return last.withLock { turn in
            turn.monotonic = monotonic
            turn.boottime = boottime
            if isNewTurn { turn.number += 1 }
            return boottime
        }
    }

    static func monotonic() -> Instant { read(CLOCK_MONOTONIC) }
    static func boottime() -> Instant { read(CLOCK_BOOTTIME) }

    static func microsecondsSince1970() -> UInt64 { UInt64(max(0, read(CLOCK_REALTIME).nanoseconds / 1000)) }

    private static func read(_ clock: clockid_t) -> Instant {
        var time = timespec()
        clock_gettime(clock, &time)
        return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }
}
