import APIModel
import Hummingbird
import Primitives
import Service
import Views

extension Route {
    static let queues: [Route] = [
        Route(
            method: .get, path: "/api/queues", aliases: ["/queues"],
            operation: Operation(
                id: "listQueues", summary: "Every queue that holds tasks or has settings, over the whole cluster.",
                answers: [.init(status: 200, description: "The queues.", schema: "Queues")]),
            handler: { try await $0.queues($1) }),
        Route(
            method: .get, path: "/api/queues/{queue}", aliases: ["/queues/{queue}"],
            operation: Operation(
                id: "getQueue", summary: "One queue, over the whole cluster.", parameters: [.queue],
                answers: [.init(status: 200, description: "The queue.", schema: "Queue")], problems: [.notFound]),
            handler: { try await $0.queue($1) }),
        Route(
            method: .patch, path: "/api/queues/{queue}", aliases: ["/queues/{queue}"],
            operation: Operation(
                id: "changeQueue",
                summary:
                    "Changes settings of a queue for the whole cluster; null takes one back. What is not named stays.",
                parameters: [.queue], body: "QueueChange",
                answers: [
                    .init(
                        status: 200,
                        description:
                            "Done: no node goes by what was set before. That takes milliseconds; while a node does not "
                            + "answer, some seconds, 16 at most.",
                        schema: "QueueSettings")
                ],
                problems: [
                    .malformedJSON, .contentTooLarge, .unsupportedMediaType, .invalidInput, .tooManyQueues,
                    .unavailable,
                ]),
            handler: { try await $0.changeQueue($1) }),
    ]
}

extension API {
    /// `GET /api/queues`
    func queues(_ request: APIRequest) async throws -> Response { json(QueuesDocument(await service.queues())) }

    /// `GET /api/queues/{queue}`
    func queue(_ request: APIRequest) async throws -> Response {
        guard let queue = await service.queues().first(where: { $0.name == request.parameter }) else {
            throw Problem(
                .notFound,
                "no task has been submitted to a queue \(quoted(request.parameter)), and nothing is set for it")
        }
        return json(QueueDocument(queue))
    }

    /// `PATCH /api/queues/{queue}`
    func changeQueue(_ request: APIRequest) async throws -> Response {
        let name = request.parameter
        _ = try request.query([])
        _ = try BodyFormat.of(request.headers, allowsLines: false)
        guard NodeName.isValid(name) else {
            throw Problem.invalid("queue", "must match [a-z0-9][a-z0-9._-]{0,62}, got \(quoted(name))")
        }
        let fields = try await request.withBody(bodies) { try QueueChangeParser.parse($0) }
        let settings = try answer(await service.change(.queue(name, fields)))
        return json(QueueSettingsDocument(settings.queue(name)))
    }

    /// The settings as they are now.
    func answer(_ outcome: SettingsOutcome) throws(Problem) -> ClusterSettings {
        switch outcome {
        case .done(let settings): return settings
        case .refused(.tooManyQueues):
            throw Problem(
                .tooManyQueues,
                "\(Limits.configuredQueues) queues have settings: take those of another one back, by null for each")
        case .refused(.tooManySubscriptions):
            throw Problem(
                .tooManySubscriptions,
                "there may be \(Limits.subscriptions) subscriptions, which take \(Limits.subscriptionBytes) bytes together: "
                    + "end another one")
        case .refused(.invalid), .refused(.tooManySchedules), .refused(.schedulesTooLarge), .refused(.unknownSchedule):
            throw Problem.invalid("", "the settings would break a rule; nothing was changed")
        case .unavailable(let reason): throw Problem.unavailable("\(reason); nothing was changed")
        case .unconfirmed(let reason): throw Problem.unavailable("\(reason); it may still be changed", retryAfter: 2)
        }
    }
}
