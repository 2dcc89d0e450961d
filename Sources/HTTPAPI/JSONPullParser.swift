import Primitives

/// Bytes that are not JSON.
struct JSONError: Error, Hashable {
    /// From the start of the parser's bytes.
    var offset: Int
    var reason: String
}

/// Reads JSON (RFC 8259) from bytes value by value, without a tree: what a caller skips is validated and handed back as a
/// range, so that payloads are kept as they were sent.
///
/// It accepts what Foundation's decoder accepts, except that it is stricter where the RFC wants or allows it: no comma
/// before the end, no byte order mark, UTF-8 only, and at most `maximumDepth` nested arrays and objects. Numbers are checked by grammar, not by magnitude. A
/// duplicate key is the caller's to refuse: in objects that it only skips both are kept.
struct JSONPullParser {
    enum Kind {
        case object
        case array
        case string
        case number
        case boolean
        case null

        /// With its article, for messages.
        var name: String {
            switch self {
            case .object: "an object"
            case .array: "an array"
            case .string: "a string"
            case .number: "a number"
            case .boolean: "a boolean"
            case .null: "null"
            }
        }
    }

    let bytes: [UInt8]
    private(set) var position: Int
    private let end: Int
    private let maximumDepth: Int
    private var depth = 0

    /// - Parameter range: what to read of `bytes`; all of them if nil. Offsets always count from the start of `bytes`.
    init(_ bytes: [UInt8], in range: Range<Int>? = nil, maximumDepth: Int = Limits.jsonDepth) {
        self.bytes = bytes
        position = range?.lowerBound ?? 0
        end = range?.upperBound ?? bytes.count
        self.maximumDepth = maximumDepth
    }

    // MARK: Values

    /// What comes next, without consuming it.
    mutating func peek() throws(JSONError) -> Kind {
        skipWhitespace()
        guard position < end else { throw failure("ends where a value should be") }
        switch bytes[position] {
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .boolean
        case UInt8(ascii: "n"): return .null
        default: throw failure("not a value")
        }
    }

    /// Validates the next value and returns where it is.
    @discardableResult
    mutating func skipValue() throws(JSONError) -> Range<Int> {
        let kind = try peek()
        let start = position
        switch kind {
        case .string: _ = try scanString()
        case .number: try scanNumber()
        case .null: try literal("null")
        case .boolean: try literal(bytes[position] == UInt8(ascii: "t") ? "true" : "false")
        case .object:
            try beginObject()
            var isFirst = true
            while try skipKey(isFirst: &isFirst) { try skipValue() }
        case .array:
            try beginArray()
            var isFirst = true
            while try nextElement(isFirst: &isFirst) { try skipValue() }
        }
        return start..<position
    }

    /// The next value, which `peek` has told is a string.
    mutating func string() throws(JSONError) -> String {
        let (range, hasEscapes) = try scanString()
        return hasEscapes ? unescaped(range) : String(decoding: bytes[range], as: UTF8.self)
    }

    /// The next value, which `peek` has told is a number; infinite if it is too large for a double.
    mutating func number() throws(JSONError) -> Double {
        let start = position
        try scanNumber()
        return Double(String(decoding: bytes[start..<position], as: UTF8.self)) ?? .infinity
    }

    /// Nothing but white space may be left.
    mutating func finish() throws(JSONError) {
        skipWhitespace()
        guard position == end else { throw failure("more bytes after the end of the value") }
    }

    // MARK: Objects and arrays

    mutating func beginObject() throws(JSONError) { try begin(UInt8(ascii: "{")) }
    mutating func beginArray() throws(JSONError) { try begin(UInt8(ascii: "[")) }

    private mutating func begin(_ byte: UInt8) throws(JSONError) {
        skipWhitespace()
        try expect(byte)
        depth += 1
        guard depth <= maximumDepth else { throw failure("nested deeper than \(maximumDepth) levels") }
    }

    /// The next key, and past its colon; nil, and past the brace, if there is none. `isFirst` starts as true.
    mutating func nextKey(isFirst: inout Bool) throws(JSONError) -> String? {
        guard try nextMember(isFirst: &isFirst, closing: UInt8(ascii: "}")) else { return nil }
        guard position < end, bytes[position] == UInt8(ascii: "\"") else { throw failure("expected a key in quotes") }
        let key = try string()
        skipWhitespace()
        try expect(UInt8(ascii: ":"))
        return key
    }

    private mutating func skipKey(isFirst: inout Bool) throws(JSONError) -> Bool {
        guard try nextMember(isFirst: &isFirst, closing: UInt8(ascii: "}")) else { return false }
        guard position < end, bytes[position] == UInt8(ascii: "\"") else { throw failure("expected a key in quotes") }
        _ = try scanString()
        skipWhitespace()
        try expect(UInt8(ascii: ":"))
        return true
    }

    /// Whether another element follows; past the bracket if not. `isFirst` starts as true.
    mutating func nextElement(isFirst: inout Bool) throws(JSONError) -> Bool {
        try nextMember(isFirst: &isFirst, closing: UInt8(ascii: "]"))
    }

