import CLibuv
import Glibc
public import Primitives

/// A UDP socket on the loop.
///
/// Sending tries the system first and queues in libuv what it cannot take, up to `backlogBytes`; beyond that a
/// datagram is dropped and counted, as the network might have done. No error closes the socket.
///
/// The socket hears of ICMP errors (IP_RECVERR): when a port is unreachable, `onUnreachable` is told to whom the
/// datagram was sent. The kernel hands such an error to the next call, whatever its destination, and keeps the details
/// in a queue that keeps the socket awake until it is read; so the queue is read whenever a call fails or the socket
/// wakes for nothing.
///
/// All functions only on the loop, where callbacks arrive, never from within a call of this type. The loop holds the
/// socket until `close` or its shutdown.
///
/// `@unchecked`: only touched on the loop, but for `localAddress`, which is constant.
public final class UDPSocket: @unchecked Sendable {
    /// Bytes that wait in libuv at most.
    public static let backlogBytes = 1 << 20
    /// The greatest datagram that is received whole; a longer one is dropped and counted.
    public static let receiveBytes = 65_536
    /// Attempts at one datagram that fail with an error of an earlier one.
    private static let sendAttempts = 4
    /// Errors that are read at a time: others keep the socket awake and are read in the next turn.
    private static let errorBatch = 64

    /// What happened to datagrams since the socket was opened.
    public struct Counters: Hashable, Sendable {
        public var received: UInt64 = 0
        /// Handed to the system.
        public var sent: UInt64 = 0
        /// Not sent since the backlog was full.
        public var dropped: UInt64 = 0
        /// Refused by the system.
        public var failed: UInt64 = 0
        /// Received, but longer than the buffer.
        public var truncated: UInt64 = 0
        /// ICMP errors heard of.
        public var unreachable: UInt64 = 0
    }

    public typealias Receiver = @Sendable (ArraySlice<UInt8>, Address) -> Void

    /// Where the socket is bound, with the port that the system gave for port 0.
    public let localAddress: Address
    public private(set) var counters = Counters()

    private let loop: EventLoop
    private let receive: Receiver
    private let unreachable: @Sendable (Address, SystemError) -> Void
    private let buffer: UnsafeMutableRawBufferPointer
    private var udp: UnsafeMutablePointer<uv_udp_t>?
    private var hook = 0
    private var isErrorReadDue = false
    /// Whether the socket has delivered something since it woke.
    private var hasDelivered = false

    /// Opens and binds. Only on the loop.
    /// - Parameters:
    ///   - address: numeric; port 0 lets the system choose.
    ///   - onReceive: one datagram, which may be empty, and its sender.
    ///   - onUnreachable: a datagram to this address came back: ECONNREFUSED (nobody has the port), EHOSTUNREACH ...
    public init(
        on loop: EventLoop, bind address: Address, onReceive: @escaping Receiver,
        onUnreachable: @escaping @Sendable (Address, SystemError) -> Void = { _, _ in }
    ) throws(SystemError) {
        loop.assertCurrent()
        guard !loop.isShuttingDown else { throw SystemError(operation: "open a UDP socket", code: ESHUTDOWN) }
        let target = try SocketAddress.encode(address)
        let udp = UnsafeMutablePointer<uv_udp_t>.allocate(capacity: 1)
        do throws(SystemError) {
            try check(uv_udp_init(loop.uv, udp), "open a UDP socket")
        } catch {
            udp.deallocate()
            throw error
        }
        do throws(SystemError) {
            let flags = UInt32(UV_UDP_LINUX_RECVERR.rawValue)
            try check(withSocketAddress(target) { uv_udp_bind(udp, $0, flags) }, "bind UDP \(address)")
            localAddress = try Self.name(of: udp, bound: address)
        } catch {
            udp.pointee.data = nil
            uv_close(handle(udp)) { UnsafeMutableRawPointer($0)?.deallocate() }
            throw error
        }
        self.loop = loop
        self.udp = udp
        receive = onReceive
        unreachable = onUnreachable
        buffer = .allocate(byteCount: Self.receiveBytes, alignment: 16)
        udp.pointee.data = Unmanaged.passRetained(self).toOpaque()
        hook = loop.addShutdownHook { [unowned self] in close() }
        // Fails only for a socket that is closed or receives already.
        uv_udp_recv_start(udp, Self.lendBuffer, Self.received)
    }

    deinit { buffer.deallocate() }

    /// Sends a datagram, or counts that it could not.
    public func send(_ bytes: [UInt8], to address: Address) {
        loop.assertCurrent()
        guard let udp else { return }
        let target: sockaddr_storage
        do throws(SystemError) { target = try SocketAddress.encode(address) } catch {
            counters.failed += 1
            return
        }
        var attempts = Self.sendAttempts
        while true {
            let result = trySend(bytes, to: target, on: udp)
            attempts -= 1
            if result >= 0 {
                counters.sent += 1
            } else if result == UV_EAGAIN.rawValue {
                enqueue(bytes, to: target, on: udp)
            } else {
                // The error may be that of an earlier datagram, which the system reports only once.
                readErrorsSoon()
                if attempts > 0, Self.isReport(-result) { continue }
                counters.failed += 1
            }
            return
        }
    }

    /// `send` as it is when the system takes nothing: for tests.
    func sendLater(_ bytes: [UInt8], to address: Address) {
        guard let udp, let target = try? SocketAddress.encode(address) else { return }  // Tests give good addresses.
        enqueue(bytes, to: target, on: udp)
    }

    /// Closes the socket; no callback comes after this. Harmless when repeated.
    public func close() {
        loop.assertCurrent()
        guard let udp else { return }
        self.udp = nil
        loop.removeShutdownHook(hook)
        uv_close(handle(udp)) { closed in
            guard let closed else { return }
            Unmanaged<UDPSocket>.fromOpaque(closed.pointee.data).release()
            UnsafeMutableRawPointer(closed).deallocate()
        }
    }

