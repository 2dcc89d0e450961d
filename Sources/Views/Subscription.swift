public import Primitives

/// Who is to get the messages of some topics: a task for each of them.
public struct Subscription: Hashable, Sendable {
    /// As that of a queue.
    public let name: String
    public var pattern: TopicPattern
    /// What is to run: a JSON object as for a submission, without a payload, which is the message's. To views it is bytes.
    public var task: [UInt8]

    public init(name: String, pattern: TopicPattern, task: [UInt8]) {
        self.name = name
        self.pattern = pattern
        self.task = task
    }

    /// About what it takes in every view.
    var cost: Int { 16 + name.utf8.count + pattern.text.utf8.count + task.count }

    func validate() throws(ViewError) {
        guard NodeName.isValid(name) else { throw .malformed("the name of a subscription") }
        guard (1...Limits.subscribedTaskBytes).contains(task.count) else {
            throw .malformed("the task of the subscription \(name)")
        }
    }
}

extension ClusterSettings {
    /// Those whose pattern is for this topic, ascending by name.
    public func subscribers(of topic: String) -> [Subscription] {
        subscriptions.filter { $0.pattern.matches(topic) }
    }

    mutating func set(_ subscription: Subscription) throws(SettingsRefusal) {
        subscriptions.removeAll { $0.name == subscription.name }
        let place = subscriptions.firstIndex { $0.name > subscription.name } ?? subscriptions.endIndex
        subscriptions.insert(subscription, at: place)
        guard subscriptions.count <= Limits.subscriptions,
            subscriptions.reduce(0, { $0 + $1.cost }) <= Limits.subscriptionBytes
        else { throw .tooManySubscriptions }
    }
}

extension Limits {
    public static let subscriptions = 500
    /// What all of them take together: they are a part of every view.
    public static let subscriptionBytes = 128 << 10
    /// The task of one.
    public static let subscribedTaskBytes = 4096
}
