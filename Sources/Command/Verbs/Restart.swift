import ArgumentParser
import Foundation

struct Restart: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Asks a local node to leave (SIGTERM), then starts it again; one that is not running is just started."
    )

    @Argument(help: "Which: 2 for node-2.")
    var index: Int

    private static let leaveLimit = Duration.seconds(30)
    private static let readyLimit = Duration.seconds(60)

    func run() async throws {
        let home = ClusterHome()
        try await home.exclusively {
            var state = try home.require()
            var node = try home.require(index, in: state)
            let nodes = try LocalNodes(home: home)
            try await leave(&node)
            state.update(node)
            try home.save(state)

            try nodes.mendPorts(of: &node, in: state, ports: .standard)
            say(try await LocalRedis(home: home).ensure(in: &state))
            try nodes.start(&node, in: state)
            state.update(node)
            try home.save(state)
            let begin = ContinuousClock.now
            try await nodes.awaitReady([node], within: Self.readyLimit) { _ in }
            say(
                "started \(node.name) (process \(node.process?.pid ?? 0)), ready after \(shown(ContinuousClock.now - begin)): \(node.url)"
            )
        }
    }

    private func leave(_ node: inout ClusterState.Node) async throws {
        guard let process = node.process, process.isAlive else {
            say("\(node.name) was not running (\(node.condition.text(at: .now)))")
            return
        }
        let begin = ContinuousClock.now
        process.signal(SIGTERM)
        process.signal(SIGCONT)
        if try await process.awaitEnd(for: Self.leaveLimit) {
            say("\(node.name) left after \(shown(ContinuousClock.now - begin))")
        } else {
            process.signal(SIGKILL)
            _ = try await process.awaitEnd(for: .seconds(5))
            say("\(node.name) did not leave within \(Self.leaveLimit.components.seconds) s: killed")
        }
        node.lastAction = ClusterState.Action(kind: .stopped, at: .now)
    }
}
