public import Primitives
public import TaskLedger

// What is known of one task. Every limit that a submission has to keep is checked again: a peer's word is not trusted.
// A task without a payload takes about 60 bytes as a specification, and 100 as a record.

extension ByteWriter {
    /// Limited to what a reader accepts (1970 to 9999): a broken clock shows wrong times, and breaks no link.
    public mutating func timestamp(_ value: Timestamp) {
        varint(UInt64(min(max(value.milliseconds, 0), Limits.timestampMilliseconds)))
    }

    public mutating func priority(_ value: Priority) { uint8(value.rawValue) }

    public mutating func retryPolicy(_ value: RetryPolicy) {
        varint(UInt64(value.maxRetries))
        uint8(value.backoff.rawValue)
        varint(UInt64(value.base))
        varint(UInt64(value.maximum))
        varint(UInt64(value.jitter))
    }

    public mutating func taskSpec(_ value: TaskSpec) {
        string(value.type)
        byteString(value.payload)
        priority(value.priority)
        string(value.queue)
        retryPolicy(value.retry)
        varint(UInt64(value.timeout))
        varint(value.delay)
        optional(value.expiry) { $0.varint($1) }
        uint8(value.delivery.rawValue)
        varint(value.resultTTL)
        array(value.metadata) { writer, label in
            writer.string(label.key)
            writer.string(label.value)
        }
        optional(value.fairnessKey) { $0.string($1) }
        dependencies(value.dependencies)
        optional(value.workflow) { $0.workflowPart($1) }
        optional(value.idempotency) { writer, idempotency in
            writer.string(idempotency.key)
            writer.bodyDigest(idempotency.body)
            writer.varint(idempotency.window)
        }
        optional(value.orderingKey) { $0.string($1) }
        optional(value.callbackURL) { $0.string($1) }
    }

    public mutating func taskFailure(_ value: TaskFailure) {
        string(value.type)
        string(value.message)
        guard let rest = value.retryAfter, value.isRetryable else { return bool(value.isRetryable) }
        uint8(2)
        varint(UInt64(min(rest, Limits.retryAfterMilliseconds)))
    }

    public mutating func acceptance(_ value: Acceptance) {
        taskID(value.id)
        taskSpec(value.spec)
        instant(value.enqueuedAt)
        optional(value.due) { $0.instant($1) }
        optional(value.expires) { $0.instant($1) }
    }

    public mutating func lease(_ value: Lease) {
        token(value.token)
        nodeID(value.holder)
        timestamp(value.at)
        bool(value.isStarted)
    }

    public mutating func taskRecord(_ value: TaskRecord) {
        taskID(value.id)
        taskSpec(value.spec)
        uint8(value.status.rawValue)
        instant(value.enqueuedAt)
        optional(value.due) { $0.instant($1) }
        optional(value.expires) { $0.instant($1) }
        optional(value.lease) { $0.lease($1) }
        varint(UInt64(value.run))
        varint(UInt64(value.attempts))
        varint(UInt64(value.idleLeases))
        varint(UInt64(value.failures))
        varint(UInt64(value.interruptions))
        bool(value.isCancelRequested)
        varint(UInt64(value.duplicatesDiscarded))
        optional(value.startedAt) { $0.timestamp($1) }
        optional(value.worker) { $0.nodeName($1) }
        optional(value.finishedAt) { $0.timestamp($1) }
        optional(value.result) { $0.taskResult($1) }
        optional(value.failure) { $0.taskFailure($1) }
        optional(value.finalToken) { $0.token($1) }
        optional(value.leasedAt) { $0.timestamp($1) }
        varint(UInt64(value.changes))
        parentOutcomes(value.parents)
        optional(value.failedBy) { $0.taskID($1) }
        taskHistory(value.history)
        varint(value.ordinal)
        bool(value.isBehind)
        bool(value.isCalledBack)
    }
}

