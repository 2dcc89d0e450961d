import Primitives
import Views

/// What goes wrong, and what views are made of it.
extension FenceCluster {
    mutating func fault() throws(Violation) {
        guard let index = nodes.indices.randomElement(using: &random) else { return }
        switch Int.random(in: 0..<12, using: &random) {
        case 0...5: overthrow()
        case 6: split()
        case 7: stop(index, .stopped, for: milliseconds(100...5000))
        case 8: stop(index, .asleep, for: milliseconds(1100...6000))
        case 9...10: crash(index, for: milliseconds(20...3000))
        default:
            // One that drains stays so: it hands over, and is of no more use here.
            if nodes.count(where: { $0.isDraining }) == 0, nodes.count > 3, nodes[index].isAwake {
                log("\(nodes[index].id) drains")
                nodes[index].isDraining = true
            }
        }
    }

    /// The primary is to lose the ledger, and not to hear of it: it is cut off with some of the others, or stands still, or
    /// what is decided does not get through. Then it comes back.
    private mutating func overthrow() {
        let newest = nodes.compactMap(\.view).max { $0.number < $1.number }
        guard let primary = newest?.ledger(Self.ledger)?.primary.name,
            let index = nodes.firstIndex(where: { $0.name == primary })
        else { return }
        log("\(primary) is to be overthrown")
        isSlow = chance(40)
        isMigrating = chance(30)
        if isMigrating {
            unwanted = []
            queue.add(.strike(.unwanted(primary)), at: now + milliseconds(200...800))
        } else {
            unwanted = chance(80) ? [primary] : []
        }
        switch Int.random(in: 0..<10, using: &random) {
        case 0...2:
            for node in nodes.indices { nodes[node].group = node == index || chance(25) ? 1 : 0 }
        case 3: stop(index, chance(50) ? .stopped : .asleep, for: milliseconds(1100...5000))
        default:
            for node in nodes.indices { nodes[node].isDeaf = node == index || chance(40) }
            nodes[index].isAloof = chance(50)
        }
        if chance(40) { queue.add(.strike(.successor(of: primary)), at: now + milliseconds(300...1200)) }
        if chance(15) { queue.add(.strike(.disk), at: now + milliseconds(200...1200)) }
        queue.add(.calm, at: now + milliseconds(1500...4500))
    }

    mutating func strike(_ strike: Strike) {
        let newest = nodes.compactMap(\.view).max { $0.number < $1.number }
        switch strike {
        case .successor(let name):
            guard let successor = newest?.ledger(Self.ledger)?.primary.name, successor != name,
                let index = nodes.firstIndex(where: { $0.name == successor })
            else { return }
            crash(index, for: milliseconds(5...100))
        case .disk:
            let voters = nodes.indices.filter { index in
                newest?.voters.contains { $0.name == nodes[index].name } ?? false
            }
            guard !hasWiped, voters.count > 2, let index = voters.randomElement(using: &random) else { return }
            crash(index, for: milliseconds(5...100), wiped: true)
        case .unwanted(let name):
            unwanted = [name]
        }
    }

    mutating func calm() {
        for node in nodes.indices {
            nodes[node].group = 0
            nodes[node].isDeaf = false
            nodes[node].isAloof = false
        }
        isSlow = false
        isMigrating = false
    }

    private mutating func split() {
        for node in nodes.indices { nodes[node].group = Int.random(in: 0...1, using: &random) }
        log("split: \(nodes.map { "\($0.name)\($0.group)" })")
    }

    private mutating func stop(_ index: Int, _ stillness: Stillness, for duration: Duration) {
        guard nodes[index].isAwake else { return }
        log("\(nodes[index].id) is \(stillness) for \(duration)")
        nodes[index].stillness = stillness
        nodes[index].stillSince = now
        queue.add(.wake(index), at: now + duration)
    }

    mutating func wake(_ index: Int) throws(Violation) {
        guard nodes[index].stillness != .no else { return }
        let gap = now - nodes[index].stillSince
        if nodes[index].stillness == .asleep { nodes[index].slept += gap }
        nodes[index].stillness = .no
        log("\(nodes[index].id) wakes up")
        if gap > Limits.fencePause, flaw != .ignorePause { nodes[index].permit.paused() }
        let backlog = nodes[index].backlog
        nodes[index].backlog = []
        for happening in backlog { queue.add(happening, at: now) }
    }

    mutating func crash(_ index: Int, for pause: Duration, wiped: Bool = false) {
        guard nodes[index].isUp else { return }
        log("\(nodes[index].id) crashes")
        if nodes[index].stillness == .asleep { nodes[index].slept += now - nodes[index].stillSince }
        nodes[index].machine = nil
        nodes[index].process += 1
        nodes[index].stillness = .no
        // What it did for itself goes on with the next process; what others sent is lost.
        for case .turn in nodes[index].backlog { queue.add(.turn(index), at: now) }
        nodes[index].backlog = []
        if wiped {
            hasWiped = true
            log("its disk is lost")
            nodes[index].formerDisk = nodes[index].disk
            nodes[index].disk = StoreID(nodes[index].disk.rawValue + 1)
            nodes[index].store = StoreID(nodes[index].store.rawValue + 1)
            nodes[index].durable = VoterRecord(generation: nodes[index].durable.generation)
        }
        queue.add(.restart(index), at: now + pause)
    }

