import Primitives

/// How long the network takes: the median of the last answered pings, whomever they went to, in whole milliseconds.
///
/// A median, so that one slow member does not make all the others wait. Zero before the first sample.
struct RoundTrip: Hashable, Sendable {
    static let samples = 15

    /// In the order in which they came; full, it is a ring.
    private var recent: [Int64] = []
    private var oldest = 0
    /// The same, ascending.
    private var ordered: [Int64] = []

    var median: Duration { .milliseconds(ordered.isEmpty ? 0 : ordered[ordered.count / 2]) }

    /// Whether the median has changed.
    mutating func sample(_ duration: Duration) -> Bool {
        let before = ordered.isEmpty ? 0 : ordered[ordered.count / 2]
        let sample = duration.milliseconds
        if recent.count < Self.samples {
            recent.append(sample)
        } else if recent[oldest] == sample {
            oldest = (oldest + 1) % Self.samples
            return false
        } else {
            if let place = ordered.firstIndex(of: recent[oldest]) { ordered.remove(at: place) }
            recent[oldest] = sample
            oldest = (oldest + 1) % Self.samples
        }
        ordered.insert(sample, at: ordered.firstIndex { $0 > sample } ?? ordered.endIndex)
        return ordered[ordered.count / 2] != before
    }
}
