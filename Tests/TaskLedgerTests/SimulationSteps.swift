import Primitives

@testable import TaskLedger

/// What a node's actors would do around the machines.
extension Simulation {
    // MARK: From time to time

    func tick(_ node: Int) {
        schedule(.tick(node), after: .milliseconds(20))
        guard nodes[node].isUp else { return }
        nodes[node].owner.wake(at: now, timestamp: timestamp)
        report(node)
        offer(node)
        steal(node)
        if !isHealing, chance(10) { wish(node) }
        turn(node)
    }

    func upkeep(_ node: Int) {
        schedule(.upkeep(node), after: .milliseconds(100))
        guard nodes[node].isUp, let view = nodes[node].view else { return }
        let candidates = nodes.indices.map { ($0 + node) % nodes.count }.filter { other in
            nodes[other].isUp && !nodes[other].isSuspected && !nodes[other].isDraining
                && view.members[nodes[other].id] == nodes[other].store
        }.map { nodes[$0].replica }
        let linked = linkedNames(node)
        nodes[node].owner.lookAfterReplicas(
            candidates: candidates, copies: settings.copies, at: now, isLinked: linked.contains,
            into: &nodes[node].effects)
        for (holder, attempts) in nodes[node].owner.doubts() {
            if holder == nodes[node].id {
                let answer = nodes[node].holder.answer(attempts)
                nodes[node].owner.holds(answer.held, not: answer.missing, at: now, timestamp: timestamp)
            } else if let other = index(of: holder.name), nodes[other].id == holder {
                send(.askHolds(attempts), from: node, to: other)
            }
        }
        snapshot(node)
        turn(node)
    }

    // MARK: The journal

    /// As the node's journal does: what the owner has appended goes to the disk, and is told when it is there.
    func writeDown(_ node: Int) {
        let records = nodes[node].owner.takeUnwritten()
        write(records, at: node)
        let marks = nodes[node].owner.awaitingDurability
        guard !marks.isEmpty, marks != nodes[node].marked else { return }
        nodes[node].marked = marks
        whenDurable(node) { [self] in nodes[node].owner.madeDurable(marks) }
    }

    func write(_ records: [JournalRecord], at node: Int) {
        for case .dropped(let id) in records { nodes[node].journal.snapshot?.dropped(id) }
        nodes[node].journal.write(records)
    }

    private func whenDurable(_ node: Int, _ done: @escaping () -> Void) {
        nodes[node].journal.whenDurable(done)
        let delay = chance(90) ? milliseconds(0...3) : milliseconds(3...80)
        schedule(.synced(node, process: nodes[node].process, upTo: nodes[node].journal.end), after: delay)
    }

    private func drop(_ id: LedgerID, at node: Int) {
        nodes[node].offers.remove(id)
        if nodes[node].replicas.removeValue(forKey: id) != nil { write([.dropped(id)], at: node) }
    }

    private func snapshot(_ node: Int) {
        if nodes[node].journal.snapshot == nil {
            guard chance(30), !nodes[node].replicas.values.contains(where: \.isReceiving) else { return }
            writeDown(node)
            nodes[node].journal.beginSnapshot()
            continueSnapshot(node)
        }
    }

    private func continueSnapshot(_ node: Int) {
        guard nodes[node].isUp, nodes[node].journal.snapshot != nil else { return }
        writeDown(node)
        let ledgers = (nodes[node].owner.ownedLedgers + nodes[node].replicas.keys).sorted()
        let part = nodes[node].journal.snapshot?.next(ledgers: ledgers, bytes: 3 * settings.payload) {
            nodes[node].copy(of: $0)
        }
        if let part {
            write(part, at: node)
            whenDurable(node) { [self] in continueSnapshot(node) }
        } else {
            nodes[node].journal.endSnapshot()
            whenDurable(node) {}
        }
    }

    private func linkedNames(_ node: Int) -> Set<NodeName> {
        Set(nodes.indices.filter { isLinked(node, $0) }.map { nodes[$0].name })
    }

    private func report(_ node: Int) {
        guard let view = nodes[node].view else { return }
        for report in nodes[node].holder.unsettled {
            guard let ledger = view.ledger(report.attempt.ledger) else {
                nodes[node].holder.settled([report.attempt])
                continue
            }
            if ledger.primary.name == nodes[node].name {
                nodes[node].owner.take(
                    report, from: nodes[node].id, at: now, timestamp: timestamp, into: &nodes[node].effects)
            } else if let primary = index(of: ledger.primary.name) {
                send(.report([report]), from: node, to: primary)
            }
        }
    }

