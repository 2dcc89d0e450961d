import Foundation
import Synchronization

@testable import Command

/// Lets this process ask a server that listens on 127.0.0.1 inside a network namespace: each connection to the same
/// port out here is carried there. What the test does to the namespace's network does not touch it.
final class Relay: Sendable {
    private let listener: Int32

    /// Carries until `close`.
    init(port: UInt16, into namespace: NetworkNamespace) throws {
        listener = try Self.listen(port)
        let isInside = Mutex<(any Error)?>(nil)
        let hasBegun = DispatchSemaphore(value: 0)
        let thread = Thread { [listener] in
            do {
                try namespace.enter()
            } catch {
                isInside.withLock { $0 = error }
                hasBegun.signal()
                return
            }
            hasBegun.signal()
            Self.serve(listener, port)
        }
        thread.name = "relay"
        thread.start()
        hasBegun.wait()
        if let error = isInside.withLock({ $0 }) {
            Glibc.close(listener)
            throw error
        }
    }

    /// The thread notices, and closes what is left.
    func close() { shutdown(listener, Int32(SHUT_RDWR)) }

    private static func serve(_ listener: Int32, _ port: UInt16) {
        defer { Glibc.close(listener) }
        while true {
            let client = accept(listener, nil, nil)
            guard client >= 0 else {
                if errno == EINTR || errno == ECONNABORTED { continue }
                return
            }
            guard let server = connected(port) else {
                // As if nobody listened at all.
                reset(client)
                continue
            }
            let pair = Pair(client: client, server: server)
            for isUpward in [true, false] { Thread { pair.copy(isUpward: isUpward) }.start() }
        }
    }

    /// Both ends of a connection; closed when both directions are done.
    private final class Pair: Sendable {
        let client: Int32
        let server: Int32
        private let open = Mutex(2)

        init(client: Int32, server: Int32) {
            self.client = client
            self.server = server
        }

        func copy(isUpward: Bool) {
            let (source, target) = isUpward ? (client, server) : (server, client)
            var buffer = [UInt8](repeating: 0, count: 65_536)
            copying: while true {
                let count = recv(source, &buffer, buffer.count, 0)
                guard count > 0 else { break }
                var sent = 0
                while sent < count {
                    let more = buffer[sent..<count].withUnsafeBytes {
                        send(target, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                    }
                    guard more > 0 else { break copying }
                    sent += more
                }
            }
            shutdown(target, Int32(SHUT_WR))
            let rest = open.withLock { open in
                open -= 1
                return open
            }
            guard rest == 0 else { return }
            Glibc.close(client)
            Glibc.close(server)
        }
    }

    // MARK: Sockets

    private static func stream() throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw HarnessError("socket: \(String(cString: strerror(errno)))") }
        return descriptor
    }

    private static func with(
        _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Bool {
        var address = Ports.loopback(port)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    private static func listen(_ port: UInt16) throws -> Int32 {
        let descriptor = try stream()
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        guard with(port, { bind(descriptor, $0, $1) }), Glibc.listen(descriptor, 64) == 0 else {
            let reason = String(cString: strerror(errno))
            Glibc.close(descriptor)
            throw HarnessError("the relay cannot listen on \(port): \(reason)")
        }
        return descriptor
    }

    /// In the namespace of the calling thread; nil if nobody listens there.
    private static func connected(_ port: UInt16) -> Int32? {
        guard let descriptor = try? stream() else { return nil }
        if with(port, { connect(descriptor, $0, $1) }) { return descriptor }
        Glibc.close(descriptor)
        return nil
    }

    private static func reset(_ descriptor: Int32) {
        var now = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
        Glibc.close(descriptor)
    }
}
