import APIModel
import Primitives
import TaskLedger
import Views

/// Reads one submitted task: JSON in, a valid `TaskSpec` or all that is wrong with it out.
///
/// Stricter than most: unknown fields, a field given twice (also under two of its names), and fields of a later version
/// are errors, since each of them would be a task that is not the one its client meant.
struct SubmissionParser {
    enum Outcome: Hashable {
        case spec(TaskSpec)
        case invalid([ProblemDocument.Item])
    }

    var reader: FieldReader
    private let now: Timestamp
    private let settings: ClusterSettings?
    var spec = TaskSpec(type: "")
    private var runAt: Timestamp?
    private var expiresAt: Timestamp?
    private var keys: KeyFields
    private var isScheduled = false
    /// Fields that were met, and under which name.
    private var met: [(field: SubmissionField, name: String)] = []
    /// Where their values stand.
    private var values: [(field: SubmissionField, range: Range<Int>)] = []

    private init(
        _ parser: JSONPullParser, now: Timestamp, key: String?, settings: ClusterSettings?, errorLimit: Int
    ) {
        reader = FieldReader(parser, limit: errorLimit)
        self.now = now
        self.settings = settings
        keys = KeyFields(header: key)
    }

    /// Reads the next value of `parser` as a task. Throws only if it is not JSON.
    ///
    /// - Parameters:
    ///   - key: the header `Idempotency-Key`.
    ///   - settings: what the task's queue says where the task does not.
    static func parse(
        _ parser: inout JSONPullParser, now: Timestamp, key: String? = nil, settings: ClusterSettings? = nil,
        errorLimit: Int = APILimits.reportedErrors
    ) throws(JSONError) -> Outcome {
        var submission = SubmissionParser(parser, now: now, key: key, settings: settings, errorLimit: errorLimit)
        let outcome = try submission.parse()
        parser = submission.reader.parser
        return outcome
    }

    /// Reads the task of a schedule: it has no keys, time or dependencies of its own.
    ///
    /// - Returns: also what its queue says when it fires.
    static func parse(
        scheduled parser: inout JSONPullParser, now: Timestamp
    ) throws(JSONError) -> (outcome: Outcome, inherited: ScheduleSettings.Inherited) {
        var submission = SubmissionParser(
            parser, now: now, key: nil, settings: nil, errorLimit: APILimits.reportedErrors)
        submission.isScheduled = true
        let outcome = try submission.parse()
        parser = submission.reader.parser
        var inherited: ScheduleSettings.Inherited = []
        if !submission.isNamed(.retry) { inherited.insert(.retry) }
        if !submission.isNamed(.maxRetries) { inherited.insert(.maxRetries) }
        if !submission.isNamed(.timeout) { inherited.insert(.timeout) }
        return (outcome, inherited)
    }

    /// Given, and not as null.
    private func isNamed(_ field: SubmissionField) -> Bool {
        values.contains { value in
            value.field == field && reader.parser.bytes[value.range].last != UInt8(ascii: "l")
        }
    }

    private mutating func parse() throws(JSONError) -> Outcome {
        let kind = try reader.parser.peek()
        guard kind == .object else {
            try reader.parser.skipValue()
            reader.report("", "must be an object with a \"task_type\", got \(kind.name)")
            return .invalid(reader.errors)
        }
        try reader.parser.beginObject()
        var isFirst = true
        while let key = try reader.parser.nextKey(isFirst: &isFirst) { try readField(key) }
        takeDefaults()
        checkTogether()
        settleKey()
        return reader.errors.isEmpty ? .spec(spec) : .invalid(reader.errors)
    }

