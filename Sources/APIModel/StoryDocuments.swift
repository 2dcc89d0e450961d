public import Primitives
public import Service
import TaskLedger

/// Answer of `GET /api/tasks/{id}/events`: what has happened to a task, in order, as its ledger tells it.
public struct EventsDocument: Hashable, Sendable, Decodable {
    public struct Event: Hashable, Sendable, Decodable {
        public var at: Timestamp
        /// `accepted`, `leased`, `started`, `attempt_failed`, `interrupted`, `cancel_requested`, `changed`, `retried`, `released`,
        /// `completed`, `failed`, `cancelled` or `expired`.
        public var event: String
        /// Nil: the owner of that time decided it by itself.
        public var node: String?
        public var run: UInt32
        /// Nil: it is of no attempt.
        public var attempt: UInt32?
        /// The term of the ledger in which the attempt was granted.
        public var term: UInt64?
        /// What a change has set.
        public var priority: Int?
        /// Of an interruption: whether it counts towards poison.
        public var counts: Bool?
        public var error: TaskDocument.Failure?
    }

    public var id: TaskID
    public var status: String
    public var events: [Event]
    /// Earlier attempts, changes and runs that are not kept any more.
    public var cut: Int

    enum CodingKeys: String, CodingKey { case id, status, events, cut }

    public init(_ story: TaskStory) {
        id = story.task.id
        status = story.task.status.name
        events = story.transitions.map(Event.init)
        cut = story.cut
    }
}

extension EventsDocument: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.id, id)
            object.put(.status, status)
            object.put(.events, events)
            object.put(.cut, cut)
        }
    }
}

extension EventsDocument.Event: JSONWritable {
    private enum CodingKeys: String, CodingKey { case at, event, node, run, attempt, term, priority, counts, error }

    init(_ transition: TaskTransition) {
        at = transition.at
        event = transition.kind.rawValue
        node = transition.node?.rawValue
        run = transition.run
        attempt = transition.attempt
        term = transition.term?.rawValue
        priority = transition.priority.map { Int($0.rawValue) }
        counts = transition.kind == .interrupted ? transition.isBlamed : nil
        error = transition.failure.map {
            TaskDocument.Failure(type: $0.type, message: $0.message, isRetryable: $0.isRetryable)
        }
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.at, at)
            object.put(.event, event)
            object.put(.node, node)
            object.put(.run, run)
            object.put(.attempt, attempt)
            object.put(.term, term)
            object.put(.priority, priority)
            object.put(.counts, counts)
            object.put(.error, error)
        }
    }
}

/// Answer of `GET /api/tasks/{id}/why`: why a task does not run.
public struct WhyDocument: Hashable, Sendable, Decodable {
    public var id: TaskID
    /// Nil: its owner cannot be asked.
    public var status: String?
    /// The owner.
    public var node: String?
    /// `ended`, `running`, `granted`, `not_due`, `retry_rest`, `dependencies`, `fenced`, `owner_paused`, `solitude`,
    /// `behind`, `next`, `no_handler` or `owner_unreachable`.
    public var reason: String
    /// A sentence for people.
    public var detail: String
    /// Ready tasks that come first.
    public var ahead: Int?
    /// When the reason is over, if that is known.
    public var until: Timestamp?
    /// The tasks whose end it waits for.
    public var waitsFor: [TaskID]

    enum CodingKeys: String, CodingKey {
        case id, status, node, reason, detail, ahead, until
        case waitsFor = "waits_for"
    }

    public init(_ story: TaskStory) {
        self.init(story.task.id, story.explanation)
        status = story.task.status.name
        node = story.task.owner?.rawValue
    }

    /// Of a task that no owner tells of.
    public init(_ id: TaskID, _ explanation: Explanation) {
        self.id = id
        reason = explanation.reason.rawValue
        detail = explanation.detail
        ahead = explanation.ahead
        until = explanation.until
        waitsFor = explanation.waitsFor
    }
}

extension WhyDocument: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.id, id)
            object.put(.status, status)
            object.put(.node, node)
            object.put(.reason, reason)
            object.put(.detail, detail)
            object.put(.ahead, ahead)
            object.put(.until, until)
            object.put(.waitsFor, waitsFor)
        }
    }
}
