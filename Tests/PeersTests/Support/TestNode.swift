import Peers
import Primitives
import Testing

/// A node that is nothing but its links.
struct TestNode {
    let id: NodeID
    let address: Address
    let loop: TestLoop
    let transport: TCPTransport
    let recorder: Recorder

    var peer: Peer { Peer(id: id, address: address) }

    static func start(
        _ name: String, generation: UInt64 = 1, recorder: Recorder = Recorder(),
        _ adjust: (inout TCPTransport.Settings) -> Void = { _ in }
    ) async throws -> TestNode {
        let id = try nodeID(name, generation)
        let loop = TestLoop()
        var settings = TCPTransport.Settings(
            address: Address(host: "127.0.0.1", port: 0), clusterName: "test", node: id, cluster: nil, seed: generation)
        adjust(&settings)
        let transport = TCPTransport(settings, scheduler: loop)
        let address = try await transport.start(delegate: recorder)
        return TestNode(id: id, address: address, loop: loop, transport: transport, recorder: recorder)
    }

    /// Keeps a link to `peers` and waits until each is up.
    func link(to peers: TestNode...) async {
        await setPeers(peers.map(\.peer))
        for peer in peers {
            let isUp = await recorder.sees { $0.contains { told in isLinkUp(told, peer.id) } }
            #expect(isUp, "no link from \(id) to \(peer.id): \(recorder.told)")
        }
    }

    func setPeers(_ peers: [Peer]) async { await loop.run { [transport] in transport.setPeers(peers) } }

    /// A second completion would trap in the continuation.
    func request(
        _ frame: Frame, to peer: NodeID, within limit: Duration = .seconds(5)
    ) async -> Result<Frame, PeerError> {
        await withCheckedContinuation { continuation in
            loop.execute { [transport] in
                transport.request(frame, to: peer, within: limit) { continuation.resume(returning: $0) }
            }
        }
    }

    func request(
        _ frame: Frame, at address: Address, within limit: Duration = .seconds(5)
    ) async -> Result<Introduction, PeerError> {
        await withCheckedContinuation { continuation in
            loop.execute { [transport] in
                transport.request(frame, at: address, within: limit) { continuation.resume(returning: $0) }
            }
        }
    }

    func end() async { await transport.shutdown() }
}

func isLinkUp(_ told: Told, _ peer: NodeID) -> Bool {
    if case .linkUp(peer, _) = told { true } else { false }
}

func nodeID(_ name: String, _ generation: UInt64 = 1) throws -> NodeID {
    NodeID(name: try #require(NodeName(name)), generation: Generation(generation))
}

/// Two nodes, ended afterwards whatever happens.
func withTwoNodes(
    _ a: TestNode, _ b: TestNode, _ body: (TestNode, TestNode) async throws -> Void
) async throws {
    do {
        try await body(a, b)
    } catch {
        await a.end()
        await b.end()
        throw error
    }
    await a.end()
    await b.end()
}

/// Waits until `condition` holds, which nothing tells us about.
func eventually(within limit: Duration = .seconds(5), _ condition: () async -> Bool) async -> Bool {
    let end = ContinuousClock.now + limit
    while ContinuousClock.now < end {
        if await condition() { return true }
        // A cancelled test fails by its condition.
        try? await Task.sleep(for: .milliseconds(1))
    }
    return await condition()
}
