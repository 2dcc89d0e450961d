import Primitives

/// A question whether one member is there: first asked directly, then through helpers, until its end.
struct Probe: Hashable, Sendable {
    let target: NodeID
    let sequence: UInt32
    let startedAt: Instant
    /// When helpers are asked; nil once they were.
    var directDeadline: Instant?
    /// When it has failed.
    var end: Instant
    /// Who was asked to ping the target.
    var helpers: [NodeName] = []
    /// Those of them that said they have no answer.
    var nacks: [NodeName] = []

    var deadline: Instant { min(directDeadline ?? end, end) }

    mutating func postpone(by gap: Duration) {
        directDeadline = directDeadline.map { $0 + gap }
        end += gap
    }
}

/// A ping on behalf of another member.
struct Relay: Hashable, Sendable {
    let target: NodeID
    /// Of our ping.
    let sequence: UInt32
    /// Who wants to know, and by which sequence it knows its request.
    let origin: Address
    let originSequence: UInt32
    /// When the origin is told that there is no answer yet; nil once it was.
    var nackDeadline: Instant?
    /// After that an ack is of no use to the origin.
    let end: Instant

    var deadline: Instant { min(nackDeadline ?? end, end) }
}
