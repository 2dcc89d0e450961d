import Primitives
import Service
import Views

/// Settings of queues, changed by clients of any node. Whoever has paused a queue, or limited it, ends that after a while, and
/// goes on asking until it is done: a task of a paused queue never ends.
extension Clients {
    func changeSettings(_ operation: Operation) {
        var draw = SeededGenerator(seed: operation.salt)
        let queue = PlannedTask.queue(operation.queue ?? 0)
        switch operation.kind {
        case .pause:
            let end = Duration.milliseconds(Int64(draw.logarithmic(200...20_000)))
            change(queue, .isPaused(true), to: .isPaused(false), after: end, at: operation.node)
        case .limit:
            let isRate = draw.chance(50)
            let field: QueueField =
                isRate
                ? .rate(UInt32(draw.logarithmic(10_000...1_000_000))) : .concurrency(UInt32(draw.logarithmic(1...5)))
            let end = Duration.milliseconds(Int64(draw.logarithmic(2000...60_000)))
            change(queue, field, to: isRate ? .rate(nil) : .concurrency(nil), after: end, at: operation.node)
        default:
            let field: QueueField =
                switch Int.random(in: 0..<5, using: &draw) {
                case 0: .weight(draw.chance(30) ? nil : UInt16(draw.logarithmic(1...20)))
                // Nothing may be lost by it; clients are refused now and then.
                case 1: .maxLength(draw.chance(60) ? nil : UInt32(draw.logarithmic(20...500)))
                case 2: .maxBytes(draw.chance(60) ? nil : UInt64(draw.logarithmic(10_000...1_000_000)))
                case 3: .timeout(draw.chance(50) ? nil : 5000)
                default: .maxRetries(draw.chance(50) ? nil : 1)
                }
            change(queue, field, at: operation.node) {}
        }
    }

    /// What is asked for may be done as long as it is not answered: it is taken back some time after that.
    private func change(
        _ queue: String, _ field: QueueField, to old: QueueField, after rest: Duration, at node: Int
    ) {
        change(queue, field, at: node) { [self] in world.after(rest) { [self] in reset(queue, old, at: node) } }
    }

    private func change(
        _ queue: String, _ field: QueueField, at node: Int, _ completion: @escaping @Sendable () -> Void
    ) {
        guard isReachable(node) else { return }
        counters.settings += 1
        let wish = noteWish(queue, field)
        call("a change of settings", at: node) {
            await $0.change(.queue(queue, [field]))
        } _: { [self] outcome in
            wish(outcome)
            if case .done? = outcome { counters.settingsDone += 1 }
            completion()
        }
    }

    /// - Returns: to be called with the answer.
    private func noteWish(_ queue: String, _ field: QueueField) -> @Sendable (SettingsOutcome?) -> Void {
        guard case .isPaused(let isPaused) = field else { return { _ in } }
        let wish = submissions.pauses.asked(queue, isPaused: isPaused, at: world.now)
        return { [self] in submissions.pauses.answered(queue, wish, $0, at: world.now) }
    }

    /// One node after the other.
    private func reset(_ queue: String, _ field: QueueField, at node: Int) {
        let next = (node + 1) % world.nodes.count
        guard isReachable(node) else {
            world.after(Self.pause) { [self] in reset(queue, field, at: next) }
            return
        }
        let wish = noteWish(queue, field)
        call("the end of a setting", at: node) {
            await $0.change(.queue(queue, [field]))
        } _: { [self] outcome in
            wish(outcome)
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
