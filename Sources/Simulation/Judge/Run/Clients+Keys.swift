import Primitives
import Service
import TaskLedger

/// Tasks under idempotency keys: sent at one node or at two at the same time, again after every answer that does not say
/// that they are accepted and after none, and sometimes once more long after. All the answers have to name one task.
extension Clients {
    func submitKeyed(_ operation: Operation) {
        var draw = SeededGenerator(seed: operation.salt, for: "what is sent under a key")
        sendKeyed(operation, at: operation.node, attempt: 0)
        if draw.chance(40) {
            let other = Int.random(in: 0..<world.nodes.count, using: &draw)
            world.after(.milliseconds(Int64(draw.chance(50) ? 0 : draw.logarithmic(1...500)))) { [self] in
                sendKeyed(operation, at: other, attempt: 0)
            }
        }
        if draw.chance(40) {
            let (node, later) = (Int.random(in: 0..<world.nodes.count, using: &draw), draw.logarithmic(200...60_000))
            let isOther = draw.chance(40)
            world.after(.milliseconds(Int64(later))) { [self] in
                if isOther { misuse(operation, at: node) } else { sendKeyed(operation, at: node, attempt: 0) }
            }
        }
    }

    private func sendKeyed(_ operation: Operation, at node: Int, attempt: Int) {
        guard attempt < Self.attempts else { return }
        let node = node % world.nodes.count
        let again: @Sendable () -> Void = { [self] in
            world.after(Self.pause) { [self] in sendKeyed(operation, at: node + 1, attempt: attempt + 1) }
        }
        guard isReachable(node) else { return again() }
        let task = plan.keyedTask(of: operation)
        guard let serial = PlannedTask.serial(of: task.spec) else { return }
        submissions.send(serial, task, at: world.now)
        counters.submissions += 1
        call("a submission under a key", at: node) {
            await $0.submit([task.spec])
        } _: { [self] outcomes in
            switch outcomes?.first {
            case .accepted(let accepted):
                counters.accepted += 1
                chronicle.note(
                    world.now,
                    "node \(node) has \(accepted.owner) accept \(accepted.id) under a key (\(serial))"
                        + (accepted.isRepeated ? ", again" : ""))
                if let first = submissions.id(of: serial), submissions[first]?.acceptedAt != nil {
                    report(.repeated(first: first, accepted.id, by: node))
                } else {
                    submissions.settle(serial, .accepted(accepted.id), at: world.now)
                    if !accepted.isRepeated { report(.accepted([accepted], by: node)) }
                }
            case .refused(.keyConflict(let id)):
                report(.repeated(first: submissions.id(of: serial) ?? id, id, by: node))
            case .refused:
                counters.refused += 1
                again()
            case nil:
                counters.unanswered += 1
                again()
            }
        }
    }

    /// Another request under the key of one that was accepted.
    private func misuse(_ operation: Operation, at node: Int) {
        guard isReachable(node), let serial = PlannedTask.serial(of: plan.keyedTask(of: operation).spec),
            let first = submissions.id(of: serial), submissions[first]?.acceptedAt != nil
        else { return }
        let task = plan.keyedTask(of: operation, isOther: true)
        guard let other = PlannedTask.serial(of: task.spec) else { return }
        submissions.send(other, task, at: world.now)
        call("a misuse of a key", at: node) {
            await $0.submit([task.spec])
        } _: { [self] outcomes in
            guard case .accepted(let accepted)? = outcomes?.first else { return }
            submissions.settle(other, .accepted(accepted.id), at: world.now)
            report(.overwritten(bound: first, accepted.id, by: node))
        }
    }
}
