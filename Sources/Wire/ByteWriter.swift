public import Primitives

/// Appends values in network byte order: fixed-width integers, LEB128 for counts and lengths, length-prefixed bytes.
public struct ByteWriter: Sendable {
    public private(set) var bytes: [UInt8] = []
    /// The instant relative to which ages are written.
    public let now: Instant

    public init(now: Instant = .zero, reserving capacity: Int = 0) {
        self.now = now
        if capacity > 0 { bytes.reserveCapacity(capacity) }
    }

    private mutating func fixed<Value: FixedWidthInteger>(_ value: Value) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    public mutating func uint8(_ value: UInt8) { bytes.append(value) }
    public mutating func uint16(_ value: UInt16) { fixed(value) }
    public mutating func uint32(_ value: UInt32) { fixed(value) }
    public mutating func uint64(_ value: UInt64) { fixed(value) }
    public mutating func int64(_ value: Int64) { fixed(UInt64(bitPattern: value)) }
    public mutating func bool(_ value: Bool) { bytes.append(value ? 1 : 0) }

    public mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    public mutating func byteString(_ value: some Collection<UInt8>) {
        varint(UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    public mutating func string(_ value: String) { byteString(value.utf8) }

    /// A text for people: what is beyond `limit` bytes of UTF-8 is cut off, between two characters.
    mutating func text(_ value: String, upTo limit: Int) {
        var kept = value
        while kept.utf8.count > limit { kept.removeLast() }
        string(kept)
    }

    public mutating func optional<Value>(_ value: Value?, _ write: (inout ByteWriter, Value) -> Void) {
        bool(value != nil)
        if let value { write(&self, value) }
    }

    public mutating func array<Element>(
        _ values: some Collection<Element>, _ write: (inout ByteWriter, Element) -> Void
    ) {
        varint(UInt64(values.count))
        for value in values { write(&self, value) }
    }

    /// As an age: clocks of different processes are not comparable.
    public mutating func instant(_ value: Instant) { int64((now - value).nanoseconds) }

    public mutating func duration(_ value: Duration) { int64(value.nanoseconds) }

    /// Overwrites four bytes that were written before, such as a length that is known only now.
    public mutating func patch(uint32 value: UInt32, at offset: Int) {
        withUnsafeBytes(of: value.bigEndian) { source in
            for (index, byte) in source.enumerated() { bytes[offset + index] = byte }
        }
    }
}
