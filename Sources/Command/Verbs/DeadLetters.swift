import APIModel
import ArgumentParser
import Foundation
import Primitives

struct DeadLetters: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dlq",
        abstract: "Dead letters: tasks that have failed for good. Lists them, runs them again, purges them.",
        subcommands: [ListLetters.self, RetryLetters.self, PurgeLetters.self], defaultSubcommand: ListLetters.self)
}

/// Which dead letters are meant: all that is given has to fit.
struct LetterFilter: ParsableArguments {
    @Option(help: "Only those of this queue.")
    var queue: String?

    @Option(help: "Only those of this task type.")
    var type: String?

    @Option(help: "Only those that failed so many seconds ago, or earlier.")
    var age: Double?

    @Option(help: "Only those whose error is of this type, or has this in its message.")
    var error: String?

    var isEmpty: Bool { queue == nil && type == nil && age == nil && error == nil }

    var query: [URLQueryItem] {
        [("queue", queue), ("task_type", type), ("age", age.map { String($0) }), ("error", error)].compactMap {
            name, value in value.map { URLQueryItem(name: name, value: $0) }
        }
    }

    var body: [UInt8] {
        var fields: [String: JSONValue] = [:]
        if let queue { fields["queue"] = .string(queue) }
        if let type { fields["task_type"] = .string(type) }
        if let age { fields["age"] = .number(age) }
        if let error { fields["error"] = .string(error) }
        return JSONWriter.bytes(of: JSONValue.object(fields))
    }
}

extension DeadLetters {
    struct ListLetters: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "Lists dead letters of the whole cluster, newest first.")

        @OptionGroup var filter: LetterFilter

        @Option(help: "How many at most (1...1000).")
        var limit = 50

        @Flag(help: "Prints the answer of `GET /api/dead-letters` as it is.")
        var json = false

        @OptionGroup var client: ClientOptions

        func run() async throws {
            var parts = URLComponents()
            parts.path = "/api/dead-letters"
            parts.queryItems = filter.query + [URLQueryItem(name: "limit", value: String(limit))]
            let (page, answer) = try await client.client().ask(
                .GET, parts.string ?? parts.path, as: TaskListDocument.self)
            if json { return say(String(decoding: answer.body, as: UTF8.self)) }
            say(Self.lines(of: page, terminal: .output).joined(separator: "\n"))
        }

        static func lines(of page: TaskListDocument, terminal: Terminal, now: Date = .now) -> [String] {
            guard !page.tasks.isEmpty || !page.missing.isEmpty else { return ["no dead letter"] }
            var table = Table(columns: [
                .init(title: "id"), .init(title: "type"), .init(title: "queue", rank: 2),
                .init(title: "attempt", isRightAligned: true, rank: 1), .init(title: "failed", isRightAligned: true),
                .init(title: "error"),
            ])
            table.rows = page.tasks.map { task in
                let seconds = task.finishedAt.map { now.timeIntervalSince1970 - Double($0.milliseconds) / 1000 }
                let error = task.error.map { "\($0.type): \($0.message)" } ?? ""
                return [
                    Table.Cell(task.id.description), Table.Cell(clipped(task.taskType, 20)),
                    Table.Cell(clipped(task.queue, 16)), Table.Cell(String(task.attempt)),
                    Table.Cell(seconds.map { age($0) + " ago" } ?? "-"), Table.Cell(clipped(error, 60)),
                ]
            }
            var lines = table.lines(width: nil, terminal: terminal)
            if page.nextCursor != nil { lines.append("there are more: --limit") }
            if !page.missing.isEmpty {
                lines.append("not listed, since they did not answer: \(page.missing.joined(separator: ", "))")
            }
            return lines
        }
    }

    struct RetryLetters: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "retry", abstract: "Runs dead letters again: one by its id, or all that fit.")

        @OptionGroup var sweep: Sweep

        func run() async throws { try await sweep.run(verb: "retry") }
    }

    struct PurgeLetters: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "purge", abstract: "Forgets dead letters: one by its id, or all that fit.")

        @OptionGroup var sweep: Sweep

        func run() async throws { try await sweep.run(verb: "purge") }
    }

    struct Sweep: ParsableArguments {
        @Argument(help: "The id of one dead letter.")
        var id: String?

        @OptionGroup var filter: LetterFilter

        @Flag(help: "All dead letters, of whatever queue and type.")
        var all = false

        @OptionGroup var client: ClientOptions

        func validate() throws {
            let given = (id == nil ? 0 : 1) + (filter.isEmpty ? 0 : 1) + (all ? 1 : 0)
            guard given == 1 else {
                throw ValidationError("Say which: an id, a filter (--queue, --type, --age, --error), or --all.")
            }
        }

        func run(verb: String) async throws {
            let client = try client.client()
            if let id {
                let id = try taskID(id)
                let path = "/api/dead-letters/\(id)/\(verb)"
                let answer = try await ClusterClient.send(
                    .POST, path, to: try await client.living(), limit: .seconds(10))
                guard answer.status == 200 else { throw answer.problem }
                return say(verb == "retry" ? "\(id) is pending again" : "\(id) is forgotten")
            }
            let (swept, _) = try await client.ask(
                .POST, "/api/dead-letters/\(verb)", body: filter.body, limit: .seconds(20), as: SweepDocument.self)
            say("\(swept.count) dead letters \(swept.action)")
            if swept.left > 0 { say("\(swept.left) more fit, and have no room now: try again later") }
            if !swept.missing.isEmpty {
                say("these did not answer, or not in time: \(swept.missing.joined(separator: ", "))")
                throw ExitCode(1)
            }
        }
    }
}
