import Primitives
public import Views

// Settings of the cluster, and what is to change in them. A queue with one setting takes its name and about 10 bytes.

extension ByteWriter {
    public mutating func clusterSettings(_ value: ClusterSettings) {
        uint8(value.copies)
        array(value.queues) { $0.queueSettings($1) }
        array(value.subscriptions) { $0.subscription($1) }
        array(value.schedules) { $0.scheduleSettings($1) }
        array(value.applied) { writer, change in
            writer.uint64(change.id)
            writer.uint8(change.refusal?.rawValue ?? 0)
        }
    }

    private mutating func subscription(_ value: Subscription) {
        string(value.name)
        string(value.pattern.text)
        byteString(value.task)
    }

    private mutating func queueSettings(_ value: QueueSettings) {
        string(value.name)
        bool(value.isPaused)
        optional(value.maxLength) { $0.varint(UInt64($1)) }
        optional(value.maxBytes) { $0.varint($1) }
        optional(value.maxRetries) { $0.varint(UInt64($1)) }
        optional(value.retry) { $0.retryPolicy($1) }
        optional(value.timeout) { $0.varint(UInt64($1)) }
        varint(UInt64(value.weight))
        optional(value.rate) { $0.varint(UInt64($1)) }
        optional(value.concurrency) { $0.varint(UInt64($1)) }
    }

    public mutating func settingsChange(_ value: SettingsChange) {
        uint64(value.id)
        uint64(value.view)
        switch value.operation {
        case .queue(let name, let fields):
            uint8(1)
            string(name)
            array(fields) { $0.queueField($1) }
        case .subscribe(let value):
            uint8(8)
            subscription(value)
        case .unsubscribe(let name):
            uint8(9)
            string(name)
        case .schedule(let schedule):
            uint8(10)
            scheduleSettings(schedule)
        case .deleteSchedule(let name):
            uint8(11)
            string(name)
        }
    }

    private mutating func queueField(_ value: QueueField) {
        switch value {
        case .isPaused(let value):
            uint8(1)
            bool(value)
        case .maxLength(let value):
            uint8(2)
            optional(value) { $0.varint(UInt64($1)) }
        case .maxBytes(let value):
            uint8(9)
            optional(value) { $0.varint($1) }
        case .maxRetries(let value):
            uint8(3)
            optional(value) { $0.varint(UInt64($1)) }
        case .retry(let value):
            uint8(4)
            optional(value) { $0.retryPolicy($1) }
        case .timeout(let value):
            uint8(5)
            optional(value) { $0.varint(UInt64($1)) }
        case .weight(let value):
            uint8(6)
            optional(value) { $0.varint(UInt64($1)) }
        case .rate(let value):
            uint8(7)
            optional(value) { $0.varint(UInt64($1)) }
        case .concurrency(let value):
            uint8(8)
            optional(value) { $0.varint(UInt64($1)) }
        }
    }
}

extension ByteReader {
    /// Not yet validated: `view` does that for the whole.
    public mutating func clusterSettings() throws(WireError) -> ClusterSettings {
        ClusterSettings(
            copies: try uint8(),
            queues: try array(upTo: Limits.configuredQueues, "queues") { (reader) throws(WireError) in
                try reader.queueSettings()
            },
            subscriptions: try array(upTo: Limits.subscriptions, "subscriptions") { (reader) throws(WireError) in
                try reader.subscription()
            },
            schedules: try array(upTo: Limits.schedules, "schedules") { (reader) throws(WireError) in
                try reader.scheduleSettings()
            },
            applied: try array(upTo: Limits.appliedChanges, "changes of settings") { (reader) throws(WireError) in
                let id = try reader.uint64()
                let code = try reader.uint8()
                if code == 0 { return AppliedChange(id: id) }
                guard let refusal = SettingsRefusal(rawValue: code) else { throw .invalid("refusal of a change") }
                return AppliedChange(id: id, refusal: refusal)
            })
    }

    private mutating func subscription() throws(WireError) -> Subscription {
        let name = try settingName("subscription")
        guard let pattern = TopicPattern(try string(upTo: Limits.topicBytes, "topic")) else { throw .invalid("topic") }
        return Subscription(
            name: name, pattern: pattern, task: try byteString(upTo: Limits.subscribedTaskBytes, "task"))
    }

    private mutating func queueSettings() throws(WireError) -> QueueSettings {
        var queue = QueueSettings(name: try queueName())
        queue.isPaused = try bool()
        queue.maxLength = try optionalNumber("length")
        queue.maxBytes = try optionalBytes()
        queue.maxRetries = try optionalNumber("retries")
        queue.retry = try optionalRetry()
        queue.timeout = try optionalNumber("timeout")
        queue.weight = UInt16(try number(upTo: UInt64(Limits.queueWeight), "weight"))
        queue.rate = try optionalNumber("rate")
        queue.concurrency = try optionalNumber("concurrency")
        return queue
    }

    public mutating func settingsChange() throws(WireError) -> SettingsChange {
        SettingsChange(id: try uint64(), view: try uint64(), operation: try settingsOperation())
    }

    private mutating func settingsOperation() throws(WireError) -> SettingsOperation {
        switch try uint8() {
        case 1:
            .queue(
                try queueName(),
                try array(upTo: Limits.fieldsPerChange, "settings") { (reader) throws(WireError) in
                    try reader.queueField()
                })
        case 8: .subscribe(try subscription())
        case 9: .unsubscribe(try settingName("subscription"))
        case 10: .schedule(try scheduleSettings())
        case 11: .deleteSchedule(try settingName("schedule"))
        default: throw .invalid("operation on the settings")
        }
    }

    private mutating func queueField() throws(WireError) -> QueueField {
        switch try uint8() {
        case 1: .isPaused(try bool())
        case 2: .maxLength(try optionalNumber("length"))
        case 9: .maxBytes(try optionalBytes())
        case 3: .maxRetries(try optionalNumber("retries"))
        case 4: .retry(try optionalRetry())
        case 5: .timeout(try optionalNumber("timeout"))
        case 6: .weight(try optionalNumber("weight"))
        case 7: .rate(try optionalNumber("rate"))
        case 8: .concurrency(try optionalNumber("concurrency"))
        default: throw .invalid("setting of a queue")
        }
    }

    private mutating func queueName() throws(WireError) -> String { try settingName("queue") }

    mutating func settingName(_ what: String) throws(WireError) -> String {
        let name = try string(upTo: Limits.nameBytes, what)
        guard NodeName.isValid(name) else { throw .invalid(what) }
        return name
    }

    private mutating func optionalNumber<Value: FixedWidthInteger & UnsignedInteger>(
        _ field: String
    ) throws(WireError) -> Value? {
        try optional { (reader) throws(WireError) in Value(try reader.number(upTo: UInt64(Value.max), field)) }
    }

    private mutating func optionalBytes() throws(WireError) -> UInt64? {
        try optional { (reader) throws(WireError) in try reader.number(upTo: Limits.queueBytes, "bytes") }
    }

    private mutating func optionalRetry() throws(WireError) -> RetryPolicy? {
        try optional { (reader) throws(WireError) in try reader.retryPolicy() }
    }
}

extension Limits {
    /// Settings that one change names.
    static let fieldsPerChange = 32
}
