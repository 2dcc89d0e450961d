import Primitives
public import Service
import TaskLedger
public import Views

/// Answer of `GET /api/queues`.
public struct QueuesDocument: Hashable, Sendable, Decodable, JSONWritable {
    public var queues: [QueueDocument]

    enum CodingKeys: String, CodingKey { case queues }

    public init(_ queues: [QueueSummary]) { self.queues = queues.map(QueueDocument.init) }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { $0.put(.queues, queues) }
    }
}

/// Answer of `GET /api/queues/{queue}`: one queue over the whole cluster.
public struct QueueDocument: Hashable, Sendable, Decodable, JSONWritable {
    public var name: String
    /// Tasks by status; every status is there.
    public var depth: [String: Int]
    /// How long the oldest ready task has been waiting; nil if none is ready.
    public var oldestAgeSeconds: Double?
    public var settings: QueueSettingsDocument
    /// Nodes that did not answer: what they own is not counted.
    public var missing: [String]

    enum CodingKeys: String, CodingKey {
        case name, depth, missing, settings
        case oldestAgeSeconds = "oldest_age_seconds"
    }

    public init(_ queue: QueueSummary) {
        name = queue.name
        depth = Dictionary(uniqueKeysWithValues: TaskStatus.allCases.map { ($0.name, queue.depth[$0] ?? 0) })
        oldestAgeSeconds = queue.oldestAge.map { Double($0.milliseconds) / 1000 }
        settings = QueueSettingsDocument(queue.settings)
        missing = queue.missing.map(\.rawValue)
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.name, name)
            object.put(.depth) { json in
                json.object(TaskStatus.allCases.map { (key: $0.name, value: depth[$0.name] ?? 0) })
            }
            object.put(.oldestAgeSeconds, oldestAgeSeconds)
            object.put(.settings, settings)
            object.put(.missing, missing)
        }
    }
}

/// What is set for a queue; null: as without the setting.
public struct QueueSettingsDocument: Hashable, Sendable, Decodable, JSONWritable {
    public var isPaused: Bool
    /// Open tasks in the whole cluster.
    public var maxLength: Int?
    /// Of tasks that do not name their own.
    public var maxRetries: Int?
    public var retry: TaskDocument.Retry?
    /// Seconds.
    public var timeout: Double?
    public var weight: Int
    /// Starts a second in the whole cluster.
    public var rateLimit: Double?
    /// Tasks that run at the same time in the whole cluster.
    public var concurrency: Int?

    enum CodingKeys: String, CodingKey {
        case retry, timeout, weight, concurrency
        case rateLimit = "rate_limit"
        case isPaused = "paused"
        case maxLength = "max_length"
        case maxRetries = "max_retries"
    }

    public init(_ settings: QueueSettings) {
        isPaused = settings.isPaused
        maxLength = settings.maxLength.map(Int.init)
        maxRetries = settings.maxRetries.map(Int.init)
        retry = settings.retry.map { TaskDocument.Retry($0) }
        timeout = settings.timeout.map { Double($0) / 1000 }
        weight = Int(settings.weight)
        rateLimit = settings.rate.map { Double($0) / 1000 }
        concurrency = settings.concurrency.map(Int.init)
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.isPaused, isPaused)
            object.put(.maxLength, maxLength)
            object.put(.maxRetries, maxRetries)
            object.put(.retry, retry)
            object.put(.timeout, timeout)
            object.put(.weight, weight)
            object.put(.rateLimit, rateLimit)
            object.put(.concurrency, concurrency)
        }
    }
}
