public import Primitives

/// How much a node takes, and how soon it will take more.
///
/// Two bounds hold for all ledgers that a node is primary of: on the number of what is held, and on its bytes. What is held
/// are the open tasks, and outcomes that the registry still lacks: they cannot be let go. Outcomes that may go have bounds of
/// their own (`Limits.archivedOutcomes`, `keptOutcomes`, `outcomeBytes`), dead letters have theirs, and those do not count
/// here: what is above them waits for the registry.
///
/// Whoever finds no room is told when to come back: as soon as what is too much will have ended, at the rate of the last
/// `Limits.drainWindow`.
extension TaskOwner {
    /// Room for new tasks: open ones and outcomes that wait for the registry count.
    public var room: Int {
        let held = ledgers.reduce(0) { $0 + $1.primary.state.openCount + $1.unarchived }
        return max(0, settings.maxQueued - held)
    }

    /// About how many more bytes there is room for.
    public var roomBytes: Int { max(0, settings.maxQueuedBytes - heldBytes) }

    /// About how many bytes take what is held.
    public var heldBytes: Int {
        ledgers.reduce(0) { total, owned in
            let state = owned.primary.state
            return total + state.openCost + max(0, state.outcomeCost - Limits.outcomeBytes)
                + max(0, state.letterCost - Limits.deadLetterBytes)
        }
    }

    /// How many of these tasks, from the first on, there is room for.
    public func fitting(_ specs: some Sequence<TaskSpec>) -> Int {
        let room = room
        var bytes = roomBytes
        var count = 0
        for spec in specs {
            bytes -= spec.heldCost
            guard count < room, bytes >= 0 else { break }
            count += 1
        }
        return count
    }

    /// Seconds after which there may be room for the first of these: 1...`Limits.retryAfterSeconds`.
    public func retryAfter(_ specs: some Sequence<TaskSpec>) -> Int {
        guard let first = specs.first(where: { _ in true }), fitting(CollectionOfOne(first)) == 0 else { return 1 }
        var tooMany = Double(room == 0 ? 1 : 0)
        let bytes = first.heldCost - roomBytes
        if bytes > 0 {
            let open = ledgers.reduce(0) { $0 + $1.primary.state.openCount }
            let cost = ledgers.reduce(0) { $0 + $1.primary.state.openCost }
            tooMany = max(tooMany, Double(bytes) * Double(max(open, 1)) / Double(max(cost, 1)))
        }
        return drain.seconds(until: tooMany)
    }

    /// To be called now and then: how fast tasks end is measured between these calls.
    public mutating func measureDrain(at now: Instant) { drain.measure(counters.ended, at: now) }
}

/// How fast tasks have ended lately.
struct DrainRate: Sendable {
    /// Ascending by time.
    private var samples: [(at: Instant, ended: UInt64)] = []

    mutating func measure(_ ended: UInt64, at now: Instant) {
        if let last = samples.last, now - last.at < Limits.drainWindow / 10 { return }
        samples.append((now, ended))
        // One that is older stays: the window reaches back to it.
        while samples.count > 2, now - samples[1].at >= Limits.drainWindow { samples.removeFirst() }
    }

    /// Tasks a second; nil: nothing is known yet.
    var perSecond: Double? {
        guard let first = samples.first, let last = samples.last, last.at > first.at else { return nil }
        return Double(last.ended - first.ended) / (last.at - first.at).secondsValue
    }

    /// Nobody is sent away for longer than a bound, since the rate may change at any time.
    func seconds(until count: Double) -> Int {
        guard let perSecond else { return 1 }
        guard perSecond > 0 else { return Limits.retryAfterSeconds }
        return Int(min(max((count / perSecond).rounded(.up), 1), Double(Limits.retryAfterSeconds)))
    }
}

extension TaskSpec {
    /// About how many bytes a task of this takes as long as it is open.
    var heldCost: Int { 400 + cost }
}

extension Limits {
    /// How far back the rate is measured at which tasks end.
    public static let drainWindow = Duration.seconds(10)
    /// The longest time after which a client is asked to try again.
    public static let retryAfterSeconds = 60
}
