import Primitives
import Testing

@testable import Peers

/// Whatever a stranger or a broken peer sends: its connection is closed for a stated reason, and nothing else is
/// harmed.
@Suite struct HostileInputTests {
    /// Runs `body` against a node, then checks that the node still serves others.
    static func withTarget(
        _ adjust: (inout TCPTransport.Settings) -> Void = { _ in }, recorder: Recorder = Recorder(),
        _ body: (TestNode) async throws -> Void
    ) async throws {
        try await withTwoNodes(.start("friend"), .start("target", recorder: recorder, adjust)) { friend, target in
            try await body(target)
            #expect(
                await friend.request(Frame(1, [1]), at: target.address).map(\.frame) == .success(Frame(1, [1])))
        }
    }

    static func isRejected(_ target: TestNode, _ end: LinkEnd) async -> Bool {
        await target.recorder.sees {
            $0.contains {
                if case .event(.rejected(_, end)) = $0 { true } else { false }
            }
        }
    }

    static let beforeHello: [([UInt8], Violation)] = [
        (Array("GET / HTTP/1.1\r\n\r\n".utf8), .frameLength(0x4745_5420)),
        ([0, 0, 0, 0], .frameLength(0)),
        ([0, 0, 0, 7, 9], .unknownKind(9)),
        ([0, 0, 0, 7, 3, 0, 1, 0, 0, 0, 1], .unexpected(.request)),
        ([0, 0, 0, 7, 4, 0, 1, 0, 0, 0, 1], .unexpected(.response)),
        ([0, 0, 0, 7, 2, 0, 0, 0, 0, 0, 0], .unexpected(.goodbye)),
        ([0, 0, 0, 7, 1, 0, 0, 0, 0, 0, 0], .malformedHello("truncated")),
        ([0, 0, 0, 11, 1, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], .malformedHello("invalid(\"magic\")")),
        ([0, 0, 4, 1], .frameLength(1025)),
    ]

    @Test(arguments: beforeHello) func strangersAreClosed(bytes: [UInt8], violation: Violation) async throws {
        try await Self.withTarget { target in
            let socket = try RawSocket.connect(to: target.address)
            try await socket.write(bytes)
            #expect(try await socket.isEnded())
            #expect(await Self.isRejected(target, .violation(violation)), "\(target.recorder.told)")
            #expect(await eventually { await target.transport.counters().violations == 1 })
        }
    }

    static let afterHello: [([UInt8], Violation)] = [
        ([0, 0, 0, 7, 1, 0, 0, 0, 0, 0, 0], .unexpected(.hello)),
        ([0, 0, 0, 7, 4, 0, 1, 0, 0, 0, 1], .unexpected(.response)),
        ([0, 0, 0, 7, 99, 0, 1, 0, 0, 0, 1], .unknownKind(99)),
        ([0, 0x80, 0, 1], .frameLength(0x80_0001)),
        ([0, 0, 0, 6], .frameLength(6)),
        ([0, 0, 0, 7, 3, 0, 1, 0, 0, 0, 1, 0, 0, 0, 7, 3, 0, 1, 0, 0, 0, 1], .tooManyRequests),
    ]

    @Test(arguments: afterHello) func peersThatBreakTheProtocolAreClosed(
        bytes: [UInt8], violation: Violation
    ) async throws {
        let peer = try nodeID("raw")
        try await Self.withTarget(recorder: Recorder { frame, _, reply in if !frame.body.isEmpty { reply(frame) } }) {
            let socket = try RawSocket.connect(to: $0.address)
            try await socket.introduce(as: peer)
            try await socket.write(bytes)
            #expect(try await socket.isEnded())
            #expect(await $0.recorder.sees(.event(.acceptedEnded(peer, .violation(violation)))))
        }
    }

    @Test func requestsFromTheDialledSideAreRefused() async throws {
        let a = try await TestNode.start("a")
        let (listener, link, peer) = try await PeerLossTests.linked(a)
        try await link.write(.request, number: 1, Frame(1, []))
        #expect(try await link.isEnded())
        #expect(await a.recorder.sees(.linkDown(peer.id, .violation(.unexpected(.request)))))
        #expect(!a.recorder.told.contains(.processGone(peer.id)))
        listener.close()
        await a.end()
    }

    @Test func answersToNothingAreDropped() async throws {
        let a = try await TestNode.start("a")
        let (listener, link, peer) = try await PeerLossTests.linked(a)
        try await link.write(.response, number: 77, Frame(1, []))
        async let answer = a.request(Frame(2, []), to: peer.id)
        let envelope = try await link.readEnvelope()
        try await link.write(.response, number: envelope.number, Frame(3, [3]))
        #expect(await answer == .success(Frame(3, [3])))
        #expect(await a.transport.counters().lateAnswers == 1)
        listener.close()
        await a.end()
    }

    @Test func aHelloThatDoesNotComeIsNotWaitedFor() async throws {
        try await Self.withTarget({ $0.tuning.helloTimeout = .milliseconds(50) }) { target in
            let silent = try RawSocket.connect(to: target.address)
            let slow = try RawSocket.connect(to: target.address)
            try await slow.write([0, 0, 0, 100, 1])
            #expect(try await silent.isEnded())
            #expect(try await slow.isEnded())
            #expect(await Self.isRejected(target, .noHello))
            #expect(await eventually { await target.transport.counters().withoutHello == 2 })
        }
    }

    @Test func aDialledPeerThatSaysNothingIsGivenUp() async throws {
        let a = try await TestNode.start("a") { $0.tuning.helloTimeout = .milliseconds(50) }
        let listener = try RawSocket.listen()
        let peer = Peer(id: try nodeID("raw"), address: try listener.address())
        await a.setPeers([peer])
        let answer = await a.request(Frame(1, []), to: peer.id)
        #expect(answer == .failure(.unreachable(.noHello)))
        #expect(await a.recorder.sees(.event(.dialFailed(peer, .noHello))))
        listener.close()
        await a.end()
    }

    @Test func connectionsAreBounded() async throws {
        try await Self.withTarget({ $0.tuning.inboundLinks = 3 }) { target in
            var sockets: [RawSocket] = []
            for index in 0..<3 {
                let socket = try RawSocket.connect(to: target.address)
                try await socket.introduce(as: nodeID("raw\(index)"))
                sockets.append(socket)
            }
            let tooMany = try RawSocket.connect(to: target.address)
            #expect(try await tooMany.isEnded())
            #expect(await Self.isRejected(target, .overCapacity))
            sockets.removeLast().close()
            #expect(
                await target.recorder.sees {
                    $0.contains { if case .event(.acceptedEnded) = $0 { true } else { false } }
                })
            // The place is free again: the friend gets it.
        }
    }

    @Test(arguments: 0..<60 as Range<UInt64>) func fuzz(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let isGreeted = seed % 2 == 0
        var stream: [UInt8] = []
        for _ in 0..<Int.random(in: 1...30, using: &random) {
            let kind = isGreeted ? [FrameKind.request, .message].randomElement(using: &random) ?? .request : .hello
            let hello = Hello(
                versions: .current, clusterName: "test", cluster: nil, node: try nodeID("raw"), expected: nil)
            let body =
                kind == .hello
                ? hello.encoded() : [UInt8](repeating: 1, count: Int.random(in: 0...200, using: &random))
            stream += FrameParserTests.bytes(kind, number: UInt32(stream.count), Frame(UInt16(seed), body))
        }
        for _ in 0..<Int.random(in: 1...8, using: &random) {
            stream[Int.random(in: 0..<stream.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        stream.removeLast(Int.random(in: 0..<stream.count, using: &random))
        let bytes = stream
        try await Self.withTarget { target in
            let socket = try RawSocket.connect(to: target.address)
            if isGreeted { try await socket.introduce(as: nodeID("raw")) }
            do {
                try await socket.write(bytes)
            } catch is SocketFailure {
                // It was closed on while it wrote: so be it.
            }
            socket.close()
            let isOver = await target.recorder.sees {
                $0.contains {
                    switch $0 {
                    case .event(.acceptedEnded), .event(.rejected): true
                    default: false
                    }
                }
            }
            #expect(isOver)
        }
    }
}
