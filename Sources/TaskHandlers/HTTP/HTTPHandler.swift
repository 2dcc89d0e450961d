import Foundation
import NIOHTTP1
import Primitives
import TaskExecution

/// `http`: asks a web server.
///
///     {"url": "https://example.com/orders", "method": "POST", "headers": {"Authorization": "Bearer ..."},
///      "json": {"id": 7}, "timeout": 10, "expect": [200, 201]}
///
/// - `method`: GET, or POST if there is a body, unless said. `body` (a text) or `json` (sent byte for byte). `timeout`: seconds for
///   everything, 30 unless said. `expect`: statuses that are a success, 200...299 unless said.
/// - Every request carries `Idempotency-Key`, the task's id unless the payload says another one, so that a server can tell a
///   repeat; and `Apus-Fencing-Token` (run.term.attempt), of which the later one is the greater.
/// - Redirects are followed, `HandlerLimits.redirects` at most, from https to https only.
///
/// The result is `{"status", "headers", "body"}`: JSON where the answer is JSON, else a text, else base64 as `body_base64`.
/// Of an answer of more than `HandlerLimits.responseBytes` the beginning is kept, as a text or base64, with `"truncated": true`.
///
/// | the answer | the attempt |
/// | --- | --- |
/// | an expected status | completes |
/// | 408, 409, 425, 429, 5xx | fails, may be tried again; after 429 and 503 when their `Retry-After` says |
/// | another one | fails for good |
/// | none: refused, unknown host, reset, timeout, TLS | fails, may be tried again |
/// | an address that `OutboundReach` refuses | fails for good |
struct HTTPHandler: TaskHandler {
    let taskType = "http"
    let client: OutboundHTTP

    func run(_ attempt: TaskAttempt) async throws -> [UInt8] {
        var request = try HTTPRequest(attempt)
        let deadline = ContinuousClock.now + request.timeout
        var redirects = 0
        while true {
            let answer = try await client.exchange(
                request.method, request.address, request.headers, request.body,
                within: max(deadline - ContinuousClock.now, .milliseconds(1)))
            if let expected = request.expected, expected.contains(answer.status) { return Self.result(answer) }
            if request.expected == nil, (200...299).contains(answer.status) { return Self.result(answer) }
            guard [301, 302, 303, 307, 308].contains(answer.status),
                let location = answer.headers.first(name: "location")
            else { throw Self.failure(answer, request) }
            redirects += 1
            guard redirects <= HandlerLimits.redirects else {
                throw HandlerError(
                    type: "too_many_redirects",
                    message: "\(request.address.withoutQuery) redirects, after \(HandlerLimits.redirects) redirects",
                    isRetryable: false)
            }
            request.follow(answer.status, to: try Self.next(location, of: request))
        }
    }

    private static func next(_ location: String, of request: HTTPRequest) throws(HandlerError) -> WebAddress {
        func refused(_ what: String) -> HandlerError {
            HandlerError(
                type: "redirect_refused",
                message: "\(request.address.withoutQuery) redirects to an address that \(what)",
                isRetryable: false)
        }
        let next: WebAddress
        do throws(WebAddress.Invalid) {
            next = try request.address.following(location)
        } catch {
            throw refused(error.description)
        }
        guard next.isSecure || !request.address.isSecure else { throw refused("is not encrypted, as this one was") }
        return next
    }

    private static func failure(_ answer: OutboundHTTP.Answer, _ request: HTTPRequest) -> HandlerError {
        let text = String(decoding: answer.body.prefix(HandlerLimits.quotedResponseBytes), as: UTF8.self)
        let isRetryable = [408, 409, 425, 429].contains(answer.status) || answer.status >= 500
        return HandlerError(
            type: "http_status",
            message: "\(request.method.rawValue) \(request.address.withoutQuery) answered \(answer.status)"
                + (text.isEmpty ? "" : ": \(text)"), isRetryable: isRetryable,
            retryAfter: [429, 503].contains(answer.status)
                ? RetryAfter.parse(answer.headers, now: RetryAfter.now) : nil)
    }

    private static func result(_ answer: OutboundHTTP.Answer) -> [UInt8] {
        var headers: [JSONValue.Member] = []
        var size = 0
        for (name, value) in answer.headers {
            let name = name.lowercased()
            size += name.utf8.count + value.utf8.count
            guard size <= HandlerLimits.responseHeaderBytes else { break }
            if let known = headers.firstIndex(where: { $0.name == name }),
                case .string(let first) = headers[known].value
            {
                headers[known].value = .string(first + ", " + value)
            } else {
                headers.append(.init(name, .string(value)))
            }
        }
        var result = Array("{\"status\":\(answer.status),\"headers\":".utf8) + JSONValue.object(headers).bytes
        if answer.isCut { result += ",\"truncated\":true".utf8 }
        let room = HandlerLimits.answeredBytes - result.count - 16
        if isJSON(answer) {
            result += ",\"body\":".utf8 + answer.body
        } else if let text = String(validating: answer.body, as: UTF8.self),
            case let encoded = JSONValue.string(text).bytes, encoded.count <= room
        {
            result += ",\"body\":".utf8 + encoded
        } else {
            result += ",\"body_base64\":".utf8
            result += JSONValue.string(Data(answer.body).base64EncodedString()).bytes
        }
        return result + [UInt8(ascii: "}")]
    }

    private static func isJSON(_ answer: OutboundHTTP.Answer) -> Bool {
        guard !answer.isCut, let type = answer.headers.first(name: "content-type") else { return false }
        let name = type.prefix { $0 != ";" }.lowercased()
        guard name.hasPrefix("application/json") || name.hasSuffix("+json") else { return false }
        return (try? JSONParser.parse(answer.body)) != nil
    }
}
