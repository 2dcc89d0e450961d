import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// A web server on loopback that answers as a test says, and remembers what it was asked.
final class WebServer: Sendable {
    struct Request: Sendable {
        var method: String
        var target: String
        var headers: HTTPHeaders
        var body: [UInt8]
    }

    struct Answer: Sendable {
        var status = 200
        var headers: HTTPHeaders = [:]
        var body: [UInt8] = []
        /// No answer at all.
        var isSilent = false

        init(_ status: Int = 200, _ headers: HTTPHeaders = [:], _ text: String = "") {
            self.status = status
            self.headers = headers
            body = Array(text.utf8)
        }

        static var silence: Answer {
            var answer = Answer()
            answer.isSilent = true
            return answer
        }
    }

    private let channel: any Channel
    private let received: Received

    private final class Received: Sendable {
        let all = Mutex<(requests: [Request], waiters: [CheckedContinuation<Void, Never>], closed: Int)>(([], [], 0))

        func add(_ request: Request) {
            let waiters = all.withLock { state in
                state.requests.append(request)
                defer { state.waiters = [] }
                return state.waiters
            }
            for waiter in waiters { waiter.resume() }
        }
    }

    init(_ answer: @escaping @Sendable (Request) -> Answer) async throws {
        let received = Received()
        self.received = received
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.pipeline.configureHTTPServerPipeline().flatMapThrowing {
                    try channel.pipeline.syncOperations.addHandler(Handler(received, answer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    func stop() async throws { try await channel.close() }

    var port: Int { channel.localAddress?.port ?? 0 }
    var url: String { "http://127.0.0.1:\(port)" }
    var requests: [Request] { received.all.withLock { $0.requests } }
    /// Connections that clients have ended.
    var closed: Int { received.all.withLock { $0.closed } }

    /// Waits for the first request.
    func firstRequest() async -> Request? {
        await withCheckedContinuation { continuation in
            let isThere = received.all.withLock { state in
                if state.requests.isEmpty { state.waiters.append(continuation) }
                return !state.requests.isEmpty
            }
            if isThere { continuation.resume() }
        }
        return requests.first
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let received: Received
        private let answer: @Sendable (Request) -> Answer
        private var request: Request?

        init(_ received: Received, _ answer: @escaping @Sendable (Request) -> Answer) {
            self.received = received
            self.answer = answer
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head):
                request = Request(method: head.method.rawValue, target: head.uri, headers: head.headers, body: [])
            case .body(let part): request?.body += part.readableBytesView
            case .end:
                guard let request else { return }
                received.add(request)
                let answer = answer(request)
                guard !answer.isSilent else { return }
                var head = HTTPResponseHead(
                    version: .http1_1, status: HTTPResponseStatus(statusCode: answer.status), headers: answer.headers)
                head.headers.replaceOrAdd(name: "content-length", value: "\(answer.body.count)")
                context.write(wrapOutboundOut(.head(head)), promise: nil)
                context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: answer.body)))), promise: nil)
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            }
        }

        func channelInactive(context: ChannelHandlerContext) { received.all.withLock { $0.closed += 1 } }

        // A client that ends in the middle is what some tests do.
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
