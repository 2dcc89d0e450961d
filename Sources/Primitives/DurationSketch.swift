/// How many durations of each size there were: a histogram whose buckets are eighths of an octave (HdrHistogram's layout, with
/// three significant bits), from a microsecond to about 13 days. A quantile is off by 6.3 % of itself at most. Sketches add up:
/// that of a cluster is the sum of those of its nodes.
public struct DurationSketch: Hashable, Sendable {
    /// As many buckets as have ever been needed, without zeros at the end.
    public private(set) var counts: [UInt32] = []

    public init() {}

    /// Nil: more buckets than there are, or an empty one at the end.
    public init?(counts: [UInt32]) {
        guard counts.count <= Self.bucketCount, counts.last != 0 else { return nil }
        self.counts = counts
    }

    public static let bucketCount = 8 * 38

    public var total: UInt64 { counts.reduce(0) { $0 + UInt64($1) } }

    public mutating func add(_ duration: Duration) {
        let bucket = Self.bucket(of: duration.nanoseconds / 1000)
        if bucket >= counts.count { counts += Array(repeating: 0, count: bucket + 1 - counts.count) }
        if counts[bucket] < .max { counts[bucket] += 1 }
    }

    public mutating func add(_ other: DurationSketch) {
        if other.counts.count > counts.count {
            counts += Array(repeating: 0, count: other.counts.count - counts.count)
        }
        for (bucket, count) in other.counts.enumerated() {
            let (sum, overflow) = counts[bucket].addingReportingOverflow(count)
            counts[bucket] = overflow ? .max : sum
        }
    }

    /// The duration that so large a part of all is not above; nil if there are none.
    public func quantile(_ part: Double) -> Duration? {
        let total = total
        guard total > 0 else { return nil }
        let wanted = max(1, UInt64((part * Double(total)).rounded(.up)))
        var met: UInt64 = 0
        for (bucket, count) in counts.enumerated() {
            met += UInt64(count)
            if met >= wanted { return .microseconds(Self.middle(of: bucket)) }
        }
        return nil
    }

    /// Values below 8 have buckets of their own; above, the three bits after the leading one tell the bucket of the octave.
    private static func bucket(of microseconds: Int64) -> Int {
        guard microseconds >= 8 else { return Int(max(0, microseconds)) }
        let exponent = 63 - microseconds.leadingZeroBitCount
        let part = Int(microseconds >> (exponent - 3)) & 7
        return min((exponent - 2) * 8 + part, bucketCount - 1)
    }

    private static func middle(of bucket: Int) -> Int64 {
        guard bucket >= 8 else { return Int64(bucket) }
        let exponent = bucket / 8 + 2
        let low = Int64(8 + bucket % 8) << (exponent - 3)
        return low + (Int64(1) << (exponent - 3)) / 2
    }
}
