import Primitives
import Service
import TaskLedger

/// What clients want of tasks that were submitted before: other priorities and times, new runs, and to be told why.
extension Clients {
    func wish(_ operation: Operation) {
        guard isReachable(operation.node), !submissions.ids.isEmpty else { return }
        var draw = SeededGenerator(seed: operation.salt)
        switch operation.kind {
        case .change:
            // What came last may still wait.
            let id = pick(submissions.ids, newest: 20, &draw)
            let priority = draw.chance(70) ? Priority(Int.random(in: 1...10, using: &draw)) : nil
            let delay: UInt64? =
                draw.chance(30) ? 0 : draw.chance(70) ? UInt64(draw.logarithmic(10...10_000)) : nil
            carryOut(.change(priority: priority ?? (delay == nil ? .high : nil), delay: delay), id, operation.node)
        case .retry:
            guard let id = letter(&draw) else { return }
            carryOut(.retry, id, operation.node)
        case .purge:
            guard let id = letter(&draw) else { return }
            carryOut(.purge, id, operation.node)
        case .sweep: sweep(operation)
        default: tellStory(of: pick(submissions.ids, newest: 100, &draw), at: operation.node)
        }
    }

    private func pick(_ ids: [TaskID], newest count: Int, _ draw: inout SeededGenerator) -> TaskID {
        ids[ids.count - 1 - Int.random(in: 0..<min(count, ids.count), using: &draw)]
    }

    /// One that was told to have ended without success. What takes nodes down is not asked for again.
    private func letter(_ draw: inout SeededGenerator) -> TaskID? {
        guard !submissions.letters.isEmpty else { return nil }
        let id = pick(submissions.letters, newest: 50, &draw)
        return submissions[id]?.task.style == .poison ? nil : id
    }

    private func carryOut(_ wish: TaskWish, _ id: TaskID, _ node: Int) {
        counters.wishes += 1
        submissions.asked(wish, for: id, at: world.now)
        let asked = world.now
        call("a wish for \(id)", at: node) {
            await $0.carryOut(wish, for: id)
        } _: { [self] answer in
            guard let answer else { return }
            if case .done = answer { counters.wishesDone += 1 }
            report(.wish(wish, id, answer, by: node, asked: asked))
        }
    }

    /// Not those that are called poison. Of one queue, if there are several: what happens to others is nobody's wish.
    private func sweep(_ operation: Operation) {
        var draw = SeededGenerator(seed: operation.salt)
        let node = operation.node
        let queue: String? =
            plan.options["queues"] > 1 && draw.chance(70)
            ? PlannedTask.queue(Int.random(in: 0..<plan.options["queues"], using: &draw)) : nil
        let sweep = LetterSweep(isPurge: draw.chance(40), queue: queue, error: "scripted")
        counters.wishes += 1
        submissions.asked(sweep, at: world.now)
        let asked = world.now
        call("a sweep", at: node) {
            await $0.sweepLetters(sweep)
        } _: { [self] answer in
            guard let answer else { return }
            if answer.done > 0 { counters.wishesDone += 1 }
            report(.sweep(sweep, answer, by: node, asked: asked))
        }
    }

    private func tellStory(of id: TaskID, at node: Int) {
        let asked = world.now
        call("the story of \(id)", at: node) {
            await $0.story(of: id)
        } _: { [self] answer in
            if let answer { report(.story(id, answer, by: node, asked: asked)) }
        }
    }

    /// Half of the questions are for the time in which most has happened to the task: after it was sent.
    func askForThePast(_ operation: Operation) {
        guard isReachable(operation.node), !submissions.ids.isEmpty else { return }
        var draw = SeededGenerator(seed: operation.salt)
        let id = pick(submissions.ids, newest: 100, &draw)
        guard let sent = submissions[id]?.sentAt else { return }
        let past = draw.logarithmic(1...60_000)
        let at =
            draw.chance(50)
            ? min(world.now, sent + .milliseconds(Int64(past) - 100)) : world.now - .milliseconds(Int64(past))
        let asked = world.now
        counters.pasts += 1
        call("the past of \(id)", at: operation.node) {
            await $0.task(id, at: VirtualClock.rightTimestamp(at))
        } _: { [self] answer in
            if let answer { report(.past(id, at: at, answer, by: operation.node, asked: asked)) }
        }
    }
}
