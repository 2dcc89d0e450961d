import Primitives

/// The rule for the future at the end of a TZif file: a `TZ` string of POSIX, such as `CET-1CEST,M3.5.0,M10.5.0/3`.
struct PosixTimeZone {
    private enum Day {
        /// 1...365, without the 29th of February.
        case julian(Int64)
        /// 0...365, with it.
        case ofYear(Int64)
        /// Weekday `weekday` (0 is Sunday) for the `week`th time in the month; the fifth is the last.
        case weekday(Int64, week: Int64, month: Int64)

        /// In days since 1970.
        func number(in year: Int64) -> Int64 {
            let first = CivilTime.days(year: year, month: 1, day: 1)
            switch self {
            case .julian(let day):
                let isLeap = CivilTime.days(year: year + 1, month: 1, day: 1) - first == 366
                return first + day - 1 + (isLeap && day >= 60 ? 1 : 0)
            case .ofYear(let day): return first + day
            case .weekday(let weekday, let week, let month):
                let begin = CivilTime.days(year: year, month: month, day: 1)
                let end = CivilTime.days(
                    year: month == 12 ? year + 1 : year, month: month == 12 ? 1 : month + 1, day: 1)
                var day = begin + CivilTime.modulo(weekday - CivilTime.weekday(ofDay: begin), 7) + 7 * (week - 1)
                while day >= end { day -= 7 }
                return day
            }
        }
    }

    private let text: [UInt8]
    private var place = 0

    init(_ text: [UInt8]) { self.text = text }

    /// When the clocks are changed by the rule after `last`, the last change that the file itself names.
    mutating func changes(after last: Int64?) throws(ScheduleError) -> [TimeZoneRules.Change] {
        guard !text.isEmpty else { return [] }
        try name()
        let standard = -(try time())
        guard place < text.count else {
            // The file's own last change has led there already, unless it has none.
            return last.map { [TimeZoneRules.Change(at: $0 + 1, offset: standard)] } ?? []
        }
        try name()
        var summer = standard + 3600
        if place < text.count, text[place] != UInt8(ascii: ",") { summer = -(try time()) }
        let start = try rule()
        let end = try rule()
        guard place == text.count else { throw ScheduleError("its last line goes on after the rule") }
        var changes: [TimeZoneRules.Change] = []
        let firstYear = CivilTime.date(ofDay: CivilTime.day(ofSecond: last ?? 0)).year
        for year in firstYear...max(firstYear, Limits.zoneYear) {
            let begins = start.day.number(in: year) * CivilTime.daySeconds + start.time - standard
            let ends = end.day.number(in: year) * CivilTime.daySeconds + end.time - summer
            changes.append(TimeZoneRules.Change(at: begins, offset: summer))
            changes.append(TimeZoneRules.Change(at: ends, offset: standard))
        }
        return changes.filter { change in last.map { change.at > $0 } ?? true }.sorted { $0.at < $1.at }
    }

    private mutating func name() throws(ScheduleError) {
        let start = place
        if place < text.count, text[place] == UInt8(ascii: "<") {
            while place < text.count, text[place] != UInt8(ascii: ">") { place += 1 }
            place += 1
        } else {
            while place < text.count, isLetter(text[place]) { place += 1 }
        }
        guard place <= text.count, place - start >= 3 else { throw ScheduleError("its last line lacks a name") }
    }

    private func isLetter(_ byte: UInt8) -> Bool { (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) }

    private mutating func rule() throws(ScheduleError) -> (day: Day, time: Int64) {
        try expect(",")
        let day: Day
        if accept("M") {
            let month = try number(in: 1...12)
            try expect(".")
            let week = try number(in: 1...5)
            try expect(".")
            day = .weekday(try number(in: 0...6), week: week, month: month)
        } else if accept("J") {
            day = .julian(try number(in: 1...365))
        } else {
            day = .ofYear(try number(in: 0...365))
        }
        return (day, accept("/") ? try time() : 7200)
    }

    /// `[+-]hh[:mm[:ss]]`, in seconds.
    private mutating func time() throws(ScheduleError) -> Int64 {
        let isNegative = accept("-")
        if !isNegative { _ = accept("+") }
        var seconds = try number(in: 0...167) * 3600
        if accept(":") {
            seconds += try number(in: 0...59) * 60
            if accept(":") { seconds += try number(in: 0...59) }
        }
        return isNegative ? -seconds : seconds
    }

    private mutating func number(in range: ClosedRange<Int64>) throws(ScheduleError) -> Int64 {
        var value: Int64?
        while place < text.count, (0x30...0x39).contains(text[place]), (value ?? 0) < 1000 {
            value = (value ?? 0) * 10 + Int64(text[place] - 0x30)
            place += 1
        }
        guard let value, range.contains(value) else {
            throw ScheduleError("its last line has a number that is not \(range.lowerBound)...\(range.upperBound)")
        }
        return value
    }

    private mutating func accept(_ character: Unicode.Scalar) -> Bool {
        guard place < text.count, text[place] == UInt8(ascii: character) else { return false }
        place += 1
        return true
    }

    private mutating func expect(_ character: Unicode.Scalar) throws(ScheduleError) {
        guard accept(character) else { throw ScheduleError("its last line lacks a \"\(character)\"") }
    }
}
