import Foundation
import Primitives
import TaskLedger

/// Judges who was told of the ends of tasks, when all is over. (That no run has two entries which tell of it is judged as
/// they are committed: `LedgerHistory`.)
///
/// - A task with a callback that has ended has its delivery, in its ledger or in the registry.
/// - A delivery that has completed has told somebody.
/// - Each run is told under one id, and as what clients were told.
/// - Nobody is told of a task that has no callback.
struct CallbackChecker {
    private let world: World
    private let inspector: Inspector
    private let submissions: Submissions
    private let answers: AnswerChecker
    private let isRegistryEmptied: Bool

    private struct Message: Decodable {
        struct Content: Decodable {
            struct Ended: Decodable {
                var id: TaskID
                var run: UInt32
                var status: String
            }

            var type: String
            var data: Ended
        }

        var url: String
        var message: Content
    }

    private struct TaskRun: Hashable {
        var task: TaskID
        var run: UInt32
    }

    init(_ checker: FinalChecker) {
        world = checker.world
        inspector = checker.inspector
        submissions = checker.submissions
        answers = checker.answers
        isRegistryEmptied = checker.isRegistryEmptied
    }

    func violation(_ records: [TaskID: TaskRecord]) -> Violation? {
        var told: [TaskRun: (id: TaskID, status: String)] = [:]
        for (id, payload) in world.observations.told {
            guard let message = try? JSONDecoder().decode(Message.self, from: Data(payload)) else {
                return wrong("the payload of \(id) is no message")
            }
            let content = message.message.data
            guard let known = submissions[content.id] else {
                return wrong("\(id) tells of \(content.id), which nobody has submitted")
            }
            guard !inspector.isExcused(content.id, since: known.sentAt) else { continue }
            guard known.task.spec.callbackURL == message.url else {
                return wrong(
                    "\(message.url) is told of \(content.id), which says \(known.task.spec.callbackURL ?? "nobody")")
            }
            let run = TaskRun(task: content.id, run: content.run)
            if let before = told[run], before.id != id || before.status != content.status {
                return wrong(
                    "run \(content.run) of \(content.id) is told as \(content.status) by \(id), and as \(before.status) by "
                        + "\(before.id)")
            }
            told[run] = (id, content.status)
            if let heard = known.told[content.run]?.outcome, heard.status.name != content.status {
                return wrong("\(id) tells that \(content.id) is \(content.status); clients were told \(heard)")
            }
        }
        for id in submissions.ids {
            guard let known = submissions[id], known.task.spec.callbackURL != nil,
                !inspector.isExcused(id, since: known.sentAt)
            else { continue }
            let stored = world.redis?.results[id].flatMap { ToldOutcome(document: $0.document) }
            guard let outcome = records[id].flatMap({ ToldOutcome($0) }) ?? stored, let end = outcome.finishedAt else {
                continue
            }
            let delivery = TaskID(after: id, run: outcome.run, endedAt: Timestamp(milliseconds: end))
            let isThere = records[delivery] != nil || world.redis?.results[delivery] != nil
            guard isThere || isRegistryEmptied && answers.isHandedOver(delivery) else {
                return wrong("\(id) is \(outcome), and there is no \(delivery) that tells of it")
            }
            guard records[delivery]?.status == .completed else { continue }
            guard told[TaskRun(task: id, run: outcome.run)]?.id == delivery else {
                return wrong("\(delivery) has completed, and has not told of \(id), \(outcome)")
            }
        }
        return nil
    }

    private func wrong(_ detail: String) -> Violation { Violation(.falseCallback, detail, at: world.now) }
}
