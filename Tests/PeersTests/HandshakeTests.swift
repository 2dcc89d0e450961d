import Peers
import Primitives
import Testing

@Suite struct HandshakeTests {
    /// What comes of dialling `b` as `peer`: a link, or the reason why not.
    static func outcome(_ a: TestNode, _ b: TestNode, as peer: NodeID) async -> Result<UInt16, Refusal>? {
        await a.setPeers([Peer(id: peer, address: b.address)])
        @Sendable func find(_ told: [Told]) -> Result<UInt16, Refusal>? {
            for told in told {
                switch told {
                case .linkUp(peer, let version): return .success(version)
                case .event(.dialFailed(_, .refused(let refusal))): return .failure(refusal)
                default: continue
                }
            }
            return nil
        }
        _ = await a.recorder.sees { find($0) != nil }
        return find(a.recorder.told)
    }

    @Test(arguments: [(1, 1, 1), (1, 2, 2), (2, 5, 3), (3, 3, 3)] as [(UInt16, UInt16, UInt16)])
    func theHighestCommonVersionIsSpoken(lowest: UInt16, highest: UInt16, spoken: UInt16) async throws {
        let range = try #require(VersionRange(lowest, highest))
        let ours = try #require(VersionRange(1, 3))
        try await withTwoNodes(.start("a") { $0.versions = range }, .start("b") { $0.versions = ours }) { a, b in
            #expect(await Self.outcome(a, b, as: b.id) == .success(spoken))
        }
    }

    @Test func withoutACommonVersionBothSidesSayWhy() async throws {
        let old = try #require(VersionRange(1, 2))
        let new = try #require(VersionRange(3, 4))
        try await withTwoNodes(.start("a") { $0.versions = old }, .start("b") { $0.versions = new }) { a, b in
            #expect(await Self.outcome(a, b, as: b.id) == .failure(.versions(theirs: new)))
            let isSaid = await b.recorder.sees {
                $0.contains {
                    if case .event(.rejected(_, .refused(.versions(theirs: old)))) = $0 { true } else { false }
                }
            }
            #expect(isSaid)
            let isCounted = await eventually { await b.transport.counters().refused > 0 }
            #expect(isCounted)
            let answer = await a.request(Frame(1, []), at: b.address)
            #expect(answer == .failure(.unreachable(.refused(.versions(theirs: new)))))
        }
    }

    @Test func anotherClusterIsRefused() async throws {
        let one = ClusterID(high: 0, low: 1)
        let two = ClusterID(high: 0, low: 2)
        try await withTwoNodes(.start("a") { $0.cluster = one }, .start("b") { $0.cluster = two }) { a, b in
            #expect(await Self.outcome(a, b, as: b.id) == .failure(.cluster(two)))
        }
        try await withTwoNodes(.start("a"), .start("b") { $0.clusterName = "other" }) { a, b in
            #expect(await Self.outcome(a, b, as: b.id) == .failure(.clusterName("other")))
        }
        try await withTwoNodes(.start("a"), .start("b") { $0.cluster = two }) { a, b in
            #expect(await Self.outcome(a, b, as: b.id) == .success(1))
        }
    }

    @Test func anotherGenerationIsRefusedAndNamed() async throws {
        try await withTwoNodes(.start("a"), .start("b", generation: 8)) { a, b in
            let meant = try nodeID("b", 7)
            #expect(await Self.outcome(a, b, as: meant) == .failure(.wrongNode(actual: b.id)))
            let answer = await a.request(Frame(1, []), to: meant)
            #expect(answer == .failure(.unreachable(.refused(.wrongNode(actual: b.id)))))
            #expect(!b.recorder.told.contains { if case .request = $0 { true } else { false } })
            await a.link(to: b)
        }
    }

    @Test func aNodeNeedNotBeToldToLeaveItselfOut() async throws {
        try await withTwoNodes(.start("a"), .start("b")) { a, b in
            await a.setPeers([a.peer, b.peer])
            #expect(await a.recorder.sees(.linkUp(b.id, 1)))
            let answer = await a.request(Frame(1, []), to: a.id)
            #expect(answer == .failure(.unreachable(.closed)))
            #expect(await a.loop.run { !a.transport.send(Frame(1, []), to: a.id) })
        }
    }

    @Test func aNewIdentityIsToldToEverybody() async throws {
        try await withTwoNodes(.start("a"), .start("b")) { a, b in
            await a.link(to: b)
            await b.link(to: a)
            let reborn = try nodeID("a", 2)
            await a.loop.run { a.transport.setIdentity(reborn, cluster: nil) }
            #expect(await b.recorder.sees(.event(.accepted(reborn))))
            #expect(await b.recorder.sees(.linkDown(a.id, .goodbye)))
            #expect(await b.recorder.sees(.event(.dialFailed(a.peer, .refused(.wrongNode(actual: reborn))))))
            #expect(!b.recorder.told.contains(.processGone(a.id)))
            #expect(await a.recorder.sees { $0.count { isLinkUp($0, b.id) } == 2 })
            _ = await a.request(Frame(9, []), to: b.id)
            #expect(b.recorder.told.contains(.request(Frame(9, []), reborn)))
        }
    }

    @Test func learningTheClusterKeepsTheLinks() async throws {
        let cluster = ClusterID(high: 0, low: 1)
        try await withTwoNodes(.start("a"), .start("b") { $0.cluster = cluster }) { a, b in
            await a.link(to: b)
            await a.loop.run { a.transport.setIdentity(a.id, cluster: cluster) }
            #expect(await a.request(Frame(1, []), to: b.id) == .success(Frame(1, [])))
            #expect(a.recorder.told.count { isLinkUp($0, b.id) } == 1)
        }
    }

    @Test func learningAnotherClusterEndsTheLink() async throws {
        let cluster = ClusterID(high: 0, low: 1)
        let other = ClusterID(high: 0, low: 2)
        try await withTwoNodes(.start("a"), .start("b") { $0.cluster = cluster }) { a, b in
            await a.link(to: b)
            await b.link(to: a)
            await a.loop.run { a.transport.setIdentity(a.id, cluster: other) }
            #expect(await a.recorder.sees(.linkDown(b.id, .refused(.cluster(cluster)))))
            #expect(await b.recorder.sees(.linkDown(a.id, .goodbye)))
            #expect(await a.recorder.sees(.event(.dialFailed(b.peer, .refused(.cluster(cluster))))))
            let answer = await a.request(Frame(1, []), at: b.address)
            #expect(answer == .failure(.unreachable(.refused(.cluster(cluster)))))
        }
    }
}
