public import Primitives
public import Service
import TaskLedger

/// Answer of `GET /api/tasks/{id}`. Every member is always there, null if it does not apply; in listings `payload` and
/// `result` are left out, since a page of them could be a gigabyte.
public struct TaskDocument: Hashable, Sendable, Decodable {
    public struct Retry: Hashable, Sendable, Decodable {
        /// `exponential`, `linear`, `fixed` or `none`.
        public var backoff: String
        /// Seconds.
        public var base: Double
        /// Seconds.
        public var max: Double
        /// 0...1
        public var jitter: Double
    }

    public struct Failure: Hashable, Sendable, Decodable {
        public var type: String
        public var message: String
        public var isRetryable: Bool

        enum CodingKeys: String, CodingKey {
            case type, message
            case isRetryable = "retryable"
        }
    }

    /// A task that this one depends on, as it sees it.
    public struct Parent: Hashable, Sendable, Decodable {
        public var id: TaskID
        /// `completed`, `failed`, `cancelled`, `expired` or `lost`; nil: it has not ended, or that is not known yet.
        public var status: String?
        public var resultBytes: UInt32
        /// Left out if it is too large to be handed on, and in listings.
        public var result: RawJSON?
        public var error: Failure?

        enum CodingKeys: String, CodingKey {
            case id, status, result, error
            case resultBytes = "result_bytes"
        }
    }

    /// Who is told of the task's end.
    public struct Callback: Hashable, Sendable, Decodable {
        public var url: String
        /// The task that tells; nil: this one has not ended.
        public var taskID: TaskID?
        /// Of that task; nil: it is not there, or not known.
        public var status: String?

        enum CodingKeys: String, CodingKey {
            case url, status
            case taskID = "task_id"
        }
    }

    public var id: TaskID
    /// `scheduled`, `blocked`, `pending`, `processing`, `completed`, `failed`, `cancelled` or `expired`.
    public var status: String
    public var taskType: String
    public var queue: String
    /// 1...10
    public var priority: Int
    /// The owner: the node that decides about the task.
    public var node: String?
    /// Attempts of this run that began.
    public var attempt: UInt32
    /// A manual retry begins a new one; 1 is the first.
    public var run: UInt32
    public var interruptions: UInt32
    public var maxRetries: Int
    public var retry: Retry
    /// Seconds that one attempt may take.
    public var timeout: Double
    /// `at_least_once` or `at_most_once`.
    public var delivery: String
    /// Seconds.
    public var resultTTL: Double
    public var metadata: [String: String]
    public var idempotencyKey: String?
    public var orderingKey: String?
    public var fairnessKey: String?
    /// The schedule whose firing it is, and for which time.
    public var schedule: String?
    public var scheduledFor: Timestamp?
    public var createdAt: Timestamp
    /// When a scheduled task is due.
    public var runAt: Timestamp?
    public var expiresAt: Timestamp?
    public var startedAt: Timestamp?
    public var finishedAt: Timestamp?
    /// The node that runs, or ran, the last attempt.
    public var worker: String?
    /// The same, if it is not the owner.
    public var stolenBy: String?
    public var isCancelRequested: Bool
    public var duplicatesDiscarded: UInt32
    public var error: Failure?
    public var dependsOn: [TaskID]
    /// `fail`, `run` or `cancel`; nil: it depends on nothing.
    public var onDependencyFailure: String?
    public var parents: [Parent]
    public var callback: Callback?
    public var payload: RawJSON?
    /// Of a completed task. Nil as well if it is large and those who keep it cannot be asked now, or, if there are none, it
    /// is lost with their disks: `resultBytes` is not nil then.
    public var result: RawJSON?
    public var resultBytes: UInt32?
    /// The nodes that keep a large result; none: it is with the task, or lost.
    public var resultHolders: [String]?

    enum CodingKeys: String, CodingKey {
        case id, status, queue, priority, node, attempt, run, interruptions, retry, timeout, delivery, metadata, worker,
            error
        case payload, result, parents, schedule, callback
        case resultBytes = "result_bytes"
        case resultHolders = "result_holders"
        case scheduledFor = "scheduled_for"
        case dependsOn = "depends_on"
        case onDependencyFailure = "on_dependency_failure"
        case taskType = "task_type"
        case idempotencyKey = "idempotency_key"
        case orderingKey = "ordering_key"
        case maxRetries = "max_retries"
        case resultTTL = "result_ttl"
        case fairnessKey = "fairness_key"
        case createdAt = "created_at"
        case runAt = "run_at"
        case expiresAt = "expires_at"
        case startedAt = "started_at"
        case finishedAt = "finished_at"
        case stolenBy = "stolen_by"
        case isCancelRequested = "cancel_requested"
        case duplicatesDiscarded = "duplicates_discarded"
    }

