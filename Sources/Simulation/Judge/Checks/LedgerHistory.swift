import Primitives
import TaskLedger

/// One ledger as its primaries have committed it, put together from what is seen of them: entry by entry, whoever wrote it. An
/// independent fold of the same events checks what the owner's machine decides.
///
/// - One entry at a place: what one primary has committed no other replaces.
/// - One node commits in a term.
/// - A task is accepted once, and each of its runs ends once; no token is granted twice, and tokens name the term in
///   which they are granted.
/// - A failure, a retry and an interruption are of the attempt that has the lease.
/// - A task that is to be cancelled is not leased again.
/// - A task that waits for others is not leased before enough of them are recorded to have ended as its policy wants.
/// - A new run follows the run before, which has ended; nothing of another run is granted. What runs is not changed.
///
/// - The steps of a workflow have different names. It ends when all its tasks have, and takes none after that.
///
/// Entries are compared without their times, which each node has on its own clock.
struct LedgerHistory {
    private struct Entry {
        var place: Place
        var digest: UInt64
    }

    struct History {
        var lease: Token?
        /// Tokens of the leases, ascending by time.
        var leases: [Token] = []
        /// Of the present run.
        var end: (token: Token?, kind: String)?
        var run: UInt32 = 1
        /// Under which the runs before have ended.
        var earlierEnds: [UInt32: Token] = [:]
        var isForgotten = false
        var isCancelRequested = false
        var dependencies = TaskDependencies.none
        var isFailing = false
        /// The run that somebody was told the end of; 0: none.
        var calledBack: UInt32 = 0
        /// That it is a part of.
        var workflow: TaskID?
        /// Those whose end is not recorded.
        var openParents: [TaskID] = []
        /// Never iterated.
        var parentEnds: [TaskID: ParentOutcome.End] = [:]

        /// Why it must not start; nil: it may.
        var waiting: String? {
            let completed = dependencies.parents.count { parentEnds[$0] == .completed }
            if completed >= min(Int(dependencies.needed ?? .max), dependencies.parents.count) { return nil }
            if dependencies.onFailure == .run, openParents.isEmpty { return nil }
            return
                "\(completed) of its \(dependencies.parents.count) parents are recorded as completed, \(openParents.count) as open"
        }
    }

    let id: LedgerID
    /// By sequence number, from `first` on.
    private var entries: [Entry] = []
    private var first: UInt64 = 1
    /// Who commits in a term. Never iterated.
    private var committers: [Term: Int] = [:]
    private(set) var tasks: [TaskID: History] = [:]
    /// The tasks of a workflow. Never iterated, but to name one.
    private struct Roster {
        var refs: Set<String> = []
        var open: Set<TaskID> = []
    }

    private var rosters: [TaskID: Roster] = [:]
    /// Tasks that were there when the history began anew: nobody knows which of their entries are committed.
    private var inherited: Set<TaskID> = []
    private(set) var entryCount = 0

    init(id: LedgerID) { self.id = id }

    /// The newest place that is known to be committed.
    var last: Place { entries.last?.place ?? .start }
    /// The end of what its primary had when it was looked at last, committed or not.
    private(set) var newest = Place.start

    /// Where the history is not whole: begins anew with what is there. For ledgers whose every copy was destroyed.
    mutating func forget() {
        entries = []
        first = .max
        tasks = [:]
        rosters = [:]
        inherited = []
    }

    /// Takes what a node says is committed.
    /// - Returns: what must not be.
    mutating func take(_ served: ServedLedger, at node: Int) -> (Property, String)? {
        let copy = served.copy
        newest = copy.last
        if first == .max {
            first = copy.last.sequence + 1
            for (id, record) in copy.state.tasks {
                tasks[id] = History(
                    lease: record.lease?.token, leases: [],
                    end: record.status.isFinal ? (record.finalToken, "earlier") : nil, run: record.run)
                inherited.insert(id)
            }
            return nil
        }
        let known = first + UInt64(entries.count) - 1
        if let conflict = compare(copy, upTo: min(known, served.committed), at: node) { return conflict }
        guard served.committed > known else { return nil }
        guard let new = copy.entries(after: known, bytes: .max) else {
            // It was trimmed before it was seen. The state goes on from what the copy says.
            forget()
            return take(served, at: node)
        }
        for entry in new.prefix(Int(served.committed - known)) {
            let term = entry.place.term
            if term == served.term {
                if let other = committers[term], other != node {
                    return (.twoPrimaries, "nodes \(other) and \(node) commit in term \(term) of \(id)")
                }
                committers[term] = node
            }
            if let last = entries.last,
                entry.place.term < last.place.term || entry.place.sequence != last.place.sequence + 1
            {
                return (.conflictingCommits, "\(id) goes on with \(entry.place) after \(last.place)")
            }
            entries.append(Entry(place: entry.place, digest: Self.digest(entry.event)))
            entryCount += 1
            if let problem = fold(entry) { return (problem.0, "\(id) \(entry.place): \(problem.1)") }
        }
        return nil
    }

