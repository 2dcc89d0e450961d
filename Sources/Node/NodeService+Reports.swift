import Membership
import Peers
import Primitives
import Service
import TaskLedger
import Views
import Wire

/// Reports of the whole cluster, put together from what every node says of itself.
extension NodeService {
    struct Everybody: Sendable {
        var answers: [NodeName: PeerStatus]
        var missing: [NodeName]
        var view: View?
        var members: [MemberRecord]
    }

    private func everybody() async -> Everybody {
        let mine = await actors.queue.status()
        var (answers, missing) = await askAll(Frame(.status, at: node.now), within: Limits.statusPatience) {
            reader throws(WireError) in try reader.peerStatus()
        }
        let view = await actors.views.view
        missing = incomplete(missing, view, answered: Set(answers.keys))
        answers[node.name] = mine
        return Everybody(answers: answers, missing: missing, view: view, members: await actors.membership.members)
    }

    func workers() async -> [NodeWorkers] {
        let all = await everybody()
        return Set(all.answers.keys).union(all.missing).sorted().map { name in
            guard let status = all.answers[name] else {
                return NodeWorkers(node: name, isReachable: false, slots: [], taskTypes: [])
            }
            return NodeWorkers(
                node: name, isReachable: true,
                slots: (0..<Int(status.slotCount)).map { index in
                    guard let busy = status.busy.first(where: { Int($0.index) == index }) else {
                        return NodeWorkers.Slot(index: index)
                    }
                    return NodeWorkers.Slot(
                        index: index, task: busy.task, taskType: busy.taskType, queue: busy.queue,
                        owner: all.view?.ledger(busy.ledger)?.primary.name, since: busy.since)
                }, taskTypes: status.taskTypes)
        }
    }

    func queues() async -> [QueueSummary] {
        let all = await everybody()
        let settings = all.view?.settings ?? ClusterSettings()
        var found: [String: QueueSummary] = [:]
        for name in ["default"] + settings.queues.map(\.name) {
            found[name] = QueueSummary(
                name: name, depth: [:], oldestAge: nil, settings: settings.queue(name), missing: all.missing)
        }
        for status in all.answers.values {
            for queue in status.queues {
                var summary =
                    found[queue.name]
                    ?? QueueSummary(
                        name: queue.name, depth: [:], oldestAge: nil, settings: settings.queue(queue.name),
                        missing: all.missing)
                for (value, count) in zip(TaskStatus.allCases, queue.counts) where count > 0 {
                    summary.depth[value, default: 0] += Int(clamping: count)
                }
                summary.oldestAge = [summary.oldestAge, queue.oldestAge].compactMap(\.self).max()
                if let statistics = queue.statistics { summary.statistics.add(statistics) }
                found[queue.name] = summary
            }
        }
        return found.values.sorted { $0.name < $1.name }
    }

    func health() async -> NodeHealth {
        let members = await actors.membership.members
        let queue = actors.queue
        let pending = await queue.load()
        let others = members.filter { $0.state.isLiving && $0.id.name != node.name }
        let unready = await unreadiness()
        let status: NodeHealth.Status =
            await queue.isDraining
            ? .draining : unready != nil ? .starting : members.contains { $0.state == .suspect } ? .degraded : .healthy
        return NodeHealth(
            status: status, node: node.name, members: others.count + 1, workers: node.configuration.slots,
            pendingTasks: others.reduce(UInt64(pending.ready)) { $0 + UInt64($1.load.ready) },
            completedTasks: await queue.completedCount, timestamp: node.timestamp)
    }

