public import Primitives

/// One time at which a schedule fires.
public struct Firing: Hashable, Sendable {
    public var schedule: String
    /// Of the schedule: rises with every change.
    public var version: UInt64
    public var time: Timestamp

    public init(schedule: String, version: UInt64, time: Timestamp) {
        self.schedule = schedule
        self.version = version
        self.time = time
    }
}

/// A firing is told by the keys of its task, so that the rules of keys are those of schedules:
///
/// - The ordering key names the schedule: all its firings have one home, and its tasks run one at a time.
/// - The idempotency key names the version and the time: however often, and by whomever, a firing is considered, there is one
///   task for it. It is bound for `Limits.firingMemory`.
/// - With it comes a **mark**: a binding under the version alone, whose body tells the latest time that was decided. It
///   outlives the others by far, and a new home begins to look after it. So what was decided is not decided again even if it
///   was long ago, or a node has come back with a clock that was set.
///
/// Such keys begin with a character that no client may use at the beginning of a key.
extension TaskSpec {
    /// The firing that it is the task of, if any.
    public var firing: Firing? {
        guard let orderingKey, let key = idempotency?.key, orderingKey.hasPrefix(Self.lanePrefix),
            key.hasPrefix(Self.reserved)
        else { return nil }
        guard let (version, time) = Self.parts(of: key), let time else { return nil }
        return Firing(
            schedule: String(orderingKey.dropFirst(Self.lanePrefix.count)), version: version,
            time: Timestamp(milliseconds: time))
    }

    private static func parts(of key: String) -> (version: UInt64, time: Int64?)? {
        let parts = key.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let version = UInt64(parts[0]) else { return nil }
        guard parts.count == 2 else { return (version, nil) }
        return Int64(parts[1]).map { (version, $0) }
    }

    /// The task of a firing.
    ///
    /// - Parameter delay: milliseconds after which it may start.
    public func task(of firing: Firing, delay: UInt64) -> TaskSpec {
        var spec = self
        spec.orderingKey = Self.lane(of: firing.schedule)
        spec.idempotency = Idempotency(
            key: "\(Self.reserved)\(firing.version)/\(firing.time.milliseconds)", body: .fired,
            window: Limits.firingMemory)
        spec.delay = delay
        spec.expiry = expiry.map { $0 + delay }
        return spec
    }

    /// The ordering key of a schedule's tasks.
    public static func lane(of schedule: String) -> String { lanePrefix + schedule }

    /// Whether a client may not use the key.
    public static func isReserved(key: String) -> Bool { key.hasPrefix(reserved) }

    fileprivate static let reserved = "\u{0}"
    private static let lanePrefix = reserved + "schedule/"

    /// The mark that comes with the binding of a firing's key; nil: it is no such key.
    static func mark(with binding: KeyBinding) -> KeyBinding? {
        guard let lane = binding.name.orderingKey, lane.hasPrefix(lanePrefix),
            let (version, time) = parts(of: binding.name.key), let time
        else { return nil }
        return KeyBinding(
            name: mark(of: version, in: lane), body: BodyDigest(high: UInt64(bitPattern: time), low: 0),
            task: binding.task, until: binding.until + Limits.firingMarks)
    }

    static func mark(of version: UInt64, in lane: String) -> KeyName {
        KeyName(key: "\(reserved)\(version)", orderingKey: lane)
    }
}

extension KeyBinding {
    /// Of a mark: up to which time the firings of its version are decided. Nil: it is none.
    var markedTime: Timestamp? {
        guard name.orderingKey != nil, name.key.hasPrefix(TaskSpec.reserved), !name.key.utf8.contains(UInt8(ascii: "/"))
        else { return nil }
        return Timestamp(milliseconds: Int64(bitPattern: body.high))
    }
}

extension BodyDigest {
    /// Of the key of a firing that has a task.
    static let fired = BodyDigest(high: 0, low: 1)
    /// Of the key of one that was left out: it is bound to the task that was in its way.
    static let leftOut = BodyDigest(high: 0, low: 2)
}

