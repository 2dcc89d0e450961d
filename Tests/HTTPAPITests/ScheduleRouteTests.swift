import APIModel
import HTTPTypes
import Primitives
import Service
import TaskLedger
import Testing
import Views

@testable import HTTPAPI

@Suite struct ScheduleRouteTests {
    let api = Routes()

    private func put(_ body: String, _ name: String = "nightly") async throws -> Answer {
        try await api(.put, "/api/schedules/\(name)", headers: [.contentType: "application/json"], body: body)
    }

    private func draft(_ name: String = "nightly") -> ScheduleDraft? {
        api.service.update { $0.schedules[name]?.draft }
    }

    @Test func aScheduleIsMadeShownChangedAndDeleted() async throws {
        let body =
            #"{"cron":"0 9 * * 1-5","time_zone":"Europe/Zurich","jitter":2.5,"overlap":"replace","catch_up":"one","paused":true,"task":{"task_type":"email","payload":{"to":"a"},"priority":"high","queue":"mail","timeout":7,"expires_in":60,"metadata":{"a":"b"}}}"#
        let made = try await put(body)
        #expect(made.status == 201)
        #expect(made.headers[.location] == "/api/schedules/nightly")
        let known = try #require(draft())
        #expect(known.timing == .cron("0 9 * * 1-5", timeZone: "Europe/Zurich"))
        #expect(known.jitter == 2500 && known.overlap == .replace && known.catchUp == .one && known.isPaused)
        #expect(known.task.priority == .high && known.task.timeout == 7000 && known.task.expiry == 60_000)
        #expect(known.inherited == [.maxRetries, .retry])
        let shown = try made.decoded(as: ScheduleDocument.self)
        #expect(shown.cron == "0 9 * * 1-5" && shown.timeZone == "Europe/Zurich" && shown.interval == nil)
        #expect(shown.task.maxRetries == nil && shown.task.retry == nil && shown.task.timeout == 7)
        #expect(String(decoding: shown.task.payload.bytes, as: UTF8.self) == #"{"to":"a"}"#)
        #expect(shown.recent.map(\.outcome) == ["left_out", "fired"], "the newest first")
        #expect(shown.problem == "the queue mail is full")

        // What is shown can be put again, and says the same.
        #expect(try await put(String(decoding: shown.body, as: UTF8.self)).status == 200)
        #expect(draft() == known)

        #expect(try await put(#"{"interval":30,"task":{"task_type":"noop"}}"#).status == 200)
        #expect(draft()?.timing == .interval(30_000))
        #expect(draft()?.overlap == .skip && draft()?.catchUp == CatchUpPolicy.none && draft()?.isPaused == false)
        #expect(draft()?.inherited == [.maxRetries, .retry, .timeout])
        #expect(try await api(.get, "/api/schedules").decoded(as: SchedulesDocument.self).schedules.count == 1)
        #expect(try await api(.get, "/api/schedules/nightly").status == 200)
        let deleted = try await api(.delete, "/api/schedules/nightly")
        #expect(deleted.status == 204 && deleted.body.isEmpty)
        for method in [HTTPRequest.Method.get, .delete] {
            let answer = try await api(method, "/api/schedules/nightly")
            #expect(answer.status == 404)
            #expect(try answer.problem().type == "/docs#not-found")
        }
    }

