import Peers
import Primitives
import Service
import TaskLedger
import Views
import Wire

/// Changing tasks, running them again, dead letters and histories, anywhere in the cluster: whoever is asked forwards
/// to the owner.
extension NodeService {
    func carryOut(_ wish: TaskWish, for id: TaskID) async -> WishOutcome {
        let owner: NodeName
        switch await find(id, wait: .zero) {
        case .found(let snapshot): owner = snapshot.owner ?? node.name
        case .archived, .expired: return .archived
        case .unknown: return .unknown
        case .unavailable(let reason): return .unavailable(reason)
        }
        let request = WishRequest(task: id, wish: wish)
        switch await carryOut(request, at: owner) {
        case .success(let reply):
            let snapshot = reply.record.map {
                TaskSnapshot($0, owner: owner, at: node.now, timestamp: node.timestamp)
            }
            switch reply.decision {
            case .done where snapshot != nil || wish == .purge: return .done(wish == .purge ? nil : snapshot)
            case .done, .unsettled:
                return .unavailable("\(owner) cannot tell yet: ask for the task, and try again if nothing has changed")
            // It was there a moment ago.
            case .unknown: return .unavailable("it is changing owners: try again")
            case .running, .ended, .notEnded, .completed, .noLetter, .wouldExpire, .full, .inWorkflow:
                return .refused(reply.decision, snapshot)
            }
        case .failure(let error) where error.mayHaveArrived:
            return .unconfirmed("\(owner), which owns it, did not answer in time: it may have been done")
        case .failure(let error):
            return .unavailable("\(owner), which owns it, cannot be asked (\(error)): nothing was done")
        }
    }

    private func carryOut(_ request: WishRequest, at owner: NodeName) async -> Result<WishReply, PeerError> {
        if owner == node.name {
            let queue = actors.queue
            return .success(
                await withCheckedContinuation { continuation in
                    node.scheduler.execute {
                        queue.onLoop { $0.carryOut(request) { continuation.resume(returning: $0) } }
                    }
                })
        }
        guard let peer = node.peers[owner] else { return .failure(.unknownPeer) }
        let frame = Frame(.wish, at: node.now) { $0.wishRequest(request) }
        switch await ask(frame, of: peer, within: .seconds(5)) {
        case .success(let answer):
            guard
                let reply = try? answer.read(
                    at: node.now, { reader throws(WireError) in try reader.wishReply() })
            else { return .failure(.timedOut(sent: true)) }
            return .success(reply)
        case .failure(let error): return .failure(error)
        }
    }

    func sweepLetters(_ sweep: LetterSweep) async -> SweepOutcome {
        let query = TaskQuery(
            statuses: [.failed], queue: sweep.queue, taskType: sweep.taskType, age: sweep.age, error: sweep.error)
        let request = SweepRequest(isPurge: sweep.isPurge, filter: ListRequest(query, limit: 0))
        let queue = actors.queue
        async let mine = withCheckedContinuation { continuation in
            node.scheduler.execute { queue.onLoop { $0.sweep(request) { continuation.resume(returning: $0) } } }
        }
        var (answers, missing) = await askAll(
            Frame(.sweep, at: node.now) { $0.sweepRequest(request) }, within: .seconds(10)
        ) { reader throws(WireError) in try reader.sweepReply() }
        missing = incomplete(missing, await actors.views.view, answered: Set(answers.keys))
        answers[node.name] = await mine
        missing += answers.filter { !$0.value.isCommitted && !missing.contains($0.key) }.map(\.key)
        return SweepOutcome(
            done: answers.values.reduce(0) { $0 + Int(clamping: $1.done) },
            left: answers.values.reduce(0) { $0 + Int(clamping: $1.left) }, missing: missing.sorted())
    }

    // MARK: Histories

    func story(of id: TaskID) async -> StoryLookup {
        switch await ownersWord(on: id, { _, owner in await inspect(id, at: owner) }) {
        case .told(let inspection, _, let owner):
            let record = inspection.record
            let snapshot = TaskSnapshot(record, owner: owner, at: node.now, timestamp: node.timestamp)
            return .found(
                TaskStory(
                    task: snapshot, transitions: record.transitions(acceptedBy: inspection.accepter),
                    cut: Int(record.history.cut), explanation: await explain(inspection, snapshot, owner)))
        case .archived(let document): return .archived(document)
        case .unknown: return .unknown
        case .expired: return .expired
        case .unavailable(let reason): return .unavailable(reason)
        }
    }

    /// The history comes from its owner; what does not change, and the result, with the task itself.
    func task(_ id: TaskID, at time: Timestamp) async -> EarlierLookup {
        switch await ownersWord(on: id, { _, owner in await inspect(id, at: owner) }) {
        case .told(let inspection, let present, _):
            let (now, wallClock) = (node.now, node.timestamp.milliseconds)
            let then = inspection.record.state(at: time) {
                Timestamp(milliseconds: wallClock + ($0 - now).milliseconds)
            }
            switch then {
            case .found(let state): return .found(present.as(state))
            case .notAccepted: return .notAccepted(at: id.createdAt)
            case .notKept(let since): return .notKept(since: since)
            }
        case .archived: return .archived
        case .unknown: return .unknown
        case .expired: return .expired
        case .unavailable(let reason): return .unavailable(reason)
        }
    }