    private func offer(_ node: Int) {
        guard let view = nodes[node].view else { return }
        for id in nodes[node].offers.sorted() {
            if view.ledger(id) == nil, id.rawValue < view.nextLedger { drop(id, at: node) }
            guard let ledger = view.ledger(id), let replica = nodes[node].replicas[id],
                let primary = index(of: ledger.primary.name), primary != node
            else { continue }
            if ledger.replicas.contains(nodes[node].replica) {
                nodes[node].offers.remove(id)
            } else {
                send(.offer(OfferRequest(ledger: id, tail: replica.tail(after: 0).entries)), from: node, to: primary)
            }
        }
    }

    private func steal(_ node: Int) {
        guard chance(40), let view = nodes[node].view, view.members[nodes[node].id] != nil, !nodes[node].isDraining,
            nodes[node].holder.freeSlots > 0, nodes[node].owner.readyCount == 0
        else { return }
        let victim = Int.random(in: nodes.indices, using: &random)
        let request = StealRequest(wanted: nodes[node].holder.freeSlots, minimumPriority: .low)
        send(.steal(request), from: node, to: victim)
    }

    // MARK: Clients

    func submit() {
        guard !isHealing else { return }
        let delay = milliseconds(20...200)
        schedule(.submit, after: delay)
        let node = Int.random(in: nodes.indices, using: &random)
        guard nodes[node].isUp else { return }
        let specs = (0..<Int.random(in: 1...3, using: &random)).map { _ in spec() }
        lastRequest += 1
        do throws(OwnerRefusal) {
            let ids = try nodes[node].owner.submit(
                specs, request: lastRequest, at: now, microseconds: UInt64(now.nanoseconds / 1000))
            ghost.requests[lastRequest] = ids
            for id in ids {
                ghost.ledgerOf[id] = nodes[node].owner.task(id).flatMap { _ in nodes[node].owner.ledger(of: id) }
            }
            log("\(nodes[node].name) takes \(ids)")
        } catch {
            log("\(nodes[node].name) refuses: \(error)")
        }
        turn(node)
    }

    private func spec() -> TaskSpec {
        TaskSpec(
            type: "t", payload: Array(repeating: 0, count: settings.payload),
            priority: Priority(.random(in: 1...10, using: &random)) ?? .normal,
            retry: RetryPolicy(maxRetries: UInt16.random(in: 0...3, using: &random), base: 50),
            delay: chance(15) ? UInt64.random(in: 1...500, using: &random) : 0,
            expiry: chance(10) ? UInt64.random(in: 100...2000, using: &random) : nil,
            delivery: chance(25) ? .atMostOnce : .atLeastOnce)
    }

    func cancel() {
        guard !isHealing else { return }
        let delay = milliseconds(100...400)
        schedule(.cancel, after: delay)
        guard let id = ghost.ledgerOf.keys.sorted().suffix(12).randomElement(using: &random) else { return }
        for node in nodes.indices where nodes[node].isUp && nodes[node].owner.task(id) != nil {
            lastRequest += 1
            let decision = nodes[node].owner.cancel(
                id, request: lastRequest, timestamp: timestamp, into: &nodes[node].effects)
            log("\(nodes[node].name) is to cancel \(id): \(decision)")
            turn(node)
        }
    }

    // MARK: Views

