import Primitives
import TaskLedger
import Views
import Wire

/// What clients want of tasks that this node owns, beyond cancelling: inspecting them, changing them, running them
/// again.
extension LocalQueue {
    /// Nil: this node does not own the task, or must not tell of it yet.
    func inspect(_ id: TaskID) -> Inspection? {
        guard let record = owner.task(id), owner.isTellable(record) else { return nil }
        return Inspection(
            record: record.outline, accepter: owner.ledger(of: id).flatMap { view?.ledger($0)?.founder.name },
            cause: owner.waitCause(of: record, at: node.now), unreadiness: unreadiness)
    }

    func carryOut(_ wish: WishRequest, _ reply: @escaping @Sendable (WishReply) -> Void) {
        let number = request { [self] isCommitted in
            onLoop { queue in
                // Not committed: the task may have another owner now.
                reply(
                    isCommitted
                        ? WishReply(decision: .done, record: queue.owner.task(wish.task))
                        : WishReply(decision: .unsettled, record: nil))
            }
        }
        let decision = owner.carryOut(
            wish.wish, for: wish.task, request: number, at: node.now, timestamp: node.timestamp)
        #if PLANTED_BUGS
        if PlantedBug.isActive(.changeToldBeforeCommit), decision == .done {
            forget(number)
            reply(WishReply(decision: .done, record: owner.task(wish.task)))
        }
        #endif
        if decision == .done { return turn() }
        forget(number)
        let record = owner.task(wish.task).flatMap { owner.isTellable($0) ? $0 : nil }
        reply(WishReply(decision: decision, record: record))
    }

    func sweep(_ sweep: SweepRequest, _ reply: @escaping @Sendable (SweepReply) -> Void) {
        let tally = Tally()
        let now = node.timestamp
        let swept = owner.sweepLetters(
            isPurge: sweep.isPurge, at: node.now, timestamp: now,
            request: {
                tally.open += 1
                return request { isCommitted in
                    tally.open -= 1
                    if !isCommitted { tally.isCommitted = false }
                    tally.finish()
                }
            },
            where: { record in
                #if PLANTED_BUGS
                var sweep = sweep
                if PlantedBug.isActive(.purgeTakesAll), sweep.isPurge { sweep.filter.queue = nil }
                #endif
                return sweep.filter.fits(record, at: now)
            })
        tally.done = { isCommitted in
            reply(SweepReply(done: UInt64(swept.done), left: UInt64(swept.left), isCommitted: isCommitted))
        }
        if swept.done > 0 { turn() }
        tally.finish()
    }

    var letters: PeerStatus.Letters {
        let letters = owner.letters
        return PeerStatus.Letters(
            count: UInt64(letters.count), bytes: UInt64(letters.cost), oldest: letters.oldest, dropped: letters.dropped)
    }
}

/// What a sweep waits for: a commit of each ledger that it concerns. Only on the loop.
private final class Tally: @unchecked Sendable {
    var open = 0
    var isCommitted = true
    var done: ((Bool) -> Void)?

    func finish() {
        guard open == 0, let done else { return }
        self.done = nil
        done(isCommitted)
    }
}

extension ListRequest {
    func fits(_ record: TaskRecord, at now: Timestamp) -> Bool {
        guard statuses == 0 || statuses & (1 << record.status.rawValue) != 0,
            queue == nil || record.spec.queue == queue, taskType == nil || record.spec.type == taskType,
            schedule == nil || record.spec.firing?.schedule == schedule
        else { return false }
        if let age {
            guard let end = record.finishedAt, now.milliseconds - end.milliseconds >= age.milliseconds else {
                return false
            }
        }
        guard let error else { return true }
        guard let failure = record.failure else { return false }
        return failure.type == error || failure.message.contains(error)
    }
}
