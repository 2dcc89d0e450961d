import APIModel
import Foundation
import HTTPTypes
import Hummingbird
import Primitives
import Service
import TaskLedger
import Views

extension Route {
    static let topics: [Route] = [
        Route(
            method: .post, path: "/api/topics/{topic}",
            operation: Operation(
                id: "publish",
                summary: "Publishes a message: a task for each subscription whose pattern fits the topic, all or none.",
                parameters: [.topic, .idempotencyKey], body: "Message",
                answers: [
                    .init(
                        status: 202, description: "Accepted; Location tells what becomes of it.", schema: "Published"),
                    .init(
                        status: 200,
                        description:
                            "Nobody has subscribed to the topic, and it has no idempotency key; or it was published before, "
                            + "with the same bytes under the same key (Idempotent-Replayed: true).",
                        schema: "Published"),
                ],
                problems: [
                    .malformedJSON, .contentTooLarge, .unsupportedMediaType, .invalidInput, .unavailable, .unconfirmed,
                    .diskFull, .keyConflict, .keyPending, .resultExpired,
                ]),
            handler: { try await $0.publish($1) }),
        Route(
            method: .get, path: "/api/subscriptions",
            operation: Operation(
                id: "listSubscriptions", summary: "All subscriptions.",
                answers: [.init(status: 200, description: "Ascending by name.", schema: "Subscriptions")],
                problems: [.unavailable]),
            handler: { try await $0.subscriptions($1) }),
        Route(
            method: .get, path: "/api/subscriptions/{subscription}",
            operation: Operation(
                id: "getSubscription", summary: "One subscription.", parameters: [.subscription],
                answers: [.init(status: 200, description: "The subscription.", schema: "Subscription")],
                problems: [.notFound, .unavailable]),
            handler: { try await $0.subscription($1) }),
        Route(
            method: .put, path: "/api/subscriptions/{subscription}",
            operation: Operation(
                id: "subscribe",
                summary: "Subscribes to topics, or changes a subscription: messages from now on go by it.",
                parameters: [.subscription], body: "NewSubscription",
                answers: [
                    .init(status: 201, description: "It is new.", schema: "Subscription"),
                    .init(status: 200, description: "It was changed.", schema: "Subscription"),
                ],
                problems: [
                    .malformedJSON, .contentTooLarge, .unsupportedMediaType, .invalidInput, .tooManySubscriptions,
                    .unavailable,
                ]),
            handler: { try await $0.subscribe($1) }),
        Route(
            method: .delete, path: "/api/subscriptions/{subscription}",
            operation: Operation(
                id: "unsubscribe", summary: "Ends a subscription. The tasks of messages before go on.",
                parameters: [.subscription],
                answers: [.init(status: 204, description: "It is gone.", schema: nil)],
                problems: [.notFound, .unavailable]),
            handler: { try await $0.unsubscribe($1) }),
    ]
}

extension API {
    /// `POST /api/topics/{topic}`
    func publish(_ request: APIRequest) async throws -> Response {
        let topic = request.parameter
        _ = try request.query([])
        let key = try idempotencyKey(request)
        _ = try BodyFormat.of(request.headers, allowsLines: false)
        guard TopicPattern.isTopic(topic) else {
            throw Problem.invalid("topic", "\(TopicParser.topicRule), got \(quoted(topic))")
        }
        let message = try await request.withBody(bodies) { try TopicParser.message(topic, $0, key: key) }
        let now = clock()
        switch await service.publish(message, reading: { TopicParser.task(of: $0, now: now, settings: $1) }) {
        case .accepted(let accepted, let draft):
            guard let document = PublishedDocument(topic: topic, accepted, of: draft), let id = document.id else {
                throw Problem(.internalError, "some tasks of the message got no answer")
            }
            return json(
                document, status: .accepted, headers: [.location: "/api/workflows/\(id)"],
                reserving: 256 + 128 * draft.steps.count)
        case .repeated(let id): return try await published(id, on: topic)
        case .unwanted: return json(PublishedDocument(topic: topic))
        case .unreadable(let subscription):
            throw Problem(
                .internalError,
                "the task of the subscription \(quoted(subscription)) is not one that this node understands: "
                    + "nothing was published")
        case .tooLarge(let tasks, let bytes):
            throw Problem.invalid(
                "/payload",
                "the tasks of \(tasks) subscriptions may take \(Limits.workflowBytes) bytes together, and take "
                    + "about \(bytes)")
        case .refused(let refusal): throw problem(of: refusal, taskType: "")
        case .unknownTaskTypes(let types, let subscriptions):
            throw Problem(
                .unknownTaskType,
                "no node has a handler for \(types.map { quoted($0) }.joined(separator: ", ")), which the subscriptions "
                    + "\(subscriptions.prefix(10).map { quoted($0) }.joined(separator: ", ")) need: change or end them; "
                    + "nothing was published")
        case .unavailable:
            throw Problem.unavailable(
                await service.unreadiness()
                    ?? "\(service.nodeName) did not know which subscriptions there are: try again")
        }
    }

