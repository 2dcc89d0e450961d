import NIOCore

/// Tells a peer that is slow with one answer from a link over which nothing comes at all.
///
/// Silence begins when a request was sent that found its deadline without anything having been received since, and ends
/// with the next bytes, whatever they are.
struct Silence {
    /// When the oldest such request was sent; nil if there is no silence.
    private(set) var since: NIODeadline?
    private var receivedAt: NIODeadline?

    mutating func received(at now: NIODeadline) {
        since = nil
        receivedAt = now
    }

    /// A request that was sent at `sentAt` has had no answer in time.
    mutating func expired(sentAt: NIODeadline) {
        if let receivedAt, receivedAt >= sentAt { return }
        since = min(since ?? sentAt, sentAt)
    }
}
