import APIModel
import HTTPTypes
import Primitives
import Service
import TaskLedger
import Testing
import Views

@testable import HTTPAPI

@Suite struct TopicRouteTests {
    let api = Routes()

    private func send(
        _ method: HTTPRequest.Method, _ path: String, _ body: String = "", key: String? = nil
    ) async throws -> Answer {
        var headers: HTTPFields = [.contentType: "application/json"]
        if let key { headers[.idempotencyKey] = key }
        return try await api(method, path, headers: headers, body: body)
    }

    @Test func subscriptions_are_kept_as_they_were_sent() async throws {
        let body = #"{"topic":"orders.*","task":{"task_type":"email", "queue":"mail","metadata":{"a":"b"}}}"#
        let made = try await send(.put, "/api/subscriptions/mail", body)
        #expect(made.status == 201 && made.headers[.location] == "/api/subscriptions/mail")
        let document = try made.decoded(as: SubscriptionDocument.self)
        #expect(document.topic == "orders.*" && document.name == "mail")
        #expect(made.text.contains(#"{"task_type":"email", "queue":"mail","metadata":{"a":"b"}}"#))
        #expect(try await send(.put, "/api/subscriptions/mail", body).status == 200)
        #expect(try await send(.get, "/api/subscriptions/mail").text == made.text)
        let all = try await send(.get, "/api/subscriptions").decoded(as: SubscriptionsDocument.self)
        #expect(all.subscriptions == [document])
        #expect(try await send(.delete, "/api/subscriptions/mail").status == 204)
        #expect(try await send(.delete, "/api/subscriptions/mail").status == 404)
        #expect(try await send(.get, "/api/subscriptions/mail").status == 404)
    }

