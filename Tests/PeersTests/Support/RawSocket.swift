import Dispatch
import Glibc
import NIOCore
import Primitives
import Synchronization

@testable import Peers

struct SocketFailure: Error { let call: String; let code: Int32 }

/// A plain blocking socket on loopback, with a time limit on every call: for saying what a transport never would. Its
/// calls block a thread of their own, not one of the pool on which the tests run.
final class RawSocket: Sendable {
    private let descriptor: Int32
    private let isClosed = Mutex(false)
    private let parser = Mutex(FrameParser())
    private let queue = DispatchQueue(label: "raw socket")

    private init(_ descriptor: Int32) throws {
        self.descriptor = descriptor
        var limit = timeval(tv_sec: 5, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        guard setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size) == 0,
            setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size) == 0
        else { throw SocketFailure(call: "setsockopt", code: errno) }
    }

    deinit { close() }

    private static func make() throws -> RawSocket {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw SocketFailure(call: "socket", code: errno) }
        return try RawSocket(descriptor)
    }

    private static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    static func listen(port: UInt16 = 0) throws -> RawSocket {
        let socket = try make()
        var reuse: Int32 = 1
        setsockopt(socket.descriptor, SOL_SOCKET, SO_REUSEADDR, &reuse, socklen_t(MemoryLayout<Int32>.size))
        try socket.named("bind", loopback(port), bind)
        guard Glibc.listen(socket.descriptor, 16) == 0 else { throw SocketFailure(call: "listen", code: errno) }
        return socket
    }

    static func connect(to address: Address) throws -> RawSocket {
        let socket = try make()
        try socket.named("connect", loopback(address.port), Glibc.connect)
        return socket
    }

    private func named(
        _ name: String, _ address: sockaddr_in, _ call: (Int32, UnsafePointer<sockaddr>?, socklen_t) -> Int32
    ) throws {
        let result = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                call(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw SocketFailure(call: name, code: errno) }
    }

    private func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result(catching: body)) }
        }
    }

    func accept() async throws -> RawSocket { try await blocking { try self.acceptNow() } }

    private func acceptNow() throws -> RawSocket {
        let connection = Glibc.accept(descriptor, nil, nil)
        guard connection >= 0 else { throw SocketFailure(call: "accept", code: errno) }
        return try RawSocket(connection)
    }

    /// Where it listens.
    func address() throws -> Address {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        guard result == 0 else { throw SocketFailure(call: "getsockname", code: errno) }
        return Address(host: "127.0.0.1", port: UInt16(bigEndian: address.sin_port))
    }

    func write(_ bytes: [UInt8]) async throws { try await blocking { try self.writeNow(bytes) } }

    private func writeNow(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { throw SocketFailure(call: "send", code: errno) }
            rest = rest.dropFirst(count)
        }
    }

    /// What has come; empty at the end of the stream or if it was reset.
    private func readNow(upTo limit: Int = 65_536) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = recv(descriptor, &bytes, limit, 0)
        if count < 0, errno == ECONNRESET { return [] }
        guard count >= 0 else { throw SocketFailure(call: "recv", code: errno) }
        return Array(bytes.prefix(count))
    }

    /// Whether the other side has closed; reads away what still comes.
    func isEnded() async throws -> Bool {
        try await blocking {
            while try !self.readNow().isEmpty {}
            return true
        }
    }

    func close() {
        let isFirst = isClosed.withLock { isClosed in
            defer { isClosed = true }
            return !isClosed
        }
        if isFirst { Glibc.close(descriptor) }
    }

    /// As the kernel does for a killed process that had unread data: a reset instead of an orderly end.
    func reset() {
        var linger = Glibc.linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
        close()
    }

    // MARK: Frames

    func write(_ kind: FrameKind, number: UInt32 = 0, _ frame: Frame = Frame(0, [])) async throws {
        var buffer = ByteBuffer()
        buffer.write(kind, number: number, frame)
        try await write(Array(buffer.readableBytesView))
    }

    func readEnvelope() async throws -> Envelope {
        try await blocking {
            while true {
                let next = try self.parser.withLock { parser in
                    parser.limit = Limits.frameBytes
                    return try parser.next()
                }
                if let next { return next }
                let bytes = try self.readNow()
                guard !bytes.isEmpty else { throw SocketFailure(call: "read to the end", code: 0) }
                self.parser.withLock { $0.append(ByteBuffer(bytes: bytes)) }
            }
        }
    }

    /// Takes part in the hellos as `node`, having been dialled.
    func greet(as node: NodeID) async throws {
        let theirs = try Hello(decoding: try await readEnvelope().frame.body)
        let mine = Hello(
            versions: .current, clusterName: theirs.clusterName, cluster: nil, node: node, expected: theirs.node)
        try await write(.hello, Frame(0, mine.encoded()))
    }

    /// Takes part in the hellos as `node`, having dialled.
    func introduce(as node: NodeID, clusterName: String = "test", expecting peer: NodeID? = nil) async throws {
        let mine = Hello(versions: .current, clusterName: clusterName, cluster: nil, node: node, expected: peer)
        try await write(.hello, Frame(0, mine.encoded()))
        _ = try await readEnvelope()
    }
}
