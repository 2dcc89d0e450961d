import ArgumentParser
import Foundation

struct Resume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Lets a paused local node go on (SIGCONT).")

    @Argument(help: "Which: 2 for node-2.")
    var index: Int

    func run() async throws {
        let home = ClusterHome()
        try await home.exclusively {
            var state = try home.require()
            var node = try home.require(index, in: state)
            guard case .paused(let since) = node.condition, let process = node.process, process.signal(SIGCONT) else {
                throw CommandFailure("\(node.name) is not paused (\(node.condition.text(at: .now)))")
            }
            node.lastAction = nil
            state.update(node)
            try home.save(state)
            let pause = since.map { " after " + age(Date.now.timeIntervalSince($0)) } ?? ""
            say("resumed \(node.name) (process \(process.pid), SIGCONT)\(pause)")
        }
    }
}
