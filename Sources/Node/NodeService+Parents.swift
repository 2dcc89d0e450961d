import Peers
import Primitives
import Service
import TaskLedger
import Views
import Wire

/// What is known of a task that others wait for.
enum ParentLook: Sendable, Hashable {
    case ended(ParentOutcome)
    case open
    /// Nobody knows it, and everybody who might was asked.
    case unknown
    /// Somebody who might know it is away.
    case unavailable(String)
}

/// Looking after the tasks that others wait for, anywhere in the cluster.
extension NodeService {
    /// Each once. First whoever owns the ledgers that their ids hint at, all tasks of one in one message, and who is asked
    /// tells later of those that have not ended; then, for those that are not there, everybody, and the registry.
    func look(after parents: [TaskID]) async -> [(parent: TaskID, look: ParentLook)] {
        let view = await actors.views.view
        var byOwner: [NodeName: [TaskID]] = [:]
        var found: [TaskID: ParentLook] = [:]
        for parent in parents {
            let ledger = view?.ledgers.first { TaskID.tag(of: $0.id) == parent.ledgerTag }
            if let ledger { byOwner[ledger.primary.name, default: []].append(parent) }
        }
        let groups = byOwner.sorted { $0.key < $1.key }
        await withTaskGroup(of: [(TaskID, ParentAnswer)].self) { group in
            for (name, ids) in groups { group.addTask { [self] in await answers(after: ids, of: name) } }
            for await answers in group {
                for (id, answer) in answers {
                    switch answer {
                    case .ended(let outcome): found[id] = .ended(outcome)
                    case .open: found[id] = .open
                    case .unknown: break
                    }
                }
            }
        }
        var rest = parents.filter { found[$0] == nil }[...]
        while !rest.isEmpty {
            await withTaskGroup(of: (TaskID, ParentLook).self) { group in
                for id in rest.prefix(Limits.parentLookups) {
                    group.addTask { [self] in (id, await lookEverywhere(for: id)) }
                }
                for await (id, look) in group { found[id] = look }
            }
            rest = rest.dropFirst(Limits.parentLookups)
        }
        return parents.map { ($0, found[$0] ?? .unavailable("\($0) was not asked for")) }
    }

    /// Empty: it does not answer.
    private func answers(after parents: [TaskID], of name: NodeName) async -> [(TaskID, ParentAnswer)] {
        if name == node.name {
            let answers = await actors.queue.answer(after: parents, for: nil)
            return Array(zip(parents, answers))
        }
        var all: [(TaskID, ParentAnswer)] = []
        var rest = parents[...]
        while !rest.isEmpty {
            let part = Array(rest.prefix(Limits.askedParents))
            rest = rest.dropFirst(part.count)
            guard let peer = node.peers[name],
                case .success(let frame) = await ask(
                    Frame(.parents, at: node.now) { $0.array(part) { $0.taskID($1) } }, of: peer, within: .seconds(2)),
                let answers = try? frame.read(
                    at: node.now,
                    { reader throws(WireError) in
                        try reader.array(upTo: Limits.askedParents, "answers") { reader throws(WireError) in
                            try reader.parentAnswer()
                        }
                    }), answers.count == part.count
            else { return all }
            all += zip(part, answers)
        }
        return all
    }

    private func lookEverywhere(for id: TaskID) async -> ParentLook {
        switch await find(id, wait: .zero) {
        case .found(let task):
            ParentOutcome(task.status, result: task.anyResult, failure: task.failure).map { .ended($0) } ?? .open
        case .archived(let document):
            ArchivedTask(document)?.outcome.map { .ended($0) }
                ?? .unavailable("what the registry has of \(id) is damaged")
        case .expired: .ended(ParentOutcome(end: .lost))
        case .unknown: .unknown
        case .unavailable(let reason): .unavailable(reason)
        }
    }

    /// Tasks that wait for others are accepted only if those exist.
    /// - Returns: the refusals of those that are not, by position.
    func refusedForParents(_ specs: [TaskSpec]) async -> [Int: SubmissionRefusal] {
        var seen: Set<TaskID> = []
        let parents = specs.flatMap(\.dependencies.parents).filter { seen.insert($0).inserted }
        guard !parents.isEmpty else { return [:] }
        let looks = Dictionary(
            await look(after: parents).map { ($0.parent, $0.look) }, uniquingKeysWith: { first, _ in first })
        var refusals: [Int: SubmissionRefusal] = [:]
        for (position, spec) in specs.enumerated() {
            var unknown: [Int] = []
            for (index, parent) in spec.dependencies.parents.enumerated() {
                switch looks[parent] {
                case .unknown, nil: unknown.append(index)
                case .unavailable(let reason):
                    refusals[position] = .unavailable(
                        "whether task \(parent), which it is to wait for, exists cannot be told now: \(reason)")
                case .ended(let outcome) where outcome.end == .lost: unknown.append(index)
                case .ended, .open: break
                }
            }
            if !unknown.isEmpty { refusals[position] = .unknownParents(unknown) }
        }
        return refusals
    }

    /// The whole result of a task, for a handler whose task has waited for it; nil: nobody can tell it (any more).
    func result(of id: TaskID) async -> [UInt8]? {
        switch await task(id, wait: nil) {
        case .found(let task): task.result
        case .archived(let document): ArchivedTask(document)?.result
        case .unknown, .expired, .unavailable: nil
        }
    }
}

extension Limits {
    /// Tasks that everybody is asked for at a time.
    static let parentLookups = 32
}
