public import Primitives

/// Until when this node has to leave alone what others may still start (rule R3): for each ledger because of its earlier
/// primaries, and for each lease because of its holder that is not a member any more.
///
/// A process is **deposed** from a ledger by the first view in which it does not serve it any more: the term rose, or the view
/// does not list that process. Whatever this node installs takes that into account, whoever the primary is: it may become
/// the primary itself later.
///
/// | event | what rests |
/// | --- | --- |
/// | a view deposes a process | its ledger, for 1.02 F from when *this node installed* the view, beside what rested before |
/// | a view raises a term by more than one, or lists a ledger in a later term than the first that was not listed before | the ledger, for 1.02 F: somebody else served it in between |
/// | the process starts | every ledger that is not in its first term or that nobody serves, for 1.02 F: nothing is remembered |
/// | a member leaves the view | its leases, for 1.02 F |
/// | a process is known to start nothing any more (below) | nothing because of that process |
/// | a ledger in its first term, a lease of a member | nothing |
///
/// **Why that is enough.** The view that deposed P was decided at D. Every request of P's that counts was sent before D
/// (`FenceDuty`), so P starts nothing from D + F on its clock; this node installed that view, or one that came later, at
/// I >= D, and I + 1.02 F here is not before D + F there. The views that deposed earlier primaries were decided before D. The
/// design's form counts from when the voters last answered P: this one needs no times on the wire, and costs at most what
/// passes between that answer and I, which is how long it took to notice that P is gone.
///
/// **Who starts nothing any more**, so that nothing waits for it:
/// - a process that has certainly ended: the view says so (`View.exits`), or the caller knows;
/// - a process that drains, as it said itself: before it says so it pauses, gives back what it had not begun, and it never goes
///   back on it (the caller knows). So a hand-over by a living primary is quick though nobody knows whether that primary has
///   installed the view. What it had begun goes on, as after any takeover;
/// - an earlier generation of a member with the same disk: the data directory is locked, so that process has ended, or is the
///   same one and has stepped down from all that it owned before it said who it is now.
///
/// That process's own rest goes, and only that: what an earlier primary is waited for stays. (Waiting for the last one only is
/// a mistake that the model in shared/model/views shows.)
public struct LedgerRests: Sendable {
    private struct Wait: Sendable {
        /// Nil: nobody knows who it is.
        var process: NodeID?
        var until: Instant
    }

    private var view: View?
    private var waits: [LedgerID: [Wait]] = [:]
    /// Who has left the view lately.
    private var departed: [Wait] = []
    /// Whoever left before this node looked, or unseen between two views that it installed.
    private var strangersUntil = Instant.zero

    /// - Parameters:
    ///   - view: that was on this node's disk when its process started: it was decided before.
    ///   - start: when that was.
    public init(known view: View?, at start: Instant) {
        if let view { begin(with: view, until: start + Limits.fenceRest) }
    }

    private mutating func begin(with view: View, until: Instant) {
        strangersUntil = until
        for ledger in view.ledgers where ledger.term > .first || view.server(of: ledger) == nil {
            waits[ledger.id] = [Wait(process: nil, until: until)]
        }
        self.view = view
    }

    /// This node installs a view.
    ///
    /// - Parameter isStopped: whether a process certainly starts nothing any more, beside those of which the view says so.
    public mutating func install(_ next: View, at now: Instant, isStopped: (NodeID) -> Bool) {
        let until = now + Limits.fenceRest
        guard let previous = view else { return begin(with: next, until: until) }
        guard next.number > previous.number else { return }
        view = next
        if next.number > previous.number &+ 1 { strangersUntil = until }

        let before = Self.members(of: previous)
        let after = Self.members(of: next)
        func rest(becauseOf member: Member) -> Instant {
            #if PLANTED_BUGS
            if PlantedBug.isActive(.noFenceRest) { return now }
            #endif
            if next.exits.contains(member.id) || isStopped(member.id) { return now }
            guard let successor = after[member.id.name] else { return until }
            let isSucceeded = successor.id.generation > member.id.generation && successor.voter == member.voter
            return isSucceeded ? now : until
        }

        departed.removeAll { $0.until <= now }
        for member in previous.members where after[member.id.name]?.id != member.id {
            departed.append(Wait(process: member.id, until: rest(becauseOf: member)))
        }
        if departed.count > Limits.departed {
            strangersUntil = until
            departed.removeAll()
        }

        let old = waits
        waits = [:]
        for ledger in next.ledgers {
            var mine = old[ledger.id, default: []].filter { $0.until > now }
            let server = after[ledger.primary.name].flatMap { $0.replica == ledger.primary ? $0 : nil }
            if let was = previous.ledger(ledger.id) {
                if let served = before[was.primary.name], served.replica == was.primary, server?.id != served.id {
                    mine.append(Wait(process: served.id, until: rest(becauseOf: served)))
                }
                let isUnseen = ledger.term > was.term.next || ledger.term > was.term && server == nil
                if isUnseen { mine.append(Wait(process: nil, until: until)) }
            } else if ledger.term > .first || server == nil {
                mine.append(Wait(process: nil, until: until))
            }
            mine.removeAll { $0.until <= now }
            if !mine.isEmpty { waits[ledger.id] = mine }
        }
    }

    private static func members(of view: View) -> [NodeName: Member] {
        Dictionary(view.members.map { ($0.id.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// News that a process starts nothing any more, after the view that deposed it.
    ///
    /// - Returns: whether anything was resting because of it.
    public mutating func stopped(_ process: NodeID, at now: Instant) -> Bool {
        var hasChanged = false
        for index in departed.indices where departed[index].process == process && departed[index].until > now {
            departed[index].until = now
            hasChanged = true
        }
        for id in waits.keys.sorted() {
            let rest = waits[id, default: []].filter { $0.process != process }
            guard rest.count < waits[id, default: []].count else { continue }
            waits[id] = rest.isEmpty ? nil : rest
            hasChanged = true
        }
        return hasChanged
    }

    /// Nothing of the ledger may be started here before; nil: it does not rest. May have passed.
    public func restsUntil(_ ledger: LedgerID) -> Instant? { waits[ledger]?.map(\.until).max() }

    /// What a process held that is not a member any more may not be started before; nil: it is a member.
    public func restsUntil(leaseOf holder: NodeID) -> Instant? {
        guard view?.member(holder) == nil else { return nil }
        return departed.last { $0.process == holder }?.until ?? strangersUntil
    }

    /// The same for every process of that name that is not a member any more.
    public func restsUntil(leaseOfFormer name: NodeName) -> Instant {
        departed.lazy.filter { $0.process?.name == name }.map(\.until).reduce(strangersUntil, max)
    }
}

extension View {
    /// The process that serves a ledger; nil: nobody, since its primary is not there.
    func server(of ledger: LedgerAssignment) -> NodeID? {
        member(ledger.primary.name).flatMap { $0.replica == ledger.primary ? $0.id : nil }
    }
}

extension Limits {
    /// Departed members of whom it is remembered until when they may still start what they held.
    public static let departed = 1024
}
