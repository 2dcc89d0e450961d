import NIOCore
import Synchronization

/// Counts the connections of a server.
final class ConnectionCount: Sendable {
    private let limit: Int
    private let open = Mutex(0)

    init(limit: Int) { self.limit = limit }

    /// Whether there was room for one more; if so it has to be left.
    func enter() -> Bool {
        open.withLock { count in
            guard count < limit else { return false }
            count += 1
            return true
        }
    }

    func leave() { open.withLock { $0 -= 1 } }
}

/// The handler next to the socket: refuses connections past the limit, tells `ConnectionGuard` of bytes before they are
/// parsed, and lets a connection linger that was closed by an error.
///
/// Lingering: the write side is shut, what still comes is dropped, and after `APISettings.linger`, or when the client
/// has shut its side too, the socket is closed.
final class SocketGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        case new
        /// Has entered the count.
        case open
        /// Closes with lingering; counted.
        case willLinger
        case lingering
        case closed
    }

    private let count: ConnectionCount
    private let linger: TimeAmount
    private let onBytes: () -> Void
    private var state = State.new

    /// - Parameter onBytes: called before bytes are parsed.
    init(count: ConnectionCount, linger: Duration, onBytes: @escaping () -> Void) {
        self.count = count
        self.linger = TimeAmount(linger)
        self.onBytes = onBytes
    }

    /// The next close lingers.
    func lingerOnClose() { if case .open = state { state = .willLinger } }

    func channelActive(context: ChannelHandlerContext) {
        if count.enter() {
            state = .open
            context.fireChannelActive()
            return
        }
        let problem = Problem(
            .tooManyConnections, "this node has as many connections as it may; try again, or another node",
            headers: [.retryAfter: "1"])
        var response = context.channel.allocator.buffer(capacity: 512)
        let body = problem.body
        response.writeString("HTTP/1.1 503 Service Unavailable\r\n")
        for field in problem.head(contentLength: body.readableBytes).headerFields {
            response.writeString("\(field.name): \(field.value)\r\n")
        }
        response.writeString("\r\n")
        response.writeImmutableBuffer(body)
        context.fireChannelActive()
        context.writeAndFlush(wrapOutboundOut(response), promise: nil)
        startLingering(context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .lingering = state { return }
        onBytes()
        context.fireChannelRead(data)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if case .lingering = state { context.read() } else { context.fireChannelReadComplete() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .lingering = state, event as? ChannelEvent == .inputClosed { return context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        switch (state, mode) {
        case (.willLinger, .all):
            count.leave()
            startLingering(context)
            context.channel.closeFuture.cascade(to: promise)
        case (.lingering, .all): context.channel.closeFuture.cascade(to: promise)
        case (.lingering, .output), (.lingering, .input): promise?.succeed()
        default: context.close(mode: mode, promise: promise)
        }
    }

    /// Not counted from here on: it is bounded by time, and must not keep a new client out.
    private func startLingering(_ context: ChannelHandlerContext) {
        state = .lingering
        context.close(mode: .output, promise: nil)
        context.eventLoop.assumeIsolated().scheduleTask(in: linger) { context.close(promise: nil) }
        context.read()
    }

    func channelInactive(context: ChannelHandlerContext) {
        switch state {
        case .open, .willLinger: count.leave()
        case .new, .lingering, .closed: break
        }
        state = .closed
        context.fireChannelInactive()
    }
}
