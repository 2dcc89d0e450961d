import Primitives
import TaskExecution

/// Reads a JSON document (RFC 8259) of UTF-8. Strict: no comments, no trailing commas, no bytes after the document, no
/// name twice in one object, no lone surrogates, no number that a double cannot hold. At most `Limits.jsonDepth` deep.
struct JSONParser {
    private let bytes: [UInt8]
    private var position = 0

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    static func parse(_ bytes: [UInt8]) throws(HandlerError) -> JSONValue {
        var parser = JSONParser(bytes)
        let value = try parser.value(depth: 0)
        parser.skipSpace()
        guard parser.position == bytes.count else { throw parser.failure("something follows the document") }
        return value
    }

    /// The members of a document that is an object, as they are spelled.
    static func members(of bytes: [UInt8]) throws(HandlerError) -> [String: ArraySlice<UInt8>] {
        var parser = JSONParser(bytes)
        var members: [String: ArraySlice<UInt8>] = [:]
        parser.skipSpace()
        guard parser.take("{") else { throw parser.failure("expected an object") }
        parser.skipSpace()
        if parser.take("}") { return members }
        while true {
            parser.skipSpace()
            guard parser.next == UInt8(ascii: "\"") else { throw parser.failure("expected a member's name") }
            let name = try parser.string()
            parser.skipSpace()
            guard parser.take(":") else { throw parser.failure("expected :") }
            parser.skipSpace()
            let start = parser.position
            _ = try parser.value(depth: 1)
            members[name] = bytes[start..<parser.position]
            parser.skipSpace()
            if parser.take("}") { return members }
            guard parser.take(",") else { throw parser.failure("expected , or }") }
        }
    }

    private func failure(_ what: String) -> HandlerError {
        .invalidPayload("not valid JSON: \(what) (at byte \(position))")
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    /// Whether `byte` came next; if so it is consumed.
    private mutating func take(_ byte: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: byte) else { return false }
        position += 1
        return true
    }

    private mutating func value(depth: Int) throws(HandlerError) -> JSONValue {
        guard depth < Limits.jsonDepth else { throw failure("nested deeper than \(Limits.jsonDepth)") }
        skipSpace()
        switch next {
        case UInt8(ascii: "{"): return .object(try members(depth: depth))
        case UInt8(ascii: "["): return .array(try elements(depth: depth))
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .boolean(true))
        case UInt8(ascii: "f"): return try word("false", .boolean(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case nil: throw failure("it ends inside a value")
        case let byte? where byte == UInt8(ascii: "-") || (0x30...0x39).contains(byte): return try number()
        case .some: throw failure("expected a value")
        }
    }

    private mutating func word(_ text: StaticString, _ value: JSONValue) throws(HandlerError) -> JSONValue {
        let length = text.utf8CodeUnitCount
        let matches = text.withUTF8Buffer { bytes[position...].prefix(length).elementsEqual($0) }
        guard matches else { throw failure("expected a value") }
        position += length
        return value
    }

    private mutating func elements(depth: Int) throws(HandlerError) -> [JSONValue] {
        position += 1
        var elements: [JSONValue] = []
        skipSpace()
        if take("]") { return elements }
        while true {
            elements.append(try value(depth: depth + 1))
            skipSpace()
            if take("]") { return elements }
            guard take(",") else { throw failure("expected , or ]") }
        }
    }

    private mutating func members(depth: Int) throws(HandlerError) -> [JSONValue.Member] {
        position += 1
        var members: [JSONValue.Member] = []
        var names: Set<String> = []
        skipSpace()
        if take("}") { return members }
        while true {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw failure("expected a member's name") }
            let name = try string()
            guard names.insert(name).inserted else { throw failure("the name \"\(name)\" stands twice in one object") }
            skipSpace()
            guard take(":") else { throw failure("expected :") }
            members.append(JSONValue.Member(name, try value(depth: depth + 1)))
            skipSpace()
            if take("}") { return members }
            guard take(",") else { throw failure("expected , or }") }
        }
    }

    private mutating func number() throws(HandlerError) -> JSONValue {
        let start = position
        var isInteger = true
        _ = take("-")
        if !take("0") { try digits() }
        if take(".") {
            isInteger = false
            try digits()
        }
        if take("e") || take("E") {
            isInteger = false
            if !take("+") { _ = take("-") }
            try digits()
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isInteger, let value = Int64(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else { throw failure("the number \(text) is out of range") }
        return .number(value)
    }

    private mutating func digits() throws(HandlerError) {
        let start = position
        while let byte = next, (0x30...0x39).contains(byte) { position += 1 }
        guard position > start else { throw failure("expected a digit") }
    }

    private mutating func string() throws(HandlerError) -> String {
        position += 1
        var decoded: [UInt8] = []
        while true {
            let start = position
            while let byte = next, byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
                position += 1
            }
            decoded += bytes[start..<position]
            if take("\"") {
                guard let text = String(validating: decoded, as: UTF8.self) else { throw failure("not UTF-8") }
                return text
            }
            guard take("\\") else {
                throw failure(next == nil ? "it ends inside a string" : "a control character inside a string")
            }
            try escape(into: &decoded)
        }
    }

    private mutating func escape(into decoded: inout [UInt8]) throws(HandlerError) {
        guard let byte = next else { throw failure("it ends inside a string") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): decoded.append(byte)
        case UInt8(ascii: "b"): decoded.append(0x08)
        case UInt8(ascii: "f"): decoded.append(0x0C)
        case UInt8(ascii: "n"): decoded.append(0x0A)
        case UInt8(ascii: "r"): decoded.append(0x0D)
        case UInt8(ascii: "t"): decoded.append(0x09)
        case UInt8(ascii: "u"):
            var code = UInt32(try codeUnit())
            if (0xD800...0xDBFF).contains(code), take("\\"), take("u") {
                let low = UInt32(try codeUnit())
                guard (0xDC00...0xDFFF).contains(low) else { throw failure("a lone surrogate") }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw failure("a lone surrogate") }
            decoded += String(scalar).utf8
        default: throw failure("unknown escape")
        }
    }

    private mutating func codeUnit() throws(HandlerError) -> UInt16 {
        var value: UInt16 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw failure("expected four hexadecimal digits")
            }
            value = value << 4 | UInt16(digit)
            position += 1
        }
        return value
    }
}
