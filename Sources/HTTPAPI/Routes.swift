import APIModel
import HTTPTypes
import Primitives
import TaskLedger

extension Route {
    /// All there is.
    static let all: [Route] =
        tasks + changes + letters + workflows + queues + topics + schedules + cluster + node + documentation

    private static let tasks: [Route] = [
        Route(
            method: .post, path: "/api/tasks", aliases: ["/tasks"],
            operation: Operation(
                id: "submitTask", summary: "Submits a task. It is durable when the answer is sent.",
                parameters: [.wait, .prefer, .idempotencyKey], body: "Submission",
                answers: [
                    .init(status: 202, description: "Accepted; Location tells where it is.", schema: "Accepted"),
                    .init(
                        status: 200,
                        description:
                            "It ended while the client waited; or it was accepted before, for the same request "
                            + "under the same idempotency key (Idempotent-Replayed: true).", schema: "Submitted"),
                ],
                problems: [
                    .malformedJSON, .contentTooLarge, .unsupportedMediaType, .invalidInput, .unavailable, .unconfirmed,
                    .diskFull, .keyConflict, .keyPending,
                ]),
            handler: { try await $0.submit($1) }),
        Route(
            method: .get, path: "/api/tasks", aliases: ["/tasks"],
            operation: Operation(
                id: "listTasks", summary: "Tasks of the whole cluster, newest first, without payload and result.",
                parameters: [
                    .query(
                        "status", ["type": "array", "items": Schemas.status, "minItems": 1],
                        "Only tasks in one of these, separated by commas."),
                    .query("queue", ["type": "string"], "Only tasks of this queue."),
                    .query("task_type", ["type": "string"], "Only tasks of this type."),
                    .query("schedule", ["type": "string"], "Only tasks of this schedule."),
                    .query(
                        "limit", ["type": "integer", "minimum": 1, "maximum": 1000, "default": 50], "Tasks of a page."),
                    .query("cursor", ["type": "string", "format": "uuid"], "next_cursor of the page before."),
                ],
                answers: [.init(status: 200, description: "A page.", schema: "TaskList")], problems: [.invalidInput]),
            handler: { try await $0.list($1) }),
        Route(
            method: .post, path: "/api/tasks/batch", aliases: ["/tasks/batch"],
            operation: Operation(
                id: "submitBatch",
                summary: "Submits up to \(Limits.batchTasks) tasks, each accepted or refused on its own.",
                body: "Batch", takesLines: true,
                answers: [
                    .init(status: 202, description: "All were accepted.", schema: "BatchResult"),
                    .init(status: 207, description: "Some were refused.", schema: "BatchResult"),
                ],
                problems: [.malformedJSON, .contentTooLarge, .unsupportedMediaType, .invalidInput]),
            handler: { try await $0.submitBatch($1) }),
        Route(
            method: .get, path: "/api/tasks/{id}", aliases: ["/tasks/{id}"],
            operation: Operation(
                id: "getTask", summary: "One task, from whichever node has it.",
                parameters: [.id, .wait, .at, .prefer],
                answers: [.init(status: 200, description: "The task.", schema: "Task")],
                problems: [.notFound, .resultExpired, .invalidInput, .unavailable]),
            handler: { try await $0.get($1) }),
        Route(
            method: .delete, path: "/api/tasks/{id}", aliases: ["/tasks/{id}"],
            operation: Operation(
                id: "cancelTask", summary: "Cancels a task that waits, and asks one that runs to stop.",
                parameters: [.id],
                answers: [
                    .init(status: 200, description: "It will not run.", schema: "Task"),
                    .init(status: 202, description: "It runs; its executor was asked to stop it.", schema: "Task"),
                ],
                problems: [.notFound, .alreadyFinished, .unavailable]),
            handler: { try await $0.cancel($1) }),
    ]

    private static let cluster: [Route] = [
        Route(
            method: .get, path: "/api/workers", aliases: ["/workers"],
            operation: Operation(
                id: "listWorkers", summary: "Every slot of every node, and what it runs.",
                answers: [.init(status: 200, description: "The slots.", schema: "Workers")]),
            handler: { try await $0.workers($1) }),
        Route(
            method: .get, path: "/api/cluster",
            operation: Operation(
                id: "getCluster", summary: "The cluster as this node sees it.",
                answers: [.init(status: 200, description: "Members, ledgers, takeovers, losses.", schema: "Cluster")]),
            handler: { try await $0.cluster($1) }),
        Route(
            method: .get, path: "/api/cluster/recovery",
            operation: Operation(
                id: "getRecovery",
                summary: "What is missing of the cluster, and what it would cost to go on without it. Changes nothing.",
                answers: [.init(status: 200, description: "What is missing.", schema: "Recovery")],
                problems: [.unavailable]),
            handler: { try await $0.recovery($1) }),
        Route(
            method: .post, path: "/api/cluster/recover",
            operation: Operation(
                id: "recoverCluster",
                summary: "Goes on without the voters and copies that are missing: they will not come back.",
                answers: [.init(status: 200, description: "It goes on; what was given up.", schema: "Recovery")],
                problems: [.notNeeded, .unavailable]),
            handler: { try await $0.recover($1) }),
        Route(
            method: .post, path: "/api/cluster/drain",
            operation: Operation(
                id: "drainNode", summary: "This node takes no new work, and finishes or hands over what it has.",
                answers: [.init(status: 202, description: "It has begun.", schema: "Status")]),
            handler: { try await $0.drain($1) }),
        Route(
            method: .post, path: "/api/cluster/leave",
            operation: Operation(
                id: "leaveCluster", summary: "Drains this node, then ends its process.",
                answers: [.init(status: 202, description: "It has begun.", schema: "Status")]),
            handler: { try await $0.leave($1) }),
    ]

    private static let node: [Route] = [
        Route(
            method: .get, path: "/health", aliases: ["/api/health"],
            operation: Operation(
                id: "health", summary: "How this node is, for people; probes ask /livez and /readyz.",
                answers: [.init(status: 200, description: "How it is.", schema: "Health")]),
            handler: { try await $0.health($1) }),
        Route(
            method: .get, path: "/livez",
            operation: Operation(
                id: "live", summary: "Whether the node makes progress; asks nothing else.",
                answers: [.init(status: 200, description: "It does.", schema: "Status")], problems: [.unavailable]),
            handler: { try await $0.live($1) }),
        Route(
            method: .get, path: "/readyz",
            operation: Operation(
                id: "ready", summary: "Whether the node takes submissions.",
                answers: [.init(status: 200, description: "It does.", schema: "Status")], problems: [.unavailable]),
            handler: { try await $0.ready($1) }),
    ]

    private static let documentation: [Route] = [
        Route(
            method: .get, path: "/openapi.json",
            operation: Operation(
                id: "openAPI", summary: "This document.",
                answers: [.init(status: 200, description: "OpenAPI 3.1.", schema: "OpenAPI")]),
            handler: { api, _ in api.openAPI() }),
        Route(
            method: .get, path: "/docs",
            operation: Operation(
                id: "docs", summary: "This document as a page.",
                answers: [.init(status: 200, description: "A page.", schema: nil, mediaType: "text/html")]),
            handler: { api, _ in api.page(Documentation.docs) }),
        Route(
            method: .get, path: "/",
            operation: Operation(
                id: "index", summary: "A page that tells where to go.",
                answers: [.init(status: 200, description: "A page.", schema: nil, mediaType: "text/html")]),
            handler: { api, _ in api.page(Documentation.index(node: api.service.nodeName.rawValue)) }),
    ]
}
