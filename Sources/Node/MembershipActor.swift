import EventLoop
import Membership
import Peers
import Primitives
import Views
import Wire

/// Carries out what the membership machine wants: datagrams, a timer, push-pull over TCP, and news for the others.
actor MembershipActor {
    nonisolated let node: NodeContext
    nonisolated var unownedExecutor: UnownedSerialExecutor { node.scheduler.serialExecutor }

    private var machine: Membership
    private let codec: GossipCodec
    private var channel: (any DatagramChannel)?
    private var timer: (any ScheduledAction)?
    /// When it comes; nil: none is set.
    private var timerAt: Instant?
    /// Rises whenever a member has changed: its state, its profile, what is proven of it, or whether it drains.
    private(set) var version: UInt64 = 0
    /// Where to ask for the cluster: the seeds, and who was in it when this process began. The seeds may have left for good.
    private let contacts: [Address]
    private var leaving: [CheckedContinuation<Void, Never>] = []
    private var isStopped = false

    init(_ node: NodeContext, known view: View?, seed: UInt64) {
        self.node = node
        // The seeds come last: if there are too many, these are kept.
        let seeds = node.configuration.seeds
        let known = (view?.members ?? []).map(\.profile.gossip).filter {
            $0 != node.profile.gossip && !seeds.contains($0)
        }
        contacts = known.suffix(Limits.contacts) + seeds
        codec = GossipCodec(cluster: node.configuration.cluster)
        machine = Membership(
            myself: node.identity, profile: node.profile, viewNumber: view?.number ?? 0, seed: seed)
    }

    /// Everybody known, this node included, ascending by name.
    var members: [MemberRecord] { machine.members }
    var incarnation: Incarnation { machine.incarnation }

    func start(_ channel: any DatagramChannel) {
        self.channel = channel
        handle(.join(seeds: contacts))
    }

    func stop() {
        isStopped = true
        timer?.cancel()
        channel?.close()
        channel = nil
        finishLeaving()
    }

    /// Spreads that this node leaves; returns when enough of the others were told.
    func leave() async {
        guard !isStopped else { return }
        await withCheckedContinuation { continuation in
            leaving.append(continuation)
            handle(.leave)
        }
    }

    private func finishLeaving() {
        for continuation in leaving { continuation.resume() }
        leaving.removeAll()
    }

    func receive(_ bytes: ArraySlice<UInt8>, from address: Address) {
        do {
            handle(.received(try codec.decode(bytes), from: address))
        } catch {
            node.logger.debug("datagram refused", metadata: ["from": "\(address)", "reason": "\(error)"])
        }
    }

    func handle(_ event: Membership.Event) {
        guard !isStopped else { return }
        var effects: [Membership.Effect] = []
        machine.handle(event, at: node.now, into: &effects)
        for effect in effects { carryOut(effect) }
        setTimer()
    }

    /// A timer that comes too early only looks and is set again: that is cheaper than to set it anew with every datagram.
    private func setTimer() {
        let due = machine.nextDeadline
        if let timerAt, timerAt <= due { return }
        timer?.cancel()
        timerAt = due
        timer = node.scheduler.schedule(after: max(due - node.now, .zero)) { [self] in
            onLoop { actor in
                actor.timerAt = nil
                actor.handle(.tick)
            }
        }
    }

    private func carryOut(_ effect: Membership.Effect) {
        switch effect {
        case .send(let message, let address):
            channel?.send(codec.encode(message), to: address)
        case .memberChanged(let record, let was):
            version += 1
            node.logger.info(
                "member \(record.state)",
                metadata: ["member": "\(record.id)", "was": "\(was.map { "\($0)" } ?? "unknown")"])
            node.colleagues.views.onLoop { $0.membershipChanged() }
        case .loadChanged(let id, let load, let viewNumber):
            node.colleagues.workers.onLoop { $0.learn(load, of: id) }
            if load.isDraining {
                version += 1
                node.colleagues.fence.onLoop { $0.stopped([id]) }
            }
            if let profile = machine.member(id.name)?.profile {
                node.colleagues.views.onLoop { $0.heard(viewNumber, from: id.name, address: profile.peer) }
            }
        case .pushPull(let id):
            pushPull(id)
        case .declaredDead(let accuser):
            node.logger.warning("declared dead", metadata: ["by": "\(accuser)"])
            node.colleagues.views.onLoop { $0.returnUnderNewGeneration() }
        case .outlived(let former):
            node.logger.warning(
                "the clock was set back: an earlier process of this name began later",
                metadata: ["earlier": "\(former)"])
            node.colleagues.views.onLoop { $0.returnUnderNewGeneration(above: former.generation) }
        case .nameTaken(let other):
            node.logger.critical("another process has this node's name", metadata: ["other": "\(other)"])
            node.colleagues.node.stopBecause("another process runs as \(other), a later start of the same name")
        case .left:
            finishLeaving()
        }
    }

    private func pushPull(_ id: NodeID) {
        node.transport.request(state(), to: id, within: .seconds(5)) { [self] result in
            guard case .success(let answer) = result else { return }
            onLoop { $0.merge(answer, from: id) }
        }
    }

    /// The other half of a push-pull: takes the asker's state, answers with this node's.
    func pushPullAsked(_ frame: Frame, by id: NodeID) -> Frame {
        merge(frame, from: id)
        return state()
    }

    /// Everything known. What this node says of itself is of now, even if it has not changed for long.
    private func state() -> Frame {
        var records = machine.fullState()
        if let own = records.firstIndex(where: { $0.id == machine.myself }) { records[own].heardAt = node.now }
        return Frame(.pushPull, at: node.now) { $0.array(records) { $0.memberRecord($1) } }
    }

    private func merge(_ frame: Frame, from id: NodeID) {
        do throws(WireError) {
            var reader = ByteReader(frame.body[...], now: node.now)
            let records = try reader.array(upTo: Limits.members * 4, "members") { reader throws(WireError) in
                try reader.memberRecord()
            }
            try reader.finish()
            handle(.merge(records, from: id))
        } catch {
            node.logger.warning("push-pull refused", metadata: ["from": "\(id)", "reason": "\(error)"])
        }
    }
}

extension Limits {
    /// Members of its last view that a process asks for the cluster, beside its seeds.
    static let contacts = 32
}
