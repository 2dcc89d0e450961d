import Foundation
import Primitives
import TaskLedger

/// Judges who was told of the ends of tasks and workflows, when all is over. (That no run has two entries which tell of it is judged as
/// they are committed: `LedgerHistory`.)
///
/// - What has a callback and has ended has its delivery, in its ledger or in the registry.
/// - A delivery that has completed has told somebody.
/// - Each run is told under one id, and as what clients were told.
/// - Nobody is told of what has no callback.
struct CallbackChecker {
    private let world: World
    private let inspector: Inspector
    private let submissions: Submissions
    private let answers: AnswerChecker
    private let isRegistryEmptied: Bool

    /// How long an end may wait for its commit and its turn.
    private static let patience = Duration.seconds(2)

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

    /// What somebody may be told of.
    private struct Subject {
        var url: String?
        var sentAt: Instant?
        /// How each run ended, as clients were told; nil: they were not.
        var heard: (UInt32) -> String? = { _ in nil }
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
            guard let subject = subject(content.id, records[content.id]) else {
                // A part of a workflow that only the registry has tells nothing of its callback. One that is gone may have been
                // a dead letter.
                if submissions.isPurged(nil) || submissions.whenSent(content.id) != nil
                    || world.redis?.results[content.id] != nil
                    || inspector.isExcused(content.id, since: nil) || isRegistryEmptied
                {
                    continue
                }
                return wrong("\(id) tells of \(content.id), which nobody has submitted")
            }
            guard !inspector.isExcused(content.id, since: subject.sentAt) else { continue }
            guard subject.url == message.url else {
                return wrong("\(message.url) is told of \(content.id), which says \(subject.url ?? "nobody")")
            }
            let run = TaskRun(task: content.id, run: content.run)
            if let before = told[run], before.id != id || before.status != content.status {
                return wrong(
                    "run \(content.run) of \(content.id) is told as \(content.status) by \(id), and as \(before.status) by "
                        + "\(before.id)")
            }
            told[run] = (id, content.status)
            if let heard = subject.heard(content.run), heard != content.status {
                return wrong("\(id) tells that \(content.id) is \(content.status); clients were told \(heard)")
            }
        }
        let parts = records.keys.filter { records[$0]?.spec.workflow != nil }.sorted()
        for id in submissions.ids + parts {
            guard let subject = subject(id, records[id]), subject.url != nil,
                !inspector.isExcused(id, since: subject.sentAt)
            else { continue }
            let stored = world.redis?.results[id].flatMap { ToldOutcome(document: $0.document) }
            guard let outcome = records[id].flatMap({ ToldOutcome($0) }) ?? stored, let end = outcome.finishedAt,
                !mayHaveJustEnded(id, at: end)
            else { continue }
            let delivery = TaskID(after: id, run: outcome.run, endedAt: Timestamp(milliseconds: end))
            let isThere = records[delivery] != nil || world.redis?.results[delivery] != nil
            guard
                isThere || submissions.isPurged(TaskSpec.deliveryQueue)
                    || isRegistryEmptied && answers.isHandedOver(delivery)
            else {
                return wrong("\(id) is \(outcome), and there is no \(delivery) that tells of it")
            }
            guard records[delivery]?.status == .completed else { continue }
            guard told[TaskRun(task: id, run: outcome.run)]?.id == delivery else {
                return wrong("\(delivery) has completed, and has not told of \(id), \(outcome)")
            }
        }
        return nil
    }

    /// What has only just ended may be told in the next turn. The clock that its end was noted by may be behind.
    private func mayHaveJustEnded(_ id: TaskID, at end: Int64) -> Bool {
        VirtualClock.rightTimestamp(world.now).milliseconds - end < Self.patience.milliseconds
            || world.observations.runs(of: id).contains { world.now - ($0.ended ?? world.now) < Self.patience }
    }

    private func subject(_ id: TaskID, _ record: TaskRecord?) -> Subject? {
        if let known = submissions[id] {
            return Subject(url: known.task.spec.callbackURL, sentAt: known.sentAt) {
                known.told[$0]?.outcome.status.name
            }
        }
        if let known = submissions.workflows[id] {
            return Subject(url: known.draft.callbackURL, sentAt: known.sentAt) { $0 == 1 ? known.told?.name : nil }
        }
        guard let record, let part = record.spec.workflow else { return nil }
        return Subject(
            url: record.spec.callbackURL, sentAt: submissions.whenSent(id) ?? submissions.whenSent(part.workflow))
    }

    private func wrong(_ detail: String) -> Violation { Violation(.falseCallback, detail, at: world.now) }
}