    /// The message that was published by the same request before.
    private func published(_ id: TaskID, on topic: String) async throws -> Response {
        let headers: HTTPFields = [.location: "/api/workflows/\(id)", .idempotentReplayed: "true"]
        switch await service.workflow(id) {
        case .found(let workflow):
            return json(PublishedDocument(topic: topic, WorkflowDocument(workflow)), headers: headers)
        case .archived(let bytes):
            guard let document = try? JSONDecoder().decode(WorkflowDocument.self, from: Data(bytes)) else {
                throw Problem(.internalError, "the registry's document of the message \(id) is damaged", id: id)
            }
            return json(PublishedDocument(topic: topic, document), headers: headers)
        case .expired:
            throw Problem(
                .resultExpired, "this was published before as \(id), whose result_ttl is over", id: id)
        case .unknown, .unavailable:
            throw Problem(
                .unavailable, "this was published before as \(id), of which nothing can be told now", id: id,
                headers: [.location: "/api/workflows/\(id)", .retryAfter: "1"])
        }
    }

    func currentSettings() throws(Problem) -> ClusterSettings {
        guard let settings = service.settings else { throw notAMember }
        return settings
    }

    private var notAMember: Problem { Problem.unavailable("\(service.nodeName) is a member of no cluster yet") }

    // MARK: Subscriptions

    /// `GET /api/subscriptions`
    func subscriptions(_ request: APIRequest) async throws -> Response {
        _ = try request.query([])
        return json(SubscriptionsDocument(try currentSettings().subscriptions))
    }

    /// `GET /api/subscriptions/{subscription}`
    func subscription(_ request: APIRequest) async throws -> Response {
        _ = try request.query([])
        return json(SubscriptionDocument(try find(request.parameter)))
    }

    private func find(_ name: String) throws(Problem) -> Subscription {
        let all = try currentSettings().subscriptions
        guard let found = all.first(where: { $0.name == name }) else {
            throw Problem(
                .notFound,
                "there is no subscription \(quoted(name))"
                    + (nearestName(to: name, among: all.map(\.name)).map { ", did you mean \"\($0)\"?" } ?? ""))
        }
        return found
    }

    /// `PUT /api/subscriptions/{subscription}`
    func subscribe(_ request: APIRequest) async throws -> Response {
        let name = request.parameter
        _ = try request.query([])
        _ = try BodyFormat.of(request.headers, allowsLines: false)
        guard NodeName.isValid(name) else {
            throw Problem.invalid("subscription", "must match [a-z0-9][a-z0-9._-]{0,62}, got \(quoted(name))")
        }
        let (subscription, task) = try await request.withBody(bodies) {
            try TopicParser.subscription(name, $0, now: clock())
        }
        // Else every message that fits would be refused, for all its subscribers.
        let types = service.taskTypes
        guard types.contains(task.type) else {
            throw Problem.unknownTaskType(
                task.type, nearest: nearestName(to: task.type, among: types), at: "/task/task_type")
        }
        guard task.callbackURL == nil || service.signsCallbacks else { throw Problem.callbackUnsigned }
        let isNew = try !currentSettings().subscriptions.contains { $0.name == name }
        _ = try answer(await service.change(.subscribe(subscription)))
        return json(
            SubscriptionDocument(subscription), status: isNew ? .created : .ok,
            headers: isNew ? [.location: "/api/subscriptions/\(name)"] : [:])
    }

    /// `DELETE /api/subscriptions/{subscription}`
    func unsubscribe(_ request: APIRequest) async throws -> Response {
        _ = try request.query([])
        _ = try find(request.parameter)
        _ = try answer(await service.change(.unsubscribe(request.parameter)))
        return Response(status: .noContent)
    }
}

extension Operation.Parameter {
    static let topic = Self(
        name: "topic", place: "path", schema: ["type": "string"],
        description: "Words with dots between them: orders.eu.paid.")
    static let subscription = Self(
        name: "subscription", place: "path", schema: ["type": "string"], description: "The name of a subscription.")
}

extension Schemas {
    /// What a submission can have, and the task of a subscription cannot.
    private static let ofTheMessage: Set<String> = [
        "payload", "data", "run_at", "expires_at", "idempotency_key", "idempotency_window", "ordering_key",
        "depends_on", "on_dependency_failure",
    ]

    static let newSubscription: JSONValue = [
        "type": "object", "additionalProperties": false, "required": ["topic", "task"],
        "properties": [
            "topic": described(string, "A pattern: a.*.c, a.#; * stands for one word, # for any number of them."),
            "task": described(
                submission(without: ofTheMessage), "What is to run for each message; the message is its payload."),
        ],
    ]

    static let subscription = object(["name": string, "topic": string, "task": ["type": "object"]])

    static let message: JSONValue = [
        "type": "object", "additionalProperties": false,
        "properties": [
            "payload": ["description": "Any JSON, kept byte for byte, up to 1 MiB. Also: data."],
            "data": ["description": "The same as payload."],
            "priority": described(
                [
                    "anyOf": [
                        ["type": "integer", "minimum": 1, "maximum": 10],
                        words(["low", "normal", "high", "critical"]), ["type": "null"],
                    ]
                ], "Instead of that of each subscription's task."),
            "idempotency_key": described(
                key, "Published once under this key: the same request again is answered with the same tasks."),
            "idempotency_window": seconds(
                "For how long the key stands for it; a day if it is not given.", upTo: Limits.horizonSeconds),
        ],
    ]

    static let published = object([
        "id": described(
            nullable(uuid),
            "The message, as GET /api/workflows/{id} shows it; null: nobody has subscribed, and there is no key."),
        "topic": string, "tasks": array(object(["subscription": string, "id": uuid])),
    ])
}
