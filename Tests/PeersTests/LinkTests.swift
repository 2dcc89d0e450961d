import Primitives
import Synchronization
import Testing

@testable import Peers

@Suite struct LinkTests {
    @Test func requestIsAnswered() async throws {
        try await withTwoNodes(.start("a"), .start("b")) { a, b in
            await a.link(to: b)
            #expect(await a.request(Frame(7, [1, 2, 3]), to: b.id) == .success(Frame(7, [1, 2, 3])))
            #expect(b.recorder.told.contains(.request(Frame(7, [1, 2, 3]), a.id)))
        }
    }

    @Test func eachOfTwoNodesAsksTheOther() async throws {
        try await withTwoNodes(.start("a"), .start("b")) { a, b in
            await a.link(to: b)
            await b.link(to: a)
            #expect(await a.request(Frame(1, [1]), to: b.id) == .success(Frame(1, [1])))
            #expect(await b.request(Frame(2, [2]), to: a.id) == .success(Frame(2, [2])))
        }
    }

    @Test func requestsWaitForTheFirstDial() async throws {
        try await withTwoNodes(.start("a"), .start("b")) { a, b in
            let answer = await withCheckedContinuation { continuation in
                a.loop.execute {
                    a.transport.setPeers([b.peer])
                    a.transport.request(Frame(1, [1]), to: b.id, within: .seconds(5)) {
                        continuation.resume(returning: $0)
                    }
                }
            }
            #expect(answer == .success(Frame(1, [1])))
        }
    }

    @Test func manyRequestsInFlightGetTheirOwnAnswers() async throws {
        let held = Mutex<[@Sendable () -> Void]>([])
        let recorder = Recorder { frame, _, reply in
            let all = held.withLock { held -> [@Sendable () -> Void] in
                held.append { reply(Frame(frame.tag &+ 1, frame.body)) }
                return held.count == 500 ? held : []
            }
            // Backwards: answers need not come in the order of the questions.
            for answer in all.reversed() { answer() }
        }
        try await withTwoNodes(.start("a"), .start("b", recorder: recorder)) { a, b in
            await a.link(to: b)
            await withTaskGroup(of: Bool.self) { group in
                for index in 0..<500 {
                    group.addTask {
                        let body = [UInt8](repeating: UInt8(index % 251), count: index)
                        return await a.request(Frame(UInt16(index), body), to: b.id)
                            == .success(Frame(UInt16(index) + 1, body))
                    }
                }
                for await isRight in group { #expect(isRight) }
            }
        }
    }

    @Test func requestsAndMessagesArriveInOrder() async throws {
        try await withTwoNodes(.start("a"), .start("b")) { a, b in
            await a.link(to: b)
            await a.loop.run {
                for index in 0..<1000 as Range<UInt16> {
                    if index % 3 == 0 {
                        a.transport.request(Frame(index, []), to: b.id, within: .seconds(5)) { _ in }
                    } else {
                        let isQueued = a.transport.send(Frame(index, []), to: b.id)
                        #expect(isQueued)
                    }
                }
            }
            #expect(await a.request(Frame(1000, []), to: b.id) == .success(Frame(1000, [])))
            let tags = b.recorder.told.compactMap { told -> UInt16? in
                switch told {
                case .request(let frame, a.id), .message(let frame, a.id): frame.tag
                default: nil
                }
            }
            #expect(tags == Array(0...1000))
        }
    }

    @Test func onlyTheFirstAnswerCounts() async throws {
        let recorder = Recorder { frame, _, reply in
            reply(Frame(1, frame.body))
            reply(Frame(2, frame.body))
        }
        try await withTwoNodes(.start("a"), .start("b", recorder: recorder)) { a, b in
            await a.link(to: b)
            for index in 0..<10 as Range<UInt8> {
                #expect(await a.request(Frame(0, [index]), to: b.id) == .success(Frame(1, [index])))
            }
            #expect(await a.transport.counters().lateAnswers == 0)
        }
    }

    @Test(arguments: [20, 100]) func requestWithoutAnswerEndsAtItsDeadline(limit: Int) async throws {
        try await withTwoNodes(.start("a"), .start("b", recorder: Recorder { _, _, _ in })) { a, b in
            await a.link(to: b)
            let start = ContinuousClock.now
            let answer = await a.request(Frame(1, []), to: b.id, within: .milliseconds(limit))
            let elapsed = ContinuousClock.now - start
            #expect(answer == .failure(.timedOut(sent: true)))
            #expect(elapsed >= .milliseconds(limit))
            #expect(elapsed < .seconds(2), "5 ms late at most, if the machine is not busy")
        }
    }

    @Test func whatWaitedTooLongForTheLinkIsNotSent() async throws {
        let a = try await TestNode.start("a")
        let listener = try RawSocket.listen()
        let peer = Peer(id: try nodeID("raw"), address: try listener.address())
        await a.setPeers([peer])
        let link = try await listener.accept()
        let early = await a.request(Frame(1, [1]), to: peer.id, within: .milliseconds(20))
        #expect(early == .failure(.timedOut(sent: false)))
        try await link.greet(as: peer.id)
        async let answer = a.request(Frame(2, [2]), to: peer.id)
        let envelope = try await link.readEnvelope()
        #expect(envelope.frame == Frame(2, [2]))
        try await link.write(.response, number: envelope.number, Frame(3, []))
        #expect(await answer == .success(Frame(3, [])))
        #expect(await a.loop.run { a.transport.queuedBytes(to: peer.id) } == 0)
        link.close()
        listener.close()
        await a.end()
    }

    @Test func lateAnswerIsCountedAndDropped() async throws {
        let held = Mutex<PeerReply?>(nil)
        let recorder = Recorder { frame, _, reply in
            if frame.tag == 1 { held.withLock { $0 = reply } } else { reply(frame) }
        }
        try await withTwoNodes(.start("a"), .start("b", recorder: recorder)) { a, b in
            await a.link(to: b)
            #expect(
                await a.request(Frame(1, []), to: b.id, within: .milliseconds(20)) == .failure(.timedOut(sent: true)))
            b.loop.execute { held.withLock { $0 }?(Frame(1, [1])) }
            #expect(await a.request(Frame(2, []), to: b.id) == .success(Frame(2, [])))
            #expect(await eventually { await a.transport.counters().lateAnswers == 1 })
        }
    }

