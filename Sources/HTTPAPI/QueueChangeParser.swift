import APIModel
import Primitives
import Views

/// Reads the body of a PATCH of a queue: the settings to change, at least one; null takes a setting back.
struct QueueChangeParser {
    static let names = [
        "paused", "max_length", "max_bytes", "max_retries", "retry", "timeout", "weight", "rate_limit", "concurrency",
    ]

    private var reader: FieldReader
    private var fields: [QueueField] = []

    static func parse(_ body: [UInt8]) throws(Problem) -> [QueueField] {
        var parser = QueueChangeParser(reader: FieldReader(JSONPullParser(body), limit: APILimits.reportedErrors))
        do {
            try parser.read()
            try parser.reader.parser.finish()
        } catch {
            throw Problem.malformed(error)
        }
        guard parser.reader.errors.isEmpty else { throw Problem.invalid(parser.reader.errors, in: "settings") }
        return parser.fields
    }

    private mutating func read() throws(JSONError) {
        let list = Self.names.joined(separator: ", ")
        guard try reader.next(isObjectNamed: "an object with some of \(list)") else { return }
        try reader.parser.beginObject()
        var members = FieldReader.Members(of: Self.names)
        while let (key, place) = try reader.next(&members) {
            let isReset = try reader.parser.peek() == .null
            if isReset { try reader.parser.skipValue() }
            if let field = isReset ? Self.reset(key) : try value(of: key, place) { fields.append(field) }
        }
        if members.met.isEmpty, reader.errors.isEmpty { reader.report("", "nothing to change: give some of \(list)") }
    }

    private static func reset(_ key: String) -> QueueField? {
        switch key {
        case "paused": .isPaused(false)
        case "max_length": .maxLength(nil)
        case "max_bytes": .maxBytes(nil)
        case "max_retries": .maxRetries(nil)
        case "retry": .retry(nil)
        case "timeout": .timeout(nil)
        case "weight": .weight(nil)
        case "rate_limit": .rate(nil)
        case "concurrency": .concurrency(nil)
        default: nil
        }
    }

    private mutating func value(of key: String, _ place: String) throws(JSONError) -> QueueField? {
        switch key {
        case "paused": try reader.bool(place).map { .isPaused($0) }
        case "max_length": try reader.whole(place, in: 0...Int(UInt32.max)).map { .maxLength(UInt32($0)) }
        case "max_bytes": try reader.whole(place, in: 0...Int(Limits.queueBytes)).map { .maxBytes(UInt64($0)) }
        case "max_retries": try reader.whole(place, in: 0...Limits.retries).map { .maxRetries(UInt16($0)) }
        case "retry":
            try reader.parser.peek() == .object
                ? .retry(try reader.retry(place, RetryPolicy(maxRetries: 0))) : try refuse(place)
        case "timeout":
            try reader.seconds(place, upTo: Limits.timeoutSeconds, allowsZero: false).map { .timeout(UInt32($0)) }
        case "weight": try reader.whole(place, in: 1...Int(Limits.queueWeight)).map { .weight(UInt16($0)) }
        case "rate_limit":
            try reader.fraction(place, in: 0.001...Double(Limits.queueRate / 1000)).map {
                .rate(UInt32(($0 * 1000).rounded()))
            }
        case "concurrency": try reader.whole(place, in: 1...Int(UInt32.max)).map { .concurrency(UInt32($0)) }
        default: nil
        }
    }

    private mutating func refuse(_ place: String) throws(JSONError) -> QueueField? {
        _ = try reader.next(is: .object, place)
        return nil
    }
}

extension FieldReader {
    mutating func bool(_ pointer: String) throws(JSONError) -> Bool? {
        guard try next(is: .boolean, pointer, "true or false") else { return nil }
        let range = try parser.skipValue()
        return parser.bytes[range.lowerBound] == UInt8(ascii: "t")
    }

    /// An object with some of `backoff`, `base`, `max` and `jitter`; the others as in `policy`.
    mutating func retry(_ pointer: String, _ policy: RetryPolicy) throws(JSONError) -> RetryPolicy {
        var policy = policy
        guard try next(is: .object, pointer) else { return policy }
        try parser.beginObject()
        var members = Members(of: ["backoff", "base", "max", "jitter"], at: pointer)
        while let (key, pointer) = try next(&members) {
            switch key {
            case "backoff":
                let word = try word(pointer, of: RetryPolicy.Backoff.allCases.map(\.name))
                if let backoff = RetryPolicy.Backoff.allCases.first(where: { $0.name == word }) {
                    policy.backoff = backoff
                }
            case "base":
                if let base = try seconds(pointer, upTo: APILimits.retryRestSeconds) { policy.base = UInt32(base) }
            case "max":
                let maximum = try seconds(pointer, upTo: APILimits.retryRestSeconds)
                if let maximum { policy.maximum = UInt32(maximum) }
            default:
                if let jitter = try fraction(pointer, in: 0...1) { policy.jitter = UInt16((jitter * 1000).rounded()) }
            }
        }
        return policy
    }
}
