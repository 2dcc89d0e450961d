import CLibuv
import Glibc

/// Tells when a socket that another library owns can be read or written.
///
/// An error of the socket is reported as both, so that the library meets it when it reads or writes. The watcher never
/// closes the socket, and has to be closed before it.
///
/// All functions only on the loop. `@unchecked`: only touched there.
public final class SocketWatcher: @unchecked Sendable {
    public struct Interest: OptionSet, Sendable {
        public let rawValue: Int32

        public init(rawValue: Int32) { self.rawValue = rawValue }

        public static let readable = Interest(rawValue: 1)
        public static let writable = Interest(rawValue: 2)
    }

    private let loop: EventLoop
    private let ready: @Sendable (Interest) -> Void
    private var poll: UnsafeMutablePointer<uv_poll_t>?
    private var interest: Interest = []

    /// - Parameter onReady: what can be done now, also what was not asked for if the socket has an error.
    public init(
        on loop: EventLoop, descriptor: Int32, onReady: @escaping @Sendable (Interest) -> Void
    ) throws(SystemError) {
        loop.assertCurrent()
        guard !loop.isShuttingDown else { throw SystemError(operation: "watch a socket", code: ESHUTDOWN) }
        let poll = UnsafeMutablePointer<uv_poll_t>.allocate(capacity: 1)
        do throws(SystemError) {
            try check(uv_poll_init(loop.uv, poll, descriptor), "watch a socket")
        } catch {
            poll.deallocate()
            throw error
        }
        self.loop = loop
        self.poll = poll
        ready = onReady
        poll.pointee.data = Unmanaged.passRetained(self).toOpaque()
    }

    /// Waits for these from now on. Calls that change nothing cost nothing.
    public func watch(_ interest: Interest) {
        loop.assertCurrent()
        guard let poll, interest != self.interest else { return }
        self.interest = interest
        var events: UInt32 = 0
        if interest.contains(.readable) { events |= UV_READABLE.rawValue }
        if interest.contains(.writable) { events |= UV_WRITABLE.rawValue }
        // Neither call fails on a handle that is open.
        guard events != 0 else {
            uv_poll_stop(poll)
            return
        }
        uv_poll_start(poll, Int32(events)) { poll, status, events in
            guard let data = poll?.pointee.data else { return }
            Unmanaged<SocketWatcher>.fromOpaque(data).takeUnretainedValue().report(status, UInt32(events))
        }
    }

    /// Harmless when repeated.
    public func close() {
        loop.assertCurrent()
        guard let poll else { return }
        self.poll = nil
        uv_close(handle(poll)) { closed in
            guard let closed else { return }
            Unmanaged<SocketWatcher>.fromOpaque(closed.pointee.data).release()
            UnsafeMutableRawPointer(closed).deallocate()
        }
    }

    private func report(_ status: Int32, _ events: UInt32) {
        loop.beginTurn()
        guard poll != nil else { return }
        guard status >= 0 else {
            // libuv has stopped the handle.
            interest = []
            return ready([.readable, .writable])
        }
        var possible: Interest = []
        if events & UV_READABLE.rawValue != 0 { possible.insert(.readable) }
        if events & UV_WRITABLE.rawValue != 0 { possible.insert(.writable) }
        ready(possible)
    }
}
