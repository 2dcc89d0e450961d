/// What becomes of firings that nobody carried out when they were due, since the cluster or the home of the schedule was
/// away for longer than `Limits.scheduleGrace`.
public enum CatchUpPolicy: UInt8, Hashable, Sendable, CaseIterable {
    /// They are left out.
    case none = 1
    /// The last one of them is made up for.
    case one
    /// All are made up for, the oldest first: see `Limits.caughtUpFirings`.
    case all

    /// The names that clients see.
    public var name: String {
        switch self {
        case .none: "none"
        case .one: "one"
        case .all: "all"
        }
    }
}

/// What a firing does while the task of an earlier one is still open.
public enum OverlapPolicy: UInt8, Hashable, Sendable, CaseIterable {
    /// It is left out.
    case skip = 1
    /// Its task waits for the one before.
    case queue
    /// The task of the one before is cancelled.
    case replace

    /// The names that clients see.
    public var name: String {
        switch self {
        case .skip: "skip"
        case .queue: "queue"
        case .replace: "replace"
        }
    }

    public enum Decision: Hashable, Sendable {
        case fire
        case leaveOut
        case fireBehind
        case cancelAndFire
    }

    public func decide(isPreviousOpen: Bool) -> Decision {
        guard isPreviousOpen else { return .fire }
        switch self {
        case .skip: return .leaveOut
        case .queue: return .fireBehind
        case .replace: return .cancelAndFire
        }
    }
}

/// What became of one time at which a schedule was to fire.
public struct PastFiring: Hashable, Sendable {
    public enum Outcome: Hashable, Sendable {
        /// This is its task.
        case fired(TaskID)
        /// The task of an earlier firing, this one, was still open.
        case leftOut(TaskID)
    }

    public var time: Timestamp
    public var outcome: Outcome

    public init(time: Timestamp, outcome: Outcome) {
        self.time = time
        self.outcome = outcome
    }
}

extension Limits {
    /// Schedules of a cluster.
    public static let schedules = 1000
    /// About how many bytes all of them take: they are a part of every view.
    public static let schedulesBytes = 256 << 10
    /// What the task of a schedule takes as bytes, its payload included.
    public static let scheduledTaskBytes = 16 << 10
    /// Payload of a schedule's task.
    public static let scheduledPayloadBytes = 8 << 10
    /// Of a cron expression.
    public static let cronBytes = 256
    /// Milliseconds between two firings, at least.
    public static let scheduleInterval: Int64 = 1000
    /// Milliseconds between two firings of an interval, at most: a year.
    public static let longestInterval: Int64 = 31_536_000_000
    /// Milliseconds: a day.
    public static let scheduleJitter: UInt32 = 86_400_000
    /// The last firings of a schedule that its home tells of.
    public static let recentFirings = 10
}
