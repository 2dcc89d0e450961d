public import Primitives

/// The thief's machine: how much work this node wants from others, and whom it asks.
///
/// A request says how many tasks the node would take now; the latest one replaces those before it. A victim that has
/// nothing *parks* it for `Limits.parkTime`: its next submission is granted to the thief at once. So an idle node keeps a
/// request at every peer (at most `Limits.victims` of them), and an idle cluster starts a task one commit and one hop
/// after its submission, wherever it arrived.
///
/// With work to be had, the node asks one victim at a time: of two candidates, drawn among those that have ready tasks,
/// the one with the longer queue (two choices; Mitzenmacher 2001). It asks before it runs dry: free slots, and what the
/// slots get through in `Limits.batchTime`, less what it holds already.
///
/// A node with ready tasks of its own steals nothing, unless a peer advertises a head at least `Limits.priorityGap` levels
/// above its own best: then a free slot takes that first.
public struct Thief: Sendable {
    /// What the node tells of itself.
    public struct Own: Hashable, Sendable {
        public var slots: Int
        public var freeSlots: Int
        /// Slots that will be free before long: what runs in them is of a kind that was measured, and not overdue.
        public var turningSlots: Int
        /// Stolen tasks that wait for a slot here.
        public var held: Int
        /// How long these are expected to take, one after the other.
        public var heldWork: Duration
        public var ready: Int
        /// Of its best ready task; 0 if there is none.
        public var headPriority: UInt8
        /// Takes no work: draining, or fenced.
        public var isPaused: Bool

        public init(
            slots: Int, freeSlots: Int, turningSlots: Int, held: Int, heldWork: Duration, ready: Int,
            headPriority: UInt8, isPaused: Bool
        ) {
            self.slots = slots
            self.freeSlots = freeSlots
            self.turningSlots = turningSlots
            self.held = held
            self.heldWork = heldWork
            self.ready = ready
            self.headPriority = headPriority
            self.isPaused = isPaused
        }
    }

    /// A request to send.
    public struct Ask: Hashable, Sendable {
        public var victim: NodeID
        public var wanted: Int
        /// 1: any.
        public var minimumPriority: UInt8
    }

    private struct Victim: Sendable {
        var id: NodeID
        var ready: Int
        var headPriority: UInt8
        var isDraining: Bool
        /// What it was last asked for, less what it has granted since.
        var outstanding = 0
        var askedAt = Instant(nanoseconds: .min)
    }

    private var victims: [Victim] = []
    private var meanDuration = Limits.assumedDuration
    private var generator: SeededGenerator

    public init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    /// Who can be asked: linked members, ascending by name. What is known of those that stay is kept.
    public mutating func setVictims(_ ids: [NodeID]) {
        victims = ids.map { id in
            victims.first { $0.id == id } ?? Victim(id: id, ready: 0, headPriority: 0, isDraining: false)
        }
    }

    /// News of a peer's load: gossip, or a digest on a grant.
    public mutating func learn(_ load: LoadDigest, of id: NodeID) {
        guard let index = victims.firstIndex(where: { $0.id == id }) else { return }
        victims[index].ready = Int(load.ready)
        victims[index].headPriority = load.headPriority
        victims[index].isDraining = load.isDraining
    }

    /// `count` tasks came from a victim, whose load is now `load`. If it has more, it has forgotten the request.
    public mutating func received(_ count: Int, from id: NodeID, load: LoadDigest) {
        learn(load, of: id)
        guard let index = victims.firstIndex(where: { $0.id == id }) else { return }
        victims[index].outstanding = load.ready > 0 ? 0 : max(0, victims[index].outstanding - count)
    }

    /// A task ran for so long. The mean moves by an eighth of the difference.
    public mutating func measured(_ duration: Duration) {
        meanDuration += (duration - meanDuration) / 8
        meanDuration = max(meanDuration, .microseconds(10))
    }

    /// How many tasks the node would take now.
    func want(_ own: Own) -> Int {
        // What is held may be of another kind than what ran last: its time counts, not its number.
        // Nothing is taken to wait behind a task of which nobody knows when it ends.
        let room = Limits.batchTime * (own.freeSlots + own.turningSlots) - own.heldWork
        guard room > .zero else { return max(0, own.freeSlots - own.held) }
        let batch = (room.secondsValue / meanDuration.secondsValue).rounded(.up)
        return own.freeSlots + min(max(1, Int(batch)), Limits.stolenTasks - min(own.held, Limits.stolenTasks))
    }

    /// Whom to ask for how much now. To be called when a slot becomes free, a grant has come, or news of load; and from
    /// time to time, since requests lapse.
    public mutating func asks(_ own: Own, at now: Instant) -> [Ask] {
        guard !own.isPaused, !victims.isEmpty else { return [] }
        for index in victims.indices where now - victims[index].askedAt >= Limits.parkTime {
            victims[index].outstanding = 0
        }
        if own.ready > 0 { return urgent(own, now) }
        let wanted = want(own)
        var asks: [Ask] = []
        let expected = victims.reduce(0) { $0 + ($1.ready > 0 ? $1.outstanding : 0) }
        if wanted > expected, let index = longer() {
            ask(index, wanted, 1, now, &asks)
        }
        guard own.freeSlots > 0 else { return asks }
        // Parked requests: only for what is free, so that a burst does not pile up here.
        for index in victims.indices.prefix(Limits.victims) where victims[index].outstanding == 0 {
            ask(index, own.freeSlots, 1, now, &asks)
        }
        return asks
    }

    private mutating func urgent(_ own: Own, _ now: Instant) -> [Ask] {
        guard own.freeSlots > 0,
            let index = victims.indices.max(by: { victims[$0].headPriority < victims[$1].headPriority }),
            victims[index].headPriority >= own.headPriority + Limits.priorityGap, victims[index].outstanding == 0,
            !victims[index].isDraining
        else { return [] }
        var asks: [Ask] = []
        ask(index, own.freeSlots, own.headPriority + Limits.priorityGap, now, &asks)
        return asks
    }

    /// The one with more ready tasks of two that are drawn.
    private mutating func longer() -> Int? {
        let candidates = victims.indices.filter { victims[$0].ready > 0 && victims[$0].outstanding == 0 }
        guard let first = candidates.randomElement(using: &generator),
            let second = candidates.randomElement(using: &generator)
        else { return nil }
        return victims[first].ready >= victims[second].ready ? first : second
    }

    private mutating func ask(_ index: Int, _ wanted: Int, _ minimum: UInt8, _ now: Instant, _ asks: inout [Ask]) {
        victims[index].outstanding = wanted
        victims[index].askedAt = now
        asks.append(Ask(victim: victims[index].id, wanted: wanted, minimumPriority: minimum))
    }
}

extension Limits {
    /// A request that finds nothing stays at the victim for so long.
    public static let parkTime = Duration.seconds(1)
    /// Peers at which an idle node parks requests.
    public static let victims = 16
    /// Stolen tasks that wait for a slot.
    public static let stolenTasks = 1024
    /// A peer's head has to be so many levels above one's own best to be taken first.
    public static let priorityGap: UInt8 = 2
    /// Payload of one grant.
    public static let grantBytes = 64 << 10
}
