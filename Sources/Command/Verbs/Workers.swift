import APIModel
import ArgumentParser
import Foundation

struct Workers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Shows every slot of every node, and what it runs.")

    @Flag(help: "Prints the answer of `GET /api/workers` as it is.")
    var json = false

    @OptionGroup var client: ClientOptions

    func run() async throws {
        let (workers, answer) = try await client.client().ask(.GET, "/api/workers", as: WorkersDocument.self)
        if json { return say(String(decoding: answer.body, as: UTF8.self)) }
        var table = Table(columns: [
            .init(title: "node"), .init(title: "slot", isRightAligned: true), .init(title: "task"),
            .init(title: "type"),
            .init(title: "queue", rank: 1), .init(title: "owner", rank: 2), .init(title: "for", isRightAligned: true),
        ])
        let now = Date.now.timeIntervalSince1970
        for node in workers.nodes {
            for slot in node.slots where slot.isBusy {
                let seconds = slot.since.map { now - Double($0.milliseconds) / 1000 }
                table.rows.append([
                    Table.Cell(node.node), Table.Cell(slot.slot), Table.Cell(slot.taskID?.description ?? ""),
                    Table.Cell(clipped(slot.taskType ?? "", 20)), Table.Cell(clipped(slot.queue ?? "", 16)),
                    Table.Cell(slot.owner ?? ""), Table.Cell(seconds.map(age) ?? ""),
                ])
            }
        }
        say("\(workers.busy) of \(workers.slots) slots are busy")
        for node in workers.nodes {
            let free = node.slots.count { !$0.isBusy }
            say("  \(node.node): " + (node.isReachable ? "\(free) of \(node.slots.count) free" : "did not answer"))
        }
        if !table.rows.isEmpty { say("\n" + table.lines(width: 100, terminal: .output).joined(separator: "\n")) }
    }
}
