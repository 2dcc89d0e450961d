import Primitives
import TaskLedger

/// What the voters have agreed on, as far as ledgers are concerned.
struct SimulatedView {
    struct Ledger: Hashable {
        var id: LedgerID
        var term: Term
        var primary: StoreHolder
        var backups: [StoreHolder]
        var founder: StoreHolder

        var replicas: [StoreHolder] { [primary] + backups }
    }

    var number: UInt64 = 0
    var members: [NodeID: StoreID] = [:]
    var ledgers: [Ledger] = []
    var nextLedger: UInt32 = 1

    func ledger(_ id: LedgerID) -> Ledger? { ledgers.first { $0.id == id } }
    func member(_ name: NodeName) -> NodeID? { members.keys.first { $0.name == name } }
}

/// Stands for gossip and for the agreement on views: one authority that keeps the rules of R2. A takeover lists only
/// replicas that were listed, and raises the term; a learner is listed only by an ask that names this view and term.
struct SimulatedAuthority {
    enum Condition { case alive, suspect, gone }

    /// What it believes of a node.
    struct News {
        var id: NodeID
        var store: StoreID
        var condition: Condition
        var isDraining: Bool
    }

    struct Word: Hashable {
        var ledger: LedgerID
        var term: Term
        var replica: StoreHolder
        var view: UInt64
    }

    private(set) var view = SimulatedView()
    var asks: Set<Word> = []
    var failedAsks: Set<Word> = []
    var unreachable: Set<Word> = []
    var drained: Set<Word> = []
    /// Ledgers that were given up since every copy is lost, or deleted since they were drained.
    private(set) var lost: Set<LedgerID> = []
    /// Generations up to these were removed: they do not come back.
    private var removed: [NodeName: Generation] = [:]

    /// The next view; nil if nothing is to be changed.
    mutating func decide(_ news: [News], copies: Int, using random: inout SeededGenerator) -> SimulatedView? {
        var next = view
        next.number += 1
        var isForced = false
        for node in news {
            let old = view.member(node.id.name)
            if node.condition == .gone, let old { next.members[old] = nil }
            guard node.condition == .alive, removed[node.id.name].map({ $0 < node.id.generation }) ?? true else {
                continue
            }
            if let old, old != node.id { next.members[old] = nil }
            next.members[node.id] = node.store
        }
        func store(_ name: NodeName) -> StoreID? { next.member(name).flatMap { next.members[$0] } }
        func isAway(_ replica: StoreHolder) -> Bool { store(replica.name) != replica.store }
        func isAlive(_ replica: StoreHolder) -> Bool {
            !isAway(replica) && news.contains { $0.id.name == replica.name && $0.condition == .alive }
        }
        func isDraining(_ name: NodeName) -> Bool { news.contains { $0.id.name == name && $0.isDraining } }
        func isLost(_ replica: StoreHolder) -> Bool {
            news.contains { $0.id.name == replica.name && $0.condition == .alive && $0.store != replica.store }
        }

        next.ledgers = []
        for ledger in view.ledgers {
            func isUnreachable(_ backup: StoreHolder) -> Bool {
                unreachable.contains(Word(ledger: ledger.id, term: ledger.term, replica: backup, view: view.number))
            }
            var ledger = ledger
            let before = view.member(ledger.primary.name)
            let serves = before != nil && before == next.member(ledger.primary.name) && !isAway(ledger.primary)
            let hands = serves && isAlive(ledger.primary) && isDraining(ledger.primary.name)
            if drained.contains(Word(ledger: ledger.id, term: ledger.term, replica: ledger.primary, view: view.number)),
                serves, ledger.primary != ledger.founder || isAway(ledger.founder)
            {
                lost.insert(ledger.id)
                continue
            }
            if !serves || hands {
                var able = ledger.replicas.filter(isAlive)
                let staying = able.filter { !isDraining($0.name) && !(hands && isUnreachable($0)) }
                if hands || !staying.isEmpty { able = staying }
                // Any of them will do: the rules promise that.
                if let primary = able.randomElement(using: &random) {
                    ledger.backups = ledger.replicas.filter { $0 != primary && !isAway($0) }.sorted()
                    ledger.primary = primary
                    ledger.term = ledger.term.next
                } else if !serves, ledger.replicas.allSatisfy(isLost) {
                    lost.insert(ledger.id)
                    continue
                } else if !serves {
                    next.ledgers.append(ledger)
                    continue
                }
            }
            if serves, ledger.term == view.ledger(ledger.id)?.term {
                ledger.backups.removeAll { isAway($0) || isUnreachable($0) }
                let (id, term, number) = (ledger.id, ledger.term, view.number)
                let current = { (word: Word) in word.ledger == id && word.term == term && word.view == number }
                if failedAsks.contains(where: current) { isForced = true }
                for word in asks.filter({ current($0) && !failedAsks.contains($0) }).sorted(by: {
                    $0.replica < $1.replica
                })
                where !ledger.replicas.contains(word.replica) {
                    let isFree = !ledger.replicas.contains { $0.name == word.replica.name }
                    if isAlive(word.replica), !isDraining(word.replica.name), isFree {
                        ledger.backups.append(word.replica)
                    } else {
                        isForced = true
                    }
                }
                ledger.backups.sort()
            }
            if ledger.replicas.count(where: { !isDraining($0.name) }) >= copies {
                ledger.backups.removeAll { isDraining($0.name) }
            }
            next.ledgers.append(ledger)
        }
        for id in next.members.keys.sorted() {
            guard let store = next.members[id], !isDraining(id.name) else { continue }
            let holder = StoreHolder(name: id.name, store: store)
            guard isAlive(holder), !next.ledgers.contains(where: { $0.founder == holder }) else { continue }
            next.ledgers.append(
                SimulatedView.Ledger(
                    id: LedgerID(next.nextLedger), term: .first, primary: holder, backups: [], founder: holder))
            next.nextLedger += 1
        }
        guard isForced || next.members != view.members || next.ledgers != view.ledgers else { return nil }
        for old in view.members.keys where next.members[old] == nil { removed[old.name] = old.generation }
        view = next
        asks = []
        failedAsks = []
        unreachable = []
        drained = []
        return next
    }
}
