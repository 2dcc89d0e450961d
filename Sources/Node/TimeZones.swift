import EventLoop
import Primitives
import Schedules
import Views

extension ScheduleTiming {
    /// When a schedule fires. Reads the file of its time zone, where this system has them.
    ///
    /// - Parameter zones: those that were read before.
    init(_ schedule: ScheduleSettings, zones: inout [String: TimeZoneRules]) throws(ScheduleError) {
        switch schedule.timing {
        case .interval(let milliseconds):
            self = .interval(milliseconds: Int64(clamping: milliseconds), from: schedule.since)
        case .cron(let text, let zone):
            let rules: TimeZoneRules
            if let known = zones[zone] {
                rules = known
            } else {
                rules = try .installed(zone)
                zones[zone] = rules
            }
            self = .cron(CronTimes(try CronExpression(text), in: rules))
        }
    }
}

extension TimeZoneRules {
    /// Folders with the files of the IANA time zone database, as systems have them.
    private static let folders = [
        "/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo",
    ]

    /// As this system knows it. UTC is known everywhere.
    static func installed(_ name: String) throws(ScheduleError) -> TimeZoneRules {
        if name == "UTC" || name == "Etc/UTC" { return .utc }
        guard isValid(name) else { throw ScheduleError("\"\(name)\" cannot be the name of a time zone") }
        for folder in folders {
            var bytes: [UInt8]?
            do throws(SystemError) {
                bytes = try DurableFile.read("\(folder)/\(name)", upTo: Limits.zoneFileBytes)
            } catch {
                throw ScheduleError("the time zone \(name) cannot be read: \(error)")
            }
            if let bytes { return try TimeZoneRules(name: name, file: bytes) }
        }
        throw ScheduleError(
            "there is no time zone \(name) on this node: expected a name such as Europe/Zurich, and its file in \(folders[0])"
        )
    }
}

extension Limits {
    /// The file of a time zone: the largest takes 4 KiB.
    static let zoneFileBytes = 256 << 10
}