    /// The last entries that both know.
    private func compare(_ copy: LedgerCopy, upTo end: UInt64, at node: Int) -> (Property, String)? {
        guard end >= first, let held = copy.recent.first?.place.sequence, held <= end else { return nil }
        for sequence in max(held, first, end > 7 ? end - 7 : 1)...end {
            let mine = entries[Int(sequence - first)]
            let theirs = copy.recent[Int(sequence - held)]
            guard theirs.place == mine.place, Self.digest(theirs.event) == mine.digest else {
                return (
                    .conflictingCommits,
                    "node \(node) has committed \(theirs.place) in \(id) where \(mine.place) was committed: \(theirs.event)"
                )
            }
        }
        return nil
    }

    // MARK: Folding

    private mutating func fold(_ entry: LedgerEntry) -> (Property, String)? {
        if case .acceptedTogether(let acceptances) = entry.event {
            for acceptance in acceptances {
                if let problem = fold(LedgerEntry(place: entry.place, event: .accepted(acceptance))) { return problem }
            }
            return nil
        }
        if case .calledBack(let id, let delivery) = entry.event {
            if let problem = callBack(id) { return problem }
            return fold(LedgerEntry(place: entry.place, event: .accepted(delivery)))
        }
        guard let id = entry.event.task else { return nil }
        var history = tasks[id] ?? History()
        let isKnown = tasks[id] != nil
        defer { tasks[id] = history }
        switch entry.event {
        case .accepted(let acceptance):
            guard !isKnown || inherited.contains(id) else { return (.resurrected, "\(id) is accepted again") }
            history.dependencies = acceptance.spec.dependencies
            history.openParents = acceptance.spec.dependencies.parents
            if let part = acceptance.spec.workflow, part.workflow != id { return join(part, &history, id) }
        case .leased(_, let lease):
            // An end that was there when the history began anew may never have been committed.
            if history.end?.kind == "earlier" { history.end = nil }
            guard history.end == nil else { return (.tokenTwice, "\(id) is leased though it has ended") }
            guard !history.isCancelRequested else {
                return (.cancelIgnored, "\(id) is leased under \(lease.token) though it was to be cancelled")
            }
            guard !history.leases.contains(lease.token) else {
                return (.tokenTwice, "\(lease.token) of \(id) is granted twice")
            }
            guard history.leases.allSatisfy({ $0 < lease.token }), lease.token.term == entry.place.term else {
                return (
                    .tokenTwice,
                    "\(lease.token) of \(id) is granted in term \(entry.place.term), after \(history.leases)"
                )
            }
            guard lease.token.run == history.run else {
                return (.tokenTwice, "\(lease.token) of \(id) is granted in its run \(history.run)")
            }
            if let reason = history.waiting { return (.startedBlocked, "\(id) is leased, and \(reason)") }
            history.lease = lease.token
            history.leases.append(lease.token)
        case .cancelRequested: history.isCancelRequested = true
        case .started, .duplicateDiscarded, .bound, .resultMoved, .calledBack:
            break
        case .completed(_, let token, _, _, _):
            guard token.run == history.run || inherited.contains(id) else {
                return (.staleFailure, "\(id) is completed by \(token), in its run \(history.run)")
            }
            return end(&history, id, token, "completed")
        case .failed(_, let token, _, _, _):
            guard history.lease == token || history.end != nil || isUnsure(id, history) else {
                return (.staleFailure, "\(id) is failed by \(token), and \(Self.text(history.lease)) has the lease")
            }
            return end(&history, id, token, "failed")
        case .rescheduled(_, let token, _, _, _), .interrupted(_, let token, _, _):
            guard history.lease == token && history.end == nil || isUnsure(id, history) else {
                return (
                    .staleFailure, "\(id): \(entry.event) names \(token), and \(Self.text(history.lease)) has the lease"
                )
            }
            history.lease = nil
        case .cancelled: return end(&history, id, history.lease, "cancelled")
        case .expired: return end(&history, id, history.lease, "expired")
        case .forgotten: history.isForgotten = true
        case .changed:
            // What was there when the history began anew may not have been committed, nor what has ended it.
            guard history.lease == nil, history.end == nil || inherited.contains(id) else {
                return (.impossibleChange, "\(id) is changed, and \(Self.text(history.lease)) has the lease")
            }
        case .retried(_, let run, _, _):
            guard history.end != nil || inherited.contains(id), run == history.run + 1 else {
                return (.impossibleChange, "run \(run) of \(id) begins, after run \(history.run)")
            }
            if let token = history.end?.token { history.earlierEnds[history.run] = token }
            history.run = run
            history.end = nil
            history.lease = nil
            history.isCancelRequested = false
            history.openParents = history.dependencies.parents.filter { history.parentEnds[$0] != .completed }
            history.openParents.forEach { history.parentEnds[$0] = nil }
        case .acceptedTogether: break
        case .workflowFailing(_, by: let step, _):
            guard !history.isFailing || inherited.contains(id) else {
                return (.falseWorkflow, "\(id) is failing by \(step), and was before")
            }
            history.isFailing = true
        case .workflowEnded(_, let status, _, _):
            if let open = rosters[id]?.open.min(), !inherited.contains(id) {
                return (.falseWorkflow, "\(id) is \(status.name), and its task \(open) has not ended")
            }
            return end(&history, id, nil, status.name)
        case .dependencyEnded(_, let parent, let outcome, _):
            return learn(&history, id, parent, outcome.end)
        }
        return nil
    }

