import Primitives
import Testing

@testable import TaskLedger

/// Turns of queues and of fairness keys, and queues that are blocked.
@Suite struct FairnessTests {
    private static func item(
        _ id: UInt64, _ queue: String = "default", key: String = "", priority: Int = 5, at: Int64 = 0
    ) -> ReadyQueue.Item {
        ReadyQueue.Item(
            id: Sample.task(id), ledger: Sample.ledger, priority: Priority(priority) ?? .normal,
            enqueuedAt: Sample.instant(at), ticket: .init(run: 1, attempts: 0, changes: 0), queue: queue, key: key)
    }

    /// Everything that can be taken, in order: `a` for a task of the key or queue a.
    private static func drain(_ queue: inout ReadyQueue, _ name: (ReadyQueue.Item) -> String, limit: Int = .max)
        -> String
    {
        var order = ""
        var count = 0
        while count < limit, let item = queue.popHead() {
            order += name(item)
            count += 1
        }
        return order
    }

    @Test func a_key_that_floods_holds_back_nobody_but_itself() {
        var queue = ReadyQueue()
        for id in 1...6 as ClosedRange<UInt64> { queue.insert(Self.item(id, key: "a", at: Int64(id))) }
        for id in 7...8 as ClosedRange<UInt64> { queue.insert(Self.item(id, key: "b", at: Int64(id))) }
        queue.insert(Self.item(9, at: 9))
        #expect(Self.drain(&queue, { $0.key.isEmpty ? "-" : $0.key }) == "ab-abaaaa")
    }

    @Test func within_a_key_tasks_start_as_they_came() {
        var queue = ReadyQueue()
        for id in [3, 1, 2] as [UInt64] { queue.insert(Self.item(id, key: "a", at: Int64(id))) }
        queue.insert(Self.item(9, key: "b", at: 0))
        var taken: [TaskID] = []
        while let item = queue.popHead() { if item.key == "a" { taken.append(item.id) } }
        #expect(taken == [1, 2, 3].map(Sample.task))
    }

    @Test func who_comes_and_goes_gains_nothing_by_it() {
        var queue = ReadyQueue()
        for id in 1...10 as ClosedRange<UInt64> { queue.insert(Self.item(id, key: "a", at: Int64(id))) }
        var order = ""
        for id in 20...29 as ClosedRange<UInt64> {
            queue.insert(Self.item(id, key: "b", at: Int64(id)))
            // One of b's tasks at a time: it waits for its turn like a's.
            while let item = queue.popHead() {
                order += item.key
                if item.key == "b" { break }
            }
        }
        #expect(order.hasPrefix("abababababab"))
    }

    @Test(arguments: [(1, 1, "abab"), (3, 1, "aaab"), (1, 3, "abbb")] as [(UInt16, UInt16, String)])
    func queues_share_by_their_weights(a: UInt16, b: UInt16, pattern: String) {
        var queue = ReadyQueue()
        queue.setShare(a, of: "a")
        queue.setShare(b, of: "b")
        for id in 1...400 as ClosedRange<UInt64> { queue.insert(Self.item(id, id <= 200 ? "a" : "b", at: Int64(id))) }
        let order = Self.drain(&queue, { $0.queue }, limit: 200)
        let share = order.count { $0 == "a" }
        let expected = 200 * Int(a) / Int(a + b)
        #expect(abs(share - expected) <= 1, "\(order)")
        #expect(order.dropFirst(20).prefix(12).sorted() == (pattern + pattern + pattern).sorted())
    }

    @Test func priority_and_age_come_before_any_turn() {
        var queue = ReadyQueue()
        queue.insert(Self.item(1, "a", priority: 5, at: 0))
        queue.insert(Self.item(2, "b", priority: 9, at: 10))
        queue.insert(Self.item(3, "b", key: "k", priority: 1, at: -9 * Limits.agingWeight.milliseconds))
        #expect(Self.drain(&queue, { "\($0.priority.rawValue)" }) == "195")
    }