    func install(_ view: SimulatedView, at node: Int) {
        guard nodes[node].view.map({ $0.number < view.number }) ?? true else { return }
        let isListed = view.members[nodes[node].id] == nodes[node].store
        let wasListed = nodes[node].view?.members[nodes[node].id] != nil
        guard isListed || wasListed else { return }
        log("\(nodes[node].name) installs view \(view.number)")
        nodes[node].view = view
        installReplicas(view, at: node)
        let me = nodes[node].replica
        // How long it takes is for the views to say; here it is drawn. Later views say the same.
        let rest = chance(50) ? now + milliseconds(0...400) : nil
        if isListed {
            for ledger in view.ledgers where nodes[node].owner.term(of: ledger.id) != ledger.term {
                nodes[node].rests[ledger.id] = ledger.term > .first ? rest : nil
            }
        }
        let roles =
            !isListed
            ? []
            : view.ledgers.filter { $0.primary == me }.map {
                LedgerRole(
                    ledger: $0.id, term: $0.term, backups: $0.backups, isHome: $0.founder == me,
                    restsUntil: nodes[node].rests[$0.id])
            }
        var replicas = nodes[node].replicas
        var bases: [LedgerID: Place] = [:]
        _ = nodes[node].owner.install(
            viewNumber: view.number, roles: roles, members: Set(view.members.keys), leaseRests: { _ in rest }, at: now,
            timestamp: timestamp,
            copies: { id in
                let copy = replicas.removeValue(forKey: id)?.copy ?? LedgerCopy(id: id)
                bases[id] = copy.last
                return copy
            }, into: &nodes[node].effects)
        for role in roles {
            if let base = bases[role.ledger] {
                ghost.bases[SimulationGhost.Service(ledger: role.ledger, term: role.term)] = base
            }
        }
        nodes[node].replicas = replicas
        nodes[node].offers.subtract(bases.keys)
        turn(node)
        if !isListed { comeBack(node) }
    }

    /// Removed although it lives: it goes on as another generation, with what it holds.
    private func comeBack(_ node: Int) {
        for ledger in nodes[node].owner.ownedLedgers { nodes[node].owner.stepDown(ledger, into: &nodes[node].effects) }
        turn(node)
        nodes[node].generation = max(nodes[node].generation + 1, UInt64(now.nanoseconds / 1_000_000))
        nodes[node].owner.returned(as: nodes[node].id)
        log("\(nodes[node].id) comes back")
        for other in nodes.indices where other != node { breakLink(node, other) }
        var effects: [LeaseEffect] = []
        nodes[node].holder.release(into: &effects)
        turn(node)
    }

    private func installReplicas(_ view: SimulatedView, at node: Int) {
        for id in nodes[node].replicas.keys.sorted() {
            guard let ledger = view.ledger(id) else {
                if id.rawValue < view.nextLedger { drop(id, at: node) }
                continue
            }
            var records: [JournalRecord] = []
            nodes[node].replicas[id]?.seal(ledger.term, into: &records)
            write(records, at: node)
            let isListed = ledger.replicas.contains(nodes[node].replica)
            if !isListed, !nodes[node].offers.contains(id),
                nodes[node].replicas[id].map({ $0.followed < ledger.term }) ?? false
            {
                drop(id, at: node)
            }
        }
    }

    // MARK: Turns

    /// What follows from what happened.
    func turn(_ node: Int) {
        guard nodes[node].isUp else { return }
        let linked = linkedNames(node)
        nodes[node].owner.slotsFree(nodes[node].holder.freeSlots)
        nodes[node].owner.startReady(at: now, timestamp: timestamp, into: &nodes[node].effects)
        repeat {
            writeDown(node)
            nodes[node].owner.flush(isLinked: linked.contains, into: &nodes[node].effects)
            observeCommits(node)
            nodes[node].owner.collect(into: &nodes[node].effects)
            observeCommits(node)
            let batch = nodes[node].effects
            nodes[node].effects = []
            for effect in batch { carryOut(effect, at: node) }
        } while !nodes[node].effects.isEmpty
        check(node)
    }

