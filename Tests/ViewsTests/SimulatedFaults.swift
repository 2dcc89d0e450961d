import Primitives
import Views

/// What goes wrong, what gossip makes of it, and how it ends.
extension SimulatedCluster {
    mutating func fault() throws(Violation) {
        guard let index = nodes.indices.randomElement(using: &random) else { return }
        switch Int.random(in: 0..<12, using: &random) {
        case 0...2: crash(index)
        case 3...5: try restart(index, wiped: false)
        case 6: try restart(index, wiped: isDeadly || flaw == .blankVoterVotes)
        case 7:  // the network falls apart
            for index in nodes.indices { nodes[index].group = Int.random(in: 0...1, using: &random) }
        case 8...9:
            for index in nodes.indices { nodes[index].group = 0 }
        case 10: nodes[index].isDraining.toggle()
        default: report(index)
        }
    }

    private mutating func crash(_ index: Int) {
        guard nodes[index].isUp else { return }
        log("\(nodes[index].id) crashes")
        // The write under way may have been finished, though nobody was told.
        if chance(50), let first = nodes[index].writes.first, nodes[index].isWriting {
            nodes[index].durable = first.record
            ghosts.wrote(upTo: first.ticket, by: nodes[index])
        }
        ghosts.crashes(nodes[index])
        nodes[index].machine = nil
    }

    private mutating func restart(_ index: Int, wiped: Bool) throws(Violation) {
        crash(index)
        if wiped {
            log("\(nodes[index].name) loses its disk")
            nodes[index].durable = VoterRecord(generation: nodes[index].durable.generation)
            if flaw != .blankVoterVotes { nodes[index].disk = freshStore() }
        }
        if wiped || chance(30) { nodes[index].store = freshStore() }
        try start(index)
    }

    /// A primary speaks: of a learner, of one that failed, of a backup, of an empty ledger. In its own view and term.
    private mutating func report(_ index: Int) {
        let node = nodes[index]
        guard let view = node.machine?.installed, view.member(node.name)?.id == node.id else { return }
        guard
            let ledger = view.ledgers.filter({ $0.primary == view.member(node.name)?.replica })
                .randomElement(using: &random)
        else { return }
        switch Int.random(in: 0..<6, using: &random) {
        case 0...2:
            guard
                let learner = view.members.map(\.replica).filter({ !ledger.replicas.contains($0) })
                    .randomElement(using: &random)
            else { return }
            asks.append(LearnerAsk(ledger: ledger.id, view: view.number, term: ledger.term, learner: learner))
        case 3:
            if let ask = asks.last { failedAsks.append(ask) }
        case 4:
            guard let backup = ledger.backups.first else { return }
            complaints.append(
                BackupComplaint(ledger: ledger.id, view: view.number, term: ledger.term, backup: backup))
        default:
            drained.append(DrainedLedger(ledger: ledger.id, view: view.number, term: ledger.term))
        }
    }

    /// Gossip, then the planner, then the machine. Everybody sees the reports of primaries, sooner or later.
    mutating func observe(_ index: Int) throws(Violation) {
        if isHealed || nodes[index].beliefs.isEmpty || chance(50) { believe(index) }
        let peers = nodes.indices.filter { $0 != index && (isHealed || nodes[$0].isUp) }.map { other in
            ViewAgreement.Peer(
                name: nodes[other].name, address: nodes[other].address,
                isAlive: nodes[index].beliefs.contains { $0.id.name == nodes[other].name && $0.condition == .alive })
        }
        try handle(.peers(peers), by: index)
        if let number = nodes[index].machine?.installed?.number, let other = nodes.indices.randomElement(using: &random)
        {
            queue.add(.heard(number, from: index, to: other), at: now + milliseconds(1...30))
        }
        guard let view = nodes[index].machine?.installed else { return }
        if isHealed { askForCopies(index, view) }
        var observed = observations(of: index)
        if !isHealed {
            for ledger in view.ledgers {
                for replica in ledger.replicas where chance(30) {
                    observed.positions.append(
                        ReplicaPosition(
                            ledger: ledger.id, replica: replica, term: ledger.term,
                            sequence: UInt64.random(in: 0...3, using: &random)))
                }
            }
        }
        if isContentious, !isHealed {
            for ledger in view.ledgers where chance(50) {
                guard let backup = ledger.backups.randomElement(using: &random) else { continue }
                observed.unreachableBackups.append(
                    BackupComplaint(ledger: ledger.id, view: view.number, term: ledger.term, backup: backup))
            }
        }
        if let planned = nodes[index].planned, planned.after == view.number, planned.from == observed {
            try handle(.desired(planned.view), by: index)
            return
        }
        var next = ViewPlanner.next(after: view, observed)
        if let planned = next {
            do throws(ViewError) {
                try planned.validate(after: view)
            } catch {
                throw Violation(seed: seed, what: "the planner breaks a rule: \(error)")
            }
        }
        spoil(&next, after: view)
        nodes[index].planned = (view.number, observed, next)
        try handle(.desired(next), by: index)
    }

