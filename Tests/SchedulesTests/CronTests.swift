import Foundation
import Primitives
import Testing

@testable import Schedules

private func seconds(_ text: String) throws -> Timestamp {
    Timestamp(milliseconds: Int64(try Date(text, strategy: .iso8601).timeIntervalSince1970) * 1000)
}

private func zone(_ name: String) throws -> TimeZoneRules {
    try TimeZoneRules(name: name, file: Array(try Data(contentsOf: URL(filePath: "/usr/share/zoneinfo/" + name))))
}

@Suite struct CronExpressionTests {
    @Test func agreesWithCroniter() throws {
        #expect(CroniterTable.rows.count > 200)
        for row in CroniterTable.rows {
            let times = CronTimes(try CronExpression(row.expression), in: .utc)
            var time = Timestamp(milliseconds: row.start * 1000)
            for expected in row.next {
                time = try #require(times.next(after: time))
                #expect(time.milliseconds == expected * 1000, "\(row.expression) from \(row.start)")
            }
        }
    }

    @Test(arguments: [
        ("@daily", "2027-03-01T00:00:00Z"), ("@hourly", "2027-02-28T13:00:00Z"), ("@weekly", "2027-03-07T00:00:00Z"),
        ("@monthly", "2027-03-01T00:00:00Z"), ("@Yearly", "2028-01-01T00:00:00Z"),
        ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
        ("0 0 29 2 MON", "2028-02-07T00:00:00Z"), ("0 12 * * 7", "2027-03-07T12:00:00Z"),
        ("*/30 * * * * *", "2027-02-28T12:30:30Z"), ("0 0 1,15 * fri", "2027-03-01T00:00:00Z"),
        // Both fields have to fit if one of them begins with a star.
        ("0 0 */2 * mon", "2027-03-01T00:00:00Z"), ("0 0 */5 * sun", "2027-03-21T00:00:00Z"),
        ("10/20 * * * *", "2027-02-28T12:50:00Z"), ("0 0 31 12 ?", "2027-12-31T00:00:00Z"),
        ("0 0 * JAN-mar tue", "2027-03-02T00:00:00Z"),
    ])
    func meansWhatCrontabSays(expression: String, expected: String) throws {
        let times = CronTimes(try CronExpression(expression), in: .utc)
        #expect(times.next(after: try seconds("2027-02-28T12:30:00Z")) == (try seconds(expected)))
    }

    @Test(arguments: [
        ("", "5 fields"), ("* * * *", "has 4"), ("* * * * * * *", "has 7"), ("60 * * * *", "minute \"60\""),
        ("* 24 * * *", "hour"), ("* * 0 * *", "day"), ("* * * 13 *", "month"), ("* * * * 8", "weekday"),
        ("* * * foo *", "or a name such as jan"), ("5-1 * * * *", "goes backward"), ("*/0 * * * *", "no step"),
        ("1//2 * * * *", "two steps"), ("1,,2 * * * *", "minute"), ("+1 * * * *", "minute"),
        ("1-2-3 * * * *", "no range"),
        ("0 0 30 2 *", "never comes"), ("0 0 31 4,6,9,11 *", "never comes"), ("@reboot", "there is no @reboot"),
        (String(repeating: "1,", count: 200) + "1 * * * *", "256 bytes"), ("99999999999999999999 * * * *", "minute"),
    ])
    func whatIsNoneIsRefusedAndSaysWhy(expression: String, reason: String) throws {
        let error = try #require(throws: ScheduleError.self) { try CronExpression(expression) }
        #expect(error.description.contains(reason), "\(error)")
    }
}

/// What happens when the clock is changed, in zones that do it at 2, at 1, at midnight, by half an hour, and never.
@Suite struct CronZoneTests {
    private static func fires(_ expression: String, _ name: String, _ from: String, _ until: String) throws -> [String]
    {
        let times = CronTimes(try CronExpression(expression), in: try zone(name))
        var time = try seconds(from)
        let end = try seconds(until)
        var found: [String] = []
        while let next = times.next(after: time), next < end {
            found.append(Date(timeIntervalSince1970: Double(next.milliseconds / 1000)).formatted(.iso8601))
            time = next
        }
        return found
    }

