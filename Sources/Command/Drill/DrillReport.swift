import APIModel
import Primitives

/// What a drill has found out: made of the record alone.
struct DrillReport: Sendable {
    /// Why a task was run more than once.
    enum Cause: Hashable, Sendable {
        /// Its attempt was interrupted, and the cluster knows.
        case interrupted
        /// One of its nodes was killed or stopped in its tracks while the task was open.
        case fault
        /// An attempt failed, and was tried again.
        case retried
        /// Nothing that the drill did explains it.
        case unexplained

        var text: String {
            switch self {
            case .interrupted: "cut off by a kill or a pause, as the cluster knows"
            case .fault: "begun at a node that was killed or paused before that was on record"
            case .retried: "retried after a failure"
            case .unexplained: "no fault explains it: a slow node was taken for a dead one"
            }
        }
    }

    let accepted: Int
    let completed: Int
    /// Accepted, and without an outcome though all nodes are back.
    let lost: [TaskID]
    /// Ended in another way than `completed`, by its status.
    let otherwise: [String: Int]
    /// Two different outcomes were told.
    let recordedTwice: [TaskID]
    let runTwice: [Cause: Int]
    /// Later outcomes that owners have refused to record.
    let discarded: Int
    let refused: Int
    let unanswered: Int
    let unreached: Int
    let kills: Int
    let pauses: Int
    /// Nodes that ended by themselves.
    let ended: [String]
    /// From a kill to the first start, elsewhere, of a task that the killed node owned: ascending.
    let recoveries: [Duration]

    init(_ record: DrillRecord) {
        accepted = record.tasks.count
        completed = record.tasks.values.count { $0.document?.status == "completed" }
        lost = record.unfinished.sorted()
        var otherwise: [String: Int] = [:]
        for task in record.tasks.values {
            guard let status = task.document?.status, isFinal(status), status != "completed" else { continue }
            otherwise[status, default: 0] += 1
        }
        self.otherwise = otherwise
        recordedTwice = record.tasks.filter { $0.value.outcomes.count > 1 }.map(\.key).sorted()
        var causes: [Cause: Int] = [:]
        for (id, nodes) in record.runs where nodes.count > 1 {
            guard let task = record.tasks[id] else { continue }
            causes[Self.cause(task, ran: nodes, record.faults), default: 0] += 1
        }
        runTwice = causes
        discarded = record.tasks.values.reduce(0) { $0 + Int($1.document?.duplicatesDiscarded ?? 0) }
        (refused, unanswered, unreached) = (record.refused, record.unanswered, record.unreached)
        kills = record.faults.count(where: \.isKill)
        pauses = record.faults.count - kills
        ended = record.ended
        recoveries = record.faults.filter(\.isKill).compactMap { Self.recovery(from: $0, record.tasks) }.sorted()
    }

    private static func cause(_ task: DrillRecord.Task, ran nodes: [String], _ faults: [DrillRecord.Fault]) -> Cause {
        guard let document = task.document else { return .unexplained }
        if document.interruptions > 0 { return .interrupted }
        let end = document.finishedAt ?? Timestamp(milliseconds: .max)
        let isExplained = faults.contains { fault in
            nodes.contains(fault.node) && fault.at <= end && task.acceptedAt <= fault.until ?? end
        }
        if isExplained { return .fault }
        return document.attempt > 1 ? .retried : .unexplained
    }

    /// Of what the node owned when it was killed, the first that started elsewhere once it had another owner: what was
    /// granted to others before the kill does not count.
    private static func recovery(from kill: DrillRecord.Fault, _ tasks: [TaskID: DrillRecord.Task]) -> Duration? {
        guard let takeover = kill.takeover else { return nil }
        let starts = kill.burst.compactMap { id -> Timestamp? in
            guard let document = tasks[id]?.document, document.worker != kill.node, let start = document.startedAt,
                start >= takeover
            else { return nil }
            return start
        }
        return starts.min().map { .milliseconds($0.milliseconds - kill.at.milliseconds) }
    }

    var median: Duration? { recoveries.isEmpty ? nil : recoveries[recoveries.count / 2] }
    var worst: Duration? { recoveries.last }

    /// 1 if anything is lost or has two outcomes, or a node has ended by itself.
    var exitCode: Int32 { lost.isEmpty && recordedTwice.isEmpty && ended.isEmpty ? 0 : 1 }

    func lines(terminal: Terminal) -> [String] {
        func line(_ title: String, _ count: Int, _ remark: String = "", isBad: Bool = false) -> String {
            let value = String(count)
            let fill = String(repeating: " ", count: max(1, 24 - title.count - value.count))
            return title + fill + terminal.paint(value, isBad ? .red : nil) + (remark.isEmpty ? "" : "   " + remark)
        }
        var notTaken: [String] = []
        if refused > 0 { notTaken.append("\(refused) refused") }
        if unreached > 0 { notTaken.append("\(unreached) found nobody there") }
        if unanswered > 0 { notTaken.append("\(unanswered) without an answer") }
        let others = otherwise.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
        var lines = [
            line("kills", kills), line("pauses", pauses),
            line("accepted", accepted, notTaken.isEmpty ? "" : "and " + notTaken.joined(separator: ", ")),
            line("completed", completed, others),
            line("lost", lost.count, Self.sample(lost), isBad: !lost.isEmpty),
            line(
                "recorded twice", recordedTwice.count,
                recordedTwice.isEmpty ? "\(discarded) later outcomes discarded" : Self.sample(recordedTwice),
                isBad: !recordedTwice.isEmpty),
            line("run twice", runTwice.values.reduce(0, +)),
        ]
        let order: [Cause] = [.interrupted, .fault, .retried, .unexplained]
        for cause in order { if let count = runTwice[cause] { lines.append("  \(count): \(cause.text)") } }
        if !ended.isEmpty {
            lines.append(terminal.paint("ended by themselves, see their logs: \(ended.joined(separator: ", "))", .red))
        }
        if let median, let worst {
            lines.append(
                "from a kill to the first start elsewhere: median \(shown(median, digits: 2)), worst "
                    + "\(shown(worst, digits: 2)) (\(recoveries.count) of \(kills) kills)")
        } else {
            lines.append("from a kill to the first start elsewhere: not measured")
        }
        return lines
    }

    private static func sample(_ ids: [TaskID]) -> String {
        ids.prefix(3).map(\.description).joined(separator: ", ") + (ids.count > 3 ? ", ..." : "")
    }
}
