public import Primitives

/// A schedule: when tasks of a kind are submitted, and how.
///
/// It is a part of the settings, so it changes by a view, and every node knows it. Each change makes a new **version**, the
/// number of that view, which begins at `since`: nothing before fires, and what the version before has missed is forgotten
/// with it. A change that changes nothing makes no version, so one that is asked for twice is made once.
public struct ScheduleSettings: Hashable, Sendable {
    public enum Timing: Hashable, Sendable {
        case cron(String, timeZone: String)
        /// Milliseconds, counted from `since`.
        case interval(UInt64)
    }

    /// What the task does not name: its queue says so when it fires.
    public struct Inherited: OptionSet, Hashable, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        public static let maxRetries = Inherited(rawValue: 1)
        public static let retry = Inherited(rawValue: 2)
        public static let timeout = Inherited(rawValue: 4)
        static let all: Inherited = [.maxRetries, .retry, .timeout]
    }

    public let name: String
    public var timing: Timing
    /// Milliseconds by which each firing is delayed at most.
    public var jitter: UInt32
    public var overlap: OverlapPolicy
    public var catchUp: CatchUpPolicy
    public var isPaused: Bool
    public var inherited: Inherited
    /// The task, as it goes between nodes: at most `Limits.scheduledTaskBytes`.
    public var task: [UInt8]
    /// The number of the view that made it, or changed it last.
    public var version: UInt64
    /// Since when it is so, by the clock of the node that was asked for it.
    public var since: Timestamp
    public var createdAt: Timestamp

    /// As it is asked for: the view decides about its version.
    public init(
        name: String, timing: Timing, jitter: UInt32 = 0, overlap: OverlapPolicy = .skip,
        catchUp: CatchUpPolicy = .none, isPaused: Bool = false, inherited: Inherited = [], task: [UInt8],
        since: Timestamp
    ) {
        self.name = name
        self.timing = timing
        self.jitter = jitter
        self.overlap = overlap
        self.catchUp = catchUp
        self.isPaused = isPaused
        self.inherited = inherited
        self.task = task
        self.since = since
        version = 0
        createdAt = since
    }

    /// About how many bytes it takes.
    public var cost: Int {
        let timing =
            switch timing {
            case .cron(let text, let zone): text.utf8.count + zone.utf8.count
            case .interval: 8
            }
        return 48 + name.utf8.count + timing + task.count
    }

    func validate() throws(ViewError) {
        func require(_ holds: Bool, _ what: String) throws(ViewError) {
            guard holds else { throw .malformed("\(what) of the schedule \(name)") }
        }
        guard NodeName.isValid(name) else { throw .malformed("the name of a schedule") }
        switch timing {
        case .cron(let text, let zone):
            try require((1...Limits.cronBytes).contains(text.utf8.count), "cron expression")
            try require((1...Limits.nameBytes).contains(zone.utf8.count), "time zone")
        case .interval(let milliseconds):
            try require(
                (UInt64(Limits.scheduleInterval)...UInt64(Limits.longestInterval)).contains(milliseconds), "interval")
        }
        try require(jitter <= Limits.scheduleJitter, "jitter")
        try require(inherited.isSubset(of: .all), "inheritance")
        try require((1...Limits.scheduledTaskBytes).contains(task.count), "task")
        // What is written is what was decided.
        for time in [since, createdAt] {
            try require((0...Limits.scheduleTimes).contains(time.milliseconds), "time")
        }
    }
}

extension ClusterSettings {
    public func schedule(_ name: String) -> ScheduleSettings? {
        let place = schedulePlace(of: name)
        return place.isKnown ? schedules[place.index] : nil
    }

    /// Where the schedule stands, or would.
    private func schedulePlace(of name: String) -> (index: Int, isKnown: Bool) {
        var (low, high) = (0, schedules.count)
        while low < high {
            let middle = (low + high) / 2
            if schedules[middle].name < name { low = middle + 1 } else { high = middle }
        }
        return (low, low < schedules.count && schedules[low].name == name)
    }

    /// - Parameter view: the number of the view that is made.
    mutating func set(_ schedule: ScheduleSettings, in view: UInt64) throws(SettingsRefusal) {
        let place = schedulePlace(of: schedule.name)
        var schedule = schedule
        if place.isKnown {
            let old = schedules[place.index]
            schedule.createdAt = old.createdAt
            var same = schedule
            (same.version, same.since) = (old.version, old.since)
            if same == old { return }
            schedules[place.index] = schedule
        } else {
            guard schedules.count < Limits.schedules else { throw .tooManySchedules }
            schedules.insert(schedule, at: place.index)
        }
        schedules[place.index].version = view
        guard schedules.reduce(0, { $0 + $1.cost }) <= Limits.schedulesBytes else { throw .schedulesTooLarge }
    }

    mutating func removeSchedule(_ name: String) throws(SettingsRefusal) {
        let place = schedulePlace(of: name)
        guard place.isKnown else { throw .unknownSchedule }
        schedules.remove(at: place.index)
    }

    func validateSchedules() throws(ViewError) {
        guard schedules.count <= Limits.schedules else { throw .malformed("\(schedules.count) schedules") }
        guard zip(schedules, schedules.dropFirst()).allSatisfy({ $0.name < $1.name }) else {
            throw .malformed("schedules do not ascend by name")
        }
        for schedule in schedules { try schedule.validate() }
        guard schedules.reduce(0, { $0 + $1.cost }) <= Limits.schedulesBytes else {
            throw .malformed("the schedules take too many bytes")
        }
    }
}

extension Limits {
    /// Since when a schedule may be, in milliseconds since 1970: up to the year 9999.
    public static let scheduleTimes: Int64 = 253_402_300_799_999
}
