import Primitives
import Testing
import WorkStealing

/// Nodes of a made-up cluster, by number.
func node(_ number: Int) -> NodeID {
    guard let name = NodeName("node-\(number)") else { preconditionFailure("a valid name") }
    return NodeID(name: name, generation: Generation(1))
}

func seconds(_ value: Double) -> Instant { .zero + .nanoseconds(Int64(value * 1e9)) }

@Suite struct ThiefTests {
    private func own(
        slots: Int = 4, free: Int = 4, turning: Int? = nil, held: Int = 0, heldWork: Duration = .zero, ready: Int = 0,
        head: UInt8 = 0,
        isPaused: Bool = false
    ) -> Thief.Own {
        Thief.Own(
            slots: slots, freeSlots: free, turningSlots: turning ?? slots - free, held: held, heldWork: heldWork,
            ready: ready, headPriority: head,
            isPaused: isPaused)
    }

    private func thief(_ count: Int) -> Thief {
        var thief = Thief(seed: 1)
        thief.setVictims((2..<2 + count).map(node))
        return thief
    }

    @Test func idleNodeParksARequestAtEveryPeer() {
        var thief = thief(3)
        let asks = thief.asks(own(), at: .zero)
        #expect(asks.map(\.victim) == [node(2), node(3), node(4)])
        #expect(asks.allSatisfy { $0.wanted == 4 && $0.minimumPriority == 1 })
    }

    @Test func parkedRequestsAreRepeatedOnlyWhenTheyHaveLapsed() {
        var thief = thief(2)
        let before = thief.asks(own(), at: .zero)
        #expect(before.count == 2)
        let between = thief.asks(own(), at: seconds(0.9))
        #expect(between.isEmpty)
        let after = thief.asks(own(), at: seconds(1))
        #expect(after.count == 2)
    }

    @Test func requestsAreParkedAtABoundedNumberOfPeers() {
        var thief = thief(Limits.victims + 5)
        let result = thief.asks(own(), at: .zero)
        #expect(result.count == Limits.victims)
    }

    @Test func theLongerOfTwoQueuesIsAsked() {
        var asked: [NodeID: Int] = [:]
        for seed in 0..<200 as Range<UInt64> {
            var thief = Thief(seed: seed)
            thief.setVictims([node(2), node(3)])
            thief.learn(LoadDigest(ready: 10), of: node(2))
            thief.learn(LoadDigest(ready: 100), of: node(3))
            for ask in thief.asks(own(free: 0), at: .zero) { asked[ask.victim, default: 0] += 1 }
        }
        // Two draws of two: the longer one is missed when both draws are the shorter, one time in four.
        #expect((130...170).contains(asked[node(3), default: 0]))
        #expect(asked[node(2), default: 0] + asked[node(3), default: 0] == 200)
    }

    @Test func aNodeAsksBeforeItRunsDry() {
        var thief = thief(1)
        thief.learn(LoadDigest(ready: 100), of: node(2))
        // 4 slots, 50 ms a task: 25 ms of work are two tasks.
        let result = thief.asks(own(free: 0), at: .zero)
        #expect(result.map(\.wanted) == [2])
    }

    @Test func nothingIsTakenToWaitBehindTasksOfUnknownLength() {
        var thief = thief(1)
        thief.learn(LoadDigest(ready: 100), of: node(2))
        let stuck = thief.asks(own(free: 0, turning: 0), at: .zero)
        #expect(stuck.isEmpty)
        let turning = thief.asks(own(free: 0, turning: 2), at: .zero)
        #expect(turning.map(\.wanted) == [1])
    }

    @Test func shortTasksAreTakenInBatches() {
        var thief = thief(1)
        thief.learn(LoadDigest(ready: 100_000), of: node(2))
        for _ in 0..<100 { thief.measured(.milliseconds(1)) }
        let wanted = thief.asks(own(free: 0), at: .zero).first?.wanted ?? 0
        #expect((90...110).contains(wanted))
    }

    @Test func aBatchIsBounded() {
        var thief = thief(1)
        thief.learn(LoadDigest(ready: 100_000), of: node(2))
        for _ in 0..<1000 { thief.measured(.zero) }
        let result = thief.asks(own(free: 0), at: .zero)
        #expect(result.map(\.wanted) == [Limits.stolenTasks])
    }

    @Test func whatIsHeldIsNotAskedForAgain() {
        var thief = thief(1)
        thief.learn(LoadDigest(ready: 100), of: node(2))
        let result = thief.asks(own(free: 0, held: 2, heldWork: .milliseconds(100)), at: .zero)
        #expect(result.isEmpty)
    }

    @Test func nobodyElseIsAskedWhileAnAnswerIsExpected() {
        var thief = thief(2)
        thief.learn(LoadDigest(ready: 100), of: node(2))
        let first = thief.asks(own(free: 0), at: .zero)
        #expect(first.count == 1)
        let before = thief.asks(own(free: 0), at: seconds(0.01))
        #expect(before.isEmpty)
        thief.received(1, from: node(2), load: LoadDigest(ready: 98))
        let after = thief.asks(own(free: 0), at: seconds(0.02))
        #expect(after.count == 1)
    }

