public import Primitives
public import Service

/// Answer of `GET /api/workers`: every slot of every node.
public struct WorkersDocument: Hashable, Sendable, Decodable {
    public struct Node: Hashable, Sendable, Decodable {
        public var node: String
        /// False: the node did not answer, so `slots` is empty.
        public var isReachable: Bool
        public var taskTypes: [String]
        public var slots: [Slot]

        enum CodingKeys: String, CodingKey {
            case node, slots
            case isReachable = "reachable"
            case taskTypes = "task_types"
        }
    }

    public struct Slot: Hashable, Sendable, Decodable {
        public var slot: Int
        public var isBusy: Bool
        /// Of what it runs; nil if it is free.
        public var taskID: TaskID?
        public var taskType: String?
        public var queue: String?
        public var owner: String?
        public var since: Timestamp?

        enum CodingKeys: String, CodingKey {
            case slot, queue, owner, since
            case isBusy = "busy"
            case taskID = "task_id"
            case taskType = "task_type"
        }
    }

    /// Slots of the nodes that answered.
    public var slots: Int
    public var busy: Int
    public var nodes: [Node]

    public init(_ workers: [NodeWorkers]) {
        nodes = workers.map { node in
            Node(
                node: node.node.rawValue, isReachable: node.isReachable, taskTypes: node.taskTypes,
                slots: node.slots.map(Slot.init))
        }
        slots = nodes.reduce(0) { $0 + $1.slots.count }
        busy = nodes.reduce(0) { $0 + $1.slots.count(where: \.isBusy) }
    }
}

extension WorkersDocument: JSONWritable {
    enum CodingKeys: String, CodingKey { case slots, busy, nodes }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.slots, slots)
            object.put(.busy, busy)
            object.put(.nodes, nodes)
        }
    }
}

extension WorkersDocument.Node: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.node, node)
            object.put(.isReachable, isReachable)
            object.put(.taskTypes, taskTypes)
            object.put(.slots, slots)
        }
    }
}

extension WorkersDocument.Slot: JSONWritable {
    init(_ slot: NodeWorkers.Slot) {
        self.slot = slot.index
        isBusy = slot.task != nil
        taskID = slot.task
        taskType = slot.taskType
        queue = slot.queue
        owner = slot.owner?.rawValue
        since = slot.since
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.slot, slot)
            object.put(.isBusy, isBusy)
            object.put(.taskID, taskID)
            object.put(.taskType, taskType)
            object.put(.queue, queue)
            object.put(.owner, owner)
            object.put(.since, since)
        }
    }
}
