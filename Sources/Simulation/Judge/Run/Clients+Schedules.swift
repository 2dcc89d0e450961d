import Primitives
import Service
import TaskLedger
import Views

/// Schedules, made, changed, paused and deleted by clients of any node.
extension Clients {
    private static func name(_ number: Int) -> String { "schedule-\(number)" }

    func changeSchedule(_ operation: Operation) {
        guard isReachable(operation.node), plan.options["schedules"] > 0 else { return }
        var draw = SeededGenerator(seed: operation.salt)
        let name = Self.name(Int.random(in: 0..<plan.options["schedules"], using: &draw))
        if draw.chance(12) { return deleteSchedule(name, at: operation.node, isPersistent: false) }
        let draft = draft(name, &draw)
        submissions.schedules.asked(name)
        counters.schedules += 1
        call("a schedule", at: operation.node) {
            await $0.setSchedule(draft)
        } _: { [self] outcome in
            switch outcome {
            case .made(let report), .changed(let report):
                counters.schedulesDone += 1
                chronicle.note(
                    world.now,
                    "node \(operation.node) sets \(name): version \(report.version), \(draft.timing), \(draft.overlap), "
                        + "\(draft.catchUp)\(draft.isPaused ? ", paused" : "")")
            case .deleted, .unknownTimeZone, .unknownTaskType, .callbackUnsigned, .refused, .unavailable, .unconfirmed,
                nil:
                break
            }
        }
        guard draw.chance(40) else { return }
        let node = Int.random(in: world.nodes.indices, using: &draw)
        world.after(.milliseconds(Int64(draw.logarithmic(100...20_000)))) { [self] in
            guard isReachable(node) else { return }
            call("a look at the schedules", at: node) {
                await $0.schedules(name).count
            } _: { _ in
            }
        }
    }

    /// Ends them all: a cluster whose schedules fire is never at rest.
    func endSchedules() {
        for number in 0..<plan.options["schedules"] {
            deleteSchedule(Self.name(number), at: number % world.nodes.count, isPersistent: true)
        }
    }

    private func deleteSchedule(_ name: String, at node: Int, isPersistent: Bool) {
        let again: @Sendable () -> Void = { [self] in
            guard isPersistent else { return }
            world.after(Self.pause) { [self] in
                deleteSchedule(name, at: (node + 1) % world.nodes.count, isPersistent: true)
            }
        }
        guard isReachable(node) else { return again() }
        call("the end of a schedule", at: node) {
            await $0.deleteSchedule(name)
        } _: { [self] outcome in
            switch outcome {
            case .deleted: chronicle.note(world.now, "node \(node) deletes \(name)")
            // Of the view that this node has: perhaps not the newest one.
            case .refused(.unknownSchedule) where stage.view?.settings.schedule(name) == nil: break
            case .refused, .made, .changed, .unknownTimeZone, .unknownTaskType, .callbackUnsigned, .unavailable,
                .unconfirmed, nil:
                again()
            }
        }
    }

    private func draft(_ name: String, _ draw: inout SeededGenerator) -> ScheduleDraft {
        let overlap = draw.pick([(value: OverlapPolicy.skip, weight: 2), (.queue, 2), (.replace, 1)])
        // One that queues up must not be slower than its schedule.
        let longest = overlap == .queue ? 300 : 4000
        let length = max(1, UInt32(draw.logarithmic(2...longest)) * UInt32(plan.workPercent) / 100)
        var task = TaskSpec(
            type: SimulatedHandler.taskType,
            payload: HandlerScript(milliseconds: length, failures: draw.chance(10) ? 1 : 0).payload,
            retry: RetryPolicy(maxRetries: 2, base: 100, maximum: 500))
        if plan.options["queues"] > 1 {
            task.queue = PlannedTask.queue(Int.random(in: 0..<plan.options["queues"], using: &draw))
        }
        let timing: ScheduleSettings.Timing =
            draw.chance(50)
            ? .interval(UInt64(draw.logarithmic(1000...20_000)))
            : .cron(
                draw.pick([
                    (value: "* * * * * *", weight: 1), ("*/2 * * * * *", 1), ("*/5 * * * * *", 1),
                    ("0,7,31 * * * * *", 1),
                ]), timeZone: "UTC")
        return ScheduleDraft(
            name: name, timing: timing, jitter: draw.chance(30) ? UInt32(draw.logarithmic(100...3000)) : 0,
            overlap: overlap, catchUp: draw.pick([(value: CatchUpPolicy.none, weight: 1), (.one, 1), (.all, 2)]),
            isPaused: draw.chance(8), task: task, inherited: draw.chance(30) ? [.timeout] : [])
    }
}
