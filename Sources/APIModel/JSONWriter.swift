/// What can be written as JSON. The answers of the API are written by hand, not by `Encodable`: their members keep the
/// order in which they are written here, payloads and results are spliced byte for byte, and submitting costs a third less.
public protocol JSONWritable {
    func write(to json: inout JSONWriter)
}

/// Appends JSON to a buffer.
public struct JSONWriter: Sendable {
    public private(set) var bytes: [UInt8]

    public init(reserving capacity: Int = 512) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    /// `value` as a document of its own.
    public static func bytes(of value: some JSONWritable, reserving capacity: Int = 512) -> [UInt8] {
        var json = JSONWriter(reserving: capacity)
        value.write(to: &json)
        return json.bytes
    }

    /// An object whose members `body` puts, in the order in which it puts them.
    public mutating func object<Key: CodingKey>(_ keys: Key.Type, _ body: (inout JSONObjectWriter<Key>) -> Void) {
        bytes.append(UInt8(ascii: "{"))
        var object = JSONObjectWriter<Key>(json: JSONWriter(reserving: 0))
        // Swapped, so that the buffer always has one owner and is never copied.
        swap(&self, &object.json)
        body(&object)
        swap(&self, &object.json)
        bytes.append(UInt8(ascii: "}"))
    }

    /// An object with keys that are data, in the order of `members`.
    public mutating func object(_ members: some Sequence<(key: String, value: some JSONWritable)>) {
        bytes.append(UInt8(ascii: "{"))
        var isFirst = true
        for member in members {
            if !isFirst { bytes.append(UInt8(ascii: ",")) }
            isFirst = false
            string(member.key)
            bytes.append(UInt8(ascii: ":"))
            member.value.write(to: &self)
        }
        bytes.append(UInt8(ascii: "}"))
    }

    public mutating func array(_ elements: some Sequence<some JSONWritable>) {
        bytes.append(UInt8(ascii: "["))
        var isFirst = true
        for element in elements {
            if !isFirst { bytes.append(UInt8(ascii: ",")) }
            isFirst = false
            element.write(to: &self)
        }
        bytes.append(UInt8(ascii: "]"))
    }

    public mutating func null() { bytes.append(contentsOf: "null".utf8) }

    /// JSON that was validated before.
    public mutating func raw(_ json: some Collection<UInt8>) { bytes.append(contentsOf: json) }

    /// ASCII that needs no escape, in quotes.
    mutating func plain(_ text: some Collection<UInt8>) {
        bytes.append(UInt8(ascii: "\""))
        bytes.append(contentsOf: text)
        bytes.append(UInt8(ascii: "\""))
    }

    public mutating func string(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { utf8 in
            var start = 0
            for (index, byte) in utf8.enumerated() {
                guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
                bytes.append(contentsOf: utf8[start..<index])
                start = index + 1
                escape(byte)
            }
            bytes.append(contentsOf: utf8[start...])
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func escape(_ byte: UInt8) {
        bytes.append(UInt8(ascii: "\\"))
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(byte)
        case 0x08: bytes.append(UInt8(ascii: "b"))
        case 0x09: bytes.append(UInt8(ascii: "t"))
        case 0x0A: bytes.append(UInt8(ascii: "n"))
        case 0x0C: bytes.append(UInt8(ascii: "f"))
        case 0x0D: bytes.append(UInt8(ascii: "r"))
        default:
            bytes.append(contentsOf: "u00".utf8)
            bytes.append(hexadecimalDigit(byte >> 4))
            bytes.append(hexadecimalDigit(byte & 0xF))
        }
    }
}

/// The members of one object, keyed as its `Decodable` side reads them.
public struct JSONObjectWriter<Key: CodingKey> {
    fileprivate var json: JSONWriter
    private var isFirst = true

    fileprivate init(json: JSONWriter) { self.json = json }

    public mutating func put(_ key: Key, _ value: some JSONWritable) {
        begin(key)
        value.write(to: &json)
    }

    public mutating func put(_ key: Key, _ write: (inout JSONWriter) -> Void) {
        begin(key)
        write(&json)
    }

    private mutating func begin(_ key: Key) {
        if !isFirst { json.raw(",".utf8) }
        isFirst = false
        json.string(key.stringValue)
        json.raw(":".utf8)
    }
}

/// The lower-case digit of a value below 16.
func hexadecimalDigit(_ nibble: UInt8) -> UInt8 {
    nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10
}
