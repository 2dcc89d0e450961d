public import Primitives

/// Who is there: SWIM (Das, Gupta, Motivala 2002) with Lifeguard (Dadgar, Phillips, Currey 2017), as a machine without
/// I/O. It suspects and it spreads what it suspects; who owns what is decided by views alone.
///
/// **Identity** is name and generation. Of every name one generation is known. News of an older one is ignored, a newer
/// one replaces it at once: the older is dead. `dead` and `left` are final for a generation; who is told that its own
/// is over returns under a new one (`declaredDead`, `restart`).
///
/// **Precedence** of news about one generation (SWIM, section 4.2), i being its incarnation here and j the rumor's:
/// - alive(j) over alive(i), suspect(i) if j > i
/// - suspect(j) over alive(i) if j >= i; over suspect(i) if j >= i, as a confirmation
/// - dead(any) over alive, suspect; left(any) over alive, suspect, dead
///
/// **Period.** Every 200 ms one member, in shuffled round robin, is pinged. No ack within 80 ms: three others are asked
/// to ping it. No ack by the end of the period: it is suspect. Poor local health stretches all of these. A suspect is
/// told so in the first place (Lifeguard's buddy system) and refutes by a higher incarnation; else it is dead after a
/// time that independent accusers shorten (`Suspicion`). A lost connection or an unreachable port starts such a probe
/// at once.
///
/// **Proof.** The owner may see that a process is gone: its connection was reset and a new one refused (`exitProof`).
/// Such a suspicion is spread at once, and who hears it and has no proof of its own pings at once: an unreachable port
/// is one too. Two members with proof, or one alone in the world, declare the peer dead at once, and its exit proven
/// (`ExitEvidence`). The accused may still refute.
///
/// Deviations from the papers, besides generations and proof:
/// - Every message carries the sender's load and view number, so some gossip is sent in every period, news or not.
/// - A sender is not believed when its generation is over for us: it is told so instead. What strangers and those who
///   join say against others does not count either: they have been away. When two members hold each other dead (a
///   partition that healed), the one with the lower view number, then the greater name, has to return.
/// - The dead are remembered, and reached for every 10 s as seeds are: a partition heals whatever its shape.
/// - A late tick means that this process did not run: suspicions and probes are postponed by the gap.
/// - Urgent news (death, proof, a refutation, a farewell) goes to three members at once, and to three 50 ms later,
///   since the first may be lost.
/// - The papers' timeouts suppose a network that is much faster than the period. Where the median round trip is above a
///   fifth of it, a probe takes five round trips, and suspicions last in proportion (`Pace`); else every other probe
///   would fail on a link of 100 ms, and the living would be declared dead.
/// - Beside the one whose turn it is, a suspect is probed in every period, that whose time is up first. The paper's
///   buddy system tells a suspect only when its turn comes, which with ten members is every 1.8 s, and a suspicion may
///   last 0.8 s: with 10 % loss an observer that missed the refutation could declare a living member dead. The request
///   to helpers tells the suspicion too, the ack that they pass on the target's incarnation, and the ack to a suspect's
///   own ping that it is suspected.
/// - Where there are fewer helpers than asked for, the target is pinged again at the timeout: two members alone, with
///   10 % loss, would suspect each other twice in five seconds.
public struct Membership: Sendable {
    /// Whether this node takes part.
    enum Phase: Hashable, Sendable {
        /// Can transition to: leaving.
        case active
        /// The farewell is being spread. Can transition to: gone, active (under a new generation).
        case leaving(next: Instant, rounds: Int)
        /// Nothing is sent any more. Can transition to: active (under a new generation).
        case gone
    }

    let settings: Settings
    var own: MemberRecord
    var phase = Phase.active
    var random: SeededGenerator
    var table = MemberTable()
    var order = ProbeOrder()
    var queue = RumorQueue()
    var suspicions: [Suspicion] = []
    var evidence: [ExitEvidence] = []
    var probes: [Probe] = []
    var relays: [Relay] = []
    var health: LocalHealth
    var roundTrip = RoundTrip()
    var pace: Pace
    var nextSequence: UInt32

    var seeds: [Address] = []
    /// Attempts to join since this node was last in company.
    var joinAttempts = 0
    /// A join was sent, and no welcome has come yet.
    var awaitsWelcome = false
    /// Where the last attempt to reach those who are not living members stopped.
    var reachCursor = 0

    /// Nil before the first event.
    var nextPeriod: Instant?
    var nextRejoin = Instant.distantFuture
    var nextPushPull = Instant.distantFuture
    /// Answers of courtesy sent in this period.
    var courtesies = 0
    /// Set by an event that makes urgent news; the news goes out at its end.
    var isUrgent = false
    /// When urgent news is sent a second time: others may have lost the first.
    var nextRepeat = Instant.distantFuture
    /// The owner has been told that this generation is over.
    var isCondemned = false
    /// The highest other generation of this node's name that was heard of, above its own.
    var rival: Rival?

    struct Rival: Sendable {
        let generation: Generation
        let since: Instant
        /// The owner has been told.
        var isTold = false
    }
    /// When the next `.tick` is due. One in the past (before the first event always) is due at once.
    public private(set) var nextDeadline = Instant.zero
    /// Members turned away since there were as many as there may be (`Settings.members`).
    public internal(set) var refusedMembers: UInt64 = 0

