public import Primitives

extension String: JSONWritable {
    public func write(to json: inout JSONWriter) { json.string(self) }
}

extension Bool: JSONWritable {
    public func write(to json: inout JSONWriter) { json.raw((self ? "true" : "false").utf8) }
}

extension JSONWritable where Self: BinaryInteger {
    public func write(to json: inout JSONWriter) { json.raw(String(self).utf8) }
}

extension Int: JSONWritable {}
extension Int64: JSONWritable {}
extension UInt32: JSONWritable {}
extension UInt64: JSONWritable {}

extension Double: JSONWritable {
    /// Whole numbers without a fraction; what JSON cannot say (infinity, NaN) as null.
    public func write(to json: inout JSONWriter) {
        guard isFinite else { return json.null() }
        if let whole = Int64(exactly: self) { return whole.write(to: &json) }
        json.raw(description.utf8)
    }
}

extension Optional: JSONWritable where Wrapped: JSONWritable {
    public func write(to json: inout JSONWriter) {
        if let self { self.write(to: &json) } else { json.null() }
    }
}

extension Array: JSONWritable where Element: JSONWritable {
    public func write(to json: inout JSONWriter) { json.array(self) }
}

extension TaskID: JSONWritable, Decodable {
    public func write(to json: inout JSONWriter) {
        // By hand: a batch answers with thousands of them.
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 36) { text in
            var position = 0
            for digit in UInt64(0)..<32 {
                if digit == 8 || digit == 12 || digit == 16 || digit == 20 {
                    text[position] = UInt8(ascii: "-")
                    position += 1
                }
                let half = digit < 16 ? high : low
                text[position] = hexadecimalDigit(UInt8(truncatingIfNeeded: half >> (60 - 4 * (digit & 15)) & 0xF))
                position += 1
            }
            json.plain(UnsafeBufferPointer(text))
        }
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let id = TaskID(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "\"\(text)\" is not a UUID")
        }
        self = id
    }
}

extension Timestamp: JSONWritable, Decodable {
    public func write(to json: inout JSONWriter) { json.plain(rfc3339.utf8) }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let timestamp = Timestamp(rfc3339: text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "\"\(text)\" is not RFC 3339")
        }
        self = timestamp
    }
}