    private func inspect(_ id: TaskID, at owner: NodeName) async -> Inspection? {
        if owner == node.name { return await actors.queue.inspect(id) }
        guard let peer = node.peers[owner],
            case .success(let answer) = await ask(
                Frame(.inspect, at: node.now) { $0.taskID(id) }, of: peer, within: .seconds(2))
        else { return nil }
        return (try? answer.read(at: node.now) { reader throws(WireError) in try reader.inspection() }) ?? nil
    }

    private func explain(_ inspection: Inspection, _ task: TaskSnapshot, _ owner: NodeName) async -> Explanation {
        let due = task.dueAt
        switch inspection.cause {
        case .ended:
            let told = task.deliveryID.map { "; \(task.spec.callbackURL ?? "") is told by task \($0)" } ?? ""
            return Explanation(reason: .ended, detail: "it is \(task.status.name): it does not run any more\(told)")
        case .runs:
            return Explanation(reason: .running, detail: "it runs at \(task.worker?.rawValue ?? "some node")")
        case .granted:
            return Explanation(
                reason: .granted,
                detail: "\(task.worker?.rawValue ?? "a node") was given it, and has not said yet that it has begun")
        case .notDue:
            return Explanation(reason: .notDue, detail: "it is not due yet: it may start at run_at", until: due)
        case .retryRest:
            return Explanation(
                reason: .retryRest,
                detail:
                    "its last attempt failed (\(task.failure?.type ?? "unknown")): it rests until the next, at run_at",
                until: due)
        case .dependencies:
            let open = inspection.record.openParents
            return Explanation(
                reason: .dependencies,
                detail: "it waits for the end of \(open.count) of the "
                    + "\(inspection.record.parents.count) tasks that it depends on", waitsFor: open)
        case .order(let count):
            let what =
                inspection.record.spec.firing.map { "of the schedule \($0.schedule)" } ?? "with the same ordering key"
            return Explanation(
                reason: .order, detail: "\(count == 1 ? "1 task" : "\(count) tasks") \(what) must end first",
                ahead: count)
        case .fence(let until):
            return Explanation(
                reason: .fenced,
                detail: "\(owner) has taken it over, and waits until nobody else can start it any more",
                until: until.map { end in
                    Timestamp(milliseconds: node.timestamp.milliseconds + (end - node.now).milliseconds)
                })
        case .queuePaused:
            return Explanation(
                reason: .queuePaused,
                detail: "its queue \"\(task.spec.queue)\" is paused: nothing of it starts until somebody resumes it")
        case .queueLimited(let shortage):
            return limited(shortage, task.spec.queue)
        case .ownerPaused:
            return Explanation(
                reason: .ownerPaused,
                detail: inspection.unreadiness ?? "\(owner), which owns it, may start nothing at the moment")
        case .solitude, .behind, .next: break
        }
        if await !isServed(task.spec.type) {
            return Explanation(
                reason: .noHandler, detail: "no node that answers has a handler for the type \"\(task.spec.type)\"")
        }
        switch inspection.cause {
        case .behind(let count, let isMore):
            let number = "\(count)" + (isMore ? " or more" : "")
            let many = count == 1 ? "1 task of \(owner) comes" : "\(number) tasks of \(owner) come"
            return Explanation(
                reason: .behind, detail: "\(many) first: with more priority, longer waiting, or since it is their turn",
                ahead: count)
        case .solitude:
            return Explanation(
                reason: .solitude,
                detail:
                    "it was interrupted \(task.interruptions) times, and may be what took its nodes down: it starts "
                    + "at \(owner) when nothing else runs there", ahead: 0)
        default:
            return Explanation(
                reason: .next, detail: "it is the next of \(owner): it starts as soon as a slot is free", ahead: 0)
        }
    }

    private func limited(_ shortage: PermitShortage, _ queue: String) -> Explanation {
        let set = settings?.queue(queue)
        switch shortage {
        case .rate:
            let rate = Double(set?.rate ?? 0) / 1000
            return Explanation(
                reason: .rateLimit, detail: "its queue \"\(queue)\" starts \(rate) tasks a second in the whole cluster")
        case .concurrency:
            return Explanation(
                reason: .concurrency,
                detail: "as many tasks of its queue \"\(queue)\" run in the cluster as may: \(set?.concurrency ?? 0)")
        case .learning, .noHome:
            return Explanation(
                reason: .homeUnreachable,
                detail:
                    "the node that counts the starts of its queue \"\(queue)\" cannot be asked, or does not know yet what "
                    + "the others run: nothing of the queue starts until it does")
        }
    }

    private func isServed(_ type: String) async -> Bool {
        if actors.workers.taskTypes.contains(type) { return true }
        return await workers().contains { $0.taskTypes.contains(type) }
    }
}

extension TaskSnapshot {
    /// The same task in an earlier state.
    fileprivate func `as`(_ state: EarlierState) -> TaskSnapshot {
        let isLast = state.status == status && state.run == run && state.finishedAt == finishedAt
        var earlier = TaskSnapshot(
            id: id, spec: spec, status: state.status, owner: nil, attempt: state.attempt, run: state.run,
            interruptions: state.interruptions, worker: state.worker, createdAt: createdAt,
            startedAt: state.startedAt, finishedAt: state.finishedAt, dueAt: state.due,
            result: isLast ? result : nil, failure: state.failure, isCancelRequested: state.isCancelRequested,
            duplicatesDiscarded: isLast ? duplicatesDiscarded : 0)
        earlier.spec.priority = state.priority
        return earlier
    }
}