    @Test(arguments: [
        // Berlin, 2027-03-28: at 2:00 the clock is put to 3:00, which is 01:00 UTC. What is skipped fires then.
        (
            "30 2 * * *", "Europe/Berlin", "2027-03-27T00:00:00Z", "2027-03-30T00:00:00Z",
            ["2027-03-27T01:30:00Z", "2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z"]
        ),
        // Several that are skipped fire once, also together with one that is due just then.
        (
            "0,15,30 2,3 * * *", "Europe/Berlin", "2027-03-28T00:00:00Z", "2027-03-28T02:00:00Z",
            ["2027-03-28T01:00:00Z", "2027-03-28T01:15:00Z", "2027-03-28T01:30:00Z"]
        ),
        // 2027-10-31: at 3:00 it is put back to 2:00. What is repeated fires the first time.
        (
            "30 2 * * *", "Europe/Berlin", "2027-10-30T00:00:00Z", "2027-11-02T00:00:00Z",
            ["2027-10-30T00:30:00Z", "2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"]
        ),
        // What counts time goes by the clock: nothing is skipped, and all of it is repeated.
        (
            "*/30 * * * *", "Europe/Berlin", "2027-03-28T00:29:00Z", "2027-03-28T02:00:00Z",
            ["2027-03-28T00:30:00Z", "2027-03-28T01:00:00Z", "2027-03-28T01:30:00Z"]
        ),
        (
            "15 * * * *", "Europe/Berlin", "2027-10-30T23:30:00Z", "2027-10-31T03:00:00Z",
            ["2027-10-31T00:15:00Z", "2027-10-31T01:15:00Z", "2027-10-31T02:15:00Z"]
        ),
        (
            "*/30 2 * * *", "Europe/Berlin", "2027-10-30T23:30:00Z", "2027-10-31T03:00:00Z",
            ["2027-10-31T00:00:00Z", "2027-10-31T00:30:00Z", "2027-10-31T01:00:00Z", "2027-10-31T01:30:00Z"]
        ),
        ("*/30 2 * * *", "Europe/Berlin", "2027-03-27T12:00:00Z", "2027-03-28T12:00:00Z", []),
        // New York, far in the future: by the rule, not by the list of the file.
        (
            "30 2 * * *", "America/New_York", "2099-03-07T12:00:00Z", "2099-03-10T00:00:00Z",
            ["2099-03-08T07:00:00Z", "2099-03-09T06:30:00Z"]
        ),
        // Lord Howe puts the clock forward by half an hour, from 2:00 to 2:30.
        (
            "15 2 * * *", "Australia/Lord_Howe", "2027-10-02T00:00:00Z", "2027-10-04T00:00:00Z",
            ["2027-10-02T15:30:00Z", "2027-10-03T15:15:00Z"]
        ),
        // Beirut at midnight: the day begins at 1:00.
        (
            "0 0 * * *", "Asia/Beirut", "2026-03-27T12:00:00Z", "2026-03-30T00:00:00Z",
            ["2026-03-27T22:00:00Z", "2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z"]
        ),
        ("0 9 * * *", "Asia/Kolkata", "2027-03-01T00:00:00Z", "2027-03-02T00:00:00Z", ["2027-03-01T03:30:00Z"]),
        // Samoa left out the 30th of December 2011.
        (
            "0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", "2012-01-01T00:00:00Z",
            ["2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z", "2011-12-31T22:00:00Z"]
        ),
    ])
    func theClockIsChanged(
        expression: String, name: String, from: String, until: String, expected: [String]
    ) throws {
        #expect(try Self.fires(expression, name, from, until) == expected)
    }

    /// Foundation reads the same files in its own way.
    @Test(arguments: [
        "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "America/Sao_Paulo",
        "Asia/Kolkata", "Pacific/Apia", "Europe/Dublin", "America/Nuuk", "Asia/Tehran", "UTC", "Antarctica/Troll",
    ])
    func offsetsAreThoseOfFoundation(name: String) throws {
        let rules = try zone(name)
        let foundation = try #require(TimeZone(identifier: name))
        var random = SeededGenerator(seed: 3)
        for _ in 0..<2000 {
            let time = Int64.random(in: 0...2_145_000_000, using: &random)
            let expected = foundation.secondsFromGMT(for: Date(timeIntervalSince1970: Double(time)))
            #expect(rules.span(at: time).offset == Int64(expected), "\(name) at \(time)")
        }
    }

    /// Whatever is in a file, it is a zone or an error.
    @Test func damagedFilesAreRefusedOrRead() throws {
        let whole = Array(try Data(contentsOf: URL(filePath: "/usr/share/zoneinfo/Europe/Berlin")))
        var random = SeededGenerator(seed: 5)
        for length in stride(from: 0, to: whole.count, by: 7) {
            #expect(throws: ScheduleError.self) { try TimeZoneRules(name: "x", file: Array(whole.prefix(length))) }
        }
        for _ in 0..<500 {
            var bytes = whole
            for _ in 0..<3 {
                bytes[Int.random(in: bytes.indices, using: &random)] = .random(in: 0...255, using: &random)
            }
            guard let rules = try? TimeZoneRules(name: "x", file: bytes) else { continue }
            _ = CronTimes(try CronExpression("0 2 * * *"), in: rules).next(after: Timestamp(milliseconds: 0))
        }
    }

    @Test(arguments: [
        ("Europe/Berlin", true), ("UTC", true), ("Etc/GMT+5", true), ("America/Port-au-Prince", true), ("", false),
        ("../etc/passwd", false), ("/etc/passwd", false), ("Europe/../x", false), ("Europe//Berlin", false),
        ("a b", false),
    ])
    func namesDoNotLeadOutOfTheFolder(name: String, isValid: Bool) {
        #expect(TimeZoneRules.isValid(name) == isValid)
    }
}