    func cluster() async -> ClusterReport {
        let all = await everybody()
        let view = all.view
        let mine = all.answers[node.name]
        let digests = Set(all.answers.values.map { [$0.viewNumber, $0.viewDigest] })
        let ledgers = (view?.ledgers ?? []).map { ledger in
            ClusterReport.LedgerReport(
                id: ledger.id, term: ledger.term, primary: ledger.primary.name, backups: ledger.backups.map(\.name),
                founder: ledger.founder.name, isAvailable: isAvailable(ledger, view),
                isFullyReplicated: ledger.replicas.count >= Int(view?.settings.copies ?? 1),
                openTasks: all.answers[ledger.primary.name]?.ledgers.first { $0.id == ledger.id }?.open)
        }
        let takeovers = Set(all.answers.values.flatMap(\.takeovers)).sorted {
            ($0.at, $0.ledger, $0.term) < ($1.at, $1.ledger, $1.term)
        }
        let losses = (view?.losses ?? []).map { loss in
            // With every copy of it, the number of its tasks is gone.
            ClusterReport.Loss(ledger: loss.ledger, primary: loss.primary, view: loss.view, tasks: nil)
        }
        let members = (all.members.map { report($0, all) } + absent(all)).sorted { $0.name < $1.name }
        return ClusterReport(
            name: node.configuration.cluster, id: view?.cluster, answeredBy: node.name, viewNumber: view?.number ?? 0,
            viewDigest: mine?.viewDigest ?? 0, viewsAgree: digests.count <= 1, voters: view?.voters.map(\.name) ?? [],
            copies: Int(view?.settings.copies ?? 0), members: members, ledgers: ledgers,
            takeovers: takeovers.map {
                ClusterReport.Takeover(
                    ledger: $0.ledger, term: $0.term, from: $0.from, to: $0.to, at: $0.at, recovered: $0.recovered)
            }, losses: losses, letters: letters(all), outcomes: outcomes(all),
            queuedBytes: all.answers.values.reduce(0) { $0 &+ $1.retention.queuedBytes },
            warnings: warnings(all, ledgers, members))
    }

    private func letters(_ all: Everybody) -> ClusterReport.Letters {
        all.answers.values.map(\.letters).reduce(into: ClusterReport.Letters()) { total, letters in
            total.count &+= letters.count
            total.bytes &+= letters.bytes
            total.dropped &+= letters.dropped
            total.oldest = [total.oldest, letters.oldest].compactMap(\.self).min()
        }
    }

    private func outcomes(_ all: Everybody) -> ClusterReport.Outcomes {
        all.answers.values.map(\.retention).reduce(into: ClusterReport.Outcomes()) { total, retention in
            total.count &+= retention.outcomes
            total.bytes &+= retention.outcomeBytes
            total.cut &+= retention.cut
        }
    }

    /// A process that has just started hears of the others one by one, and of those that are gone never.
    private func absent(_ all: Everybody) -> [ClusterReport.MemberReport] {
        (all.view?.members ?? []).filter { member in !all.members.contains { $0.id.name == member.id.name } }.map {
            ClusterReport.MemberReport(
                name: $0.id.name, state: .absent, since: node.timestamp, generation: $0.id.generation,
                incarnation: Incarnation(0), profile: $0.profile, load: LoadDigest(),
                isVoter: all.view?.voters.contains($0.voter) ?? false)
        }
    }

    private func report(_ record: MemberRecord, _ all: Everybody) -> ClusterReport.MemberReport {
        let status = all.answers[record.id.name].flatMap { $0.node == record.id ? $0 : nil }
        let now = node.now
        let wall = node.timestamp
        let isListed = all.view?.member(record.id) != nil
        let state: ClusterReport.MemberState =
            switch record.state {
            case .alive: isListed ? .alive : .joining
            case .suspect: .suspect
            case .dead: .dead
            case .left: .left
            }
        return ClusterReport.MemberReport(
            name: record.id.name, state: state,
            since: Timestamp(milliseconds: wall.milliseconds - (now - record.since).milliseconds),
            generation: record.id.generation, incarnation: record.incarnation, profile: record.profile,
            load: status?.load ?? record.load, busySlots: status?.busy.count, completed: status?.completed,
            failed: status?.failed, duplicatesDiscarded: status?.duplicatesDiscarded, stolen: status?.stolen,
            viewNumber: status?.viewNumber, viewDigest: status?.viewDigest,
            isVoter: all.view?.voters.contains { $0.name == record.id.name } ?? false,
            dataAge: status != nil ? .zero : record.heardAt.map { now - $0 } ?? (now - record.since),
            isRegistryConnected: status?.isRegistryConnected, unwrittenResults: status?.unwrittenResults,
            disk: status.map {
                ClusterReport.Disk(
                    journalBytes: $0.disk.journalBytes, isFull: $0.disk.isFull, sync: $0.disk.sync,
                    sinceSync: $0.disk.sinceSync, worstSync: $0.disk.worstSync)
            }, mayStart: status?.standing.mayStart, reachesMajority: status?.standing.reachesMajority,
            unreadiness: status?.standing.unreadiness)
    }
}

extension Limits {
    /// How long a report waits for a node's answer; `status` has to answer within a second.
    static let statusPatience = Duration.milliseconds(400)
}
