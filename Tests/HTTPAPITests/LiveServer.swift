import HTTPTypes
import Logging
import NIOCore
import NIOPosix
import Primitives
import Service
import ServiceLifecycle
import Synchronization
import Testing

@testable import HTTPAPI

/// Runs `body` against a server on a port of its own, and shuts the server down gracefully after it.
func withServer(
    _ service: FakeService = FakeService(), settings: APISettings = APISettings(),
    _ body: @escaping @Sendable (LiveServer) async throws -> Void
) async throws {
    let (addresses, continuation) = AsyncStream.makeStream(of: Address.self)
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let server = APIServer(
        service: service, address: Address(host: "127.0.0.1", port: 0), settings: settings, logger: logger,
        onListening: { continuation.yield($0) })
    let group = ServiceGroup(configuration: .init(services: [server], logger: logger))
    try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask { try await group.run() }
        let address = try #require(await addresses.first { _ in true })
        do {
            try await body(
                LiveServer(
                    port: Int(address.port), service: service, shutDown: { await group.triggerGracefulShutdown() }))
        } catch {
            await group.triggerGracefulShutdown()
            throw error
        }
        await group.triggerGracefulShutdown()
        try await tasks.waitForAll()
    }
}

struct LiveServer: Sendable {
    let port: Int
    let service: FakeService
    let shutDown: @Sendable () async -> Void

    /// Runs `body` with a connection that is closed after it.
    func connected<Value: Sendable>(_ body: (RawClient) async throws -> Value) async throws -> Value {
        let client = try await RawClient(port: port)
        do {
            let value = try await body(client)
            try await client.close()
            return value
        } catch {
            try await client.close()
            throw error
        }
    }
}

/// A client that sends what no HTTP library would.
final class RawClient: Sendable {
    /// What has been received and not been read.
    private struct State {
        var bytes: [UInt8] = []
        var isClosed = false
    }

    private final class Receiver: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let state = Mutex(State())

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = unwrapInboundIn(data).readableBytesView
            state.withLock { $0.bytes.append(contentsOf: bytes) }
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if event as? ChannelEvent == .inputClosed { state.withLock { $0.isClosed = true } }
        }

        func channelInactive(context: ChannelHandlerContext) { state.withLock { $0.isClosed = true } }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { state.withLock { $0.isClosed = true } }
    }

    private let channel: any Channel
    private let receiver: Receiver

    init(port: Int) async throws {
        let receiver = Receiver()
        self.receiver = receiver
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { $0.pipeline.addHandler(receiver) }
            .connect(host: "127.0.0.1", port: port).get()
    }

    func send(_ text: String) async throws { try await channel.writeAndFlush(ByteBuffer(string: text)) }

    /// Sends what the server may refuse to take.
    func sendUntilRefused(_ text: String) async {
        do { try await send(text) } catch { receiver.state.withLock { $0.isClosed = true } }
    }

    func finishSending() async throws { try await channel.close(mode: .output) }
    func readNothing() async throws { try await channel.setOption(.autoRead, value: false).get() }

    func close() async throws {
        do { try await channel.close() } catch ChannelError.alreadyClosed {}
    }

    var isClosed: Bool { receiver.state.withLock { $0.isClosed } }

    /// Whether the server closes the connection without another byte.
    func isClosedSilently() async throws -> Bool {
        try await eventually { self.isClosed ? self.receiver.state.withLock { $0.bytes.isEmpty } : nil }
    }

    /// The next response, framed by its `Content-Length`.
    /// - Parameter hasBody: false for the answer to `HEAD`, and for informational ones.
    func response(hasBody: Bool = true) async throws -> Answer {
        try await eventually {
            try self.receiver.state.withLock { state in
                let answer = try Self.parse(&state.bytes, hasBody: hasBody)
                if answer == nil, state.isClosed {
                    throw ConnectionEnded(rest: String(decoding: state.bytes, as: UTF8.self))
                }
                return answer
            }
        }
    }

    private static func parse(_ bytes: inout [UInt8], hasBody: Bool) throws -> Answer? {
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
        let status = try #require(Int(lines[0].split(separator: " ")[1]))
        var headers: HTTPFields = [:]
        for line in lines.dropFirst() {
            let colon = try #require(line.firstIndex(of: ":"))
            let name = try #require(HTTPField.Name(String(line[..<colon])))
            headers[name] = line[line.index(after: colon)...].trimmingPrefix(" ").description
        }
        let length = hasBody ? headers[.contentLength].flatMap { Int($0) } ?? 0 : 0
        guard bytes.count >= end.upperBound + length else { return nil }
        let body = Array(bytes[end.upperBound..<end.upperBound + length])
        bytes.removeFirst(end.upperBound + length)
        return Answer(status: status, headers: headers, body: body)
    }
}

struct ConnectionEnded: Error { let rest: String }
