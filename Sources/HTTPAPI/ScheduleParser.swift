import APIModel
import Primitives
import Schedules
import Service
import TaskLedger
import Views

/// Reads the body of a PUT of a schedule: JSON in, a draft or all that is wrong with it out. Whether a time zone is known is
/// for the node to say: it has the files.
struct ScheduleParser {
    static let names = ["cron", "interval", "time_zone", "jitter", "overlap", "catch_up", "paused", "task"]

    private var reader: FieldReader
    private let now: Timestamp
    private var cron: String?
    private var interval: UInt64?
    private var zone: String?
    private var jitter: UInt64?
    private var overlap: OverlapPolicy?
    private var catchUp: CatchUpPolicy?
    private var isPaused: Bool?
    private var task: TaskSpec?
    private var inherited: ScheduleSettings.Inherited = []

    private init(_ body: [UInt8], now: Timestamp) {
        reader = FieldReader(JSONPullParser(body), limit: APILimits.reportedErrors)
        self.now = now
    }

    static func parse(_ body: [UInt8], name: String, now: Timestamp) throws(Problem) -> ScheduleDraft {
        var parser = ScheduleParser(body, now: now)
        do {
            try parser.read()
            try parser.reader.parser.finish()
        } catch {
            throw Problem.malformed(error)
        }
        guard let draft = parser.draft(name), parser.reader.errors.isEmpty else {
            throw Problem.invalid(parser.reader.errors, in: "schedule")
        }
        return draft
    }

    private mutating func read() throws(JSONError) {
        guard try reader.next(isObjectNamed: "an object with cron or interval, and a task") else { return }
        try reader.parser.beginObject()
        var members = FieldReader.Members(of: Self.names)
        while let (key, place) = try reader.next(&members) {
            try readValue(of: key, place)
        }
        checkTogether()
    }

    private mutating func readValue(of key: String, _ place: String) throws(JSONError) {
        switch key {
        case "cron":
            guard let text = try reader.string(place, "a cron expression") else { return }
            do throws(ScheduleError) {
                _ = try CronExpression(text)
                cron = text
            } catch {
                reader.report(place, error.description)
            }
        case "interval":
            guard let value = try reader.seconds(place, upTo: Int(Limits.longestInterval / 1000)) else { return }
            guard value >= UInt64(Limits.scheduleInterval) else {
                return reader.report(place, "must be at least \(Limits.scheduleInterval / 1000) second")
            }
            interval = value
        case "time_zone":
            guard let name = try reader.string(place, "the name of a time zone") else { return }
            guard TimeZoneRules.isValid(name) else {
                return reader.report(
                    place, "must be the name of a time zone, such as \"Europe/Zurich\" or \"UTC\", got \(quoted(name))")
            }
            zone = name
        case "jitter": jitter = try reader.seconds(place, upTo: Int(Limits.scheduleJitter / 1000))
        case "overlap":
            let word = try reader.word(place, of: OverlapPolicy.allCases.map(\.name))
            overlap = OverlapPolicy.allCases.first { $0.name == word }
        case "catch_up":
            let word = try reader.word(place, of: CatchUpPolicy.allCases.map(\.name))
            catchUp = CatchUpPolicy.allCases.first { $0.name == word }
        case "paused": isPaused = try reader.bool(place)
        default: try readTask(place)
        }
    }

    private mutating func readTask(_ place: String) throws(JSONError) {
        let (outcome, inherited) = try SubmissionParser.parse(scheduled: &reader.parser, now: now)
        switch outcome {
        case .invalid(let items):
            for item in items { reader.report(place + item.pointer, item.detail) }
        case .spec(let spec):
            guard spec.payload.count <= Limits.scheduledPayloadBytes else {
                return reader.report(
                    place + "/payload",
                    "must be at most \(Limits.scheduledPayloadBytes) bytes in a schedule, got \(spec.payload.count)")
            }
            task = spec
            self.inherited = inherited
        }
    }

    private mutating func checkTogether() {
        func isWrong(_ field: String) -> Bool { reader.errors.contains { $0.pointer.hasPrefix("/\(field)") } }
        if cron != nil, interval != nil {
            reader.report("/interval", "\"cron\" is given too: give one of them")
        } else if cron == nil, interval == nil, !isWrong("cron"), !isWrong("interval") {
            reader.report("/cron", "is required, or \"interval\"")
        }
        if zone != nil, interval != nil, cron == nil {
            reader.report("/time_zone", "means nothing without \"cron\": an interval knows no time zone")
        }
        if task == nil, !isWrong("task") { reader.report("/task", "is required") }
    }

    private func draft(_ name: String) -> ScheduleDraft? {
        guard let task else { return nil }
        let timing: ScheduleSettings.Timing
        if let cron {
            timing = .cron(cron, timeZone: zone ?? "UTC")
        } else if let interval {
            timing = .interval(interval)
        } else {
            return nil
        }
        return ScheduleDraft(
            name: name, timing: timing, jitter: UInt32(jitter ?? 0), overlap: overlap ?? .skip,
            catchUp: catchUp ?? .none, isPaused: isPaused ?? false, task: task, inherited: inherited)
    }
}
