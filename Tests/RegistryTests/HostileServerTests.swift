import Dispatch
import EventLoop
import Glibc
import Primitives
import Testing

@testable import Registry

/// Something that is no Redis, or one that lies: everything is an error, nothing ends the process.
struct HostileServerTests {
    @Test(arguments: [
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n",
        "$999999999999999999999\r\n",
        "$-5\r\n",
        "*2147483647\r\n",
        "*100000\r\n",
        "*-7\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        ":notanumber\r\n",
        "-ERR go away\r\n",
        "$6\r\nrun_id\r\n:1\r\n:2\r\n:3\r\n",
        "$9\r\nrun_id:ab\r\n:1\r\n*0\r\n",
        "%1\r\n+a\r\n+b\r\n",
        "\0\0\0\0\r\n",
    ])
    func whatIsNoReplyIsAnError(reply: String) async throws {
        let server = try FakeServer { _ in Array(reply.utf8) }
        defer { server.end() }
        try await withRegistry(url: "redis://127.0.0.1:\(server.port)", settings: impatient) { fixture in
            let events = try await fixture.events.wait(count: 2)
            #expect(events.allSatisfy { $0.isDisconnection })
        }
    }

    /// A reply that nobody has asked for: hiredis's own asynchronous interface asserts on it.
    @Test func aReplyTooManyIsAnError() async throws {
        let id = "$47\r\nrun_id:0123456789012345678901234567890123456789\r\n"
        let server = try FakeServer { round in
            switch round {
            case 0: Array((id + "+x\r\n+x\r\n").utf8)
            case 1: Array("+OK\r\n$16\r\n0123456789abcdef\r\n+surplus\r\n".utf8)
            default: []
            }
        }
        defer { server.end() }
        try await withRegistry(url: "redis://127.0.0.1:\(server.port)", settings: impatient) { fixture in
            let events = try await fixture.events.wait { $0.contains(where: \.isDisconnection) }
            guard case .disconnected(.malformed(let text))? = events.first(where: \.isDisconnection) else {
                return unexpected(events)
            }
            #expect(text.contains("nothing was asked"))
            #expect(events.contains { $0.isConnection })
        }
    }

    @Test func aReplyWithoutEndIsCutOff() async throws {
        let server = try FakeServer { round in
            round == 0 ? Array("$500000000\r\n".utf8) : [UInt8](repeating: 0x78, count: 1 << 20)
        }
        server.isEndless = true
        defer { server.end() }
        try await withRegistry(url: "redis://127.0.0.1:\(server.port)", settings: impatient) { fixture in
            let events = try await fixture.events.wait(count: 1)
            guard case .disconnected(.malformed(let text)) = events[0] else { return unexpected(events) }
            #expect(text.contains("over \(Limits.registryReplyBytes) bytes"))
        }
    }

    @Test func aServerThatSaysNothingIsGivenUp() async throws {
        let server = try FakeServer { _ in [] }
        defer { server.end() }
        try await withRegistry(url: "redis://127.0.0.1:\(server.port)", settings: impatient) { fixture in
            let events = try await fixture.events.wait(count: 1)
            guard case .disconnected(.timedOut) = events[0] else { return unexpected(events) }
        }
    }
}

/// Answers whatever comes with bytes of the test's choice, on a thread of its own.
///
/// `@unchecked`: the thread only reads what is set before the client connects.
private final class FakeServer: @unchecked Sendable {
    let port: UInt16
    /// Goes on sending without being asked.
    var isEndless = false
    private let listener: Int32
    private let answer: @Sendable (Int) -> [UInt8]
    private let ended = DispatchSemaphore(value: 0)

    init(_ answer: @escaping @Sendable (Int) -> [UInt8]) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = RedisServer.loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        guard isBound, listen(listener, 16) == 0 else { throw RedisServer.Failure(description: "no port is free") }
        self.answer = answer
        self.listener = listener
        port = UInt16(bigEndian: address.sin_port)
        let queue = DispatchQueue(label: "fake")
        queue.async { [self] in
            serve()
            ended.signal()
        }
    }

    func end() {
        shutdown(listener, Int32(SHUT_RDWR))
        ended.wait()
        close(listener)
    }

    private func serve() {
        while true {
            let client = accept(listener, nil, nil)
            guard client >= 0 else { return }
            var buffer = [UInt8](repeating: 0, count: 65_536)
            var round = 0
            while isEndless && round > 0 || recv(client, &buffer, buffer.count, 0) > 0 {
                let bytes = answer(round)
                round += 1
                guard bytes.isEmpty || send(client, bytes, bytes.count, Int32(MSG_NOSIGNAL)) > 0 else { break }
            }
            close(client)
        }
    }
}
