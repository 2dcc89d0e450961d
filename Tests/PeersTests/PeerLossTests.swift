import Primitives
import Testing

@testable import Peers

@Suite struct PeerLossTests {
    /// A peer that is a plain socket: it has been dialled by `a` and has exchanged hellos.
    static func linked(_ a: TestNode) async throws -> (listener: RawSocket, link: RawSocket, Peer) {
        let listener = try RawSocket.listen()
        let peer = Peer(id: try nodeID("raw"), address: try listener.address())
        await a.setPeers([peer])
        let link = try await listener.accept()
        try await link.greet(as: peer.id)
        #expect(await a.recorder.sees(.linkUp(peer.id, 1)))
        return (listener, link, peer)
    }

    enum Ending: CaseIterable { case reset, close }

    /// As after `kill -9`: the kernel closes the listener and the links.
    @Test(arguments: Ending.allCases) func aKilledProcessIsKnownToBeGone(ending: Ending) async throws {
        let a = try await TestNode.start("a")
        let (listener, link, peer) = try await Self.linked(a)
        async let answer = a.request(Frame(1, []), to: peer.id)
        _ = try await link.readEnvelope()
        listener.close()
        let start = ContinuousClock.now
        if ending == .reset { link.reset() } else { link.close() }
        #expect(await a.recorder.sees(.processGone(peer.id)))
        let elapsed = ContinuousClock.now - start
        #expect(elapsed < .seconds(2), "less than a millisecond, if the machine is not busy")
        #expect(await answer == .failure(.linkLost(.lost)))
        let ends = a.recorder.told.filter { [.linkDown(peer.id, .lost), .processGone(peer.id)].contains($0) }
        #expect(ends == [.linkDown(peer.id, .lost), .processGone(peer.id)])
        #expect(a.recorder.told.count { $0 == .processGone(peer.id) } == 1)
        await a.end()
    }

    /// The links of a dying process may end before its listener does.
    @Test func aListenerThatDiesLastIsSeenThrough() async throws {
        let a = try await TestNode.start("a") { $0.tuning.proof = .seconds(60) }
        let (listener, link, peer) = try await Self.linked(a)
        link.reset()
        let second = try await listener.accept()
        listener.close()
        second.reset()
        #expect(await a.recorder.sees(.processGone(peer.id)))
        await a.end()
    }

    @Test func aGoodbyeIsNotACrash() async throws {
        let a = try await TestNode.start("a")
        let (listener, link, peer) = try await Self.linked(a)
        try await link.write(.goodbye)
        listener.close()
        link.close()
        #expect(await a.recorder.sees(.linkDown(peer.id, .goodbye)))
        #expect(await a.recorder.sees(.event(.dialFailed(peer, .connectionRefused))))
        #expect(!a.recorder.told.contains(.processGone(peer.id)))
        await a.end()
    }

    @Test func aNodeThatIsShutDownSaysGoodbye() async throws {
        try await withTwoNodes(.start("a"), .start("b")) { a, b in
            await a.link(to: b)
            await b.link(to: a)
            await b.end()
            #expect(await a.recorder.sees(.linkDown(b.id, .goodbye)))
            #expect(await a.recorder.sees(.event(.dialFailed(b.peer, .connectionRefused))))
            #expect(!a.recorder.told.contains(.processGone(b.id)))
        }
    }

    @Test func aResetWithAListenerIsOnlyALostLink() async throws {
        let a = try await TestNode.start("a")
        let (listener, link, peer) = try await Self.linked(a)
        link.reset()
        #expect(await a.recorder.sees(.linkDown(peer.id, .lost)))
        let second = try await listener.accept()
        try await second.greet(as: peer.id)
        #expect(await a.recorder.sees { $0.count { isLinkUp($0, peer.id) } == 2 })
        #expect(!a.recorder.told.contains(.processGone(peer.id)))
        await a.end()
    }

    @Test func aRefusedDialLongAfterwardsProvesNothing() async throws {
        let a = try await TestNode.start("a") { $0.tuning.proof = .milliseconds(50) }
        let (listener, link, peer) = try await Self.linked(a)
        link.reset()
        let second = try await listener.accept()
        try await Task.sleep(for: .milliseconds(60))
        listener.close()
        second.reset()
        #expect(await a.recorder.sees(.event(.dialFailed(peer, .connectionRefused))))
        #expect(!a.recorder.told.contains(.processGone(peer.id)))
        await a.end()
    }

    @Test func aSilentLinkIsDialledAgain() async throws {
        let a = try await TestNode.start("a") { $0.tuning.silence = .milliseconds(100) }
        let (listener, link, peer) = try await Self.linked(a)
        let answer = await a.request(Frame(1, []), to: peer.id, within: .milliseconds(20))
        #expect(answer == .failure(.timedOut(sent: true)))
        #expect(await a.recorder.sees(.linkDown(peer.id, .silent)))
        let second = try await listener.accept()
        try await second.greet(as: peer.id)
        #expect(await a.recorder.sees { $0.count { isLinkUp($0, peer.id) } == 2 })
        link.close()
        await a.end()
    }
}
