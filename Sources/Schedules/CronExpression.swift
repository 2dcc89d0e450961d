import Primitives

/// Why a cron expression, or a time zone, is none. A sentence that names the field.
public struct ScheduleError: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}

/// Times of the wall clock, as crontab(5) writes them: minute, hour, day of the month, month, day of the week; with a sixth
/// field the first one is the second.
///
/// A field is a list, separated by commas, of `*`, numbers, ranges `a-b`, each perhaps with a step `/n` (`a/n` goes on to
/// the greatest value). Months and weekdays may be named by their first three letters; Sunday is 0 and 7; `?` is `*`.
/// `@yearly`, `@annually`, `@monthly`, `@weekly`, `@daily`, `@midnight` and `@hourly` stand for what they say.
///
/// A day fits if the day of the month and the weekday fit; but if both are restricted, which is to say that neither field
/// begins with `*`, either is enough. That is the rule of Vixie cron.
public struct CronExpression: Hashable, Sendable {
    /// As it was written.
    public let text: String
    /// The hour or the minute begins with `*`: it counts time rather than naming it. See `CronTimes`.
    let countsTime: Bool
    private let seconds: Bits
    private let minutes: Bits
    private let hours: Bits
    private let days: Bits
    private let months: Bits
    private let weekdays: Bits
    private let isEitherDayEnough: Bool

    /// Also refuses what can never come to pass, such as a 30th of February.
    public init(_ text: String) throws(ScheduleError) {
        guard text.utf8.count <= Limits.cronBytes else {
            throw ScheduleError("a cron expression may have \(Limits.cronBytes) bytes")
        }
        self.text = text
        let words = try Self.words(text)
        let fields = words.count == 5 ? ["0"] + words : words
        seconds = try Bits(fields[0], .second)
        minutes = try Bits(fields[1], .minute)
        hours = try Bits(fields[2], .hour)
        days = try Bits(fields[3], .day)
        months = try Bits(fields[4], .month)
        weekdays = try Bits(fields[5], .weekday)
        func begins(_ field: String) -> Bool { field.hasPrefix("*") || field.hasPrefix("?") }
        countsTime = begins(fields[1]) || begins(fields[2])
        isEitherDayEnough = !begins(fields[3]) && !begins(fields[5])
        guard first(from: 0, before: Limits.cronHorizonDays * CivilTime.daySeconds) != nil else {
            throw ScheduleError("\"\(text)\" names a day that never comes")
        }
    }

    private static func words(_ text: String) throws(ScheduleError) -> [String] {
        if text.hasPrefix("@") {
            guard let meaning = nicknames[text.lowercased()] else {
                throw ScheduleError(
                    "there is no \(text); there are \(nicknames.keys.sorted().joined(separator: ", "))")
            }
            return meaning.split(separator: " ").map(String.init)
        }
        let words = text.split { $0 == " " || $0 == "\t" }.map(String.init)
        guard (5...6).contains(words.count) else {
            throw ScheduleError(
                "a cron expression has 5 fields (minute, hour, day, month, weekday), or 6 with the second first; "
                    + "\"\(text)\" has \(words.count)")
        }
        return words
    }

    private static let nicknames = [
        "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
        "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
    ]

    /// The first local time that fits, in seconds since 1970-01-01 of the same wall clock, in `local ..< limit`.
    func first(from local: Int64, before limit: Int64) -> Int64? {
        var day = CivilTime.day(ofSecond: local)
        var second = Int(local - day * CivilTime.daySeconds)
        while day * CivilTime.daySeconds < limit {
            let date = CivilTime.date(ofDay: day)
            if !months.contains(date.month) {
                let isLast = date.month == 12
                day = CivilTime.days(year: date.year + (isLast ? 1 : 0), month: isLast ? 1 : date.month + 1, day: 1)
                second = 0
                continue
            }
            if fits(date.day, CivilTime.weekday(ofDay: day)), let time = timeOfDay(from: second) {
                let found = day * CivilTime.daySeconds + Int64(time)
                return found < limit ? found : nil
            }
            day += 1
            second = 0
        }
        return nil
    }

    private func fits(_ day: Int64, _ weekday: Int64) -> Bool {
        let (fitsMonth, fitsWeek) = (days.contains(day), weekdays.contains(weekday))
        return isEitherDayEnough ? fitsMonth || fitsWeek : fitsMonth && fitsWeek
    }

