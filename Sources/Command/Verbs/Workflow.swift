import APIModel
import ArgumentParser
import Foundation
import Primitives

struct Workflow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Submits workflows: tasks that depend on each other; and shows what has become of them.",
        subcommands: [WorkflowSubmit.self, WorkflowGet.self])
}

struct WorkflowSubmit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "submit", abstract: "Submits a workflow, and prints its id.")

    @Argument(help: "A file with the JSON of `POST /api/workflows`; - is the standard input.")
    var file: String

    @Flag(help: "Prints the answer as it is.")
    var json = false

    @OptionGroup var client: ClientOptions

    /// Of one that was accepted now, and of one that was accepted before under the same key.
    private struct Submitted: Decodable { var id: TaskID }

    func run() async throws {
        let body: Data
        if file == "-" {
            body = FileHandle.standardInput.readDataToEndOfFile()
        } else {
            do {
                body = try Data(contentsOf: URL(filePath: file))
            } catch {
                throw ValidationError("\(file) cannot be read: \(error.localizedDescription)")
            }
        }
        let (workflow, answer) = try await client.client().ask(
            .POST, "/api/workflows", body: Array(body), as: Submitted.self)
        say(json ? String(decoding: answer.body, as: UTF8.self) : "\(workflow.id)")
    }
}

struct WorkflowGet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Shows a workflow, with the state of every task.")

    @Argument(help: "The workflow's id.")
    var id: String

    @Flag(help: "Prints the answer of `GET /api/workflows/ID` as it is.")
    var json = false

    @OptionGroup var client: ClientOptions

    func run() async throws {
        let id = try taskID(id)
        let (workflow, answer) = try await client.client().ask(
            .GET, "/api/workflows/\(id)", as: WorkflowDocument.self)
        if json { return say(String(decoding: answer.body, as: UTF8.self)) }
        say(WorkflowText(workflow: workflow).lines(terminal: .output).joined(separator: "\n"))
    }
}

/// What `workflow get ID` prints.
struct WorkflowText {
    var workflow: WorkflowDocument

    func lines(terminal: Terminal) -> [String] {
        let progress = workflow.progress
        var lines = [
            "workflow \(workflow.id)" + (workflow.name.map { " (\($0))" } ?? "") + ": "
                + terminal.paint(workflow.status, TaskReport.colour(workflow.status))
                + ", \(progress.completed) of \(progress.total) tasks completed"
                + (progress.failed > 0 ? ", \(progress.failed) failed" : "")
                + (progress.cancelled > 0 ? ", \(progress.cancelled) cancelled" : "")
                + (progress.running > 0 ? ", \(progress.running) running" : "")
                + (progress.waiting > 0 ? ", \(progress.waiting) waiting" : "")
        ]
        if let error = workflow.error { lines.append(terminal.paint("\(error.type): \(error.message)", .red)) }
        var table = Table(columns: [
            .init(title: "task"), .init(title: "role"), .init(title: "type"), .init(title: "status"),
            .init(title: "waits for"), .init(title: "worker"), .init(title: "id"),
        ])
        table.rows = workflow.tasks.map { task in
            [
                Table.Cell(task.ref), Table.Cell(task.role), Table.Cell(task.taskType),
                Table.Cell(task.status, TaskReport.colour(task.status)),
                Table.Cell(task.dependsOn.isEmpty ? "-" : task.dependsOn.joined(separator: ", ")),
                Table.Cell(task.worker ?? "-"), Table.Cell(task.id.description),
            ]
        }
        return lines + table.lines(width: nil, terminal: terminal)
    }
}
