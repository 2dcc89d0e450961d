import Primitives
import Service
import Views

/// Settings of queues, changed by clients of any node. Whoever has paused a queue, or limited it, ends that after a while, and
/// goes on asking until it is done: a task of a paused queue never ends.
extension Clients {
    func changeSettings(_ operation: Operation) {
        var draw = SeededGenerator(seed: operation.salt)
        let queue = PlannedTask.queue(Int.random(in: 0..<plan.options["queues"], using: &draw))
        switch operation.kind {
        case .pause:
            change(queue, [.isPaused(true)], at: operation.node)
            let end = Duration.milliseconds(Int64(draw.logarithmic(200...20_000)))
            world.after(end) { [self] in reset(queue, .isPaused(false), at: operation.node) }
        case .limit:
            let isRate = draw.chance(50)
            let field: QueueField =
                isRate
                ? .rate(UInt32(draw.logarithmic(1000...100_000))) : .concurrency(UInt32(draw.logarithmic(1...8)))
            change(queue, [field], at: operation.node)
            let end = Duration.milliseconds(Int64(draw.logarithmic(2000...60_000)))
            world.after(end) { [self] in reset(queue, isRate ? .rate(nil) : .concurrency(nil), at: operation.node) }
        default:
            let field: QueueField =
                switch Int.random(in: 0..<3, using: &draw) {
                case 0: .weight(draw.chance(30) ? nil : UInt16(draw.logarithmic(1...20)))
                case 1: .timeout(draw.chance(50) ? nil : 5000)
                default: .maxRetries(draw.chance(50) ? nil : 1)
                }
            change(queue, [field], at: operation.node)
        }
    }

    private func change(_ queue: String, _ fields: [QueueField], at node: Int) {
        guard isReachable(node) else { return }
        counters.settings += 1
        call("a change of settings", at: node) {
            await $0.change(.queue(queue, fields))
        } _: { [self] outcome in
            if case .done? = outcome { counters.settingsDone += 1 }
        }
    }

    /// One node after the other.
    private func reset(_ queue: String, _ field: QueueField, at node: Int) {
        let next = (node + 1) % world.nodes.count
        guard isReachable(node) else {
            world.after(Self.pause) { [self] in reset(queue, field, at: next) }
            return
        }
        call("the end of a setting", at: node) {
            await $0.change(.queue(queue, [field]))
        } _: { [self] outcome in
            // What an earlier client was told may still be done may have come in the same view.
            if case .done(let settings)? = outcome, settings.queue(queue).reset(field) == settings.queue(queue) {
                return
            }
            world.after(Self.pause) { [self] in reset(queue, field, at: next) }
        }
    }
}

extension QueueSettings {
    fileprivate func reset(_ field: QueueField) -> QueueSettings {
        var queue = self
        queue.set(field)
        return queue
    }
}
