import Peers
import Primitives
import Service
import TaskLedger
import Views
import Wire

/// Tasks with an idempotency or ordering key go to the home of the key, which alone may accept them.
///
/// If the home changes, or dies, the next one is asked, for a while: it knows what the one before has committed. What was
/// sent and not answered may have been accepted, and is sent again only where that does no harm: a task with an idempotency key
/// is bound to it, and one without is known by its id to the ledger that it was sent to.
///
/// A workflow with a key goes the same way, as one thing.
extension NodeService {
    private struct Item: Sendable {
        let position: Int
        /// The task's, or the workflow's own.
        let spec: TaskSpec
        let slot: KeySlot
        var workflow: WorkflowDraft?
        /// Under which it was sent, and to which ledger.
        var sent: (ids: [TaskID], ledger: LedgerID)?
        /// It may have been accepted under these ids.
        var isAgain = false
        /// It may have been accepted, under these ids or others.
        var isLost = false

        /// How many ids it takes.
        var count: Int { (workflow?.steps.count ?? 0) + 1 }
        var cost: Int { (workflow?.cost ?? spec.cost) + 128 }
        var specs: [TaskSpec] { sent.flatMap { workflow?.specs(ids: $0.ids) } ?? [spec] }
    }

    private enum Answer: Sendable {
        case outcomes([SubmissionOutcome])
        /// Nothing was accepted: the home is asked again, or the next one.
        case tryAgain(String)
        /// Nobody knows.
        case lost(String)
    }

    /// In the order of the specs, each of which has a key.
    func submitKeyed(_ specs: [TaskSpec]) async -> [SubmissionOutcome] {
        await decide(
            specs.enumerated().compactMap { position, spec in
                spec.homeSlot.map { Item(position: position, spec: spec, slot: $0) }
            }
        ).map(\.outcome)
    }

    /// A workflow that has a key.
    func submitKeyed(_ workflow: WorkflowDraft) async -> WorkflowSubmission {
        let root = workflow.specs(ids: Array(repeating: TaskID(high: 0, low: 0), count: workflow.steps.count + 1))[0]
        guard let slot = root.homeSlot,
            let decided = await decide([Item(position: 0, spec: root, slot: slot, workflow: workflow)]).first
        else { return .refused(.unavailable("the workflow was lost on its way: try again"), step: nil) }
        switch decided.outcome {
        case .refused(let refusal): return .refused(refusal, step: nil)
        case .accepted(let task) where task.isRepeated && decided.ids.first != task.id: return .repeated(task.id)
        case .accepted(let task):
            return .accepted(
                decided.ids.map { id in
                    var part = task
                    part.id = id
                    part.isRepeated = false
                    return part
                })
        }
    }

    /// In the order of their positions, with the ids under which they were sent last.
    private func decide(_ items: [Item]) async -> [(outcome: SubmissionOutcome, ids: [TaskID])] {
        let deadline = node.now + Limits.keyPatience
        var outcomes: [(outcome: SubmissionOutcome, ids: [TaskID])?] = Array(repeating: nil, count: items.count)
        var waiting = items
        func settle(_ item: Item, _ outcome: SubmissionOutcome) {
            outcomes[item.position] = (settled(item, outcome), item.sent?.ids ?? [])
        }
        var reason = "the home of the key is changing"
        while !waiting.isEmpty {
            guard let view = await actors.views.view else {
                reason = await unreadiness() ?? reason
                break
            }
            var next: [Item] = []
            for (ledger, items) in groups(waiting, view) {
                guard let home = view.ledger(ledger) else {
                    next += items
                    continue
                }
                var sent: [Item] = []
                let fresh = items.lazy.filter { $0.sent?.ledger != ledger }.reduce(0) { $0 + $1.count }
                var ids = await actors.queue.idsFor(ledger, count: fresh)[...]
                for var item in items {
                    if let before = item.sent, before.ledger != ledger, item.isAgain, item.spec.idempotency == nil {
                        settle(item, .refused(.unconfirmed(before.ids[0])))
                        continue
                    }
                    if item.sent?.ledger != ledger {
                        guard ids.count >= item.count else { continue }
                        item.sent = (Array(ids.prefix(item.count)), ledger)
                        ids.removeFirst(item.count)
                        item.isAgain = false
                    }
                    sent.append(item)
                }
                guard !sent.isEmpty else { continue }
                switch await ask(home, sent, view) {
                case .outcomes(let decided):
                    for (item, outcome) in zip(sent, decided) { settle(item, outcome) }
                case .tryAgain(let why):
                    reason = why
                    next += sent
                case .lost(let why):
                    reason = why
                    next += sent.map { item in
                        var item = item
                        item.isAgain = true
                        item.isLost = true
                        return item
                    }
                }
            }
            waiting = next
            guard !waiting.isEmpty, node.now < deadline, !Task.isCancelled else { break }
            await sleep(Limits.keyPause)
        }
        for item in waiting { settle(item, .refused(.unavailable("\(reason): try again"))) }
        return outcomes.map { $0 ?? (.refused(.unavailable("the submission was lost on its way: try again")), []) }
    }

