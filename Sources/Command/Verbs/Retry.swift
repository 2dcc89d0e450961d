import APIModel
import ArgumentParser
import Foundation

struct Retry: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Begins a new run of a task that has failed, was cancelled, or has expired.")

    @Argument(help: "The task's id.")
    var id: String

    @OptionGroup var client: ClientOptions

    func run() async throws {
        let id = try taskID(id)
        let (task, _) = try await client.client().ask(.POST, "/api/tasks/\(id)/retry", as: TaskDocument.self)
        say("\(id): run \(task.run) has begun, it is \(task.status) now\(task.node.map { ", owner \($0)" } ?? "")")
    }
}