    /// Somebody is told of the end of a task.
    private mutating func callBack(_ id: TaskID) -> (Property, String)? {
        guard let history = tasks[id], !inherited.contains(id) else { return nil }
        guard history.end != nil else { return (.falseCallback, "\(id) is called back, and has not ended") }
        guard history.calledBack < history.run else {
            return (.falseCallback, "\(id) is called back twice in its run \(history.run)")
        }
        tasks[id]?.calledBack = history.run
        return nil
    }

    /// A task that another one waits for has ended. By that the waiting one may end.
    private mutating func learn(
        _ history: inout History, _ id: TaskID, _ parent: TaskID, _ end: ParentOutcome.End
    ) -> (Property, String)? {
        guard !inherited.contains(id) else { return nil }
        guard history.dependencies.parents.contains(parent) else {
            return (.startedBlocked, "\(id) is told of \(parent), for which it does not wait")
        }
        guard history.openParents.contains(parent) else {
            return (.startedBlocked, "\(id) is told twice of \(parent)")
        }
        let wasWaiting = history.waiting != nil
        history.openParents.removeAll { $0 == parent }
        history.parentEnds[parent] = end
        let needed = min(Int(history.dependencies.needed ?? .max), history.dependencies.parents.count)
        let completed = history.dependencies.parents.count { history.parentEnds[$0] == .completed }
        guard wasWaiting, history.end == nil, history.dependencies.onFailure != .run,
            completed + history.openParents.count < needed
        else { return nil }
        return self.end(&history, id, nil, history.dependencies.onFailure == .fail ? "failed" : "cancelled")
    }

    private mutating func end(
        _ history: inout History, _ id: TaskID, _ token: Token?, _ kind: String
    ) -> (Property, String)? {
        // What was there when the history began anew may never have been committed.
        if let before = history.end, before.kind != "earlier" {
            return (.twoOutcomes, "\(id) is recorded as \(kind), after \(before.kind)")
        }
        history.end = (token, kind)
        history.lease = nil
        if let workflow = history.workflow { rosters[workflow]?.open.remove(id) }
        return nil
    }