    @Test func a_blocked_queue_neither_starts_nor_ages_and_costs_nothing() {
        var queue = ReadyQueue()
        queue.setBlocked(true, "a")
        for id in 1...1000 as ClosedRange<UInt64> { queue.insert(Self.item(id, "a", at: -10_000_000)) }
        queue.insert(Self.item(2001, "b", priority: 1, at: 5))
        queue.insert(Self.item(2002, "b", priority: 2, at: 5))
        #expect(queue.head?.id == Sample.task(2002))
        #expect(Self.drain(&queue, { $0.queue }) == "bb")
        #expect(queue.count == 1000)
        queue.setBlocked(false, "a")
        queue.insert(Self.item(3000, "b", at: 5))
        #expect(Self.drain(&queue, { $0.queue }, limit: 3) == "aba")
        queue.setBlocked(true, "a")
        #expect(queue.head == nil)
    }

    @Test func what_is_put_back_gives_the_turn_back() {
        var queue = ReadyQueue()
        for id in 1...3 as ClosedRange<UInt64> {
            queue.insert(Self.item(id, key: "a", at: Int64(id)))
            queue.insert(Self.item(10 + id, key: "b", at: Int64(10 + id)))
        }
        let taken = (0..<4).compactMap { _ in queue.popHead() }
        #expect(taken.map(\.key) == ["a", "b", "a", "b"])
        // Every second one is kept.
        queue.putBack([taken[0], taken[2]])
        #expect(Self.drain(&queue, { $0.key }) == "aaba")
    }

    @Test func the_tasks_ahead_are_those_that_really_come_first() throws {
        var random = SeededGenerator(seed: 3)
        var queue = ReadyQueue()
        queue.setShare(3, of: "q1")
        var items: [ReadyQueue.Item] = []
        for id in 1...300 as ClosedRange<UInt64> {
            let item = Self.item(
                id, "q\(Int.random(in: 0...2, using: &random))", key: "k\(Int.random(in: 0...4, using: &random))",
                priority: .random(in: 1...10, using: &random), at: .random(in: 0...400_000, using: &random))
            queue.insert(item)
            items.append(item)
        }
        let chosen = items[150]
        let ahead = queue.itemsAhead(of: chosen, limit: 1000)
        var order: [TaskID] = []
        while let item = queue.popHead(), item.id != chosen.id { order.append(item.id) }
        #expect(ahead.map(\.id) == order)
        #expect(!order.isEmpty)
    }

    @Test func what_has_lapsed_in_a_blocked_queue_does_not_pile_up() throws {
        var bench = OwnerBench(slots: 1, maxQueued: 100_000)
        bench.owner.setRules(["q": QueueRules(isPaused: true)])
        var spec = TaskOwnerTests.spec()
        spec.queue = "q"
        for _ in 0..<30_000 {
            let id = try bench.submit(spec)[0]
            _ = bench.cancel(id)
            bench.collect()
            bench.effects = []
            bench.archived(id)
        }
        #expect(bench.owner.ready.lapsedCount <= Limits.lapsedItems)
        #expect(bench.owner.ready.count == 0)
    }

    /// Neither the age nor the turn of a task that nobody can start keeps others waiting.
    @Test func what_has_lapsed_neither_ages_nor_takes_a_turn() {
        var queue = ReadyQueue()
        let old = Self.item(1, key: "a", priority: 1, at: -Limits.agingWeight.milliseconds * 20)
        let behind = (2...5 as ClosedRange<UInt64>).map { Self.item($0, key: "b", priority: 1, at: Int64($0)) }
        for item in [old] + behind { queue.insert(item) }
        queue.insert(Self.item(6, key: "a", priority: 1, at: 6))
        queue.insert(Self.item(7, priority: 2, at: 7))
        #expect(queue.head == old)
        queue.lapse(behind[1])
        queue.lapse(old)
        #expect(queue.lapsedCount == 1, "the first of its key is dropped at once, the other one when it is the first")
        #expect(queue.oldest(of: "default") == Sample.instant(2))
        #expect(Self.drain(&queue, { "\($0.priority.rawValue)\($0.key) " }) == "2 1a 1b 1b 1b ")
        #expect(queue.lapsedCount == 0)
    }