    @Test func whatIsTooLongIsRefusedHere() async throws {
        let longest = Limits.frameBytes - 7
        try await withTwoNodes(.start("a"), .start("b")) { a, b in
            await a.link(to: b)
            let tooLong = Frame(1, [UInt8](repeating: 0, count: longest + 1))
            #expect(await a.request(tooLong, to: b.id) == .failure(.tooLarge(bytes: longest + 1)))
            #expect(await a.loop.run { !a.transport.send(tooLong, to: b.id) })
            let fits = Frame(1, [UInt8](repeating: 3, count: longest))
            #expect(await a.request(fits, to: b.id) == .success(fits))
        }
    }

    @Test func onlyListedPeersAreSpokenTo() async throws {
        try await withTwoNodes(.start("a"), .start("b")) { a, b in
            #expect(await a.request(Frame(1, []), to: b.id) == .failure(.unknownPeer))
            await a.link(to: b)
            await a.setPeers([b.peer])
            #expect(await a.request(Frame(1, []), to: b.id) == .success(Frame(1, [])))
            await a.setPeers([])
            #expect(await a.recorder.sees(.linkDown(b.id, .closed)))
            #expect(await b.recorder.sees(.event(.acceptedEnded(a.id, .goodbye))))
            #expect(await a.request(Frame(1, []), to: b.id) == .failure(.unknownPeer))
            #expect(await a.loop.run { !a.transport.send(Frame(1, []), to: b.id) })
            let ups = a.recorder.told.count { isLinkUp($0, b.id) }
            #expect(ups == 1, "listing a peer again must not dial again")
        }
    }

    @Test func requestToNobodyFailsAtOnceBetweenDials() async throws {
        let vacant = try RawSocket.listen()
        let address = try vacant.address()
        vacant.close()
        let a = try await TestNode.start("a")
        let b = try nodeID("b")
        await a.setPeers([Peer(id: b, address: address)])
        #expect(
            await a.recorder.sees(.event(.dialFailed(Peer(id: b, address: address), .connectionRefused))))
        let answer = await a.request(Frame(1, []), to: b, within: .seconds(60))
        #expect(answer == .failure(.unreachable(.connectionRefused)))
        #expect(!a.recorder.told.contains(.processGone(b)), "it was never there")
        await a.end()
    }

    @Test func aPeerIsAskedByItsAddress() async throws {
        let cluster = ClusterID(high: 1, low: 2)
        try await withTwoNodes(.start("a"), .start("b") { $0.cluster = cluster }) { a, b in
            let answer = await a.request(Frame(3, [4]), at: b.address)
            #expect(answer == .success(Introduction(peer: b.id, cluster: cluster, frame: Frame(3, [4]))))
            #expect(await b.recorder.sees(.event(.acceptedEnded(a.id, .goodbye))))
            #expect(await a.request(Frame(3, [4]), at: a.address) == .failure(.unreachable(.refused(.itself))))
            let nowhere = Address(host: "nowhere", port: 1)
            guard case .failure(.unreachable(.unreachable)) = await a.request(Frame(3, []), at: nowhere) else {
                Issue.record("a host name is not an address")
                return
            }
        }
    }

    @Test func aNodeThatIsShutDownAnswersNobodyAndItself() async throws {
        try await withTwoNodes(.start("a"), .start("b", recorder: Recorder { _, _, _ in })) { a, b in
            await a.link(to: b)
            async let answer = a.request(Frame(1, []), to: b.id)
            #expect(await b.recorder.sees(.request(Frame(1, []), a.id)))
            await a.end()
            #expect(await answer == .failure(.linkLost(.closed)))
            #expect(await a.request(Frame(1, []), to: b.id) == .failure(.shutDown))
            #expect(await a.request(Frame(1, []), at: b.address) == .failure(.shutDown))
            #expect(await a.transport.counters().accepted == 0)
            await a.end()
        }
    }

    @Test func aTakenAddressIsReported() async throws {
        let taken = try RawSocket.listen()
        let address = try taken.address()
        let settings = TCPTransport.Settings(
            address: address, clusterName: "test", node: try nodeID("a"), cluster: nil, seed: 1)
        let transport = TCPTransport(settings, scheduler: TestLoop())
        let failure = await #expect(throws: PeerError.self) { try await transport.start(delegate: Recorder()) }
        guard case .cannotListen(address, _) = failure else {
            Issue.record("\(String(describing: failure))")
            return
        }
        await transport.shutdown()
    }

    /// Both queues hand over whole turns.
    @Test func threadsAreCrossedInBatches() async throws {
        try await withTwoNodes(.start("a"), .start("b")) { a, b in
            await a.link(to: b)
            let before = b.loop.executeCount
            await a.loop.run {
                for index in 0..<2000 as Range<UInt16> { a.transport.send(Frame(index, [0]), to: b.id) }
            }
            #expect(await b.recorder.sees { $0.contains(.message(Frame(1999, [0]), a.id)) })
            #expect(b.loop.executeCount - before <= 20)
        }
    }
}
