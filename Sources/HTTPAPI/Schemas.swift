import APIModel
import Primitives
import TaskLedger

/// The JSON Schemas of what goes in and out, by name.
enum Schemas {
    static let all: [String: JSONValue] = [
        "Submission": submission,
        "Batch": ["type": "array", "maxItems": .integer(Int64(Limits.batchTasks)), "items": reference("Submission")],
        "Accepted": accepted, "Submitted": ["anyOf": [reference("Accepted"), reference("Task")]],
        "BatchResult": batchResult, "Task": task, "TaskSummary": taskSummary,
        "TaskList": taskList,
        "Workers": workers, "Queue": queue, "Queues": queues, "Cluster": cluster,
        "Member": member, "Recovery": recovery, "Health": health, "Status": object(["status": string, "node": string]),
        "Problem": problem, "Change": change, "Events": events, "Why": why, "LetterFilter": letterFilter,
        "Sweep": sweep, "Purged": object(["id": uuid, "action": words(["purged"])]),
        "Workflow": workflow, "WorkflowTask": workflowTask, "AcceptedWorkflow": acceptedWorkflow,
        "WorkflowState": workflowState, "WorkflowList": workflowList,
        "MoreTasks": moreTasks, "ExtendedWorkflow": extendedWorkflow, "QueueChange": queueChange,
        "QueueSettings": object(queueSettings), "NewSubscription": newSubscription, "Subscription": subscription,
        "Subscriptions": object(["subscriptions": array(reference("Subscription"))]), "Message": message,
        "Published": published, "Schedule": schedule, "ScheduleDraft": scheduleDraft,
        "Schedules": object(["schedules": array(reference("Schedule"))]), "OpenAPI": ["type": "object"],
    ]

    // MARK: Parts

    static func reference(_ name: String) -> JSONValue { ["$ref": .string("#/components/schemas/\(name)")] }

    static let string: JSONValue = ["type": "string"]
    static let boolean: JSONValue = ["type": "boolean"]
    static let count: JSONValue = ["type": "integer", "minimum": 0]
    static let number: JSONValue = ["type": "number"]
    static let time: JSONValue = ["type": "string", "format": "date-time"]
    static let uuid: JSONValue = ["type": "string", "format": "uuid"]
    static let status: JSONValue = words(TaskStatus.allCases.map(\.name))
    /// Of a task type. Its length is told in bytes, so the bound of the schema is not tight.
    static let name: JSONValue = [
        "type": "string", "minLength": 1, "maxLength": .integer(Int64(Limits.nameBytes)),
        "pattern": "^[^\\u0000-\\u001f\\u007f]+$",
    ]
    private static let anything: JSONValue = [:]

    static func words(_ words: [String]) -> JSONValue {
        ["type": "string", "enum": .array(words.map { .string($0) })]
    }

    static func array(_ items: JSONValue) -> JSONValue { ["type": "array", "items": items] }

    static func nullable(_ schema: JSONValue) -> JSONValue {
        guard case .object(var members) = schema, let type = members["type"] else {
            return ["anyOf": [schema, ["type": "null"]]]
        }
        members["type"] = [type, "null"]
        return .object(members)
    }

    static func described(_ schema: JSONValue, _ description: String) -> JSONValue {
        guard case .object(var members) = schema else { return schema }
        members["description"] = .string(description)
        return .object(members)
    }

    /// An object of which every member is there, but for the optional ones.
    static func object(_ properties: [String: JSONValue], optional: Set<String> = []) -> JSONValue {
        let required = properties.keys.filter { !optional.contains($0) }.sorted()
        return [
            "type": "object", "properties": .object(properties), "required": .array(required.map { .string($0) }),
        ]
    }

    // MARK: In

    static func seconds(_ description: String, upTo limit: Int) -> JSONValue {
        [
            "type": ["number", "null"], "minimum": 0, "maximum": .integer(Int64(limit)),
            "description": .string("Seconds. " + description),
        ]
    }

    static let key: JSONValue = [
        "type": ["string", "null"], "minLength": 1, "maxLength": .integer(Int64(Limits.keyBytes)),
        "pattern": "^[^\\u0000]",
    ]

    static let callbackURL: JSONValue = [
        "type": ["string", "null"], "maxLength": .integer(Int64(Limits.urlBytes)),
        "pattern": "^[hH][tT][tT][pP][sS]?://",
        "description":
            "Told of the end by a POST, at least once, signed as Standard Webhooks. Refused at a node without a secret.",
    ]

