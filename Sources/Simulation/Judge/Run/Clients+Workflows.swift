import Primitives
import Service
import TaskLedger

/// Clients that submit workflows: small graphs, most of whose steps can be undone.
extension Clients {
    func submitWorkflow(_ operation: Operation) {
        var draw = SeededGenerator(seed: operation.salt, for: "how a workflow is sent")
        let isKeyed = draw.chance(50)
        submitWorkflow(operation, isKeyed, at: operation.node, attempt: 0)
        guard isKeyed, draw.chance(50) else { return }
        let other = Int.random(in: world.nodes.indices, using: &draw)
        let later = draw.chance(40) ? 0 : draw.logarithmic(1...30_000)
        world.after(.milliseconds(Int64(later))) { [self] in submitWorkflow(operation, isKeyed, at: other, attempt: 0) }
    }

    /// Under a key the same one is sent until it is accepted; without one each is another.
    private func submitWorkflow(_ operation: Operation, _ isKeyed: Bool, at node: Int, attempt: Int) {
        let node = node % world.nodes.count
        guard attempt < Self.attempts else { return }
        let again: @Sendable () -> Void = { [self] in
            world.after(Self.pause) { [self] in submitWorkflow(operation, isKeyed, at: node + 1, attempt: attempt + 1) }
        }
        guard isReachable(node) else { return again() }
        var draw = SeededGenerator(seed: operation.salt)
        let name = isKeyed ? "\(operation.number)" : "\(operation.number).\(attempt)"
        var draft = Self.draft(name, percent: plan.workPercent, &draw)
        nameReceivers(&draft, operation)
        grow(&draft, operation)
        if isKeyed {
            draft.idempotency = TaskSpec.Idempotency(
                key: "workflow \(name)", body: BodyDigest(high: 1, low: 2), window: 86_400_000)
        }
        submissions.workflows.send(draft, at: world.now)
        call("a workflow", at: node) { [draft] in
            await $0.submit(draft)
        } _: { [self, draft] submission in
            let first = submissions.workflows.id(of: name)
            submissions.workflows.settle(draft, submission, at: world.now)
            switch submission {
            case .accepted(let tasks):
                guard let id = tasks.first?.id else { return }
                chronicle.note(world.now, "node \(node) accepts the workflow \(id) of \(draft.steps.count) steps")
                accepted(id, after: first, operation, at: node)
            case .repeated(let id):
                chronicle.note(world.now, "node \(node) has the workflow \(id) already")
                accepted(id, after: first, operation, at: node)
            case .refused(.unconfirmed, _) where !isKeyed, nil where !isKeyed: break
            case .refused, .unknownTaskTypes, nil: again()
            }
        }
    }

    private func accepted(_ id: TaskID, after first: TaskID?, _ operation: Operation, at node: Int) {
        if let first { return report(.repeated(first: first, id, by: node)) }
        counters.workflows += 1
        follow(id, operation.salt)
        extend(id, operation)
    }

    /// Two looks from any nodes; one workflow in eight is cancelled.
    private func follow(_ id: TaskID, _ salt: UInt64) {
        var draw = SeededGenerator(seed: salt &+ 1)
        for _ in 0..<2 {
            let node = Int.random(in: world.nodes.indices, using: &draw)
            world.after(.milliseconds(Int64(draw.logarithmic(100...60_000)))) { [self] in
                guard isReachable(node) else { return }
                let asked = world.now
                call("a look at the workflow \(id)", at: node) {
                    await $0.workflow(id)
                } _: { [self] lookup in
                    if let lookup { report(.workflow(id, lookup, by: node, asked: asked)) }
                }
            }
        }
        guard draw.chance(12) else { return }
        let node = Int.random(in: world.nodes.indices, using: &draw)
        world.after(.milliseconds(Int64(draw.logarithmic(10...5000)))) { [self] in
            guard isReachable(node) else { return }
            submissions.workflows.askedToCancel(id)
            call("a cancellation of the workflow \(id)", at: node) {
                await $0.cancel(id)
            } _: { _ in
            }
        }
    }

    /// Of the end of a workflow, and of ends of its steps, somebody may be told.
    private func nameReceivers(_ draft: inout WorkflowDraft, _ operation: Operation) {
        var draw = SeededGenerator(seed: operation.salt, for: "who is told of a workflow")
        guard draw.chance(plan.options["callbacks"]) else { return }
        draft.callbackURL = "https://receiver.example/workflow/\(draft.name ?? "")"
        for place in draft.steps.indices where draw.chance(20) {
            draft.steps[place].spec.callbackURL = "https://receiver.example/step/\(draft.name ?? "")/\(place)"
        }
    }

    private static func draft(_ name: String, percent: Int, _ draw: inout SeededGenerator) -> WorkflowDraft {
        func script(_ outcome: HandlerScript.Outcome = .completes, failures: UInt32 = 0) -> [UInt8] {
            let length = max(1, UInt32(draw.logarithmic(1...2000)) * UInt32(percent) / 100)
            return HandlerScript(milliseconds: length, outcome: outcome, failures: failures).payload
        }
        func errand(fails: Int) -> Errand {
            let outcome: HandlerScript.Outcome = draw.chance(fails) ? .failsForGood : .completes
            return Errand(
                type: SimulatedHandler.taskType, payload: script(outcome, failures: draw.chance(10) ? 1 : 0),
                retry: RetryPolicy(maxRetries: 2, base: 100, maximum: 500))
        }
        let isFailing = draw.chance(50)
        let count = Int.random(in: 1...6, using: &draw)
        var steps: [WorkflowDraft.Step] = []
        for place in 0..<count {
            let fails = isFailing && (place == count - 1 || draw.chance(15))
            var spec = TaskSpec(
                type: SimulatedHandler.taskType,
                payload: script(fails ? .failsForGood : .completes, failures: draw.chance(10) ? 1 : 0),
                retry: RetryPolicy(maxRetries: 2, base: 100, maximum: 500))
            var parents: [Int] = []
            for parent in 0..<place where draw.chance(50) { parents.append(parent) }
            if !parents.isEmpty { spec.dependencies.onFailure = draw.chance(80) ? .cancel : .run }
            steps.append(
                WorkflowDraft.Step(
                    ref: "s\(place)", spec: spec, parents: parents,
                    compensation: draw.chance(80) ? errand(fails: 5) : nil))
        }
        var callbacks: [WorkflowPlan.Callback] = []
        for occasion in WorkflowPlan.Occasion.allCases where draw.chance(40) {
            callbacks.append(WorkflowPlan.Callback(occasion, errand(fails: 5)))
        }
        return WorkflowDraft(
            name: name, plan: WorkflowPlan(stopsOnFailure: draw.chance(70), callbacks: callbacks), steps: steps)
    }
}
