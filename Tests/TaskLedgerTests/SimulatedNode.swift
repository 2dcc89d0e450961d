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
    var effects: [OwnerEffect] = []
    /// Requests to other nodes whose failure matters.
    var grantsUnderWay: [UInt64: (to: NodeName, attempts: [AttemptID])] = [:]

    static let slots = 2

    init(name: NodeName) {
        self.name = name
        owner = TaskOwner(
            me: NodeID(name: name, generation: Generation(0)), settings: TaskOwner.Settings(slots: Self.slots), seed: 0)
        holder = LeaseHolder(slots: Self.slots)
    }

    var id: NodeID { NodeID(name: name, generation: Generation(generation)) }
    var replica: StoreHolder { StoreHolder(name: name, store: store) }

    /// A new process with an empty store.
    func start(generation: UInt64, store: StoreID, seed: UInt64) {
        process += 1
        self.generation = generation
        self.store = store
        isUp = true
        isSuspected = false
        isDraining = false
        owner = TaskOwner(me: id, settings: TaskOwner.Settings(slots: Self.slots), seed: seed)
        holder = LeaseHolder(slots: Self.slots)
        replicas = [:]
        view = nil
        offers = []
        effects = []
        grantsUnderWay = [:]
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