/// What became of a firing.
public enum FiringDecision: Hashable, Sendable {
    case decided(PastFiring.Outcome)
    /// Not decided: its queue has no more room at the home.
    case queueFull
}

/// Deciding about firings at the home of their schedule.
///
/// | the key of the firing | an earlier task of the schedule is open | |
/// | --- | --- | --- |
/// | is bound | | what was decided before is so |
/// | is free | no, or the policy is `queue` | the task is accepted, and bound, by one entry |
/// | is free | yes, `skip` | the key is bound to the first open task: nobody fires it later |
/// | is free | yes, `replace` | the open tasks are to be cancelled; then as if there were none |
///
/// If a primary dies between the two steps of `replace` the next one finds the key free, and fires.
extension TaskOwner {
    /// Up to which time the firings of a schedule's version are decided, as far as is known; nil: none is.
    public func lastFiring(of schedule: String, version: UInt64, in ledger: LedgerID) -> Timestamp? {
        guard let index = index(of: ledger) else { return nil }
        #if PLANTED_BUGS
        if PlantedBug.isActive(.firedAgain) { return nil }
        #endif
        return ledgers[index].primary.state.keys[TaskSpec.mark(of: version, in: TaskSpec.lane(of: schedule))]?
            .markedTime
    }

    /// What was decided about a firing before, if that is known.
    private func decision(under name: KeyName, in index: Int, at now: Instant) -> KeyBinding? {
        #if PLANTED_BUGS
        if PlantedBug.isActive(.firedAgain) { return nil }
        #endif
        return ledgers[index].primary.state.keys[name].flatMap { $0.until > now ? $0 : nil }
    }

    /// - Parameters:
    ///   - spec: `task(of:)` of the firing.
    ///   - id: for its task.
    ///   - request: `accepted(request)` follows once the decision is committed; not if it is not decided.
    public mutating func fire(
        _ spec: TaskSpec, id: TaskID, overlap: OverlapPolicy, home ledger: LedgerID, request: UInt64, at now: Instant,
        timestamp: Timestamp, into effects: inout [OwnerEffect]
    ) throws(KeyedRefusal) -> FiringDecision {
        guard let name = spec.keyName, let lane = spec.orderingKey, let index = index(of: ledger),
            ledgers[index].slots.contains(name.slot)
        else { throw .notHome }
        guard ledgers[index].handover?.isFrozen(name.slot) != true else { throw .moving }
        if let bound = decision(under: name, in: index, at: now) {
            ledgers[index].primary.whenCommitted(.accepted(request: request))
            return .decided(bound.body == .fired ? .fired(bound.task) : .leftOut(bound.task))
        }
        let open = ledgers[index].primary.state.lane(of: lane)
        let decision = overlap.decide(isPreviousOpen: !open.isEmpty)
        guard hasRoom(for: decision == .leaveOut ? [] : [spec], keys: 1, in: index, at: now) else { throw .full }
        if decision == .leaveOut, let first = open.first {
            let window = Duration.milliseconds(Int64(clamping: spec.idempotency?.window ?? 0))
            record(.bound([KeyBinding(name: name, body: .leftOut, task: first, until: now + window)]), in: index)
            ledgers[index].primary.whenCommitted(.accepted(request: request))
            return .decided(.leftOut(first))
        }
        guard fittingQueues([spec]) == 1 else { return .queueFull }
        if decision == .cancelAndFire {
            for id in open {
                guard let record = ledgers[index].primary.state[id] else { continue }
                _ = end(record, in: index, timestamp: timestamp, into: &effects)
            }
        }
        record(.accepted(Acceptance(id: id, spec: spec, at: now)), in: index)
        meter(spec.queue, at: now) { $0.arrivals += 1 }
        ledgers[index].primary.whenCommitted(.accepted(request: request))
        return .decided(.fired(id))
    }
}

extension Limits {
    /// How long a firing's key is bound, in milliseconds: for as long as it is in time, and the clocks of two homes may differ.
    public static let firingMemory: UInt64 = 660_000
    /// How much longer a mark is kept: what lies farther back than a home ever looks need not be known.
    static let firingMarks = Duration.seconds(30 * 86_400)
}
