public import Primitives
public import Service
import TaskLedger
import Views

/// Answer of `GET /api/schedules`.
public struct SchedulesDocument: Hashable, Sendable, Decodable, JSONWritable {
    public var schedules: [ScheduleDocument]

    enum CodingKeys: String, CodingKey { case schedules }

    public init(_ reports: [ScheduleReport]) { schedules = reports.map(ScheduleDocument.init) }

    public func write(to json: inout JSONWriter) { json.object(CodingKeys.self) { $0.put(.schedules, schedules) } }
}

/// Answer of `GET /api/schedules/{schedule}`. What can be set has the names and the form in which it is set.
public struct ScheduleDocument: Hashable, Sendable, Decodable {
    /// What it submits; null: as the task's queue says when it fires.
    public struct Task: Hashable, Sendable, Decodable {
        public var taskType: String
        public var payload: RawJSON
        public var priority: Int
        public var queue: String
        public var maxRetries: Int?
        public var retry: TaskDocument.Retry?
        /// Seconds.
        public var timeout: Double?
        /// Seconds.
        public var expiresIn: Double?
        public var delivery: String
        /// Seconds.
        public var resultTTL: Double
        public var metadata: [String: String]
        public var fairnessKey: String?

        enum CodingKeys: String, CodingKey {
            case payload, priority, queue, retry, timeout, delivery, metadata
            case taskType = "task_type"
            case maxRetries = "max_retries"
            case expiresIn = "expires_in"
            case resultTTL = "result_ttl"
            case fairnessKey = "fairness_key"
        }
    }

    public struct Firing: Hashable, Sendable, Decodable {
        public var time: Timestamp
        /// `fired` or `left_out`.
        public var outcome: String
        /// Its task, or the one that was in its way.
        public var taskID: TaskID

        enum CodingKeys: String, CodingKey {
            case time, outcome
            case taskID = "task_id"
        }
    }

    public var name: String
    public var cron: String?
    public var timeZone: String?
    /// Seconds.
    public var interval: Double?
    /// Seconds.
    public var jitter: Double
    public var overlap: String
    public var catchUp: String
    public var isPaused: Bool
    public var task: Task
    public var version: UInt64
    public var createdAt: Timestamp
    public var changedAt: Timestamp
    public var next: [Timestamp]
    public var home: String?
    /// The newest first.
    public var recent: [Firing]
    public var problem: String?

    enum CodingKeys: String, CodingKey {
        case name, cron, interval, jitter, overlap, task, version, next, home, recent, problem
        case timeZone = "time_zone"
        case catchUp = "catch_up"
        case isPaused = "paused"
        case createdAt = "created_at"
        case changedAt = "changed_at"
    }

    public init(_ report: ScheduleReport) {
        let draft = report.draft
        name = draft.name
        switch draft.timing {
        case .cron(let text, let zone): (cron, timeZone) = (text, zone)
        case .interval(let milliseconds): interval = Double(milliseconds) / 1000
        }
        jitter = Double(draft.jitter) / 1000
        overlap = draft.overlap.name
        catchUp = draft.catchUp.name
        isPaused = draft.isPaused
        let spec = draft.task
        task = Task(
            taskType: spec.type, payload: RawJSON(spec.payload), priority: Int(spec.priority.rawValue),
            queue: spec.queue,
            maxRetries: draft.inherited.contains(.maxRetries) ? nil : Int(spec.retry.maxRetries),
            retry: draft.inherited.contains(.retry) ? nil : TaskDocument.Retry(spec.retry),
            timeout: draft.inherited.contains(.timeout) ? nil : Double(spec.timeout) / 1000,
            expiresIn: spec.expiry.map { Double($0) / 1000 }, delivery: spec.delivery.name,
            resultTTL: Double(spec.resultTTL) / 1000,
            metadata: Dictionary(spec.metadata.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first }),
            fairnessKey: spec.fairnessKey)
        version = report.version
        createdAt = report.createdAt
        changedAt = report.changedAt
        next = report.next
        home = report.home?.rawValue
        recent = report.recent.reversed().map { firing in
            switch firing.outcome {
            case .fired(let id): Firing(time: firing.time, outcome: "fired", taskID: id)
            case .leftOut(let id): Firing(time: firing.time, outcome: "left_out", taskID: id)
            }
        }
        problem = report.problem
    }

    /// The body that sets it as it is.
    public var body: [UInt8] {
        var writer = JSONWriter()
        writer.object(CodingKeys.self) { putDraft(into: &$0) }
        return writer.bytes
    }

    private func putDraft(into object: inout JSONObjectWriter<CodingKeys>) {
        object.put(.cron, cron)
        object.put(.timeZone, timeZone)
        object.put(.interval, interval)
        object.put(.jitter, jitter)
        object.put(.overlap, overlap)
        object.put(.catchUp, catchUp)
        object.put(.isPaused, isPaused)
        object.put(.task, task)
    }
}

extension ScheduleDocument: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.name, name)
            putDraft(into: &object)
            object.put(.version, version)
            object.put(.createdAt, createdAt)
            object.put(.changedAt, changedAt)
            object.put(.next, next)
            object.put(.home, home)
            object.put(.recent, recent)
            object.put(.problem, problem)
        }
    }
}

extension ScheduleDocument.Task: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.taskType, taskType)
            object.put(.payload, payload)
            object.put(.priority, priority)
            object.put(.queue, queue)
            object.put(.maxRetries, maxRetries)
            object.put(.retry, retry)
            object.put(.timeout, timeout)
            object.put(.expiresIn, expiresIn)
            object.put(.delivery, delivery)
            object.put(.resultTTL, resultTTL)
            object.put(.metadata) { $0.object(metadata.sorted { $0.key < $1.key }) }
            object.put(.fairnessKey, fairnessKey)
        }
    }
}

extension ScheduleDocument.Firing: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.time, time)
            object.put(.outcome, outcome)
            object.put(.taskID, taskID)
        }
    }
}
