import EventLoop
import Primitives
import Views
import Wire

/// What follows from a view, and from not being in it.
extension ViewKeeper {
    func install(_ view: View) {
        let previous = lastInstalled
        lastInstalled = view
        installedAt = node.now
        node.settings = view.settings
        evidence.removeAll()
        positions.removeAll()
        rollCall = RollCall()
        planned = nil
        salt = random.next()
        node.logger.info(
            "view installed",
            metadata: [
                "view": "\(view.number)", "members": "\(view.members.map(\.id.name))",
                "voters": "\(view.voters.map(\.name))",
            ])
        node.logger.debug(
            "ledgers",
            metadata: [
                "view": "\(view.number)",
                "ledgers": "\(view.ledgers.map { "\($0.id)/\($0.term) \($0.primary.name) \($0.backups.map(\.name))" })",
            ])
        if previous?.cluster != view.cluster { joined(view.cluster) }
        let wasListed = previous?.member(node.identity) != nil
        node.colleagues.replicas.onLoop { $0.install(view) }
        node.colleagues.fence.onLoop { $0.install(view) }
        node.colleagues.queue.onLoop { $0.install(view, after: previous) }
        node.colleagues.workers.onLoop { $0.install(view) }
        link(node.colleagues.membership.onLoop { $0.members })
        node.colleagues.fence.onLoop { $0.viewInstalled(view) }
        node.colleagues.membership.onLoop { $0.handle(.viewChanged(number: view.number)) }
        if wasListed, view.member(node.identity) == nil, !node.colleagues.queue.onLoop({ $0.isDraining }) {
            returnUnderNewGeneration()
        }
        tell(.installed(view, isVoter: agreement.isVoter))
        endForcing(with: view)
        departed(in: view, after: previous)
        settleChanges(with: view)
        tellInstalled(view)
        reconsider()
    }

    private func joined(_ cluster: ClusterID) {
        node.transport.setIdentity(node.identity, cluster: cluster)
        node.colleagues.archive.onLoop { $0.joined(cluster) }
    }

    /// This generation was removed, or called dead, which is final. What it owned belongs to others by now; it steps
    /// down from all, keeps its promises and its disk, and comes back as a new generation. Its running tasks go on:
    /// they report to the new primaries.
    func returnUnderNewGeneration(above former: Generation = Generation(0)) {
        guard !isReturning, !isStopped, !node.colleagues.queue.onLoop({ $0.isDraining }) else { return }
        isReturning = true
        var record = agreement.record
        record.generation = max(record.generation, former)
        record.generation = record.nextGeneration(
            millisecondsSince1970: node.scheduler.microsecondsSince1970 / 1000)
        node.volume.replace(StoredNode.viewFile, with: record.fileBytes()) {
            [self, generation = record.generation] result in
            onLoop { $0.resume(as: generation, result) }
        }
    }

    private func resume(as generation: Generation, _ result: Result<Void, SystemError>) {
        isReturning = false
        guard case .success = result else {
            return node.colleagues.node.stopBecause("the new generation cannot be written: \(result)")
        }
        // Promises may have been made while the file was being written.
        var newest = agreement.record
        newest.generation = generation
        let identity = NodeID(name: node.name, generation: generation)
        node.logger.warning("returning under a new generation", metadata: ["generation": "\(generation)"])
        node.identity = identity
        epoch += 1
        agreement = ViewAgreement(
            myself: Member(id: identity, profile: node.profile), record: newest, installed: agreement.installed,
            settings: Self.settings(node.configuration), seed: random.next())
        node.transport.setIdentity(identity, cluster: newest.view?.cluster)
        node.colleagues.fence.onLoop { $0.returned() }
        node.colleagues.queue.onLoop { $0.returned(as: identity) }
        node.colleagues.workers.onLoop { $0.release() }
        node.colleagues.membership.onLoop { $0.handle(.restart(identity)) }
        membershipChanged()
        setTimer()
    }
}
