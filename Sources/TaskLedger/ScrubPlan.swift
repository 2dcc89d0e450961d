import DequeModule
public import Primitives

/// Which large results of this node's tasks have their copies read and compared with the checksum next: those of which
/// somebody was handed a damaged copy, or none, at once; the others each once in every pass, in the order of their ids.
///
/// The first pass begins soon after the node has started, each other one an interval after the one before began, or when that
/// has ended if it took longer. Nothing of it is kept: a node that starts again begins anew, and a task that is taken over may
/// have its turn twice, or only in the next pass.
public struct ScrubPlan: Sendable {
    private let interval: Duration
    private var nextPass: Instant
    private var waiting: Deque<ResultID> = []
    private var doubtful: Deque<ResultID> = []

    public init(every interval: Duration, at now: Instant) {
        self.interval = interval
        nextPass = now + interval / 24
    }

    /// Of so many at most: a disk that is gone makes all of its results doubtful, and the next pass has the others.
    public mutating func doubt(_ id: ResultID) {
        guard doubtful.count < Limits.doubtfulResults, !doubtful.contains(id) else { return }
        doubtful.append(id)
    }

    /// - Parameter all: asked when a pass begins.
    public mutating func next(at now: Instant, among all: () -> [ResultID]) -> ResultID? {
        if let id = doubtful.popFirst() { return id }
        if waiting.isEmpty, now >= nextPass {
            waiting = Deque(all())
            nextPass = now + interval
        }
        return waiting.popFirst()
    }
}

extension Limits {
    public static let doubtfulResults = 1000
}
