import APIModel
import Primitives
import TaskLedger

extension Route {
    static let workflows: [Route] = [
        Route(
            method: .post, path: "/api/workflows",
            operation: Operation(
                id: "submitWorkflow", summary: "Submits tasks that depend on each other: all are accepted, or none.",
                parameters: [.idempotencyKey], body: "Workflow",
                answers: [
                    .init(
                        status: 202, description: "Accepted; Location tells where it is.", schema: "AcceptedWorkflow"),
                    .init(
                        status: 200,
                        description:
                            "It was accepted before, for the same bytes under the same idempotency key "
                            + "(Idempotent-Replayed: true).", schema: "WorkflowState"),
                ],
                problems: [
                    .malformedJSON, .contentTooLarge, .unsupportedMediaType, .invalidInput, .unavailable, .unconfirmed,
                    .diskFull, .keyConflict, .keyPending, .resultExpired,
                ]),
            handler: { try await $0.submitWorkflow($1) }),
        Route(
            method: .get, path: "/api/workflows",
            operation: Operation(
                id: "listWorkflows", summary: "Workflows of the whole cluster, newest first.",
                parameters: [
                    .query(
                        "limit", ["type": "integer", "minimum": 1, "maximum": 1000, "default": 50],
                        "Workflows of a page."),
                    .query("cursor", ["type": "string", "format": "uuid"], "next_cursor of the page before."),
                ], answers: [.init(status: 200, description: "A page.", schema: "WorkflowList")],
                problems: [.invalidInput]),
            handler: { try await $0.workflows($1) }),
        Route(
            method: .get, path: "/api/workflows/{id}",
            operation: Operation(
                id: "getWorkflow", summary: "The graph of a workflow, with the state of every task.",
                parameters: [.workflow],
                answers: [.init(status: 200, description: "The workflow.", schema: "WorkflowState")],
                problems: [.notFound, .resultExpired, .invalidInput, .unavailable]),
            handler: { try await $0.workflow($1) }),
        Route(
            method: .post, path: "/api/workflows/{id}/tasks",
            operation: Operation(
                id: "extendWorkflow",
                summary:
                    "Adds tasks to a workflow that is not over: all of them, or none. Refs that it has are not added again.",
                parameters: [.workflow], body: "MoreTasks",
                answers: [.init(status: 202, description: "All its tasks, by ref.", schema: "ExtendedWorkflow")],
                problems: [
                    .malformedJSON, .contentTooLarge, .unsupportedMediaType, .invalidInput, .notFound, .wrongState,
                    .alreadyFinished, .unavailable, .unconfirmed, .diskFull,
                ]),
            handler: { try await $0.extendWorkflow($1) }),
        Route(
            method: .delete, path: "/api/workflows/{id}",
            operation: Operation(
                id: "cancelWorkflow",
                summary: "Cancels what has not begun. What runs goes on; what has completed is compensated.",
                parameters: [.workflow],
                answers: [.init(status: 202, description: "It was asked to end.", schema: "WorkflowState")],
                problems: [.notFound, .alreadyFinished, .invalidInput, .unavailable]),
            handler: { try await $0.cancelWorkflow($1) }),
    ]
}

extension Operation.Parameter {
    static let workflow = Self(
        name: "id", place: "path", schema: ["type": "string", "format": "uuid"], description: "The id of a workflow.")
}

extension Schemas {
    private static let refs: JSONValue = [
        "type": ["array", "null"], "items": string, "maxItems": .integer(Int64(Limits.dependencies)),
    ]
    private static let policy: JSONValue = [
        "anyOf": [
            words(["all", "any"]), ["type": "integer", "minimum": 1, "maximum": .integer(Int64(Limits.dependencies))],
        ],
        "description": "Of the tasks that it depends on: all have to complete, any one, or so many.",
    ]

    /// A submitted task with other members.
    static func submission(
        with members: [String: JSONValue] = [:], without removed: Set<String> = []
    ) -> JSONValue {
        guard case .object(var schema) = submission, case .object(let properties)? = schema["properties"] else {
            return submission
        }
        schema["properties"] = .object(properties.filter { !removed.contains($0.key) }.merging(members) { $1 })
        return .object(schema)
    }

    /// What an errand cannot have.
    private static let unknownLater = keys.union([
        "delay", "run_at", "expires_in", "expires_at", "delivery", "result_ttl", "metadata", "depends_on",
        "on_dependency_failure",
    ])

