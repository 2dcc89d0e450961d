import APIModel
import Primitives
import TaskLedger

/// Reads the values of fields and collects what is wrong with them, so that a client learns all of it at once. A field
/// whose value is wrong, or null, reads as nil.
struct FieldReader {
    var parser: JSONPullParser
    /// At most `limit`.
    private(set) var errors: [ProblemDocument.Item] = []
    private let limit: Int

    init(_ parser: JSONPullParser, limit: Int) {
        self.parser = parser
        self.limit = limit
    }

    mutating func report(_ pointer: String, _ detail: @autoclosure () -> String) {
        guard errors.count < limit else { return }
        errors.append(ProblemDocument.Item(pointer: pointer, detail: detail()))
    }

    /// Past the limit the nearest name, which is costly, is not searched for.
    mutating func reportUnknown(_ key: String, _ pointer: String, among names: @autoclosure () -> [String]) {
        report(
            pointer,
            "unknown field \(quoted(key))"
                + (nearestName(to: key, among: names()).map { ", did you mean \"\($0)\"?" } ?? ""))
    }

    /// The members of one object, as far as they were met.
    struct Members {
        fileprivate let names: [String]
        /// Of the object.
        fileprivate let pointer: String
        fileprivate var isFirst = true
        fileprivate(set) var met: [String] = []

        init(of names: [String], at pointer: String = "") {
            self.names = names
            self.pointer = pointer
        }
    }

    /// The next member of an object that was begun, and where it stands; its value is to be read. Nil at the end. What has
    /// another name, or was met before, is reported and skipped.
    mutating func next(_ members: inout Members) throws(JSONError) -> (name: String, pointer: String)? {
        while let name = try parser.nextKey(isFirst: &members.isFirst) {
            let pointer = members.pointer + HTTPAPI.pointer(to: name)
            if members.met.contains(name) {
                try parser.skipValue()
                report(pointer, "given twice")
            } else if members.names.contains(name) {
                members.met.append(name)
                return (name, pointer)
            } else {
                try parser.skipValue()
                reportUnknown(name, pointer, among: members.names)
            }
        }
        return nil
    }

    /// Whether a value of `kind` comes next. If not, skips it, and reports it unless it is null.
    mutating func next(is kind: JSONPullParser.Kind, _ pointer: String, _ expected: String? = nil) throws(JSONError)
        -> Bool
    {
        let found = try parser.peek()
        guard found != kind else { return true }
        try parser.skipValue()
        if found != .null { report(pointer, "must be \(expected ?? kind.name), got \(found.name)") }
        return false
    }

    mutating func string(_ pointer: String, _ expected: String? = nil) throws(JSONError) -> String? {
        guard try next(is: .string, pointer, expected) else { return nil }
        return try parser.string()
    }

    /// A string of `words`.
    mutating func word(_ pointer: String, of words: [String]) throws(JSONError) -> String? {
        let list = words.map { "\"\($0)\"" }.joined(separator: ", ")
        guard let text = try string(pointer, "one of \(list)") else { return nil }
        guard words.contains(text) else {
            report(pointer, "must be one of \(list), got \(quoted(text))")
            return nil
        }
        return text
    }

    mutating func whole(_ pointer: String, in range: ClosedRange<Int>) throws(JSONError) -> Int? {
        guard try next(is: .number, pointer, "a whole number") else { return nil }
        let value = try parser.number()
        guard let whole = Int(exactly: value), range.contains(whole) else {
            report(pointer, "must be \(range.lowerBound)...\(range.upperBound), got \(shown(value))")
            return nil
        }
        return whole
    }

    /// A number in `range`.
    mutating func fraction(_ pointer: String, in range: ClosedRange<Double>) throws(JSONError) -> Double? {
        guard try next(is: .number, pointer) else { return nil }
        let value = try parser.number()
        guard range.contains(value) else {
            report(pointer, "must be \(shown(range.lowerBound))...\(shown(range.upperBound)), got \(shown(value))")
            return nil
        }
        return value
    }

    /// Seconds, as milliseconds rounded to the nearest.
    /// - Parameter allowsZero: false: at least a millisecond.
    mutating func seconds(_ pointer: String, upTo limit: Int, allowsZero: Bool = true) throws(JSONError) -> UInt64? {
        guard try next(is: .number, pointer, "a number of seconds") else { return nil }
        let value = try parser.number()
        // Compared as a double before it is converted: a number may be too large for any integer.
        guard value >= (allowsZero ? 0 : 0.001), value <= Double(limit) else {
            report(pointer, "must be \(allowsZero ? "0" : "0.001")...\(limit) seconds, got \(shown(value))")
            return nil
        }
        return UInt64((value * 1000).rounded())
    }

    /// An idempotency or ordering key.
    mutating func key(_ pointer: String) throws(JSONError) -> String? {
        guard let key = try string(pointer) else { return nil }
        guard (1...Limits.keyBytes).contains(key.utf8.count) else {
            report(pointer, "must be 1...\(Limits.keyBytes) bytes, got \(key.utf8.count)")
            return nil
        }
        guard !TaskSpec.isReserved(key: key) else {
            report(pointer, "must not begin with U+0000: such keys are the schedules' own")
            return nil
        }
        return key
    }

    /// A URL that can be asked, as it was sent.
    mutating func webAddress(_ pointer: String) throws(JSONError) -> String? {
        guard let text = try string(pointer, "a URL such as \"https://example.com/done\"") else { return nil }
        do throws(WebAddress.Invalid) {
            _ = try WebAddress(text)
            return text
        } catch {
            report(pointer, "\(error), got \(quoted(text))")
            return nil
        }
    }

    mutating func timestamp(_ pointer: String) throws(JSONError) -> Timestamp? {
        let expected = "a date and time of RFC 3339, such as \"2030-01-31T23:59:59Z\""
        guard let text = try string(pointer, expected) else { return nil }
        guard let timestamp = Timestamp(rfc3339: text) else {
            report(pointer, "must be \(expected), got \(quoted(text))")
            return nil
        }
        return timestamp
    }
}

/// `value` without a needless fraction.
private func shown(_ value: Double) -> String {
    if value.isInfinite { return "a number that is too large" }
    return Int(exactly: value).map(String.init) ?? String(value)
}

/// A step of a JSON pointer (RFC 6901), cut to what a message may repeat.
func pointer(to key: String) -> String {
    // Every field of every task passes here, and hardly one needs more.
    let isPlain = key.utf8.allSatisfy { $0 != UInt8(ascii: "~") && $0 != UInt8(ascii: "/") }
    if isPlain, key.utf8.count <= APILimits.quotedBytes { return "/" + key }
    var step = "/"
    for character in String(decoding: key.utf8.prefix(APILimits.quotedBytes), as: UTF8.self) {
        switch character {
        case "~": step += "~0"
        case "/": step += "~1"
        default: step.append(character)
        }
    }
    return step
}
