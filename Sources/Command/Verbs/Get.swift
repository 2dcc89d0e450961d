import APIModel
import ArgumentParser
import Foundation

struct Get: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Shows a task, from whatever node owns it.")

    @Argument(help: "The task's id.")
    var id: String

    @Flag(help: "Waits until it has ended.")
    var wait = false

    @Flag(help: "Prints the answer of `GET /api/tasks/ID` as it is.")
    var json = false

    @OptionGroup var client: ClientOptions

    func run() async throws {
        let id = try taskID(id)
        let client = try client.client()
        let document: TaskDocument
        let body: [UInt8]
        if wait {
            (document, body) = try await client.outcome(of: id)
        } else {
            let (task, answer) = try await client.ask(.GET, "/api/tasks/\(id)", as: TaskDocument.self)
            (document, body) = (task, answer.body)
        }
        say(
            json
                ? String(decoding: body, as: UTF8.self)
                : TaskReport(task: document).lines(terminal: .output).joined(separator: "\n"))
    }
}
