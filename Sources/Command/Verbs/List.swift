import APIModel
import ArgumentParser
import Foundation
import Primitives

struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Lists tasks of the whole cluster, newest first.")

    @Option(help: "Only these: pending, processing, completed ... (separated by commas)")
    var status: String?

    @Option(help: "Only this queue.")
    var queue: String?

    @Option(help: "Only this task type.")
    var type: String?

    @Option(help: "Only the tasks of this schedule.")
    var schedule: String?

    @Option(help: "How many at most (1...1000).")
    var limit = 50

    @Flag(help: "Prints the answer of `GET /api/tasks` as it is.")
    var json = false

    @OptionGroup var client: ClientOptions

    func run() async throws {
        var parts = URLComponents()
        parts.path = "/api/tasks"
        let parameters = [
            ("status", status), ("queue", queue), ("task_type", type), ("schedule", schedule), ("limit", String(limit)),
        ]
        parts.queryItems = parameters.compactMap { name, value in value.map { URLQueryItem(name: name, value: $0) } }
        let (page, answer) = try await client.client().ask(.GET, parts.string ?? parts.path, as: TaskListDocument.self)
        if json { return say(String(decoding: answer.body, as: UTF8.self)) }

        var table = Table(columns: [
            .init(title: "id"), .init(title: "status"), .init(title: "type"), .init(title: "queue", rank: 1),
            .init(title: "prio", isRightAligned: true, rank: 2), .init(title: "worker", rank: 3),
            .init(title: "age", isRightAligned: true),
        ])
        let now = Date.now.timeIntervalSince1970
        table.rows = page.tasks.map { task in
            let seconds = now - Double(task.createdAt.milliseconds) / 1000
            return [
                Table.Cell(task.id.description), Table.Cell(task.status, TaskReport.colour(task.status)),
                Table.Cell(clipped(task.taskType, 20)), Table.Cell(clipped(task.queue, 16)), Table.Cell(task.priority),
                Table.Cell(clipped(task.worker ?? "", 16)), Table.Cell(age(seconds)),
            ]
        }
        say(table.lines(width: 100, terminal: .output).joined(separator: "\n"))
        if page.tasks.isEmpty { say("no task") }
        if page.nextCursor != nil { say("there are more: --limit") }
        if !page.missing.isEmpty {
            say("not counted, since they did not answer: \(page.missing.joined(separator: ", "))")
        }
    }
}
