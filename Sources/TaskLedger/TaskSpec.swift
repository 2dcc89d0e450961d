public import Primitives

/// 1...10; 10 first.
public struct Priority: Hashable, Comparable, Sendable {
    public let rawValue: UInt8

    /// Nil outside 1...10.
    public init?(_ value: Int) {
        guard (1...10).contains(value) else { return nil }
        rawValue = UInt8(value)
    }

    private init(known value: UInt8) { rawValue = value }

    public static let low = Priority(known: 2)
    public static let normal = Priority(known: 5)
    public static let high = Priority(known: 8)
    public static let critical = Priority(known: 10)

    public static func < (a: Priority, b: Priority) -> Bool { a.rawValue < b.rawValue }
}

/// What a client asks for: everything about a task that does not change, validated before it gets here.
public struct TaskSpec: Hashable, Sendable {
    public enum Delivery: UInt8, Sendable, CaseIterable {
        case atLeastOnce
        case atMostOnce
    }

    /// One key and value of the metadata.
    public struct Label: Hashable, Sendable {
        public var key: String
        public var value: String

        public init(key: String, value: String) {
            self.key = key
            self.value = value
        }
    }

    /// How a client says that a request is the same one again.
    public struct Idempotency: Hashable, Sendable {
        /// 1...`Limits.keyBytes` bytes.
        public var key: String
        /// Of everything else that was sent.
        public var body: BodyDigest
        /// Milliseconds for which the key is bound, from when the task may start.
        public var window: UInt64

        public init(key: String, body: BodyDigest, window: UInt64 = Limits.keyWindow) {
            self.key = key
            self.body = body
            self.window = window
        }
    }

    /// Which handler: 1...`Limits.nameBytes` bytes.
    public var type: String
    /// JSON, byte for byte as it was sent, at most `Limits.payloadBytes`.
    public var payload: [UInt8]
    public var priority: Priority
    public var queue: String
    public var retry: RetryPolicy
    /// Milliseconds that one attempt may take.
    public var timeout: UInt32
    /// Milliseconds from submission until it may start.
    public var delay: UInt64
    /// Milliseconds from submission after which it is not started any more; nil: never.
    public var expiry: UInt64?
    public var delivery: Delivery
    /// Milliseconds for which the outcome is kept.
    public var resultTTL: UInt64
    /// Ascending by key.
    public var metadata: [Label]
    public var dependencies: TaskDependencies
    /// Nil: it belongs to none. Kept aside: few tasks do, and it is large.
    public var workflow: WorkflowPart? {
        get { parts.first }
        set { parts = newValue.map { [$0] } ?? [] }
    }
    private var parts: [WorkflowPart] = []
    /// The task is accepted once under this key, however often it is sent.
    public var idempotency: Idempotency?
    /// Tasks of one key run one at a time, in the order of their acceptance: at most `Limits.keyBytes`.
    public var orderingKey: String?
    /// Tasks of one queue and priority take turns between their keys; those without one share one. 1...
    /// `Limits.fairnessKeyBytes` bytes.
    public var fairnessKey: String?
    /// Whom to tell when it has ended: a URL. See `Callbacks`.
    public var callbackURL: String?

    public init(
        type: String, payload: [UInt8] = Array("null".utf8), priority: Priority = .normal, queue: String = "default",
        retry: RetryPolicy = RetryPolicy(), timeout: UInt32 = 300_000, delay: UInt64 = 0, expiry: UInt64? = nil,
        delivery: Delivery = .atLeastOnce, resultTTL: UInt64 = 86_400_000, metadata: [Label] = [],
        dependencies: TaskDependencies = .none, idempotency: Idempotency? = nil, orderingKey: String? = nil,
        fairnessKey: String? = nil
    ) {
        self.type = type
        self.payload = payload
        self.priority = priority
        self.queue = queue
        self.retry = retry
        self.timeout = timeout
        self.delay = delay
        self.expiry = expiry
        self.delivery = delivery
        self.resultTTL = resultTTL
        self.metadata = metadata
        self.dependencies = dependencies
        self.idempotency = idempotency
        self.orderingKey = orderingKey
        self.fairnessKey = fairnessKey
    }

    /// The part of the cluster's keys whose home has to accept the task; nil: any node may.
    ///
    /// A task with both keys belongs to the home of its ordering key, so its idempotency key is one among those that come
    /// with the same ordering key.
    public var homeSlot: KeySlot? {
        orderingKey.map { KeySlot(of: $0, in: .ordering) } ?? keyName?.slot
    }

    var keyName: KeyName? { idempotency.map { KeyName(key: $0.key, orderingKey: orderingKey) } }
}

/// Why an attempt failed.
public struct TaskFailure: Hashable, Sendable {
    /// A stable word for programs: `timeout`, `unknown_task_type`, `invalid_payload`, `handler_error` ...
    public var type: String
    /// A sentence for people, at most `Limits.errorBytes` of UTF-8.
    public var message: String
    /// Whether trying again may help.
    public var isRetryable: Bool
    /// Milliseconds to rest before the next attempt, whatever the task's policy says; nil: as that says. At most
    /// `Limits.retryAfterMilliseconds`.
    public var retryAfter: UInt32?

    public init(type: String, message: String, isRetryable: Bool, retryAfter: UInt32? = nil) {
        self.type = type
        self.message = message
        self.isRetryable = isRetryable
        self.retryAfter = retryAfter
    }
}

/// Where a task is in its life.
public enum TaskStatus: UInt8, Sendable, CaseIterable {
    /// Not due yet: a delay, or the rest before a retry.
    case scheduled
    /// Waits for other tasks.
    case blocked
    /// Ready to start.
    case pending
    /// Leased to an executor.
    case processing
    case completed
    /// For good: in the dead letters.
    case failed
    case cancelled
    /// Was not started in time.
    case expired

    /// The names that clients see.
    public var name: String {
        switch self {
        case .scheduled: "scheduled"
        case .blocked: "blocked"
        case .pending: "pending"
        case .processing: "processing"
        case .completed: "completed"
        case .failed: "failed"
        case .cancelled: "cancelled"
        case .expired: "expired"
        }
    }

    public init?(name: some StringProtocol) {
        guard let status = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = status
    }

    public var isFinal: Bool {
        switch self {
        case .scheduled, .blocked, .pending, .processing: false
        case .completed, .failed, .cancelled, .expired: true
        }
    }
}
