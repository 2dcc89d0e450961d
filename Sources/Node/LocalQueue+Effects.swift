import EventLoop
import Peers
import Primitives
import TaskLedger
import Views
import Wire

/// Carries out what the owner's machine wants: messages to replicas, executors and voters, and their answers.
extension LocalQueue {
    func carryOut(_ effects: [OwnerEffect]) {
        var settled: [NodeID: [AttemptID]] = [:]
        var starts: [Assignment] = []
        var ended: [TaskRecord] = []
        for effect in effects {
            switch effect {
            case .replicate(let replication): replicate(replication)
            case .accepted(let request): requests.removeValue(forKey: request)?(true)
            case .unconfirmed(let request): requests.removeValue(forKey: request)?(false)
            case .start(let assignment): starts.append(assignment)
            case .grant(let assignments, let thief): grant(assignments, to: thief)
            case .stop(let attempt, let holder): stop(attempt, at: holder)
            case .settled(let attempts, let executor): settled[executor, default: []] += attempts
            case .ended(let record):
                tellWaiters(record.id, record)
                if watchers[record.id] != nil { ended.append(record) }
                node.colleagues.archive.onLoop { $0.ended(record) }
            case .deposed(let copy): node.colleagues.replicas.onLoop { $0.deposed(copy) }
            case .ship(let shipment): ship(shipment)
            case .slotsShipped(let ledger, let term, let moves, let view):
                tellVoters(.slotsShipped(ShippedSlots(ledger: ledger, view: view, term: term, moves: moves)))
            case .drained(let ledger, let term, let view):
                tellVoters(.drained(DrainedLedger(ledger: ledger, view: view, term: term)))
            }
        }
        if !ended.isEmpty { tellWatchers(of: ended) }
        if !starts.isEmpty { node.colleagues.workers.onLoop { $0.take(starts) } }
        for executor in settled.keys.sorted() {
            guard let attempts = settled[executor] else { continue }
            if executor == node.identity {
                node.colleagues.workers.onLoop { $0.settled(attempts) }
            } else {
                node.transport.send(Frame(.settled, at: node.now) { $0.attemptIDs(attempts) }, to: executor)
            }
        }
    }

    private func replicate(_ effect: ReplicationEffect) {
        switch effect {
        case .append(let request, let holder, let epoch):
            let frame = Frame(.append, at: node.now) { $0.appendRequest(request) }
            ask(holder, frame, of: request.ledger, epoch, within: .seconds(2))
        case .copy(let request, let holder, let epoch):
            let frame = Frame(.copy, at: node.now) { $0.copyRequest(request) }
            ask(holder, frame, of: request.ledger, epoch, within: .seconds(10))
        case .askToList(let ledger, let term, let learner, let view):
            tellVoters(.ask(LearnerAsk(ledger: ledger, view: view, term: term, learner: learner)))
        case .askFailed(let ledger, let term, let learner, let view):
            tellVoters(.askFailed(LearnerAsk(ledger: ledger, view: view, term: term, learner: learner)))
        case .unreachable(let ledger, let term, let backup, let view):
            tellVoters(.unreachable(BackupComplaint(ledger: ledger, view: view, term: term, backup: backup)))
        }
    }

    /// Only the process that has the listed store may answer for it: what a restarted node with an empty one acknowledges
    /// would count for what is lost.
    private func ask(
        _ holder: StoreHolder, _ frame: Frame, of ledger: LedgerID, _ epoch: UInt32, within limit: Duration
    ) {
        let name = holder.name
        guard let id = node.peers[name], node.store(of: name) == holder.store else {
            // Not at once: the request would be made again in this very turn.
            _ = node.scheduler.schedule(after: Limits.upkeepInterval) { [self] in
                onLoop { $0.owner.requestFailed(of: ledger, to: name, epoch: epoch, at: $0.node.now) }
            }
            return
        }
        node.transport.request(frame, to: id, within: limit) { [self] result in
            onLoop { $0.replicaAnswered(result, of: ledger, name, epoch) }
        }
    }

    private func replicaAnswered(
        _ result: Result<Frame, PeerError>, of ledger: LedgerID, _ name: NodeName, _ epoch: UInt32
    ) {
        let reply: ReplicaReply? =
            switch result {
            case .success(let frame):
                try? frame.read(at: node.now) { reader throws(WireError) in try reader.replicaReply() }
            case .failure: nil
            }
        if let reply {
            owner.handle(
                reply, of: ledger, from: name, epoch: epoch, at: node.now, timestamp: node.timestamp, into: &effects)
            keepDeposed()
        } else {
            // No answer, or none that makes sense: what arrived is found out when the replica is located anew.
            owner.requestFailed(of: ledger, to: name, epoch: epoch, at: node.now)
        }
        turn()
    }

    private func tellVoters(_ evidence: Evidence) {
        guard let view else { return }
        let frame = Frame(.evidence, at: node.now) { $0.evidence(evidence) }
        for voter in view.voters {
            if voter.name == node.name {
                node.colleagues.views.onLoop { $0.take(evidence) }
            } else if let id = node.peers[voter.name] {
                node.transport.send(frame, to: id)
            }
        }
    }

    private func grant(_ assignments: [Assignment], to thief: NodeID) {
        let digest = load()
        let number = view?.number ?? 0
        let frame = Frame(.grant, at: node.now) { writer in
            writer.loadDigest(digest)
            writer.varint(number)
            writer.array(assignments) { $0.assignment($1) }
        }
        node.transport.request(frame, to: thief, within: .seconds(1)) { [self] result in
            guard case .failure = result else { return }
            onLoop { $0.owner.grantFailed(assignments.map(\.attempt)) }
        }
    }

    func askHolds(_ attempts: [AttemptID], of holder: NodeID) {
        if holder == node.identity {
            let answer = node.colleagues.workers.onLoop { $0.answer(attempts) }
            owner.holds(answer.held, not: answer.missing, at: node.now, timestamp: node.timestamp)
            return
        }
        node.transport.request(Frame(.holds, at: node.now) { $0.attemptIDs(attempts) }, to: holder, within: .seconds(1))
        {
            [self] result in
            guard case .success(let frame) = result else { return }
            onLoop { $0.holdsAnswered(frame, asked: attempts) }
        }
    }

    private func holdsAnswered(_ frame: Frame, asked: [AttemptID]) {
        do throws(WireError) {
            let answer = try frame.read(at: node.now) { reader throws(WireError) in
                (try reader.attemptIDs(), try reader.attemptIDs())
            }
            owner.holds(
                answer.0.filter(asked.contains), not: answer.1.filter(asked.contains), at: node.now,
                timestamp: node.timestamp)
            turn()
        } catch {
            node.logger.warning("answer about leases refused", metadata: ["reason": "\(error)"])
        }
    }

    private func stop(_ attempt: AttemptID, at holder: NodeID) {
        if holder == node.identity {
            node.colleagues.workers.onLoop { $0.stop(attempt) }
        } else {
            node.transport.send(Frame(.stop, at: node.now) { $0.attemptIDs([attempt]) }, to: holder)
        }
    }
}