    private mutating func nextMember(isFirst: inout Bool, closing: UInt8) throws(JSONError) -> Bool {
        skipWhitespace()
        guard position < end else {
            throw failure("ends inside \(closing == UInt8(ascii: "}") ? "an object" : "an array")")
        }
        if bytes[position] == closing {
            position += 1
            depth -= 1
            return false
        }
        if !isFirst {
            guard bytes[position] == UInt8(ascii: ",") else {
                throw failure("expected \",\" or \"\(Character(Unicode.Scalar(closing)))\"")
            }
            position += 1
            skipWhitespace()
            if position < end, bytes[position] == closing { throw failure("a comma before the end") }
        }
        isFirst = false
        return true
    }

    // MARK: Bytes

    func failure(_ reason: String) -> JSONError { JSONError(offset: position, reason: reason) }

    mutating func skipWhitespace() {
        while position < end {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    private mutating func expect(_ byte: UInt8) throws(JSONError) {
        guard position < end, bytes[position] == byte else {
            throw failure("expected \"\(Character(Unicode.Scalar(byte)))\"")
        }
        position += 1
    }

    private mutating func literal(_ text: StaticString) throws(JSONError) {
        let length = text.utf8CodeUnitCount
        guard end - position >= length else { throw failure("not a value") }
        for index in 0..<length where bytes[position + index] != text.utf8Start[index] { throw failure("not a value") }
        position += length
    }

    /// `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`
    private mutating func scanNumber() throws(JSONError) {
        if bytes[position] == UInt8(ascii: "-") { position += 1 }
        if position < end, bytes[position] == UInt8(ascii: "0") {
            position += 1
            if position < end, isDigit(bytes[position]) { throw failure("a number with a leading zero") }
        } else {
            try scanDigits()
        }
        if position < end, bytes[position] == UInt8(ascii: ".") {
            position += 1
            try scanDigits()
        }
        if position < end, bytes[position] | 0x20 == UInt8(ascii: "e") {
            position += 1
            if position < end, bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-") {
                position += 1
            }
            try scanDigits()
        }
    }

    private mutating func scanDigits() throws(JSONError) {
        let start = position
        while position < end, isDigit(bytes[position]) { position += 1 }
        guard position > start else { throw failure("expected a digit") }
    }

    private func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    /// Past the closing quote. The range is between the quotes.
    private mutating func scanString() throws(JSONError) -> (Range<Int>, hasEscapes: Bool) {
        position += 1
        let start = position
        var hasEscapes = false
        while position < end {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") {
                position += 1
                return (start..<position - 1, hasEscapes)
            } else if byte == UInt8(ascii: "\\") {
                hasEscapes = true
                try scanEscape()
            } else if byte >= 0x80 {
                try scanMultibyte(byte)
            } else if byte >= 0x20 {
                position += 1
            } else {
                throw failure("a control character in a string")
            }
        }
        throw failure("ends inside a string")
    }

    private mutating func scanEscape() throws(JSONError) {
        guard position + 1 < end else { throw failure("ends inside a string") }
        switch bytes[position + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            position += 2
        case UInt8(ascii: "u"):
            guard let unit = codeUnit(at: position) else { throw failure("\\u without four hexadecimal digits") }
            if unit & 0xF800 == 0xD800 {
                guard unit < 0xDC00, let low = codeUnit(at: position + 6), low & 0xFC00 == 0xDC00 else {
                    throw failure("half of a surrogate pair")
                }
                position += 6
            }
            position += 6
        default: throw failure("an unknown escape")
        }
    }

    /// The value of `\uXXXX`.
    private func codeUnit(at index: Int) -> UInt32? {
        guard index + 6 <= end, bytes[index] == UInt8(ascii: "\\"), bytes[index + 1] == UInt8(ascii: "u") else {
            return nil
        }
        var value: UInt32 = 0
        for byte in bytes[index + 2..<index + 6] {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt32(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt32(byte - UInt8(ascii: "a") + 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | UInt32(byte - UInt8(ascii: "A") + 10)
            default: return nil
            }
        }
        return value
    }

    /// One character of two to four bytes, as table 3-7 of the Unicode standard allows it.
    private mutating func scanMultibyte(_ lead: UInt8) throws(JSONError) {
        let second: ClosedRange<UInt8>
        let length: Int
        switch lead {
        case 0xC2...0xDF: (second, length) = (0x80...0xBF, 2)
        case 0xE0: (second, length) = (0xA0...0xBF, 3)
        case 0xE1...0xEC, 0xEE, 0xEF: (second, length) = (0x80...0xBF, 3)
        case 0xED: (second, length) = (0x80...0x9F, 3)
        case 0xF0: (second, length) = (0x90...0xBF, 4)
        case 0xF1...0xF3: (second, length) = (0x80...0xBF, 4)
        case 0xF4: (second, length) = (0x80...0x8F, 4)
        default: throw failure("not UTF-8")
        }
        guard position + length <= end, second.contains(bytes[position + 1]) else { throw failure("not UTF-8") }
        for index in 2..<max(length, 2) where bytes[position + index] & 0xC0 != 0x80 { throw failure("not UTF-8") }
        position += length
    }

    /// The text between the quotes of a string that was scanned.
    private func unescaped(_ range: Range<Int>) -> String {
        var text: [UInt8] = []
        text.reserveCapacity(range.count)
        var index = range.lowerBound
        while index < range.upperBound {
            guard bytes[index] == UInt8(ascii: "\\") else {
                text.append(bytes[index])
                index += 1
                continue
            }
            if var scalar = codeUnit(at: index) {
                index += 6
                if scalar & 0xFC00 == 0xD800, let low = codeUnit(at: index) {
                    scalar = 0x10000 + (scalar & 0x3FF) << 10 + (low & 0x3FF)
                    index += 6
                }
                if let scalar = Unicode.Scalar(scalar) { text.append(contentsOf: UTF8.encode(scalar) ?? .init()) }
            } else {
                text.append(unescapedByte(bytes[index + 1]))
                index += 2
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    private func unescapedByte(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "f"): 0x0C
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "r"): 0x0D
        case UInt8(ascii: "t"): 0x09
        default: byte
        }
    }
}
