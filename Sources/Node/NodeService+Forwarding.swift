import Peers
import Primitives
import Service
import TaskLedger
import Views
import Wire

/// What this node cannot take goes to one that can.
extension NodeService {
    /// One hop: the least loaded member that takes work; what it has no room for, the next one. If one does not answer in
    /// time the tasks may have been accepted there, so nobody else is tried for them. A node whose disk is full says so at
    /// once, and is not asked again for a moment: it costs no try, nor does one whose share of a queue's length is used up.
    func forward(_ specs: [TaskSpec], after refusal: SubmissionRefusal) async -> [SubmissionOutcome] {
        await forward(specs.count, isWhole: false, after: refusal) { range, _ in Array(specs[range]) }
    }

    /// - Parameters:
    ///   - isWhole: one node takes all or nothing.
    ///   - make: some of the tasks, under the ids that they are to have there.
    func forward(
        _ count: Int, isWhole: Bool, after refusal: SubmissionRefusal, _ make: (Range<Int>, [TaskID]) -> [TaskSpec]
    ) async -> [SubmissionOutcome] {
        var refusal = refusal
        var outcomes: [SubmissionOutcome] = []
        var tries = 0
        for target in await forwardTargets() where tries < Limits.forwardTries {
            if let folder = knownFullDisk(of: target.id.name) {
                refusal = refusal.weighed(against: .diskFull([FullDisk(node: target.id.name, folder: folder)]))
                continue
            }
            var portion = outcomes.count..<count
            var isFirst = true
            asking: while !portion.isEmpty {
                switch await forward(portion, to: target, make) {
                case .settled(let settled):
                    outcomes += settled
                    break asking
                case .full(let fitting, let retryAfter):
                    refusal = refusal.weighed(against: .full(retryAfter: retryAfter))
                    if isFirst { tries += 1 }
                    guard isFirst, !isWhole, fitting > 0, fitting < portion.count else { break asking }
                    // Once: its room may be gone by then.
                    isFirst = false
                    portion = portion.prefix(fitting)
                case .queueFull(let fitting, let queue):
                    refusal = refusal.weighed(against: queueFull(queue))
                    guard isFirst, !isWhole, fitting > 0, fitting < portion.count else { break asking }
                    isFirst = false
                    portion = portion.prefix(fitting)
                case .diskFull(let folder):
                    fullDisks.withLock { $0[target.id.name] = (folder, node.now) }
                    refusal = refusal.weighed(against: .diskFull([FullDisk(node: target.id.name, folder: folder)]))
                    break asking
                case .unavailable:
                    tries += 1
                    break asking
                }
            }
            if outcomes.count == count { return outcomes }
        }
        return outcomes + (outcomes.count..<count).map { _ in .refused(refusal) }
    }

    private enum Forwarded {
        /// Accepted, or nobody knows.
        case settled([SubmissionOutcome])
        case full(fitting: Int, retryAfter: Int)
        case queueFull(fitting: Int, queue: String)
        case diskFull(folder: String)
        case unavailable
    }

    private func forward(
        _ range: Range<Int>, to target: Target, _ make: (Range<Int>, [TaskID]) -> [TaskSpec]
    ) async -> Forwarded {
        let ids = await actors.queue.idsFor(target.ledger, count: range.count)
        let specs = make(range, ids)
        let unconfirmed = Forwarded.settled(ids.map { .refused(.unconfirmed($0)) })
        let frame = Frame(.forward, at: node.now) { writer in
            writer.array(ids) { $0.taskID($1) }
            writer.array(specs) { $0.taskSpec($1) }
        }
        switch await ask(frame, of: target.id, within: .seconds(5)) {
        case .success(let answer):
            switch try? answer.read(at: node.now, { reader throws(WireError) in try reader.forwardReply() }) {
            case .accepted(let accepted, let holders) where accepted.count == specs.count:
                return .settled(zip(accepted, specs).map { .accepted(accept($0, $1, at: target, holders)) })
            case .full(let fitting, let retryAfter):
                let bound = 1...UInt32(Limits.retryAfterSeconds)
                return .full(
                    fitting: Int(fitting), retryAfter: Int(min(max(retryAfter, bound.lowerBound), bound.upperBound)))
            case .queueFull(let fitting):
                let first = specs[min(Int(clamping: fitting), specs.count - 1)]
                return .queueFull(fitting: Int(fitting), queue: first.queue)
            case .diskFull(let folder): return .diskFull(folder: folder)
            case .unavailable: return .unavailable
            case .accepted, nil: return unconfirmed
            }
        case .failure(let error):
            #if PLANTED_BUGS
            if PlantedBug.isActive(.forwardedTwice) { return .unavailable }
            #endif
            return error.mayHaveArrived ? unconfirmed : .unavailable
        }
    }

