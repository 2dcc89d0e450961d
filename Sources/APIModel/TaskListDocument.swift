public import Primitives
public import Service

/// Answer of `GET /api/tasks`: newest first.
public struct TaskListDocument: Hashable, Sendable, Decodable, JSONWritable {
    /// Without payload and result.
    public var tasks: [TaskDocument]
    /// `cursor` of the next page; nil if this is the last.
    public var nextCursor: TaskID?
    /// Nodes that did not answer: what they own is not in `tasks`.
    public var missing: [String]

    enum CodingKeys: String, CodingKey {
        case tasks, missing
        case nextCursor = "next_cursor"
    }

    public init(_ page: TaskPage) {
        tasks = page.tasks.map { TaskDocument($0, isSummary: true) }
        nextCursor = page.next
        missing = page.missing.map(\.rawValue)
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.tasks, tasks)
            object.put(.nextCursor, nextCursor)
            object.put(.missing, missing)
        }
    }
}