    static let errand = submission(without: unknownLater)

    /// What stands for a task by itself: a workflow is accepted as a whole, and its graph is its order.
    private static let keys: Set<String> = ["idempotency_key", "idempotency_window", "ordering_key"]

    static let workflowTask = submission(
        with: [
            "ref": described(string, "How it is called in this workflow; of a chain by default its number."),
            "depends_on": described(refs, "Refs of tasks of this workflow, or ids of tasks that exist."),
            "gather": policy,
            "compensate": described(
                nullable(errand),
                "Undoes it, should the workflow fail after it has completed: the last first, each with the task's result."
            ),
        ], without: keys)

    static let workflow: JSONValue = [
        "type": "object", "additionalProperties": false,
        "properties": [
            "name": nullable(string),
            "tasks": [
                "type": ["array", "null"], "minItems": 1, "maxItems": .integer(Int64(Limits.workflowTasks)),
                "items": reference("WorkflowTask"),
            ],
            "chain": [
                "type": ["array", "null"], "minItems": 1, "maxItems": .integer(Int64(Limits.workflowTasks)),
                "items": reference("WorkflowTask"),
                "description": "Instead of tasks: each waits for the one before it.",
            ],
            "gather": described(
                nullable(
                    submission(
                        with: [
                            "ref": string, "depends_on": refs, "gather": policy, "policy": policy,
                            "compensate": nullable(errand),
                        ], without: keys)),
                "A last task, which gets the results of those that nothing else waits for."),
            "on_task_failure": described(
                nullable(words(["stop", "continue"])),
                "stop (the default): what has not begun is cancelled; continue: what does not depend on it goes on."),
            "on_success": described(nullable(errand), "Enqueued when all has completed."),
            "on_failure": described(nullable(errand), "Enqueued when it has failed, after the compensations."),
            "always": described(nullable(errand), "Enqueued at the end, in any case."),
            "callback_url": callbackURL,
            "idempotency_key": described(
                key, "Stands for the workflow and all its tasks: the same request again is answered with it."),
            "idempotency_window": seconds(
                "For how long the key stands for it; a day if it is not given.", upTo: Limits.horizonSeconds),
        ],
    ]

    static let moreTasks: JSONValue = [
        "type": "object", "additionalProperties": false, "required": ["tasks"],
        "properties": [
            "tasks": [
                "type": "array", "minItems": 1, "maxItems": .integer(Int64(Limits.workflowTasks)),
                "items": reference("WorkflowTask"),
            ]
        ],
    ]

    static let extendedWorkflow = object([
        "id": uuid, "tasks": array(object(["ref": string, "id": uuid])),
    ])

    static let acceptedWorkflow = object([
        "id": uuid, "status": string, "node": string,
        "durability": object([
            "level": words(["replicated", "degraded", "local"]), "holders": array(string),
        ]), "tasks": array(object(["ref": string, "id": uuid])),
    ])

    private static let failure = nullable(object(["type": string, "message": string, "retryable": boolean]))

    static let workflowState = object([
        "id": uuid, "name": nullable(string),
        "status": words([
            "running", "failing", "compensating", "calling_back", "completed", "failed", "cancelled",
        ]), "node": nullable(string), "on_task_failure": words(["stop", "continue"]), "cancel_requested": boolean,
        "failed_by": described(nullable(string), "The task by which it fails."), "created_at": time,
        "finished_at": nullable(time), "error": failure,
        "callback": nullable(object(["url": string, "task_id": nullable(uuid), "status": nullable(status)])),
        "progress": object([
            "total": count, "completed": count, "failed": count, "cancelled": count, "running": count,
            "waiting": count,
        ]),
        "tasks": array(
            object([
                "ref": string, "id": uuid, "role": words(["step", "compensation", "callback"]), "task_type": string,
                "status": status, "depends_on": array(string), "attempt": count, "worker": nullable(string),
                "started_at": nullable(time), "finished_at": nullable(time), "error": failure,
            ])), "edges": array(object(["from": string, "to": string])),
    ])

    static let workflowList = object([
        "workflows": array(
            object([
                "id": uuid, "name": nullable(string),
                "status": words(["running", "failing", "completed", "failed", "cancelled"]),
                "node": nullable(string), "created_at": time, "finished_at": nullable(time),
            ])), "next_cursor": nullable(uuid),
        "missing": described(array(string), "Nodes that did not answer: what they own is not in here."),
    ])
}
