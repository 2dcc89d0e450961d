import APIModel
import HTTPTypes
import Hummingbird
import Primitives

extension Route {
    static let changes: [Route] = [
        Route(
            method: .patch, path: "/api/tasks/{id}", aliases: ["/tasks/{id}"],
            operation: Operation(
                id: "changeTask", summary: "Changes the priority, or the time, of a task that waits.",
                parameters: [.id], body: "Change",
                answers: [.init(status: 200, description: "The task as it is now.", schema: "Task")],
                problems: [
                    .malformedJSON, .contentTooLarge, .unsupportedMediaType, .invalidInput, .notFound, .wrongState,
                    .alreadyFinished, .unavailable, .unconfirmed,
                ]),
            handler: { try await $0.change($1) }),
        Route(
            method: .post, path: "/api/tasks/{id}/retry", aliases: ["/tasks/{id}/retry"],
            operation: Operation(
                id: "retryTask",
                summary: "Begins a new run of a task that has failed, was cancelled, or has expired.",
                parameters: [.id],
                answers: [.init(status: 200, description: "The task: pending, in its new run.", schema: "Task")],
                problems: [.notFound, .wrongState, .alreadyFinished, .invalidInput, .full, .unavailable, .unconfirmed]),
            handler: { try await $0.retry($1) }),
        Route(
            method: .get, path: "/api/tasks/{id}/events", aliases: ["/tasks/{id}/events"],
            operation: Operation(
                id: "getTaskEvents", summary: "What has happened to a task: every transition, with its time and node.",
                parameters: [.id], answers: [.init(status: 200, description: "In order.", schema: "Events")],
                problems: [.notFound, .resultExpired, .invalidInput, .unavailable]),
            handler: { try await $0.events($1) }),
        Route(
            method: .get, path: "/api/tasks/{id}/why", aliases: ["/tasks/{id}/why"],
            operation: Operation(
                id: "explainTask", summary: "Why a task does not run.", parameters: [.id],
                answers: [.init(status: 200, description: "The reason.", schema: "Why")],
                problems: [.notFound, .invalidInput]),
            handler: { try await $0.why($1) }),
    ]

    static let letters: [Route] = [
        Route(
            method: .get, path: "/api/dead-letters",
            operation: Operation(
                id: "listDeadLetters", summary: "Tasks that have failed for good, newest first, without payload.",
                parameters: [
                    .query("queue", ["type": "string"], "Only those of this queue."),
                    .query("task_type", ["type": "string"], "Only those of this type."),
                    .query(
                        "age", ["type": "number", "minimum": 0, "maximum": .integer(Int64(Limits.horizonSeconds))],
                        "Only those that failed so many seconds ago, or earlier."),
                    .query("error", ["type": "string"], "The type of the error, or a part of its message."),
                    .query(
                        "limit", ["type": "integer", "minimum": 1, "maximum": 1000, "default": 50], "Tasks of a page."),
                    .query("cursor", ["type": "string", "format": "uuid"], "next_cursor of the page before."),
                ],
                answers: [.init(status: 200, description: "A page.", schema: "TaskList")], problems: [.invalidInput]),
            handler: { try await $0.letters($1) }),
        sweep("retry", id: "retryDeadLetters", "Runs dead letters again: all that fit the filter.") {
            try await $0.retryLetters($1)
        },
        sweep("purge", id: "purgeDeadLetters", "Forgets dead letters: all that fit the filter.") {
            try await $0.purgeLetters($1)
        },
        Route(
            method: .get, path: "/api/dead-letters/{id}",
            operation: Operation(
                id: "getDeadLetter", summary: "One dead letter.", parameters: [.id],
                answers: [.init(status: 200, description: "The task.", schema: "Task")],
                problems: [.notFound, .invalidInput, .unavailable]),
            handler: { try await $0.letter($1) }),
        Route(
            method: .post, path: "/api/dead-letters/{id}/retry",
            operation: Operation(
                id: "retryDeadLetter", summary: "Begins a new run of a dead letter.", parameters: [.id],
                answers: [.init(status: 200, description: "The task: pending, in its new run.", schema: "Task")],
                problems: [.notFound, .wrongState, .alreadyFinished, .invalidInput, .full, .unavailable, .unconfirmed]),
            handler: { try await $0.retryLetter($1) }),
        Route(
            method: .post, path: "/api/dead-letters/{id}/purge",
            operation: Operation(
                id: "purgeDeadLetter", summary: "Forgets a dead letter.", parameters: [.id],
                answers: [.init(status: 200, description: "It is gone.", schema: "Purged")],
                problems: [.notFound, .wrongState, .invalidInput, .unavailable, .unconfirmed]),
            handler: { try await $0.purgeLetter($1) }),
    ]

    private static func sweep(
        _ verb: String, id: String, _ summary: String,
        _ handler: @escaping @Sendable (API, APIRequest) async throws -> Response
    ) -> Route {
        Route(
            method: .post, path: "/api/dead-letters/\(verb)",
            operation: Operation(
                id: id, summary: summary, body: "LetterFilter", isBodyOptional: true,
                answers: [.init(status: 200, description: "How many there were.", schema: "Sweep")],
                problems: [.malformedJSON, .contentTooLarge, .unsupportedMediaType, .invalidInput]),
            handler: handler)
    }
}
