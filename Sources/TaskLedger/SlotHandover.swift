public import Primitives

/// Idempotency keys on their way to the ledger that is to have their slots.
public struct KeyShipment: Hashable, Sendable {
    public var from: LedgerID
    /// The view in which the slots were frozen.
    public var view: UInt64
    public var to: LedgerID
    public var bindings: [KeyBinding]

    public init(from: LedgerID, view: UInt64, to: LedgerID, bindings: [KeyBinding]) {
        self.from = from
        self.view = view
        self.to = to
        self.bindings = bindings
    }
}

/// How key slots get another home while both homes live: because a node has joined, or since the ledger was taken over and
/// is to drain. (A crash moves nothing: the slots stay with their ledger, whoever is its primary then.)
///
/// 1. A view says that a slot is to move (`LedgerRole.moves`). It still belongs to its ledger.
/// 2. The ledger's primary **freezes** it: from then on nothing with such a key is accepted here. A slot in which a task with
///    an ordering key is open, or has not completed and may be run again, is not frozen: its order would be lost.
/// 3. When everything that was accepted before is committed, the keys are **shipped**: the primary of the other ledger binds
///    them, and answers once that is committed.
/// 4. The voters are told, in the name of this very view, and repeatedly. The next view moves the slots; with it the other
///    home **opens**.
///
/// A view in between voids it all: what was frozen is free again, and it begins anew. Keys that were shipped in vain
/// are true all the same, and harmless: nobody asks that ledger for them. So at no time two primaries accept the same key: the
/// old one accepts nothing after the freeze, since its word to the voters counts only for the view in which it froze; the
/// new one nothing before the view. Had the old ledger got another primary meanwhile, its term would be another one, and the word
/// void.
struct SlotHandover: Sendable {
    enum Stage: Sendable {
        /// What was accepted before is not committed yet.
        case freezing
        /// Keys are to be sent, or on their way.
        case shipping(isUnderWay: Bool)
        /// All keys are bound in their new ledgers.
        case shipped
    }

    let view: UInt64
    let moves: [SlotMove]
    var stage = Stage.freezing
    /// Keys still to be shipped, each with where to.
    var rest: [(key: KeyName, to: LedgerID)] = []
    /// How many of them are on their way.
    var underWay = 0

    func isFrozen(_ slot: KeySlot) -> Bool { moves.contains { $0.slot == slot } }
}

extension TaskOwner {
    /// What a view says about the ledger's key slots.
    mutating func install(_ role: LedgerRole, in index: Int) {
        ledgers[index].slots = role.slots
        ledgers[index].moves = role.moves
        ledgers[index].handover = nil
    }

    /// Begins a handover, or goes on with it.
    mutating func advanceHandover(in index: Int, at now: Instant, into effects: inout [OwnerEffect]) {
        guard !ledgers[index].moves.isEmpty else { return }
        let primary = ledgers[index].primary
        guard let handover = ledgers[index].handover else {
            let moves = ledgers[index].moves.filter { primary.state.isFreeOfOrders(in: $0.slot) }
            guard !moves.isEmpty else { return }
            ledgers[index].handover = SlotHandover(view: primary.viewNumber, moves: moves)
            ledgers[index].primary.whenCommitted(.slotsFrozen(view: primary.viewNumber))
            return
        }
        switch handover.stage {
        case .freezing, .shipping(isUnderWay: true): break
        case .shipping(isUnderWay: false): ship(in: index, into: &effects)
        case .shipped:
            effects.append(.slotsShipped(primary.id, primary.term, handover.moves, view: handover.view))
        }
    }

    /// Everything that was accepted before the freeze is committed.
    mutating func slotsFrozen(in index: Int, _ view: UInt64) {
        guard var handover = ledgers[index].handover, handover.view == view, case .freezing = handover.stage else {
            return
        }
        let keys = ledgers[index].primary.state.keys
        let targets = Dictionary(handover.moves.map { ($0.slot, $0.to) }, uniquingKeysWith: { first, _ in first })
        for key in keys.sortedNames {
            if let to = targets[key.slot] { handover.rest.append((key, to)) }
        }
        #if PLANTED_BUGS
        if PlantedBug.isActive(.keysNotShipped) { handover.rest = [] }
        #endif
        // One ledger after the other.
        handover.rest.sort { ($0.to, $0.key) < ($1.to, $1.key) }
        handover.stage = handover.rest.isEmpty ? .shipped : .shipping(isUnderWay: false)
        ledgers[index].handover = handover
    }

    /// As many keys as fit a message, for one ledger.
    private mutating func ship(in index: Int, into effects: inout [OwnerEffect]) {
        guard var handover = ledgers[index].handover, let to = handover.rest.first?.to else { return }
        var bindings: [KeyBinding] = []
        var cost = 0
        handover.underWay = 0
        for (key, target) in handover.rest {
            guard target == to, cost < Limits.shippedBytes else { break }
            handover.underWay += 1
            guard let binding = ledgers[index].primary.state.keys[key] else { continue }
            bindings.append(binding)
            cost += binding.cost
        }
        handover.stage = .shipping(isUnderWay: true)
        ledgers[index].handover = handover
        effects.append(
            .ship(
                KeyShipment(from: ledgers[index].primary.id, view: handover.view, to: to, bindings: bindings)))
    }

    /// The other ledger has bound the keys, or it is not known whether it has: then they are sent again.
    public mutating func shipped(_ shipment: KeyShipment, isBound: Bool, into effects: inout [OwnerEffect]) {
        guard let index = index(of: shipment.from), var handover = ledgers[index].handover,
            handover.view == shipment.view, case .shipping(isUnderWay: true) = handover.stage
        else { return }
        handover.stage = .shipping(isUnderWay: false)
        if isBound { handover.rest.removeFirst(handover.underWay) }
        if handover.rest.isEmpty { handover.stage = .shipped }
        ledgers[index].handover = handover
        // What failed is tried again with the next upkeep.
        if isBound, !handover.rest.isEmpty { ship(in: index, into: &effects) }
        if isBound, handover.rest.isEmpty {
            let primary = ledgers[index].primary
            effects.append(.slotsShipped(primary.id, primary.term, handover.moves, view: handover.view))
        }
    }

    /// Binds keys whose slots the ledger is to have.
    ///
    /// - Parameter request: `accepted(request)` follows once they are committed.
    /// - Returns: false if this node is not the primary of that ledger.
    public mutating func take(_ shipment: KeyShipment, request: UInt64) -> Bool {
        guard let index = index(of: shipment.to), !ledgers[index].primary.isCongested else { return false }
        record(.bound(shipment.bindings), in: index)
        ledgers[index].primary.whenCommitted(.accepted(request: request))
        return true
    }
}

extension Limits {
    /// Keys of one message to another home.
    public static let shippedBytes = 256 << 10
}
