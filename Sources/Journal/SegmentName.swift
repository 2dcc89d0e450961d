/// `journal-` and the segment's number in 16 hexadecimal digits, so that names sort as numbers do.
enum SegmentName {
    static let prefix = "journal-"

    static func of(_ segment: UInt64) -> String {
        let digits = String(segment, radix: 16)
        return prefix + String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// The number; nil if the file is not a segment.
    static func number(_ name: String) -> UInt64? {
        guard name.hasPrefix(prefix), let number = UInt64(name.dropFirst(prefix.count), radix: 16), of(number) == name
        else { return nil }
        return number
    }
}
