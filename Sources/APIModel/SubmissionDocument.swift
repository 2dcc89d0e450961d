/// Body of `POST /api/tasks`, as a client writes it: what is nil is left to the server's defaults.
public struct SubmissionDocument: Hashable, Sendable, JSONWritable {
    public var taskType: String
    /// Has to be JSON; it is not looked at here.
    public var payload: RawJSON?
    /// 1...10
    public var priority: Int?
    public var queue: String?
    public var maxRetries: Int?
    /// Seconds that one attempt may take.
    public var timeout: Double?
    /// Seconds until it may start.
    public var delay: Double?
    /// Seconds after which it is not started any more.
    public var expiresIn: Double?
    /// `at_least_once` or `at_most_once`.
    public var delivery: String?
    public var callbackURL: String?
    public var metadata: [String: String]

    enum CodingKeys: String, CodingKey {
        case payload, priority, queue, timeout, delay, delivery, metadata
        case taskType = "task_type"
        case maxRetries = "max_retries"
        case expiresIn = "expires_in"
        case callbackURL = "callback_url"
    }

    public init(
        taskType: String, payload: RawJSON? = nil, priority: Int? = nil, queue: String? = nil, maxRetries: Int? = nil,
        timeout: Double? = nil, delay: Double? = nil, expiresIn: Double? = nil, delivery: String? = nil,
        callbackURL: String? = nil, metadata: [String: String] = [:]
    ) {
        self.taskType = taskType
        self.payload = payload
        self.priority = priority
        self.queue = queue
        self.maxRetries = maxRetries
        self.timeout = timeout
        self.delay = delay
        self.expiresIn = expiresIn
        self.delivery = delivery
        self.callbackURL = callbackURL
        self.metadata = metadata
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.taskType, taskType)
            if let payload { object.put(.payload, payload) }
            if let priority { object.put(.priority, priority) }
            if let queue { object.put(.queue, queue) }
            if let maxRetries { object.put(.maxRetries, maxRetries) }
            if let timeout { object.put(.timeout, timeout) }
            if let delay { object.put(.delay, delay) }
            if let expiresIn { object.put(.expiresIn, expiresIn) }
            if let delivery { object.put(.delivery, delivery) }
            if let callbackURL { object.put(.callbackURL, callbackURL) }
            if !metadata.isEmpty { object.put(.metadata) { $0.object(metadata.sorted { $0.key < $1.key }) } }
        }
    }
}
