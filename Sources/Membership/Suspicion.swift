import Primitives

/// A suspect's reprieve (Lifeguard, section IV-B): it starts long and shrinks with each independent accuser.
///
/// With c confirmations of the K needed it lasts max - (max - min) x log(c + 1) / log(K + 1), counted from its start.
/// Deviation: an accuser that has proof of the process's end counts as one confirmation more.
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
    var hasProof = false { didSet { deadline = startedAt + reprieve } }

    init(of subject: NodeID, at now: Instant, by accuser: NodeName, shortest: Duration, longest: Duration, needed: Int)
    {
        self.subject = subject
        startedAt = now
        self.shortest = shortest
        self.longest = longest
        self.needed = needed
        accusers = [accuser]
        deadline = now
        deadline = startedAt + reprieve
    }

    var confirmations: Int { min(needed, accusers.count - 1 + (hasProof ? 1 : 0)) }

    /// Whether that is news, to be spread.
    mutating func confirm(by accuser: NodeName) -> Bool {
        guard accusers.count <= needed, !accusers.contains(accuser) else { return false }
        accusers.append(accuser)
        deadline = startedAt + reprieve
        return true
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