    // MARK: Full queues

    /// This node takes `room` more tasks of the queue; the others have shares of their own.
    func submit(_ specs: [TaskSpec], beyond room: Int, in queue: String) async -> [SubmissionOutcome] {
        var taken = 0
        let isBeyond = specs.map { spec in
            guard spec.queue == queue else { return false }
            taken += 1
            return taken > room
        }
        let mine = zip(specs, isBeyond).filter { !$0.1 }.map(\.0)
        let others = zip(specs, isBeyond).filter(\.1).map(\.0)
        // Somebody else may have taken the room meanwhile: then it is less, and this ends all the same.
        var near = (mine.isEmpty ? [] : await submit(mine))[...]
        var far = await forward(others, after: queueFull(queue))[...]
        return isBeyond.map { isBeyond in
            (isBeyond ? far.popFirst() : near.popFirst())
                ?? .refused(.unavailable("the submission was lost on its way: try again"))
        }
    }

    func queueFull(_ queue: String) -> SubmissionRefusal {
        let settings = settings?.queue(queue)
        return .queueFull(
            queue, limit: QueueBounds(length: settings?.maxLength, bytes: settings?.maxBytes), retryAfter: 1)
    }

    private func knownFullDisk(of name: NodeName) -> String? {
        fullDisks.withLock { disks in
            guard let disk = disks[name] else { return nil }
            if node.now - disk.at < Limits.fullDiskMemory { return disk.folder }
            disks[name] = nil
            return nil
        }
    }

    private func accept(_ id: TaskID, _ spec: TaskSpec, at target: Target, _ holders: [NodeName]) -> AcceptedTask {
        AcceptedTask(
            id: id, status: !spec.dependencies.isEmpty ? .blocked : spec.delay > 0 ? .scheduled : .pending,
            owner: target.id.name,
            durability: target.copies <= 1 ? .local : holders.count >= target.copies ? .replicated : .degraded,
            holders: holders, createdAt: id.createdAt)
    }

    private struct Target: Sendable {
        let id: NodeID
        let ledger: LedgerID
        let copies: Int
    }

    /// Members with a ledger of their own that take work, the least loaded first.
    private func forwardTargets() async -> [Target] {
        guard let view = await actors.views.view else { return [] }
        let members = await actors.membership.members
        let loads = Dictionary(members.map { ($0.id, $0.load) }, uniquingKeysWith: { first, _ in first })
        return view.ledgers.compactMap { ledger -> (Target, UInt32)? in
            guard ledger.primary == ledger.founder, let member = view.member(ledger.primary.name),
                member.id.name != node.name, let load = loads[member.id], !load.isDraining, node.isLinked(member.id)
            else { return nil }
            return (Target(id: member.id, ledger: ledger.id, copies: Int(view.settings.copies)), load.open)
        }.sorted { ($0.1, $0.0.id) < ($1.1, $1.0.id) }.map(\.0)
    }
}

extension Limits {
    /// Nodes that a submission is sent to before it is refused.
    static let forwardTries = 3
    /// How long a node that had no room on its disk is not asked again.
    static let fullDiskMemory = Duration.seconds(1)
}
