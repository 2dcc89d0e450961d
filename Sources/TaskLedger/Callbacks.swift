public import Primitives

/// Telling somebody outside that a task has ended: `callback_url`.
///
/// The delivery is itself a task, of the reserved type `TaskSpec.deliveryType`, so that retries, dead letters, takeover and
/// history are those of tasks. It is made by one entry of the ledger of the task that has ended (`calledBack`), which also
/// notes at that task that this is done:
///
/// 1. The end of a task is committed (rule R5). If it has a callback and is not called back, it is `untold`.
/// 2. In the next turn `calledBack` is recorded. The delivery is pending at once, like a task that was just submitted; like one
///    that has dependencies it starts when its lease is committed, and so the entry that made it.
///
/// - Each run of a task is told once: the entry is written by the primary alone, and the note goes with the record. A
///   primary that dies between the two steps leaves an end without the note, and its successor, which looks at all ends
///   that it inherits, does the second step. What a deposed primary had recorded, and could not commit, is not adopted.
/// - A new run takes the note away: its end is told again.
/// - The delivery's id follows from the task, its run and the time of that end (`TaskID.init(after:run:endedAt:)`), so whoever
///   has the task's document, also the registry's, knows whom to ask about the delivery. It is the message's id as well.
/// - What it tells is in its payload: the task may be forgotten before the receiver can be reached. A result of more than
///   `Limits.toldResultBytes` is not told, but its size.
/// - A task that has ended, and is not called back, is neither forgotten nor run again: that is a matter of one turn.
/// - A workflow that has ended is told like a task. Deliveries have no callback.
/// - Deliveries are of the queue `TaskSpec.deliveryQueue`, which may be paused or limited as any other.
extension TaskOwner {
    /// Whether `callBack` has something to do.
    public var owesCallbacks: Bool { !untold.isEmpty }

    /// The end of a task is committed.
    mutating func noteCallback(of record: TaskRecord, in index: Int) {
        if mayOwe(record, in: index) { untold.insert(record.id) }
    }

    private func mayOwe(_ record: TaskRecord, in index: Int) -> Bool {
        #if PLANTED_BUGS
        if PlantedBug.isActive(.calledBackAgain) { return record.status.isFinal && record.spec.callbackURL != nil }
        if PlantedBug.isActive(.callbackLeftBehind), let token = record.finalToken,
            token.term < ledgers[index].primary.term
        {
            return false
        }
        #endif
        return record.owesCallback
    }

    /// Makes the deliveries of tasks that have ended. Once a turn.
    public mutating func callBack(at now: Instant) {
        for id in untold.sorted() {
            guard let index = index(of: id), let record = ledgers[index].primary.state[id], mayOwe(record, in: index),
                let delivery = record.delivery(at: now)
            else { continue }
            let before = ledgers[index].primary.state[delivery.id]?.status
            self.record(.calledBack(id, delivery), in: index)
            guard let made = ledgers[index].primary.state[delivery.id] else { continue }
            settle(made, was: before, in: index)
            meter(made.spec.queue, at: now) { $0.arrivals += 1 }
        }
        untold.removeAll()
    }

    /// Whether the record of a task that has ended has to stay, since something is still to be done by it.
    func isHeld(_ id: TaskID, in index: Int) -> Bool {
        isHeldByWorkflow(id, in: index) || ledgers[index].primary.state[id]?.owesCallback == true
    }
}

extension TaskSpec {
    /// The task type of deliveries, which nobody can submit.
    public static let deliveryType = reservedTypes + "callback"
    /// Types that begin like this are the cluster's own.
    public static let reservedTypes = "apus."
    /// The queue of deliveries.
    public static let deliveryQueue = "callbacks"
    /// The metadata under which a delivery names the task that has ended.
    public static let deliveryLabel = "callback_of"

    /// It tells of the end of another task.
    public var isDelivery: Bool { type == Self.deliveryType }

    /// Attempts to deliver, over about 21 hours: after 5 s, 10 s, 20 s ... 2 h, 2 h ... What comes later is for dead letters.
    public static let deliveryRetry = RetryPolicy(
        maxRetries: 20, backoff: .exponential, base: 5000, maximum: 7_200_000, jitter: 200)
    /// Milliseconds that a receiver has to answer.
    public static let deliveryTimeout: UInt32 = 30_000
}

extension TaskRecord {
    /// It has ended, and somebody is to be told, and there is no task yet for that.
    var owesCallback: Bool { status.isFinal && spec.callbackURL != nil && !isCalledBack }

    /// The task that tells of its end.
    fileprivate func delivery(at now: Instant) -> Acceptance? {
        guard let url = spec.callbackURL, var id = deliveryID else { return nil }
        #if PLANTED_BUGS
        if PlantedBug.isActive(.calledBackAgain) {
            id = TaskID(high: id.high, low: id.low ^ UInt64(bitPattern: now.nanoseconds) & 0xFFFF_FFFF)
        }
        #endif
        var delivery = TaskSpec(
            type: TaskSpec.deliveryType, payload: CallbackMessage(of: self, to: url).payload, priority: spec.priority,
            queue: TaskSpec.deliveryQueue, retry: TaskSpec.deliveryRetry, timeout: TaskSpec.deliveryTimeout,
            resultTTL: spec.resultTTL,
            metadata: [TaskSpec.Label(key: TaskSpec.deliveryLabel, value: self.id.description)])
        delivery.fairnessKey = spec.fairnessKey
        return Acceptance(id: id, spec: delivery, at: now)
    }

    /// Of the task that tells of the end of this run; nil: it has not ended, or nobody is to be told.
    public var deliveryID: TaskID? {
        guard status.isFinal, spec.callbackURL != nil, let finishedAt else { return nil }
        return TaskID(after: id, run: run, endedAt: finishedAt)
    }
}

extension Limits {
    /// A result that is told with the end of its task; of a larger one only the size.
    public static let toldResultBytes = 64 << 10
}
