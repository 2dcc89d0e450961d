import ArgumentParser
import Foundation

struct Down: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Stops the nodes and the Redis that `up` started here.",
        discussion: "Nodes are asked to leave (SIGTERM); one that has not after 30 s is killed. Logs and data stay.")

    @Flag(help: "Removes logs and data too.")
    var wipe = false

    private static let leaveLimit = Duration.seconds(30)

    func run() async throws {
        let home = ClusterHome()
        try await home.exclusively {
            guard var state = try home.load() else {
                say("no cluster was started here (\(home.path))")
                return
            }
            try await stopNodes(&state, home)
            try await stopRedis(&state, home)
            if wipe {
                try remove(state, home)
                say("removed logs and data in \(home.path)")
            }
        }
    }

    private func stopNodes(_ state: inout ClusterState, _ home: ClusterHome) async throws {
        let alive = state.nodes.filter { $0.process?.isAlive == true }
        if alive.isEmpty {
            say("no node is running")
            return
        }
        for node in alive {
            node.process?.signal(SIGTERM)
            // A stopped process meets its SIGTERM only when it goes on.
            node.process?.signal(SIGCONT)
        }
        let progress = Progress()
        let begin = ContinuousClock.now
        _ = try await eventually(within: Self.leaveLimit, every: .milliseconds(50)) {
            let remaining = alive.filter { $0.process?.isAlive == true }.map(\.name)
            if remaining.isEmpty { return true }
            let seconds = Int((ContinuousClock.now - begin).components.seconds)
            let isDue = seconds > 0 && (Terminal.output.isInteractive || seconds % 5 == 0)
            if isDue { await progress.show("waiting for \(remaining.joined(separator: ", ")) to leave: \(seconds) s") }
            return false
        }
        await progress.end()
        for var node in alive {
            guard let process = node.process else { continue }
            if process.isAlive {
                say("\(node.name) did not leave within \(Self.leaveLimit.components.seconds) s: killed")
                process.signal(SIGKILL)
                _ = try await process.awaitEnd(for: .seconds(5))
            }
            node.process = nil
            node.lastAction = ClusterState.Action(kind: .stopped, at: .now)
            state.update(node)
        }
        try home.save(state)
        say("stopped \(alive.map(\.name).joined(separator: ", "))")
    }

    private func stopRedis(_ state: inout ClusterState, _ home: ClusterHome) async throws {
        guard let process = state.redis?.process else { return }
        if process.isAlive {
            process.signal(SIGTERM)
            process.signal(SIGCONT)
            if try await !process.awaitEnd(for: .seconds(10)) {
                process.signal(SIGKILL)
                _ = try await process.awaitEnd(for: .seconds(5))
            }
            say("stopped Redis")
        }
        state.redis?.process = nil
        try home.save(state)
    }

    /// Only what this program put there: the folder may be one that the user named.
    private func remove(_ state: ClusterState, _ home: ClusterHome) throws {
        let files = FileManager.default
        let paths = state.nodes.map(home.folder) + [home.redisFolder, home.workFolder, home.stateFile]
        for path in paths where files.fileExists(atPath: path) { try files.removeItem(atPath: path) }
    }
}