    private func carryOut(_ effect: OwnerEffect, at node: Int) {
        switch effect {
        case .replicate(.append(let request, let holder, let epoch)):
            replicate(.append(request, epoch: epoch), of: request.ledger, to: holder, epoch, at: node)
        case .replicate(.copy(let request, let holder, let epoch)):
            replicate(.copy(request, epoch: epoch), of: request.ledger, to: holder, epoch, at: node)
        case .replicate(.askToList(let ledger, let term, let learner, let view)):
            authority.asks.insert(.init(ledger: ledger, term: term, replica: learner, view: view))
        case .replicate(.askFailed(let ledger, let term, let learner, let view)):
            authority.failedAsks.insert(.init(ledger: ledger, term: term, replica: learner, view: view))
        case .replicate(.unreachable(let ledger, let term, let backup, let view)):
            authority.unreachable.insert(.init(ledger: ledger, term: term, replica: backup, view: view))
        case .accepted(let request):
            nodes[node].adoptions.removeValue(forKey: request)?()
            ghost.accepted.formUnion(ghost.requests.removeValue(forKey: request) ?? [])
        case .unconfirmed(let request):
            nodes[node].adoptions[request] = nil
            ghost.requests[request] = nil
        case .start(let assignment):
            checkRest(of: assignment, at: node)
            complain(ghost.granted(assignment))
            holder(node) { [timestamp] in $0.take([assignment], timestamp: timestamp, into: &$1) }
        case .grant(let assignments, let thief):
            for assignment in assignments {
                checkRest(of: assignment, at: node)
                complain(ghost.granted(assignment))
            }
            log("\(nodes[node].name) grants \(assignments.map(\.id)) to \(thief)")
            guard let other = index(of: thief.name), nodes[other].id == thief, isLinked(node, other) else {
                nodes[node].owner.grantFailed(assignments.map(\.attempt))
                return
            }
            lastRequest += 1
            nodes[node].grantsUnderWay[lastRequest] = (thief.name, assignments.map(\.attempt))
            send(.grant(assignments, request: lastRequest), from: node, to: other)
        case .stop(let attempt, let executor):
            if executor == nodes[node].id {
                holder(node) { [timestamp] in $0.stop(attempt, timestamp: timestamp, into: &$1) }
            } else if let other = index(of: executor.name), nodes[other].id == executor {
                send(.stop(attempt), from: node, to: other)
            }
        case .ship, .slotsShipped:
            preconditionFailure("no key has a home here")
        case .settled(let attempts, let executor):
            if executor == nodes[node].id {
                nodes[node].holder.settled(attempts)
            } else if let other = index(of: executor.name), nodes[other].id == executor {
                send(.settled(attempts), from: node, to: other)
            }
        case .ended(let record):
            log("\(record.id) is \(record.status)")
            complain(ghost.ended(record))
            let delay = milliseconds(1...100)
            schedule(
                .archived(node, process: nodes[node].process, record.id, record.resultToken), after: delay)
        case .deposed(let copy):
            writeDown(node)
            nodes[node].replicas[copy.id] = Replica(copy)
            nodes[node].offers.insert(copy.id)
        case .drained(let ledger, let term, let view):
            authority.drained.insert(.init(ledger: ledger, term: term, replica: nodes[node].replica, view: view))
        }
    }

    private func checkRest(of assignment: Assignment, at node: Int) {
        guard let rest = nodes[node].rests[assignment.ledger], now < rest else { return }
        complain("\(assignment.id) of \(assignment.ledger) is started or granted by \(nodes[node].name) while it rests")
    }

    private func replicate(
        _ message: SimulatedMessage, of ledger: LedgerID, to holder: StoreHolder, _ epoch: UInt32, at node: Int
    ) {
        // A request is for a store, not for whoever has its name now.
        if let other = index(of: holder.name), isLinked(node, other), nodes[other].store == holder.store {
            send(message, from: node, to: other)
        } else {
            schedule(
                .requestFailed(node, process: nodes[node].process, ledger, holder.name, epoch: epoch),
                after: .milliseconds(5))
        }
    }

    // MARK: The executor

    private func holder(_ node: Int, _ change: (inout LeaseHolder, inout [LeaseEffect]) -> Void) {
        var effects: [LeaseEffect] = []
        change(&nodes[node].holder, &effects)
        for effect in effects {
            switch effect {
            case .run(let assignment): run(assignment, at: node)
            case .stop(let attempt):
                let delay = milliseconds(1...20)
                schedule(.ended(node, process: nodes[node].process, attempt, .stopped), after: delay)
            case .reportsReady: break
            }
        }
    }

    private func run(_ assignment: Assignment, at node: Int) {
        log("\(nodes[node].name) runs \(assignment.id) \(assignment.token)")
        began(assignment, at: node)
        let ledger = nodes[node].view?.ledger(assignment.ledger)
        if let primary = ledger.flatMap({ index(of: $0.primary.name) }), primary != node {
            send(.began([assignment.attempt]), from: node, to: primary)
        }
        let outcome: AttemptOutcome =
            chance(75)
            ? .completed(.inline(Array("\(assignment.token)".utf8)))
            : .failed(TaskFailure(type: "e", message: "\(assignment.token)", isRetryable: chance(80)))
        let delay = milliseconds(chance(80) ? 1...60 : 60...700)
        schedule(
            .ended(node, process: nodes[node].process, assignment.attempt, outcome),
            after: delay)
    }

