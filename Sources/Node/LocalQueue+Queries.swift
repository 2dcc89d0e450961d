import Peers
import Primitives
import Service
import TaskLedger
import Views
import Wire

/// What clients and peers ask the owner.
extension LocalQueue {
    /// Priority of the best ready task; 0 if there is none.
    var headPriority: UInt8 { owner.headPriority?.rawValue ?? 0 }

    // MARK: Submission

    func submit(_ specs: [TaskSpec]) async -> Result<[AcceptedTask], OwnerRefusal> {
        await withCheckedContinuation { continuation in
            accept(specs, ids: nil) { continuation.resume(returning: $0) }
        }
    }

    /// `done` with the accepted tasks once they are committed; with `notAnOwner` if this node ceased to be their owner.
    func accept(
        _ specs: [TaskSpec], ids: [TaskID]?, _ done: @escaping @Sendable (Result<[AcceptedTask], OwnerRefusal>) -> Void
    ) {
        guard !isDraining, !owner.isPaused else { return done(.failure(.notAnOwner)) }
        // What room there is belongs to the outcomes of what runs.
        let (isDiskFull, isCongested) = node.colleagues.ledgers.onLoop { ($0.isFull, $0.isCongested) }
        guard !isDiskFull else { return done(.failure(.diskFull)) }
        guard !isCongested else { return done(.failure(.full)) }
        let submitted = Submitted()
        let request = request { [self] isCommitted in
            onLoop { queue in
                done(
                    isCommitted ? .success(queue.describe(submitted.ids, specs)) : .failure(.unconfirmed(submitted.ids))
                )
            }
        }
        do throws(OwnerRefusal) {
            submitted.ids = try owner.submit(
                specs, ids: ids, request: request, at: node.now, microseconds: node.scheduler.microsecondsSince1970)
            turn()
        } catch {
            forget(request)
            done(.failure(error))
        }
    }

    private func describe(_ ids: [TaskID], _ specs: [TaskSpec]) -> [AcceptedTask] {
        let holders = owner.holders()
        let wanted = Int(view?.settings.copies ?? 1)
        let durability: AcceptedTask.Durability =
            wanted <= 1 ? .local : holders.count >= wanted ? .replicated : .degraded
        return ids.map { id in
            AcceptedTask(
                id: id, status: owner.task(id)?.status ?? .pending, owner: node.name, durability: durability,
                holders: holders, createdAt: id.createdAt)
        }
    }

    /// Another node was full, or draining: this one accepts, under ids that the other has chosen.
    func forwarded(_ specs: [TaskSpec], ids: [TaskID], _ reply: @escaping @Sendable (ForwardReply) -> Void) {
        accept(specs, ids: ids) { result in
            switch result {
            case .success(let tasks): reply(.accepted(tasks.map(\.id), holders: tasks.first?.holders ?? []))
            case .failure(.full): self.replyFull(specs, reply)
            case .failure(.queueFull): self.replyQueueFull(specs, reply)
            case .failure(.diskFull): reply(.diskFull(folder: self.node.configuration.dataDirectory))
            case .failure(.notAnOwner): reply(.unavailable)
            // They may yet be adopted: without an answer the asker knows that nobody knows.
            case .failure(.unconfirmed): break
            }
        }
    }

    private nonisolated func replyFull(_ specs: [TaskSpec], _ reply: (ForwardReply) -> Void) {
        reply(
            onLoop { queue in
                .full(
                    fitting: UInt32(clamping: queue.fitting(specs)),
                    retryAfter: UInt32(clamping: queue.owner.retryAfter(specs)))
            })
    }

    private nonisolated func replyQueueFull(_ specs: [TaskSpec], _ reply: (ForwardReply) -> Void) {
        reply(onLoop { .queueFull(fitting: UInt32(clamping: $0.owner.fittingQueues(specs))) })
    }

    /// How many of these tasks, from the first on, there is room for; none while too much is on its way to disks.
    func fitting(_ specs: [TaskSpec]) -> Int {
        node.colleagues.ledgers.onLoop { $0.isCongested } ? 0 : owner.fitting(specs)
    }

    func retryAfter(_ specs: [TaskSpec]) -> Int { owner.retryAfter(specs) }

    /// Ids for tasks that another node's ledger is to accept.
    func idsFor(_ ledger: LedgerID, count: Int) -> [TaskID] {
        owner.makeIDs(for: ledger, count: count, microseconds: node.scheduler.microsecondsSince1970)
    }

    func forget(_ request: UInt64) { requests[request] = nil }

    /// Without a majority, or while the disk hangs, nothing is committed: whoever waits is told, and may ask again later.
    func giveUpRequests() {
        while let first = deadlines.first, requests[first.request] == nil || first.at <= node.now {
            deadlines.removeFirst()
            requests.removeValue(forKey: first.request)?(false)
        }
    }

    // MARK: Looking