extension ByteReader {
    public mutating func timestamp() throws(WireError) -> Timestamp {
        let milliseconds = try varint()
        guard milliseconds <= UInt64(Limits.timestampMilliseconds) else { throw .invalid("timestamp") }
        return Timestamp(milliseconds: Int64(milliseconds))
    }

    public mutating func priority() throws(WireError) -> Priority {
        guard let priority = Priority(Int(try uint8())) else { throw .invalid("priority") }
        return priority
    }

    /// A varint of at most `limit`.
    mutating func number(upTo limit: UInt64, _ field: String) throws(WireError) -> UInt64 {
        let value = try varint()
        guard value <= limit else { throw .tooLarge(field) }
        return value
    }

    /// How often something happened. Far below what would overflow when it happens again.
    mutating func counter(_ field: String) throws(WireError) -> UInt32 {
        UInt32(try number(upTo: Limits.counted, field))
    }

    public mutating func retryPolicy() throws(WireError) -> RetryPolicy {
        let retries = UInt16(try number(upTo: UInt64(Limits.retries), "retries"))
        guard let backoff = RetryPolicy.Backoff(rawValue: try uint8()) else { throw .invalid("backoff") }
        return RetryPolicy(
            maxRetries: retries, backoff: backoff, base: try varint32("base of the backoff"),
            maximum: try varint32("maximum of the backoff"), jitter: UInt16(try number(upTo: 1000, "jitter")))
    }

    public mutating func taskSpec() throws(WireError) -> TaskSpec {
        let horizon = UInt64(Limits.horizonSeconds) * 1000
        let type = try string(upTo: Limits.nameBytes, "task type")
        guard !type.isEmpty else { throw .invalid("task type") }
        let payload = try byteString(upTo: Limits.payloadBytes, "payload")
        let priority = try priority()
        let queue = try string(upTo: Limits.nameBytes, "queue")
        guard NodeName.isValid(queue) else { throw .invalid("queue") }
        let retry = try retryPolicy()
        let timeout = UInt32(try number(upTo: UInt64(Limits.timeoutSeconds) * 1000, "timeout"))
        let delay = try number(upTo: horizon, "delay")
        let expiry = try optional { (reader) throws(WireError) in try reader.number(upTo: horizon, "expiry") }
        guard let delivery = TaskSpec.Delivery(rawValue: try uint8()) else { throw .invalid("delivery") }
        var spec = TaskSpec(
            type: type, payload: payload, priority: priority, queue: queue, retry: retry, timeout: timeout,
            delay: delay,
            expiry: expiry, delivery: delivery, resultTTL: try number(upTo: horizon, "result TTL"),
            metadata: try array(upTo: Limits.metadataEntries, "metadata") { (reader) throws(WireError) in
                TaskSpec.Label(
                    key: try reader.string(upTo: Limits.metadataKeyBytes, "metadata key"),
                    value: try reader.string(upTo: Limits.metadataValueBytes, "metadata value"))
            })
        spec.fairnessKey = try optional { reader throws(WireError) in
            let key = try reader.string(upTo: Limits.fairnessKeyBytes, "fairness key")
            guard !key.isEmpty else { throw .invalid("fairness key") }
            return key
        }
        spec.dependencies = try dependencies()
        spec.workflow = try optional { reader throws(WireError) in try reader.workflowPart() }
        spec.idempotency = try optional { (reader) throws(WireError) in
            TaskSpec.Idempotency(
                key: try reader.key("idempotency key"), body: try reader.bodyDigest(),
                window: try reader.number(upTo: horizon, "window of a key"))
        }
        spec.orderingKey = try optional { (reader) throws(WireError) in try reader.key("ordering key") }
        spec.callbackURL = try optional { reader throws(WireError) in
            try reader.string(upTo: Limits.urlBytes, "callback URL")
        }
        return spec
    }

