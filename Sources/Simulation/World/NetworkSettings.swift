import Glibc
import Primitives

/// How the network behaves between two nodes, in one direction.
package struct PathSettings: Hashable, Sendable {
    /// The fastest packet.
    package var latency: Duration
    /// Mean of what comes on top, exponentially distributed.
    package var jitter: Duration
    /// The chance that a packet is lost: a datagram vanishes, a segment of a connection is sent again after 200 ms,
    /// doubling.
    package var loss = 0.0
    /// The chance that a datagram arrives twice.
    package var duplication = 0.0
    /// The chance that a datagram is held back by up to 10 ms, so that later ones overtake it. Connections keep their
    /// order.
    package var reordering = 0.0

    package init(latency: Duration = .microseconds(100), jitter: Duration = .microseconds(50)) {
        self.latency = latency
        self.jitter = jitter
    }
}

package struct NetworkSettings: Hashable, Sendable {
    /// Of every path until it is set otherwise.
    package var path = PathSettings()
    package init() {}
}

/// What a world's network has done. For summaries: how often each fault has really struck.
package struct NetworkCounters: Hashable, Sendable {
    package internal(set) var datagrams = 0
    package internal(set) var datagramBytes = 0
    /// Lost, or swallowed by a cut.
    package internal(set) var datagramsDropped = 0
    package internal(set) var datagramsDuplicated = 0
    package internal(set) var datagramsReordered = 0
    package internal(set) var segments = 0
    package internal(set) var frames = 0
    package internal(set) var frameBytes = 0
    /// Segments that were lost and sent again.
    package internal(set) var segmentsDelayed = 0
    /// Segments that waited for a cut to heal.
    package internal(set) var segmentsHeld = 0
    package internal(set) var connections = 0
    package internal(set) var connectionsRefused = 0
    package internal(set) var connectionsTimedOut = 0
    package internal(set) var connectionsReset = 0
    package internal(set) var unreachables = 0
}

/// One direction between two machines.
struct Path {
    var settings: PathSettings
    /// Since when it swallows everything; nil if it does not.
    var cutSince: Instant?
}

extension SeededGenerator {
    /// Exponentially distributed, at most 20 times the mean.
    mutating func exponential(_ mean: Duration) -> Duration {
        guard mean > .zero else { return .zero }
        return .nanoseconds(Int64(Double(mean.nanoseconds) * min(20, -log(unit()))))
    }

    /// In (0, 1].
    mutating func unit() -> Double { Double((next() >> 11) + 1) * 0x1p-53 }

    /// True with that chance. Draws nothing if there is none.
    mutating func chance(_ probability: Double) -> Bool { probability > 0 && unit() <= probability }
}
