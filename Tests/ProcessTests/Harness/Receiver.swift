import Crypto
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Primitives
import Synchronization

/// Somebody who is told of the ends of tasks: verifies what it is told as the specification of Standard Webhooks says.
final class Receiver: Sendable {
    struct Message: Hashable, Sendable, Decodable {
        struct Content: Hashable, Sendable, Decodable {
            var id: TaskID
            var status: String
            var run: UInt32
        }

        var type: String
        var data: Content
    }

    /// One POST that came.
    struct Delivery: Hashable, Sendable {
        var id: String
        var message: Message
    }

    private struct Heard {
        var deliveries: [Delivery] = []
        /// What was wrong with what came.
        var faults: [String] = []
    }

    private let channel: any Channel
    private let heard: Ears

    private final class Ears: Sendable {
        let key: [UInt8]
        let all = Mutex(Heard())

        init(key: [UInt8]) { self.key = key }

        func take(_ headers: HTTPHeaders, _ body: [UInt8]) {
            let result = Result { try verify(headers, body) }
            all.withLock { heard in
                switch result {
                case .success(let delivery): heard.deliveries.append(delivery)
                case .failure(let error): heard.faults.append("\(error)")
                }
            }
        }

        private func verify(_ headers: HTTPHeaders, _ body: [UInt8]) throws -> Delivery {
            guard let id = headers.first(name: "webhook-id"),
                let timestamp = headers.first(name: "webhook-timestamp"), let seconds = Int64(timestamp),
                let signatures = headers.first(name: "webhook-signature")
            else { throw HarnessError("a header is missing: \(headers)") }
            guard abs(seconds - wallClock / 1000) < 300 else { throw HarnessError("it was sent at \(seconds)") }
            let isGenuine = signatures.split(separator: " ").contains { signature in
                guard signature.hasPrefix("v1,"), let code = Data(base64Encoded: String(signature.dropFirst(3))) else {
                    return false
                }
                return HMAC<SHA256>.isValidAuthenticationCode(
                    code, authenticating: Array("\(id).\(timestamp).".utf8) + body, using: SymmetricKey(data: key))
            }
            guard isGenuine else { throw HarnessError("\(signatures) is no signature of \(id)") }
            return Delivery(id: id, message: try JSONDecoder().decode(Message.self, from: Data(body)))
        }
    }

    /// - Parameter secret: `whsec_...`
    init(port: UInt16, secret: String) async throws {
        guard let key = Data(base64Encoded: String(secret.dropFirst(6))) else { throw HarnessError("no secret") }
        let heard = Ears(key: Array(key))
        self.heard = heard
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.pipeline.configureHTTPServerPipeline().flatMapThrowing {
                    try channel.pipeline.syncOperations.addHandler(Handler(heard))
                }
            }
            .bind(host: "127.0.0.1", port: Int(port)).get()
    }

    func stop() async throws { try await channel.close() }

    var deliveries: [Delivery] { heard.all.withLock { $0.deliveries } }
    var faults: [String] { heard.all.withLock { $0.faults } }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let heard: Ears
        private var headers = HTTPHeaders()
        private var body: [UInt8] = []

        init(_ heard: Ears) { self.heard = heard }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head):
                headers = head.headers
                body = []
            case .body(let part): body += part.readableBytesView
            case .end:
                heard.take(headers, body)
                let head = HTTPResponseHead(version: .http1_1, status: .noContent)
                context.write(wrapOutboundOut(.head(head)), promise: nil)
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            }
        }

        // A node that is killed in the middle is what tests do.
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