    /// Of what may have been accepted before nobody may say that nothing was.
    private func settled(_ item: Item, _ outcome: SubmissionOutcome) -> SubmissionOutcome {
        guard item.isLost, case .refused(let refusal) = outcome else { return outcome }
        switch refusal {
        case .keyConflict, .keyPending, .unconfirmed: return outcome
        case .full, .queueFull, .diskFull, .unavailable, .unknownTaskType, .unknownParents, .callbackUnsigned:
            guard item.spec.idempotency == nil, let id = item.sent?.ids.first else { return .refused(.keyPending) }
            return .refused(.unconfirmed(id))
        }
    }

    /// By the ledger that each slot belongs to, no more of them together than fit a message.
    private func groups(_ items: [Item], _ view: View) -> [(LedgerID, [Item])] {
        var groups: [(ledger: LedgerID, items: [Item], cost: Int)] = []
        for item in items {
            let ledger = view.slots[Int(item.slot.rawValue)]
            let cost = item.cost
            if item.workflow == nil,
                let index = groups.lastIndex(where: { $0.ledger == ledger && $0.items[0].workflow == nil }),
                groups[index].cost + cost < Limits.keyedBytes
            {
                groups[index].items.append(item)
                groups[index].cost += cost
            } else {
                groups.append((ledger, [item], cost))
            }
        }
        return groups.map { ($0.ledger, $0.items) }
    }

    private func ask(_ home: LedgerAssignment, _ items: [Item], _ view: View) async -> Answer {
        let name = home.primary.name
        let request = KeyedRequest(
            home: home.id, ids: items.flatMap { $0.sent?.ids ?? [] },
            isAgain: items.flatMap { Array(repeating: $0.isAgain, count: $0.count) }, specs: items.flatMap(\.specs))
        let reply: KeyedReply?
        if name == node.name {
            let queue = actors.queue
            reply = await withCheckedContinuation { continuation in
                node.scheduler.execute { queue.onLoop { $0.decide(request) { continuation.resume(returning: $0) } } }
            }
        } else {
            guard isAvailable(home, view), let peer = node.peers[name] else {
                return .tryAgain("\(name), the home of the key, is not there")
            }
            switch await ask(
                Frame(.keyed, at: node.now) { $0.keyedRequest(request) }, of: peer, within: Limits.keyReply)
            {
            case .success(let answer):
                reply = try? answer.read(at: node.now) { reader throws(WireError) in try reader.keyedReply() }
            case .failure(let error):
                let reason = "\(name), the home of the key, does not answer (\(error))"
                return error.mayHaveArrived ? .lost(reason) : .tryAgain(reason)
            }
        }
        switch reply {
        case .decided(let decisions, let holders) where decisions.count == items.count:
            return .outcomes(zip(items, decisions).map { outcome(of: $1, about: $0.spec, name, holders, view) })
        case .decided, nil: return .lost("\(name), the home of the key, cannot tell what has become of it")
        case .notHome, .moving: return .tryAgain("the key is moving to another home")
        case .unavailable: return .tryAgain("\(name), the home of the key, may accept nothing at the moment")
        case .full(let seconds):
            let retryAfter = Int(min(max(seconds, 1), UInt32(Limits.retryAfterSeconds)))
            return .outcomes(items.map { _ in .refused(.full(retryAfter: retryAfter)) })
        case .diskFull(let folder):
            return .outcomes(items.map { _ in .refused(.diskFull([FullDisk(node: name, folder: folder)])) })
        }
    }

    private func outcome(
        of decision: KeyedDecision, about spec: TaskSpec, _ home: NodeName, _ holders: [NodeName], _ view: View
    ) -> SubmissionOutcome {
        let copies = Int(view.settings.copies)
        switch decision {
        case .conflict(let id): return .refused(.keyConflict(id))
        case .unknown(let id): return .refused(.unconfirmed(id))
        case .queueFull: return .refused(queueFull(spec.queue))
        case .accepted(let id), .repeated(let id):
            return .accepted(
                AcceptedTask(
                    id: id, status: .pending, owner: home,
                    durability: copies <= 1 ? .local : holders.count >= copies ? .replicated : .degraded,
                    holders: holders, createdAt: id.createdAt, isRepeated: decision != .accepted(id)))
        }
    }
}

extension Limits {
    /// How long a submission with a key looks for the key's home.
    static let keyPatience = Duration.seconds(5)
    /// How long one home is waited for.
    static let keyReply = Duration.seconds(2)
    /// Between two looks.
    static let keyPause = Duration.milliseconds(50)
    /// Tasks of one message to a home.
    static let keyedBytes = 2 << 20
}
