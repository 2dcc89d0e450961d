import Primitives
import Service
import TaskLedger

/// Workflows that grow while they run: by their own steps (`SimulatedHandler`), and by clients.
extension Clients {
    /// Some steps add tasks; some of these fail after that, and do it again.
    func grow(_ draft: inout WorkflowDraft, _ operation: Operation) {
        var draw = SeededGenerator(seed: operation.salt, for: "how a workflow grows")
        guard draw.chance(plan.options["growing"]) else { return }
        for place in draft.steps.indices where draw.chance(50) {
            guard var script = HandlerScript(draft.steps[place].spec.payload) else { continue }
            script.children = UInt32.random(in: 1...3, using: &draw)
            script.failures = draw.chance(40) ? 1 : script.failures
            draft.steps[place].spec.payload = script.payload
        }
    }

    /// A client adds tasks, and asks again until it knows that they are there or cannot be.
    func extend(_ id: TaskID, _ operation: Operation) {
        var draw = SeededGenerator(seed: operation.salt, for: "what clients add to a workflow")
        guard draw.chance(plan.options["growing"]), draw.chance(50) else { return }
        let steps = (0..<Int.random(in: 1...3, using: &draw)).map { place in
            let length = max(1, UInt32(draw.logarithmic(1...500)) * UInt32(plan.workPercent) / 100)
            let spec = TaskSpec(
                type: SimulatedHandler.taskType, payload: HandlerScript(milliseconds: length).payload,
                retry: RetryPolicy(maxRetries: 2, base: 100, maximum: 500))
            return WorkflowDraft.Step(ref: "more-\(place)", spec: spec, parents: place > 0 ? [place - 1] : [])
        }
        let node = Int.random(in: world.nodes.indices, using: &draw)
        submissions.workflows.askedToAdd(steps.map(\.ref), to: id)
        world.after(.milliseconds(Int64(draw.logarithmic(1...3000)))) { [self] in
            extend(id, WorkflowDraft(steps: steps), at: node, attempt: 0)
        }
    }

    private func extend(_ id: TaskID, _ more: WorkflowDraft, at node: Int, attempt: Int) {
        let node = node % world.nodes.count
        guard attempt < Self.attempts else { return }
        let again: @Sendable () -> Void = { [self] in
            world.after(Self.pause) { [self] in extend(id, more, at: node + 1, attempt: attempt + 1) }
        }
        guard isReachable(node) else { return again() }
        call("an extension of the workflow \(id)", at: node) {
            await $0.extend(id, with: more)
        } _: { [self] outcome in
            switch outcome {
            case .accepted(let ids):
                chronicle.note(world.now, "node \(node) adds \(ids) to the workflow \(id)")
                let addition = Observations.Addition(
                    workflow: id, refs: more.steps.map(\.ref), ids: ids, task: id)
                submissions.workflows.added(addition)
                report(.added(addition))
            // They are there already, or it has ended.
            case .taken, .over: break
            case .refused, .unknownTaskTypes, .unknown, .unavailable, .unconfirmed, nil: again()
            }
        }
    }
}
