import Peers
import Primitives
import Service
import TaskLedger
import Views
import Wire

/// Finding, listing and cancelling tasks anywhere in the cluster.
extension NodeService {
    /// First the primary of the ledger that the id hints at; then everybody; then the registry. "Unknown" only if nobody
    /// who may have it was missing.
    func task(_ id: TaskID, wait: Duration?) async -> TaskLookup { await withResult(latest(id, wait: wait)) }

    private func latest(_ id: TaskID, wait: Duration?) async -> TaskLookup {
        let deadline = node.now + (wait ?? .zero)
        while true {
            let began = node.now
            let rest = max(deadline - began, .zero)
            // In slices: a client that leaves, or a server that stops, does not keep a question waiting for long.
            let answer = await find(id, wait: min(rest, Limits.waitSlice))
            if node.now >= deadline || Task.isCancelled { return answer }
            switch answer {
            case .found(let snapshot) where snapshot.status.isFinal: return answer
            case .archived, .expired: return answer
            // A task that was made long ago, or was not made yet, is not just changing owners.
            case .unknown where abs(id.createdAt.milliseconds - node.timestamp.milliseconds) > 60_000: return answer
            case .found, .unknown, .unavailable: break
            }
            let pause = Limits.lookupPause - (node.now - began)
            // Cancelled: the next round finds out.
            if pause > .zero { await sleep(min(pause, rest)) }
        }
    }

    /// On the node's own clock, whatever that is.
    func sleep(_ duration: Duration) async {
        // Unchecked: of a node that ends nobody waits any longer.
        await withUnsafeContinuation { continuation in
            node.scheduler.execute { [node] in
                _ = node.scheduler.schedule(after: duration) { continuation.resume() }
            }
        }
    }

    func find(_ id: TaskID, wait: Duration) async -> TaskLookup {
        let view = await actors.views.view
        var asked: Set<NodeName> = []
        var problems: [NodeName: String] = [:]
        var isForgotten = false
        func ask(_ name: NodeName, wait: Duration) async -> TaskSnapshot? {
            asked.insert(name)
            switch await lookup(id, at: name, wait: wait) {
            case .success(.found(let record)):
                return TaskSnapshot(record, owner: name, at: node.now, timestamp: node.timestamp)
            case .success(.unknown(let number)):
                if number != view?.number { problems[name] = "\(name) is changing its view" }
            case .success(.forgotten): isForgotten = true
            case .success(.unsettled): problems[name] = "\(name) has the task, and cannot say yet what has become of it"
            case .failure(let error): problems[name] = "\(name) does not answer (\(error))"
            }
            return nil
        }
        for ledger in view?.ledgers.filter({ TaskID.tag(of: $0.id) == id.ledgerTag }) ?? []
        where !asked.contains(ledger.primary.name) {
            if let found = await ask(ledger.primary.name, wait: wait) { return .found(found) }
        }
        // Gossip may have given up somebody whom the view still names as an owner: that one is not forgotten, but missing.
        let others = Set([node.name] + node.peers.keys + (view?.ledgers.map(\.primary.name) ?? []))
        for name in others.subtracting(asked).sorted() {
            if let found = await ask(name, wait: .zero) { return .found(found) }
        }
        return await archived(id, view, problems, isForgotten: isForgotten)
    }

    /// No ledger that can be asked has it.
    private func archived(
        _ id: TaskID, _ view: View?, _ problems: [NodeName: String], isForgotten: Bool
    ) async -> TaskLookup {
        switch await actors.archive.read(id) {
        case .success(let document?): return .archived(document)
        // Whoever had it has said that there is nothing left: nobody else can have it.
        case .success(nil) where isForgotten: return .expired
        case .success(nil): break
        case .failure(let error): return .unavailable("the registry, which may have it, does not answer: \(error)")
        }
        // Only who is up to date may say that there is no such task.
        if let reason = await actors.queue.ignorance { return .unavailable(reason) }
        let away = (view?.ledgers ?? []).filter { !isAvailable($0, view) }
        if !away.isEmpty {
            let ledgers = away.map { ledger in
                "that of \(ledger.founder.name) (copies: \(ledger.replicas.map(\.name.rawValue).joined(separator: ", ")))"
            }
            return .unavailable(
                "no copy of \(away.count == 1 ? "a ledger" : "some ledgers") is here: \(ledgers.joined(separator: "; ")). If the "
                    + "task is in it, it waits there, and is found again when one of these nodes comes back with its disk"
            )
        }
        #if PLANTED_BUGS
        if PlantedBug.isActive(.unknownThoughSomeAreSilent) { return .unknown }
        #endif
        return problems.isEmpty
            ? .unknown : .unavailable(problems.sorted { $0.key < $1.key }.map(\.value).joined(separator: "; "))
    }

    func isAvailable(_ ledger: LedgerAssignment, _ view: View?) -> Bool {
        view?.member(ledger.primary.name)?.replica == ledger.primary
    }

