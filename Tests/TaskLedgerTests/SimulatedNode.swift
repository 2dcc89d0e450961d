import Primitives
import TaskLedger

/// One node of a simulation: the real machines, and what a process around them has to remember.
final class SimulatedNode {
    let name: NodeName
    var generation: UInt64 = 0
    var store = StoreID(0)
    /// Rises with every start: what a process of the past scheduled does nothing.
    var process = 0
    var isUp = false
    /// Gossip calls it gone though it lives.
    var isSuspected = false
    var isDraining = false
    /// When gossip notices a crash.
    var goneAt = Instant.zero
    var owner: TaskOwner
    var replicas: [LedgerID: Replica] = [:]
    var holder: LeaseHolder
    var view: SimulatedView?
    var offers: Set<LedgerID> = []
    /// Until when nothing may start of what it has inherited.
    var rests: [LedgerID: Instant] = [:]
    var effects: [OwnerEffect] = []
    /// Requests to other nodes whose failure matters.
    var grantsUnderWay: [UInt64: (to: NodeName, attempts: [AttemptID])] = [:]

    /// Outlives the process, and a crash loses what is not synced.
    var journal = SimulatedJournal()
    /// What was last asked of the journal.
    var marked: [DurabilityMark] = []
    /// Offers to be answered once they are committed.
    var adoptions: [UInt64: () -> Void] = [:]

    static let slots = 2

    init(name: NodeName) {
        self.name = name
        owner = TaskOwner(
            me: NodeID(name: name, generation: Generation(0)), settings: TaskOwner.Settings(slots: Self.slots), seed: 0)
        holder = LeaseHolder(slots: Self.slots)
    }

    var id: NodeID { NodeID(name: name, generation: Generation(generation)) }
    var replica: StoreHolder { StoreHolder(name: name, store: store) }

    /// A new process. With another store than before its journal is lost; else what it holds is there again.
    func start(generation: UInt64, store: StoreID, seed: UInt64) {
        process += 1
        self.generation = generation
        if store != self.store { journal = SimulatedJournal() }
        self.store = store
        isUp = true
        isSuspected = false
        isDraining = false
        owner = TaskOwner(me: id, settings: TaskOwner.Settings(slots: Self.slots), seed: seed)
        holder = LeaseHolder(slots: Self.slots)
        replicas = [:]
        for copy in journal.copies() { replicas[copy.id] = Replica(recovered: copy) }
        view = nil
        offers = Set(replicas.keys)
        effects = []
        grantsUnderWay = [:]
        marked = []
        rests = [:]
        adoptions = [:]
    }

    /// What this node holds of a ledger, in whatever role.
    func copy(of ledger: LedgerID) -> LedgerCopy? { owner.copy(of: ledger) ?? replicas[ledger]?.copy }
}

/// What nodes say to each other.
enum SimulatedMessage {
    case append(AppendRequest, epoch: UInt32)
    case copy(CopyRequest, epoch: UInt32)
    case reply(LedgerID, ReplicaReply, epoch: UInt32)
    case steal(StealRequest)
    case grant([Assignment], request: UInt64)
    case granted(request: UInt64)
    case began([AttemptID])
    case report([AttemptReport])
    case settled([AttemptID])
    case stop(AttemptID)
    case askHolds([AttemptID])
    case holds([AttemptID], missing: [AttemptID])
    case offer(OfferRequest)
    case offered(LedgerID)
}

/// A journal on a disk that takes its time.
struct SimulatedJournal {
    enum Item {
        case record(JournalRecord)
        case snapshotBegan
        case snapshotEnded
    }

    private(set) var items: [Item] = []
    /// Items that came before these were superseded by a snapshot.
    private var first = 0
    private(set) var synced = 0
    private var waiting: [(upTo: Int, done: () -> Void)] = []
    var snapshot: SnapshotWriter?
    /// A record that does not fit what was written before.
    private(set) var damage: String?

    var end: Int { first + items.count }

    mutating func write(_ records: [JournalRecord]) { items += records.map(Item.record) }

    mutating func beginSnapshot() {
        items.append(.snapshotBegan)
        snapshot = SnapshotWriter()
    }

    mutating func endSnapshot() {
        items.append(.snapshotEnded)
        snapshot = nil
    }

    mutating func whenDurable(_ done: @escaping () -> Void) { waiting.append((end, done)) }

    /// What may be told now.
    mutating func sync(upTo position: Int) -> [() -> Void] {
        synced = max(synced, min(position, end))
        let ready = waiting.prefix { $0.upTo <= synced }.map(\.done)
        waiting.removeFirst(ready.count)
        supersede()
        return ready
    }

    /// What a snapshot that is durable has made needless goes.
    private mutating func supersede() {
        let durable = items.prefix(synced - first)
        guard let end = durable.lastIndex(where: { if case .snapshotEnded = $0 { true } else { false } }),
            let begin = durable[..<end].lastIndex(where: { if case .snapshotBegan = $0 { true } else { false } }),
            begin > 0
        else { return }
        items.removeFirst(begin)
        first += begin
    }

    /// The process dies: of what was not synced only a beginning is kept.
    mutating func crash(keeping unsynced: Int) {
        items.removeLast(end - min(end, synced + unsynced))
        synced = end
        waiting = []
        snapshot = nil
    }

    mutating func copies() -> [LedgerCopy] {
        var stored = StoredLedgers()
        do throws(StoredLedgers.Damage) {
            for item in items {
                switch item {
                case .record(let record): try stored.apply(record)
                case .snapshotBegan: stored.snapshotBegan()
                case .snapshotEnded: stored.snapshotEnded()
                }
            }
        } catch {
            damage = "\(error)"
        }
        return stored.copies
    }
}
