import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import Primitives

/// The connection was ended by its guard, which has answered the client.
struct ConnectionCutOff: Error {}

/// Stands between the HTTP codec and Hummingbird, and keeps a client within the limits: cuts off who is slow
/// (`ConnectionClock`), refuses a body that is too large before it is read, answers what is not HTTP with a problem
/// document, sends `100 Continue`, and tells a long poll that its client has left.
///
/// Its own answer waits until the requests before it on the connection are answered; then the connection is closed.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private enum State {
        case open
        /// Reads no more; answers with this problem after the responses that are due before it.
        case failing(Problem, after: Int)
        case closed
    }

    private let settings: APISettings
    private let count: ConnectionCount
    private var clock: ConnectionClock
    private var state = State.open
    private var socket: SocketGuard?
    private var timer: Scheduled<Void>?
    private var timerDeadline: NIODeadline?
    private var bodyBytes = 0
    /// Requests whose response has begun, of those the clock awaits: 0 or 1.
    private var isResponding = false
    private var unflushed = 0
    private var inputClosedAction: (@Sendable () -> Void)?
    private var isInputClosed = false

    init(settings: APISettings, count: ConnectionCount) {
        self.settings = settings
        self.count = count
        clock = ConnectionClock(settings, at: .now())
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let socket = SocketGuard(count: count, linger: settings.linger) { [weak self] in
            self?.clock.bytesArrived(at: .now())
        }
        self.socket = socket
        do {
            let pipeline = context.pipeline.syncOperations
            try pipeline.addHandler(socket, position: .first)
            let codec = try pipeline.handler(type: HTTP1ToHTTPServerCodec.self)
            try pipeline.addHandler(KeepAliveHandler(), position: .before(codec))
        } catch {
            context.close(promise: nil)
        }
        schedule(context)
    }

    func handlerRemoved(context: ChannelHandlerContext) { stop() }

    private func stop() {
        timer?.cancel()
        timer = nil
        socket = nil
        inputClosed()
    }

    // MARK: Leaving clients

    /// - Parameter action: called once when the client has shut its side; nil takes it back.
    func onInputClosed(_ action: (@Sendable () -> Void)?) {
        inputClosedAction = action
        if isInputClosed { inputClosed() }
    }

    private func inputClosed() {
        isInputClosed = true
        inputClosedAction?()
        inputClosedAction = nil
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? ChannelEvent == .inputClosed { inputClosed() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        state = .closed
        stop()
        context.fireChannelInactive()
    }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .open = state else { return }
        switch unwrapInboundIn(data) {
        case .head(let head):
            if let length = head.headerFields[.contentLength].flatMap({ Int($0) }), length > Limits.bodyBytes {
                return fail(.contentTooLarge(limit: Limits.bodyBytes), context)
            }
            if head.headerFields[.expect]?.lowercased() == "100-continue", clock.awaiting == 0 {
                context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
            }
            clock.headArrived(at: .now())
            bodyBytes = 0
        case .body(let bytes):
            clock.bodyArrived(bytes.readableBytes)
            bodyBytes += bytes.readableBytes
            if bodyBytes > Limits.bodyBytes { return fail(.contentTooLarge(limit: Limits.bodyBytes), context) }
        case .end: clock.requestEnded(at: .now())
        }
        context.fireChannelRead(data)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        schedule(context)
        context.fireChannelReadComplete()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard error is HTTPParserError || error is HTTP1TypeConversionError else {
            return context.fireErrorCaught(error)
        }
        guard case .open = state else { return }
        if error as? HTTPParserError == .headerOverflow {
            let limits = "\(APILimits.headerBytes) bytes in \(APILimits.headerFields) fields"
            fail(Problem(.headerTooLarge, "a header may have \(limits)"), context)
        } else {
            fail(Problem(.malformedRequest, "\(error)"), context)
        }
    }

    // MARK: Responses

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let part = unwrapOutboundIn(data)
        if case .closed = state {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        switch part {
        case .head(let head):
            if head.status.kind != .informational {
                isResponding = true
                // About the size of a header: what matters is the body.
                clock.wrote(256, at: .now())
            }
            context.write(data, promise: promise)
        case .body(let bytes):
            clock.wrote(bytes.readableBytes, at: .now())
            context.write(data, promise: promise)
        case .end:
            isResponding = false
            let done = promise ?? context.eventLoop.makePromise(of: Void.self)
            unflushed += 1
            done.futureResult.assumeIsolated().whenComplete { _ in self.flushed() }
            clock.responseEnded(at: .now())
            context.write(data, promise: done)
            if case .failing(let problem, let after) = state {
                state = .failing(problem, after: after - 1)
                answerIfDue(context)
            }
        }
    }

    func flush(context: ChannelHandlerContext) {
        context.flush()
        schedule(context)
    }

    private func flushed() {
        unflushed -= 1
        if unflushed == 0 { clock.flushed(at: .now()) }
    }

    // MARK: Cutting off

    /// Answers with `problem`, in its turn, and closes.
    private func fail(_ problem: Problem, _ context: ChannelHandlerContext) {
        // The request that failed, if its header went through, gets this answer instead of its own; unless its own is
        // written or has begun, and then there is nothing left to say.
        let failed = clock.isReadingBody ? 1 : 0
        if clock.awaiting < failed || clock.awaiting == failed && isResponding { return cutOff(context) }
        state = .failing(problem, after: clock.awaiting - failed)
        answerIfDue(context)
        context.fireErrorCaught(ConnectionCutOff())
    }

    private func answerIfDue(_ context: ChannelHandlerContext) {
        guard case .failing(let problem, 0) = state else { return }
        state = .closed
        let body = problem.body
        context.write(wrapOutboundOut(.head(problem.head(contentLength: body.readableBytes))), promise: nil)
        context.write(wrapOutboundOut(.body(body)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        socket?.lingerOnClose()
        context.close(promise: nil)
    }

    private func cutOff(_ context: ChannelHandlerContext) {
        state = .closed
        context.fireErrorCaught(ConnectionCutOff())
        context.close(promise: nil)
    }

    // MARK: The timer

    /// Sees to it that the timer fires no later than the clock's deadline. It may fire earlier, and is set again then: so
    /// that most requests set none.
    private func schedule(_ context: ChannelHandlerContext) {
        if case .closed = state { return }
        guard let deadline = clock.deadline else { return }
        if let timerDeadline, timerDeadline <= deadline { return }
        timer?.cancel()
        timerDeadline = deadline
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { self.timerFired(context) }
    }

    private func timerFired(_ context: ChannelHandlerContext) {
        timer = nil
        timerDeadline = nil
        switch (clock.verdict(at: .now()), state) {
        case (_, .closed): break
        case (nil, _): schedule(context)
        // Its answer is on the way already: only a client that does not read what is before it can be in the way.
        case (.idle, _), (.slowReader, _), (_, .failing): cutOff(context)
        case (.slowHead, .open):
            fail(Problem(.requestTimeout, "the header did not arrive in \(settings.headTimeout)"), context)
        case (.slowBody, .open): fail(Problem(.requestTimeout, "the body arrived too slowly"), context)
        }
    }
}