    @Test(
        arguments: [
            ("{}", "/topic"), ("[]", ""), (#"{"topic":"a"}"#, "/task"), (#"{"task":{"task_type":"t"}}"#, "/topic"),
            (#"{"topic":"a..b","task":{"task_type":"t"}}"#, "/topic"), (#"{"topic":"a","task":5}"#, "/task"),
            (#"{"topic":"a","task":{}}"#, "/task/task_type"),
            (#"{"topic":"a","task":{"task_type":"t","payload":1}}"#, "/task/payload"),
            (#"{"topic":"a","task":{"task_type":"t","run_at":"2030-01-01T00:00:00Z"}}"#, "/task/run_at"),
            (#"{"topic":"a","task":{"task_type":"t","ordering_key":"k"}}"#, "/task/ordering_key"),
            (#"{"topic":"a","task":{"task_type":"t","priority":11}}"#, "/task/priority"),
            (#"{"topic":"a","task":{"task_type":"t"},"tsk":1}"#, "/tsk"),
        ] as [(String, String)])
    func what_is_wrong_with_a_subscription_is_named(body: String, pointer: String) async throws {
        let answer = try await send(.put, "/api/subscriptions/s", body)
        #expect(answer.status == 422)
        #expect(try answer.decoded(as: ProblemDocument.self).errors.first?.pointer == pointer)
        #expect(api.service.update { $0.settings?.subscriptions } == [])
    }

    private func subscribe(_ name: String, _ topic: String, _ more: String = "") async throws {
        let body = "{\"topic\":\"\(topic)\",\"task\":{\"task_type\":\"echo\"\(more)}}"
        #expect(try await send(.put, "/api/subscriptions/\(name)", body).status == 201)
    }

    @Test func a_message_is_a_task_for_each_subscription() async throws {
        try await subscribe("a", "orders.#", #","queue":"mail","priority":3"#)
        try await subscribe("b", "orders.*.paid")
        try await subscribe("c", "stock.#")
        let answer = try await send(.post, "/api/topics/orders.eu.paid", #"{"payload": {"n": 1.0}}"#)
        #expect(answer.status == 202)
        let document = try answer.decoded(as: PublishedDocument.self)
        #expect(document.tasks.map(\.subscription) == ["a", "b"] && document.topic == "orders.eu.paid")
        #expect(answer.headers[.location] == document.id.map { "/api/workflows/\($0)" })
        let draft = try #require(api.service.update { $0.drafts.last })
        #expect(!draft.plan.stopsOnFailure && draft.name == "orders.eu.paid" && draft.idempotency == nil)
        #expect(draft.steps.map(\.ref) == ["a", "b"] && draft.steps.allSatisfy { $0.parents.isEmpty })
        #expect(draft.steps.map(\.spec.queue) == ["mail", "default"])
        #expect(draft.steps.map(\.spec.priority.rawValue) == [3, 5])
        #expect(draft.steps.allSatisfy { $0.spec.payload == Array(#"{"n": 1.0}"#.utf8) })
        #expect(
            draft.steps[1].spec.metadata == [
                .init(key: "topic", value: "orders.eu.paid"), .init(key: "subscription", value: "b"),
            ])
        _ = try await send(.post, "/api/topics/orders", #"{"data":1,"priority":"high"}"#)
        #expect(api.service.update { $0.drafts.last?.steps.map(\.spec.priority.rawValue) } == [8])
    }

    @Test func a_message_that_nobody_wants_is_not_kept() async throws {
        let answer = try await send(.post, "/api/topics/orders", "{}")
        #expect(answer.status == 200)
        #expect(try answer.decoded(as: PublishedDocument.self) == PublishedDocument(topic: "orders"))
        #expect(api.service.update { $0.drafts.isEmpty })
    }

    /// Whoever sends it again is told the same, though somebody may have subscribed since, or nobody any more.
    @Test func a_message_with_a_key_is_kept_even_if_nobody_wants_it() async throws {
        let answer = try await send(.post, "/api/topics/orders", "{}", key: "k")
        #expect(answer.status == 202)
        let document = try answer.decoded(as: PublishedDocument.self)
        #expect(document.tasks.isEmpty && document.id != nil)
        #expect(answer.headers[.location] == document.id.map { "/api/workflows/\($0)" })
        let draft = try #require(api.service.update { $0.drafts.last })
        #expect(draft.steps.isEmpty && draft.idempotency?.key == "k")
    }

    @Test(
        arguments: [
            ("orders.*", "{}", "topic"), ("orders.", "{}", "topic"), ("orders", "[]", ""),
            ("orders", #"{"payload":1,"data":2}"#, "/data"), ("orders", #"{"priority":0}"#, "/priority"),
            ("orders", #"{"idempotency_window":5}"#, "/idempotency_window"),
            ("orders", #"{"delay":5}"#, "/delay"),
        ] as [(String, String, String)])
    func what_is_wrong_with_a_message_is_named(topic: String, body: String, pointer: String) async throws {
        try await subscribe("a", "#")
        let answer = try await send(.post, "/api/topics/\(topic)", body)
        #expect(answer.status == 422)
        #expect(try answer.decoded(as: ProblemDocument.self).errors.first?.pointer == pointer)
        #expect(api.service.update { $0.drafts.isEmpty })
    }

    @Test func a_key_belongs_to_topic_and_body() async throws {
        try await subscribe("a", "#")
        var bodies: [BodyDigest?] = []
        for (topic, body) in [("x", "{}"), ("y", "{}"), ("x", "{ }"), ("x", "{}")] {
            _ = try await send(.post, "/api/topics/\(topic)", body, key: "\"k\"")
            bodies.append(api.service.update { $0.drafts.last?.idempotency?.body })
        }
        #expect(Set(bodies).count == 3 && bodies[0] == bodies[3])
        let id = try #require(TaskID("01980000-0000-7000-8000-000000000001"))
        api.service.update { state in
            state.workflowSubmission = .repeated(id)
            var spec = TaskSpec(type: "workflow")
            spec.workflow = WorkflowPart(workflow: id, ref: "", role: .root(WorkflowPlan()))
            state.workflow = .found(
                WorkflowSnapshot(
                    root: TaskSnapshot(
                        id: id, spec: spec, status: .blocked, owner: Samples.node(1), createdAt: Samples.time),
                    tasks: [], failedBy: nil))
        }
        let again = try await send(.post, "/api/topics/x", "{}", key: "k")
        #expect(again.status == 200 && again.headers[.idempotentReplayed] == "true")
        #expect(try again.decoded(as: PublishedDocument.self).id == id)
    }

    @Test func a_message_that_would_be_too_much_for_all_is_refused() async throws {
        for number in 0..<5 { try await subscribe("s\(number)", "#") }
        let payload = String(repeating: "x", count: 1_000_000)
        let answer = try await send(.post, "/api/topics/x", "{\"payload\":\"\(payload)\"}")
        #expect(answer.status == 422)
        #expect(try answer.decoded(as: ProblemDocument.self).errors.first?.pointer == "/payload")
    }

    @Test func a_subscription_of_an_unknown_type_is_refused() async throws {
        let answer = try await send(
            .put, "/api/subscriptions/s", #"{"topic":"a","task":{"task_type":"emial"}}"#)
        #expect(answer.status == 422)
        let problem = try answer.decoded(as: ProblemDocument.self)
        #expect(
            problem.detail.contains(#"did you mean "email"?"#) && problem.errors.first?.pointer == "/task/task_type")
        #expect(api.service.update { $0.settings?.subscriptions } == [])
    }

    /// Whoever is told of the tasks of a message is named in the subscription.
    @Test func the_tasks_of_messages_may_have_callbacks() async throws {
        let callback = #","callback_url":"https://example.com/done""#
        try await subscribe("a", "#", callback)
        #expect(try await send(.post, "/api/topics/x", "{}").status == 202)
        let steps = api.service.update { $0.drafts.last?.steps ?? [] }
        #expect(steps.map(\.spec.callbackURL) == ["https://example.com/done"])
        api.service.update { $0.signsCallbacks = false }
        let body = #"{"topic":"a","task":{"task_type":"echo"\#(callback)}}"#
        let answer = try await send(.put, "/api/subscriptions/b", body)
        #expect(answer.status == 422)
        #expect(try answer.decoded(as: ProblemDocument.self).errors.first?.pointer == "/callback_url")
    }

    /// It is for somebody to mend, and who is told.
    @Test func a_subscription_that_no_node_serves_is_named() async throws {
        try await subscribe("a", "#")
        api.service.update { $0.workflowSubmission = .unknownTaskTypes(["echo"], nearest: nil) }
        let answer = try await send(.post, "/api/topics/x", "{}")
        #expect(answer.status == 422)
        let problem = try answer.decoded(as: ProblemDocument.self)
        #expect(problem.type == "/docs#unknown-task-type" && problem.detail.contains("the subscriptions \"a\" need"))
    }
}
