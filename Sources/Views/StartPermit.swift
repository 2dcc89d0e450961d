public import Primitives

/// The member's side of the fence (rules R3 and R4): whether this node may start tasks.
///
/// It asks all voters of its view every `Limits.fencePeriod`, each time with a new number. An answer counts from when its
/// request was *sent*: the voter may have given it right away, and deposed this node a moment later.
///
/// | state | is left when |
/// | --- | --- |
/// | not a member: no view was installed, or it does not list this process | a view that lists it is installed |
/// | waiting | a majority of the voters has granted requests that were sent less than F ago: valid |
/// | valid until `expiresAt` | the time comes; a pause; a view with other voters or without this process |
///
/// - `install`: answers of voters who still vote (with the same disk) stay: see `FenceDuty` for why they may.
/// - `paused`: all that was sent before is void, answers on their way included, until a majority has granted a later
///   request.
/// - The node's own answer as a voter counts like any other: who is the only voter needs nobody else, and of two voters
///   both are needed.
///
/// Instants are of a clock that does not stand still while the machine sleeps (CLOCK_BOOTTIME). Should it stand still
/// nonetheless, `paused` is what keeps the rule.
public struct StartPermit: Sendable {
    private struct Answer: Sendable {
        var voter: StoreHolder
        /// When the newest request that it granted was sent.
        var sentAt: Instant
    }

    private var isMember = false
    private var voters: [StoreHolder] = []
    private var answers: [Answer] = []
    /// Ascending by number; of the last F.
    private var asked: [(number: UInt64, at: Instant)] = []
    private var lastNumber: UInt64 = 0

    public init() {}

    /// A view was installed, and everything that it takes from this node is gone.
    public mutating func install(_ view: View, as me: NodeID) {
        isMember = view.member(me) != nil
        voters = view.voters
        answers.removeAll { !view.voters.contains($0.voter) }
        if !isMember { revoke() }
    }

    /// The number for a request that is sent now.
    public mutating func ask(at now: Instant) -> UInt64 {
        asked.removeAll { now - $0.at >= Limits.fence }
        if asked.count >= Limits.permitRequests { asked.removeFirst() }
        lastNumber += 1
        asked.append((lastNumber, now))
        return lastNumber
    }

    /// A voter has granted the request of that number. Ignored if it does not vote, or the request is too old or void.
    public mutating func granted(_ number: UInt64, by voter: StoreHolder) {
        guard isMember, voters.contains(voter), let request = asked.first(where: { $0.number == number }) else {
            return
        }
        if let index = answers.firstIndex(where: { $0.voter == voter }) {
            answers[index].sentAt = max(answers[index].sentAt, request.at)
        } else {
            answers.append(Answer(voter: voter, sentAt: request.at))
        }
    }

    /// The loop stood still for longer than `Limits.fencePause`: nobody knows what was decided meanwhile.
    public mutating func paused() { revoke() }

    /// The process goes on as another one, which has asked nobody yet.
    public mutating func revoke() {
        answers.removeAll()
        asked.removeAll()
    }

    /// More than half of the voters.
    private var majority: Int { voters.count / 2 + 1 }

    /// From then on nothing may be started; nil: not now either, since no majority has answered.
    public var expiresAt: Instant? {
        guard isMember, answers.count >= majority else { return nil }
        #if PLANTED_BUGS
        if PlantedBug.isActive(.fenceFromNewestAnswer) { return answers.map(\.sentAt).max().map { $0 + Limits.fence } }
        #endif
        // The majority's oldest request, when the newest ones are chosen.
        return answers.map(\.sentAt).sorted(by: >)[majority - 1] + Limits.fence
    }

    public func isValid(at now: Instant) -> Bool { expiresAt.map { now < $0 } ?? false }

    /// How many voters have answered requests sent less than F ago, and how many are needed: for people.
    public func standing(at now: Instant) -> (answered: Int, needed: Int) {
        (answers.count { now - $0.sentAt < Limits.fence }, majority)
    }
}
