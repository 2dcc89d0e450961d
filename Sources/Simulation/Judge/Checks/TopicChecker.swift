import Primitives
import TaskLedger

/// Judges what has become of messages, when all is over. (What they were made of is judged when clients are told:
/// `SubmittedTopics`. That they end, and as their tasks say: `WorkflowChecker`.)
///
/// - One that nobody was told of has all the tasks that it was to have, or is not there.
/// - What was told to be its tasks are its tasks, in a ledger or in the registry, and no others.
/// - None is stopped since another one fails: each has completed, or failed as often as it may.
struct TopicChecker {
    private let world: World
    private let inspector: Inspector
    private let submissions: Submissions
    private let answers: AnswerChecker
    private let isRegistryEmptied: Bool
    private let lastExcuse: Instant?

    init(_ checker: FinalChecker) {
        world = checker.world
        inspector = checker.inspector
        submissions = checker.submissions
        answers = checker.answers
        isRegistryEmptied = checker.isRegistryEmptied
        lastExcuse = checker.stage.lastExcuse
    }

    func violation(_ records: [TaskID: TaskRecord]) -> Violation? {
        guard !submissions.topics.topics.isEmpty else { return nil }
        var tasks: [TaskID: [TaskRecord]] = [:]
        for id in records.keys.sorted() {
            guard let record = records[id], let part = record.spec.workflow, part.workflow != id else { continue }
            tasks[part.workflow, default: []].append(record)
        }
        for id in records.keys.sorted() {
            guard let root = records[id], root.spec.isWorkflow, let topic = SubmittedTopics.topic(of: root.spec),
                let message = submissions.topics[topic], !inspector.isExcused(id, since: message.sentAt)
            else { continue }
            if let problem = problem(of: root, tasks[id] ?? [], topic, message) {
                return wrong("\(topic), published as \(id), \(problem)")
            }
        }
        for topic in submissions.topics.topics {
            guard let message = submissions.topics[topic], let told = message.tasks else { continue }
            for (name, id) in told.sorted(by: { $0.key < $1.key })
            where records[id] == nil && !inspector.isExcused(id, since: message.sentAt) {
                guard world.redis?.results[id] == nil, !answers.mayBePurged(id),
                    !(isRegistryEmptied && answers.isHandedOver(id))
                else {
                    continue
                }
                return Violation(.lost, "\(id), the task of \(topic) for \(name), is nowhere", at: world.now)
            }
        }
        return nil
    }

    private func problem(
        of root: TaskRecord, _ tasks: [TaskRecord], _ topic: String, _ message: SubmittedTopics.Message
    ) -> String? {
        let isWhole = world.redis?.results[root.id] == nil && !submissions.isPurged(nil)
        if let told = message.tasks, message.id == root.id {
            let ids = Set(told.values)
            if let other = tasks.first(where: { !ids.contains($0.id) }) { return "has \(other.id) as well" }
            if isWhole, tasks.count != ids.count { return "has \(tasks.count) of its \(ids.count) tasks" }
        } else if isWhole {
            let versions = tasks.map { ($0.spec.workflow?.ref ?? "", SubmittedTopics.version(of: $0.spec)) }
            let problem = submissions.topics.problem(
                of: topic, Dictionary(versions, uniquingKeysWith: { first, _ in first }), from: message.sentAt,
                to: submissions.topics.whenSeen(root.id) ?? world.now, excused: lastExcuse)
            if let problem { return problem }
        }
        for task in tasks {
            let runs = world.observations.runs(of: task.id)
            switch task.status {
            case .completed where runs.contains { $0.end == .completed }: continue
            case .failed where task.failure?.type == "poison" && runs.count >= 3: continue
            case .failed where message.script.outcome == .failsForGood || runs.count > task.spec.retry.maxRetries:
                continue
            default:
                return "has \(task.id) for \(task.spec.workflow?.ref ?? ""), which is \(task.status.name) "
                    + "(\(task.failure?.type ?? "")) after \(runs.count) attempts"
            }
        }
        return nil
    }

    private func wrong(_ detail: String) -> Violation { Violation(.falseMessage, detail, at: world.now) }
}
