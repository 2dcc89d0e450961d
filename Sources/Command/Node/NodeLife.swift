import Glibc
import Logging
import Node
import ServiceLifecycle

/// A node as one of the services of the process: starts it, waits until the process is told to end or the node cannot go
/// on, and lets it leave.
///
/// Only who is told to leave, by a signal or by a client, hands over what it has. A node that cannot go on (its journal
/// has failed, its name is taken) is not to be trusted with that: its process ends at once, as if it had been killed, and
/// the others take over.
struct NodeLife: ServiceLifecycle.Service {
    let node: Node
    let logger: Logger

    /// How long a node that leaves waits for what runs and for its ledgers to be taken over. Below the 30 s after which `down`
    /// and most supervisors kill.
    private static let leavePatience = Duration.seconds(25)

    func run() async throws {
        try await node.start()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { _ = await node.failure() }
            group.addTask {
                // Returns when the process is told to end, and throws when the group is cancelled: the end in either case.
                try? await gracefulShutdown()
                // The other task has nothing to wait for any more.
                node.stopWaiting()
            }
            await group.next()
            group.cancelAll()
        }
        if node.breakdown == nil { await node.leave(within: Self.leavePatience) }
        if let reason = node.breakdown {
            // Not even in good order: a disk that hangs, or a client that waits, must not keep a process alive that others
            // count on to be gone.
            logger.critical("this node cannot go on", metadata: ["reason": "\(reason)"])
            complain("\(node.name) stops: \(reason)")
            _exit(1)
        }
    }
}
