import NIOHTTP1
import Primitives
import TaskExecution
import Testing

@testable import TaskHandlers

/// Deliveries of callbacks, and how they are signed.
@Suite(.timeLimit(.minutes(1))) struct CallbackHandlerTests {
    let work: Workspace

    init() throws { work = try Workspace() }

    /// The example of the specification's reference libraries.
    @Test func signatureOfTheSpecification() throws {
        let secrets = try WebhookSecrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        #expect(
            secrets.signature(
                id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: 1_614_265_330, body: Array("{\"test\": 2432232314}".utf8)
            )
                == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
    }

    @Test func severalSecretsSignAll() throws {
        let one = WebhookSecrets.random()
        let two = WebhookSecrets.random()
        #expect(one != two)
        let both = try WebhookSecrets("# the new one first\n\(one)\n\n  \(two) \n")
        let single = try [one, two].map { try WebhookSecrets($0).signature(id: "i", timestamp: 1, body: []) }
        #expect(both.signature(id: "i", timestamp: 1, body: []) == single.joined(separator: " "))
        #expect("\(both)" == "2 secrets" && !String(reflecting: both).contains("whsec"))
        #expect(!"\(dump(both))".contains(one.dropFirst(6)))
    }

    @Test(arguments: [
        "", "# whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "secret", "whsec_", "whsec_====", "whsec_MfKQ9r8GKYqrTwjUPD8I",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nMfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        String(repeating: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", count: HandlerLimits.webhookSecrets + 1),
    ])
    func whatIsNoSecretIsRefusedAndNotRepeated(text: String) {
        let error = #expect(throws: WebhookSecrets.Invalid.self) { try WebhookSecrets(text) }
        #expect(error?.description.contains("MfKQ") == false)
    }

    private func deliver(
        to url: String, _ message: String = "{\"type\":\"task.completed\", \"n\":1.50}", secrets: WebhookSecrets?
    ) async throws -> [UInt8] {
        let payload = Array("{\"url\":\"\(url)\",\"message\":\(message)}".utf8)
        return try await CallbackHandler(client: work.http, secrets: secrets).run(try work.attempt(payload))
    }

    @Test func theMessageIsSentAsItIsAndSigned() async throws {
        let server = try await WebServer { _ in .init(204) }
        let secrets = try WebhookSecrets(WebhookSecrets.random())
        let result = try await deliver(to: server.url + "/hook", secrets: secrets)
        #expect(result == Array("{\"status\":204}".utf8))
        let request = try #require(server.requests.first)
        #expect(request.method == "POST" && request.target == "/hook")
        #expect(request.body == Array("{\"type\":\"task.completed\", \"n\":1.50}".utf8))
        let id = "\(try work.attempt([]).id)"
        let timestamp = try #require(request.headers.first(name: "webhook-timestamp").flatMap { Int64($0) })
        #expect(request.headers.first(name: "webhook-id") == id)
        #expect(abs(timestamp - RetryAfter.now.milliseconds / 1000) < 60)
        #expect(
            request.headers.first(name: "webhook-signature")
                == secrets.signature(id: id, timestamp: timestamp, body: request.body))
        try await server.stop()
    }

    @Test(arguments: [(400, true), (404, true), (410, false), (302, true), (500, true), (503, true)])
    func onlyGoneIsForGood(status: Int, isRetryable: Bool) async throws {
        let server = try await WebServer { _ in .init(status, ["Location": "/elsewhere", "Retry-After": "9"]) }
        let secrets = try WebhookSecrets(WebhookSecrets.random())
        let error = try #require(
            await #expect(throws: HandlerError.self) { try await deliver(to: server.url, secrets: secrets) })
        #expect(error.isRetryable == isRetryable && server.requests.count == 1)
        #expect(error.retryAfter == (status == 503 ? .seconds(9) : nil))
        try await server.stop()
    }

    @Test func withoutASecretNothingIsSent() async throws {
        let server = try await WebServer { _ in .init(200) }
        let error = try #require(
            await #expect(throws: HandlerError.self) { try await deliver(to: server.url, secrets: nil) })
        #expect(error.type == "no_callback_secret" && error.isRetryable && server.requests.isEmpty)
        try await server.stop()
    }
}
