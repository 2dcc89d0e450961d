import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Testing

@testable import Command

/// Asking nodes of which some hang, some are dead, and some answer nonsense.
struct ClusterClientTests {
    /// Answers every request with one status and body, or, without them, accepts and never answers.
    private final class Server: Sendable {
        let channel: any Channel
        var url: String { "http://127.0.0.1:\(channel.localAddress?.port ?? 0)" }

        init(status: HTTPResponseStatus? = nil, body: String = "") async throws {
            channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .childChannelInitializer { channel in
                    guard let status else { return channel.eventLoop.makeSucceededVoidFuture() }
                    return channel.pipeline.configureHTTPServerPipeline().flatMapThrowing {
                        try channel.pipeline.syncOperations.addHandler(Handler(status: status, body: body))
                    }
                }
                .bind(host: "127.0.0.1", port: 0).get()
        }

        func close() async throws { try await channel.close().get() }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart
        private let status: HTTPResponseStatus
        private let body: String

        init(status: HTTPResponseStatus, body: String) {
            self.status = status
            self.body = body
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard case .end = unwrapInboundIn(data) else { return }
            let headers: HTTPHeaders = ["content-length": "\(body.utf8.count)"]
            let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: body)))), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
    }

    /// Of a server that has gone.
    private func deadURL() async throws -> String {
        let server = try await Server()
        let url = server.url
        try await server.close()
        return url
    }

    @Test func theFirstGoodAnswerWinsOverHangingAndDeadNodes() async throws {
        let hanging = try await Server()
        let draining = try await Server(status: .serviceUnavailable)
        let ready = try await Server(status: .ok, body: "{}")
        let client = ClusterClient(nodes: [hanging.url, try await deadURL(), draining.url, ready.url])
        let begin = ContinuousClock.now
        #expect(try await client.living() == ready.url)
        #expect(ContinuousClock.now - begin < .milliseconds(700), "it did not wait for the node that hangs")
        for server in [hanging, draining, ready] { try await server.close() }
    }

    @Test func aNodeThatIsNotReadyIsBetterThanNone() async throws {
        let hanging = try await Server()
        let draining = try await Server(status: .serviceUnavailable)
        #expect(try await ClusterClient(nodes: [hanging.url, draining.url]).living() == draining.url)
        for server in [hanging, draining] { try await server.close() }
    }

    @Test func nobodyAnsweringIsSaidSoon() async throws {
        let hanging = try await Server()
        let client = ClusterClient(nodes: [hanging.url, try await deadURL()])
        let begin = ContinuousClock.now
        let failure = await #expect(throws: CommandFailure.self) { try await client.living() }
        #expect(failure?.code == 2)
        // Half a second is meant; a busy machine takes its time.
        #expect(ContinuousClock.now - begin < .seconds(5))
        try await hanging.close()
    }

    @Test func aProblemDocumentIsASentence() async throws {
        let body = #"""
            {"type": "/docs#invalid", "title": "Invalid task", "status": 422, "detail": "It has 1 mistake.",
             "errors": [{"pointer": "/priority", "detail": "has to be 1...10"}]}
            """#
        let server = try await Server(status: .unprocessableEntity, body: body)
        let answer = try await ClusterClient.send(.POST, "/api/tasks", to: server.url, body: [], limit: .seconds(5))
        #expect(answer.problem.message == "Invalid task (422): It has 1 mistake.\n  /priority: has to be 1...10")
        try await server.close()
    }

    @Test func anAnswerThatIsNotOursIsShown() async throws {
        let server = try await Server(status: .badGateway, body: "<html>")
        let answer = try await ClusterClient.send(.GET, "/", to: server.url, limit: .seconds(5))
        #expect(answer.problem.message == "\(server.url) answered 502: <html>")
        try await server.close()
    }

    @Test(arguments: [
        ("http://a:1", "http://a:1"), ("http://a:1/", "http://a:1"), ("a.example:1", "http://a.example:1"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"), ("https://a", "https://a"), ("ftp://a", nil), ("http://", nil),
        ("http://a/b", nil), ("http://a?b", nil),
    ])
    func addressesOfNodes(text: String, url: String?) {
        #expect((try? ClientOptions.normalized(text)) == url)
    }
}