    private static func with(_ task: String) -> String { #"{"interval":1,"task":{"task_type":"echo","# + task + "}}" }

    @Test(arguments: [
        ("{}", ["/cron", "/task"]), ("[]", [""]), ("null", [""]),
        (#"{"interval":30}"#, ["/task"]), (#"{"task":{"task_type":"a"}}"#, ["/cron"]),
        (#"{"interval":30,"task":5}"#, ["/task"]), (#"{"interval":30,"task":{}}"#, ["/task/task_type"]),
        (#"{"interval":0.999,"task":{"task_type":"a"}}"#, ["/interval"]),
        (#"{"interval":31536001,"task":{"task_type":"a"}}"#, ["/interval"]),
        (#"{"interval":"30s","task":{"task_type":"a"}}"#, ["/interval"]),
        (#"{"interval":30,"cron":"@daily","task":{"task_type":"a"}}"#, ["/interval"]),
        (#"{"interval":30,"time_zone":"UTC","task":{"task_type":"a"}}"#, ["/time_zone"]),
        (#"{"cron":"* * *","task":{"task_type":"a"}}"#, ["/cron"]),
        (#"{"cron":"61 * * * *","task":{"task_type":"a"}}"#, ["/cron"]),
        (#"{"cron":"0 0 30 2 *","task":{"task_type":"a"}}"#, ["/cron"]),
        (#"{"cron":"@daily","time_zone":"../etc/passwd","task":{"task_type":"a"}}"#, ["/time_zone"]),
        (
            #"{"interval":1,"jitter":-1,"overlap":"odd","catch_up":7,"paused":"no","task":{"task_type":"a"}}"#,
            ["/jitter", "/overlap", "/catch_up", "/paused"]
        ),
        (#"{"interval":1,"jitter":86401,"task":{"task_type":"a"}}"#, ["/jitter"]),
        (#"{"interval":1,"every":1,"task":{"task_type":"a"}}"#, ["/every"]),
        (#"{"interval":1,"interval":2,"task":{"task_type":"a"}}"#, ["/interval"]),
        (with(#""ordering_key":"k""#), ["/task/ordering_key"]),
        (with(#""idempotency_key":"k""#), ["/task/idempotency_key"]),
        (with(#""idempotency_window":5"#), ["/task/idempotency_window"]),
        (with(#""delay":5"#), ["/task/delay"]), (with(#""run_at":"2030-01-01T00:00:00Z""#), ["/task/run_at"]),
        (with(#""expires_at":"2030-01-01T00:00:00Z""#), ["/task/expires_at"]),
        (with(#""depends_on":["01900000-0000-7000-8000-000000000002"]"#), ["/task/depends_on"]),
        (with(#""priority":11"#), ["/task/priority"]), (with(#""odd":1"#), ["/task/odd"]),
        (with("\"payload\":\"\(String(repeating: "a", count: Limits.scheduledPayloadBytes))\""), ["/task/payload"]),
    ])
    func aBadScheduleIsRefusedWithItsFields(body: String, pointers: [String]) async throws {
        let answer = try await put(body)
        #expect(answer.status == 422)
        #expect(try answer.problem().errors.map(\.pointer) == pointers)
        #expect(draft() == nil)
    }

    @Test func aNullIsAsIfItWereNotGiven() async throws {
        let body =
            #"{"cron":null,"interval":5,"time_zone":null,"jitter":null,"overlap":null,"catch_up":null,"paused":null,"task":{"task_type":"a","retry":null,"ordering_key":null,"delay":null}}"#
        #expect(try await put(body).status == 201)
        #expect(draft()?.inherited == [.maxRetries, .retry, .timeout])
    }

    @Test func whatIsNoNameOrNoJSONIsRefused() async throws {
        #expect(try await put(#"{"interval":1,"task":{"task_type":"a"}}"#, "UPPER").status == 422)
        #expect(try await put("{").status == 400)
        #expect(try await api(.get, "/api/schedules/UPPER").status == 404)
        #expect(try await api(.delete, "/api/schedules/UPPER").status == 404)
        let plain = try await api(
            .put, "/api/schedules/a", headers: [.contentType: "text/plain"], body: #"{"interval":1}"#)
        #expect(plain.status == 415)
    }

    @Test(arguments: [
        (ScheduleOutcome.unknownTimeZone("there is no time zone Mars/Olympus"), 422, "invalid-input"),
        (.unknownTaskType(nearest: "echo"), 422, "unknown-task-type"),
        (.refused(.tooManySchedules), 409, "too-many-schedules"),
        (.refused(.schedulesTooLarge), 409, "too-many-schedules"), (.refused(.invalid), 422, "invalid-input"),
        (.unavailable("x"), 503, "unavailable"), (.unconfirmed("x"), 503, "unavailable"),
    ])
    func whatBecomesOfAChangeIsTold(outcome: ScheduleOutcome, status: Int, type: String) async throws {
        api.service.update { $0.scheduleOutcome = outcome }
        let answer = try await put(#"{"interval":1,"task":{"task_type":"ecko"}}"#)
        #expect(answer.status == status)
        let problem = try answer.problem()
        #expect(problem.type == "/docs#\(type)")
        #expect((answer.headers[.retryAfter] != nil) == (status == 503))
        switch outcome {
        case .unknownTimeZone: #expect(problem.errors.map(\.pointer) == ["/time_zone"])
        case .unknownTaskType:
            #expect(problem.errors.map(\.pointer) == ["/task/task_type"])
            #expect(problem.detail.contains("did you mean \"echo\""))
        default: break
        }
    }

    @Test func theTasksOfAScheduleAreListedAndSayForWhenTheyAre() async throws {
        let spec = TaskSpec(type: "echo").task(
            of: Firing(schedule: "nightly", version: 7, time: Samples.time), delay: 0)
        let snapshot = TaskSnapshot(
            id: Samples.id, spec: spec, status: .pending, owner: Samples.node(1), createdAt: Samples.time)
        api.service.update { $0.page = TaskPage(tasks: [snapshot], next: nil, missing: []) }
        let page = try await api(.get, "/api/tasks?schedule=nightly").decoded(as: TaskListDocument.self)
        #expect(api.service.update { $0.queries.last?.schedule } == "nightly")
        #expect(page.tasks.first?.schedule == "nightly" && page.tasks.first?.scheduledFor == Samples.time)
        #expect(page.tasks.first?.orderingKey == nil && page.tasks.first?.idempotencyKey == nil)
        let bad = try await api(.get, "/api/tasks?schedule=UPPER")
        #expect(try bad.problem().errors.map(\.pointer) == ["?schedule"])
    }

    @Test(arguments: ["ordering_key", "idempotency_key"]) func theKeysOfSchedulesAreNobodyElses(field: String)
        async throws
    {
        let answer = try await api.submit(#"{"task_type":"echo",""# + field + #"":"\u0000schedule/nightly"}"#)
        #expect(answer.status == 422)
        #expect(try answer.problem().errors.map(\.pointer) == ["/" + field])
        #expect(try await api.submit(#"{"task_type":"echo",""# + field + #"":"schedule/nightly"}"#).status == 202)
    }
}
