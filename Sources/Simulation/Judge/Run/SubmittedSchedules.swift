import Primitives
import TaskLedger

/// The schedules that clients have asked for, and the tasks that their firings have.
///
/// `@unchecked`: only touched by the world's thread.
final class SubmittedSchedules: @unchecked Sendable {
    /// Names that were ever asked for.
    private var names: Set<String> = []
    /// The task of each firing that was seen first, committed, and when. Never iterated.
    private var first: [Firing: (id: TaskID, at: Instant)] = [:]
    /// In the order in which they became known.
    private var tasks: [String: [TaskID]] = [:]
    private var known: [TaskID: Instant] = [:]
    private(set) var firings = 0

    func asked(_ name: String) { names.insert(name) }

    func tasks(of schedule: String) -> [TaskID] { tasks[schedule] ?? [] }

    func knownSince(_ id: TaskID) -> Instant? { known[id] }

    /// A task of a firing that is in a ledger.
    func found(
        _ id: TaskID, _ firing: Firing, at now: Instant, isCommitted: Bool, isExcused: (TaskID) -> Bool
    ) -> Violation? {
        guard names.contains(firing.schedule) else {
            return Violation(.resurrected, "\(id) is of a schedule \(firing.schedule) that nobody asked for", at: now)
        }
        if known[id] == nil {
            known[id] = now
            tasks[firing.schedule, default: []].append(id)
        }
        guard isCommitted else { return nil }
        guard let other = first[firing] else {
            first[firing] = (id, now)
            firings += 1
            return nil
        }
        guard other.id != id, !isExcused(other.id) else { return nil }
        return Violation(
            .firedTwice,
            "the firing of \(firing.schedule), version \(firing.version), for \(firing.time.milliseconds) has the tasks "
                + "\(other.id) and \(id)", at: now)
    }
}
