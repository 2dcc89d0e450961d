import APIModel
import ArgumentParser
import Foundation
import Primitives

struct Schedule: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Schedules: tasks that are submitted again and again, by a cron expression or an interval.",
        subcommands: [
            ListSchedules.self, GetSchedule.self, SetSchedule.self, PauseSchedule.self, ResumeSchedule.self,
            DeleteSchedule.self,
        ], defaultSubcommand: ListSchedules.self)

    static func path(of name: String) throws -> String {
        guard
            let part = name.addingPercentEncoding(
                withAllowedCharacters: .alphanumerics.union(.init(charactersIn: "._-")))
        else { throw ValidationError("\"\(name)\" is not the name of a schedule.") }
        return "/api/schedules/\(part)"
    }

    /// Sets it whole, and says what holds now.
    static func put(_ name: String, _ body: [UInt8], _ options: ClientOptions) async throws {
        let (schedule, _) = try await options.client().ask(
            .PUT, try path(of: name), body: body, limit: .seconds(12), as: ScheduleDocument.self)
        say(ScheduleText(schedule: schedule).summary)
    }

    /// Another setting for whether it is paused; all else stays.
    static func pause(_ name: String, _ isPaused: Bool, _ options: ClientOptions) async throws {
        var (schedule, _) = try await options.client().ask(.GET, try path(of: name), as: ScheduleDocument.self)
        schedule.isPaused = isPaused
        try await put(name, schedule.body, options)
    }
}

extension Schedule {
    struct ListSchedules: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "Shows the schedules of the cluster.")

        @Flag(help: "Prints the answer of `GET /api/schedules` as it is.")
        var json = false

        @OptionGroup var client: ClientOptions

        func run() async throws {
            let (schedules, answer) = try await client.client().ask(
                .GET, "/api/schedules", as: SchedulesDocument.self)
            if json { return say(String(decoding: answer.body, as: UTF8.self)) }
            say(Self.lines(of: schedules, terminal: .output).joined(separator: "\n"))
        }

        static func lines(of schedules: SchedulesDocument, terminal: Terminal) -> [String] {
            var table = Table(columns: [
                .init(title: "schedule"), .init(title: "when"), .init(title: "task"), .init(title: "overlap", rank: 2),
                .init(title: "next"), .init(title: "last", rank: 1), .init(title: "home", rank: 3),
            ])
            table.rows = schedules.schedules.map { schedule in
                let text = ScheduleText(schedule: schedule)
                return [
                    Table.Cell(clipped(schedule.name, 24)), Table.Cell(clipped(text.when, 34)),
                    Table.Cell(clipped(schedule.task.taskType, 16)), Table.Cell(schedule.overlap),
                    Table.Cell(text.next), Table.Cell(text.last), Table.Cell(schedule.home ?? "-"),
                ]
            }
            var lines = table.lines(width: 140, terminal: terminal)
            if schedules.schedules.isEmpty { lines.append("no schedule") }
            return lines
        }
    }

    struct GetSchedule: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "get", abstract: "Shows a schedule: when it fires next, and what became of its last firings.")

        @Argument(help: "The schedule's name.")
        var name: String

        @Flag(help: "Prints the answer of `GET /api/schedules/NAME` as it is.")
        var json = false

        @OptionGroup var client: ClientOptions

        func run() async throws {
            let (schedule, answer) = try await client.client().ask(
                .GET, try Schedule.path(of: name), as: ScheduleDocument.self)
            if json { return say(String(decoding: answer.body, as: UTF8.self)) }
            say(ScheduleText(schedule: schedule).lines.joined(separator: "\n"))
        }
    }

    struct SetSchedule: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "set", abstract: "Makes a schedule, or changes it as a whole.",
            discussion: """
                Examples: apus schedule set report --cron '0 9 * * 1-5' --time-zone Europe/Zurich email '{"to": "..."}'
                          apus schedule set tick --every 30s --overlap skip noop
                """)

        @Argument(help: "The schedule's name.")
        var name: String

        @Argument(help: "Which handler: echo, sleep, email ...")
        var type: String

        @Argument(help: ArgumentHelp("Any JSON value. (default: null)", valueName: "json"))
        var payload: String?

        @Option(help: "minute hour day month weekday, or with the second before them; or @daily, @hourly ...")
        var cron: String?

        @Option(help: "Instead of --cron: 30s, 5m, 2h, 1d.")
        var every: String?

        @Option(help: "Of the cron expression: Europe/Zurich ... (default: UTC)")
        var timeZone: String?

        @Option(help: "Each task starts up to so much later: 10s, 5m ...")
        var jitter: String?

        @Option(help: "While an earlier task is open: skip, queue or replace. (default: skip)")
        var overlap: String?

        @Option(help: "What was missed while the cluster was away: none, one or all. (default: none)")
        var catchUp: String?

        @Flag(help: "It does not fire until `schedule resume`.")
        var paused = false

        @Option(help: "1...10, 10 first. (default: 5)")
        var priority: Int?

        @Option(help: "(default: default)")
        var queue: String?

        @Option(help: "Seconds that one attempt may take. (default: as the queue says, or 300)")
        var timeout: Double?

        @Option(help: "Retries after the first attempt. (default: as the queue says, or 3)")
        var retries: Int?

        @OptionGroup var client: ClientOptions

        func run() async throws { try await Schedule.put(name, try body(), client) }

        /// The server judges the values.
        func body() throws -> [UInt8] {
            if let payload {
                do {
                    _ = try JSONSerialization.jsonObject(with: Data(payload.utf8), options: .fragmentsAllowed)
                } catch {
                    throw CommandFailure(
                        "the payload is not JSON: `\(clipped(payload, 100))`; a text needs its own quotes: '\"text\"'")
                }
            }
            let task = SubmissionDocument(
                taskType: type, payload: payload.map { RawJSON(Array($0.utf8)) }, priority: priority, queue: queue,
                maxRetries: retries, timeout: timeout)
            let members = ScheduleBody(
                cron: cron, interval: try every.map { try Self.seconds($0, "--every") }, timeZone: timeZone,
                jitter: try jitter.map { try Self.seconds($0, "--jitter") }, overlap: overlap, catchUp: catchUp,
                isPaused: paused, task: task)
            return JSONWriter.bytes(of: members)
        }

        static func seconds(_ text: String, _ option: String) throws -> Double {
            let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
            let unit = text.last.flatMap { units[$0] }
            guard let number = Double(unit == nil ? text[...] : text.dropLast()), number.isFinite, number >= 0 else {
                throw ValidationError("\(option) \"\(text)\": expected a time such as 30s, 5m, 2h or 1d.")
            }
            return number * (unit ?? 1)
        }
    }

    struct PauseSchedule: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "pause", abstract: "Lets a schedule fire no more. What it would have fired is not made up for."
        )

        @Argument(help: "The schedule's name.")
        var name: String

        @OptionGroup var client: ClientOptions

        func run() async throws { try await Schedule.pause(name, true, client) }
    }

    struct ResumeSchedule: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "resume", abstract: "Lets a paused schedule fire again.")

        @Argument(help: "The schedule's name.")
        var name: String

        @OptionGroup var client: ClientOptions

        func run() async throws { try await Schedule.pause(name, false, client) }
    }

    struct DeleteSchedule: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "delete", abstract: "Ends a schedule. Tasks that it has submitted go on.")

        @Argument(help: "The schedule's name.")
        var name: String

        @OptionGroup var client: ClientOptions

        func run() async throws {
            let node = try await client.client().living()
            let answer = try await ClusterClient.send(
                .DELETE, try Schedule.path(of: name), to: node, limit: .seconds(12))
            guard answer.status == 204 else { throw answer.problem }
            say("\(name): deleted")
        }
    }
}

