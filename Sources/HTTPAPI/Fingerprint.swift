import Crypto
import TaskLedger

/// What tells one request from another under the same idempotency key: the values of its fields, byte for byte as they
/// were sent, whatever the order of the fields and whichever of its names each has; not the key itself.
enum Fingerprint {
    static func of(_ values: [(field: SubmissionField, range: Range<Int>)], in bytes: [UInt8]) -> BodyDigest {
        var hash = SHA256()
        for field in SubmissionField.allCases where field != .idempotencyKey {
            guard let range = values.first(where: { $0.field == field })?.range else { continue }
            let value = bytes[trimming(range, in: bytes)]
            if value.elementsEqual("null".utf8) { continue }
            hash.update(data: Array("\(field.names[0]):\(value.count):".utf8))
            hash.update(data: value)
        }
        return digest(hash)
    }

    /// Of a request that is the same only if all its bytes are.
    static func of(_ body: [UInt8]) -> BodyDigest {
        var hash = SHA256()
        hash.update(data: body)
        return digest(hash)
    }

    private static func digest(_ hash: SHA256) -> BodyDigest {
        var words: [UInt64] = [0, 0]
        for (index, byte) in hash.finalize().prefix(16).enumerated() {
            words[index / 8] = words[index / 8] << 8 | UInt64(byte)
        }
        return BodyDigest(high: words[0], low: words[1])
    }

    private static func trimming(_ range: Range<Int>, in bytes: [UInt8]) -> Range<Int> {
        let isSpace = { (byte: UInt8) in byte == 0x20 || (0x09...0x0D).contains(byte) || byte == UInt8(ascii: ":") }
        var range = range
        while let first = range.first, isSpace(bytes[first]) { range = range.dropFirst() }
        while let last = range.last, isSpace(bytes[last]) { range = range.dropLast() }
        return range
    }
}
