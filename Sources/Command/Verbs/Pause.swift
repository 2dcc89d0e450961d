import ArgumentParser
import Foundation

struct Pause: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Stops a local node in its tracks (SIGSTOP), as a long pause of its machine would.")

    @Argument(help: "Which: 2 for node-2.")
    var index: Int

    func run() async throws {
        let home = ClusterHome()
        try await home.exclusively {
            var state = try home.require()
            var node = try home.require(index, in: state)
            if case .paused = node.condition { throw CommandFailure("\(node.name) is paused already") }
            guard let process = node.process, process.signal(SIGSTOP) else {
                throw CommandFailure("\(node.name) is not running (\(node.condition.text(at: .now)))")
            }
            node.lastAction = ClusterState.Action(kind: .paused, at: .now)
            state.update(node)
            try home.save(state)
            say("paused \(node.name) (process \(process.pid), SIGSTOP); `./cluster resume \(index)` lets it go on")
        }
    }
}
