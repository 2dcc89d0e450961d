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
        case .sweep: sweep(at: operation.node)
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

    /// Not those that are called poison.
    private func sweep(at node: Int) {
        counters.wishes += 1
        submissions.askedToSweep(at: world.now)
        call("a sweep", at: node) {
            await $0.sweepLetters(LetterSweep(isPurge: false, error: "scripted"))
        } _: { [self] answer in
            if let answer, answer.done > 0 { counters.wishesDone += 1 }
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
}
