import EventLoop
import Peers
import Primitives
import Service
import TaskLedger
import Views
import Wire

/// What a node does for its clients: answers from its own ledgers, or asks the peers that have what is wanted.
final class NodeService: ClusterService {
    let node: NodeContext
    private let loop: EventLoop

    init(_ node: NodeContext, _ loop: EventLoop) {
        self.node = node
        self.loop = loop
    }

    var nodeName: NodeName { node.name }
    var actors: Colleagues { node.colleagues }

    // MARK: Submission

    func submit(_ specs: [TaskSpec]) async -> [SubmissionOutcome] {
        if let unknown = unknownTypes(specs) { return await submitKnown(specs, unknown) }
        switch await actors.queue.submit(specs) {
        case .success(let tasks): return tasks.map(SubmissionOutcome.accepted)
        case .failure(.unconfirmed(let ids)): return ids.map { .refused(.unconfirmed($0)) }
        case .failure(.full): return await forward(specs, after: .full(retryAfter: Limits.retryAfter))
        case .failure(.notAnOwner):
            return await forward(
                specs, after: .unavailable(await unreadiness() ?? "the cluster is changing: try again"))
        }
    }

    /// Task types that no node has a handler for, with the nearest known name; nil if there are none.
    private func unknownTypes(_ specs: [TaskSpec]) -> [String: String?]? {
        let known = actors.workers.taskTypes
        var unknown: [String: String?] = [:]
        for spec in specs where !known.contains(spec.type) && unknown[spec.type] == nil {
            unknown[spec.type] = .some(nearestName(to: spec.type, among: known))
        }
        return unknown.isEmpty ? nil : unknown
    }

    private func submitKnown(_ specs: [TaskSpec], _ unknown: [String: String?]) async -> [SubmissionOutcome] {
        let known = specs.filter { unknown[$0.type] == nil }
        var outcomes = known.isEmpty ? [] : await submit(known)
        outcomes.reverse()
        return specs.map { spec in
            if let nearest = unknown[spec.type] { return .refused(.unknownTaskType(nearest: nearest)) }
            return outcomes.popLast() ?? .refused(.unavailable("the submission was lost on its way: try again"))
        }
    }

    /// One hop: the least loaded member that takes work. If it does not answer in time the tasks may have been accepted
    /// there, so nobody else is tried.
    private func forward(_ specs: [TaskSpec], after refusal: SubmissionRefusal) async -> [SubmissionOutcome] {
        var refusal = refusal
        for target in await forwardTargets() {
            let ids = await actors.queue.idsFor(target.ledger, count: specs.count)
            let frame = Frame(.forward, at: node.now) { writer in
                writer.array(ids) { $0.taskID($1) }
                writer.array(specs) { $0.taskSpec($1) }
            }
            switch await ask(frame, of: target.id, within: .seconds(5)) {
            case .success(let answer):
                switch try? answer.read(at: node.now, { reader throws(WireError) in try reader.forwardReply() }) {
                case .accepted(let accepted, let holders) where accepted.count == specs.count:
                    return accepted.map { .accepted(accept($0, at: target, holders)) }
                case .full: refusal = .full(retryAfter: Limits.retryAfter)
                case .unavailable: continue
                case .accepted, nil: return ids.map { .refused(.unconfirmed($0)) }
                }
            case .failure(let error):
                if error.mayHaveArrived { return ids.map { .refused(.unconfirmed($0)) } }
            }
        }
        return specs.map { _ in .refused(refusal) }
    }

    private func accept(_ id: TaskID, at target: Target, _ holders: [NodeName]) -> AcceptedTask {
        AcceptedTask(
            id: id, status: .pending, owner: target.id.name,
            durability: target.copies <= 1 ? .local : holders.count >= target.copies ? .replicated : .degraded,
            holders: holders, createdAt: id.createdAt)
    }

    private struct Target: Sendable {
        let id: NodeID
        let ledger: LedgerID
        let copies: Int
    }

    /// Members with a ledger of their own that take work, the least loaded first; at most three are tried.
    private func forwardTargets() async -> [Target] {
        guard let view = await actors.views.view else { return [] }
        let members = await actors.membership.members
        let loads = Dictionary(members.map { ($0.id, $0.load) }, uniquingKeysWith: { first, _ in first })
        return view.ledgers.compactMap { ledger -> (Target, UInt32)? in
            guard ledger.primary == ledger.founder, let member = view.member(ledger.primary.name),
                member.id.name != node.name, let load = loads[member.id], !load.isDraining, node.isLinked(member.id)
            else { return nil }
            return (Target(id: member.id, ledger: ledger.id, copies: Int(view.settings.copies)), load.open)
        }.sorted { ($0.1, $0.0.id) < ($1.1, $1.0.id) }.prefix(3).map(\.0)
    }

    // MARK: Asking peers

    func ask(_ frame: Frame, of id: NodeID, within limit: Duration) async -> Result<Frame, PeerError> {
        await withCheckedContinuation { continuation in
            loop.execute { [node] in
                node.transport.request(frame, to: id, within: limit) { continuation.resume(returning: $0) }
            }
        }
    }

    /// Asks everybody at once. Answers that do not make sense count as none.
    func askAll<Value: Sendable>(
        _ frame: Frame, within limit: Duration,
        _ read: @escaping @Sendable (inout ByteReader) throws(WireError) -> Value
    ) async -> (answers: [NodeName: Value], missing: [NodeName]) {
        let peers = node.peers
        return await withTaskGroup(of: (NodeName, Value?).self) { group in
            for (name, id) in peers {
                group.addTask { [self] in
                    guard node.isLinked(id), case .success(let answer) = await ask(frame, of: id, within: limit) else {
                        return (name, nil)
                    }
                    // A peer that answers nonsense is one that did not answer: it is named as missing.
                    return (name, try? answer.read(at: node.now, read))
                }
            }
            var answers: [NodeName: Value] = [:]
            var missing: [NodeName] = []
            for await (name, value) in group {
                if let value { answers[name] = value } else { missing.append(name) }
            }
            return (answers, missing.sorted())
        }
    }

    // MARK: The node

    func isLive() async -> Bool { loop.now - loop.lastTurn.monotonic < .seconds(1) }

    func unreadiness() async -> String? {
        if await actors.queue.isDraining { return "\(node.name) is draining" }
        guard let view = await actors.views.view else { return "\(node.name) is not a member of a cluster yet" }
        guard await actors.views.isConfirmed else {
            return view.member(node.identity) == nil
                ? "\(node.name) is joining the cluster" : "\(node.name) waits for a majority to confirm its view"
        }
        return await actors.queue.owner.ownedLedgers.isEmpty ? "\(node.name) has no ledger yet" : nil
    }

    func drain(leave: Bool) async {
        await actors.queue.drain()
        await actors.workers.drain()
        if leave { actors.node.stopBecause(Node.askedToLeave) }
    }
}

extension Limits {
    /// Seconds after which a client may try again when every node is full.
    static let retryAfter = 1
}
