import NIOCore
import Primitives

/// Who is told what becomes of a connection. Confined to the NIO loop, as is everything here.
protocol ConnectionOwner: AnyObject {
    /// Hellos were exchanged and accepted.
    func opened(_ connection: Connection, version: UInt16)
    /// A request or a message; only on connections that were accepted.
    func received(_ envelope: Envelope, on connection: Connection)
    /// Last call, exactly once, also if it never opened.
    func ended(_ connection: Connection, _ end: LinkEnd)
}

/// One TCP connection between two nodes, from either side's view.
///
/// - connecting: there is no connection yet. Requests wait. Can transition to: greeting, ended.
/// - greeting: connected; the dialler has said hello and waits for one, the acceptor waits for one and answers it, even
///   if it refuses. Can transition to: open, ended.
/// - open: the dialler sends requests and messages, the acceptor responses; either may say goodbye.
///   Can transition to: ended.
/// - ended: the owner and all askers have been told. What is still to be written (a goodbye, a hello that refuses) is
///   given `LinkTuning.goodbye` to leave; what is still read is dropped.
///
/// It is the last handler of its pipeline and deals in plain bytes: a TLS handler goes before it.
final class Connection: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum Role {
        case dialled(expecting: NodeID?, Lane?)
        case accepted
    }
    private enum State { case connecting, greeting, open, ended }

    let number: UInt64
    let role: Role
    let links: Links
    private var owner: (any ConnectionOwner)?
    private var state = State.connecting
    private var context: ChannelHandlerContext?
    private var parser = FrameParser()
    private var timer: Scheduled<Void>?
    private var isReadHeld = false

    /// What the other side has said about itself; nil before it did.
    private(set) var peer: Hello?
    /// Where it is, for logs.
    private(set) var remote = "unknown"

    /// Frames that the next flush writes.
    private var outgoing = ByteBuffer()
    /// How many of their bytes the lane counts.
    private var countedBytes = 0
    private var isFlushDue = false
    /// Bytes in NIO's and the kernel's hands that are not acknowledged as written.
    private var unwrittenBytes = 0

    var requests = RequestTable()
    /// Requests (by number) and messages (0) that wait for the link to open, in order.
    var waiting: [(number: UInt32, Frame)] = []
    var sweep: (task: Scheduled<Void>, at: NIODeadline)?
    var silence = Silence()
    /// Requests of the other side that we have not answered.
    var unanswered: Set<UInt32> = []

    init(number: UInt64, role: Role, owner: any ConnectionOwner, links: Links) {
        self.number = number
        self.role = role
        self.owner = owner
        self.links = links
    }

    var isOpen: Bool { state == .open }
    /// Whether it is open, or was.
    private(set) var isEstablished = false
    var isEnded: Bool { state == .ended }
    var lane: Lane? { if case .dialled(_, let lane) = role { lane } else { nil } }

    // MARK: Life

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelActive(context: ChannelHandlerContext) {
        remote = context.remoteAddress?.description ?? remote
        guard state == .connecting else {
            context.close(promise: nil)
            return
        }
        state = .greeting
        timer = links.schedule(after: links.tuning.helloTimeout) { self.close(.noHello) }
        if case .dialled(let expected, _) = role { say(links.hello(expecting: expected)) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        finish(.lost)
    }

    /// The connection was never made.
    func connectFailed(_ end: LinkEnd) { finish(end) }

    /// Whatever it was (a reset, usually), the connection is of no more use.
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    /// Ends it. A peer to which the link was open hears a goodbye if this is our wish and not its fault.
    func close(_ end: LinkEnd) {
        // If we refuse, the other side is to read our hello, which tells it why.
        let isRefused = if case .refused = end { true } else { false }
        let saysGoodbye = state == .open && (end == .closed || end == .silent || isRefused)
        finish(end)
        guard let context else { return }
        if saysGoodbye { outgoing.write(.goodbye, number: 0, Frame(0, [])) }
        if saysGoodbye || isRefused {
            linger(context)
        } else {
            context.close(promise: nil)
        }
    }

    /// Lets what was written leave, then ends our direction; the peer closes, or the time is up.
    private func linger(_ context: ChannelHandlerContext) {
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { _ in self.context?.close(mode: .output, promise: nil) }
        write(to: context, promise: written)
        timer = links.schedule(after: links.tuning.goodbye) { self.context?.close(promise: nil) }
    }

    /// We have learnt which cluster is ours: a link that began in ignorance may lead to another one.
    func reconsider() {
        guard isOpen, let peer, case .failure(let refusal) = links.hello(expecting: peer.node).judge(peer) else {
            return
        }
        close(.refused(refusal))
    }

    private func finish(_ end: LinkEnd) {
        guard state != .ended else { return }
        state = .ended
        timer?.cancel()
        lane?.released(countedBytes)
        countedBytes = 0
        endRequests(end)
        owner?.ended(self, end)
        owner = nil
    }

    // MARK: Reading

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard state != .ended else { return }
        silence.received(at: .now())
        parser.append(unwrapInboundIn(data))
        do throws(Violation) {
            while state != .ended, let envelope = try parser.next() { try take(envelope) }
        } catch {
            close(.violation(error))
        }
    }

    /// Asked for by NIO when it has delivered what it had; held while the loop is behind.
    func read(context: ChannelHandlerContext) {
        guard !isReadHeld else { return }
        if state == .open, links.isIntakeFull(for: self) {
            isReadHeld = true
        } else {
            context.read()
        }
    }

    func resumeReading() {
        guard isReadHeld else { return }
        isReadHeld = false
        context?.read()
    }

    private func take(_ envelope: Envelope) throws(Violation) {
        switch (state, role, envelope.kind) {
        case (.greeting, _, .hello): try greeted(envelope.frame.body)
        case (.open, _, .goodbye): close(.goodbye)
        case (.open, .dialled, .response): answered(envelope)
        case (.open, .accepted, .request):
            guard unanswered.count < Limits.requestsInFlight, unanswered.insert(envelope.number).inserted else {
                throw .tooManyRequests
            }
            owner?.received(envelope, on: self)
        case (.open, .accepted, .message): owner?.received(envelope, on: self)
        default: throw .unexpected(envelope.kind)
        }
    }

    private func greeted(_ body: [UInt8]) throws(Violation) {
        let theirs: Hello
        do {
            theirs = try Hello(decoding: body)
        } catch {
            throw .malformedHello("\(error)")
        }
        peer = theirs
        let mine: Hello
        switch role {
        case .dialled(let expected, _): mine = links.hello(expecting: expected)
        case .accepted:
            mine = links.hello(expecting: theirs.node)
            say(mine)
        }
        switch mine.judge(theirs) {
        case .failure(let refusal): close(.refused(refusal))
        case .success(let version):
            state = .open
            isEstablished = true
            timer?.cancel()
            parser.limit = Limits.frameBytes
            owner?.opened(self, version: version)
            sendWaiting()
        }
    }

    // MARK: Writing

    private func say(_ hello: Hello) {
        outgoing.write(.hello, number: 0, Frame(0, hello.encoded()))
        flush()
    }

    /// Written with the next `flush`, which `Links` calls when it has taken the whole batch.
    func enqueue(_ kind: FrameKind, number: UInt32, _ frame: Frame) {
        outgoing.write(kind, number: number, frame)
        if lane != nil { countedBytes += frame.queuedBytes }
        guard !isFlushDue else { return }
        isFlushDue = true
        links.flushLater(self)
    }

    func flush() {
        isFlushDue = false
        guard let context, outgoing.readableBytes > 0 else { return }
        write(to: context, promise: nil)
    }

    private func write(to context: ChannelHandlerContext, promise: EventLoopPromise<Void>?) {
        let bytes = outgoing.readableBytes
        let counted = countedBytes
        let written = promise ?? context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { _ in
            self.unwrittenBytes -= bytes
            self.lane?.released(counted)
        }
        unwrittenBytes += bytes
        countedBytes = 0
        context.writeAndFlush(wrapOutboundOut(outgoing), promise: written)
        outgoing = ByteBuffer()
    }

    var queuedBytes: Int { unwrittenBytes + outgoing.readableBytes }
}
