import EventLoop
import NIOCore
import Primitives
import Synchronization

/// What the NIO side hands to the loop.
enum Delivery: Sendable {
    case request(Frame, NodeID, PeerReply)
    case message(Frame, NodeID)
    case answer(PeerCompletion, Result<Frame, PeerError>)
    case introduction(@Sendable (Result<Introduction, PeerError>) -> Void, Result<Introduction, PeerError>)
    case linkUp(NodeID, UInt16)
    case linkDown(NodeID, LinkEnd)
    case processGone(NodeID)
    case event(PeerEvent)

    /// What one takes besides the body, roughly: empty frames are not free.
    private static let overheadBytes = 128

    var bytes: Int {
        switch self {
        case .request(let frame, _, _), .message(let frame, _), .answer(_, .success(let frame)):
            Self.overheadBytes + frame.body.count
        case .introduction(_, .success(let introduction)): Self.overheadBytes + introduction.frame.body.count
        case .answer, .introduction, .linkUp, .linkDown, .processGone, .event: Self.overheadBytes
        }
    }

    func perform(_ delegate: any PeerDelegate) {
        switch self {
        case .request(let frame, let peer, let reply): delegate.received(request: frame, from: peer, reply: reply)
        case .message(let frame, let peer): delegate.received(message: frame, from: peer)
        case .answer(let completion, let result): completion(result)
        case .introduction(let completion, let result): completion(result)
        case .linkUp(let peer, let version): delegate.linkUp(peer, version: version)
        case .linkDown(let peer, let reason): delegate.linkDown(peer, reason)
        case .processGone(let peer): delegate.processGone(peer)
        case .event(let event): delegate.peerEvent(event)
        }
    }
}

/// Carries deliveries from the NIO thread to the loop: everything that one turn of the NIO loop has read crosses in one
/// `execute`. Confined to the NIO loop.
///
/// What the loop has not taken yet is bounded: beyond `limit` bytes nothing more is read from any connection, so that
/// TCP slows the senders down, until the loop has taken half of it.
final class Inbox {
    /// Bytes between the two threads.
    private final class Meter: Sendable {
        struct Reading {
            var bytes = 0
            var isResumeDue = false
            var isClosed = false
        }
        let reading = Mutex(Reading())
    }

    private let eventLoop: any NIOCore.EventLoop
    private let scheduler: any Scheduler
    private let delegate: any PeerDelegate
    private let limit: Int
    private let meter = Meter()
    private var deliveries: [Delivery] = []
    private var isHandOverDue = false
    /// Called on the NIO loop when reading may go on.
    private let resume: @Sendable () -> Void

    init(
        eventLoop: any NIOCore.EventLoop, scheduler: any Scheduler, delegate: any PeerDelegate, limit: Int,
        resume: @escaping @Sendable () -> Void
    ) {
        self.eventLoop = eventLoop
        self.scheduler = scheduler
        self.delegate = delegate
        self.limit = limit
        self.resume = resume
    }

    func put(_ delivery: Delivery) {
        deliveries.append(delivery)
        guard !isHandOverDue else { return }
        isHandOverDue = true
        // NIO runs this after all sockets that were ready in this turn.
        eventLoop.assumeIsolated().execute { self.handOver() }
    }

    /// Whether reading has to wait. If so, `resume` will be called.
    func isFull() -> Bool {
        meter.reading.withLock {
            if $0.bytes > limit { $0.isResumeDue = true }
            return $0.isResumeDue
        }
    }

    /// The last call: hands over what there is.
    func close() {
        meter.reading.withLock { $0.isClosed = true }
        handOver()
    }

    private func handOver() {
        isHandOverDue = false
        guard !deliveries.isEmpty else { return }
        let batch = deliveries
        deliveries = []
        let bytes = batch.reduce(0) { $0 + $1.bytes }
        meter.reading.withLock { $0.bytes += bytes }
        scheduler.execute { [delegate, meter, limit, resume, eventLoop] in
            for delivery in batch { delivery.perform(delegate) }
            meter.reading.withLock {
                $0.bytes -= bytes
                guard $0.isResumeDue, $0.bytes <= limit / 2, !$0.isClosed else { return }
                $0.isResumeDue = false
                // Under the lock: once `close` has returned, the NIO loop hears nothing more and may end.
                eventLoop.execute(resume)
            }
        }
    }
}