    // MARK: - Sending

    private func trySend(
        _ bytes: [UInt8], to target: sockaddr_storage, on udp: UnsafeMutablePointer<uv_udp_t>
    ) -> Int32 {
        bytes.withUnsafeBytes { bytes in
            // libuv takes a mutable pointer and only reads from it.
            let base = UnsafeMutablePointer(mutating: bytes.baseAddress?.assumingMemoryBound(to: CChar.self))
            var part = uv_buf_init(base, UInt32(bytes.count))
            return withSocketAddress(target) { uv_udp_try_send(udp, &part, 1, $0) }
        }
    }

    private func enqueue(_ bytes: [UInt8], to target: sockaddr_storage, on udp: UnsafeMutablePointer<uv_udp_t>) {
        guard uv_udp_get_send_queue_size(udp) + bytes.count <= Self.backlogBytes else {
            counters.dropped += 1
            return
        }
        let datagram = QueuedDatagram(bytes, socket: self)
        let result = withSocketAddress(target) { datagram.start(on: udp, to: $0) }
        if result < 0 { counters.failed += 1 }
    }

    fileprivate func finished(_ status: Int32) {
        if status >= 0 {
            counters.sent += 1
        } else {
            counters.failed += 1
            if udp != nil { readErrorsSoon() }
        }
    }

    /// Errors that can stem from an ICMP message, and so from another datagram than the one that met them.
    private static func isReport(_ code: Int32) -> Bool {
        switch code {
        case ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENOPROTOOPT, EPROTO: true
        default: false
        }
    }

    // MARK: - Receiving

    private static let lendBuffer: uv_alloc_cb = { handle, _, lent in
        guard let handle, let data = handle.pointee.data, let lent else { return }
        let buffer = Unmanaged<UDPSocket>.fromOpaque(data).takeUnretainedValue().buffer
        lent.pointee = uv_buf_init(buffer.baseAddress?.assumingMemoryBound(to: CChar.self), UInt32(buffer.count))
    }

    private static let received: uv_udp_recv_cb = { udp, count, _, sender, flags in
        guard let udp, let data = udp.pointee.data else { return }
        let socket = Unmanaged<UDPSocket>.fromOpaque(data).takeUnretainedValue()
        socket.loop.beginTurn()
        socket.received(count, from: sender, isWhole: flags & UInt32(UV_UDP_PARTIAL.rawValue) == 0)
    }

    private func received(_ count: Int, from sender: UnsafePointer<sockaddr>?, isWhole: Bool) {
        guard udp != nil else { return }
        guard count >= 0 else { return readErrors() }
        guard let sender else {
            // Nothing is left to read. If there was nothing at all, then an error has woken the socket.
            if !hasDelivered { readErrors() }
            hasDelivered = false
            return
        }
        hasDelivered = true
        guard isWhole, let address = SocketAddress.decode(sender) else {
            counters.truncated += 1
            return
        }
        counters.received += 1
        receive(Array(UnsafeRawBufferPointer(rebasing: buffer[..<count]))[...], address)
    }

    // MARK: - Errors

    /// Later, since a caller does not expect to be called back.
    private func readErrorsSoon() {
        guard !isErrorReadDue else { return }
        isErrorReadDue = true
        loop.execute { [self] in
            isErrorReadDue = false
            readErrors()
        }
    }

    private func readErrors() {
        for _ in 0..<Self.errorBatch {
            var descriptor: uv_os_fd_t = -1
            guard let udp, uv_fileno(handle(udp), &descriptor) == 0 else { return }
            var destination = sockaddr_storage()
            let code = apus_take_socket_error(descriptor, &destination)
            guard code != 0 else { return }
            counters.unreachable += 1
            guard let address = SocketAddress.decode(destination) else { continue }
            unreachable(address, SystemError(operation: "send to UDP \(address)", code: code))
        }
    }

    private static func name(
        of udp: UnsafeMutablePointer<uv_udp_t>, bound address: Address
    ) throws(SystemError) -> Address {
        var storage = sockaddr_storage()
        var length = Int32(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { uv_udp_getsockname(udp, $0, &length) }
        }
        try check(result, "ask for the port of UDP \(address)")
        guard let name = SocketAddress.decode(storage) else {
            throw SystemError(operation: "ask for the port of UDP \(address)", code: EAFNOSUPPORT)
        }
        return name
    }
}

/// A datagram that waits in libuv, which holds it by the request until it is sent or the socket is closed.
private final class QueuedDatagram {
    private let bytes: UnsafeMutableRawBufferPointer
    private let request = UnsafeMutablePointer<uv_udp_send_t>.allocate(capacity: 1)
    private let socket: UDPSocket

    init(_ source: [UInt8], socket: UDPSocket) {
        bytes = .allocate(byteCount: source.count, alignment: 1)
        bytes.copyBytes(from: source)
        self.socket = socket
    }

    deinit {
        bytes.deallocate()
        request.deallocate()
    }

    func start(on udp: UnsafeMutablePointer<uv_udp_t>, to target: UnsafePointer<sockaddr>) -> Int32 {
        let held = Unmanaged.passRetained(self)
        request.pointee.data = held.toOpaque()
        var part = uv_buf_init(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), UInt32(bytes.count))
        let result = uv_udp_send(request, udp, &part, 1, target) { request, status in
            guard let data = request?.pointee.data else { return }
            Unmanaged<QueuedDatagram>.fromOpaque(data).takeRetainedValue().socket.finished(status)
        }
        if result < 0 { held.release() }
        return result
    }
}
