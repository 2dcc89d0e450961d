import DequeModule
import HeapModule
import Primitives

extension ReadyQueue {
    /// What is to be known of a queue where its tasks are ordered.
    struct Standing {
        var isBlocked: Bool
        /// Of one start, in virtual time.
        var cost: UInt64
    }

    /// The tasks of one fairness key, in one queue and of one priority.
    struct Flow: Sendable {
        let key: String
        private var fresh: Deque<Item> = []
        private var returning = Heap<Item>()

        init(key: String) { self.key = key }

        var count: Int { fresh.count + returning.count }

        var head: Item? {
            switch (fresh.first, returning.min) {
            case (nil, let item), (let item, nil): item
            case (let a?, let b?): a < b ? a : b
            }
        }

        mutating func append(_ item: Item) {
            if let newest = fresh.last, item < newest { returning.insert(item) } else { fresh.append(item) }
        }

        mutating func prepend(_ item: Item) { fresh.prepend(item) }

        mutating func removeHead() -> Item? {
            guard let item = fresh.first else { return returning.popMin() }
            if let other = returning.min, other < item { return returning.popMin() }
            return fresh.popFirst()
        }

        mutating func dropLapsed(_ lapsed: inout Lapsed) {
            while let head, lapsed.remove(head) { _ = removeHead() }
        }

        mutating func compact(_ isKept: (Item) -> Bool) {
            fresh.removeAll { !isKept($0) }
            returning = Heap(returning.unordered.filter(isKept))
        }
    }

    /// The tasks of one queue and one priority.
    struct Lane: Sendable {
        let queue: String
        var cost: UInt64
        private var flows = Slots<Flow>()
        private var slots: [String: Int] = [:]
        private(set) var rota = Rota()

        init(queue: String, cost: UInt64) {
            self.queue = queue
            self.cost = cost
        }

        var isEmpty: Bool { slots.isEmpty }
        var head: Item? { rota.next.flatMap { flows[$0]?.head } }

        mutating func add(_ item: Item, _ change: (inout Flow) -> Void) -> Int {
            let slot = slots[item.key] ?? flows.insert(Flow(key: item.key))
            slots[item.key] = slot
            flows.update(slot, change)
            refresh(slot)
            return slot
        }

        mutating func putBack(_ item: Item) { rota.unserved(add(item) { $0.prepend(item) }, cost: Rota.unit) }

        mutating func popHead(_ lapsed: inout Lapsed) -> Item? {
            guard let slot = rota.next else { return nil }
            let item = flows.update(slot) { flow in
                defer { flow.dropLapsed(&lapsed) }
                return flow.removeHead()
            }
            rota.served(slot, cost: Rota.unit)
            refresh(slot)
            return item ?? nil
        }

        mutating func dropLapsed(_ key: String, _ lapsed: inout Lapsed) {
            guard let slot = slots[key] else { return }
            flows.update(slot) { $0.dropLapsed(&lapsed) }
            refresh(slot)
        }

        private mutating func refresh(_ slot: Int) {
            guard let flow = flows[slot] else { return }
            if let head = flow.head {
                if rota.contains(slot) {
                    rota.setOldest(Rota.Age(head), of: slot)
                } else {
                    rota.enter(slot, oldest: Rota.Age(head), cost: Rota.unit)
                }
            } else {
                rota.leave(slot)
                slots[flow.key] = nil
                flows.remove(slot)
            }
        }

        /// How many are left.
        mutating func compact(_ isKept: (Item) -> Bool) -> Int {
            var count = 0
            for slot in slots.values.sorted() {
                flows.update(slot) { flow in
                    flow.compact(isKept)
                    count += flow.count
                }
                refresh(slot)
            }
            return count
        }
    }

    /// The tasks of one priority.
    struct Level: Sendable {
        private var lanes = Slots<Lane>()
        private var slots: [String: Int] = [:]
        private var rota = Rota()

        /// The oldest task of those that may start.
        var oldest: Rota.Age? { rota.oldest }
        var head: Item? { rota.next.flatMap { lanes[$0]?.head } }

        func oldest(of queue: String) -> Instant? { slots[queue].flatMap { lanes[$0]?.rota.oldest?.enqueuedAt } }

        mutating func insert(_ item: Item, _ standing: Standing) {
            let slot = slot(of: item.queue, standing)
            lanes.update(slot) { lane in _ = lane.add(item) { $0.append(item) } }
            refresh(slot, standing.isBlocked)
        }

        mutating func putBack(_ item: Item, _ standing: Standing) {
            let slot = slot(of: item.queue, standing)
            lanes.update(slot) { $0.putBack(item) }
            refresh(slot, standing.isBlocked)
            rota.unserved(slot, cost: standing.cost)
        }

        private mutating func slot(of queue: String, _ standing: Standing) -> Int {
            if let slot = slots[queue] { return slot }
            let slot = lanes.insert(Lane(queue: queue, cost: standing.cost))
            slots[queue] = slot
            return slot
        }

        mutating func popHead(_ lapsed: inout Lapsed) -> Item? {
            guard let slot = rota.next, let cost = lanes[slot]?.cost else { return nil }
            let item = lanes.update(slot) { $0.popHead(&lapsed) } ?? nil
            rota.served(slot, cost: cost)
            refresh(slot, false)
            return item
        }

        mutating func dropLapsed(_ queue: String, _ key: String, _ isBlocked: Bool, _ lapsed: inout Lapsed) {
            guard let slot = slots[queue] else { return }
            lanes.update(slot) { $0.dropLapsed(key, &lapsed) }
            refresh(slot, isBlocked)
        }

        mutating func set(_ standing: Standing, _ queue: String) {
            guard let slot = slots[queue] else { return }
            lanes.update(slot) { $0.cost = standing.cost }
            refresh(slot, standing.isBlocked)
        }

        private mutating func refresh(_ slot: Int, _ isBlocked: Bool) {
            guard let (queue, cost, isEmpty, oldest) = facts(of: slot) else { return }
            if isEmpty {
                rota.leave(slot)
                slots[queue] = nil
                lanes.remove(slot)
            } else if isBlocked {
                rota.leave(slot)
            } else if let oldest {
                if rota.contains(slot) {
                    rota.setOldest(oldest, of: slot)
                } else {
                    rota.enter(slot, oldest: oldest, cost: cost)
                }
            }
        }

        private func facts(of slot: Int) -> (queue: String, cost: UInt64, isEmpty: Bool, oldest: Rota.Age?)? {
            lanes[slot].map { ($0.queue, $0.cost, $0.isEmpty, $0.rota.oldest) }
        }

        /// How many are left.
        mutating func compact(_ isKept: (Item) -> Bool) -> Int {
            var count = 0
            for slot in slots.values.sorted() {
                count += lanes.update(slot) { $0.compact(isKept) } ?? 0
                refresh(slot, !rota.contains(slot))
            }
            return count
        }
    }
}
