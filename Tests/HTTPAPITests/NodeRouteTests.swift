import APIModel
import HTTPTypes
import Service
import Testing

@testable import HTTPAPI

@Suite struct NodeRouteTests {
    let api = Routes()

    @Test func reportsAreAnswered() async throws {
        #expect(
            try await api(.get, "/api/cluster").decoded(as: ClusterDocument.self) == ClusterDocument(Samples.cluster))
        #expect(try await api(.get, "/workers").decoded(as: WorkersDocument.self) == WorkersDocument(Samples.workers))
        #expect(try await api(.get, "/queues").decoded(as: QueuesDocument.self) == QueuesDocument(Samples.queues))
        #expect(try await api(.get, "/api/queues/mail").decoded(as: QueueDocument.self).depth["pending"] == 3)
        #expect(try await api(.get, "/api/queues/none").problem().status == 404)
        #expect(try await api(.get, "/health").decoded(as: HealthDocument.self) == HealthDocument(Samples.health))
    }

    @Test func probesTellWhetherTheNodeIsFit() async throws {
        #expect(try await api(.get, "/livez").status == 200)
        #expect(try await api(.get, "/readyz").status == 200)
        api.service.update { state in
            state.isLive = false
            state.unreadiness = "it drains"
        }
        #expect(try await api(.get, "/livez").problem().status == 503)
        #expect(try await api(.get, "/readyz").problem().detail == "it drains")
    }

    @Test func recoveryIsToldAndDone() async throws {
        let told = try await api(.get, "/api/cluster/recovery").decoded(as: RecoveryDocument.self)
        #expect(told == RecoveryDocument(Samples.recovery))
        #expect(told.missingVoters.map(\.hasOtherDisk) == [false, true])
        #expect(told.lostLedgers.map(\.founder) == ["node-3"])
        #expect(told.forcedView == nil)
        let done = try await api(.post, "/api/cluster/recover").decoded(as: RecoveryDocument.self)
        #expect(done == RecoveryDocument(Samples.recovery, forcedView: 1_500_000))
    }

    @Test(arguments: [
        (RecoveryOutcome.refused("2 of 3 voters are there"), 409, nil as String?), (.unavailable("not yet"), 503, "1"),
    ])
    func aRecoveryThatIsNotDoneSaysWhy(outcome: RecoveryOutcome, status: Int, retryAfter: String?) async throws {
        api.service.update { $0.recoveryOutcome = outcome }
        let answer = try await api(.post, "/api/cluster/recover")
        #expect(answer.status == status)
        #expect(answer.headers[.retryAfter] == retryAfter)
        switch outcome {
        case .refused(let reason), .unavailable(let reason): #expect(try answer.problem().detail == reason)
        case .forced: break
        }
    }

    @Test func aNodeWithoutAClusterHasNothingToRecover() async throws {
        api.service.update { $0.recovery = nil }
        let answer = try await api(.get, "/api/cluster/recovery")
        #expect(answer.status == 503)
        #expect(try answer.problem().detail.contains("knows of no cluster"))
    }

    @Test(arguments: [("drain", false), ("leave", true)])
    func drainingBegins(verb: String, leaves: Bool) async throws {
        #expect(try await api(.post, "/api/cluster/\(verb)").status == 202)
        _ = try await eventually { api.service.update { $0.drains == [leaves] } ? true : nil }
    }

    @Test(arguments: ["/nothing", "/api", "/api/tasks/a/b", "///", "/api/queues/", "/API/tasks", "/api/tasks/../tasks"])
    func unknownPathsAreProblems(path: String) async throws {
        let answer = try await api(.get, path)
        guard path != "/api/queues/" else { return #expect(answer.status == 200) }
        #expect(try answer.problem().status == 404)
    }

    @Test(arguments: [
        (HTTPRequest.Method.put, "/api/tasks", "GET, HEAD, OPTIONS, POST"), (.post, "/health", "GET, HEAD, OPTIONS"),
        (.get, "/api/tasks/batch", "OPTIONS, POST"),
        (.put, "/tasks/\(Samples.id)", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        (.head, "/api/cluster/drain", "OPTIONS, POST"),
    ])
    func otherMethodsAreToldWhichThereAre(method: HTTPRequest.Method, path: String, allow: String) async throws {
        let answer = try await api(method, path)
        #expect(answer.status == 405)
        #expect(answer.headers[.allow] == allow)
        #expect(try await api(.options, path).headers[.allow] == allow)
        #expect(try await api(.options, path).status == 204)
    }

    @Test(arguments: ["/api/cluster", "/docs", "/api/tasks/\(Samples.id)"])
    func headIsGetWithoutTheBody(path: String) async throws {
        let (get, head) = (try await api(.get, path), try await api(.head, path))
        #expect(head.status == get.status)
        #expect(head.headers[.contentLength] == String(get.body.count))
        #expect(head.headers[.contentType] == get.headers[.contentType])
        #expect(head.body.isEmpty)
    }

    @Test func aLongURIIsRefused() async throws {
        let answer = try await api(.get, "/api/tasks?queue=" + String(repeating: "q", count: APILimits.uriBytes))
        #expect(try answer.problem().status == 414)
    }

    @Test func pagesLoadNothing() async throws {
        for path in ["/", "/docs"] {
            let page = try await api(.get, path)
            #expect(page.headers[.contentType] == "text/html; charset=utf-8")
            #expect(!page.text.contains("http://") && !page.text.contains("https://") && !page.text.contains("<script"))
        }
        let docs = try await api(.get, "/docs").text
        for route in Route.all { #expect(docs.contains("<code>\(route.path)</code>")) }
        for kind in Problem.Kind.allCases { #expect(docs.contains("id=\"\(kind.rawValue)\"")) }
    }
}
