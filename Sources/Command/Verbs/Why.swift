import APIModel
import ArgumentParser
import Foundation

struct Why: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Says why a task does not run.")

    @Argument(help: "The task's id.")
    var id: String

    @Flag(help: "Prints the answer of `GET /api/tasks/ID/why` as it is.")
    var json = false

    @OptionGroup var client: ClientOptions

    func run() async throws {
        let id = try taskID(id)
        let (why, answer) = try await client.client().ask(.GET, "/api/tasks/\(id)/why", as: WhyDocument.self)
        if json { return say(String(decoding: answer.body, as: UTF8.self)) }
        let status = why.status.map { "\($0)" } ?? "unknown"
        let owner = why.node.map { " (owner \($0))" } ?? ""
        say("\(status)\(owner): \(why.detail)\(why.until.map { " (\($0.rfc3339))" } ?? "")")
    }
}
