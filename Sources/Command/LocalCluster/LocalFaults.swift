import Foundation

/// What is done to the processes of a local cluster: each by its number, only if it is in the state's file, and written
/// down there.
struct LocalFaults {
    let home: ClusterHome

    /// SIGKILL. Returns the node, and when it was sent.
    func kill(_ index: Int) async throws -> (node: ClusterState.Node, at: Date) {
        try await change(index) { node in
            guard let process = node.process, process.signal(SIGKILL) else { throw Self.notRunning(node) }
            let at = Date.now
            guard try await process.awaitEnd(for: .seconds(5)) else {
                throw CommandFailure("\(node.name) (process \(process.pid)) is still there 5 s after SIGKILL")
            }
            node.lastAction = ClusterState.Action(kind: .killed, at: at)
            return (node, at)
        }
    }

    /// SIGSTOP.
    func pause(_ index: Int) async throws -> ClusterState.Node {
        try await change(index) { node in
            if case .paused = node.condition { throw CommandFailure("\(node.name) is paused already") }
            guard let process = node.process, process.signal(SIGSTOP) else { throw Self.notRunning(node) }
            node.lastAction = ClusterState.Action(kind: .paused, at: .now)
            return node
        }
    }

    /// SIGCONT. Returns the node, and since when it was paused.
    func resume(_ index: Int) async throws -> (node: ClusterState.Node, since: Date?) {
        try await change(index) { node in
            guard case .paused(let since) = node.condition, node.process?.signal(SIGCONT) == true else {
                throw CommandFailure("\(node.name) is not paused (\(node.condition.text(at: .now)))")
            }
            node.lastAction = nil
            return (node, since)
        }
    }

    /// Starts one that does not run, on the folder and the ports that it had.
    func start(_ index: Int) async throws -> ClusterState.Node {
        try await home.exclusively {
            var state = try home.require()
            var node = try home.require(index, in: state)
            guard node.process?.isAlive != true else { throw CommandFailure("\(node.name) is running") }
            let nodes = try LocalNodes(home: home)
            try nodes.mendPorts(of: &node, in: state, ports: .standard)
            try nodes.start(&node, in: state)
            state.update(node)
            try home.save(state)
            return node
        }
    }

    private func change<Result>(
        _ index: Int, _ body: (inout ClusterState.Node) async throws -> Result
    ) async throws -> Result {
        try await home.exclusively {
            var state = try home.require()
            var node = try home.require(index, in: state)
            let result = try await body(&node)
            state.update(node)
            try home.save(state)
            return result
        }
    }

    private static func notRunning(_ node: ClusterState.Node) -> CommandFailure {
        CommandFailure("\(node.name) is not running (\(node.condition.text(at: .now)))")
    }
}
