import APIModel
import ArgumentParser
import Foundation
import Primitives

struct Events: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows what has happened to a task: every transition, with its time and node.")

    @Argument(help: "The task's id.")
    var id: String

    @Flag(help: "Prints the answer of `GET /api/tasks/ID/events` as it is.")
    var json = false

    @OptionGroup var client: ClientOptions

    func run() async throws {
        let id = try taskID(id)
        let (history, answer) = try await client.client().ask(
            .GET, "/api/tasks/\(id)/events", as: EventsDocument.self)
        if json { return say(String(decoding: answer.body, as: UTF8.self)) }
        say(EventsText(history: history).lines(terminal: .output).joined(separator: "\n"))
    }
}

/// What `events ID` prints.
struct EventsText {
    var history: EventsDocument

    func lines(terminal: Terminal) -> [String] {
        var table = Table(columns: [
            .init(title: "time"), .init(title: "event"), .init(title: "node"),
            .init(title: "run", isRightAligned: true), .init(title: "attempt", isRightAligned: true),
            .init(title: ""),
        ])
        table.rows = history.events.map { event in
            [
                Table.Cell(event.at.rfc3339), Table.Cell(event.event, TaskReport.colour(event.event)),
                Table.Cell(event.node ?? "-"), Table.Cell(String(event.run)),
                Table.Cell(event.attempt.map(String.init) ?? "-"), Table.Cell(remark(event)),
            ]
        }
        var lines = table.lines(width: nil, terminal: terminal)
        if history.cut > 0 { lines.append("\(history.cut) earlier attempts or changes are not kept any more") }
        return lines
    }

    private func remark(_ event: EventsDocument.Event) -> String {
        if let error = event.error { return "\(error.type): \(error.message)" }
        if let priority = event.priority { return "priority \(priority)" }
        if event.counts == true { return "counts towards poison" }
        return ""
    }
}