    public mutating func taskFailure() throws(WireError) -> TaskFailure {
        var failure = TaskFailure(
            type: try string(upTo: Limits.nameBytes, "type of failure"),
            message: try string(upTo: Limits.errorBytes, "message of failure"), isRetryable: true)
        switch try uint8() {
        case 0: failure.isRetryable = false
        case 1: break
        case 2:
            failure.retryAfter = UInt32(try number(upTo: UInt64(Limits.retryAfterMilliseconds), "rest before a retry"))
        default: throw .invalid("whether a failure is retryable")
        }
        return failure
    }

    public mutating func acceptance() throws(WireError) -> Acceptance {
        Acceptance(
            id: try taskID(), spec: try taskSpec(), enqueuedAt: try instant(), due: try optionalInstant(),
            expires: try optionalInstant())
    }

    public mutating func lease() throws(WireError) -> Lease {
        Lease(token: try attemptToken(), holder: try nodeID(), at: try timestamp(), isStarted: try bool())
    }

    /// A record that its events could have led to; any other is refused.
    public mutating func taskRecord() throws(WireError) -> TaskRecord {
        let acceptance = (id: try taskID(), spec: try taskSpec())
        guard let status = TaskStatus(rawValue: try uint8()) else { throw .invalid("status") }
        let record = TaskRecord(
            id: acceptance.id, spec: acceptance.spec, status: status, enqueuedAt: try instant(),
            due: try optionalInstant(), expires: try optionalInstant(),
            lease: try optional { (reader) throws(WireError) in try reader.lease() }, run: try counter("run"),
            attempts: try counter("attempts"), idleLeases: try counter("idle leases"),
            failures: try counter("failures"),
            interruptions: try counter("interruptions"), isCancelRequested: try bool(),
            duplicatesDiscarded: try counter("duplicates"), startedAt: try optionalTimestamp(),
            worker: try optional { (reader) throws(WireError) in try reader.nodeName() },
            finishedAt: try optionalTimestamp(),
            result: try optional { (reader) throws(WireError) in try reader.taskResult() },
            failure: try optional { (reader) throws(WireError) in try reader.taskFailure() },
            finalToken: try optional { (reader) throws(WireError) in try reader.attemptToken() },
            leasedAt: try optionalTimestamp(), changes: try counter("changes"), parents: try parentOutcomes(),
            failedBy: try optional { reader throws(WireError) in try reader.taskID() },
            history: try taskHistory(), ordinal: try number(upTo: Limits.placeNumber, "place in an order"),
            isBehind: try bool(), isCalledBack: try bool())
        guard record.isPlausible else { throw .invalid("task record") }
        return record
    }

    /// A token whose numbers can still rise.
    mutating func attemptToken() throws(WireError) -> Token {
        let token = try token()
        guard UInt64(max(token.run, token.attempt)) <= Limits.counted else { throw .tooLarge("token") }
        return token
    }

    mutating func optionalInstant() throws(WireError) -> Instant? {
        try optional { (reader) throws(WireError) in try reader.instant() }
    }

    mutating func optionalTimestamp() throws(WireError) -> Timestamp? {
        try optional { (reader) throws(WireError) in try reader.timestamp() }
    }
}

extension TaskRecord {
    /// Only a task that is processed has a lease, only a scheduled one waits for a time (a blocked one will, perhaps), only an
    /// ended one has an end.
    fileprivate var isPlausible: Bool {
        (lease != nil) == (status == .processing)
            && (due != nil) == (status == .scheduled || status == .blocked && due != nil)
            && (finishedAt != nil) == status.isFinal && parents.count == spec.dependencies.parents.count
            && (ordinal != 0) == (spec.orderingKey != nil)
            && (!isCalledBack || status.isFinal && spec.callbackURL != nil)
    }
}

extension Limits {
    /// The last millisecond of the year 9999: the last time that can be shown.
    static let timestampMilliseconds: Int64 = 253_402_300_799_999
    /// Attempts, failures, interruptions, duplicates and runs of one task that a peer may tell of.
    static let counted: UInt64 = 1 << 30
}