/// Body of `PUT /api/schedules/NAME`: what is nil is left to the server's defaults.
private struct ScheduleBody: JSONWritable {
    var cron: String?
    var interval: Double?
    var timeZone: String?
    var jitter: Double?
    var overlap: String?
    var catchUp: String?
    var isPaused: Bool
    var task: SubmissionDocument

    enum CodingKeys: String, CodingKey {
        case cron, interval, jitter, overlap, task
        case timeZone = "time_zone"
        case catchUp = "catch_up"
        case isPaused = "paused"
    }

    func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            if let cron { object.put(.cron, cron) }
            if let interval { object.put(.interval, interval) }
            if let timeZone { object.put(.timeZone, timeZone) }
            if let jitter { object.put(.jitter, jitter) }
            if let overlap { object.put(.overlap, overlap) }
            if let catchUp { object.put(.catchUp, catchUp) }
            object.put(.isPaused, isPaused)
            object.put(.task, task)
        }
    }
}

/// What `schedule` prints.
struct ScheduleText {
    var schedule: ScheduleDocument

    var when: String {
        if let cron = schedule.cron { return "\(cron) \(schedule.timeZone ?? "")" }
        let seconds = schedule.interval ?? 0
        return "every \(Int(exactly: seconds).map(String.init) ?? String(seconds)) s"
    }

    var next: String { schedule.isPaused ? "paused" : schedule.next.first.map(\.rfc3339) ?? "never" }

    var last: String { schedule.recent.first.map { "\($0.outcome) \($0.time.rfc3339)" } ?? "-" }

    var summary: String { "\(schedule.name): \(when), \(schedule.task.taskType), next \(next)" }

    var lines: [String] {
        var lines = [
            summary,
            "overlap \(schedule.overlap), catch_up \(schedule.catchUp), jitter \(schedule.jitter) s, queue "
                + "\(schedule.task.queue), version \(schedule.version) since \(schedule.changedAt.rfc3339), home "
                + (schedule.home ?? "-"),
        ]
        if let problem = schedule.problem { lines.append("problem: \(problem)") }
        lines += schedule.next.map { "next      \($0.rfc3339)" }
        lines += schedule.recent.map { firing in
            let column = firing.outcome.padding(toLength: 9, withPad: " ", startingAt: 0)
            return
                "\(column) \(firing.time.rfc3339)  \(firing.outcome == "fired" ? "" : "since it was open: ")\(firing.taskID)"
        }
        return lines
    }
}