    private mutating func readField(_ key: String) throws(JSONError) {
        let pointer = pointer(to: key)
        guard let field = SubmissionField(key) else {
            try reader.parser.skipValue()
            return reader.reportUnknown(key, pointer, among: SubmissionField.allCases.flatMap(\.names))
        }
        if let earlier = met.first(where: { $0.field == field }) {
            try reader.parser.skipValue()
            return reader.report(
                pointer,
                earlier.name == key
                    ? "given twice" : "\"\(earlier.name)\" and \"\(key)\" are the same field: give one of them")
        }
        met.append((field, key))
        if isScheduled, !field.isOfSchedules {
            let kind = try reader.parser.peek()
            try reader.parser.skipValue()
            if kind != .null {
                reader.report(
                    pointer, "the task of a schedule cannot have it: each firing is a task of its own, at its time")
            }
            return
        }
        let start = reader.parser.position
        try readValue(of: field, pointer)
        values.append((field, start..<reader.parser.position))
    }

    private mutating func readValue(of field: SubmissionField, _ pointer: String) throws(JSONError) {
        switch field {
        case .taskType: try readTaskType(pointer)
        case .payload:
            let range = try reader.parser.skipValue()
            guard range.count <= Limits.payloadBytes else {
                return reader.report(pointer, "must be at most \(Limits.payloadBytes) bytes, got \(range.count)")
            }
            spec.payload = Array(reader.parser.bytes[range])
        case .priority: if let priority = try reader.priority(pointer) { spec.priority = priority }
        case .queue:
            guard let queue = try reader.string(pointer) else { return }
            guard NodeName.isValid(queue) else {
                return reader.report(pointer, "must match [a-z0-9][a-z0-9._-]{0,62}, got \(quoted(queue))")
            }
            spec.queue = queue
        case .maxRetries:
            if let retries = try reader.whole(pointer, in: 0...Limits.retries) {
                spec.retry.maxRetries = UInt16(retries)
            }
        case .retry: spec.retry = try reader.retry(pointer, spec.retry)
        case .timeout:
            let timeout = try reader.seconds(pointer, upTo: Limits.timeoutSeconds, allowsZero: false)
            if let timeout { spec.timeout = UInt32(timeout) }
        case .delay:
            if let delay = try reader.seconds(pointer, upTo: Limits.horizonSeconds) { spec.delay = delay }
        case .runAt: runAt = try reader.timestamp(pointer)
        case .expiresIn:
            let expiry = try reader.seconds(pointer, upTo: Limits.horizonSeconds, allowsZero: false)
            if let expiry { spec.expiry = expiry }
        case .expiresAt: expiresAt = try reader.timestamp(pointer)
        case .delivery:
            let word = try reader.word(pointer, of: TaskSpec.Delivery.allCases.map(\.name))
            if let delivery = TaskSpec.Delivery.allCases.first(where: { $0.name == word }) { spec.delivery = delivery }
        case .resultTTL:
            let ttl = try reader.seconds(pointer, upTo: Limits.horizonSeconds, allowsZero: false)
            if let ttl { spec.resultTTL = ttl }
        case .metadata: try readMetadata(pointer)
        case .dependsOn: try readDependsOn(pointer)
        case .onDependencyFailure: try readOnDependencyFailure(pointer)
        case .idempotencyKey: try keys.readKey(pointer, &reader)
        case .idempotencyWindow: try keys.readWindow(pointer, &reader)
        case .orderingKey: spec.orderingKey = try reader.key(pointer)
        case .fairnessKey:
            guard let key = try reader.string(pointer) else { return }
            guard (1...Limits.fairnessKeyBytes).contains(key.utf8.count) else {
                return reader.report(pointer, "must be 1...\(Limits.fairnessKeyBytes) bytes, got \(key.utf8.count)")
            }
            spec.fairnessKey = key
        case .callbackURL:
            spec.callbackURL = try reader.webAddress(pointer)
        }
    }

    private mutating func settleKey() {
        if let problem = keys.problem { return reader.report(problem.pointer, problem.detail) }
        spec.idempotency = keys.idempotency(of: Fingerprint.of(values, in: reader.parser.bytes))
    }

    private mutating func readTaskType(_ pointer: String) throws(JSONError) {
        guard let type = try reader.string(pointer) else { return }
        let hasControls = type.utf8.contains { $0 < 0x20 || $0 == 0x7F }
        guard (1...Limits.nameBytes).contains(type.utf8.count), !hasControls else {
            return reader.report(
                pointer, "must be 1...\(Limits.nameBytes) bytes without control characters, got \(quoted(type))")
        }
        guard !type.hasPrefix(TaskSpec.reservedTypes) else {
            return reader.report(
                pointer,
                "types that begin with \"\(TaskSpec.reservedTypes)\" are the cluster's own, got \(quoted(type))")
        }
        spec.type = type
    }