    private func timeOfDay(from start: Int) -> Int? {
        let (hour, minute, second) = (start / 3600, start % 3600 / 60, start % 60)
        if hours.contains(Int64(hour)) {
            if minutes.contains(Int64(minute)), let found = seconds.first(from: second) {
                return hour * 3600 + minute * 60 + found
            }
            if let found = minutes.first(from: minute + 1) { return hour * 3600 + found * 60 + seconds.lowest }
        }
        return hours.first(from: hour + 1).map { $0 * 3600 + minutes.lowest * 60 + seconds.lowest }
    }
}

/// The values of one field.
private struct Bits: Hashable, Sendable {
    enum Field: String {
        case second, minute, hour, day, month, weekday

        var range: ClosedRange<Int> {
            switch self {
            case .second, .minute: 0...59
            case .hour: 0...23
            case .day: 1...31
            case .month: 1...12
            case .weekday: 0...7
            }
        }

        var names: [String] {
            switch self {
            case .second, .minute, .hour, .day: []
            case .month: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
            case .weekday: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
            }
        }
    }

    private var raw: UInt64 = 0

    init(_ text: String, _ field: Field) throws(ScheduleError) {
        for item in text.split(separator: ",", omittingEmptySubsequences: false) { try add(item, of: field, text) }
        // Sunday has two numbers.
        if field == .weekday, raw & 0b1000_0000 != 0 { raw = raw & 0b0111_1111 | 1 }
    }

    private mutating func add(_ item: Substring, of field: Field, _ whole: String) throws(ScheduleError) {
        let parts = item.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count) else { throw Self.error(whole, field, "\"\(item)\" has two steps") }
        var step = 1
        if parts.count == 2 {
            guard let value = Self.number(parts[1]), value > 0 else {
                throw Self.error(whole, field, "\"\(parts[1])\" is no step: expected a number above 0")
            }
            step = value
        }
        let bounds = parts[0].split(separator: "-", omittingEmptySubsequences: false)
        let all = field == .weekday ? 0...6 : field.range
        let range: ClosedRange<Int>
        if parts[0] == "*" || parts[0] == "?" {
            range = all
        } else if bounds.count == 1 {
            let value = try Self.value(bounds[0], field, whole)
            range = value...(parts.count == 2 ? max(value, all.upperBound) : value)
        } else if bounds.count == 2 {
            let (low, high) = (try Self.value(bounds[0], field, whole), try Self.value(bounds[1], field, whole))
            guard low <= high else {
                throw Self.error(whole, field, "the range \(parts[0]) goes backward: write two, separated by a comma")
            }
            range = low...high
        } else {
            throw Self.error(whole, field, "\"\(item)\" is no range")
        }
        for value in stride(from: range.lowerBound, through: range.upperBound, by: step) { raw |= 1 << UInt64(value) }
    }

    private static func value(_ text: Substring, _ field: Field, _ whole: String) throws(ScheduleError) -> Int {
        if let place = field.names.firstIndex(of: text.lowercased()) { return place + field.range.lowerBound }
        guard let value = number(text), field.range.contains(value) else {
            let names = field.names.first.map { ", or a name such as \($0)" } ?? ""
            throw error(
                whole, field,
                "\"\(text)\" is not \(field.range.lowerBound)...\(field.range.upperBound)\(names)")
        }
        return value
    }

    /// Digits and nothing else: `Int` would take a sign.
    private static func number(_ text: Substring) -> Int? {
        guard (1...4).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return Int(text)
    }

    private static func error(_ whole: String, _ field: Field, _ detail: String) -> ScheduleError {
        ScheduleError("\(field.rawValue) \"\(whole)\": \(detail)")
    }

    func contains(_ value: Int64) -> Bool { raw & 1 << UInt64(value) != 0 }

    /// Never called on an empty field: the parser makes none.
    var lowest: Int { raw.trailingZeroBitCount }

    func first(from value: Int) -> Int? {
        guard value < 64, raw >> UInt64(value) != 0 else { return nil }
        return value + (raw >> UInt64(value)).trailingZeroBitCount
    }
}

extension Limits {
    /// What does not come to pass in so many days never does: a 29th of February that is some weekday comes every 28 years,
    /// or after 40 years when a century's leap year is missing.
    static let cronHorizonDays: Int64 = 41 * 366
}
