import Glibc
import NIOCore
import NIOEmbedded
import Primitives
import Synchronization
import Testing

@testable import Peers

@Suite struct BackpressureTests {
    @Test func whatAPeerDoesNotTakeIsBounded() async throws {
        let a = try await TestNode.start("a") { $0.tuning.queueBytes = 40 << 20 }
        let (listener, link, peer) = try await PeerLossTests.linked(a)
        let body = [UInt8](repeating: 0, count: 1 << 20)
        // The kernel takes a few, the queue 39, the others are refused.
        let queued = await a.loop.run { (0..<100).count { _ in a.transport.send(Frame(1, body), to: peer.id) } }
        #expect(queued == 39)
        #expect(await a.request(Frame(1, body), to: peer.id) == .failure(.overloaded))
        let counted = await a.loop.run { a.transport.queuedBytes(to: peer.id) }
        #expect(counted > 20 << 20 && counted <= 40 << 20)
        for _ in 0..<queued { _ = try await link.readEnvelope() }
        #expect(await eventually { await a.loop.run { a.transport.queuedBytes(to: peer.id) } == 0 })
        listener.close()
        await a.end()
    }

    @Test func whatIsQueuedIsReleasedWithTheLink() async throws {
        let a = try await TestNode.start("a")
        let (listener, link, peer) = try await PeerLossTests.linked(a)
        let body = [UInt8](repeating: 0, count: 1 << 20)
        await a.loop.run {
            for _ in 0..<30 { a.transport.send(Frame(1, body), to: peer.id) }
        }
        link.reset()
        let second = try await listener.accept()
        await a.loop.run {
            for _ in 0..<5 {
                a.transport.send(Frame(1, body), to: peer.id)
                a.transport.request(Frame(1, body), to: peer.id, within: .seconds(5)) { _ in }
            }
        }
        second.reset()
        listener.close()
        #expect(await a.recorder.sees(.event(.dialFailed(peer, .connectionRefused))))
        #expect(await eventually { await a.loop.run { a.transport.queuedBytes(to: peer.id) } == 0 })
        await a.end()
    }

    @Test func aPeerThatDoesNotTakeItsAnswersIsClosed() async throws {
        let big = [UInt8](repeating: 0, count: 1 << 20)
        let recorder = Recorder { frame, _, reply in reply(Frame(frame.tag, big)) }
        let target = try await TestNode.start("target", recorder: recorder) { $0.tuning.queueBytes = 4 << 20 }
        let peer = try nodeID("raw")
        let socket = try RawSocket.connect(to: target.address)
        try await socket.introduce(as: peer)
        do {
            for number in 1...60 as ClosedRange<UInt32> {
                try await socket.write(.request, number: number, Frame(1, []))
            }
        } catch is SocketFailure {
            // Closed before the last one was asked.
        }
        #expect(await recorder.sees(.event(.acceptedEnded(peer, .violation(.answersNotTaken)))))
        socket.close()
        await target.end()
    }

    @Test func readingStopsWhileTheLoopIsBehind() async throws {
        let target = try await TestNode.start("target") { $0.tuning.intakeBytes = 1 << 20 }
        let peer = try nodeID("raw")
        let gate = Gate()
        target.loop.execute { gate.wait() }
        let total = 64
        let writer = Task.detached { [address = target.address] in
            let socket = try RawSocket.connect(to: address)
            try await socket.introduce(as: peer)
            let body = [UInt8](repeating: 0, count: 1 << 20)
            for index in 0..<total { try await socket.write(.message, Frame(UInt16(index), body)) }
        }
        // The kernel's buffers hold a few MiB; if the writer ever finished, 64 MiB would have been read.
        let isHeld = await eventually { await target.transport.heldConnections() == 1 }
        #expect(isHeld)
        gate.open()
        try await writer.value
        #expect(await target.recorder.sees { $0.count { if case .message = $0 { true } else { false } } == total })
        await target.end()
    }

    @Test func acceptingPausesWhenTheSystemCannot() throws {
        final class ReadCounter: ChannelOutboundHandler {
            typealias OutboundIn = Never
            var count = 0
            func read(context: ChannelHandlerContext) { count += 1 }
        }
        let loop = EmbeddedEventLoop()
        let reads = ReadCounter()
        var failures = 0
        let channel = EmbeddedChannel(handlers: [reads, AcceptPause { _ in failures += 1 }], loop: loop)
        channel.read()
        #expect(reads.count == 1)
        for _ in 0..<3 {
            channel.pipeline.fireErrorCaught(IOError(errnoCode: EMFILE, reason: "accept"))
            channel.read()
        }
        #expect(failures == 1)
        #expect(reads.count == 1)
        loop.advanceTime(by: AcceptPause.pause)
        #expect(reads.count == 2)
        channel.read()
        #expect(reads.count == 3)
        _ = try channel.finish()
    }
}

/// Blocks a thread until it is opened.
final class Gate: Sendable {
    private let isOpen = Mutex(false)

    func open() { isOpen.withLock { $0 = true } }

    func wait() {
        let end = ContinuousClock.now + .seconds(10)
        while !isOpen.withLock({ $0 }), ContinuousClock.now < end { pause() }
    }

    private func pause() {
        var rest = timespec(tv_sec: 0, tv_nsec: 1_000_000)
        nanosleep(&rest, nil)
    }
}
