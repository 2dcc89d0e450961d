import Primitives
import Testing

@testable import TaskLedger

/// Order by priority and age.
@Suite struct ReadyQueueTests {
    static func item(_ id: UInt64, _ priority: Int, _ at: Int64) -> ReadyQueue.Item {
        ReadyQueue.Item(
            id: Sample.task(id), ledger: Sample.ledger, priority: Priority(priority) ?? .normal,
            enqueuedAt: Sample.instant(at), ticket: .init(run: 1, attempts: 0, changes: 0))
    }

    static func key(_ item: ReadyQueue.Item) -> (Int64, Int, TaskID) {
        let weight = Limits.agingWeight.nanoseconds * Int64(item.priority.rawValue - 1)
        return (item.enqueuedAt.nanoseconds - weight, -Int(item.priority.rawValue), item.id)
    }

    /// Items in any order come out as a full sort has them; those of one key by priority, then as they came.
    @Test(arguments: 1...20 as ClosedRange<UInt64>) func orderIsThatOfAFullSort(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var queue = ReadyQueue()
        var waiting: [ReadyQueue.Item] = []
        var id: UInt64 = 0
        for _ in 0..<400 {
            if waiting.isEmpty || Bool.random(using: &random) {
                id += 1
                let item = Self.item(id, .random(in: 1...10, using: &random), .random(in: 0...400_000, using: &random))
                queue.insert(item)
                waiting.append(item)
            } else {
                waiting.sort { Self.key($0) < Self.key($1) }
                #expect(queue.popHead() == waiting.removeFirst())
            }
        }
        waiting.sort { Self.key($0) < Self.key($1) }
        for item in waiting { #expect(queue.popHead() == item) }
        #expect(queue.popHead() == nil)
    }

    @Test func lowPriorityIsOvertakenForNineWeightsAtMost() {
        var queue = ReadyQueue()
        let bound = 9 * Limits.agingWeight.milliseconds
        queue.insert(Self.item(1, 1, 0))
        queue.insert(Self.item(2, 10, bound + 1))
        #expect(queue.head?.id == Sample.task(1))
        queue.insert(Self.item(3, 10, bound - 1))
        #expect(queue.head?.id == Sample.task(3))
    }

    @Test func whatIsPutBackComesFirstInItsOrder() {
        var queue = ReadyQueue()
        for id in 1...6 as ClosedRange<UInt64> { queue.insert(Self.item(id, 5, Int64(id))) }
        let taken = [queue.popHead(), queue.popHead(), queue.popHead()].compactMap { $0 }
        queue.insert(Self.item(7, 5, 7))
        queue.putBack([taken[0], taken[2]])
        #expect((0..<6).compactMap { _ in queue.popHead()?.id } == [1, 3, 4, 5, 6, 7].map(Sample.task))
    }

    @Test func whoComesBackWithAnOlderTimeIsServedByIt() {
        var queue = ReadyQueue()
        for id in [5, 6, 7] as [UInt64] { queue.insert(Self.item(id, 5, Int64(id))) }
        queue.insert(Self.item(1, 5, 1))
        queue.insert(Self.item(2, 5, 6))
        #expect((0..<5).compactMap { _ in queue.popHead()?.id } == [1, 5, 2, 6, 7].map(Sample.task))
    }
}
