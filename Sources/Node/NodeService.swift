import EventLoop
import Peers
import Primitives
import Service
import Synchronization
import TaskLedger
import Wire

/// What a node does for its clients: answers from its own ledgers, or asks the peers that have what is wanted.
final class NodeService: ClusterService {
    let node: NodeContext
    /// Nodes that had no room on their disks when they were asked last, and when that was.
    let fullDisks = Mutex<[NodeName: (folder: String, at: Instant)]>([:])

    init(_ node: NodeContext) { self.node = node }

    var nodeName: NodeName { node.name }
    var actors: Colleagues { node.colleagues }

    // MARK: Submission

    func submit(_ specs: [TaskSpec]) async -> [SubmissionOutcome] {
        if let unknown = unknownTypes(specs) { return await submitKnown(specs, unknown) }
        if !signsCallbacks, specs.contains(where: { $0.callbackURL != nil }) {
            return await submitSilent(specs)
        }
        let refused = await refusedForParents(specs)
        guard refused.isEmpty else {
            let accepted = specs.enumerated().filter { refused[$0.offset] == nil }.map(\.element)
            var outcomes = (accepted.isEmpty ? [] : await accept(accepted))[...]
            return specs.indices.map { position in
                if let refusal = refused[position] { return .refused(refusal) }
                return outcomes.popFirst() ?? .refused(.unavailable("the submission was lost on its way: try again"))
            }
        }
        return await accept(specs)
    }

    /// Here, or where there is room.
    private func accept(_ specs: [TaskSpec]) async -> [SubmissionOutcome] {
        if specs.contains(where: { $0.homeSlot != nil }) { return await submitWithKeys(specs) }
        switch await actors.queue.submit(specs) {
        case .success(let tasks): return tasks.map(SubmissionOutcome.accepted)
        case .failure(.unconfirmed(let ids)): return ids.map { .refused(.unconfirmed($0)) }
        case .failure(.full): return await submitWhatFits(specs)
        case .failure(.queueFull(let queue, let room)): return await submit(specs, beyond: room, in: queue)
        case .failure(.diskFull):
            return await forward(
                specs, after: .diskFull([FullDisk(node: node.name, folder: node.configuration.dataDirectory)]))
        case .failure(.notAnOwner):
            return await forward(
                specs, after: .unavailable(await unreadiness() ?? "the cluster is changing: try again"))
        }
    }

    /// The first of them here, as many as there is room for, and the others elsewhere.
    private func submitWhatFits(_ specs: [TaskSpec]) async -> [SubmissionOutcome] {
        let count = await actors.queue.fitting(specs)
        guard count > 0, count < specs.count else {
            return await forward(specs, after: .full(retryAfter: await actors.queue.retryAfter(specs)))
        }
        let first = await submit(Array(specs.prefix(count)))
        let rest = Array(specs.dropFirst(count))
        return first + (await forward(rest, after: .full(retryAfter: await actors.queue.retryAfter(rest))))
    }

    private func submitWithKeys(_ specs: [TaskSpec]) async -> [SubmissionOutcome] {
        let keyed = specs.filter { $0.homeSlot != nil }
        if keyed.count == specs.count { return await submitKeyed(specs) }
        async let atHome = submitKeyed(keyed)
        var others = await accept(specs.filter { $0.homeSlot == nil })[...]
        var decided = await atHome[...]
        return specs.map { spec in
            (spec.homeSlot == nil ? others.popFirst() : decided.popFirst())
                ?? .refused(.unavailable("the submission was lost on its way: try again"))
        }
    }

    /// Nobody can have the cluster's own types run, by whatever way: what it signs would not be its word any more.
    var taskTypes: [String] {
        actors.workers.taskTypes.filter { !$0.hasPrefix(TaskSpec.reservedTypes) }
    }

    var signsCallbacks: Bool { node.configuration.signsCallbacks }

    /// Task types that no node has a handler for, with the nearest known name; nil if there are none.
    private func unknownTypes(_ specs: [TaskSpec]) -> [String: String?]? {
        let known = taskTypes
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

    /// Those that have no callback: nobody is told of anything without a signature.
    private func submitSilent(_ specs: [TaskSpec]) async -> [SubmissionOutcome] {
        let silent = specs.filter { $0.callbackURL == nil }
        var outcomes = (silent.isEmpty ? [] : await submit(silent))[...]
        return specs.map { spec in
            if spec.callbackURL != nil { return .refused(.callbackUnsigned) }
            return outcomes.popFirst() ?? .refused(.unavailable("the submission was lost on its way: try again"))
        }
    }

    // MARK: Asking peers

    func ask(_ frame: Frame, of id: NodeID, within limit: Duration) async -> Result<Frame, PeerError> {
        await withCheckedContinuation { continuation in
            node.scheduler.execute { [node] in
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
            for (name, id) in peers.sorted(by: { $0.key < $1.key }) {
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

    func isLive() async -> Bool { node.now - node.lastTurn() < .seconds(1) }

    func unreadiness() async -> String? { await actors.queue.unreadiness }

    func drain(leave: Bool) async {
        await actors.queue.drain()
        await actors.workers.drain()
        if leave { actors.node.stopBecause(NodeCore.askedToLeave) }
    }
}
