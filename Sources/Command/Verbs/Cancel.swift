import APIModel
import ArgumentParser
import Foundation

struct Cancel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Cancels a task that waits, or asks the one that runs it to stop.")

    @Argument(help: "The task's id.")
    var id: String

    @OptionGroup var client: ClientOptions

    func run() async throws {
        let id = try taskID(id)
        let (task, _) = try await client.client().ask(.DELETE, "/api/tasks/\(id)", as: TaskDocument.self)
        if task.status == "cancelled" {
            say("\(id) is cancelled: it will not run")
        } else {
            say("\(id) is \(task.status)\(task.worker.map { " at \($0)" } ?? ""); it was asked to stop")
        }
    }
}