    static let submission: JSONValue = [
        "type": "object", "additionalProperties": false,
        "oneOf": [["required": ["task_type"]], ["required": ["name"]], ["required": ["type"]]],
        "properties": [
            "task_type": described(name, "Which handler runs it. Also: name, type."),
            "name": described(name, "The same as task_type."), "type": described(name, "The same as task_type."),
            "payload": ["description": "Any JSON, kept byte for byte, up to 1 MiB. Also: data."],
            "data": ["description": "The same as payload."],
            "priority": [
                "description": "1...10, 10 first.", "default": 5,
                "anyOf": [
                    ["type": "integer", "minimum": 1, "maximum": 10], words(["low", "normal", "high", "critical"]),
                    ["type": "null"],
                ],
            ],
            "queue": [
                "type": ["string", "null"], "pattern": "^[a-z0-9][a-z0-9._-]{0,62}$", "default": "default",
            ],
            "max_retries": [
                "type": ["integer", "null"], "minimum": 0, "maximum": .integer(Int64(Limits.retries)), "default": 3,
            ],
            "retry": retry,
            "timeout": seconds("What one attempt may take.", upTo: Limits.timeoutSeconds),
            "delay": seconds("Not started before.", upTo: Limits.horizonSeconds),
            "run_at": described(nullable(time), "Not started before; instead of delay."),
            "expires_in": seconds("Not started after.", upTo: Limits.horizonSeconds),
            "expires_at": described(nullable(time), "Not started after; instead of expires_in."),
            "delivery": nullable(words(TaskSpec.Delivery.allCases.map(\.name))),
            "result_ttl": seconds("How long the outcome is kept.", upTo: Limits.horizonSeconds),
            "idempotency_key": described(
                key,
                "Accepted once under this key: the same request is answered with the same task, another one refused."),
            "idempotency_window": seconds(
                "How long the key is bound, from when the task may start; a day if it is not given.",
                upTo: Limits.horizonSeconds),
            "ordering_key": described(
                key, "Tasks of one key run one at a time, in the order of their acceptance."),
            "metadata": [
                "type": ["object", "null"], "additionalProperties": string,
                "maxProperties": .integer(Int64(Limits.metadataEntries)),
            ],
            "depends_on": [
                "type": ["array", "null"], "items": uuid, "maxItems": .integer(Int64(Limits.dependencies)),
                "uniqueItems": true, "description": "Ids of tasks that have to end first: it is blocked until then.",
            ],
            "on_dependency_failure": described(
                nullable(words(TaskDependencies.FailurePolicy.allCases.map(\.name))),
                "What it does when one of them does not complete: fail (the default) or be cancelled, at once, or run when all have ended."
            ),
            "callback_url": callbackURL,
            "fairness_key": [
                "type": ["string", "null"], "minLength": 1, "maxLength": .integer(Int64(Limits.fairnessKeyBytes)),
                "description": "Keys take turns within their queue and priority. At most 255 bytes.",
            ],
        ],
    ]

    // MARK: Out

    private static let accepted = object([
        "id": uuid, "status": status, "task_type": string, "queue": string, "priority": count,
        "node": described(string, "The owner: the node that decides about the task."),
        "durability": object([
            "level": words(["replicated", "degraded", "local"]),
            "holders": described(array(string), "The nodes that hold the task, the owner first."),
        ]), "created_at": time,
    ])

    private static let batchResult = object([
        "accepted": count, "rejected": count,
        "durability": described(
            nullable(words(["replicated", "degraded", "local"])), "The weakest of the accepted tasks."),
        "results": array([
            "oneOf": [object(["id": uuid]), object(["error": reference("Problem")])],
            "description": "In the order of the tasks. Pointers are relative to the task.",
        ]),
    ])

    private static let taskProperties: [String: JSONValue] = [
        "id": uuid, "status": status, "task_type": string, "queue": string, "priority": count, "node": nullable(string),
        "attempt": count, "run": described(count, "A manual retry begins a new one."), "interruptions": count,
        "created_at": time, "run_at": nullable(time),
        "started_at": nullable(time), "finished_at": nullable(time), "expires_at": nullable(time),
        "worker": nullable(string), "stolen_by": nullable(string), "max_retries": count,
        "retry": object(["backoff": string, "base": number, "max": number, "jitter": number]), "timeout": number,
        "delivery": words(TaskSpec.Delivery.allCases.map(\.name)), "result_ttl": number,
        "metadata": ["type": "object", "additionalProperties": string],
        "idempotency_key": nullable(string), "ordering_key": nullable(string), "fairness_key": nullable(string),
        "schedule": described(nullable(string), "The schedule whose firing it is, if any."),
        "scheduled_for": described(nullable(time), "The time for which that has fired."),
        "cancel_requested": boolean,
        "duplicates_discarded": count,
        "error": nullable(object(["type": string, "message": string, "retryable": boolean])),
        "depends_on": array(uuid),
        "on_dependency_failure": nullable(words(TaskDependencies.FailurePolicy.allCases.map(\.name))),
        "parents": described(
            array(
                object(
                    [
                        "id": uuid, "status": nullable(words(ParentOutcome.End.allCases.map(\.name))),
                        "result_bytes": count, "result": [:],
                        "error": nullable(object(["type": string, "message": string, "retryable": boolean])),
                    ], optional: ["result"])),
            "The tasks of depends_on, as the task sees them; status is null until one has ended. A result that is too large to be "
                + "handed on is left out."),
        "callback": described(
            nullable(object(["url": string, "task_id": nullable(uuid), "status": nullable(status)])),
            "Who is told of its end: the task that tells exists once this one has ended. Its status is known while a "
                + "ledger has both, and is not in listings."),
    ]

