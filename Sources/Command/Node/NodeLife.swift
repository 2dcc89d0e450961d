import Node
import ServiceLifecycle

/// A node as one of the services of the process: starts it, waits until the process is told to end or the node cannot go
/// on, and lets it leave.
struct NodeLife: ServiceLifecycle.Service {
    let node: Node

    /// How long a node that leaves waits for what runs and for its ledgers to be taken over. Below the 30 s after which `down`
    /// and most supervisors kill.
    private static let leavePatience = Duration.seconds(25)

    func run() async throws {
        try await node.start()
        let reason = await withTaskGroup(of: String?.self) { group in
            group.addTask { await node.failure() }
            group.addTask {
                // Returns when the process is told to end, and throws when the group is cancelled: the end in either case.
                try? await gracefulShutdown()
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            // The other task has nothing to wait for any more.
            if first == nil { node.stopWaiting() }
            return first
        }
        await node.leave(within: Self.leavePatience)
        if let reason, reason != Node.askedToLeave { throw CommandFailure("\(node.name) stops: \(reason)") }
    }
}