    func lookup(_ id: TaskID, wait limit: Duration, _ reply: @escaping @Sendable (LookupReply) -> Void) {
        guard let record = owner.task(id) else {
            if mayVouch, owner.hasForgotten(id) { return reply(.forgotten) }
            return reply(.unknown(viewNumber: servesItsView ? view?.number ?? 0 : 0))
        }
        // Whoever was stopped or cut off may have been replaced, and others may have told a later state.
        guard mayVouch else { return reply(.unsettled) }
        let isEnding = !owner.isTellable(record)
        guard isEnding || !record.status.isFinal && limit > .zero else { return reply(.found(record)) }
        wait(for: id, atMost: isEnding ? max(limit, Limits.commitPatience) : limit) { latest in
            reply(latest.map { .found($0) } ?? .unsettled)
        }
    }

    /// Whether it serves every ledger that its view gives it, or gave to the store that it has lost: else "unknown" means
    /// nothing.
    private var servesItsView: Bool {
        view?.ledgers.allSatisfy { $0.primary.name != node.name || owner.term(of: $0.id) != nil } ?? false
    }

    func list(_ request: ListRequest) -> [TaskRecord] {
        let records = owner.tasks(before: request.before, limit: min(Int(request.limit), Limits.pageTasks + 1)) {
            // An end that is not committed is told to nobody: the task is in the list again a moment later.
            owner.isTellable($0) && $0.spec.isWorkflow == request.isOfWorkflows && request.fits($0, at: node.timestamp)
        }
        return records.map(\.summary)
    }

    func cancel(_ id: TaskID, _ reply: @escaping @Sendable (CancelReply) -> Void) {
        let decided = Decision()
        // Not committed: the task has another owner now, and the answer names no record.
        let number = request { [self] isCommitted in
            onLoop { queue in
                reply(CancelReply(decision: decided.value, record: isCommitted ? queue.owner.task(id) : nil))
            }
        }
        decided.value = owner.cancel(id, request: number, timestamp: node.timestamp, into: &effects)
        switch decided.value {
        case .cancelled, .requested:
            turn()
        case .finished, .unknown:
            forget(number)
            reply(CancelReply(decision: decided.value, record: owner.task(id)))
        }
    }

    // MARK: Telling

    func status() -> PeerStatus {
        let workers = node.colleagues.workers
        let running = workers.onLoop { $0.running }
        return PeerStatus(
            node: node.identity, viewNumber: view?.number ?? 0, viewDigest: view?.digest ?? 0, load: load(),
            slotCount: UInt32(node.configuration.slots),
            busy: running.map { run in
                PeerStatus.Slot(
                    index: UInt32(run.slot), task: run.assignment.id, taskType: run.assignment.spec.type,
                    queue: run.assignment.spec.queue, ledger: run.assignment.ledger, since: run.since)
            }, taskTypes: workers.taskTypes, completed: owner.counters.completed, failed: owner.counters.failed,
            duplicatesDiscarded: owner.counters.duplicatesDiscarded, stolen: workers.onLoop { $0.stolenCount },
            unwrittenResults: node.registry.storesResults ? UInt64(owner.unarchivedCount) : 0,
            isRegistryConnected: node.colleagues.archive.onLoop { $0.isConnected },
            ledgers: served,
            queues: owner.depth().prefix(Limits.reportedQueues).map { depth in
                PeerStatus.Queue(
                    name: depth.queue, counts: depth.counts.map { UInt64(max(0, $0)) },
                    oldestAge: owner.oldestAge(of: depth.queue, at: node.now),
                    statistics: owner.statistics(of: depth.queue, at: node.now))
            }, takeovers: takeovers, disk: disk, standing: standing, letters: letters,
            retention: PeerStatus.Retention(
                outcomes: UInt64(owner.outcomes.count), outcomeBytes: UInt64(owner.outcomes.cost),
                cut: owner.outcomes.cut, queuedBytes: UInt64(owner.heldBytes)))
    }

    private var disk: PeerStatus.Disk {
        let status = node.colleagues.ledgers.onLoop { $0.status }
        return PeerStatus.Disk(
            journalBytes: UInt64(status.bytesOnDisk), isFull: status.isFull, sync: node.configuration.sync.setting,
            sinceSync: status.lastSync.map { node.now - $0 }, worstSync: status.worstSync)
    }

    /// What this node still serves, and how much of it has no outcome.
    var served: [PeerStatus.Ledger] {
        owner.ownedLedgers.map { PeerStatus.Ledger(id: $0, open: UInt64(owner.openCount(of: $0) ?? 0)) }
    }

    var openCount: Int { owner.openCount }
    var completedCount: UInt64 { owner.counters.completed }
}

/// Filled in by the call that makes a request, read when the request is answered. Only on the loop.
private final class Submitted: @unchecked Sendable { var ids: [TaskID] = [] }
private final class Decision: @unchecked Sendable { var value = CancelDecision.unknown }

extension Limits {
    /// How long an outcome that is about to be committed is waited for before it is told.
    static let commitPatience = Duration.seconds(2)
    /// How long a request waits for its commit: a backup that does not answer is replaced long before.
    static let commitDeadline = Duration.seconds(10)
}
