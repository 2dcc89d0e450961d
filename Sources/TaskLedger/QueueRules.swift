import Primitives

/// What an owner has to know of the settings of one queue.
public struct QueueRules: Hashable, Sendable {
    /// Nothing of it starts or is granted.
    public var isPaused: Bool
    /// Its share of the starts while several queues have ready tasks of the same priority: 1 as without a setting.
    public var weight: UInt16
    /// Open tasks of it that this node takes; nil: there is no bound of its own.
    public var maxLength: Int?
    /// Bytes of them (`TaskSpec.cost`); nil likewise.
    public var maxBytes: Int?
    /// Only so many start in a second, in the whole cluster.
    public var hasRate: Bool
    /// Only so many run at the same time, in the whole cluster.
    public var hasConcurrency: Bool

    public init(
        isPaused: Bool = false, weight: UInt16 = 1, maxLength: Int? = nil, maxBytes: Int? = nil, hasRate: Bool = false,
        hasConcurrency: Bool = false
    ) {
        self.isPaused = isPaused
        self.weight = weight
        self.maxLength = maxLength
        self.maxBytes = maxBytes
        self.hasRate = hasRate
        self.hasConcurrency = hasConcurrency
    }

    /// Each start needs a permit of the queue's home.
    var isLimited: Bool { hasRate || hasConcurrency }
}

/// Settings of queues, as they bind an owner.
extension TaskOwner {
    /// A view: the settings of queues that have any; all others are as without.
    public mutating func setRules(_ new: [String: QueueRules]) {
        let old = rules
        rules = new
        for queue in Set(old.keys).union(new.keys).sorted() where old[queue] != new[queue] {
            ready.setShare(new[queue].flatMap { $0.weight == 1 ? nil : $0.weight }, of: queue)
            reconsider(queue)
        }
        voidPermits()
    }

    /// Takes the queue out of the order of the ready tasks, or back into it.
    mutating func reconsider(_ queue: String) {
        let isPaused = rules[queue]?.isPaused == true
        #if PLANTED_BUGS
        let isBlocked = isPaused && !PlantedBug.isActive(.pauseIgnored) || lacksPermits(queue)
        #else
        let isBlocked = isPaused || lacksPermits(queue)
        #endif
        noteStarving(queue)
        guard isBlocked != ready.isBlocked(queue) else { return }
        readyCount += (readyOf[queue] ?? 0) * (isBlocked ? -1 : 1)
        ready.setBlocked(isBlocked, queue)
    }

    private func lacksPermits(_ queue: String) -> Bool {
        rules[queue]?.isLimited == true && (permits[queue]?.count ?? 0) == 0
    }

    private mutating func noteStarving(_ queue: String) {
        if readyOf[queue] != nil, lacksPermits(queue), rules[queue]?.isPaused != true {
            starved.insert(queue)
        } else {
            starved.remove(queue)
        }
    }

    // MARK: Length

    /// Open tasks of a queue that this node owns.
    public func length(of queue: String) -> Int {
        ledgers.reduce(0) { total, owned in
            guard let counts = owned.primary.state.depth[queue] else { return total }
            return total + TaskStatus.allCases.reduce(0) { $0 + ($1.isFinal ? 0 : counts[Int($1.rawValue)]) }
        }
    }

    /// About how many bytes the open tasks of a queue take that this node owns.
    public func bytes(of queue: String) -> Int {
        ledgers.reduce(0) { $0 + ($1.primary.state.openCostOf[queue] ?? 0) }
    }

    /// What more of a queue this node takes.
    private struct QueueRoom {
        var tasks: Int
        var bytes: Int
        /// One task is taken in any case, however large.
        var isEmpty: Bool

        mutating func take(_ cost: Int) -> Bool {
            guard tasks > 0, cost <= bytes || isEmpty else { return false }
            tasks -= 1
            bytes = max(0, bytes - cost)
            isEmpty = false
            return true
        }
    }

    /// Nil: the queue has no bound of its own.
    private func room(in queue: String) -> QueueRoom? {
        guard let rules = rules[queue], rules.maxLength != nil || rules.maxBytes != nil else { return nil }
        let length = length(of: queue)
        return QueueRoom(
            tasks: rules.maxLength.map { max(0, $0 - length) } ?? .max,
            bytes: rules.maxBytes.map { max(0, $0 - bytes(of: queue)) } ?? .max,
            isEmpty: length == 0 && rules.maxBytes != 0)
    }

    /// The first queue that has not room for all that is submitted to it, and how many of its tasks it has room for.
    func firstFull(_ specs: [TaskSpec]) -> (queue: String, room: Int)? {
        let count = fittingQueues(specs)
        guard count < specs.count else { return nil }
        let queue = specs[count].queue
        return (queue, specs.prefix(count).count { $0.queue == queue })
    }

    /// How many of these tasks, from the first on, their queues have room for.
    public func fittingQueues(_ specs: [TaskSpec]) -> Int {
        guard !rules.isEmpty else { return specs.count }
        var rooms: [String: QueueRoom?] = [:]
        for (position, spec) in specs.enumerated() {
            if rooms[spec.queue] == nil { rooms[spec.queue] = .some(room(in: spec.queue)) }
            if rooms[spec.queue]??.take(spec.cost) == false { return position }
        }
        return specs.count
    }

    // MARK: What is ready

    mutating func enqueue(_ item: ReadyQueue.Item) {
        countReady(1, of: item.queue)
        ready.insert(item)
    }

    mutating func countReady(_ change: Int, of queue: String) {
        let count = (readyOf[queue] ?? 0) + change
        readyOf[queue] = count == 0 ? nil : count
        if !permits.isEmpty { noteStarving(queue) }
        if !ready.isBlocked(queue) { readyCount += change }
    }
}
