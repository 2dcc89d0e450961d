import Primitives
import Views

/// What goes wrong, what gossip makes of it, and how it ends.
extension SimulatedCluster {
    mutating func fault() throws(Violation) {
        guard let index = nodes.indices.randomElement(using: &random) else { return }
        if isDuel, strikes > 0 || chance(90) { return try duel(index) }
        switch Int.random(in: 0..<(registry.exists ? 15 : 12), using: &random) {
        case 0...2: crash(index)
        case 3...5: try restart(index, wiped: false)
        case 6: try restart(index, wiped: isDeadly || flaw == .outside(.blankVoterVotes))
        case 7:  // the network falls apart
            for index in nodes.indices { nodes[index].group = Int.random(in: 0...1, using: &random) }
        case 8...9:
            for index in nodes.indices { nodes[index].group = 0 }
        // A process that drains never ceases to.
        case 10: nodes[index].isDraining = nodes[index].isUp
        case 11: report(index)
        default: disturbRegistry(index)
        }
    }

    /// Ties, by all means.
    private mutating func duel(_ index: Int) throws(Violation) {
        if strikes == 0 {
            strikes = Int.random(in: 2...8, using: &random)
        } else {
            strikes -= 1
            if strikes == 0 {
                for index in nodes.indices {
                    nodes[index].group = 0
                    nodes[index].link.isReachable = true
                    if !nodes[index].isUp { try start(index) }
                }
                return
            }
        }
        switch Int.random(in: 0..<8, using: &random) {
        case 0: crash(index)
        case 1: for index in nodes.indices where !nodes[index].isUp { try start(index) }
        case 2: try restart(index, wiped: false)
        case 3...4: for index in nodes.indices { nodes[index].group = index }
        case 5: for index in nodes.indices { nodes[index].group = 0 }
        default: if registry.exists { emptyRegistry() }
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
        for other in nodes.indices where nodes[other].isUp && nodes[other].group == nodes[index].group && chance(70) {
            nodes[other].proofs.insert(nodes[index].id)
        }
    }

    /// Survivors who are no majority have proof, and may be forcing a view.
    private func isAwaited(_ index: Int) -> Bool {
        nodes.contains { survivor in
            guard survivor.isUp, let view = survivor.machine?.record.view, view.voters.count > 2,
                view.voters.contains(nodes[index].voter), survivor.proofs.contains(nodes[index].id)
            else { return false }
            return view.voters.count { voter in nodes.contains { $0.isUp && $0.voter == voter } } < view.majority
        }
    }

    private mutating func restart(_ index: Int, wiped: Bool) throws(Violation) {
        crash(index)
        // An instant later, if at all.
        guard !isAwaited(index) else { return }
        if wiped {
            log("\(nodes[index].name) loses its disk")
            nodes[index].durable = VoterRecord(generation: nodes[index].durable.generation)
            if flaw != .outside(.blankVoterVotes) { nodes[index].disk = freshStore() }
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
        let peers = nodes[index].beliefs.filter { $0.id.name != nodes[index].name }.map { other in
            ViewAgreement.Peer(
                id: other.id, disk: other.profile.disk, address: other.profile.peer,
                isAlive: other.condition == .alive || other.condition == .suspect, isExitProven: other.isExitProven)
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
        var next = wish(of: index, after: view, observed)
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
            unreachableBackups: Array(complaints.suffix(5)), drainedLedgers: Array(drained.suffix(5)),
            tieMark: nodes[index].tie.mark(at: now), isTieMarkLost: nodes[index].tie.isLost)
    }

    /// What the next view should be; a forced one if there is no other way.
    private func wish(of index: Int, after view: View, _ observed: Observations) -> View? {
        guard nodes[index].machine?.isConfirmed == true, view.member(nodes[index].id) != nil, timing.survives else {
            return ViewPlanner.next(after: view, observed)
        }
        let living = view.voters.count { voter in
            observed.nodes.contains { $0.id.name == voter.name && $0.condition == .alive }
        }
        let isHasty = flaw == .mutation(.forceWithoutProof) && view.voters.count > 2 && living < view.majority
        guard isHasty || ViewPlanner.mayForce(after: view, observed) else {
            return ViewPlanner.next(after: view, observed)
        }
        return ViewPlanner.forced(after: view, observed, salt: nodes[index].salt)
    }

    private mutating func believe(_ index: Int) {
        for other in nodes where other.isUp && other.group == nodes[index].group && chance(50) {
            nodes[index].proofs.formUnion(other.proofs)
        }
        nodes[index].beliefs = nodes.indices.compactMap { other in
            let node = nodes[other]
            // An empty directory of a node that never started is not known to anybody.
            guard node.process > 0 else { return nil }
            var condition: ObservedNode.Condition = node.isUp ? .alive : .gone
            if nodes[index].proofs.contains(node.id) {
                return ObservedNode(
                    id: node.id, profile: node.profile, condition: .gone, isDraining: node.isDraining,
                    isExitProven: true)
            }
            if !isHealed, other != index {
                if node.group != nodes[index].group { condition = chance(isDuel ? 10 : 50) ? .suspect : .gone }
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
            if flaw == .outside(.unlistedTakeover),
                let blank = planned.members.map(\.replica).first(where: { new in
                    !before.replicas.contains { $0.name == new.name }
                })
            {
                planned.ledgers[position].primary = blank
                planned.ledgers[position].backups.removeAll { $0.name == blank.name }
            }
            if flaw == .outside(.resumedTerm), ledger.primary == before.primary {
                planned.ledgers[position].term = before.term
            }
        }
        next = planned
    }

    // MARK: The end

    mutating func heal() throws(Violation) {
        isHealed = true
        healedAt = now
        log("all heals")
        for index in nodes.indices {
            nodes[index].group = 0
            if nodes[index].isDraining { crash(index) }
            guard !nodes[index].isUp, !isDeadly || chance(70) else { continue }
            if isAwaited(index) { queue.add(.start(index), at: now + .seconds(3)) } else { try start(index) }
        }
        healRegistry()
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
        let unsettled = living.first { index in
            nodes[index].machine?.installed != newest || nodes[index].machine?.isConfirmed != true
        }
        let wishes = living.contains { index in
            newest.voters.contains(nodes[index].voter)
                && ViewPlanner.next(after: newest, truth(for: index)) != nil
        }
        if unsettled == nil, !wishes { return true }
        if now - healedAt > .seconds(20), !ghosts.isRecovered { try recover(newest) }
        guard isFinal else { return false }
        throw Violation(
            seed: seed,
            what: unsettled.map { "\(nodes[$0].name) does not settle" } ?? "view \(newest.number) is never changed")
    }

    /// What a node would see if it saw everything.
    private func truth(for index: Int) -> Observations {
        var observed = observations(of: index)
        observed.nodes = nodes.map {
            ObservedNode(
                id: $0.id, profile: $0.profile, condition: $0.isUp ? .alive : .gone, isDraining: $0.isDraining)
        }
        return observed
    }

    /// An operator helps, if the report says that the cluster cannot help itself.
    private mutating func recover(_ newest: View) throws(Violation) {
        guard let index = nodes.indices.first(where: { nodes[$0].machine?.installed == newest }) else { return }
        let observed = truth(for: index)
        let report = RecoveryReport(newest, observed)
        guard report.isNeeded else { return }
        ghosts.isRecovered = true
        guard let view = ViewPlanner.recovered(after: newest, observed, salt: nodes[index].salt) else { return }
        log("an operator forces \(view.summary)")
        guard Set(view.losses.map(\.ledger)).isSuperset(of: report.lostLedgers.map(\.id)),
            report.keptLedgers.allSatisfy({ view.ledger($0.id) != nil })
        else { throw Violation(seed: seed, what: "a forced view does not do what was reported") }
        ghosts.forces(view, after: newest)
        try handle(.force(view), by: index)
    }
}
