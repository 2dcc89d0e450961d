import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOPosix
import Primitives
import TaskExecution

/// The HTTP client of a node's handlers: one for all of them, so that connections are used again.
///
/// - An address that `reach` does not allow is refused once it is known, before anything is sent.
/// - An answer is read up to `HandlerLimits.responseBytes`; what comes after that is not waited for.
/// - It follows no redirects by itself, and does not try again: a task has retries of its own.
/// - Environment variables that name proxies are not looked at.
public final class OutboundHTTP: Sendable {
    struct Answer: Sendable {
        var status: Int
        var headers: HTTPHeaders
        var body: [UInt8]
        /// There was more of it.
        var isCut: Bool
    }

    private struct Refused: Error {
        var address: String
        var reason: String
    }

    private let client: HTTPClient
    private let reach: OutboundReach

    public init(reach: OutboundReach) {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.httpVersion = .http1Only
        configuration.timeout.connect = .seconds(10)
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.connectionPool.idleTimeout = .seconds(30)
        configuration.http1_1ConnectionDebugInitializer = { channel in
            guard let address = channel.remoteAddress, let reason = reach.refusal(of: address) else {
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            // Not at once: the pool, which is told of the failure first, must not hear of a connection that it knows no more.
            channel.eventLoop.scheduleTask(in: .seconds(1)) { channel.close(promise: nil) }
            return channel.eventLoop.makeFailedFuture(
                Refused(address: address.ipAddress ?? "\(address)", reason: reason))
        }
        client = HTTPClient(eventLoopGroup: HTTPClient.defaultEventLoopGroup, configuration: configuration)
        self.reach = reach
    }

    /// Ends all connections. Nothing may be asked after this.
    public func shutdown() async throws { try await client.shutdown() }

    /// One request, one answer.
    ///
    /// - Throws: `HandlerError` if there is none, or that it was cancelled.
    func exchange(
        _ method: HTTPMethod, _ address: WebAddress, _ headers: HTTPHeaders, _ body: [UInt8]?, within limit: Duration
    ) async throws -> Answer {
        // An address in digits need not even be connected to. One in another guise is seen then.
        if let numeric = try? SocketAddress(ipAddress: address.host, port: Int(address.port)),
            let reason = reach.refusal(of: numeric)
        {
            throw Self.failure(Refused(address: address.host, reason: reason), method, address, limit)
        }
        var request = HTTPClientRequest(url: address.description)
        request.method = method
        request.headers = headers
        if let body { request.body = .bytes(ByteBuffer(bytes: body)) }
        do {
            return try await Self.limited(to: limit) { [client, request] in
                let response = try await client.execute(request, timeout: .nanoseconds(limit.nanoseconds))
                var answer = Answer(
                    status: Int(response.status.code), headers: response.headers, body: [], isCut: false)
                for try await part in response.body {
                    answer.body += part.readableBytesView.prefix(HandlerLimits.responseBytes - answer.body.count + 1)
                    guard answer.body.count > HandlerLimits.responseBytes else { continue }
                    answer.body.removeLast()
                    answer.isCut = true
                    break
                }
                return answer
            }
        } catch {
            // What the client tells of a cancelled request is not always a cancellation.
            try Task.checkCancellation()
            throw Self.failure(error, method, address, limit)
        }
    }

    private struct TimeIsUp: Error {}

    /// The client's own limit ends with the head of an answer.
    private static func limited<Value: Sendable>(
        to limit: Duration, _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        try await withThrowingTaskGroup(of: Value.self) { group in
            group.addTask(operation: body)
            group.addTask {
                try await Task.sleep(for: limit)
                throw TimeIsUp()
            }
            defer { group.cancelAll() }
            guard let first = try await group.next() else { throw TimeIsUp() }
            return first
        }
    }

    private static func failure(
        _ error: any Error, _ method: HTTPMethod, _ address: WebAddress, _ limit: Duration
    ) -> HandlerError {
        let what = "\(method.rawValue) \(address.withoutQuery)"
        let late = HandlerError(
            type: "http_timeout", message: "\(what): no answer within \(Double(limit.milliseconds) / 1000) s",
            isRetryable: true)
        let timeouts: [HTTPClientError] = [
            .deadlineExceeded, .connectTimeout, .readTimeout, .tlsHandshakeTimeout, .getConnectionFromPoolTimeout,
        ]
        switch error {
        case let refused as Refused:
            return HandlerError(
                type: "address_refused",
                message:
                    "\(what): \(refused.address) \(refused.reason), and this node's --outbound does not allow that",
                isRetryable: false)
        case is TimeIsUp: return late
        case let error as HTTPClientError where timeouts.contains(error): return late
        case let error as NIOConnectionError:
            let reason =
                error.dnsAError != nil || error.dnsAAAAError != nil
                ? "the host is not known" : error.connectionErrors.first.map { "\($0.error)" } ?? "no address answers"
            return HandlerError(
                type: "http_unreachable", message: "\(what): \(reason)", isRetryable: true)
        default:
            return HandlerError(type: "http_unreachable", message: "\(what): \(error)", isRetryable: true)
        }
    }
}

extension WebAddress {
    /// For messages: a query may have secrets.
    var withoutQuery: String { String(description.prefix { $0 != "?" }) }
}