    /// A task of a workflow is accepted.
    private mutating func join(_ part: WorkflowPart, _ history: inout History, _ id: TaskID) -> (Property, String)? {
        let root = part.workflow
        history.workflow = root
        guard !inherited.contains(root) else { return nil }
        guard let workflow = tasks[root], workflow.end == nil else {
            return (.falseWorkflow, "\(id) is added to \(root), which has ended, or is not there")
        }
        rosters[root, default: Roster()].open.insert(id)
        guard !part.isStep || rosters[root]?.refs.insert(part.ref).inserted == true else {
            return (.falseWorkflow, "\(id) is added to \(root), which has a step \(part.ref)")
        }
        return nil
    }

    private static func text(_ token: Token?) -> String { token.map { "\($0)" } ?? "nobody" }

    /// Its lease was there when the history began anew, and may be another one.
    private func isUnsure(_ id: TaskID, _ history: History) -> Bool {
        inherited.contains(id) && history.leases.isEmpty
    }

    // MARK: Comparing

    /// Whether a copy holds what is known to be committed; nil if it cannot be told.
    func isHeld(by copy: LedgerCopy) -> Bool? {
        guard let last = entries.last else { return true }
        if copy.last.sequence < last.place.sequence { return false }
        if copy.last.sequence == last.place.sequence { return copy.last == last.place }
        guard let held = copy.recent.first?.place.sequence, held <= last.place.sequence else { return nil }
        return copy.recent[Int(last.place.sequence - held)].place == last.place
    }

    /// What an entry says, without its times.
    private static func digest(_ event: LedgerEvent) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func fold(_ word: UInt64) {
            hash = (hash ^ word) &* 0x9E37_79B9_7F4A_7C15
            hash ^= hash >> 29
        }
        func fold(_ token: Token) {
            fold(UInt64(token.run) << 32 | UInt64(token.attempt))
            fold(token.term.rawValue)
        }
        if let task = event.task {
            fold(task.high)
            fold(task.low)
        }
        switch event {
        case .accepted(let acceptance):
            fold(1)
            fold(UInt64(acceptance.spec.payload.count))
        case .leased(_, let lease):
            fold(2)
            fold(lease.token)
            fold(lease.holder.generation.rawValue)
        case .started(_, let token, _):
            fold(3)
            fold(token)
        case .completed(_, let token, let result, _, let at):
            fold(4)
            fold(token)
            fold(UInt64(result.byteCount))
            fold(UInt64(bitPattern: at.milliseconds))
        case .failed(_, let token, _, _, let at):
            fold(5)
            fold(token)
            fold(UInt64(bitPattern: at.milliseconds))
        case .rescheduled(_, let token, _, _, _):
            fold(6)
            fold(token)
        case .interrupted(_, let token, let isBlamed, _):
            fold(isBlamed ? 7 : 8)
            fold(token)
        case .bound(let bindings):
            fold(17)
            for binding in bindings { fold(binding.task.low) }
        case .cancelRequested: fold(9)
        case .cancelled: fold(10)
        case .expired: fold(11)
        case .duplicateDiscarded: fold(12)
        case .forgotten: fold(13)
        case .acceptedTogether(let acceptances):
            fold(18)
            for acceptance in acceptances { fold(acceptance.id.low) }
        case .workflowFailing(_, let step, _):
            fold(19)
            fold(step.low)
        case .workflowEnded(_, let status, _, _):
            fold(20)
            fold(UInt64(status.rawValue))
        case .resultMoved(_, let token, let holders):
            fold(21)
            fold(token)
            for holder in holders { fold(holder.store.rawValue) }
        case .calledBack(_, let delivery):
            fold(22)
            fold(delivery.id.high)
            fold(delivery.id.low)
        case .dependencyEnded(_, let parent, let outcome, _):
            fold(17)
            fold(parent.low)
            fold(UInt64(outcome.end.rawValue))
            fold(UInt64(outcome.resultBytes))
        case .changed(_, let priority, let due, let at):
            fold(due == nil ? 14 : 15)
            fold(UInt64(priority.rawValue))
            fold(UInt64(bitPattern: at.milliseconds))
        case .retried(_, let run, _, let at):
            fold(16)
            fold(UInt64(run))
            fold(UInt64(bitPattern: at.milliseconds))
        }
        return hash
    }
}
