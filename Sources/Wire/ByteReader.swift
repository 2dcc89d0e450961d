public import Primitives

/// Why bytes from a peer, or from a disk, are refused.
public enum WireError: Error, Equatable, Sendable {
    /// The bytes end inside a value.
    case truncated
    /// A value is none of those that its field may have.
    case invalid(String)
    /// A count or a length is over its limit.
    case tooLarge(String)
    /// Bytes remain after the last field.
    case trailingBytes(Int)
}

/// Reads what `ByteWriter` wrote. Input is untrusted: every read is checked and throws; nothing traps, and nothing is
/// allocated that the input does not pay for with bytes of its own.
public struct ByteReader: Sendable {
    private let bytes: ArraySlice<UInt8>
    private var position: Int
    /// The instant to which ages are rebased.
    public let now: Instant

    public init(_ bytes: ArraySlice<UInt8>, now: Instant) {
        self.bytes = bytes
        self.position = bytes.startIndex
        self.now = now
    }

    public init(_ bytes: [UInt8], now: Instant = .zero) { self.init(bytes[...], now: now) }

    public var remaining: Int { bytes.endIndex - position }

    public func finish() throws(WireError) {
        guard remaining == 0 else { throw .trailingBytes(remaining) }
    }

    private mutating func fixed<Value: FixedWidthInteger>(_: Value.Type) throws(WireError) -> Value {
        let size = MemoryLayout<Value>.size
        guard remaining >= size else { throw .truncated }
        var value: Value = 0
        for index in position..<position + size { value = value << 8 | Value(truncatingIfNeeded: bytes[index]) }
        position += size
        return value
    }

    public mutating func uint8() throws(WireError) -> UInt8 {
        guard position < bytes.endIndex else { throw .truncated }
        defer { position += 1 }
        return bytes[position]
    }
    public mutating func uint16() throws(WireError) -> UInt16 { try fixed(UInt16.self) }
    public mutating func uint32() throws(WireError) -> UInt32 { try fixed(UInt32.self) }
    public mutating func uint64() throws(WireError) -> UInt64 { try fixed(UInt64.self) }
    public mutating func int64() throws(WireError) -> Int64 { Int64(bitPattern: try fixed(UInt64.self)) }

    public mutating func bool() throws(WireError) -> Bool {
        switch try uint8() {
        case 0: false
        case 1: true
        default: throw .invalid("bool")
        }
    }

    /// LEB128, at most 10 bytes, shortest form only.
    public mutating func varint() throws(WireError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = try uint8()
            guard shift < 63 || byte <= 1 else { throw .invalid("varint") }
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 {
                guard byte != 0 || shift == 0 else { throw .invalid("varint") }
                return value
            }
            shift += 7
            guard shift <= 63 else { throw .invalid("varint") }
        }
    }

    /// A length or a count of at most `limit`, each unit of which takes at least one byte of the rest.
    public mutating func count(upTo limit: Int, _ field: String) throws(WireError) -> Int {
        let value = try varint()
        guard value <= UInt64(limit) else { throw .tooLarge(field) }
        guard value <= UInt64(remaining) else { throw .truncated }
        return Int(value)
    }

    public mutating func byteString(upTo limit: Int, _ field: String) throws(WireError) -> [UInt8] {
        let length = try count(upTo: limit, field)
        defer { position += length }
        return Array(bytes[position..<position + length])
    }

    /// UTF-8; invalid sequences are refused.
    public mutating func string(upTo limit: Int, _ field: String) throws(WireError) -> String {
        let length = try count(upTo: limit, field)
        defer { position += length }
        guard let text = String(validating: bytes[position..<position + length], as: UTF8.self) else {
            throw .invalid(field)
        }
        return text
    }

    public mutating func optional<Value>(
        _ read: (inout ByteReader) throws(WireError) -> Value
    ) throws(WireError) -> Value? {
        try bool() ? try read(&self) : nil
    }

    public mutating func array<Element>(
        upTo limit: Int, _ field: String, _ read: (inout ByteReader) throws(WireError) -> Element
    ) throws(WireError) -> [Element] {
        let count = try count(upTo: limit, field)
        var elements: [Element] = []
        for _ in 0..<count { elements.append(try read(&self)) }
        return elements
    }

    /// An age, rebased: the instant on this process's clock that lies as far back as the sender said.
    public mutating func instant() throws(WireError) -> Instant { now - .nanoseconds(try int64()) }

    public mutating func duration() throws(WireError) -> Duration { .nanoseconds(try int64()) }
}
