import NIOCore
import NIOHTTP1
import Primitives
import TaskExecution
import Testing

@testable import TaskHandlers

/// `http` against a real server on loopback.
@Suite(.timeLimit(.minutes(1))) struct HTTPHandlerTests {
    let work: Workspace

    init() throws { work = try Workspace() }

    private func run(_ payload: String) async throws -> JSONValue { try await work.run("http", payload) }
    private func failure(_ payload: String) async throws -> HandlerError { try await work.failure("http", payload) }

    @Test func asksAndTellsWhatWasAnswered() async throws {
        let server = try await WebServer { _ in
            .init(201, ["Content-Type": "application/json; charset=utf-8", "X-A": "1", "x-a": "2"], "{\"n\":1e400}")
        }
        let text = try await work.run(
            "http", "{\"url\":\"\(server.url)/orders?x=1\",\"method\":\"GET\",\"headers\":{\"X-Mine\":\"v\"}}")
        #expect(text["status"]?.count == 201)
        // A number that no type of ours can hold is no JSON to us: the text is kept.
        #expect(text["body"] == .string("{\"n\":1e400}"))
        #expect(text["headers"]?["x-a"] == .string("1, 2"))
        let request = try #require(server.requests.first)
        #expect(request.method == "GET" && request.target == "/orders?x=1")
        #expect(request.headers.first(name: "x-mine") == "v")
        #expect(request.headers.first(name: "idempotency-key") == "\(try work.attempt([]).id)")
        #expect(request.headers.first(name: "apus-fencing-token") == "1.1.1")
        #expect(request.headers.first(name: "user-agent") == "apus/1")
        try await server.stop()
    }

    @Test func bodiesGoByteForByteBothWays() async throws {
        let server = try await WebServer { request in
            .init(200, ["Content-Type": "application/vnd.x+json"], String(decoding: request.body, as: UTF8.self))
        }
        let json = "{\"n\":1.500, \"m\":12345678901234567890}"
        let handler = try #require(BuiltinHandlers.all(http: work.http).first { $0.taskType == "http" })
        let payload = "{\"url\":\"\(server.url)\",\"json\":\(json),\"headers\":{\"Idempotency-Key\":\"mine\"}}"
        let result = try await handler.run(try work.attempt(Array(payload.utf8)))
        #expect(String(decoding: result, as: UTF8.self).hasSuffix("\"body\":\(json)}"))
        let request = try #require(server.requests.first)
        #expect(request.method == "POST" && request.body == Array(json.utf8))
        #expect(request.headers.first(name: "content-type") == "application/json")
        #expect(request.headers[canonicalForm: "idempotency-key"] == ["mine"])
        let answer = try await run("{\"url\":\"\(server.url)\",\"body\":\"\",\"method\":\"put\"}")
        #expect(answer["body"] == .string(""))
        #expect(server.requests.last?.method == "PUT")
        try await server.stop()
    }

    @Test(arguments: [
        (400, false), (401, false), (404, false), (410, false), (422, false), (451, false), (408, true), (409, true),
        (425, true), (429, true), (500, true), (502, true), (503, true), (599, true), (304, false), (300, false),
    ])
    func statusesSayWhetherToTryAgain(status: Int, isRetryable: Bool) async throws {
        let server = try await WebServer { _ in .init(status, [:], status == 304 ? "" : "why not") }
        let error = try await failure("{\"url\":\"\(server.url)/p?secret\"}")
        #expect(error.type == "http_status" && error.isRetryable == isRetryable && error.retryAfter == nil)
        #expect(error.message.hasPrefix("GET \(server.url)/p answered \(status)"))
        #expect(!error.message.contains("secret"))
        try await server.stop()
    }

    @Test func expectedStatusesReplaceThoseOfSuccess() async throws {
        let server = try await WebServer { .init($0.target == "/gone" ? 410 : 200) }
        #expect(try await run("{\"url\":\"\(server.url)/gone\",\"expect\":[200,410]}")["status"]?.count == 410)
        #expect(try await failure("{\"url\":\"\(server.url)\",\"expect\":[204]}").isRetryable == false)
        try await server.stop()
    }

    @Test(arguments: [
        (429, "7", Duration.seconds(7)), (503, "0", .zero), (503, "99999999999999999999", .seconds(86_400)),
        (503, "Sun, 06 Nov 1994 08:49:37 GMT", .zero), (503, "Sat, 06 Nov 2100 08:49:37 GMT", .seconds(86_400)),
        (500, "7", nil), (503, "soon", nil), (503, "-1", nil),
    ])
    func retryAfterIsKeptTo(status: Int, header: String, rest: Duration?) async throws {
        let server = try await WebServer { _ in .init(status, ["Retry-After": header]) }
        #expect(try await failure("{\"url\":\"\(server.url)\"}").retryAfter == rest)
        try await server.stop()
    }

    @Test func redirectsAreFollowed() async throws {
        let other = try await WebServer { _ in .init(200, [:], "there") }
        let place = other.url
        let server = try await WebServer { request in
            switch request.target {
            case "/see": .init(303, ["Location": "/end#x"])
            case "/same": .init(307, ["Location": "end"])
            case "/other": .init(308, ["Location": "\(place)/p"])
            case "/loop": .init(302, ["Location": "/loop"])
            case "/bad": .init(302, ["Location": "file:///etc/passwd"])
            default: .init(200, [:], request.method + String(decoding: request.body, as: UTF8.self))
            }
        }
        let url = server.url
        #expect(try await run("{\"url\":\"\(url)/see\",\"body\":\"b\"}")["body"] == .string("GET"))
        #expect(try await run("{\"url\":\"\(url)/same\",\"body\":\"b\"}")["body"] == .string("POSTb"))
        let headers = "{\"authorization\":\"Bearer s\",\"cookie\":\"c\",\"x\":\"y\"}"
        #expect(try await run("{\"url\":\"\(url)/other\",\"headers\":\(headers)}")["body"] == .string("there"))
        let told = try #require(other.requests.first).headers
        #expect(told["authorization"].isEmpty && told["cookie"].isEmpty && told.first(name: "x") == "y")
        #expect(server.requests.last?.headers.first(name: "authorization") == "Bearer s")
        let endless = try await failure("{\"url\":\"\(url)/loop\"}")
        #expect(endless.type == "too_many_redirects" && !endless.isRetryable)
        #expect(server.requests.count { $0.target == "/loop" } == HandlerLimits.redirects + 1)
        #expect(try await failure("{\"url\":\"\(url)/bad\"}").type == "redirect_refused")
        #expect(try await run("{\"url\":\"\(url)/loop\",\"expect\":[302]}")["status"]?.count == 302)
        try await server.stop()
        try await other.stop()
    }

    @Test func whoDoesNotAnswerIsTriedAgain() async throws {
        let server = try await WebServer { _ in .silence }
        let late = try await failure("{\"url\":\"\(server.url)\",\"timeout\":0.2}")
        #expect(late.type == "http_timeout" && late.isRetryable)
        let port = server.port
        try await server.stop()
        let gone = try await failure("{\"url\":\"http://127.0.0.1:\(port)\"}")
        #expect(gone.type == "http_unreachable" && gone.isRetryable)
    }

    @Test func cancellingEndsTheRequest() async throws {
        let server = try await WebServer { _ in .silence }
        let payload = "{\"url\":\"\(server.url)\"}"
        let task = Task { [work] in try await work.run("http", payload) }
        _ = await server.firstRequest()
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        try await server.stop()
    }

    @Test func longAnswersAreCutAndOthersKeptAsTheyAre() async throws {
        let server = try await WebServer { request in
            var answer = WebServer.Answer(200, ["Content-Type": "application/json"])
            answer.body = Array(repeating: UInt8(ascii: "1"), count: HandlerLimits.responseBytes)
            if request.target == "/more" { answer.body.append(UInt8(ascii: "1")) }
            if request.target == "/binary" { answer.body = [0xFF, 0x00, 0xFE] }
            if request.target == "/controls" { answer.body = Array(repeating: 1, count: HandlerLimits.responseBytes) }
            return answer
        }
        let whole = try await run("{\"url\":\"\(server.url)/whole\"}")
        // A number of so many digits is none of ours.
        #expect(whole["body"]?.text?.utf8.count == HandlerLimits.responseBytes && whole["truncated"] == nil)
        let cut = try await run("{\"url\":\"\(server.url)/more\"}")
        #expect(cut["body"]?.text?.utf8.count == HandlerLimits.responseBytes && cut["truncated"] == .boolean(true))
        #expect(try await run("{\"url\":\"\(server.url)/binary\"}")["body_base64"] == .string("/wD+"))
        let controls = try await run("{\"url\":\"\(server.url)/controls\"}")
        #expect(controls["body_base64"] != nil && controls.bytes.count <= HandlerLimits.answeredBytes)
        try await server.stop()
    }

    @Test(arguments: [
        ("{}", "payload.url is missing"), ("{\"url\":\"ftp://h\"}", "payload.url must begin with http"),
        ("{\"url\":\"http://u:p@h\"}", "payload.url must have no user name"),
        ("{\"url\":\"http://h\",\"method\":\"BREW\"}", "payload.method"),
        ("{\"url\":\"http://h\",\"body\":\"\",\"json\":1}", "payload.json"),
        ("{\"url\":\"http://h\",\"method\":\"GET\",\"body\":\"\"}", "payload.method is GET, which has no body"),
        ("{\"url\":\"http://h\",\"headers\":{\"Host\":\"i\"}}", "payload.headers.Host"),
        ("{\"url\":\"http://h\",\"headers\":{\"a b\":\"i\"}}", "payload.headers.a b"),
        ("{\"url\":\"http://h\",\"headers\":{\"a\":\"x\\r\\ny: z\"}}", "payload.headers.a"),
        ("{\"url\":\"http://h\",\"timeout\":0}", "payload.timeout"),
        ("{\"url\":\"http://h\",\"expect\":[7]}", "payload.expect"),
        ("{\"url\":\"http://h\",\"uri\":\"x\"}", "unknown member"),
    ])
    func whatIsWrongIsNamed(payload: String, message: String) async throws {
        let error = try await failure(payload)
        #expect(error.type == "invalid_payload" && !error.isRetryable && error.message.contains(message), "\(error)")
    }

    // MARK: Where it may go

    @Test(arguments: [
        ("127.0.0.1", true, false), ("10.1.2.3", true, false), ("172.31.0.1", true, false), ("172.32.0.1", true, true),
        ("192.168.0.1", true, false), ("100.64.0.1", true, false), ("8.8.8.8", true, true), ("0.0.0.0", true, false),
        ("0.1.2.3", false, false), ("169.254.169.254", false, false), ("169.254.0.1", false, false),
        ("100.100.100.200", false, false), ("168.63.129.16", false, false), ("224.0.0.1", false, false),
        ("255.255.255.255", false, false), ("::1", true, false), ("::", true, false), ("fe80::1", false, false),
        ("febf::1", false, false), ("fd00::1", true, false), ("fd00:ec2::254", false, false), ("ff02::1", false, false),
        ("2001:4860:4860::8888", true, true), ("::ffff:169.254.169.254", false, false),
        ("::ffff:127.0.0.1", true, false), ("64:ff9b::a9fe:a9fe", false, false), ("2002:a9fe:a9fe::1", false, false),
    ])
    func addresses(address: String, isPrivate: Bool, isPublic: Bool) throws {
        let address = try SocketAddress(ipAddress: address, port: 80)
        #expect((OutboundReach.private.refusal(of: address) == nil) == isPrivate)
        #expect((OutboundReach.public.refusal(of: address) == nil) == isPublic)
        #expect(OutboundReach.any.refusal(of: address) == nil)
    }

    @Test func anAddressThatIsNotAllowedIsToldNothing() async throws {
        let server = try await WebServer { _ in .init(200) }
        let strict = OutboundHTTP(reach: .public)
        let handler = HTTPHandler(client: strict)
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0x7f000001"] {
            let payload = "{\"url\":\"http://\(host):\(server.port)/\"}"
            let error = await #expect(throws: HandlerError.self) {
                try await handler.run(try work.attempt(Array(payload.utf8)))
            }
            #expect(error?.type == "address_refused" && error?.isRetryable == false, "\(host): \(error?.message ?? "")")
        }
        #expect(server.requests.isEmpty)
        try await strict.shutdown()
        try await server.stop()
    }
}