    func observations(of index: Int) -> Observations {
        // Statements about earlier views are among them: the planner has to know that they are void.
        Observations(
            nodes: nodes[index].beliefs, asks: Array(asks.suffix(20)), failedAsks: Array(failedAsks.suffix(5)),
            unreachableBackups: Array(complaints.suffix(5)), drainedLedgers: Array(drained.suffix(5)))
    }

    private mutating func believe(_ index: Int) {
        nodes[index].beliefs = nodes.indices.compactMap { other in
            let node = nodes[other]
            // An empty directory of a node that never started is not known to anybody.
            guard node.process > 0 else { return nil }
            var condition: ObservedNode.Condition = node.isUp ? .alive : .gone
            if !isHealed, other != index {
                if node.group != nodes[index].group { condition = chance(50) ? .suspect : .gone }
                if chance(8) { condition = [.suspect, .gone, .left, .alive].randomElement(using: &random) ?? .suspect }
                if chance(5) { return nil }
            }
            return ObservedNode(id: node.id, profile: node.profile, condition: condition, isDraining: node.isDraining)
        }
    }

    /// After healing, primaries ask for learners as long as copies are missing.
    private mutating func askForCopies(_ index: Int, _ view: View) {
        let node = nodes[index]
        guard let machine = node.machine, machine.isConfirmed, view.member(node.id) != nil else { return }
        for ledger in view.ledgers where ledger.primary == view.member(node.id)?.replica {
            let staying = ledger.replicas.count { replica in
                nodes.contains { $0.name == replica.name && $0.store == replica.store && $0.isUp && !$0.isDraining }
            }
            guard staying < Int(view.settings.copies) else { continue }
            guard
                let learner = nodes.first(where: { other in
                    other.isUp && !other.isDraining && view.member(other.id) != nil
                        && !ledger.replicas.contains { $0.name == other.name }
                })
            else { continue }
            let ask = LearnerAsk(
                ledger: ledger.id, view: view.number, term: ledger.term,
                learner: StoreHolder(name: learner.name, store: learner.store))
            if !asks.contains(ask) { asks.append(ask) }
        }
    }

    private mutating func spoil(_ next: inout View?, after view: View) {
        guard var planned = next else { return }
        for position in planned.ledgers.indices {
            let ledger = planned.ledgers[position]
            guard let before = view.ledger(ledger.id), ledger.term > before.term else { continue }
            if flaw == .unlistedTakeover,
                let blank = planned.members.map(\.replica).first(where: { new in
                    !before.replicas.contains { $0.name == new.name }
                })
            {
                planned.ledgers[position].primary = blank
                planned.ledgers[position].backups.removeAll { $0.name == blank.name }
            }
            if flaw == .resumedTerm, ledger.primary == before.primary { planned.ledgers[position].term = before.term }
        }
        next = planned
    }

    // MARK: The end

    mutating func heal() throws(Violation) {
        isHealed = true
        log("all heals")
        for index in nodes.indices {
            nodes[index].group = 0
            nodes[index].isDraining = false
            if !nodes[index].isUp, !isDeadly || chance(70) { try start(index) }
        }
        if chance(20), let index = nodes.indices.randomElement(using: &random) { nodes[index].isDraining = true }
        queue.add(.check, at: now + .milliseconds(200))
    }

    /// Whether the cluster has settled: all living nodes are confirmed in one view, which nobody wants to change.
    @discardableResult
    mutating func judge(isFinal: Bool) throws(Violation) -> Bool {
        let living = nodes.indices.filter { nodes[$0].isUp }
        let views = living.compactMap { nodes[$0].machine?.installed }
        guard let newest = views.max(by: { $0.number < $1.number }) else {
            ghosts.isExcused = true  // the founder never came back: there is no cluster
            return true
        }
        let voters = newest.voters.filter { voter in
            nodes.contains { $0.isUp && $0.name == voter.name && $0.disk == voter.store }
        }
        guard voters.count >= newest.majority else {
            ghosts.isExcused = true  // too many voters are dead, or lost their disks
            return true
        }
        let unsettled = living.first { index in
            nodes[index].machine?.installed != newest || nodes[index].machine?.isConfirmed != true
        }
        let wanted = living.first.flatMap { index in
            var observed = observations(of: index)
            observed.nodes = nodes.map {
                ObservedNode(
                    id: $0.id, profile: $0.profile, condition: $0.isUp ? .alive : .gone, isDraining: $0.isDraining)
            }
            return ViewPlanner.next(after: newest, observed)
        }
        guard isFinal else { return unsettled == nil && wanted == nil }
        throw Violation(
            seed: seed,
            what: unsettled.map { "\(nodes[$0].name) does not settle" } ?? "view \(newest.number) is never changed")
    }
}
