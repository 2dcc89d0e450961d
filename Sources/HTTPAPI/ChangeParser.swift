import APIModel
import Primitives
import Service
import TaskLedger

/// Reads the body of a PATCH: `priority` and `run_at` (null: at once), at least one of them.
struct ChangeParser {
    private var reader: FieldReader
    private var priority: Priority?
    private var delay: UInt64?

    static func parse(_ body: [UInt8], now: Timestamp) throws(Problem) -> TaskWish {
        var parser = ChangeParser(reader: FieldReader(JSONPullParser(body), limit: APILimits.reportedErrors))
        do {
            try parser.read(now)
            try parser.reader.parser.finish()
        } catch {
            throw Problem.malformed(error)
        }
        guard parser.reader.errors.isEmpty else { throw Problem.invalid(parser.reader.errors, in: "change") }
        return .change(priority: parser.priority, delay: parser.delay)
    }

    private mutating func read(_ now: Timestamp) throws(JSONError) {
        guard try reader.next(isObjectNamed: "an object with \"priority\" or \"run_at\"") else { return }
        try reader.parser.beginObject()
        var members = FieldReader.Members(of: ["priority", "run_at"])
        while let (key, place) = try reader.next(&members) {
            if key == "priority" { priority = try reader.priority(place) } else { try readTime(place, now) }
        }
        if priority == nil, delay == nil, reader.errors.isEmpty {
            reader.report("", "nothing to change: give \"priority\", \"run_at\", or both")
        }
    }

    private mutating func readTime(_ place: String, _ now: Timestamp) throws(JSONError) {
        if try reader.parser.peek() == .null {
            try reader.parser.skipValue()
            delay = 0
            return
        }
        guard let time = try reader.timestamp(place) else { return }
        guard time.milliseconds <= now.milliseconds + Int64(Limits.horizonSeconds) * 1000 else {
            return reader.report(place, "must be within \(Limits.horizonSeconds) seconds from now")
        }
        delay = UInt64(max(0, time.milliseconds - now.milliseconds))
    }
}

/// Reads which dead letters are meant: `queue`, `task_type`, `age` and `error`, all of which have to fit. No body, or
/// none of them: all dead letters.
struct LetterFilterParser {
    static let names = ["queue", "task_type", "age", "error"]

    static func parse(_ body: [UInt8], isPurge: Bool) throws(Problem) -> LetterSweep {
        var sweep = LetterSweep(isPurge: isPurge)
        guard !body.isEmpty else { return sweep }
        var reader = FieldReader(JSONPullParser(body), limit: APILimits.reportedErrors)
        do {
            try read(&reader, into: &sweep)
            try reader.parser.finish()
        } catch {
            throw Problem.malformed(error)
        }
        guard reader.errors.isEmpty else { throw Problem.invalid(reader.errors, in: "filter") }
        return sweep
    }

    private static func read(_ reader: inout FieldReader, into sweep: inout LetterSweep) throws(JSONError) {
        guard try reader.next(isObjectNamed: "an object with some of \(names.joined(separator: ", "))") else { return }
        try reader.parser.beginObject()
        var members = FieldReader.Members(of: names)
        while let (key, place) = try reader.next(&members) {
            switch key {
            case "queue":
                sweep.queue = try reader.string(place)
                if let queue = sweep.queue, !NodeName.isValid(queue) {
                    reader.report(place, "must match [a-z0-9][a-z0-9._-]{0,62}, got \(quoted(queue))")
                }
            case "task_type":
                sweep.taskType = try reader.string(place)
                if let type = sweep.taskType, !(1...Limits.nameBytes).contains(type.utf8.count) {
                    reader.report(place, "must be 1...\(Limits.nameBytes) bytes, got \(quoted(type))")
                }
            case "age":
                let age = try reader.seconds(place, upTo: Limits.horizonSeconds)
                sweep.age = age.map { .milliseconds(Int64($0)) }
            default:
                sweep.error = try reader.string(place)
                if let error = sweep.error, error.utf8.count > Limits.errorFilterBytes {
                    reader.report(place, "must be at most \(Limits.errorFilterBytes) bytes")
                }
            }
        }
    }
}

extension FieldReader {
    /// Whether an object comes next; anything else, null too, is skipped and reported for the whole body.
    mutating func next(isObjectNamed expected: String) throws(JSONError) -> Bool {
        let kind = try parser.peek()
        if kind == .object { return true }
        try parser.skipValue()
        report("", "must be \(expected), got \(kind.name)")
        return false
    }

    /// 1...10, or a word for one of them.
    mutating func priority(_ pointer: String) throws(JSONError) -> Priority? {
        guard try parser.peek() == .string else {
            return try whole(pointer, in: 1...10).flatMap { Priority($0) }
        }
        switch try word(pointer, of: ["low", "normal", "high", "critical"]) {
        case "low": return .low
        case "normal": return .normal
        case "high": return .high
        case "critical": return .critical
        default: return nil
        }
    }
}
