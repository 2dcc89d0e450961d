import APIModel
import ArgumentParser
import Foundation

struct Queues: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Queues of the whole cluster: depth, age and settings. Pauses them, resumes them, sets their limits.",
        subcommands: [ListQueues.self, PauseQueue.self, ResumeQueue.self, SetQueue.self],
        defaultSubcommand: ListQueues.self)

    /// Changes settings, and says what holds now.
    static func change(_ queue: String, _ fields: [String: JSONValue], _ options: ClientOptions) async throws {
        let path = try pathStep(queue, "queue")
        let client = try options.client()
        let (settings, _) = try await client.ask(
            .PATCH, "/api/queues/\(path)", body: JSONWriter.bytes(of: JSONValue.object(fields)), limit: .seconds(12),
            as: QueueSettingsDocument.self)
        say("\(queue): \(describe(settings))")
    }

    /// What is set, in the words of `queues set`.
    static func describe(_ settings: QueueSettingsDocument) -> String {
        var parts: [String] = []
        if settings.isPaused { parts.append("paused") }
        if let length = settings.maxLength { parts.append("max_length=\(length)") }
        if let bytes = settings.maxBytes { parts.append("max_bytes=\(bytes)") }
        if let retries = settings.maxRetries { parts.append("max_retries=\(retries)") }
        if let retry = settings.retry { parts.append("backoff=\(retry.backoff)") }
        if let timeout = settings.timeout { parts.append("timeout=\(shown(timeout))") }
        if let rate = settings.rateLimit { parts.append("rate_limit=\(shown(rate))") }
        if let concurrency = settings.concurrency { parts.append("concurrency=\(concurrency)") }
        if settings.weight != 1 { parts.append("weight=\(settings.weight)") }
        return parts.isEmpty ? "-" : parts.joined(separator: " ")
    }

    private static func shown(_ value: Double) -> String { Int(exactly: value).map(String.init) ?? String(value) }
}

extension Queues {
    struct ListQueues: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "Shows the queues of the whole cluster.")

        @Flag(help: "Prints the answer of `GET /api/queues` as it is.")
        var json = false

        @OptionGroup var client: ClientOptions

        private static let shown = [
            "pending", "processing", "scheduled", "blocked", "completed", "failed", "cancelled", "expired",
        ]

        func run() async throws {
            let (queues, answer) = try await client.client().ask(.GET, "/api/queues", as: QueuesDocument.self)
            if json { return say(String(decoding: answer.body, as: UTF8.self)) }
            say(Self.lines(of: queues, terminal: .output).joined(separator: "\n"))
        }

        private static func rounded(_ value: Double) -> String {
            value >= 100 || value == value.rounded()
                ? String(Int(value.rounded())) : String((value * 1000).rounded() / 1000)
        }

        static func lines(of queues: QueuesDocument, terminal: Terminal) -> [String] {
            var table = Table(columns: [.init(title: "queue")])
            table.columns += Self.shown.enumerated().map {
                .init(title: $1, isRightAligned: true, rank: $0 < 2 ? 0 : $0)
            }
            table.columns.append(.init(title: "oldest", isRightAligned: true))
            table.columns += [
                .init(title: "in/s", isRightAligned: true, rank: 1),
                .init(title: "out/s", isRightAligned: true, rank: 1),
                .init(title: "wait p95", isRightAligned: true, rank: 2),
                .init(title: "run p95", isRightAligned: true, rank: 2),
            ]
            table.columns.append(.init(title: "settings"))
            for queue in queues.queues {
                var cells = [Table.Cell(clipped(queue.name, 24))]
                for status in Self.shown { cells.append(Table.Cell(queue.depth[status] ?? 0)) }
                cells.append(Table.Cell(queue.oldestAgeSeconds.map(age) ?? "-"))
                cells.append(Table.Cell(Self.rounded(queue.recent.arrivalRate)))
                cells.append(Table.Cell(Self.rounded(queue.recent.completionRate)))
                cells.append(Table.Cell(queue.recent.wait.p95.map { Self.rounded($0) + " s" } ?? "-"))
                cells.append(Table.Cell(queue.recent.run.p95.map { Self.rounded($0) + " s" } ?? "-"))
                cells.append(Table.Cell(clipped(Queues.describe(queue.settings), 40)))
                table.rows.append(cells)
            }
            var lines = table.lines(width: 120, terminal: terminal)
            let missing = Set(queues.queues.flatMap(\.missing)).sorted()
            lines.append(
                "waiting counts: \(Self.rounded(queues.agingSeconds)) s make up for one priority, so a task is overtaken only by "
                    + "what came at most \(Self.rounded(queues.overtakenSeconds)) s later")
            if queues.queues.isEmpty { lines.append("no queue holds a task") }
            if !missing.isEmpty {
                lines.append("not counted, since they did not answer: \(missing.joined(separator: ", "))")
            }
            return lines
        }
    }

    struct PauseQueue: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "pause", abstract: "Starts nothing more of a queue, anywhere. What runs goes on.")

        @Argument(help: "The queue.")
        var queue: String

        @OptionGroup var client: ClientOptions

        func run() async throws { try await Queues.change(queue, ["paused": .bool(true)], client) }
    }

    struct ResumeQueue: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "resume", abstract: "Lets a paused queue go on.")

        @Argument(help: "The queue.")
        var queue: String

        @OptionGroup var client: ClientOptions

        func run() async throws { try await Queues.change(queue, ["paused": .bool(false)], client) }
    }

    struct SetQueue: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "set",
            abstract: "Sets what holds for a queue in the whole cluster: key=value, or key= to take it back.",
            discussion: """
                Keys: paused, max_length, max_bytes, max_retries, timeout (seconds), weight (1...1000), rate_limit (starts a second), \
                concurrency (tasks that run at the same time), and backoff (exponential, linear, fixed, none).
                """)

        @Argument(help: "The queue.")
        var queue: String

        @Argument(help: "What to set: key=value ...")
        var settings: [String]

        @OptionGroup var client: ClientOptions

        func run() async throws { try await Queues.change(queue, try Self.fields(of: settings), client) }

        /// The server judges the values, and names the keys that it knows.
        static func fields(of settings: [String]) throws -> [String: JSONValue] {
            guard !settings.isEmpty else { throw ValidationError("Say what to set: key=value.") }
            var fields: [String: JSONValue] = [:]
            for setting in settings {
                let parts = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2, let key = parts.first, !key.isEmpty else {
                    throw ValidationError("\"\(setting)\" is not key=value.")
                }
                let value = String(parts[1])
                let json: JSONValue =
                    switch value {
                    case "": .null
                    case "true": .bool(true)
                    case "false": .bool(false)
                    default: Int64(value).map { .integer($0) } ?? Double(value).map { .number($0) } ?? .string(value)
                    }
                if key == "backoff" {
                    fields["retry"] = json == .null ? .null : .object(["backoff": json])
                } else {
                    fields[String(key)] = json
                }
            }
            return fields
        }
    }
}
