import Primitives
import TaskExecution

/// `for_each`: adds a task to its own workflow for each of some items, with the item as its payload.
///
///     {"task_type": "email", "items": [...], "then": "gather"}
///
/// The items are `items`, or else what the one task that it depends on has returned: an array, or, with `from`, the array that is
/// a member of that name. `then` adds one more task of that type, which waits for all of them and gets their results. They are
/// called by its own name in the workflow and their number: `split-0`, `split-1`, ... `split-then`. The result is
/// `{"added": [id, ...]}`.
struct ForEachHandler: TaskHandler {
    let taskType = "for_each"

    func run(_ attempt: TaskAttempt) async throws -> [UInt8] {
        guard let workflow = attempt.workflow else {
            throw HandlerError(
                type: "not_in_workflow",
                message: "\"for_each\" adds tasks to the workflow that it is a part of: submit it in one",
                isRetryable: false)
        }
        let fields = try Fields(
            try JSONParser.parse(attempt.payload), at: "payload", known: ["task_type", "items", "from", "then"])
        guard let type = try fields.string("task_type") else {
            throw fields.failure("task_type", "is missing: which tasks are to be added?")
        }
        let items = try await items(fields, attempt)
        var tasks = items.enumerated().map { index, item in
            ChildTask(ref: "\(workflow.ref)-\(index)", taskType: type, payload: item.bytes)
        }
        if let then = try fields.string("then") {
            guard tasks.count <= Limits.dependencies else {
                throw fields.failure(
                    "then", "can wait for at most \(Limits.dependencies) tasks, and there are \(tasks.count) items")
            }
            tasks.append(
                ChildTask(
                    ref: "\(workflow.ref)-then", taskType: then, payload: Array("null".utf8),
                    dependsOn: Array(tasks.indices)))
        }
        let ids = tasks.isEmpty ? [] : try await workflow.add(tasks)
        return JSONValue.object([.init("added", .array(ids.map { .string("\($0)") }))]).bytes
    }

    private func items(_ fields: Fields, _ attempt: TaskAttempt) async throws -> [JSONValue] {
        let from = try fields.string("from")
        if let given = fields.value("items") {
            guard from == nil else { throw fields.failure("from", "cannot be given together with \"items\"") }
            return try list(given, "payload.items")
        }
        guard attempt.parents.count == 1, let parent = attempt.parents.first else {
            throw fields.failure(
                "items", "is missing, and the task depends on \(attempt.parents.count) tasks, not on one with a result")
        }
        guard let result = try await attempt.result(of: parent) else {
            throw HandlerError.invalidPayload("task \(parent.id), which it depends on, has returned nothing")
        }
        let value = try JSONParser.parse(result)
        guard let from else { return try list(value, "the result of task \(parent.id)") }
        guard case .object(let members) = value, let member = members.last(where: { $0.name == from }) else {
            throw HandlerError.invalidPayload("the result of task \(parent.id) has no member \"\(from)\"")
        }
        return try list(member.value, "member \"\(from)\" of the result of task \(parent.id)")
    }

    private func list(_ value: JSONValue, _ place: String) throws(HandlerError) -> [JSONValue] {
        guard case .array(let items) = value else {
            throw .invalidPayload("\(place) is \(value.kind), expected an array")
        }
        guard items.count < Limits.workflowTasks else {
            throw .invalidPayload(
                "\(place) has \(items.count) items; a workflow has at most \(Limits.workflowTasks) tasks in all")
        }
        return items
    }
}