    /// Many thousands of queues and keys, as clients may choose them: each step stays cheap.
    @Test func many_queues_and_keys_are_ordered_quickly() {
        var queue = ReadyQueue()
        let clock = ContinuousClock()
        let time = clock.measure {
            for id in 0..<50_000 as Range<UInt64> {
                queue.insert(Self.item(id, "q\(id % 10_000)", key: "k\(id % 7)", at: Int64(id)))
            }
            for number in 0..<5000 { queue.setBlocked(true, "q\(number)") }
            while queue.popHead() != nil {}
        }
        #expect(queue.count == 25_000)
        #expect(time < .seconds(20), "50,000 tasks took \(time)")
    }

    // MARK: The owner

    private static func spec(_ queue: String, key: String? = nil) -> TaskSpec {
        var spec = TaskOwnerTests.spec()
        spec.queue = queue
        spec.fairnessKey = key
        return spec
    }

    /// Cancelled tasks of a key cost it nothing: the next one that comes is served in its turn.
    @Test func who_cancels_much_still_has_its_turn() throws {
        var bench = OwnerBench(slots: 1, maxQueued: 10_000)
        var cancelled: [TaskID] = []
        for key in ["a", "b"] {
            for _ in 0..<100 {
                let id = try bench.submit(Self.spec("q", key: key))[0]
                if key == "a" { cancelled.append(id) }
            }
        }
        let last = try bench.submit(Self.spec("q", key: "a"))[0]
        for id in cancelled { _ = bench.cancel(id) }
        #expect(bench.owner.derivedFault() == nil)
        bench.owner.slotsFree(2)
        #expect(bench.turn().starts.contains { $0.id == last })
        #expect(bench.owner.derivedFault() == nil)
    }

    /// Of one that gets another priority while it waits only the new one counts.
    @Test func the_age_in_the_old_priority_does_not_count() throws {
        var bench = OwnerBench(slots: 1)
        var spec = Self.spec("q", key: "a")
        spec.priority = try #require(Priority(8))
        bench.now = bench.now + Limits.agingWeight * 2
        let first = try bench.submit(spec)[0]
        bench.now = bench.now - Limits.agingWeight * 2
        spec.fairnessKey = "b"
        let moved = try bench.submit(spec)[0]
        bench.now = bench.now + Limits.agingWeight / 2
        spec.priority = try #require(Priority(7))
        let lower = try bench.submit(spec)[0]
        #expect(bench.carryOut(.change(priority: .low, delay: nil), for: moved) == .done)
        #expect(bench.owner.derivedFault() == nil)
        bench.owner.slotsFree(2)
        #expect(bench.turn().starts.map(\.id) == [lower, first])
    }

    /// An expired task is found when its turn comes, and does not use it up.
    @Test func what_expires_leaves_its_turn_to_the_next() throws {
        var bench = OwnerBench(slots: 1)
        var spec = Self.spec("q", key: "a")
        spec.expiry = 1000
        let expiring = try bench.submit(spec)[0]
        let next = try bench.submit(Self.spec("q", key: "a"))[0]
        _ = try bench.submit(Self.spec("q", key: "b"))
        bench.now = bench.now + .seconds(2)
        #expect(bench.turn().starts.map(\.id) == [next])
        #expect(bench.status(expiring) == .expired)
        #expect(bench.owner.derivedFault() == nil)
    }

    @Test func nothing_of_a_paused_queue_starts_or_is_granted_and_why_says_so() throws {
        var bench = OwnerBench(slots: 1)
        let ids = try bench.submit(Self.spec("a"), Self.spec("a"), Self.spec("b"))
        bench.owner.setRules(["a": QueueRules(isPaused: true)])
        #expect(bench.owner.readyCount == 1)
        #expect(bench.turn().starts.map(\.id) == [ids[2]])
        #expect(bench.owner.readyCount == 0)
        #expect(bench.owner.headPriority == nil)
        #expect(bench.grant(5).isEmpty)
        #expect(bench.owner.waitCause(of: try #require(bench.owner.task(ids[0])), at: bench.now) == .queuePaused)
        bench.owner.setRules([:])
        #expect(bench.owner.readyCount == 2)
        #expect(bench.grant(1).map(\.id) == [ids[1]], "the first is kept for an own slot")
        #expect(bench.owner.waitCause(of: try #require(bench.owner.task(ids[0])), at: bench.now) == .next)
    }