    /// - Parameter viewNumber: of the view that the node brings along: already its first word is to tell others that there
    ///   is a cluster.
    public init(
        myself: NodeID, profile: MemberProfile, viewNumber: UInt64 = 0, settings: Settings = Settings(), seed: UInt64
    ) {
        own = MemberRecord(id: myself, profile: profile, since: .zero)
        own.viewNumber = viewNumber
        self.settings = settings
        health = LocalHealth(levels: settings.localHealthLevels)
        pace = Pace(settings, roundTrip: .zero)
        random = SeededGenerator(seed: seed)
        nextSequence = UInt32(truncatingIfNeeded: random.next())
    }

    // MARK: What is known

    public var myself: NodeID { own.id }
    public var incarnation: Incarnation { own.incarnation }
    /// 0: healthy.
    public var localHealthScore: Int { health.score }

    /// Everybody known, this node, the dead and the left included, ascending by name.
    public var members: [MemberRecord] {
        var all = table.rows
        all.insert(own, at: all.firstIndex { $0.id.name > own.id.name } ?? all.endIndex)
        return all
    }

    /// The living others, ascending by name.
    public var livingOthers: [MemberRecord] { table.living }

    public func member(_ name: NodeName) -> MemberRecord? { name == own.id.name ? own : table[name] }

    /// What a push-pull carries: the same as `members`.
    public func fullState() -> [MemberRecord] { members }

    /// Living members, this node included.
    var livingCount: Int { table.livingCount + 1 }

    private var earliestDeadline: Instant {
        switch phase {
        case .gone: return .distantFuture
        case .leaving(let next, _): return next
        case .active: break
        }
        guard let nextPeriod else { return .zero }
        var earliest = min(min(nextPeriod, nextRejoin), min(nextPushPull, nextRepeat))
        for probe in probes { earliest = min(earliest, probe.deadline) }
        for relay in relays { earliest = min(earliest, relay.deadline) }
        for suspicion in suspicions { earliest = min(earliest, suspicion.deadline) }
        return earliest
    }

    // MARK: Events

    public mutating func handle(_ event: Event, at now: Instant, into effects: inout [Effect]) {
        start(at: now)
        noticeOversleep(at: now)
        switch event {
        case .tick: tick(at: now, into: &effects)
        case .received(let message, let address): receive(message, from: address, at: now, into: &effects)
        case .join(let seeds): join(seeds, at: now, into: &effects)
        case .leave: leave(at: now)
        case .restart(let id): restart(as: id, at: now, into: &effects)
        case .exitProof(let id): proveExit(of: id, at: now, into: &effects)
        case .connectionLost(let id):
            if phase == .active, let index = table.index(of: id.name), table.rows[index].id == id {
                startProbe(of: index, at: now, into: &effects)
            }
        case .portUnreachable(let address): hearUnreachable(address, at: now, into: &effects)
        case .loadChanged(let load):
            own.load = load
            own.heardAt = now
        case .viewChanged(let number):
            own.viewNumber = number
            own.heardAt = now
            isUrgent = true
        case .profileChanged(let profile): changeProfile(to: profile)
        case .merge(let records, let peer): merge(records, from: peer, at: now, into: &effects)
        }
        if !evidence.isEmpty { settleProofs(at: now, into: &effects) }
        if isUrgent {
            isUrgent = false
            if phase != .gone { gossip(to: settings.fanout, into: &effects) }
            nextRepeat = now + settings.urgentInterval
        }
        endLeaveIfSpread(into: &effects)
        nextDeadline = earliestDeadline
    }

    private mutating func start(at now: Instant) {
        guard nextPeriod == nil else { return }
        own.since = now
        own.heardAt = now
        // A random phase: nodes started together do not probe in step.
        nextPeriod = now + settings.period * Double.random(in: 0..<1, using: &random)
        nextRejoin = now + settings.rejoinInterval
        nextPushPull = now + settings.pushPullInterval * Double.random(in: 0.5..<1, using: &random)
        queue.enqueue(ownRumor)
        nextDeadline = earliestDeadline
    }

    /// If this process was not running, what it missed is no fault of the others.
    private mutating func noticeOversleep(at now: Instant) {
        guard now > nextDeadline else { return }
        let gap = now - nextDeadline
        guard gap > settings.oversleep else { return }
        health.worsen()
        for index in probes.indices { probes[index].postpone(by: gap) }
        for index in suspicions.indices { suspicions[index].postpone(by: gap) }
        relays.removeAll()
        nextPeriod = nextPeriod.map { max($0, now) }
        nextRejoin = max(nextRejoin, now)
        nextPushPull = max(nextPushPull, now)
        nextRepeat = max(nextRepeat, now)
        if case .leaving(let next, let rounds) = phase { phase = .leaving(next: max(next, now), rounds: rounds) }
    }

    private mutating func tick(at now: Instant, into effects: inout [Effect]) {
        switch phase {
        case .gone: return
        case .leaving: sayFarewell(at: now)
        case .active:
            answerRelays(at: now, into: &effects)
            advanceProbes(at: now, into: &effects)
            endSuspicions(at: now, into: &effects)
            if nextRepeat <= now {
                nextRepeat = .distantFuture
                gossip(to: settings.fanout, into: &effects)
            }
            if let due = nextPeriod, due <= now { beginPeriod(at: now, into: &effects) }
            if nextRejoin <= now { rejoin(at: now, into: &effects) }
            if nextPushPull <= now { beginPushPull(at: now, into: &effects) }
        }
    }
}
