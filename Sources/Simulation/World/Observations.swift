package import Primitives

/// What handlers did, in the order in which they did it: written by `SimulatedHandler`, read by checkers.
///
/// `@unchecked`: only touched by the world's thread.
package final class Observations: @unchecked Sendable {
    /// One call of a handler.
    package struct Run: Sendable {
        package let task: TaskID
        package let token: Token
        /// The node that ran it, and which start of its process: `SimulatedNode.starts`.
        package let node: Int
        package let start: Int
        /// True time.
        package let began: Instant
        /// Nil while it runs.
        package internal(set) var ended: Instant?
        package internal(set) var end: End?
    }

    package enum End: Sendable, Equatable {
        case completed
        case failed(isRetryable: Bool)
        /// Its Swift task was cancelled: the task was, or its time was up, or the node stopped.
        case cancelled
        /// The process ended under it.
        case cutOff
    }

    /// What a handler was told to have added to its workflow.
    package struct Addition: Sendable {
        package let workflow: TaskID
        package let refs: [String]
        package let ids: [TaskID]
        /// The step that has added it.
        package let task: TaskID
    }

    /// In the order in which handlers were told.
    package private(set) var additions: [Addition] = []
    /// Called when a handler is told to have added something.
    package var additionObserver: ((Addition) -> Void)?
    /// Every run so far, by beginning.
    package private(set) var runs: [Run] = []
    /// Positions in `runs`. Never iterated.
    private var byTask: [TaskID: [Int]] = [:]
    /// What was sent to receivers of callbacks, and by which task.
    package private(set) var told: [(delivery: TaskID, payload: [UInt8])] = []
    private let timeline: Timeline
    /// Called when a run begins or ends, with its position: for checkers that do not want to wait.
    package var observer: ((Int) -> Void)?

    init(timeline: Timeline) { self.timeline = timeline }

    package func runs(of task: TaskID) -> [Run] { (byTask[task] ?? []).map { runs[$0] } }

    func began(_ task: TaskID, _ token: Token, node: Int, start: Int) -> Int {
        runs.append(Run(task: task, token: token, node: node, start: start, began: timeline.now))
        byTask[task, default: []].append(runs.count - 1)
        observer?(runs.count - 1)
        return runs.count - 1
    }

    func told(_ delivery: TaskID, _ payload: [UInt8]) { told.append((delivery, payload)) }

    func added(to workflow: TaskID, _ refs: [String], _ ids: [TaskID], by task: TaskID) {
        let addition = Addition(workflow: workflow, refs: refs, ids: ids, task: task)
        additions.append(addition)
        additionObserver?(addition)
    }

    func ended(_ run: Int, _ end: End) {
        guard runs[run].end == nil else { return }
        runs[run].ended = timeline.now
        runs[run].end = end
        observer?(run)
    }

    /// The process of a node is gone: what it ran will never end.
    func cutOff(node: Int) {
        for index in runs.indices where runs[index].node == node && runs[index].end == nil { ended(index, .cutOff) }
    }
}