    private mutating func readMetadata(_ pointer: String) throws(JSONError) {
        guard try reader.next(is: .object, pointer) else { return }
        try reader.parser.beginObject()
        var isFirst = true
        var count = 0
        while let key = try reader.parser.nextKey(isFirst: &isFirst) {
            let entry = pointer + HTTPAPI.pointer(to: key)
            count += 1
            // Past the bound nothing is kept, so that a long object costs no more than its bytes.
            guard count <= Limits.metadataEntries else {
                try reader.parser.skipValue()
                if count == Limits.metadataEntries + 1 {
                    reader.report(pointer, "must have at most \(Limits.metadataEntries) entries")
                }
                continue
            }
            if try reader.parser.peek() == .null {
                try reader.parser.skipValue()
                reader.report(entry, "must be a string, got null")
                continue
            }
            guard let value = try reader.string(entry) else { continue }
            if !(1...Limits.metadataKeyBytes).contains(key.utf8.count) {
                reader.report(entry, "the key must be 1...\(Limits.metadataKeyBytes) bytes, got \(key.utf8.count)")
            } else if value.utf8.count > Limits.metadataValueBytes {
                reader.report(entry, "must be at most \(Limits.metadataValueBytes) bytes, got \(value.utf8.count)")
            } else if spec.metadata.contains(where: { $0.key == key }) {
                reader.report(entry, "given twice")
            } else {
                spec.metadata.append(TaskSpec.Label(key: key, value: value))
            }
        }
        spec.metadata.sort { $0.key < $1.key }
    }

    // MARK: Fields that depend on each other

    private func wasGiven(_ field: SubmissionField) -> Bool { met.contains { $0.field == field } }

    private mutating func takeDefaults() {
        guard let settings, !settings.queues.isEmpty else { return }
        let queue = settings.queue(spec.queue)
        if let retry = queue.retry, !wasGiven(.retry) {
            let retries = spec.retry.maxRetries
            spec.retry = retry
            spec.retry.maxRetries = retries
        }
        if let retries = queue.maxRetries, !wasGiven(.maxRetries) { spec.retry.maxRetries = retries }
        if let timeout = queue.timeout, !wasGiven(.timeout) { spec.timeout = timeout }
    }

    private mutating func checkTogether() {
        let typePointers = SubmissionField.taskType.names.map { "/" + $0 }
        if spec.type.isEmpty, !reader.errors.contains(where: { typePointers.contains($0.pointer) }) {
            reader.report("/task_type", "is required")
        }
        checkDependencies(policyGiven: wasGiven(.onDependencyFailure))
        if wasGiven(.delay), runAt != nil { reader.report("/run_at", "\"delay\" is given too: give one of them") }
        if wasGiven(.expiresIn), expiresAt != nil {
            reader.report("/expires_at", "\"expires_in\" is given too: give one of them")
        }
        let horizon = now.milliseconds + Int64(Limits.horizonSeconds) * 1000
        if let runAt {
            if runAt.milliseconds > horizon {
                reader.report("/run_at", "must be within \(Limits.horizonSeconds) seconds from now")
            } else {
                spec.delay = UInt64(max(0, runAt.milliseconds - now.milliseconds))
            }
        }
        if let expiresAt {
            if expiresAt <= now {
                reader.report("/expires_at", "must be in the future; it is \(now.rfc3339) now")
            } else if expiresAt.milliseconds > horizon {
                reader.report("/expires_at", "must be within \(Limits.horizonSeconds) seconds from now")
            } else {
                spec.expiry = UInt64(expiresAt.milliseconds - now.milliseconds)
            }
        }
        if let expiry = spec.expiry, expiry <= spec.delay {
            reader.report(expiresAt == nil ? "/expires_in" : "/expires_at", "it would expire before it may start")
        }
    }
}