    mutating func heal() throws(Violation) {
        isHealed = true
        log("all is well")
        calm()
        for index in nodes.indices {
            try wake(index)
            if !nodes[index].isUp { start(index) }
        }
    }

    // MARK: What the next view should be

    /// Somebody has a wish for the view after its own. Gossip may be wrong: anybody may be taken for dead.
    mutating func meddle() throws(Violation) {
        let able = nodes.indices.filter { nodes[$0].isAwake && nodes[$0].machine?.isVoter == true }
        guard let index = able.randomElement(using: &random), let view = nodes[index].machine?.record.view else {
            return
        }
        if chance(isQuiet ? 5 : 15) { unwanted = [] }
        if !isQuiet, chance(15), let other = nodes.randomElement(using: &random) { unwanted = [other.name] }
        if isQuiet { unwanted = [] }
        let next = wish(after: view)
        try handle(.desired(next), by: index)
    }

    private mutating func wish(after view: View) -> View? {
        var next = view
        next.number += 1
        for node in nodes {
            let isWanted = !unwanted.contains(node.name) && (node.isUp || chance(50))
            let position = next.members.firstIndex { $0.id.name == node.name }
            if let position {
                if !isWanted {
                    next.members.remove(at: position)
                } else if node.isUp, isQuiet || chance(90) {
                    next.members[position] = node.member
                }
            } else if isWanted, node.isUp, !node.isDraining {
                next.members.append(node.member)
            }
        }
        next.members.sort { $0.id.name < $1.id.name }
        let useful = next.members.filter { member in !nodes.contains { $0.name == member.id.name && $0.isDraining } }
        guard !useful.isEmpty else { return nil }
        guard chooseVoters(&next, of: useful), chooseReplicas(&next, after: view, of: useful) else { return nil }
        var same = next
        same.number = view.number
        return same == view ? nil : next
    }

    private mutating func chooseVoters(_ next: inout View, of useful: [Member]) -> Bool {
        let kept = next.voters.filter { voter in useful.contains { $0.voter == voter } }
        let isEnough = kept.count == next.voters.count && (!isQuiet || kept.count >= (useful.count + 1) / 2)
        guard !isEnough || isMigrating || !isQuiet && chance(15) else { return true }
        // A new process that has not heard of the cluster yet, and crashes as its only voter, would be the end of it.
        var pool = useful.map(\.voter).filter { voter in
            nodes.contains { $0.name == voter.name && $0.durable.view != nil } || next.voters.contains(voter)
        }
        guard !pool.isEmpty else {
            return next.voters.allSatisfy { voter in next.members.contains { $0.voter == voter } }
        }
        if isMigrating {
            let fresh = pool.filter { voter in
                !next.voters.contains(voter) && !nodes.contains { $0.name == voter.name && $0.isDeaf }
            }
            if fresh.isEmpty { return isEnough } else { pool = fresh }
        }
        pool.shuffle(using: &random)
        let greatest = min(Limits.voters, pool.count)
        let count = isQuiet || chance(60) ? greatest : Int.random(in: 1...greatest, using: &random)
        next.voters = pool.prefix(count).sorted()
        return true
    }

    /// The ledger is held by all: what this is about is who may start its tasks.
    private mutating func chooseReplicas(_ next: inout View, after view: View, of useful: [Member]) -> Bool {
        guard let position = next.ledgers.firstIndex(where: { $0.id == Self.ledger }) else { return false }
        var ledger = next.ledgers[position]
        let before = view.member(ledger.primary.name)
        let after = next.member(ledger.primary.name)
        let serves = before != nil && before?.id == after?.id && after?.replica == ledger.primary
        let drains = nodes.contains { $0.name == ledger.primary.name && $0.isDraining }
        // A disk that was wiped holds nothing; here that would end the run, so its replica is listed in the next view.
        if !serves || drains || !isQuiet && chance(20) {
            let able = useful.map(\.replica).filter { ledger.replicas.contains($0) }
            if let primary = able.randomElement(using: &random) {
                ledger.backups = ledger.replicas.filter { $0 != primary }.sorted()
                ledger.primary = primary
                ledger.term = ledger.term.next
            } else if isHealed {
                return false
            }
        } else {
            let new = useful.map(\.replica).filter { replica in !ledger.replicas.contains { $0.name == replica.name } }
            let isFresh: (StoreHolder) -> Bool = { replica in
                !useful.contains { $0.id.name == replica.name && $0.replica != replica }
            }
            ledger.backups = (ledger.backups.filter(isFresh) + new).sorted()
        }
        next.ledgers[position] = ledger
        return true
    }
}