    func ended(_ attempt: AttemptID, _ outcome: AttemptOutcome, at node: Int) {
        ghost.running[attempt.id]?.removeAll { $0.node == node && $0.token == attempt.token }
        holder(node) { [timestamp] in $0.ended(attempt, outcome, timestamp: timestamp, into: &$1) }
        report(node)
        turn(node)
    }

    // MARK: Messages

    func receive(_ message: SimulatedMessage, at node: Int, from: Int) {
        let sender = nodes[from].id
        switch message {
        case .append(let request, let epoch):
            reply(request.ledger, epoch, at: node, to: from) { $0.handle(request, into: &$1) }
        case .copy(let request, let epoch):
            reply(request.ledger, epoch, at: node, to: from) { $0.handle(request, into: &$1) }
        case .reply(let ledger, let reply, let epoch):
            nodes[node].owner.handle(
                reply, of: ledger, from: sender.name, epoch: epoch, at: now, timestamp: timestamp,
                into: &nodes[node].effects)
        case .steal(let request):
            // Whoever is no member of this node's view could not be found again.
            guard nodes[node].view?.members[sender] != nil else { break }
            _ = nodes[node].owner.grant(
                to: sender, slots: 4, limit: request.wanted, minimumPriority: request.minimumPriority, bytes: 64 << 10,
                at: now,
                timestamp: timestamp)
        case .grant(let assignments, let request):
            holder(node) { [timestamp] in $0.take(assignments, timestamp: timestamp, into: &$1) }
            send(.granted(request: request), from: node, to: from)
        case .granted(let request):
            nodes[node].grantsUnderWay[request] = nil
        case .began(let attempts):
            nodes[node].owner.began(attempts, at: now, timestamp: timestamp)
        case .report(let reports):
            for report in reports {
                nodes[node].owner.take(report, from: sender, at: now, timestamp: timestamp, into: &nodes[node].effects)
            }
        case .settled(let attempts):
            nodes[node].holder.settled(attempts)
        case .stop(let attempt):
            holder(node) { [timestamp] in $0.stop(attempt, timestamp: timestamp, into: &$1) }
        case .askHolds(let attempts):
            let answer = nodes[node].holder.answer(attempts)
            send(.holds(answer.held, missing: answer.missing), from: node, to: from)
        case .holds(let held, let missing):
            nodes[node].owner.holds(held, not: missing, at: now, timestamp: timestamp)
        case .offer(let request):
            guard nodes[node].owner.term(of: request.ledger) != nil else { break }
            lastRequest += 1
            nodes[node].adoptions[lastRequest] = { [self] in send(.offered(request.ledger), from: node, to: from) }
            nodes[node].owner.adopt(
                request.tail, into: request.ledger, request: lastRequest, timestamp: timestamp,
                effects: &nodes[node].effects)
        case .offered(let ledger):
            if nodes[node].offers.contains(ledger) { drop(ledger, at: node) }
        }
        turn(node)
    }

    private func reply(
        _ ledger: LedgerID, _ epoch: UInt32, at node: Int, to primary: Int,
        _ handle: (inout Replica, inout [JournalRecord]) -> ReplicaReply
    ) {
        var reply: ReplicaReply
        if let term = nodes[node].owner.term(of: ledger) {
            reply = .sealed(term)
        } else {
            var records: [JournalRecord] = []
            var replica = nodes[node].replicas[ledger] ?? Replica(id: ledger)
            // Also a replica that begins only now knows what its node's view says: an old primary, or one of a ledger that
            // was deleted, would else find a new backup in the place of the one that has gone on.
            if let view = nodes[node].view {
                let term = view.ledger(ledger)?.term ?? (ledger.rawValue < view.nextLedger ? Term(1 << 62) : Term(0))
                replica.seal(term, into: &records)
            }
            reply = handle(&replica, &records)
            // It is what the primary has now, and counts on.
            if case .held = reply { nodes[node].offers.remove(ledger) }
            nodes[node].replicas[ledger] = replica
            write(records, at: node)
        }
        if case .copying = reply {
            send(.reply(ledger, reply, epoch: epoch), from: node, to: primary)
        } else {
            whenDurable(node) { [self] in send(.reply(ledger, reply, epoch: epoch), from: node, to: primary) }
        }
    }
}