    private static let taskSummary = object(taskProperties)
    private static let task = object(
        taskProperties.merging([
            "payload": anything,
            "result": described(
                anything,
                "What the task returned. If it is null and result_bytes is not, the nodes that keep it cannot be asked now; or, if "
                    + "there are none, it is lost with their disks."
            ),
            "result_bytes": nullable(count),
            "result_holders": described(
                array(string), "The nodes that keep a large result; none: it is with the task, or lost."),
        ]) { $1 })

    private static let taskList = object([
        "tasks": array(reference("TaskSummary")), "next_cursor": nullable(uuid), "missing": missing,
    ])

    static let missing = described(array(string), "Nodes that did not answer: what they own is not in here.")

    private static let workers = object([
        "slots": count, "busy": count,
        "nodes": array(
            object([
                "node": string, "reachable": boolean, "task_types": array(string),
                "slots": array(
                    object([
                        "slot": count, "busy": boolean, "task_id": nullable(uuid), "task_type": nullable(string),
                        "queue": nullable(string), "owner": nullable(string), "since": nullable(time),
                    ])),
            ])),
    ])

    private static let cluster = object([
        "status": words(["healthy", "degraded"]), "name": string, "id": nullable(string), "answered_by": string,
        "view": object([
            "number": count, "digest": string, "agree": boolean, "voters": array(string), "copies": count,
        ]), "members": array(reference("Member")),
        "ledgers": array(
            object([
                "id": count, "term": count, "primary": string, "backups": array(string), "founder": string,
                "available": boolean,
                "fully_replicated": boolean, "open_tasks": nullable(count),
            ])),
        "takeovers": array(
            object(["ledger": count, "term": count, "from": string, "to": string, "at": time, "recovered": count])),
        "recovered": count, "lost": nullable(count),
        "dead_letters": letters,
        "outcomes": described(
            object([
                "count": count, "bytes": count,
                "cut": described(
                    count, "Given up before their result_ttl for the bounds, since the nodes' processes began."),
            ]), "Ended tasks that the ledgers keep, but for dead letters."),
        "queued_bytes": described(count, "About what open tasks take, and outcomes that the registry lacks."),
        "losses": array(object(["ledger": count, "primary": string, "view": count, "tasks": nullable(count)])),
        "warnings": array(string),
    ])

    private static let member = object([
        "name": string, "state": words(["alive", "suspect", "dead", "left", "joining", "absent"]), "since": time,
        "generation": count, "incarnation": count, "http": string, "peer": string, "gossip": string, "slots": count,
        "busy": nullable(count),
        "load": object([
            "ready": count, "open": count, "head_priority": count, "oldest_age_seconds": number, "free_slots": count,
            "draining": boolean,
        ]), "completed": nullable(count), "failed": nullable(count), "duplicates_discarded": nullable(count),
        "stolen": nullable(count), "view": object(["number": nullable(count), "digest": nullable(string)]),
        "voter": boolean, "data_age_seconds": number,
        "registry": object(["connected": nullable(boolean), "unwritten_results": nullable(count)]),
        "disk": nullable(
            object([
                "journal_bytes": count, "full": described(boolean, "It takes no new tasks."),
                "sync": described(string, "always, interval:100ms or never."),
                "last_sync_age_seconds": nullable(number), "worst_sync_seconds": number,
            ])),
        "may_start": described(nullable(boolean), "Whether it may start tasks: a majority has just let it."),
        "reaches_majority": nullable(boolean),
        "unready": described(nullable(string), "Why it takes no submissions; null if it does, or did not answer."),
    ])

    private static let recoveryLedger = object([
        "id": count, "founder": string, "primary": string,
        "replicas": described(array(string), "Everybody whose copy counts."),
        "living": described(array(string), "Of those, who is there with that copy."),
    ])

    private static let recovery = object([
        "needed": described(boolean, "False: a majority is there, and recovering is refused."), "answered_by": string,
        "view": count, "voters": count, "majority": count,
        "missing_voters": array(
            object([
                "name": string, "other_disk": described(boolean, "The node is there, but not the disk that voted."),
            ])),
        "lost_ledgers": described(array(recoveryLedger), "No copy that counts is there: given up."),
        "kept_ledgers": array(recoveryLedger),
        "forced_view": described(nullable(count), "The view that was forced; null: none was."),
    ])

    private static let health = object([
        "status": words(["healthy", "degraded", "draining", "starting"]), "node": string, "members": count,
        "workers": count, "pending_tasks": count, "completed_tasks": count, "timestamp": time,
    ])

    private static let problem = object(
        [
            "type": string, "title": string, "status": count, "detail": string,
            "errors": array(object(["pointer": string, "detail": string])), "id": uuid,
            "offset": described(count, "Where malformed JSON stops being JSON, in bytes."),
        ], optional: ["errors", "id", "offset"])
}
