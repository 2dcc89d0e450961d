import Node
import Primitives
import Schedules
import TaskLedger
import Views
import Wire

/// Judges whether schedules fire, once the cluster is well again: in a stretch of time in which nothing changes, their homes
/// decide about every time that their own clocks come to. (That no time has two tasks is judged when these are met:
/// `SubmittedSchedules`.)
///
/// `@unchecked`: only touched by the world's thread.
final class ScheduleChecker: @unchecked Sendable {
    /// How late a firing may be decided.
    private static let patience: Int64 = 3000

    private struct Watch {
        var view: UInt64
        /// Of each node.
        var clocks: [Timestamp]
        var starts: [Int]
    }

    private let world: World
    private let plan: SimulationPlan
    private let stage: Stage
    private var watch: Watch?
    /// Times that were judged.
    private(set) var checks = 0

    init(_ plan: SimulationPlan, _ stage: Stage) {
        self.plan = plan
        self.stage = stage
        world = stage.world
    }

    private func clocks() -> [Timestamp] {
        world.nodes.map { Timestamp(milliseconds: Int64($0.clock.microsecondsSince1970 / 1000)) }
    }

    /// The stretch begins.
    func begin(isWell: Bool) {
        guard isWell, let view = stage.view else { return }
        watch = Watch(view: view.number, clocks: clocks(), starts: world.nodes.map(\.starts))
    }

    /// The stretch ends.
    func end() -> Violation? {
        // Where clocks were set, times have come before, or never come.
        guard let watch, let view = stage.view, view.number == watch.view, world.nodes.map(\.starts) == watch.starts,
            !plan.faults.contains(where: { $0.kind == .clockJump }), plan.options["room"] >= 1000
        else { return nil }
        let clocks = clocks()
        for schedule in view.settings.schedules where !schedule.isPaused {
            let slot = KeySlot(of: TaskSpec.lane(of: schedule.name), in: .ordering)
            guard let ledger = view.ledger(view.slots[Int(slot.rawValue)]), stage.excused[ledger.id] == nil,
                let home = stage.index(ledger.primary.name), home < watch.clocks.count,
                let timing = timing(of: schedule),
                // A key that is on its way to another home is not bound meanwhile.
                view.moves.allSatisfy({ $0.slot != slot })
            else { continue }
            var time = max(watch.clocks[home], schedule.since)
            let until = Timestamp(milliseconds: clocks[home].milliseconds - Self.patience)
            while let next = timing.next(after: time), next <= until {
                time = next
                checks += 1
                let firing = Firing(schedule: schedule.name, version: schedule.version, time: next)
                let spec = TaskSpec(type: "t").task(of: firing, delay: 0)
                guard let key = spec.idempotency?.key else { continue }
                let name = KeyName(key: key, orderingKey: spec.orderingKey)
                let isBound =
                    world.nodes[home].look { core in
                        core.served.contains { $0.copy.id == ledger.id && $0.copy.state.keys[name] != nil }
                    } ?? true
                guard !isBound else { continue }
                let problem = world.nodes[home].look { $0.problem(ofSchedule: schedule.name) } ?? nil
                // Those that wait in its queue may be as many as that takes: it fires when there is room.
                if let problem, problem.hasSuffix("is full"), isBounded(schedule, view) { break }
                return Violation(
                    .notFired,
                    "\(schedule.name), version \(schedule.version), was to fire at \(next.milliseconds); it is "
                        + "\(clocks[home].milliseconds) at its home, node \(home), and nothing is decided"
                        + (problem.map { ": \($0)" } ?? ""),
                    at: world.now)
            }
        }
        return nil
    }

    /// Whether the queue of its tasks takes only so many of them.
    private func isBounded(_ schedule: ScheduleSettings, _ view: View) -> Bool {
        guard let spec = try? TaskSpec(encoded: schedule.task) else { return false }
        let queue = view.settings.queue(spec.queue)
        return queue.maxLength != nil || queue.maxBytes != nil
    }

    private func timing(of schedule: ScheduleSettings) -> ScheduleTiming? {
        switch schedule.timing {
        case .interval(let milliseconds):
            return .interval(milliseconds: Int64(milliseconds), from: schedule.since)
        case .cron(let text, _):
            // All that clients of a run ask for are the same in any zone.
            guard let expression = try? CronExpression(text) else { return nil }
            return .cron(CronTimes(expression, in: .utc))
        }
    }
}
