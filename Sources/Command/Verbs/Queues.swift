import APIModel
import ArgumentParser
import Foundation

struct Queues: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Shows the queues of the whole cluster: depth and age.")

    @Flag(help: "Prints the answer of `GET /api/queues` as it is.")
    var json = false

    @OptionGroup var client: ClientOptions

    private static let shown = [
        "pending", "processing", "scheduled", "blocked", "completed", "failed", "cancelled", "expired",
    ]

    func run() async throws {
        let (queues, answer) = try await client.client().ask(.GET, "/api/queues", as: QueuesDocument.self)
        if json { return say(String(decoding: answer.body, as: UTF8.self)) }
        var table = Table(columns: [.init(title: "queue")])
        table.columns += Self.shown.enumerated().map { .init(title: $1, isRightAligned: true, rank: $0 < 2 ? 0 : $0) }
        table.columns.append(.init(title: "oldest", isRightAligned: true))
        for queue in queues.queues {
            var cells = [Table.Cell(clipped(queue.name, 24))]
            for status in Self.shown { cells.append(Table.Cell(queue.depth[status] ?? 0)) }
            cells.append(Table.Cell(queue.oldestAgeSeconds.map(age) ?? "-"))
            table.rows.append(cells)
        }
        say(table.lines(width: 100, terminal: .output).joined(separator: "\n"))
        let missing = Set(queues.queues.flatMap(\.missing)).sorted()
        if queues.queues.isEmpty { say("no queue holds a task") }
        if !missing.isEmpty { say("not counted, since they did not answer: \(missing.joined(separator: ", "))") }
    }
}
