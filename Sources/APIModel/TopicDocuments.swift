import Foundation
public import Primitives
public import Service
public import Views

/// A subscription, as `GET /api/subscriptions/{name}` shows it.
public struct SubscriptionDocument: Hashable, Sendable, Decodable, JSONWritable {
    public var name: String
    /// The pattern.
    public var topic: String
    /// As its client sent it.
    public var task: RawJSON

    enum CodingKeys: String, CodingKey { case name, topic, task }

    public init(_ subscription: Subscription) {
        name = subscription.name
        topic = subscription.pattern.text
        task = RawJSON(subscription.task)
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.name, name)
            object.put(.topic, topic)
            object.put(.task, task)
        }
    }
}

/// Answer of `GET /api/subscriptions`.
public struct SubscriptionsDocument: Hashable, Sendable, Decodable, JSONWritable {
    /// Ascending by name.
    public var subscriptions: [SubscriptionDocument]

    enum CodingKeys: String, CodingKey { case subscriptions }

    public init(_ subscriptions: [Subscription]) { self.subscriptions = subscriptions.map(SubscriptionDocument.init) }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in object.put(.subscriptions, subscriptions) }
    }
}

/// Answer of `POST /api/topics/{topic}`.
public struct PublishedDocument: Hashable, Sendable, Decodable, JSONWritable {
    public struct Task: Hashable, Sendable, Decodable, JSONWritable {
        public var subscription: String
        public var id: TaskID

        enum CodingKeys: String, CodingKey { case subscription, id }

        public func write(to json: inout JSONWriter) {
            json.object(CodingKeys.self) { object in
                object.put(.subscription, subscription)
                object.put(.id, id)
            }
        }
    }

    /// The message: a workflow whose tasks are those of the subscriptions; null: nobody has subscribed to the topic, and
    /// it was published without a key.
    public var id: TaskID?
    public var topic: String
    /// Ascending by subscription.
    public var tasks: [Task]

    enum CodingKeys: String, CodingKey { case id, topic, tasks }

    public init(topic: String) {
        self.topic = topic
        tasks = []
    }

    /// - Parameter accepted: the message, then the tasks of its subscriptions.
    public init?(topic: String, _ accepted: [AcceptedTask], of draft: WorkflowDraft) {
        guard let root = accepted.first, accepted.count == draft.steps.count + 1 else { return nil }
        id = root.id
        self.topic = topic
        tasks = zip(draft.steps, accepted.dropFirst()).map { Task(subscription: $0.ref, id: $1.id) }
    }

    /// Of one that was published before.
    public init(topic: String, _ message: WorkflowDocument) {
        id = message.id
        self.topic = topic
        tasks = message.tasks.filter { $0.role == "step" }.map { Task(subscription: $0.ref, id: $0.id) }
            .sorted { $0.subscription < $1.subscription }
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.id, id)
            object.put(.topic, topic)
            object.put(.tasks, tasks)
        }
    }
}
