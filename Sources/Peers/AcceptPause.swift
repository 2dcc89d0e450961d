import NIOCore
import Primitives

/// Stops accepting for a moment when the system cannot (no descriptors left, usually): a connection that cannot be
/// taken stays in the backlog, and NIO would try again without end.
final class AcceptPause: ChannelDuplexHandler {
    typealias InboundIn = any Channel
    typealias InboundOut = any Channel
    typealias OutboundIn = Never

    static let pause: TimeAmount = .milliseconds(100)

    private let failed: (any Error) -> Void
    private var isPausing = false
    private var isReadHeld = false

    init(_ failed: @escaping (any Error) -> Void) { self.failed = failed }

    /// Not passed on: the listener stays.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard !isPausing else { return }
        failed(error)
        isPausing = true
        context.eventLoop.assumeIsolated().scheduleTask(in: Self.pause) {
            self.isPausing = false
            guard self.isReadHeld else { return }
            self.isReadHeld = false
            context.read()
        }
    }

    func read(context: ChannelHandlerContext) {
        if !isPausing {
            context.read()
        } else {
            isReadHeld = true
        }
    }
}
