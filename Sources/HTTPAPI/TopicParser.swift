import APIModel
import Primitives
import Service
import TaskLedger
import Views

/// Reads subscriptions, and messages that are published.
///
/// The task of a subscription is kept as its client sent it, and read again for every message: delays count from then, and
/// the queue's settings of that time hold.
enum TopicParser {
    /// What a task cannot have that is one of many, of later.
    private static let refused: [String: String] = [
        "payload": "is the message's", "data": "is the message's", "run_at": "give delay: it counts from the message",
        "expires_at": "give expires_in: it counts from the message",
        "idempotency_key": "belongs to the message", "idempotency_window": "belongs to the message",
        "ordering_key": "is not possible: the tasks of a message are accepted together",
        "depends_on": "is not possible", "on_dependency_failure": "is not possible",
    ]

    static let topicRule =
        "must be words of letters, digits, _ and - with dots between them, \(Limits.topicBytes) bytes at most"
    static let patternRule = topicRule + "; * stands for one word, # for any number"

    // MARK: Subscriptions

    /// - Returns: also its task, as it would be of a message of now.
    static func subscription(
        _ name: String, _ body: [UInt8], now: Timestamp
    ) throws(Problem) -> (subscription: Subscription, task: TaskSpec) {
        var reader = FieldReader(JSONPullParser(body), limit: APILimits.reportedErrors)
        var pattern: TopicPattern?
        var task: [UInt8]?
        var spec: TaskSpec?
        do throws(JSONError) {
            try members(&reader, of: ["topic", "task"]) { (reader, key, pointer) throws(JSONError) in
                if key == "topic" {
                    guard let text = try reader.string(pointer) else { return }
                    pattern = TopicPattern(text)
                    if pattern == nil { reader.report(pointer, "\(patternRule), got \(quoted(text))") }
                } else if try reader.next(is: .object, pointer, "an object with a \"task_type\"") {
                    let range = try reader.parser.skipValue()
                    task = Array(reader.parser.bytes[range])
                }
            }
            if let task { spec = try check(task, now, &reader) }
            try reader.parser.finish()
        } catch {
            throw Problem.malformed(error)
        }
        if reader.errors.isEmpty {
            if pattern == nil { reader.report("/topic", "is required") }
            if task == nil { reader.report("/task", "is required") }
        }
        guard reader.errors.isEmpty, let pattern, let task, let spec else {
            throw Problem.invalid(reader.errors, in: "subscription", effect: "nothing was changed")
        }
        return (Subscription(name: name, pattern: pattern, task: task), spec)
    }

    /// Nil: something is wrong with it, and was reported.
    private static func check(
        _ task: [UInt8], _ now: Timestamp, _ reader: inout FieldReader
    ) throws(JSONError) -> TaskSpec? {
        guard task.count <= Limits.subscribedTaskBytes else {
            reader.report("/task", "must be at most \(Limits.subscribedTaskBytes) bytes, got \(task.count)")
            return nil
        }
        var keys = JSONPullParser(task)
        try keys.beginObject()
        var isFirst = true
        while let key = try keys.nextKey(isFirst: &isFirst) {
            try keys.skipValue()
            if let reason = refused[key] { reader.report("/task" + pointer(to: key), reason) }
        }
        var parser = JSONPullParser(task)
        switch try SubmissionParser.parse(&parser, now: now) {
        case .spec(let spec):
            guard spec.metadata.count + 2 > Limits.metadataEntries else { return spec }
            reader.report(
                "/task/metadata",
                "must have at most \(Limits.metadataEntries - 2) entries: the topic and the subscription come to it")
        case .invalid(let items): for item in items { reader.report("/task" + item.pointer, item.detail) }
        }
        return nil
    }

    // MARK: Messages

    /// - Parameter key: the header `Idempotency-Key`.
    static func message(_ topic: String, _ body: [UInt8], key header: String?) throws(Problem) -> TopicMessage {
        var reader = FieldReader(JSONPullParser(body), limit: APILimits.reportedErrors)
        var message = TopicMessage(topic: topic)
        var keys = KeyFields(header: header)
        var hasPayload = false
        do throws(JSONError) {
            let names = ["payload", "data", "priority", "idempotency_key", "idempotency_window"]
            try members(&reader, of: names) { (reader, name, pointer) throws(JSONError) in
                switch name {
                case "priority": message.priority = try reader.priority(pointer)
                case "idempotency_key": try keys.readKey(pointer, &reader)
                case "idempotency_window": try keys.readWindow(pointer, &reader)
                default:
                    let range = try reader.parser.skipValue()
                    if hasPayload {
                        reader.report(pointer, "\"payload\" and \"data\" are the same field: give one of them")
                    }
                    hasPayload = true
                    guard range.count <= Limits.payloadBytes else {
                        return reader.report(
                            pointer, "must be at most \(Limits.payloadBytes) bytes, got \(range.count)")
                    }
                    message.payload = Array(reader.parser.bytes[range])
                }
            }
            try reader.parser.finish()
        } catch {
            throw Problem.malformed(error)
        }
        if let problem = keys.problem { reader.report(problem.pointer, problem.detail) }
        guard reader.errors.isEmpty else {
            throw Problem.invalid(reader.errors, in: "message", effect: "nothing was published")
        }
        message.idempotency = keys.idempotency(of: Fingerprint.of(Array(topic.utf8) + [0] + body))
        return message
    }

    /// The task of a subscription, for a message of now; nil: another version has taken it, and this one does not.
    static func task(of subscription: Subscription, now: Timestamp, settings: ClusterSettings) -> TaskSpec? {
        var parser = JSONPullParser(subscription.task)
        guard case .spec(let spec)? = try? SubmissionParser.parse(&parser, now: now, settings: settings) else {
            return nil
        }
        return spec
    }

    /// Each member of the body, which is an object.
    private static func members(
        _ reader: inout FieldReader, of names: [String],
        _ read: (inout FieldReader, String, String) throws(JSONError) -> Void
    ) throws(JSONError) {
        guard try reader.next(isObjectNamed: "an object with some of \(names.joined(separator: ", "))") else { return }
        try reader.parser.beginObject()
        var members = FieldReader.Members(of: names)
        while let (key, place) = try reader.next(&members) { try read(&reader, key, place) }
    }
}
