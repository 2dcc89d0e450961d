public import Primitives
public import Service
public import TaskLedger

/// Answer of `POST /api/tasks`: the 202.
public struct AcceptedDocument: Hashable, Sendable, Decodable {
    public struct Durability: Hashable, Sendable, Decodable {
        /// `replicated`, `degraded` or `local`.
        public var level: String
        /// The owner first.
        public var holders: [String]

        init(level: String, holders: [String]) {
            self.level = level
            self.holders = holders
        }
    }

    public var id: TaskID
    public var status: String
    public var taskType: String
    public var queue: String
    public var priority: Int
    /// The owner.
    public var node: String
    public var durability: Durability
    public var createdAt: Timestamp

    enum CodingKeys: String, CodingKey {
        case id, status, queue, priority, node, durability
        case taskType = "task_type"
        case createdAt = "created_at"
    }

    public init(_ task: AcceptedTask, of spec: TaskSpec) {
        id = task.id
        status = task.status.name
        taskType = spec.type
        queue = spec.queue
        priority = Int(spec.priority.rawValue)
        node = task.owner.rawValue
        durability = Durability(level: task.durability.rawValue, holders: task.holders.map(\.rawValue))
        createdAt = task.createdAt
    }
}

extension AcceptedDocument: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.id, id)
            object.put(.status, status)
            object.put(.taskType, taskType)
            object.put(.queue, queue)
            object.put(.priority, priority)
            object.put(.node, node)
            object.put(.durability, durability)
            object.put(.createdAt, createdAt)
        }
    }
}

extension AcceptedDocument.Durability: JSONWritable {
    private enum CodingKeys: String, CodingKey { case level, holders }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.level, level)
            object.put(.holders, holders)
        }
    }
}
