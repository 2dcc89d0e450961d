public import Primitives

/// The home of queues: lends the permits without which nothing of a queue with a rate or a limit on concurrency starts.
///
/// The home of a queue is the primary of the ledger that its key slot belongs to. It keeps nothing on disk; what it has to
/// know it learns from the owners' claims, and it counts only what they say in the present view.
///
/// - **Rate.** A token bucket (as the generic cell rate algorithm of ITU-T I.371: one time instead of a level) whose depth is
///   `Limits.burst` of the rate. A token is taken when it is lent; what comes back unused is put back. A new home begins with an
///   empty bucket, so in any time T at most rate x T + burst permits are lent. What is lent is used within
///   `Limits.permitLife`, so there may be as many more starts as had been lent in that time before, and, at a change of homes,
///   those whose permits the old one had lent and that were not used yet: at most another burst.
/// - **Concurrency.** Counted are the leases that each ledger's owner has told of, and the permits that are lent. A claim says
///   all that its owner has, so it replaces what was known of it. Nothing is lent until every ledger that is served has told
///   in its present term: so a new home, or a new limit, begins with the truth, and what a dead owner had started still counts
///   until its successor tells. A ledger that nobody serves counts as it was told last; it is not waited for.
/// - **Turns.** Owners that wait are served in the order in which they came, each with its share of what is there.
public struct QueueHome: Sendable {
    /// The limits of one queue.
    public struct Rules: Hashable, Sendable {
        /// Thousandths of a start in a second.
        public var rate: UInt32?
        public var concurrency: UInt32?

        public init(rate: UInt32? = nil, concurrency: UInt32? = nil) {
            self.rate = rate
            self.concurrency = concurrency
        }
    }

    /// What is to be told to an owner.
    public struct Answer: Hashable, Sendable {
        public var queue: String
        public var owner: NodeID
        public var loan: PermitLoan
    }

    private struct Waiter: Sendable {
        var owner: NodeID
        var number: UInt64
        var wanted: UInt32
        var until: Instant
    }

    private struct Queue: Sendable {
        var rules: Rules
        var bucket: TokenBucket?
        var held: [LedgerID: UInt32] = [:]
        /// In which term each ledger's owner has told.
        var told: [LedgerID: Term] = [:]
        var lent: [NodeID: UInt32] = [:]
        var numbers: [NodeID: UInt64] = [:]
        var waiting: [Waiter] = []
    }

    private var queues: [String: Queue] = [:]
    /// Those that owners wait for.
    private var awaited: Set<String> = []
    /// That are served, and in which terms.
    private var ledgers: [LedgerID: Term] = [:]

    public init() {}

    /// A view: which queues are at home here, and who has to tell.
    ///
    /// - Parameters:
    ///   - ledgers: those whose primary is a member.
    ///   - listed: all that the view lists.
    ///   - members: whoever has left it holds no permit.
    public mutating func install(
        _ rules: [String: Rules], ledgers: [LedgerID: Term], listed: Set<LedgerID>, members: Set<NodeID>,
        at now: Instant, into answers: inout [Answer]
    ) {
        self.ledgers = ledgers
        for name in queues.keys.sorted() where rules[name] == nil {
            for waiter in queues.removeValue(forKey: name)?.waiting ?? [] {
                answers.append(Self.refusal(waiter, name, .noHome))
            }
            awaited.remove(name)
        }
        for (name, rules) in rules {
            var queue = queues[name] ?? Queue(rules: Rules())
            if queue.rules.rate != rules.rate { queue.bucket = rules.rate.map { TokenBucket(rate: $0, at: now) } }
            // Whoever did not know of a limit has started without asking.
            if queue.rules.concurrency == nil { queue.told = [:] }
            queue.rules = rules
            queue.held = queue.held.filter { listed.contains($0.key) }
            queue.told = queue.told.filter { ledgers[$0.key] == $0.value }
            queue.lent = queue.lent.filter { members.contains($0.key) }
            queue.numbers = queue.numbers.filter { members.contains($0.key) }
            queues[name] = queue
        }
        wake(at: now, into: &answers)
    }

    /// The node serves nothing any more.
    public mutating func clear() { self = QueueHome() }

    public mutating func take(_ claim: PermitClaim, by owner: NodeID, at now: Instant, into answers: inout [Answer]) {
        guard var queue = queues[claim.queue] else {
            let waiter = Waiter(owner: owner, number: claim.number, wanted: 0, until: now)
            return answers.append(Self.refusal(waiter, claim.queue, .noHome))
        }
        guard claim.number > queue.numbers[owner] ?? 0 else { return }
        queue.numbers[owner] = claim.number
        queue.lent[owner] = nil
        queue.bucket?.putBack(claim.unused, at: now)
        for held in claim.held {
            guard let term = ledgers[held.ledger] else { continue }
            queue.held[held.ledger] = held.count
            queue.told[held.ledger] = term
        }
        queue.waiting.removeAll { $0.owner == owner }
        if claim.wanted == 0 {
            answers.append(
                Answer(queue: claim.queue, owner: owner, loan: PermitLoan(number: claim.number, permits: 0)))
        } else {
            queue.waiting.append(
                Waiter(
                    owner: owner, number: claim.number, wanted: min(claim.wanted, Limits.loanedPermits),
                    until: now + Limits.permitWait))
            awaited.insert(claim.queue)
        }
        queues[claim.queue] = queue
        serve(claim.queue, at: now, into: &answers)
    }

