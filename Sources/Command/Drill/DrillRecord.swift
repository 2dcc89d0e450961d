import APIModel
import Primitives

/// What a drill has seen, from the outside. Times are of this machine's clock, as are those that its nodes tell.
struct DrillRecord: Sendable {
    struct Fault: Hashable, Sendable {
        var node: String
        var at: Timestamp
        /// When it was started again, or went on; nil: not yet.
        var until: Timestamp?
        var isKill: Bool
        /// Tasks that the node was given right before, so that it has something to lose.
        var burst: [TaskID] = []
        /// When somebody else became the owner; nil: nobody had to, or nobody was seen to.
        var takeover: Timestamp?
    }

    /// One outcome, as a node tells it: two of one task must not differ.
    struct Outcome: Hashable, Sendable {
        var status: String
        var attempt: UInt32
        var worker: String?
        var finishedAt: Timestamp?

        init(_ task: TaskDocument) {
            status = task.status
            attempt = task.attempt
            worker = task.worker
            finishedAt = task.finishedAt
        }
    }

    struct Task: Sendable {
        var acceptedAt: Timestamp
        /// The last that was heard of it.
        var document: TaskDocument?
        /// All different ones that were ever told.
        var outcomes: Set<Outcome> = []

        mutating func heard(_ document: TaskDocument) {
            if isFinal(document.status) { outcomes.insert(Outcome(document)) }
            let discarded = max(self.document?.duplicatesDiscarded ?? 0, document.duplicatesDiscarded)
            if self.document.map({ !isFinal($0.status) }) ?? true { self.document = document }
            self.document?.duplicatesDiscarded = discarded
        }
    }

    var tasks: [TaskID: Task] = [:]
    /// Answered with 503 or 507: nothing was accepted.
    var refused = 0
    /// Not known whether it was accepted: the connection broke, no answer came in time, or a 504.
    var unanswered = 0
    /// Nobody listened.
    var unreached = 0
    var faults: [Fault] = []
    /// Nodes that ended though nobody killed them, as often as they did.
    var ended: [String] = []
    /// Nodes on which handlers ran each task, in the order in which the runs began.
    var runs: [TaskID: [String]] = [:]

    var unfinished: [TaskID] { tasks.filter { $0.value.outcomes.isEmpty }.map(\.key) }

    mutating func accepted(_ ids: some Sequence<TaskID>, at time: Timestamp) {
        for id in ids { tasks[id] = Task(acceptedAt: time) }
    }

    /// Lines `<task> <token> <node>`, as handlers write them. A line that is not one is told.
    mutating func readRuns(_ text: String) throws {
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 3, let id = TaskID(String(words[0])) else {
                throw CommandFailure("the record of runs has a broken line: `\(clipped(String(line), 100))`")
            }
            runs[id, default: []].append(String(words[2]))
        }
    }
}
