import APIModel
import HTTPTypes
import Primitives
import Service
import TaskLedger
import Testing

@testable import HTTPAPI

@Suite struct TaskRouteTests {
    let api = Routes()

    // MARK: Submitting

    @Test(arguments: ["/api/tasks", "/tasks", "/api/tasks/"])
    func anAcceptedTaskIsToldWithItsPlace(path: String) async throws {
        let answer = try await api.submit(#"{"task_type":"echo","payload":{"a" : 1},"priority":"high"}"#, to: path)
        #expect(answer.status == 202)
        let accepted = try answer.decoded(as: AcceptedDocument.self)
        #expect(answer.headers[.location] == "/api/tasks/\(accepted.id)")
        #expect(answer.headers[.contentType] == "application/json")
        #expect(accepted.priority == 8)
        #expect(accepted.durability.level == "replicated")
        #expect(accepted.durability.holders == ["node-1", "node-2"])
        #expect(api.service.submitted.map(\.payload) == [Array(#"{"a" : 1}"#.utf8)])
    }

    @Test func aPayloadComesBackByteForByte() async throws {
        let payload = #"{"z" : 1.0e2,"a":["\u0041\/", 0.10 , 12345678901234567890],  "z":{} }"#
        let accepted = try await api.submit(#"{"type":"echo","data": \#(payload) }"#).decoded(as: AcceptedDocument.self)
        let answer = try await api(.get, "/api/tasks/\(accepted.id)")
        #expect(answer.text.contains("\"payload\":\(payload),"))
    }

    @Test func invalidTasksAreRefusedWithAllTheirErrors() async throws {
        let answer = try await api.submit(#"{"task_type":"echo","priority":11,"queue":"A"}"#)
        #expect(answer.status == 422)
        let problem = try answer.problem()
        #expect(problem.errors.map(\.pointer) == ["/priority", "/queue"])
        #expect(api.service.submitted.isEmpty)
    }

    @Test(arguments: [("", 0), ("{", 1), (#"{"task_type":"echo"} x"#, 21), (#"{"task_type":"echo",}"#, 20)])
    func malformedJSONIsRefusedWithItsOffset(body: String, offset: Int) async throws {
        let answer = try await api.submit(body)
        #expect(answer.status == 400)
        #expect(try answer.problem().offset == offset)
        #expect(api.service.submitted.isEmpty)
    }

    @Test(arguments: [
        ("application/json", 202), ("application/json; charset=utf-8", 202), ("Application/JSON", 202),
        ("application/vnd.x+json", 202), ("text/plain", 415), ("application/x-www-form-urlencoded", 415),
        ("application/json; charset=utf-16", 415), ("application/x-ndjson", 415), ("", 415),
    ])
    func onlyJSONIsTaken(type: String, status: Int) async throws {
        let answer = try await api.submit(#"{"task_type":"echo"}"#, headers: [.contentType: type])
        #expect(answer.status == status)
        if status == 415 { #expect(try answer.problem().title == "Unsupported media type") }
    }

    @Test func compressedBodiesAreRefused() async throws {
        #expect(try await api.submit(#"{"task_type":"echo"}"#, headers: [.contentEncoding: "gzip"]).status == 415)
    }

    @Test func theIdempotencyHeaderIsTheFieldOfTheBody() async throws {
        for (header, key) in [("k", "k"), ("\"k 1\"", "k 1")] {
            #expect(try await api.submit(#"{"task_type":"echo"}"#, headers: [.idempotencyKey: header]).status == 202)
            #expect(api.service.submitted.last?.idempotency?.key == key)
        }
        let count = api.service.submitted.count
        for (header, body, pointer) in [
            ("\"\"", #"{"task_type":"echo"}"#, "Idempotency-Key"),
            ("k", #"{"task_type":"echo","idempotency_key":"l"}"#, "/idempotency_key"),
        ] {
            let answer = try await api.submit(body, headers: [.idempotencyKey: header])
            #expect(answer.status == 422)
            #expect(try answer.problem().errors.map(\.pointer) == [pointer])
        }
        #expect(api.service.submitted.count == count)
    }

    @Test(arguments: [
        (SubmissionRefusal.full(retryAfter: 7), 503, "7" as String?), (.unavailable("no majority"), 503, "1"),
        (.unknownTaskType(nearest: "echo"), 422, nil), (.unknownParents([1]), 422, nil),
        (.unconfirmed(Samples.id), 504, nil),
        (.diskFull([FullDisk(node: Samples.node(1), folder: "/var/a")]), 507, nil),
    ])
    func refusalsAreProblems(refusal: SubmissionRefusal, status: Int, retryAfter: String?) async throws {
        api.service.update { $0.refusal = refusal }
        let answer = try await api.submit(#"{"task_type":"ecko"}"#)
        #expect(answer.status == status)
        #expect(answer.headers[.retryAfter] == retryAfter)
        let problem = try answer.problem()
        if case .unconfirmed(let id) = refusal { #expect(problem.id == id) }
        if case .unknownParents = refusal { #expect(problem.errors.map(\.pointer) == ["/depends_on/1"]) }
        if case .diskFull = refusal { #expect(problem.detail.contains("free space in /var/a of node-1")) }
        if case .unknownTaskType = refusal { #expect(problem.detail.contains(#""ecko", did you mean "echo"?"#)) }
    }

    // MARK: Waiting

    @Test(arguments: ["?wait=20", ""])
    func aWaitThatSeesTheEndAnswersTheTask(query: String) async throws {
        let headers: HTTPFields = query.isEmpty ? [.prefer: "respond-async, wait=90"] : [:]
        async let pending = api.submit(#"{"task_type":"echo"}"#, to: "/api/tasks" + query, headers: headers)
        let id = try await eventually { api.service.update { $0.waiters.first { !$0.value.isEmpty }?.key } }
        api.service.finish(id, result: "[ 7 ]")
        let answer = try await pending
        #expect(answer.status == 200)
        #expect(answer.text.hasSuffix(#""result":[ 7 ]}"#))
        #expect(answer.headers[.location] == "/api/tasks/\(id)")
        #expect(answer.headers[.preferenceApplied] == (query.isEmpty ? "wait=60" : nil))
    }

    @Test(arguments: ["-1", "60.1", "x", "", "nan", "inf"])
    func aBadWaitIsRefused(wait: String) async throws {
        let answer = try await api.submit(#"{"task_type":"echo"}"#, to: "/api/tasks?wait=\(wait)")
        #expect(answer.status == 422)
        #expect(try answer.problem().errors.map(\.pointer) == ["?wait"])
        #expect(api.service.submitted.isEmpty)
    }

    @Test(arguments: [
        ("wait=5", Wait(duration: .seconds(5), isPreference: true)),
        ("WAIT = 5", Wait(duration: .seconds(5), isPreference: true)),
        ("a, wait=61;x=y", Wait(duration: .seconds(60), isPreference: true)), ("wait=0", nil), ("wait=x", nil),
        ("", nil),
        ("wait", nil), (",;", nil),
    ])
    func preferencesAreReadOrIgnored(header: String, wait: Wait?) throws {
        #expect(try Wait.parse(query: nil, prefer: [header]) == wait)
    }

    // MARK: Getting, listing, cancelling

    @Test(arguments: [
        (TaskLookup.unknown, 404), (.expired, 410), (.unavailable("node-2 is away"), 503), (.found(Samples.task), 200),
        (.archived(Array("{}".utf8)), 200), (.archived(Array("{".utf8)), 500),
    ])
    func lookupsAreAnswered(lookup: TaskLookup, status: Int) async throws {
        api.service.update { $0.lookups[Samples.id] = lookup }
        for path in ["/api/tasks/\(Samples.id)", "/tasks/\(Samples.id.description.uppercased())"] {
            let answer = try await api(.get, path)
            #expect(answer.status == status)
            if status != 200 { _ = try answer.problem() }
            if status == 503 { #expect(answer.headers[.retryAfter] == "1") }
        }
    }

    @Test func whatIsNoIdIsNotFound() async throws {
        #expect(try await api(.get, "/api/tasks/12").problem().status == 404)
    }

    @Test(arguments: [
        (CancelOutcome.cancelled(Samples.task), 200), (.requested(Samples.task), 202), (.finished(Samples.task), 409),
        (.archived, 409),
        (.unknown, 404), (.unavailable("x"), 503),
    ])
    func cancellingIsAnswered(outcome: CancelOutcome, status: Int) async throws {
        api.service.update { $0.cancels[Samples.id] = outcome }
        let answer = try await api(.delete, "/api/tasks/\(Samples.id)")
        #expect(answer.status == status)
        if status >= 400 { _ = try answer.problem() }
    }

    @Test func listingPassesItsFilters() async throws {
        api.service.update { $0.page = TaskPage(tasks: [Samples.task], next: Samples.id, missing: [Samples.node(2)]) }
        let answer = try await api(
            .get, "/api/tasks?status=failed,pending&queue=mail&task_type=a%20b&limit=7&cursor=\(Samples.id)")
        #expect(
            api.service.update { $0.queries } == [
                TaskQuery(statuses: [.failed, .pending], queue: "mail", taskType: "a b", limit: 7, before: Samples.id)
            ])
        let list = try answer.decoded(as: TaskListDocument.self)
        #expect(list.nextCursor == Samples.id)
        #expect(list.missing == ["node-2"])
        #expect(!answer.text.contains("payload"))
    }

    @Test(arguments: [
        ("limit=0", "?limit"), ("limit=1001", "?limit"), ("limit=x", "?limit"), ("status=done", "?status"),
        ("status=", "?status"),
        ("cursor=1", "?cursor"), ("limt=1", "?limt"), ("limit=1&limit=2", "?limit"),
    ])
    func badFiltersAreRefused(query: String, pointer: String) async throws {
        let answer = try await api(.get, "/api/tasks?\(query)")
        #expect(answer.status == 422)
        #expect(try answer.problem().errors.map(\.pointer) == [pointer])
        #expect(api.service.update { $0.queries }.isEmpty)
    }
}
