import APIModel
import HTTPTypes
import Primitives
import Service
import TaskLedger
import Testing

@testable import HTTPAPI

@Suite struct ChangeRouteTests {
    let api = Routes()

    private func patch(_ body: String, type: String = "application/json") async throws -> Answer {
        try await api(.patch, "/api/tasks/\(Samples.id)", headers: [.contentType: type], body: body)
    }

    // MARK: Changing

    @Test(arguments: [
        (#"{"priority":8}"#, TaskWish.change(priority: .high, delay: nil)),
        (#"{"priority":"low"}"#, .change(priority: .low, delay: nil)),
        (#"{"run_at":null}"#, .change(priority: nil, delay: 0)),
        (#"{"run_at":"2027-01-15T08:00:01.5Z","priority":null}"#, .change(priority: nil, delay: 1500)),
        (#"{"run_at":"2020-01-15T08:00:00Z"}"#, .change(priority: nil, delay: 0)),
    ])
    func aChangeIsPassedOn(body: String, wish: TaskWish) async throws {
        api.service.update { $0.wishes[Samples.id] = .done(Samples.task) }
        let answer = try await patch(body)
        #expect(answer.status == 200)
        #expect(try answer.decoded(as: TaskDocument.self).id == Samples.id)
        #expect(api.service.update { $0.wished } == [wish])
    }

    @Test(arguments: [
        ("[]", ""), ("null", ""), ("{}", ""), (#"{"priority":null}"#, ""), (#"{"priority":11}"#, "/priority"),
        (#"{"priority":"urgent"}"#, "/priority"), (#"{"priority":true}"#, "/priority"),
        (#"{"run_at":5}"#, "/run_at"), (#"{"run_at":"tomorrow"}"#, "/run_at"),
        (#"{"run_at":"2099-01-01T00:00:00Z"}"#, "/run_at"), (#"{"queue":"a"}"#, "/queue"),
        (#"{"priority":1,"priority":2}"#, "/priority"),
    ])
    func aBadChangeIsRefusedWithItsField(body: String, pointer: String) async throws {
        let answer = try await patch(body)
        #expect(answer.status == 422)
        #expect(try answer.problem().errors.map(\.pointer) == [pointer])
        #expect(api.service.update { $0.wished }.isEmpty)
    }

    @Test func whatIsNotJSONIsRefused() async throws {
        #expect(try await patch("{").status == 400)
        #expect(try await patch("{}", type: "text/plain").status == 415)
        #expect(api.service.update { $0.wished }.isEmpty)
    }

    @Test(arguments: [
        (WishOutcome.refused(.running, Samples.task), 409), (.refused(.ended, nil), 409),
        (.refused(.notEnded, Samples.task), 409), (.refused(.completed, nil), 409), (.refused(.noLetter, nil), 409),
        (.refused(.wouldExpire, nil), 422), (.refused(.full, nil), 503), (.refused(.unsettled, nil), 503),
        (.archived, 409), (.unknown, 404), (.unavailable("x"), 503), (.unconfirmed("x"), 504),
        (.done(Samples.task), 200),
    ])
    func outcomesAreAnswered(outcome: WishOutcome, status: Int) async throws {
        api.service.update { $0.wishes[Samples.id] = outcome }
        for answer in [try await patch(#"{"priority":1}"#), try await api(.post, "/tasks/\(Samples.id)/retry")] {
            #expect(answer.status == status)
            if status >= 400 { _ = try answer.problem() }
        }
        #expect(api.service.update { $0.wished } == [.change(priority: Priority(1), delay: nil), .retry])
    }

    @Test func idsHaveToBeIDs() async throws {
        for (method, path) in [
            (HTTPRequest.Method.patch, "/api/tasks/12"), (.post, "/api/tasks/12/retry"), (.get, "/api/tasks/12/why"),
            (.get, "/api/tasks/12/events"), (.get, "/api/dead-letters/12"), (.post, "/api/dead-letters/12/purge"),
        ] {
            let answer = try await api(method, path, body: method == .patch ? #"{"priority":1}"# : nil)
            #expect(answer.status == 404, "\(path)")
        }
    }

    // MARK: Histories

    @Test func theHistoryAndTheReasonAreTold() async throws {
        api.service.update { $0.story = .found(Samples.story) }
        let events = try await api(.get, "/api/tasks/\(Samples.id)/events").decoded(as: EventsDocument.self)
        #expect(events.events.count == TaskTransition.Kind.allCases.count + 1)
        #expect(events.events.first?.event == "accepted")
        #expect(events.events.last?.node == nil)
        #expect(events.cut == 4)
        let why = try await api(.get, "/tasks/\(Samples.id)/why").decoded(as: WhyDocument.self)
        #expect(why.reason == "behind")
        #expect(why.ahead == 7)
        #expect(why.status == "failed")
    }

    @Test(arguments: [
        (StoryLookup.unknown, 404, 404, nil as String?), (.expired, 410, 200, "ended"),
        (.archived(Array("{}".utf8)), 410, 200, "ended"),
        (.unavailable("node-2 is away"), 503, 200, "owner_unreachable"),
    ])
    func whatNoOwnerTellsIsSaid(lookup: StoryLookup, events: Int, why: Int, reason: String?) async throws {
        api.service.update { $0.story = lookup }
        #expect(try await api(.get, "/api/tasks/\(Samples.id)/events").status == events)
        let answer = try await api(.get, "/api/tasks/\(Samples.id)/why")
        #expect(answer.status == why)
        if let reason { #expect(try answer.decoded(as: WhyDocument.self).reason == reason) }
    }

    // MARK: Dead letters

    @Test func lettersAreListedByTheirFilter() async throws {
        api.service.update { $0.page = TaskPage(tasks: [Samples.task], next: nil, missing: []) }
        let answer = try await api(
            .get, "/api/dead-letters?queue=mail&task_type=a&age=1.5&error=time%20out&limit=7&cursor=\(Samples.id)")
        #expect(answer.status == 200)
        #expect(
            api.service.update { $0.queries } == [
                TaskQuery(
                    statuses: [.failed], queue: "mail", taskType: "a", age: .milliseconds(1500), error: "time out",
                    limit: 7, before: Samples.id)
            ])
    }

    @Test(arguments: [
        ("age=-1", "?age"), ("age=x", "?age"), ("limit=0", "?limit"), ("cursor=1", "?cursor"),
        ("status=failed", "?status"),
        ("error=" + String(repeating: "a", count: 257), "?error"),
    ])
    func badQueriesAreRefused(query: String, pointer: String) async throws {
        let answer = try await api(.get, "/api/dead-letters?\(query)")
        #expect(answer.status == 422)
        #expect(try answer.problem().errors.map(\.pointer) == [pointer])
    }

    @Test(arguments: [
        (nil as String?, LetterSweep(isPurge: false)), ("{}", LetterSweep(isPurge: false)),
        (
            #"{"queue":"mail","task_type":"a","age":60,"error":"timeout"}"#,
            LetterSweep(isPurge: false, queue: "mail", taskType: "a", age: .seconds(60), error: "timeout")
        ), (#"{"queue":null,"age":0.25}"#, LetterSweep(isPurge: false, age: .milliseconds(250))),
    ])
    func sweepsArePassedOn(body: String?, sweep: LetterSweep) async throws {
        for verb in ["retry", "purge"] {
            let answer = try await api(.post, "/api/dead-letters/\(verb)", body: body)
            #expect(answer.status == 200)
            let document = try answer.decoded(as: SweepDocument.self)
            #expect((document.action, document.count, document.left) == (verb == "retry" ? "retried" : "purged", 3, 1))
        }
        var purge = sweep
        purge.isPurge = true
        #expect(api.service.update { $0.sweeps } == [sweep, purge])
    }

    @Test(arguments: [
        ("[]", ""), (#"{"queue":"A"}"#, "/queue"), (#"{"queue":1}"#, "/queue"), (#"{"task_type":""}"#, "/task_type"),
        (#"{"age":-1}"#, "/age"), (#"{"error":5}"#, "/error"), (#"{"older":5}"#, "/older"),
        (#"{"age":1,"age":1}"#, "/age"),
    ])
    func badFiltersAreRefusedAndNothingIsSwept(body: String, pointer: String) async throws {
        let answer = try await api(.post, "/api/dead-letters/purge", body: body)
        #expect(answer.status == 422)
        #expect(try answer.problem().errors.map(\.pointer) == [pointer])
        #expect(api.service.update { $0.sweeps }.isEmpty)
    }

    @Test func onlyALetterIsALetter() async throws {
        let path = "/api/dead-letters/\(Samples.id)"
        api.service.update { $0.lookups[Samples.id] = .found(Samples.task) }
        #expect(try await api(.get, path).status == 200)
        var other = Samples.task
        other.status = .cancelled
        api.service.update { [other] in $0.lookups[Samples.id] = .found(other) }
        #expect(try await api(.get, path).status == 404)
        #expect(try await api(.post, path + "/retry").status == 409)
        #expect(api.service.update { $0.wished }.isEmpty)
        api.service.update { $0.lookups[Samples.id] = .archived(Array("{}".utf8)) }
        #expect(try await api(.get, path).status == 404)
        api.service.update { $0.wishes[Samples.id] = .done(nil) }
        #expect(try await api(.post, path + "/purge").status == 200)
    }

    // MARK: Earlier states

    @Test(arguments: ["2027-01-15T07:59:59Z", "2027-01-15T09:59:59%2B02:00", "2027-01-15T09:59:59+02:00"])
    func anEarlierStateIsToldInAnyTimeZone(time: String) async throws {
        var earlier = Samples.task
        earlier.status = .processing
        earlier.owner = nil
        let moment = Timestamp(milliseconds: Samples.time.milliseconds - 1000)
        api.service.update { [earlier] in $0.earlier[moment] = .found(earlier) }
        let answer = try await api(.get, "/api/tasks/\(Samples.id)?at=\(time)")
        #expect(answer.status == 200)
        let task = try answer.decoded(as: TaskDocument.self)
        #expect(task.status == "processing")
        #expect(task.node == nil)
    }

    @Test(arguments: [
        ("at=yesterday", "?at"), ("at=", "?at"), ("at=2027-01-15T07:59:59", "?at"), ("at=2999-01-01T00:00:00Z", "?at"),
        ("at=2020-01-01T00:00:00Z&wait=5", "?wait"),
    ])
    func timesThatCannotBeAskedForAreRefused(query: String, pointer: String) async throws {
        let answer = try await api(.get, "/api/tasks/\(Samples.id)?\(query)")
        #expect(answer.status == 422)
        #expect(try answer.problem().errors.map(\.pointer) == [pointer])
    }

    @Test(arguments: [
        (EarlierLookup.notAccepted(at: Samples.time), 404), (.notKept(since: Samples.time), 410), (.archived, 410),
        (.expired, 410), (.unknown, 404), (.unavailable("away"), 503),
    ])
    func whatIsNotKnownOfThePastIsSaid(lookup: EarlierLookup, status: Int) async throws {
        api.service.update { $0.earlier[Samples.time] = lookup }
        let answer = try await api(.get, "/api/tasks/\(Samples.id)?at=2027-01-15T08:00:00Z")
        #expect(answer.status == status)
        #expect(try answer.problem().detail.isEmpty == false)
    }
}
