import Primitives
public import Service
import TaskLedger
public import Views

/// Answer of `GET /api/queues`.
public struct QueuesDocument: Hashable, Sendable, Decodable, JSONWritable {
    public var queues: [QueueDocument]
    /// A waiting task counts as one of the next higher priority after so many seconds.
    public var agingSeconds: Double
    /// So a task is overtaken only by tasks that came at most so many seconds later.
    public var overtakenSeconds: Double

    enum CodingKeys: String, CodingKey {
        case queues
        case agingSeconds = "aging_seconds"
        case overtakenSeconds = "overtaken_at_most_seconds"
    }

    public init(_ queues: [QueueSummary]) {
        self.queues = queues.map(QueueDocument.init)
        agingSeconds = Limits.agingWeight.secondsValue
        overtakenSeconds = (Limits.agingWeight * 9).secondsValue
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.queues, queues)
            object.put(.agingSeconds, agingSeconds)
            object.put(.overtakenSeconds, overtakenSeconds)
        }
    }
}

/// Answer of `GET /api/queues/{queue}`: one queue over the whole cluster.
public struct QueueDocument: Hashable, Sendable, Decodable, JSONWritable {
    public var name: String
    /// Tasks by status; every status is there.
    public var depth: [String: Int]
    /// How long the oldest ready task has been waiting; nil if none is ready.
    public var oldestAgeSeconds: Double?
    public var settings: QueueSettingsDocument
    /// Of the last minute.
    public var recent: Recent
    /// Nodes that did not answer: what they own is not counted.
    public var missing: [String]

    enum CodingKeys: String, CodingKey {
        case name, depth, missing, settings, recent
        case oldestAgeSeconds = "oldest_age_seconds"
    }

    public init(_ queue: QueueSummary) {
        name = queue.name
        depth = Dictionary(uniqueKeysWithValues: TaskStatus.allCases.map { ($0.name, queue.depth[$0] ?? 0) })
        oldestAgeSeconds = queue.oldestAge.map { Double($0.milliseconds) / 1000 }
        settings = QueueSettingsDocument(queue.settings)
        recent = Recent(queue.statistics)
        missing = queue.missing.map(\.rawValue)
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.name, name)
            object.put(.depth) { json in
                json.object(TaskStatus.allCases.map { (key: $0.name, value: depth[$0.name] ?? 0) })
            }
            object.put(.oldestAgeSeconds, oldestAgeSeconds)
            object.put(.settings, settings)
            object.put(.recent, recent)
            object.put(.missing, missing)
        }
    }
}

extension QueueDocument {
    /// What was measured in the last minute, or since the nodes began.
    public struct Recent: Hashable, Sendable, Decodable, JSONWritable {
        /// Seconds; null: there were none.
        public struct Times: Hashable, Sendable, Decodable, JSONWritable {
            public var p50: Double?
            public var p95: Double?
            public var p99: Double?

            enum CodingKeys: String, CodingKey { case p50, p95, p99 }

            init(_ sketch: DurationSketch) {
                p50 = sketch.quantile(0.5)?.secondsValue
                p95 = sketch.quantile(0.95)?.secondsValue
                p99 = sketch.quantile(0.99)?.secondsValue
            }

            public func write(to json: inout JSONWriter) {
                json.object(CodingKeys.self) { object in
                    object.put(.p50, p50)
                    object.put(.p95, p95)
                    object.put(.p99, p99)
                }
            }
        }

        public var seconds: Double
        /// Tasks a second.
        public var arrivalRate: Double
        public var completionRate: Double
        /// Until the first start.
        public var wait: Times
        /// Of attempts that completed or failed.
        public var run: Times

        enum CodingKeys: String, CodingKey {
            case seconds, wait, run
            case arrivalRate = "arrival_rate"
            case completionRate = "completion_rate"
        }

        init(_ statistics: QueueStatistics) {
            seconds = statistics.span.secondsValue
            arrivalRate = seconds > 0 ? Double(statistics.arrivals) / seconds : 0
            completionRate = seconds > 0 ? Double(statistics.completions) / seconds : 0
            wait = Times(statistics.waits)
            run = Times(statistics.runs)
        }

        public func write(to json: inout JSONWriter) {
            json.object(CodingKeys.self) { object in
                object.put(.seconds, seconds)
                object.put(.arrivalRate, arrivalRate)
                object.put(.completionRate, completionRate)
                object.put(.wait, wait)
                object.put(.run, run)
            }
        }
    }
}

/// What is set for a queue; null: as without the setting.
public struct QueueSettingsDocument: Hashable, Sendable, Decodable, JSONWritable {
    public var isPaused: Bool
    /// Open tasks in the whole cluster.
    public var maxLength: Int?
    /// About how many bytes those may take.
    public var maxBytes: Int?
    /// Of tasks that do not name their own.
    public var maxRetries: Int?
    public var retry: TaskDocument.Retry?
    /// Seconds.
    public var timeout: Double?
    public var weight: Int
    /// Starts a second in the whole cluster.
    public var rateLimit: Double?
    /// Tasks that run at the same time in the whole cluster.
    public var concurrency: Int?

    enum CodingKeys: String, CodingKey {
        case retry, timeout, weight, concurrency
        case rateLimit = "rate_limit"
        case isPaused = "paused"
        case maxLength = "max_length"
        case maxBytes = "max_bytes"
        case maxRetries = "max_retries"
    }

    public init(_ settings: QueueSettings) {
        isPaused = settings.isPaused
        maxLength = settings.maxLength.map(Int.init)
        maxBytes = settings.maxBytes.map { Int(clamping: $0) }
        maxRetries = settings.maxRetries.map(Int.init)
        retry = settings.retry.map { TaskDocument.Retry($0) }
        timeout = settings.timeout.map { Double($0) / 1000 }
        weight = Int(settings.weight)
        rateLimit = settings.rate.map { Double($0) / 1000 }
        concurrency = settings.concurrency.map(Int.init)
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.isPaused, isPaused)
            object.put(.maxLength, maxLength)
            object.put(.maxBytes, maxBytes)
            object.put(.maxRetries, maxRetries)
            object.put(.retry, retry)
            object.put(.timeout, timeout)
            object.put(.weight, weight)
            object.put(.rateLimit, rateLimit)
            object.put(.concurrency, concurrency)
        }
    }
}