    @Test func a_cancelled_task_of_a_paused_queue_is_not_counted_when_it_goes_on() throws {
        var bench = OwnerBench(slots: 1)
        bench.owner.setRules(["a": QueueRules(isPaused: true)])
        let ids = try bench.submit(Self.spec("a"), Self.spec("a"))
        #expect(bench.owner.readyCount == 0)
        _ = bench.cancel(ids[0])
        bench.owner.setRules([:])
        #expect(bench.owner.readyCount == 1)
        #expect(bench.turn().starts.map(\.id) == [ids[1]])
        #expect(bench.owner.readyCount == 0)
    }

    @Test func a_queue_takes_as_many_as_its_length_and_says_how_many_more() throws {
        var bench = OwnerBench(slots: 1)
        bench.owner.setRules(["a": QueueRules(maxLength: 3)])
        _ = try bench.submit(Self.spec("a"), Self.spec("b"), Self.spec("a"))
        #expect(throws: OwnerRefusal.queueFull("a", room: 1)) { try bench.submit(Self.spec("a"), Self.spec("a")) }
        let id = try bench.submit(Self.spec("a"))[0]
        #expect(throws: OwnerRefusal.queueFull("a", room: 0)) { try bench.submit(Self.spec("a")) }
        _ = try bench.submit(Self.spec("b"))
        _ = bench.cancel(id)
        _ = try bench.submit(Self.spec("a"))
    }

    @Test func a_queue_takes_as_many_bytes_as_it_may() throws {
        var bench = OwnerBench(slots: 0)
        func spec(_ bytes: Int) -> TaskSpec {
            var spec = Self.spec("a")
            spec.payload = Array(repeating: 0x31, count: bytes)
            return spec
        }
        let small = spec(100)
        bench.owner.setRules(["a": QueueRules(maxBytes: 3 * small.cost)])
        #expect(bench.owner.fittingQueues(Array(repeating: small, count: 5)) == 3)
        let ids = try bench.submit(small, Self.spec("b"), small)
        #expect(bench.owner.bytes(of: "a") == 2 * small.cost)
        #expect(throws: OwnerRefusal.queueFull("a", room: 0)) { try bench.submit(spec(101)) }
        _ = try bench.submit(small)
        #expect(throws: OwnerRefusal.queueFull("a", room: 0)) { try bench.submit(spec(0)) }
        for id in ids { _ = bench.cancel(id) }
        #expect(bench.owner.bytes(of: "a") == small.cost)

        // One that is larger than all that the queue may hold goes in alone, or it would wait at its client for ever.
        var other = OwnerBench(slots: 0)
        other.owner.setRules(["a": QueueRules(maxBytes: 10)])
        #expect(throws: OwnerRefusal.queueFull("a", room: 1)) { try other.submit(small, small) }
        _ = try other.submit(spec(1000))
        #expect(throws: OwnerRefusal.queueFull("a", room: 0)) { try other.submit(spec(0)) }
        other.owner.setRules(["a": QueueRules(maxBytes: 0)])
        #expect(other.owner.fittingQueues([small]) == 0)
        other.owner.setRules([:])
        #expect(other.owner.fittingQueues([small]) == 1)
        #expect(other.owner.derivedFault() == nil)
    }

    @Test func tasks_behind_follow_the_turns() throws {
        var bench = OwnerBench(slots: 1)
        for _ in 0..<5 { _ = try bench.submit(Self.spec("a", key: "flood")) }
        let id = try bench.submit(Self.spec("a", key: "small"))[0]
        let cause = bench.owner.waitCause(of: try #require(bench.owner.task(id)), at: bench.now)
        #expect(cause == .behind(1, isMore: false))
    }
}