    /// Whose tasks are missing from what was put together: who did not answer, and who owned a ledger that nobody serves.
    func incomplete(_ missing: [NodeName], _ view: View?, answered: Set<NodeName>) -> [NodeName] {
        let owners = (view?.ledgers ?? []).filter { ledger in
            !isAvailable(ledger, view) || ledger.primary.name != node.name && !answered.contains(ledger.primary.name)
        }.map(\.primary.name)
        return Set(missing + owners).sorted()
    }

    private func lookup(_ id: TaskID, at name: NodeName, wait: Duration) async -> Result<LookupReply, PeerError> {
        if name == node.name {
            let queue = actors.queue
            return .success(
                await withCheckedContinuation { continuation in
                    node.scheduler.execute {
                        queue.onLoop { $0.lookup(id, wait: wait) { continuation.resume(returning: $0) } }
                    }
                })
        }
        guard let peer = node.peers[name] else { return .failure(.unknownPeer) }
        let frame = Frame(.lookup, at: node.now) { writer in
            writer.taskID(id)
            writer.duration(wait)
        }
        switch await ask(frame, of: peer, within: wait + Limits.commitPatience + .milliseconds(500)) {
        case .success(let answer):
            do throws(WireError) {
                return .success(try answer.read(at: node.now) { reader throws(WireError) in try reader.lookupReply() })
            } catch {
                node.logger.warning("lookup answer refused", metadata: ["from": "\(name)", "reason": "\(error)"])
                return .failure(.timedOut(sent: true))
            }
        case .failure(let error): return .failure(error)
        }
    }

    func tasks(_ query: TaskQuery) async -> TaskPage {
        // One more than a page, to see whether there is another.
        let request = ListRequest(query, limit: query.limit + 1)
        let mine = await actors.queue.list(request)
        let (answers, missing) = await askAll(
            Frame(.list, at: node.now) { $0.listRequest(request) }, within: .seconds(2)
        ) {
            reader throws(WireError) in
            try reader.array(upTo: Limits.pageTasks + 1, "tasks") { reader throws(WireError) in try reader.taskRecord()
            }
        }
        var found: [(record: TaskRecord, owner: NodeName)] = mine.map { ($0, node.name) }
        for (name, records) in answers { found += records.map { ($0, name) } }
        found.sort { $0.record.id > $1.record.id }
        let page = found.prefix(query.limit)
        return TaskPage(
            tasks: page.map { TaskSnapshot($0.record, owner: $0.owner, at: node.now, timestamp: node.timestamp) },
            next: found.count > query.limit ? page.last?.record.id : nil,
            missing: incomplete(missing, await actors.views.view, answered: Set(answers.keys)))
    }

    func cancel(_ id: TaskID) async -> CancelOutcome {
        let owner: NodeName
        switch await find(id, wait: .zero) {
        case .found(let snapshot):
            guard !snapshot.status.isFinal else { return .finished(snapshot) }
            owner = snapshot.owner ?? node.name
        case .archived, .expired: return .archived
        case .unknown: return .unknown
        case .unavailable(let reason): return .unavailable(reason)
        }
        guard let reply = await cancel(id, at: owner) else {
            return .unavailable("\(owner), which owns it, does not answer: it may have been cancelled")
        }
        guard let record = reply.record else { return .unavailable("it is changing owners: try again") }
        let snapshot = TaskSnapshot(record, owner: owner, at: node.now, timestamp: node.timestamp)
        switch reply.decision {
        case .cancelled: return .cancelled(snapshot)
        case .requested: return .requested(snapshot)
        case .finished: return .finished(snapshot)
        case .unknown: return .unknown
        }
    }

    private func cancel(_ id: TaskID, at owner: NodeName) async -> CancelReply? {
        if owner == node.name {
            let queue = actors.queue
            return await withCheckedContinuation { continuation in
                node.scheduler.execute { queue.onLoop { $0.cancel(id) { continuation.resume(returning: $0) } } }
            }
        }
        guard let peer = node.peers[owner],
            case .success(let answer) = await ask(
                Frame(.cancel, at: node.now) { $0.taskID(id) }, of: peer, within: .seconds(5))
        else { return nil }
        return try? answer.read(at: node.now) { reader throws(WireError) in try reader.cancelReply() }
    }
}

extension ListRequest {
    init(_ query: TaskQuery, limit: Int) {
        var statuses: UInt8 = 0
        for status in query.statuses { statuses |= 1 << status.rawValue }
        self.init(
            statuses: statuses, queue: query.queue, taskType: query.taskType, age: query.age, error: query.error,
            before: query.before, limit: UInt32(clamping: limit), isOfWorkflows: query.isOfWorkflows,
            schedule: query.schedule)
    }
}

extension Limits {
    /// A long poll asks the owner for so long at a time.
    static let waitSlice = Duration.seconds(1)
    /// Between two looks for a task that nobody owns up to.
    static let lookupPause = Duration.milliseconds(50)
}
