import Primitives
import Testing

@testable import TaskLedger

/// How much a node takes, what has to go, and when to come back.
@Suite struct RoomTests {
    private static func spec(bytes: Int) -> TaskSpec {
        var spec = TaskOwnerTests.spec()
        spec.payload = Array(repeating: UInt8(ascii: "1"), count: bytes)
        return spec
    }

    @Test func bytesAreBoundedAsWellAsTheNumber() throws {
        var bench = OwnerBench(slots: 1, maxQueuedBytes: 10_000)
        let small = Self.spec(bytes: 10)
        let large = Self.spec(bytes: 8_000)
        #expect(bench.owner.fitting([large, small, large]) == 2)
        let ids = try bench.submit(large, small)
        #expect(bench.owner.heldBytes == 2 * 400 + large.cost + small.cost)
        #expect(bench.owner.fitting([large]) == 0)
        #expect(bench.owner.fitting([small, large]) == 1)
        #expect(throws: OwnerRefusal.full) { try bench.submit(small, large) }
        #expect(bench.owner.openCount == 2, "all or none")

        // What has ended and is in the registry makes room again.
        for id in ids { _ = bench.cancel(id) }
        #expect(bench.owner.openCount == 0)
        #expect(bench.owner.heldBytes == 0, "the outcomes are within their own bound")
        #expect(bench.owner.fitting([large]) == 1)
    }

    @Test func theTimeToComeBackFollowsFromTheRateAtWhichTasksEnd() throws {
        var bench = OwnerBench(slots: 1, maxQueued: 3, hasRegistry: false)
        let spec = TaskOwnerTests.spec()
        #expect(bench.owner.retryAfter([spec]) == 1, "there is room")
        _ = try bench.submit(spec, spec, spec)
        #expect(bench.owner.retryAfter([spec]) == 1, "nothing is known yet")
        bench.owner.measureDrain(at: bench.now)
        bench.now = bench.now + .seconds(8)
        bench.owner.measureDrain(at: bench.now)
        #expect(bench.owner.retryAfter([spec]) == Limits.retryAfterSeconds, "nothing ends")
        bench.now = bench.now + .seconds(8)
        // Two in the last 16 seconds, of which the window knows.
        for _ in 0..<2 {
            bench.owner.slotsFree(1)
            let start = try #require(bench.turn().starts.first)
            bench.report(start.attempt, .completed([]))
            bench.collect()
        }
        bench.owner.measureDrain(at: bench.now)
        _ = try bench.submit(spec, spec)
        #expect(bench.owner.retryAfter([spec]) == 8)
    }

    @Test(arguments: [(0, 1, 60), (1, 10, 10), (5, 1, 1), (0.5, 4, 8), (0.01, 9, 60)])
    func ratesAreRoundedUpAndBounded(rate: Double, count: Double, seconds: Int) {
        var drain = DrainRate()
        #expect(drain.seconds(until: count) == 1)
        drain.measure(0, at: .zero)
        drain.measure(UInt64(rate * 1000), at: .zero + .seconds(1000))
        #expect(drain.seconds(until: count) == seconds)
    }

    @Test func theWindowMoves() {
        var drain = DrainRate()
        for second in 0...100 { drain.measure(UInt64(second < 50 ? second * 10 : 500), at: .zero + .seconds(second)) }
        #expect(drain.perSecond == 0)
    }

    /// Without a registry the oldest outcomes go when they are too many bytes, and are counted.
    @Test(arguments: [true, false]) func outcomesAreBoundedInBytesAndWhatNobodyElseKeepsIsCounted(hasRegistry: Bool)
        throws
    {
        var bench = OwnerBench(slots: 1, maxQueued: 100_000, hasRegistry: hasRegistry)
        let result = Array(repeating: UInt8(ascii: "1"), count: Limits.outcomeBytes / 4)
        var ids: [TaskID] = []
        for _ in 0..<6 {
            ids += try bench.submit(TaskOwnerTests.spec())
            bench.owner.slotsFree(1)
            let start = try #require(bench.turn().starts.first)
            bench.report(start.attempt, .completed(.inline(result)))
            bench.collect()
            bench.effects = []
            if hasRegistry, let id = ids.last { bench.archived(id) }
        }
        #expect(ids.map { bench.status($0) != nil } == [false, false, false, true, true, true], "the oldest first")
        #expect(bench.owner.outcomes.cut == (hasRegistry ? 0 : 3))
        #expect(bench.owner.outcomes.count == 3)
        #expect(bench.owner.outcomes.cost <= Limits.outcomeBytes)
        #expect(bench.owner.derivedFault() == nil)
    }

    /// What the registry lacks is not let go: it takes room.
    @Test func outcomesThatTheRegistryLacksTakeRoom() throws {
        var bench = OwnerBench(slots: 1, maxQueuedBytes: 10_000)
        let result = Array(repeating: UInt8(ascii: "1"), count: Limits.outcomeBytes)
        let id = try #require(try bench.submit(TaskOwnerTests.spec()).first)
        let start = try #require(bench.turn().starts.first)
        bench.report(start.attempt, .completed(.inline(result)))
        bench.collect()
        #expect(bench.owner.heldBytes > 0)
        bench.archived(id)
        #expect(bench.owner.heldBytes == 0)
        #expect(bench.owner.outcomes.cut == 0)
    }
}
