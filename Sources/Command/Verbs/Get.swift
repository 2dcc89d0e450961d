import APIModel
import ArgumentParser
import Foundation
import Primitives

struct Get: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Shows a task, from whatever node owns it.")

    @Argument(help: "The task's id.")
    var id: String

    @Flag(help: "Waits until it has ended.")
    var wait = false

    @Option(help: "The state at this time: RFC 3339, such as 2030-01-31T23:59:59Z, or so long ago, such as 90s or 5m.")
    var at: String?

    @Flag(help: "Prints the answer of `GET /api/tasks/ID` as it is.")
    var json = false

    @OptionGroup var client: ClientOptions

    func validate() throws {
        if wait, at != nil { throw ValidationError("--at and --wait do not go together: nothing is left to wait for.") }
        if let at, Self.time(at, now: .now) == nil {
            throw ValidationError(
                "--at \(at): a date and time of RFC 3339, such as 2030-01-31T23:59:59Z, or so long ago, such as 90s.")
        }
    }

    static func time(_ text: String, now: Date) -> Timestamp? {
        if let time = Timestamp(rfc3339: text) { return time }
        guard let age = Duration(argument: text), age >= .zero else { return nil }
        return Timestamp(milliseconds: Int64(now.timeIntervalSince1970 * 1000) - age.milliseconds)
    }

    func run() async throws {
        let id = try taskID(id)
        let client = try client.client()
        let document: TaskDocument
        let body: [UInt8]
        if wait {
            (document, body) = try await client.outcome(of: id)
        } else {
            let query = at.flatMap { Self.time($0, now: .now) }.map { "?at=" + $0.rfc3339 } ?? ""
            let (task, answer) = try await client.ask(.GET, "/api/tasks/\(id)" + query, as: TaskDocument.self)
            (document, body) = (task, answer.body)
        }
        say(
            json
                ? String(decoding: body, as: UTF8.self)
                : TaskReport(task: document).lines(terminal: .output).joined(separator: "\n"))
    }
}
