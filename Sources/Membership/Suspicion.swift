import Primitives

/// A suspect's reprieve (Lifeguard, section IV-B): it starts long and shrinks with each independent accuser.
///
/// With c confirmations of the K needed it lasts max - (max - min) x log(c + 1) / log(K + 1), counted from its start.
/// Deviations: an accuser that has proof of the process's end counts as one confirmation more. And a confirmation never
/// ends a suspicion at once, however late it comes: the suspect has the time of one probe still. Else two members that
/// were slow at the same time, and suspected everybody meanwhile, would confirm each other and bury the healthy before
/// these have heard of it.
struct Suspicion: Hashable, Sendable {
    let subject: NodeID
    private(set) var startedAt: Instant
    /// When the suspect is dead.
    private(set) var deadline: Instant
    let shortest: Duration
    let longest: Duration
    /// K: confirmations that make it shortest. 0 in a cluster of two.
    let needed: Int
    /// The first accuser, then those who confirmed; at most `needed` + 1.
    private(set) var accusers: [NodeName]
    /// An accuser has proof.
    private(set) var hasProof = false
    /// What a suspect has left when it is confirmed late.
    let grace: Duration

    init(
        of subject: NodeID, at now: Instant, by accuser: NodeName, shortest: Duration, longest: Duration,
        grace: Duration, needed: Int
    ) {
        self.subject = subject
        startedAt = now
        self.shortest = shortest
        self.longest = longest
        self.grace = grace
        self.needed = needed
        accusers = [accuser]
        deadline = now
        deadline = startedAt + reprieve
    }

    var confirmations: Int { min(needed, accusers.count - 1 + (hasProof ? 1 : 0)) }

    /// Whether that is news, to be spread.
    mutating func confirm(by accuser: NodeName, at now: Instant) -> Bool {
        guard accusers.count <= needed, !accusers.contains(accuser) else { return false }
        accusers.append(accuser)
        shorten(at: now)
        return true
    }

    /// An accuser has proof.
    mutating func prove(at now: Instant) {
        hasProof = true
        shorten(at: now)
    }

    private mutating func shorten(at now: Instant) {
        deadline = min(deadline, max(startedAt + reprieve, now + grace))
    }

    private var reprieve: Duration {
        guard needed > 0 else { return shortest }
        let share = logarithm(Double(confirmations + 1)) / logarithm(Double(needed + 1))
        return max(shortest, longest - (longest - shortest) * share)
    }

    /// Time in which this process did not run does not count: the refutation may lie unread in the socket.
    mutating func postpone(by gap: Duration) {
        startedAt += gap
        deadline += gap
    }
}
