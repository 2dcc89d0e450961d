import APIModel
import HTTPTypes
import Primitives
import Service
import TaskLedger
import Testing
import Views

@testable import HTTPAPI

@Suite struct QueueRouteTests {
    let api = Routes()

    private func patch(_ body: String, _ queue: String = "mail") async throws -> Answer {
        try await api(.patch, "/api/queues/\(queue)", headers: [.contentType: "application/json"], body: body)
    }

    @Test func settings_are_changed_one_by_one_and_taken_back_by_null() async throws {
        let body =
            #"{"paused":true,"max_length":100,"max_bytes":1000000,"max_retries":7,"retry":{"backoff":"fixed","base":2},"timeout":1.5,"weight":3,"rate_limit":2.5,"concurrency":4}"#
        let answer = try await patch(body)
        #expect(answer.status == 200)
        let settings = try answer.decoded(as: QueueSettingsDocument.self)
        #expect(
            settings.isPaused && settings.maxLength == 100 && settings.maxBytes == 1_000_000 && settings.maxRetries == 7
                && settings.weight == 3)
        #expect(settings.timeout == 1.5 && settings.retry?.backoff == "fixed" && settings.retry?.base == 2)
        #expect(settings.rateLimit == 2.5 && settings.concurrency == 4)
        let back = try await patch(
            #"{"rate_limit":null,"concurrency":null,"retry":null,"paused":null,"max_length":null,"max_bytes":null}"#
        )
        .decoded(as: QueueSettingsDocument.self)
        #expect(back.rateLimit == nil && back.concurrency == nil)
        #expect(
            !back.isPaused && back.maxLength == nil && back.maxBytes == nil && back.retry == nil && back.timeout == 1.5)
        _ = try await patch(#"{"timeout":null,"max_retries":null,"weight":null}"#)
        #expect(api.service.update { $0.settings?.queues } == [])
    }

    @Test(arguments: [
        ("{}", ""), ("[]", ""), ("null", ""), (#"{"paused":1}"#, "/paused"), (#"{"max_length":-1}"#, "/max_length"),
        (#"{"max_retries":101}"#, "/max_retries"), (#"{"retry":5}"#, "/retry"),
        (#"{"retry":{"backoff":"odd"}}"#, "/retry/backoff"), (#"{"timeout":0}"#, "/timeout"),
        (#"{"weight":0}"#, "/weight"), (#"{"weight":1001}"#, "/weight"), (#"{"rate_limit":0}"#, "/rate_limit"),
        (#"{"rate_limit":1000001}"#, "/rate_limit"), (#"{"concurrency":0}"#, "/concurrency"),
        (#"{"pause":true}"#, "/pause"),
        (#"{"paused":true,"paused":false}"#, "/paused"),
    ])
    func a_bad_change_is_refused_with_its_field(body: String, pointer: String) async throws {
        let answer = try await patch(body)
        #expect(answer.status == 422)
        #expect(try answer.problem().errors.map(\.pointer) == [pointer])
        #expect(api.service.update { $0.settings?.queues } == [])
    }

    @Test func a_queue_that_no_task_could_name_has_no_settings() async throws {
        #expect(try await patch(#"{"paused":true}"#, "UPPER").status == 422)
        #expect(try await patch("{").status == 400)
    }

    @Test(arguments: [
        (SettingsOutcome.refused(.tooManyQueues), 409), (.refused(.invalid), 422), (.unavailable("x"), 503),
        (.unconfirmed("x"), 503),
    ])
    func what_becomes_of_a_change_is_told(outcome: SettingsOutcome, status: Int) async throws {
        api.service.update { $0.settingsOutcome = outcome }
        let answer = try await patch(#"{"paused":true}"#)
        #expect(answer.status == status)
        #expect((answer.headers[.retryAfter] != nil) == (status == 503))
    }

    @Test func a_queue_gives_its_tasks_what_they_do_not_name() async throws {
        _ = try await patch(#"{"max_retries":9,"timeout":7,"retry":{"backoff":"linear","base":5}}"#)
        func submitted(_ body: String) async throws -> TaskSpec? {
            _ = try await api(.post, "/api/tasks", headers: [.contentType: "application/json"], body: body)
            return api.service.submitted.last
        }
        let bare = try await submitted(#"{"task_type":"echo","queue":"mail"}"#)
        #expect(bare?.retry == RetryPolicy(maxRetries: 9, backoff: .linear, base: 5000))
        #expect(bare?.timeout == 7000)
        let own = try await submitted(
            #"{"retry":{"base":1},"task_type":"echo","max_retries":0,"timeout":1,"queue":"mail"}"#)
        #expect(own?.retry == RetryPolicy(maxRetries: 0))
        #expect(own?.timeout == 1000)
        let other = try await submitted(#"{"task_type":"echo"}"#)
        #expect(other?.retry == RetryPolicy() && other?.timeout == 300_000)
        _ = try await api(
            .post, "/api/tasks/batch", headers: [.contentType: "application/json"],
            body: #"[{"task_type":"echo","queue":"mail"}]"#)
        #expect(api.service.submitted.last?.timeout == 7000)
    }

    @Test func a_full_queue_says_when_to_try_again() async throws {
        api.service.update { $0.refusal = .queueFull("mail", limit: QueueBounds(length: 5), retryAfter: 1) }
        let answer = try await api(
            .post, "/api/tasks", headers: [.contentType: "application/json"],
            body: #"{"task_type":"echo","queue":"mail"}"#)
        #expect(answer.status == 503)
        #expect(answer.headers[.retryAfter] == "1")
        #expect(try answer.problem().detail.contains("\"mail\""))
    }

    @Test func a_fairness_key_is_taken_and_shown() async throws {
        let long = String(repeating: "k", count: 256)
        func submit(_ key: String) async throws -> Answer {
            try await api(
                .post, "/api/tasks", headers: [.contentType: "application/json"],
                body: #"{"task_type":"echo","fairness_key":"\#(key)"}"#)
        }
        #expect(try await submit(long).status == 422)
        #expect(try await submit("customer 7").status == 202)
        #expect(api.service.submitted.last?.fairnessKey == "customer 7")
        let id = try #require(api.service.update { $0.tasks.keys.first })
        let task = try await api(.get, "/api/tasks/\(id)").decoded(as: TaskDocument.self)
        #expect(task.fairnessKey == "customer 7")
    }
}