    /// - Parameters:
    ///   - isSummary: without payload and result, for a listing.
    ///   - told: the status of the task that tells of this one's end, if that is known.
    public init(_ task: TaskSnapshot, isSummary: Bool = false, told: String? = nil) {
        let spec = task.spec
        id = task.id
        status = task.status.name
        taskType = spec.type
        queue = spec.queue
        priority = Int(spec.priority.rawValue)
        node = task.owner?.rawValue
        attempt = task.attempt
        run = task.run
        interruptions = task.interruptions
        maxRetries = Int(spec.retry.maxRetries)
        retry = Retry(spec.retry)
        timeout = Double(spec.timeout) / 1000
        delivery = spec.delivery.name
        resultTTL = Double(spec.resultTTL) / 1000
        metadata = Dictionary(spec.metadata.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
        let firing = spec.firing
        schedule = firing?.schedule
        scheduledFor = firing?.time
        // Its keys are no client's.
        idempotencyKey = firing == nil ? spec.idempotency?.key : nil
        orderingKey = firing == nil ? spec.orderingKey : nil
        fairnessKey = spec.fairnessKey
        createdAt = task.createdAt
        runAt = task.dueAt
        expiresAt = spec.expiry.map { Timestamp(milliseconds: task.createdAt.milliseconds &+ Int64(clamping: $0)) }
        startedAt = task.startedAt
        finishedAt = task.finishedAt
        worker = task.worker?.rawValue
        stolenBy = task.stolenBy?.rawValue
        isCancelRequested = task.isCancelRequested
        duplicatesDiscarded = task.duplicatesDiscarded
        error = task.failure.map {
            Failure(type: $0.type, message: $0.message, isRetryable: $0.isRetryable)
        }
        dependsOn = spec.dependencies.parents
        onDependencyFailure = spec.dependencies.isEmpty ? nil : spec.dependencies.onFailure.name
        parents = zip(spec.dependencies.parents, task.parents).map { id, outcome in
            Parent(
                id: id, status: outcome?.end.name, resultBytes: outcome?.resultBytes ?? 0,
                result: outcome?.result.map { RawJSON($0) },
                error: outcome?.failure.map {
                    Failure(type: $0.type, message: $0.message, isRetryable: $0.isRetryable)
                })
        }
        callback = spec.callbackURL.map { Callback(url: $0, taskID: task.deliveryID, status: told) }
        payload = isSummary ? nil : RawJSON(spec.payload)
        result = isSummary ? nil : task.result.map { RawJSON($0) }
        resultBytes = isSummary ? nil : task.detached?.byteCount ?? task.result.map { UInt32(clamping: $0.count) }
        resultHolders = isSummary ? nil : task.detached?.holders.map(\.name.rawValue) ?? []
    }
}

extension TaskDocument: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.id, id)
            object.put(.status, status)
            object.put(.taskType, taskType)
            object.put(.queue, queue)
            object.put(.priority, priority)
            object.put(.node, node)
            object.put(.attempt, attempt)
            object.put(.run, run)
            object.put(.interruptions, interruptions)
            object.put(.createdAt, createdAt)
            object.put(.runAt, runAt)
            object.put(.startedAt, startedAt)
            object.put(.finishedAt, finishedAt)
            object.put(.expiresAt, expiresAt)
            object.put(.worker, worker)
            object.put(.stolenBy, stolenBy)
            object.put(.maxRetries, maxRetries)
            object.put(.retry, retry)
            object.put(.timeout, timeout)
            object.put(.delivery, delivery)
            object.put(.resultTTL, resultTTL)
            object.put(.metadata) { $0.object(metadata.sorted { $0.key < $1.key }) }
            object.put(.idempotencyKey, idempotencyKey)
            object.put(.orderingKey, orderingKey)
            object.put(.fairnessKey, fairnessKey)
            object.put(.schedule, schedule)
            object.put(.scheduledFor, scheduledFor)
            object.put(.isCancelRequested, isCancelRequested)
            object.put(.duplicatesDiscarded, duplicatesDiscarded)
            object.put(.error, error)
            object.put(.dependsOn, dependsOn)
            object.put(.onDependencyFailure, onDependencyFailure)
            object.put(.parents, parents)
            object.put(.callback, callback)
            if let payload {
                object.put(.resultBytes, resultBytes)
                object.put(.resultHolders, resultHolders)
                object.put(.payload, payload)
                object.put(.result, result)
            }
        }
    }
}

extension TaskDocument.Retry: JSONWritable {
    private enum CodingKeys: String, CodingKey { case backoff, base, max, jitter }

    init(_ policy: RetryPolicy) {
        backoff = policy.backoff.name
        base = Double(policy.base) / 1000
        max = Double(policy.maximum) / 1000
        jitter = Double(policy.jitter) / 1000
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.backoff, backoff)
            object.put(.base, base)
            object.put(.max, max)
            object.put(.jitter, jitter)
        }
    }
}

extension TaskDocument.Parent: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.id, id)
            object.put(.status, status)
            object.put(.resultBytes, resultBytes)
            if let result { object.put(.result, result) }
            object.put(.error, error)
        }
    }
}

extension TaskDocument.Callback: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.url, url)
            object.put(.taskID, taskID)
            object.put(.status, status)
        }
    }
}

extension TaskDocument.Failure: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.type, type)
            object.put(.message, message)
            object.put(.isRetryable, isRetryable)
        }
    }
}
