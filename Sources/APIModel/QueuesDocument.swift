public import Service
import TaskLedger

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
    /// Nodes that did not answer: what they own is not counted.
    public var missing: [String]

    enum CodingKeys: String, CodingKey {
        case name, depth, missing
        case oldestAgeSeconds = "oldest_age_seconds"
    }

    public init(_ queue: QueueSummary) {
        name = queue.name
        depth = Dictionary(uniqueKeysWithValues: TaskStatus.allCases.map { ($0.name, queue.depth[$0] ?? 0) })
        oldestAgeSeconds = queue.oldestAge.map { Double($0.milliseconds) / 1000 }
        missing = queue.missing.map(\.rawValue)
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.name, name)
            object.put(.depth) { json in
                json.object(TaskStatus.allCases.map { (key: $0.name, value: depth[$0.name] ?? 0) })
            }
            object.put(.oldestAgeSeconds, oldestAgeSeconds)
            object.put(.missing, missing)
        }
    }
}
