import Primitives
import Testing

@testable import Membership

@Suite struct RumorQueueTests {
    @Test func aRumorReplacesOlderOnesOfTheName() {
        var queue = RumorQueue()
        queue.enqueue(alive("b"))
        queue.enqueue(alive("c"))
        queue.enqueue(suspect("b", by: "x"))
        queue.enqueue(dead("b"))
        #expect(queue.rumors == [dead("b"), alive("c")])
    }

    @Test func suspicionsByDifferentAccusersStandSideBySide() {
        var queue = RumorQueue()
        queue.enqueue(suspect("b", by: "x"))
        queue.enqueue(suspect("b", by: "y"))
        queue.enqueue(suspect("b", by: "x", proof: true))
        #expect(queue.rumors == [suspect("b", by: "x", proof: true), suspect("b", by: "y")])
        queue.enqueue(suspect("b", 1, by: "y"))
        #expect(queue.rumors == [suspect("b", 1, by: "y")])
        queue.enqueue(alive("b", 2))
        #expect(queue.rumors == [alive("b", 2)])
    }

    @Test func whatWasSentLeastComesFirstThenTheNewest() {
        var queue = RumorQueue()
        for member in ["b", "c", "d"] { queue.enqueue(left(member)) }
        let size = left("b").encodedBytes
        #expect(queue.take(fitting: 2 * size, sendingLimit: 9) == [left("d"), left("c")])
        #expect(queue.take(fitting: 2 * size, sendingLimit: 9) == [left("b"), left("d")])
        queue.enqueue(left("e"))
        #expect(queue.take(fitting: 1000, sendingLimit: 9) == [left("e"), left("c"), left("b"), left("d")])
    }

    @Test func aRumorIsDroppedAfterItsLimitOfSendings() {
        var queue = RumorQueue()
        queue.enqueue(left("b"))
        for _ in 0..<3 { #expect(queue.take(fitting: 1000, sendingLimit: 3) == [left("b")]) }
        #expect(queue.isEmpty)
    }

    @Test func onlyWhatFitsIsTakenSmallerOnesFillTheRest() {
        var queue = RumorQueue()
        queue.enqueue(left("b"))
        queue.enqueue(alive("c"))
        #expect(queue.take(fitting: alive("c").encodedBytes - 1, sendingLimit: 9) == [left("b")])
        #expect(queue.take(fitting: 0, sendingLimit: 9) == [])
        #expect(queue.take(fitting: -5, sendingLimit: 9) == [])
    }

    @Test func whatTheMessageTellsAlreadyIsNotTakenAgain() {
        var queue = RumorQueue()
        queue.enqueue(left("b"))
        queue.enqueue(left("c"))
        #expect(queue.take(fitting: 1000, sendingLimit: 9, excluding: [left("c")]) == [left("b")])
    }

    @Test func aFullQueueDropsWhatWasSentMost() {
        var queue = RumorQueue(capacity: 2)
        queue.enqueue(left("b"))
        queue.enqueue(left("c"))
        _ = queue.take(fitting: left("c").encodedBytes, sendingLimit: 9)
        queue.enqueue(left("d"))
        #expect(queue.rumors == [left("d"), left("b")])
    }

    @Test func countIsBounded() {
        var queue = RumorQueue()
        for number in 0..<2000 { queue.enqueue(left("n\(number)")) }
        #expect(queue.count == MembershipLimits.rumors)
        #expect(queue.take(fitting: 1 << 20, sendingLimit: 9).count == GossipMessage.maximumRumors)
    }
}
