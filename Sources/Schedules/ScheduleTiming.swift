public import Primitives

/// When a schedule fires.
public enum ScheduleTiming: Hashable, Sendable {
    case cron(CronTimes)
    /// Every so many milliseconds, counted from a moment: `Limits.scheduleInterval` at least.
    case interval(milliseconds: Int64, from: Timestamp)

    /// The first firing after `time`; nil: there is none any more.
    public func next(after time: Timestamp) -> Timestamp? {
        switch self {
        case .cron(let times): return times.next(after: time)
        case .interval(let milliseconds, let start):
            precondition(milliseconds > 0, "an interval has a length")
            guard time >= start else { return start }
            let elapsed = time.milliseconds - start.milliseconds
            return Timestamp(milliseconds: start.milliseconds + (elapsed / milliseconds + 1) * milliseconds)
        }
    }

    /// The last firing in `(earliest, latest]`. What comes next after a time only grows with the time, so it is found by
    /// halving: however long nobody has looked, that takes some 40 steps.
    func last(after earliest: Timestamp, upTo latest: Timestamp) -> Timestamp? {
        func fires(after time: Int64) -> Timestamp? {
            next(after: Timestamp(milliseconds: time)).flatMap { $0 <= latest ? $0 : nil }
        }
        guard var found = fires(after: earliest.milliseconds) else { return nil }
        var (low, high) = (earliest.milliseconds, latest.milliseconds)
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if let later = fires(after: middle) {
                found = later
                low = middle
            } else {
                high = middle
            }
        }
        return found
    }
}

/// What is to be done about a schedule now.
public struct DueFirings: Hashable, Sendable {
    /// Ascending; at most `Limits.firingsAtOnce`.
    public var times: [Timestamp]
    /// Everything up to here is decided: the next look begins after it.
    public var considered: Timestamp

    /// - Parameters:
    ///   - last: what the look before has `considered`, or when the schedule was made.
    ///   - now: not before `last`, or nothing is due.
    public init(_ timing: ScheduleTiming, after last: Timestamp, at now: Timestamp, catchUp: CatchUpPolicy) {
        times = []
        considered = last
        guard now > last else { return }
        let punctual = max(last, Timestamp(milliseconds: now.milliseconds - Limits.scheduleGrace - 1))
        switch catchUp {
        case .none: considered = punctual
        case .one:
            if let missed = timing.last(after: last, upTo: punctual) { times.append(missed) }
            considered = punctual
        case .all: break
        }
        while times.count < Limits.firingsAtOnce {
            guard let next = timing.next(after: considered), next <= now else {
                considered = now
                return
            }
            times.append(next)
            considered = next
        }
    }

    /// How many milliseconds after its time a firing starts: 0...jitter, always the same for the same firing, whoever asks,
    /// and as if at random between firings and between schedules.
    public static func jitter(of time: Timestamp, schedule: String, version: UInt64, upTo jitter: UInt64) -> UInt64 {
        guard jitter > 0 else { return 0 }
        // FNV-1a over what names the firing, then mixed.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in schedule.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        var generator = SeededGenerator(
            seed: hash ^ version &* 0x9E37_79B9_7F4A_7C15 ^ UInt64(bitPattern: time.milliseconds))
        return UInt64.random(in: 0...jitter, using: &generator)
    }
}

extension Limits {
    /// Milliseconds by which a firing may be late and still is in time.
    public static let scheduleGrace: Int64 = 60_000
    /// Firings of one schedule that one look makes; the others are left to the next.
    public static let firingsAtOnce = 100
}
