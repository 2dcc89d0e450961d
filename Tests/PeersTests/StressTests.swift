import Primitives
import Synchronization
import Testing

@testable import Peers

@Suite struct StressTests {
    /// Whatever happens to the links, every request completes exactly once, and nothing stays counted as queued.
    @Test(.timeLimit(.minutes(1)), arguments: 0..<6 as Range<UInt64>)
    func everyRequestCompletesOnceWhateverTheLinksDo(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        // One in four is never answered, one in four is answered later.
        let recorder = Recorder { frame, _, reply in
            if frame.tag % 4 != 0 { reply(frame) }
        }
        let a = try await TestNode.start("a")
        var b = try await TestNode.start("b", recorder: recorder)
        let identity = b.id
        let completions = Mutex<[Int: Int]>([:])
        var sent = 0
        await a.setPeers([b.peer])
        for _ in 0..<60 {
            let count = Int.random(in: 1...40, using: &random)
            let first = sent
            sent += count
            let limit = Duration.milliseconds(Int.random(in: 1...60, using: &random))
            let size = Int.random(in: 0...20_000, using: &random)
            let address = b.address
            await a.loop.run {
                for index in first..<first + count {
                    let frame = Frame(UInt16(truncatingIfNeeded: index), [UInt8](repeating: 0, count: size))
                    if index % 10 == 0 {
                        a.transport.request(frame, at: address, within: limit) { _ in
                            completions.withLock { $0[index, default: 0] += 1 }
                        }
                    } else {
                        a.transport.request(frame, to: identity, within: limit) { _ in
                            completions.withLock { $0[index, default: 0] += 1 }
                        }
                    }
                }
            }
            switch Int.random(in: 0..<8, using: &random) {
            case 0: await a.setPeers([])
            case 1: await a.setPeers([b.peer])
            case 2:
                let reborn = try nodeID("a", UInt64(sent))
                await a.loop.run { a.transport.setIdentity(reborn, cluster: nil) }
            case 3: await b.loop.run { [b] in b.transport.setIdentity(identity, cluster: nil) }
            case 4:
                await b.end()
                b = try await TestNode.start("b", recorder: recorder)
                await a.setPeers([b.peer])
            default: await Task.yield()
            }
        }
        let total = sent
        let isComplete = await eventually { completions.withLock { $0.count } == total }
        #expect(isComplete, "\(completions.withLock { $0.count }) of \(total)")
        #expect(await eventually { await a.loop.run { a.transport.queuedBytes(to: identity) } == 0 })
        await a.end()
        await b.end()
        #expect(completions.withLock { $0.values.allSatisfy { $0 == 1 } })
    }
}