    @Test(arguments: [(UInt8(5), true), (6, true), (4, false), (3, false), (0, false)])
    func aBusyNodeStealsOnlyWhatIsMuchMoreUrgent(head: UInt8, steals: Bool) {
        var thief = thief(1)
        thief.learn(LoadDigest(ready: 5, headPriority: head), of: node(2))
        let asks = thief.asks(own(free: 1, ready: 10, head: 3), at: .zero)
        #expect(asks.isEmpty == !steals)
        if steals { #expect(asks[0].minimumPriority == 5) }
    }

    @Test func aPausedNodeAsksNobody() {
        var thief = thief(2)
        let result = thief.asks(own(isPaused: true), at: .zero)
        #expect(result.isEmpty)
    }

    @Test func peersThatAreGoneAreForgotten() {
        var thief = thief(2)
        thief.setVictims([node(3)])
        let result = thief.asks(own(), at: .zero)
        #expect(result.map(\.victim) == [node(3)])
    }
}

@Suite struct ParkingLotTests {
    @Test func firstComeFirstServed() {
        var lot = ParkingLot()
        lot.park(node(2), wanted: 3, minimumPriority: 1, at: .zero)
        lot.park(node(3), wanted: 3, minimumPriority: 1, at: .zero)
        let before = lot.next(ready: 1, at: .zero)
        #expect(before?.request.thief == node(2))
        lot.served(1, left: 1)
        let after = lot.next(ready: 1, at: .zero)
        #expect(after?.request.thief == node(3))
    }

    @Test func theRestOfARequestWaitsOnlyWhenNothingIsLeft() {
        var lot = ParkingLot()
        lot.park(node(2), wanted: 3, minimumPriority: 1, at: .zero)
        lot.served(1, left: 0)
        let result = lot.next(ready: 9, at: .zero)
        #expect(result?.request.wanted == 2)
        lot.served(1, left: 8)
        #expect(lot.isEmpty)
    }

    @Test(arguments: [(ready: 1, limit: 1), (2, 1), (3, 1), (30, 10), (300, 50)])
    func aThiefGetsItsShare(ready: Int, limit: Int) {
        var lot = ParkingLot()
        lot.park(node(2), wanted: 50, minimumPriority: 1, at: .zero)
        lot.park(node(3), wanted: 50, minimumPriority: 1, at: .zero)
        let result = lot.next(ready: ready, at: .zero)
        #expect(result?.limit == limit)
    }

    @Test func nobodyIsServedFromAnEmptyQueue() {
        var lot = ParkingLot()
        lot.park(node(2), wanted: 1, minimumPriority: 1, at: .zero)
        let result = lot.next(ready: 0, at: .zero)
        #expect(result == nil)
        #expect(!lot.isEmpty)
    }

    @Test func aRequestLapses() {
        var lot = ParkingLot()
        lot.park(node(2), wanted: 1, minimumPriority: 1, at: .zero)
        let before = lot.next(ready: 1, at: seconds(0.99))
        #expect(before != nil)
        let after = lot.next(ready: 1, at: seconds(1))
        #expect(after == nil)
        #expect(lot.isEmpty)
    }

    @Test func aLaterRequestReplacesTheEarlierOne() {
        var lot = ParkingLot()
        lot.park(node(2), wanted: 1, minimumPriority: 1, at: .zero)
        lot.park(node(2), wanted: 9, minimumPriority: 7, at: .zero)
        let before = lot.next(ready: 100, at: .zero)
        #expect(before?.request.wanted == 9)
        let after = lot.next(ready: 100, at: .zero)
        #expect(after?.request.minimumPriority == 7)
        lot.park(node(2), wanted: 0, minimumPriority: 1, at: .zero)
        #expect(lot.isEmpty)
    }

    @Test func aContentThiefLeaves() {
        var lot = ParkingLot()
        lot.park(node(2), wanted: 2, minimumPriority: 1, at: .zero)
        lot.served(2, left: 0)
        #expect(lot.isEmpty)
    }

    @Test func whoIsGoneIsRemoved() {
        var lot = ParkingLot()
        lot.park(node(2), wanted: 2, minimumPriority: 1, at: .zero)
        lot.remove(node(2))
        #expect(lot.isEmpty)
    }

    @Test func requestsAreBounded() {
        var lot = ParkingLot()
        for number in 0..<Limits.members + 10 { lot.park(node(number), wanted: 1, minimumPriority: 1, at: .zero) }
        var served = 0
        while lot.next(ready: 1, at: .zero) != nil {
            lot.served(1, left: 1)
            served += 1
        }
        #expect(served == Limits.members)
    }
}
