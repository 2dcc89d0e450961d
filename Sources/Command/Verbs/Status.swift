import APIModel
import ArgumentParser
import Foundation

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows the cluster as a living node sees it, within a second.",
        discussion: "Exit code: 0 healthy, 1 degraded, 2 no node answers.")

    @Flag(help: "Shows it anew every second.")
    var watch = false

    @Flag(help: "Prints the answer of `GET /api/cluster` as it is.")
    var json = false

    @Flag(help: "All columns, however wide.")
    var wide = false

    @OptionGroup var client: ClientOptions

    func run() async throws {
        guard watch else {
            let code = try await show()
            if code != 0 { throw ExitCode(code) }
            return
        }
        while true {
            let clear = Terminal.output.isInteractive && !json ? "\u{1B}[H\u{1B}[2J" : ""
            try await show(before: clear)
            if clear.isEmpty && !json { say("") }
            try await Task.sleep(for: .seconds(1))
        }
    }

    @discardableResult
    private func show(before: String = "") async throws -> Int32 {
        let local = client.isLocal ? try ClusterHome().require() : nil
        let nodes = try client.client()
        if json {
            guard let answer = try await Self.answer(nodes) else { throw Self.unreachable(nodes) }
            say(String(decoding: answer.body, as: UTF8.self))
            let document = try answer.document(as: ClusterDocument.self)
            return StatusReport(cluster: document, local: local).exitCode
        }
        let report = StatusReport(cluster: try await Self.document(nodes), local: local)
        say(before + report.lines(isWide: wide, terminal: .output).joined(separator: "\n"))
        return report.exitCode
    }

    /// After `up`.
    static func printOnce(_ client: ClusterClient, local: ClusterState) async throws {
        let report = StatusReport(cluster: try await document(client), local: local)
        say(report.lines(isWide: false, terminal: .output).joined(separator: "\n"))
    }

    static func document(_ client: ClusterClient) async throws -> ClusterDocument? {
        try await answer(client)?.document(as: ClusterDocument.self)
    }

    /// Nil if nobody answers.
    private static func answer(_ client: ClusterClient) async throws -> ClusterClient.Answer? {
        do {
            return try await client.first("/api/cluster") { $0.status == 200 }
        } catch let failure as CommandFailure where failure.code == 2 {
            return nil
        }
    }

    private static func unreachable(_ client: ClusterClient) -> CommandFailure {
        CommandFailure("no node answers; asked: \(client.nodes.joined(separator: ", "))", code: 2)
    }
}
