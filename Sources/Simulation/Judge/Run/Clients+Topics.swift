import Primitives
import Service
import TaskLedger
import Views
import Wire

/// Clients that subscribe to topics, and clients that publish messages, at any node; half of these under an idempotency
/// key, sent at two nodes at the same time, or again later.
extension Clients {
    private static let subscriptions = 5
    private static let words = [["a", "b"], ["c", "d"]]

    // MARK: Subscriptions

    /// The one client of a subscription waits for each answer.
    func changeSubscription(_ operation: Operation) {
        var draw = SeededGenerator(seed: operation.salt)
        let name = "subscription-\(Int.random(in: 0..<Self.subscriptions, using: &draw))"
        guard isReachable(operation.node), !submissions.topics.isChanging(name) else { return }
        counters.subscriptions += 1
        let version = "\(operation.number)"
        var change = SettingsOperation.unsubscribe(name)
        var subscribed: SubmittedTopics.Subscribed?
        if !draw.chance(25), let pattern = TopicPattern(Self.pattern(&draw)) {
            subscribed = SubmittedTopics.Subscribed(pattern: pattern, version: version)
            let task = task(of: name, version, &draw)
            // To views it is bytes: which, is a matter between those who subscribe and those who publish.
            change = .subscribe(Subscription(name: name, pattern: pattern, task: task.encoded))
        }
        submissions.topics.asked(name, subscribed, at: world.now)
        call("a subscription", at: operation.node) { [change] in
            await $0.change(change)
        } _: { [self, subscribed] outcome in
            submissions.topics.answered(name, outcome, at: world.now)
            guard case .done? = outcome else { return }
            chronicle.note(
                world.now,
                "node \(operation.node): \(name) is "
                    + (subscribed.map { "for \($0.pattern.text), version \(version)" } ?? "ended"))
        }
    }

    private static func pattern(_ draw: inout SeededGenerator) -> String {
        let (first, second) = (words[0].randomElement(using: &draw) ?? "", words[1].randomElement(using: &draw) ?? "")
        return draw.pick([
            (value: "#", weight: 2), ("\(first).#", 3), ("\(first).\(second).*", 2), ("*.\(second).*", 3),
            ("\(first).*", 1), ("#.\(second).#", 1),
        ])
    }

    /// Some give up sooner than others, some begin later, and somebody is told of the ends of some.
    private func task(of name: String, _ version: String, _ draw: inout SeededGenerator) -> TaskSpec {
        var spec = TaskSpec(
            type: SimulatedHandler.taskType,
            retry: RetryPolicy(maxRetries: UInt16.random(in: 0...3, using: &draw), base: 100, maximum: 500),
            delay: draw.chance(40) ? UInt64(draw.logarithmic(10...5000)) : 0,
            metadata: [TaskSpec.Label(key: SubmittedTopics.versionKey, value: version)])
        if plan.options["queues"] > 1 {
            spec.queue = PlannedTask.queue(Int.random(in: 0..<plan.options["queues"], using: &draw))
        }
        if draw.chance(30) { spec.callbackURL = "https://receiver.example/\(name)/\(version)" }
        return spec
    }

    // MARK: Messages

    func publish(_ operation: Operation) {
        var draw = SeededGenerator(seed: operation.salt, for: "how a message is sent")
        let isKeyed = draw.chance(50)
        publish(operation, isKeyed, at: operation.node, attempt: 0)
        guard isKeyed else { return }
        for chance in [40, 30] where draw.chance(chance) {
            let other = Int.random(in: world.nodes.indices, using: &draw)
            let later = draw.chance(40) ? 0 : draw.logarithmic(1...60_000)
            world.after(.milliseconds(Int64(later))) { [self] in publish(operation, isKeyed, at: other, attempt: 0) }
        }
    }

    /// Under a key the same one is sent until it is accepted; without one each is another, on a topic of its own.
    private func publish(_ operation: Operation, _ isKeyed: Bool, at node: Int, attempt: Int) {
        let node = node % world.nodes.count
        guard attempt < Self.attempts else { return }
        let again: @Sendable () -> Void = { [self] in
            world.after(Self.pause) { [self] in publish(operation, isKeyed, at: node + 1, attempt: attempt + 1) }
        }
        guard isReachable(node) else { return again() }
        let (message, script) = message(operation, isKeyed ? nil : attempt)
        let topic = message.topic
        submissions.topics.send(topic, isKeyed: isKeyed, script, at: world.now)
        let sent = world.now
        call("a message", at: node) {
            await $0.publish(message) { subscription, _ in try? TaskSpec(encoded: subscription.task) }
        } _: { [self] publication in
            guard let publication else { return isKeyed ? again() : () }
            if case .accepted(let tasks, let draft) = publication, let id = tasks.first?.id {
                chronicle.note(world.now, "node \(node) publishes \(topic) as \(id): \(draft.steps.map(\.ref))")
                if submissions.topics[topic]?.tasks == nil {
                    counters.messages += 1
                    submissions.workflows.send(draft, at: sent)
                    submissions.workflows.settle(draft, .accepted(tasks), at: world.now)
                    look(at: id, operation.salt)
                }
            }
            report(.message(topic, publication, by: node, sent: sent))
            switch publication {
            case .refused(.unconfirmed) where !isKeyed: break
            case .refused, .unavailable: again()
            case .accepted, .repeated, .unwanted, .unreadable, .tooLarge, .unknownTaskTypes: break
            }
        }
    }

    private func message(_ operation: Operation, _ attempt: Int?) -> (TopicMessage, HandlerScript) {
        var draw = SeededGenerator(seed: operation.salt)
        let words = Self.words.map { $0.randomElement(using: &draw) ?? "" }
        let number = "m\(operation.number)" + (attempt.map { "-\($0)" } ?? "")
        let length = max(1, UInt32(draw.logarithmic(1...500)) * UInt32(plan.workPercent) / 100)
        let script = HandlerScript(
            milliseconds: length, outcome: draw.chance(10) ? .failsForGood : .completes,
            failures: draw.chance(40) ? UInt32.random(in: 1...2, using: &draw) : 0)
        var message = TopicMessage(
            topic: (words + [number]).joined(separator: "."), payload: script.payload,
            priority: draw.chance(30) ? .high : nil)
        if attempt == nil {
            message.idempotency = TaskSpec.Idempotency(
                key: "message \(number)", body: BodyDigest(high: operation.salt, low: 3), window: 86_400_000)
        }
        return (message, script)
    }

    /// As a client whose message was published before is told what it was.
    private func look(at id: TaskID, _ salt: UInt64) {
        var draw = SeededGenerator(seed: salt &+ 1)
        guard draw.chance(30) else { return }
        let node = Int.random(in: world.nodes.indices, using: &draw)
        world.after(.milliseconds(Int64(draw.logarithmic(10...60_000)))) { [self] in
            guard isReachable(node) else { return }
            let asked = world.now
            call("a look at the message \(id)", at: node) {
                await $0.workflow(id)
            } _: { [self] lookup in
                if let lookup { report(.workflow(id, lookup, by: node, asked: asked)) }
            }
        }
    }
}
