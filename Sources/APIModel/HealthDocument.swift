public import Primitives
public import Service

/// Answer of `GET /health`.
public struct HealthDocument: Hashable, Sendable, Decodable, JSONWritable {
    /// `healthy`, `degraded`, `draining` or `starting`.
    public var status: String
    public var node: String
    /// Living members of the view.
    public var members: Int
    public var workers: Int
    /// Over the whole cluster.
    public var pendingTasks: UInt64
    /// Recorded by this node since it began.
    public var completedTasks: UInt64
    public var timestamp: Timestamp

    enum CodingKeys: String, CodingKey {
        case status, node, members, workers, timestamp
        case pendingTasks = "pending_tasks"
        case completedTasks = "completed_tasks"
    }

    public init(_ health: NodeHealth) {
        status = health.status.rawValue
        node = health.node.rawValue
        members = health.members
        workers = health.workers
        pendingTasks = health.pendingTasks
        completedTasks = health.completedTasks
        timestamp = health.timestamp
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.status, status)
            object.put(.node, node)
            object.put(.members, members)
            object.put(.workers, workers)
            object.put(.pendingTasks, pendingTasks)
            object.put(.completedTasks, completedTasks)
            object.put(.timestamp, timestamp)
        }
    }
}

/// Answer of `GET /livez`, `GET /readyz`, `POST /api/cluster/drain` and `/leave`: one word, and who says it.
public struct StatusDocument: Hashable, Sendable, Decodable, JSONWritable {
    /// `live`, `ready`, `draining` or `leaving`.
    public var status: String
    public var node: String

    enum CodingKeys: String, CodingKey { case status, node }

    public init(status: String, node: String) {
        self.status = status
        self.node = node
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.status, status)
            object.put(.node, node)
        }
    }
}
