import ArgumentParser
import Foundation

struct Resume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Lets a paused local node go on (SIGCONT).")

    @Argument(help: "Which: 2 for node-2.")
    var index: Int

    func run() async throws {
        let (node, since) = try await LocalFaults(home: ClusterHome()).resume(index)
        let pause = since.map { " after " + age(Date.now.timeIntervalSince($0)) } ?? ""
        say("resumed \(node.name) (process \(node.process?.pid ?? 0), SIGCONT)\(pause)")
    }
}
