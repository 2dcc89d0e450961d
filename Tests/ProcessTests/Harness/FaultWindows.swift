import Foundation
import Primitives
import Synchronization

@testable import Command

/// When something was done to which nodes, and when handlers began: so that it can be told whether a second run of a
/// task had a cause.
///
/// Lines of the file of runs carry no time; a look at its size every 50 ms gives one.
final class FaultWindows: Sendable {
    private struct Window {
        var nodes: Set<String>
        var begin: ContinuousClock.Instant
        var end: ContinuousClock.Instant?
        var what: String
    }

    private struct State {
        var windows: [Window] = []
        /// The file's size, and when it was that.
        var marks: [(bytes: Int, at: ContinuousClock.Instant)] = []
    }

    private let cluster: LocalCluster
    private let state = Mutex(State())

    init(_ cluster: LocalCluster) { self.cluster = cluster }

    /// Until it is cancelled.
    func watch() async throws {
        while !Task.isCancelled {
            let bytes = cluster.runsFileBytes()
            state.withLock { $0.marks.append((bytes, .now)) }
            try? await Task.sleep(for: .milliseconds(50))
        }
    }

    /// Does it, and remembers when. Its effects may go on until `end`.
    func during(_ what: String, _ nodes: [TestNode], _ body: () async throws -> Void) async throws {
        let index = state.withLock { state in
            state.windows.append(Window(nodes: Set(nodes.map(\.name)), begin: .now, what: what))
            return state.windows.count - 1
        }
        try await body()
        state.withLock { $0.windows[index].end = .now }
    }

    /// An attempt takes 30 ms, and its outcome a commit: what began so long before a fault may have been cut off by
    /// it, on a machine that is busy with other things.
    private static let before = Duration.seconds(1.5)
    /// A node that comes back finishes, and takes back, what it had.
    private static let after = Duration.seconds(1.5)

    /// How often a task was run again; and the tasks that were, though nothing had happened to the nodes that ran them.
    func judge(_ runs: [LocalCluster.Run]) -> (repeated: Int, unexplained: [String]) {
        let (windows, marks) = state.withLock { ($0.windows, $0.marks) }
        var byTask: [String: [(end: Int, run: LocalCluster.Run)]] = [:]
        var end = 0
        for run in runs {
            end += run.bytes
            byTask[run.task, default: []].append((end, run))
        }
        var repeated = 0
        var unexplained: [String] = []
        for (task, all) in byTask.sorted(by: { $0.key < $1.key }) where all.count > 1 {
            repeated += all.count - 1
            var story: [String] = []
            let caused = all.count { end, run in
                // It began after the last look that did not see it, and before the first that did.
                let latest = marks.first { $0.bytes >= end }?.at ?? .now
                let earliest = marks.last { $0.bytes < end }?.at ?? latest
                let past = windows.last { $0.nodes.contains(run.node) && $0.begin <= latest + Self.before }
                story.append(
                    "\(run.token) on \(run.node) "
                        + (past.map { "\(shown(latest - $0.begin)) after \($0.what) began" } ?? "before any fault"))
                return windows.contains { window in
                    window.nodes.contains(run.node) && latest >= window.begin - Self.before
                        && earliest <= (window.end ?? .now) + Self.after
                }
            }
            // One of them was to be run.
            if caused < all.count - 1 { unexplained.append("\(task): \(story.joined(separator: "; "))") }
        }
        return (repeated, unexplained)
    }
}
