public import Primitives
public import TaskLedger
public import Views

/// What is published on a topic, for all who have subscribed to it.
public struct TopicMessage: Sendable, Hashable {
    public var topic: String
    /// JSON: that of each of its tasks.
    public var payload: [UInt8]
    /// Instead of that of each subscription's task.
    public var priority: Priority?
    public var idempotency: TaskSpec.Idempotency?

    public init(
        topic: String, payload: [UInt8] = Array("null".utf8), priority: Priority? = nil,
        idempotency: TaskSpec.Idempotency? = nil
    ) {
        self.topic = topic
        self.payload = payload
        self.priority = priority
        self.idempotency = idempotency
    }
}

/// What came of a message.
public enum Publication: Sendable, Hashable {
    /// The message, then the tasks of its subscriptions, in the order of the draft's steps.
    case accepted([AcceptedTask], of: WorkflowDraft)
    /// It was published before, by the same request under the same idempotency key.
    case repeated(TaskID)
    /// Nobody has subscribed to its topic, and nobody will ask what has become of it.
    case unwanted
    /// The task of this subscription is none that this node understands.
    case unreadable(subscription: String)
    /// So many tasks would take so many bytes.
    case tooLarge(tasks: Int, bytes: Int)
    case refused(SubmissionRefusal)
    /// No node has a handler for these types, which these subscriptions need.
    case unknownTaskTypes([String], subscriptions: [String])
    /// The node that was asked is a member of no cluster, or cannot know which subscriptions there are now.
    case unavailable
}

extension ClusterService {
    /// Publishes a message: a task for each subscription whose pattern fits its topic, all or none.
    ///
    /// The message is a workflow whose steps are these tasks, none of which minds what becomes of the others. Under a key it is
    /// one even if nobody has subscribed: the key stands for it, so whoever sends it again is told the same, though somebody
    /// has subscribed since, or has ended a subscription.
    ///
    /// - Parameter read: the task of a subscription as this node understands it; nil: it does not.
    public func publish(
        _ message: TopicMessage, reading read: @Sendable (Subscription, ClusterSettings) -> TaskSpec?
    ) async -> Publication {
        guard let settings = await currentSettings() else { return .unavailable }
        let subscriptions = settings.subscribers(of: message.topic)
        guard !subscriptions.isEmpty || message.idempotency != nil else { return .unwanted }
        var steps: [WorkflowDraft.Step] = []
        for subscription in subscriptions {
            guard let spec = read(subscription, settings) else {
                return .unreadable(subscription: subscription.name)
            }
            steps.append(message.step(for: subscription, spec))
        }
        #if PLANTED_BUGS
        if PlantedBug.isActive(.unwantedMessageUnbound), subscriptions.isEmpty { return .unwanted }
        let stopsOnFailure = PlantedBug.isActive(.messageSharesFate)
        #else
        let stopsOnFailure = false
        #endif
        let draft = WorkflowDraft(
            name: message.topic, plan: WorkflowPlan(stopsOnFailure: stopsOnFailure), steps: steps,
            idempotency: message.idempotency)
        guard draft.cost <= Limits.workflowBytes else { return .tooLarge(tasks: steps.count, bytes: draft.cost) }
        switch await submit(draft) {
        case .accepted(let tasks): return .accepted(tasks, of: draft)
        case .repeated(let id): return .repeated(id)
        case .refused(let refusal, _): return .refused(refusal)
        case .unknownTaskTypes(let types, _):
            return .unknownTaskTypes(
                types, subscriptions: steps.filter { types.contains($0.spec.type) }.map(\.ref))
        }
    }
}

extension TopicMessage {
    /// The metadata under which a task of a message names the topic, and the subscription.
    public static let topicLabel = "topic"
    public static let subscriptionLabel = "subscription"

    /// Its task for one subscription.
    fileprivate func step(for subscription: Subscription, _ task: TaskSpec) -> WorkflowDraft.Step {
        var spec = task
        spec.payload = payload
        if let priority { spec.priority = priority }
        spec.metadata += [
            TaskSpec.Label(key: Self.topicLabel, value: topic),
            TaskSpec.Label(key: Self.subscriptionLabel, value: subscription.name),
        ]
        return WorkflowDraft.Step(ref: subscription.name, spec: spec)
    }
}
