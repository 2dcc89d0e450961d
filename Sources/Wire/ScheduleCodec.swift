public import Primitives
public import TaskLedger
import Views

// Schedules: as a part of the settings, and what their homes tell of them. One takes about 40 bytes besides its name, its
// cron expression and its task.

extension TaskSpec {
    /// As the settings carry it.
    public var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.taskSpec(self)
        return writer.bytes
    }

    public init(encoded bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        self = try reader.taskSpec()
        try reader.finish()
    }
}

/// What the home of a schedule knows of it.
public struct ScheduleStatus: Hashable, Sendable {
    public var name: String
    public var version: UInt64
    /// The newest last: at most `Limits.recentFirings`.
    public var recent: [PastFiring]
    /// Why its next firing is late, or there is none: at most `Limits.scheduleProblemBytes`.
    public var problem: String?

    public init(name: String, version: UInt64, recent: [PastFiring], problem: String?) {
        self.name = name
        self.version = version
        self.recent = recent
        self.problem = problem
    }
}

extension ByteWriter {
    mutating func scheduleSettings(_ value: ScheduleSettings) {
        string(value.name)
        switch value.timing {
        case .cron(let text, let zone):
            uint8(1)
            string(text)
            string(zone)
        case .interval(let milliseconds):
            uint8(2)
            varint(milliseconds)
        }
        varint(UInt64(value.jitter))
        uint8(value.overlap.rawValue)
        uint8(value.catchUp.rawValue)
        bool(value.isPaused)
        uint8(value.inherited.rawValue)
        byteString(value.task)
        varint(value.version)
        timestamp(value.since)
        timestamp(value.createdAt)
    }

    public mutating func scheduleName(_ value: String?) { optional(value) { $0.string($1) } }

    public mutating func scheduleStatus(_ value: ScheduleStatus) {
        string(value.name)
        varint(value.version)
        array(value.recent) { writer, firing in
            writer.timestamp(firing.time)
            switch firing.outcome {
            case .fired(let id):
                writer.uint8(1)
                writer.taskID(id)
            case .leftOut(let id):
                writer.uint8(2)
                writer.taskID(id)
            }
        }
        optional(value.problem) { $0.text($1, upTo: Limits.scheduleProblemBytes) }
    }
}

extension ByteReader {
    /// The task is looked at as well: one that cannot be read could never fire.
    mutating func scheduleSettings() throws(WireError) -> ScheduleSettings {
        let name = try settingName("schedule")
        let timing: ScheduleSettings.Timing =
            switch try uint8() {
            case 1:
                .cron(
                    try string(upTo: Limits.cronBytes, "cron expression"),
                    timeZone: try string(upTo: Limits.nameBytes, "time zone"))
            case 2: .interval(try number(upTo: UInt64(Limits.longestInterval), "interval"))
            default: throw .invalid("timing of a schedule")
            }
        let jitter = UInt32(try number(upTo: UInt64(Limits.scheduleJitter), "jitter"))
        guard let overlap = OverlapPolicy(rawValue: try uint8()) else { throw .invalid("overlap policy") }
        guard let catchUp = CatchUpPolicy(rawValue: try uint8()) else { throw .invalid("catch-up policy") }
        let isPaused = try bool()
        let inherited = ScheduleSettings.Inherited(rawValue: try uint8())
        let task = try byteString(upTo: Limits.scheduledTaskBytes, "task of a schedule")
        _ = try TaskSpec(encoded: task)
        let version = try varint()
        var schedule = ScheduleSettings(
            name: name, timing: timing, jitter: jitter, overlap: overlap, catchUp: catchUp, isPaused: isPaused,
            inherited: inherited, task: task, since: try timestamp())
        schedule.version = version
        schedule.createdAt = try timestamp()
        return schedule
    }

    public mutating func scheduleName() throws(WireError) -> String? {
        try optional { reader throws(WireError) in try reader.settingName("schedule") }
    }

    public mutating func scheduleStatus() throws(WireError) -> ScheduleStatus {
        ScheduleStatus(
            name: try settingName("schedule"), version: try varint(),
            recent: try array(upTo: Limits.recentFirings, "firings") { reader throws(WireError) in
                let time = try reader.timestamp()
                switch try reader.uint8() {
                case 1: return PastFiring(time: time, outcome: .fired(try reader.taskID()))
                case 2: return PastFiring(time: time, outcome: .leftOut(try reader.taskID()))
                default: throw .invalid("outcome of a firing")
                }
            },
            problem: try optional { reader throws(WireError) in
                try reader.string(upTo: Limits.scheduleProblemBytes, "problem of a schedule")
            })
    }
}

extension Limits {
    /// What keeps a schedule from firing, as a peer tells it; more is cut.
    static let scheduleProblemBytes = 512
}