    /// When an owner has waited for long enough, or there is another token.
    public var nextDeadline: Instant? {
        awaited.lazy.compactMap { name -> Instant? in
            guard let queue = queues[name], let end = queue.waiting.lazy.map(\.until).min() else { return nil }
            guard let token = queue.bucket?.next, spare(queue) > 0 else { return end }
            return min(end, token)
        }.min()
    }

    public mutating func wake(at now: Instant, into answers: inout [Answer]) {
        for name in awaited.sorted() { serve(name, at: now, into: &answers) }
    }

    private mutating func serve(_ name: String, at now: Instant, into answers: inout [Answer]) {
        guard var queue = queues[name] else { return }
        while let first = queue.waiting.first {
            let tokens = queue.bucket?.available(at: now) ?? .max
            let available = min(tokens, spare(queue))
            guard available > 0 else { break }
            let waiting = UInt64(queue.waiting.count)
            let permits = UInt32(min(UInt64(first.wanted), (available - 1) / waiting + 1))
            queue.bucket?.take(permits)
            if queue.rules.concurrency != nil { queue.lent[first.owner] = permits }
            queue.waiting.removeFirst()
            answers.append(
                Answer(queue: name, owner: first.owner, loan: PermitLoan(number: first.number, permits: permits)))
        }
        let shortage: PermitShortage =
            spare(queue) > 0 ? .rate : isInformed(queue) ? .concurrency : .learning
        for waiter in queue.waiting where waiter.until <= now { answers.append(Self.refusal(waiter, name, shortage)) }
        queue.waiting.removeAll { $0.until <= now }
        if queue.waiting.isEmpty { awaited.remove(name) }
        queues[name] = queue
    }

    private static func refusal(_ waiter: Waiter, _ queue: String, _ shortage: PermitShortage) -> Answer {
        Answer(
            queue: queue, owner: waiter.owner,
            loan: PermitLoan(number: waiter.number, permits: 0, shortage: shortage))
    }

    private func isInformed(_ queue: Queue) -> Bool { ledgers.allSatisfy { queue.told[$0.key] == $0.value } }

    /// What the limit on concurrency leaves.
    private func spare(_ queue: Queue) -> UInt64 {
        guard let limit = queue.rules.concurrency else { return .max }
        #if PLANTED_BUGS
        guard isInformed(queue) || PlantedBug.isActive(.lentUninformed) else { return 0 }
        #else
        guard isInformed(queue) else { return 0 }
        #endif
        let held = queue.held.values.reduce(UInt64(0)) { $0 + UInt64($1) }
        let lent = queue.lent.values.reduce(UInt64(0)) { $0 + UInt64($1) }
        return UInt64(limit) > held + lent ? UInt64(limit) - held - lent : 0
    }
}

/// Tokens that come at a steady rate, and are kept for a burst.
struct TokenBucket: Sendable {
    /// Between two tokens, in nanoseconds.
    private let interval: Int64
    private let burst: Int64
    /// When the last token that was taken had come: those that have come since are there.
    private var taken: Instant

    /// - Parameter rate: thousandths of a token in a second. It begins empty.
    init(rate: UInt32, at now: Instant) {
        interval = 1_000_000_000_000 / Int64(max(1, rate))
        burst = Int64(Limits.burst(of: rate))
        taken = now
    }

    /// When there is one more than there was at the last look.
    private(set) var next = Instant.zero

    mutating func available(at now: Instant) -> UInt64 {
        taken = max(taken, now - .nanoseconds(interval * burst))
        let count = max(0, (now - taken).nanoseconds / interval)
        next = taken + .nanoseconds(interval * (count + 1))
        return UInt64(count)
    }

    mutating func take(_ count: UInt32) { taken += .nanoseconds(interval * Int64(count)) }

    mutating func putBack(_ count: UInt32, at now: Instant) {
        taken = max(taken - .nanoseconds(interval * min(Int64(count), burst)), now - .nanoseconds(interval * burst))
    }
}

extension Limits {
    /// Starts that a queue with a rate, in thousandths of a second, may make at once after a rest: a tenth of a second's, at
    /// least one.
    public static func burst(of rate: UInt32) -> UInt32 { max(1, (rate + 9999) / 10_000) }
}
