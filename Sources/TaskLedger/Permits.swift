public import Primitives

/// Starting tasks of queues that have a rate or a limit on concurrency: only with permits of the queue's home (`QueueHome`).
///
/// | a limited queue | is |
/// | --- | --- |
/// | without permits | blocked in the ready queue; if it has ready tasks, the home is asked for as many as could start now |
/// | with permits | in the order like others; each start or grant uses one, the last one blocks it again |
/// | whose permits are too old | without permits; the next claim gives them back |
///
/// Every view voids all permits and all claims that are under way; and after every view, and whenever a lease of a queue with a
/// limit on concurrency ends, the home is told what this owner holds. A home that cannot be asked lends nothing, so nothing of
/// the queue starts.
extension TaskOwner {
    struct Permits: Sendable {
        var count = 0
        var until = Instant.zero
        /// Of the last claim.
        var number: UInt64 = 0
        var isAsked = false
        var unused: UInt32 = 0
        var shortage: PermitShortage?
        /// No claim before: the last one has failed.
        var quietUntil = Instant.zero
    }

    mutating func voidPermits() {
        for queue in permits.keys.sorted() where rules[queue]?.isLimited != true { permits[queue] = nil }
        tellings = []
        for (queue, rules) in rules where rules.isLimited {
            var entry = permits[queue] ?? Permits()
            entry.count = 0
            entry.unused = 0
            entry.isAsked = false
            entry.quietUntil = .zero
            permits[queue] = entry
            if rules.hasConcurrency { tellings.insert(queue) }
        }
        lending = []
        for queue in permits.keys.sorted() { reconsider(queue) }
    }

    /// A task of the queue was leased.
    mutating func usePermit(_ queue: String) {
        #if PLANTED_BUGS
        if PlantedBug.isActive(.permitNotUsed) { return }
        #endif
        guard var entry = permits[queue] else { return }
        entry.count = max(0, entry.count - 1)
        permits[queue] = entry
        if entry.count == 0 {
            lending.remove(queue)
            reconsider(queue)
        }
    }

    /// A lease has ended.
    mutating func leaseEnded(of queue: String) {
        if !permits.isEmpty, rules[queue]?.hasConcurrency == true { tellings.insert(queue) }
    }

    /// What was lent too long ago is not used any more.
    mutating func dropOldPermits(at now: Instant) {
        guard !lending.isEmpty else { return }
        for queue in lending.sorted() {
            guard var entry = permits[queue], entry.until <= now else { continue }
            entry.unused += UInt32(entry.count)
            entry.count = 0
            permits[queue] = entry
            lending.remove(queue)
            tellings.insert(queue)
            reconsider(queue)
        }
    }

    /// What is to be asked of homes, and told to them, now.
    ///
    /// - Parameter spare: tasks that could start now, here or at thieves that wait.
    public mutating func claims(spare: Int, at now: Instant) -> [PermitClaim] {
        guard !permits.isEmpty, !starved.isEmpty || !tellings.isEmpty else { return [] }
        dropOldPermits(at: now)
        var claims: [PermitClaim] = []
        for queue in starved.union(tellings).sorted() {
            guard var entry = permits[queue], entry.quietUntil <= now else { continue }
            let wanted = isPaused || rules[queue]?.isPaused == true ? 0 : min(readyOf[queue] ?? 0, spare)
            guard tellings.contains(queue) || wanted > 0 && !entry.isAsked else { continue }
            // Permits that are still good would be void by this claim: it says what is held without them.
            if entry.count > 0 {
                entry.unused += UInt32(entry.count)
                entry.count = 0
                lending.remove(queue)
            }
            tellings.remove(queue)
            lastClaim += 1
            entry.number = lastClaim
            entry.isAsked = true
            claims.append(
                PermitClaim(
                    queue: queue, view: 0, number: entry.number, wanted: UInt32(clamping: wanted),
                    unused: entry.unused, held: rules[queue]?.hasConcurrency == true ? held(of: queue) : []))
            entry.unused = 0
            permits[queue] = entry
            reconsider(queue)
        }
        return claims
    }

    private func held(of queue: String) -> [PermitClaim.Held] {
        ledgers.map { owned in
            let counts = owned.primary.state.depth[queue]
            return PermitClaim.Held(
                ledger: owned.primary.id,
                count: UInt32(clamping: counts?[Int(TaskStatus.processing.rawValue)] ?? 0))
        }
    }

    /// The home's answer to the claim that was sent at `sent`; nil: none came.
    public mutating func take(_ loan: PermitLoan?, of queue: String, number: UInt64, sent: Instant, at now: Instant) {
        guard var entry = permits[queue], entry.number == number, entry.isAsked else { return }
        entry.isAsked = false
        entry.shortage = loan.map(\.shortage) ?? .noHome
        if entry.shortage == .noHome {
            // What it was told is not known to have arrived.
            entry.quietUntil = now + Limits.claimPause
            if rules[queue]?.hasConcurrency == true { tellings.insert(queue) }
        }
        if let loan, loan.permits > 0 {
            entry.count = Int(loan.permits)
            entry.until = sent + Limits.permitLife
            lending.insert(queue)
        }
        permits[queue] = entry
        reconsider(queue)
        dropOldPermits(at: now)
    }

    /// Why a queue has no permits; nil: it needs none, has some, or has not been told.
    func shortage(of queue: String) -> PermitShortage? {
        permits[queue].flatMap { $0.count > 0 ? nil : $0.shortage }
    }
}

extension Limits {
    /// How long after a claim that had no answer another one is made.
    static let claimPause = Duration.milliseconds(100)
}
