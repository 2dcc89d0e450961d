import NIOHTTP1
import Primitives
import TaskExecution
import TaskLedger

/// Delivers what is told of the end of a task (`TaskLedger/Callbacks`), as a message of Standard Webhooks.
///
/// POST of the message with the headers `webhook-id` (the delivery's id: the same at each repeat, and after a manual retry of
/// the delivery), `webhook-timestamp` and `webhook-signature`. As the specification advises:
///
/// - Any 2xx is a success. 410 says that nobody wants it any more: it fails for good. Everything else is tried again, also
///   what says that the request is wrong, since receivers are mended; `Retry-After` of 429, 502, 503 and 504 is kept to.
/// - Redirects are not followed: they are failures.
struct CallbackHandler: TaskHandler {
    let taskType = TaskSpec.deliveryType
    let client: OutboundHTTP
    /// Nil: this node has none, and leaves deliveries to others.
    let secrets: WebhookSecrets?

    func run(_ attempt: TaskAttempt) async throws -> [UInt8] {
        guard let secrets else {
            throw HandlerError(
                type: "no_callback_secret",
                message:
                    "\(attempt.node) has no secret to sign callbacks with: start it with the --callback-secrets of the "
                    + "other nodes", isRetryable: true)
        }
        let members = try JSONParser.members(of: attempt.payload)
        guard let message = members["message"], let url = members["url"],
            case .string(let text) = try JSONParser.parse(Array(url)), let address = try? WebAddress(text)
        else { throw HandlerError.invalidPayload("the payload is no message with a URL") }
        let body = Array(message)
        let id = "\(attempt.id)"
        let seconds = RetryAfter.now.milliseconds / 1000
        let headers: HTTPHeaders = [
            "Content-Type": "application/json", "User-Agent": "apus/1", "webhook-id": id,
            "webhook-timestamp": "\(seconds)",
            "webhook-signature": secrets.signature(id: id, timestamp: seconds, body: body),
        ]
        let limit = Duration.milliseconds(Int64(TaskSpec.deliveryTimeout)) - .seconds(1)
        let answer = try await client.exchange(.POST, address, headers, body, within: limit)
        guard (200...299).contains(answer.status) else {
            let text = String(decoding: answer.body.prefix(HandlerLimits.quotedResponseBytes), as: UTF8.self)
            throw HandlerError(
                type: "http_status",
                message: "POST \(address.withoutQuery) answered \(answer.status)" + (text.isEmpty ? "" : ": \(text)"),
                isRetryable: answer.status != 410,
                retryAfter: [429, 502, 503, 504].contains(answer.status)
                    ? RetryAfter.parse(answer.headers, now: RetryAfter.now) : nil)
        }
        return Array("{\"status\":\(answer.status)}".utf8)
    }
}
