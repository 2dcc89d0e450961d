import EventLoop
import Peers
import Primitives
import TaskLedger
import Wire

/// Tasks that wait for tasks of other owners, and tasks that others wait for (`TaskLedger/Releasing`).
extension LocalQueue {
    /// What this node's tasks wait for is asked of whoever has it.
    func askParents() {
        let parents = owner.parentsToAsk(at: node.now, timestamp: node.timestamp)
        guard !parents.isEmpty else { return }
        let service = NodeService(node)
        Task.detached(executorPreference: node.handlerExecutor) { [self] in
            let found = await service.look(after: parents)
            node.scheduler.execute { self.onLoop { $0.learned(found) } }
        }
    }

    private func learned(_ found: [(parent: TaskID, look: ParentLook)]) {
        for (parent, look) in found {
            switch look {
            case .ended(let outcome): owner.dependencyEnded(parent, outcome, timestamp: node.timestamp)
            case .open: owner.parentExists(parent)
            case .unknown: owner.parentUnknown(parent, at: node.now, timestamp: node.timestamp)
            // It is asked for again.
            case .unavailable: break
            }
        }
        turn()
    }

    /// What this node knows of tasks that others wait for.
    ///
    /// - Parameter asker: is told when those end that have not; nil: it need not be.
    func answer(after parents: [TaskID], for asker: NodeName?) -> [ParentAnswer] {
        var bytes = 0
        return parents.map { id in
            guard let record = owner.task(id) else { return .unknown }
            guard mayVouch, owner.isTellable(record), var outcome = record.outcome else {
                if let asker, asker != node.name, watchers[id] != nil || watchers.count < Limits.watchedTasks {
                    watchers[id, default: []].insert(asker)
                }
                return .open
            }
            bytes += outcome.result?.count ?? 0
            // It can be asked for by itself.
            if bytes > Limits.parentNewsBytes { outcome.result = nil }
            return .ended(outcome)
        }
    }

    /// Tasks have ended, committed: whoever has asked is told.
    func tellWatchers(of ended: [TaskRecord]) {
        var news: [NodeName: [ParentNews]] = [:]
        for record in ended {
            guard let names = watchers.removeValue(forKey: record.id), let outcome = record.outcome else { continue }
            for name in names { news[name, default: []].append(ParentNews(parent: record.id, outcome: outcome)) }
        }
        for name in news.keys.sorted() {
            guard let peer = node.peers[name], var rest = news[name]?[...] else { continue }
            while !rest.isEmpty {
                var bytes = 0
                let batch = rest.prefix { item in
                    bytes += 128 + (item.outcome.result?.count ?? 0)
                    return bytes <= Limits.parentNewsBytes
                }
                let count = min(max(1, batch.count), Limits.askedParents)
                node.transport.send(
                    Frame(.parentsEnded, at: node.now) { $0.array(rest.prefix(count)) { $0.parentNews($1) } }, to: peer)
                rest = rest.dropFirst(count)
            }
        }
    }

    /// Somebody who was asked tells.
    func heard(_ news: [ParentNews]) {
        for item in news { owner.dependencyEnded(item.parent, item.outcome, timestamp: node.timestamp) }
        turn()
    }

    /// Who owns them now is asked by those who wait for them.
    func forgetWatchers() {
        for id in watchers.keys.sorted() where owner.task(id) == nil { watchers[id] = nil }
    }
}

extension Limits {
    /// Tasks that other nodes have asked to be told of; beyond, they have to ask again.
    static let watchedTasks = 1_000_000
    /// Results in one message about tasks that others wait for.
    static let parentNewsBytes = 2 << 20
}
