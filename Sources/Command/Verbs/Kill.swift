import ArgumentParser
import Foundation

struct Kill: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Kills a local node with SIGKILL: it cannot say goodbye.")

    @Argument(help: "Which: 2 for node-2.")
    var index: Int

    func run() async throws {
        let node = try await LocalFaults(home: ClusterHome()).kill(index).node
        say(
            "killed \(node.name) (process \(node.process?.pid ?? 0), SIGKILL); `./cluster restart \(index)` starts it again"
        )
    }
}
