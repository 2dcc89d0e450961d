import ArgumentParser
import Foundation

struct Kill: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Kills a local node with SIGKILL: it cannot say goodbye.")

    @Argument(help: "Which: 2 for node-2.")
    var index: Int

    func run() async throws {
        let home = ClusterHome()
        try await home.exclusively {
            var state = try home.require()
            var node = try home.require(index, in: state)
            guard let process = node.process, process.signal(SIGKILL) else {
                throw CommandFailure("\(node.name) is not running (\(node.condition.text(at: .now)))")
            }
            let at = Date.now
            guard try await process.awaitEnd(for: .seconds(5)) else {
                throw CommandFailure("\(node.name) (process \(process.pid)) is still there 5 s after SIGKILL")
            }
            node.lastAction = ClusterState.Action(kind: .killed, at: at)
            state.update(node)
            try home.save(state)
            say("killed \(node.name) (process \(process.pid), SIGKILL); `./cluster restart \(index)` starts it again")
        }
    }
}
