import Peers
import Primitives
import Service
import TaskLedger
import Views
import Wire

/// Takes what comes over the links to the actor that it is for. What does not decode is refused and logged: a peer's bytes
/// are untrusted.
final class Switchboard: PeerDelegate {
    private let node: NodeContext

    init(_ node: NodeContext) { self.node = node }

    private var actors: Colleagues { node.colleagues }

    func received(request frame: Frame, from peer: NodeID, reply: @escaping PeerReply) {
        do throws(WireError) {
            try route(request: frame, from: peer, reply)
        } catch {
            refuse(frame, peer, error)
        }
    }

    private func route(request frame: Frame, from peer: NodeID, _ reply: @escaping PeerReply) throws(WireError) {
        guard let tag = MessageTag(rawValue: frame.tag) else { throw .invalid("message tag") }
        let now = node.now
        switch tag {
        case .append:
            let request = try frame.read(at: now) { reader throws(WireError) in try reader.appendRequest() }
            actors.replicas.onLoop { replicas in
                replicas.handle(request) { [node] answer in
                    reply(Frame(.append, at: node.now) { $0.replicaReply(answer) })
                }
            }
        case .copy:
            let request = try frame.read(at: now) { reader throws(WireError) in try reader.copyRequest() }
            actors.replicas.onLoop { replicas in
                replicas.handle(request) { [node] answer in
                    reply(Frame(.copy, at: node.now) { $0.replicaReply(answer) })
                }
            }
        case .positions:
            let ledgers = try frame.read(at: now) { reader throws(WireError) in
                try reader.array(upTo: Limits.ledgers, "ledgers") { reader throws(WireError) in try reader.ledgerID() }
            }
            let positions = actors.replicas.onLoop { $0.positions(of: ledgers) }
            reply(Frame(.positions, at: now) { $0.array(positions) { $0.replicaPosition($1) } })
        case .offer:
            let offer = try frame.read(at: now) { reader throws(WireError) in try reader.offerRequest() }
            actors.queue.onLoop { queue in
                queue.offered(offer) { [node] isAdopted in
                    reply(Frame(.offer, at: node.now) { $0.bool(isAdopted) })
                }
            }
        case .grant:
            let (load, view, assignments) = try frame.read(at: now) { reader throws(WireError) in
                (
                    try reader.loadDigest(), try reader.varint(),
                    try reader.array(upTo: Limits.stolenAssignments, "assignments") { reader throws(WireError) in
                        try reader.assignment()
                    }
                )
            }
            actors.workers.onLoop { $0.granted(assignments, by: peer, in: view, load: load) }
            reply(Frame(.grant, at: now))
        case .holds:
            let attempts = try frame.read(at: now) { reader throws(WireError) in try reader.attemptIDs() }
            let answer = actors.workers.onLoop { $0.answer(attempts) }
            reply(
                Frame(.holds, at: now) { writer in
                    writer.attemptIDs(answer.held)
                    writer.attemptIDs(answer.missing)
                })
        case .permit:
            let request = try frame.read(at: now) { reader throws(WireError) in try reader.permitRequest() }
            let answer = actors.fence.onLoop { $0.asked(request, by: peer) }
            reply(Frame(.permit, at: now) { $0.permitReply(answer) })
        case .pushPull: reply(actors.membership.onLoop { $0.pushPullAsked(frame, by: peer) })
        case .status:
            let status = actors.queue.onLoop { $0.status() }
            reply(Frame(.status, at: now) { $0.peerStatus(status) })
        case .claim:
            let claim = try frame.read(at: now) { reader throws(WireError) in try reader.permitClaim() }
            actors.queue.onLoop { queue in
                queue.claimed(claim, by: peer) { [node] loan in
                    reply(Frame(.claim, at: node.now) { $0.permitLoan(loan) })
                }
            }
        case .schedules:
            let name = try frame.read(at: now) { reader throws(WireError) in try reader.scheduleName() }
            let statuses = actors.queue.onLoop { $0.schedules(name) }
            reply(Frame(.schedules, at: now) { $0.array(statuses) { $0.scheduleStatus($1) } })
        case .keep, .read, .needed, .scrub: try route(results: frame, tag, reply)
        case .lookup, .list, .cancel, .forward: try route(query: frame, tag, reply)
        case .keyed, .ship: try route(keys: frame, tag, reply)
        case .inspect, .wish, .sweep: try route(wish: frame, tag, reply)
        case .workflow:
            let id = try frame.read(at: now) { reader throws(WireError) in try reader.taskID() }
            let records = actors.queue.onLoop { $0.workflow(id) }
            reply(Frame(.workflow, at: now) { $0.workflow(records) })
        case .extend:
            let request = try frame.read(at: now) { reader throws(WireError) in try reader.extensionRequest() }
            actors.queue.onLoop { queue in
                queue.extend(request) { [node] decision in
                    reply(Frame(.extend, at: node.now) { $0.uint8(decision.rawValue) })
                }
            }
        case .installed:
            let number = try frame.read(at: now) { reader throws(WireError) in try reader.uint64() }
            actors.views.onLoop { views in
                views.whenInstalled(number) { [node] in reply(Frame(.installed, at: node.now)) }
            }
        case .parents:
            let parents = try frame.read(at: now) { reader throws(WireError) in
                try reader.array(upTo: Limits.askedParents, "parents") { reader throws(WireError) in try reader.taskID()
                }
            }
            let answers = actors.queue.onLoop { $0.answer(after: parents, for: peer.name) }
            reply(Frame(.parents, at: now) { $0.array(answers) { $0.parentAnswer($1) } })
        case .view:
            try receive(message: frame, from: peer)
            reply(Frame(.view, at: now))
        case .evidence, .steal, .began, .report, .settled, .stop, .parentsEnded, .doubt:
            throw .invalid("a message sent as a request")
        }
    }

    private func route(query frame: Frame, _ tag: MessageTag, _ reply: @escaping PeerReply) throws(WireError) {
        let now = node.now
        let node = node
        switch tag {
        case .lookup:
            let (id, wait) = try frame.read(at: now) { reader throws(WireError) in
                (try reader.taskID(), try reader.duration())
            }
            actors.queue.onLoop { queue in
                queue.lookup(id, wait: min(max(wait, .zero), .seconds(Limits.waitSeconds))) { answer in
                    reply(Frame(.lookup, at: node.now) { $0.lookupReply(answer) })
                }
            }
        case .list:
            let request = try frame.read(at: now) { reader throws(WireError) in try reader.listRequest() }
            let records = actors.queue.onLoop { $0.list(request) }
            reply(Frame(.list, at: now) { $0.array(records) { $0.taskRecord($1) } })
        case .cancel:
            let id = try frame.read(at: now) { reader throws(WireError) in try reader.taskID() }
            actors.queue.onLoop { queue in
                queue.cancel(id) { answer in reply(Frame(.cancel, at: node.now) { $0.cancelReply(answer) }) }
            }
        default:
            let (ids, specs) = try frame.read(at: now) { reader throws(WireError) in
                (
                    try reader.array(upTo: Limits.batchTasks, "ids") { reader throws(WireError) in try reader.taskID()
                    },
                    try reader.array(upTo: Limits.batchTasks, "tasks") { reader throws(WireError) in
                        try reader.taskSpec()
                    }
                )
            }
            guard ids.count == specs.count else { throw .invalid("forwarded tasks") }
            actors.queue.onLoop { queue in
                queue.forwarded(specs, ids: ids) { answer in
                    reply(Frame(.forward, at: node.now) { $0.forwardReply(answer) })
                }
            }
        }
    }

    private func route(results frame: Frame, _ tag: MessageTag, _ reply: @escaping PeerReply) throws(WireError) {
        let now = node.now
        let node = node
        switch tag {
        case .keep:
            let request = try frame.read(at: now) { reader throws(WireError) in try reader.keepRequest() }
            actors.results.onLoop { results in
                results.take(request) { isKept in reply(Frame(.keep, at: node.now) { $0.bool(isKept) }) }
            }
        case .read:
            let request = try frame.read(at: now) { reader throws(WireError) in try reader.readRequest() }
            actors.results.onLoop { results in
                results.read(request.id, from: Int(request.offset)) { result in
                    // Without an answer the asker takes it for away.
                    guard case .success(let part) = result else { return }
                    reply(Frame(.read, at: node.now) { $0.optional(part) { $0.byteString($1) } })
                }
            }
        case .scrub:
            let request = try frame.read(at: now) { reader throws(WireError) in try reader.scrubRequest() }
            actors.results.onLoop { results in
                results.scrub(request) { state in reply(Frame(.scrub, at: node.now) { $0.uint8(state.rawValue) }) }
            }
        default:
            let (holder, ids) = try frame.read(at: now) { reader throws(WireError) in
                (
                    try reader.storeHolder(),
                    try reader.array(upTo: Limits.askedResults, "results") { reader throws(WireError) in
                        try reader.resultID()
                    }
                )
            }
            let needs = actors.queue.onLoop { $0.needs(of: ids, by: holder) }
            reply(Frame(.needed, at: now) { $0.array(needs) { $0.uint8($1.rawValue) } })
        }
    }

    private func route(keys frame: Frame, _ tag: MessageTag, _ reply: @escaping PeerReply) throws(WireError) {
        let now = node.now
        let node = node
        if tag == .keyed {
            let request = try frame.read(at: now) { reader throws(WireError) in try reader.keyedRequest() }
            actors.queue.onLoop { queue in
                queue.decide(request) { answer in
                    // Without an answer the asker knows that nobody knows.
                    guard let answer else { return }
                    reply(Frame(.keyed, at: node.now) { $0.keyedReply(answer) })
                }
            }
        } else {
            let shipment = try frame.read(at: now) { reader throws(WireError) in try reader.keyShipment() }
            actors.queue.onLoop { queue in
                queue.take(shipment) { isBound in reply(Frame(.ship, at: node.now) { $0.bool(isBound) }) }
            }
        }
    }

    private func route(wish frame: Frame, _ tag: MessageTag, _ reply: @escaping PeerReply) throws(WireError) {
        let now = node.now
        let node = node
        switch tag {
        case .inspect:
            let id = try frame.read(at: now) { reader throws(WireError) in try reader.taskID() }
            let inspection = actors.queue.onLoop { $0.inspect(id) }
            reply(Frame(.inspect, at: now) { $0.inspection(inspection) })
        case .wish:
            let request = try frame.read(at: now) { reader throws(WireError) in try reader.wishRequest() }
            actors.queue.onLoop { queue in
                queue.carryOut(request) { answer in reply(Frame(.wish, at: node.now) { $0.wishReply(answer) }) }
            }
        default:
            let request = try frame.read(at: now) { reader throws(WireError) in try reader.sweepRequest() }
            actors.queue.onLoop { queue in
                queue.sweep(request) { answer in reply(Frame(.sweep, at: node.now) { $0.sweepReply(answer) }) }
            }
        }
    }

    func received(message frame: Frame, from peer: NodeID) {
        do throws(WireError) {
            try receive(message: frame, from: peer)
        } catch {
            refuse(frame, peer, error)
        }
    }

    private func receive(message frame: Frame, from peer: NodeID) throws(WireError) {
        guard let tag = MessageTag(rawValue: frame.tag) else { throw .invalid("message tag") }
        let now = node.now
        switch tag {
        case .view:
            let message = try frame.read(at: now) { reader throws(WireError) in try reader.viewMessage() }
            actors.views.onLoop { $0.receive(message) }
        case .evidence:
            let evidence = try frame.read(at: now) { reader throws(WireError) in try reader.evidence() }
            actors.views.onLoop { $0.take(evidence) }
        case .steal:
            let request = try frame.read(at: now) { reader throws(WireError) in try reader.stealRequest() }
            actors.queue.onLoop { $0.stealAsked(request, by: peer) }
        case .began:
            let attempts = try frame.read(at: now) { reader throws(WireError) in try reader.attemptIDs() }
            actors.queue.onLoop { $0.began(attempts) }
        case .report:
            let reports = try frame.read(at: now) { reader throws(WireError) in
                try reader.array(upTo: Limits.attemptsPerMessage, "reports") { reader throws(WireError) in
                    try reader.attemptReport()
                }
            }
            actors.queue.onLoop { $0.reported(reports, by: peer) }
        case .settled:
            let attempts = try frame.read(at: now) { reader throws(WireError) in try reader.attemptIDs() }
            actors.workers.onLoop { $0.settled(attempts) }
        case .stop:
            let attempts = try frame.read(at: now) { reader throws(WireError) in try reader.attemptIDs() }
            actors.workers.onLoop { pool in for attempt in attempts { pool.stop(attempt) } }
        case .parentsEnded:
            let news = try frame.read(at: now) { reader throws(WireError) in
                try reader.array(upTo: Limits.askedParents, "news") { reader throws(WireError) in
                    try reader.parentNews()
                }
            }
            actors.queue.onLoop { $0.heard(news) }
        case .doubt:
            let id = try frame.read(at: now) { reader throws(WireError) in try reader.resultID() }
            actors.results.onLoop { $0.doubt(id) }
        case .append, .copy, .offer, .grant, .holds, .lookup, .list, .cancel, .status, .forward, .positions, .pushPull,
            .permit, .inspect, .wish, .sweep, .parents, .workflow, .extend, .keyed, .ship, .claim, .schedules, .keep,
            .read, .needed, .scrub, .installed:
            throw .invalid("a request sent as a message")
        }
    }

    private func refuse(_ frame: Frame, _ peer: NodeID, _ error: WireError) {
        node.logger.warning(
            "message refused", metadata: ["from": "\(peer)", "tag": "\(frame.tag)", "reason": "\(error)"])
    }

    // MARK: Links

    func linkUp(_ peer: NodeID, version: UInt16) {
        node.logger.debug("link up", metadata: ["peer": "\(peer)", "version": "\(version)"])
        node.linkUp(peer)
        actors.fence.onLoop { $0.linkUp() }
        actors.views.onLoop { $0.reconsider() }
        actors.workers.onLoop { $0.peersChanged() }
        actors.queue.onLoop { $0.turn() }
    }

    func linkDown(_ peer: NodeID, _ reason: LinkEnd) {
        node.logger.info("link down", metadata: ["peer": "\(peer)", "reason": "\(reason)"])
        node.linkDown(peer)
        actors.queue.onLoop { $0.linkDown(peer) }
        actors.workers.onLoop { $0.peersChanged() }
        actors.membership.onLoop { $0.handle(.connectionLost(peer)) }
    }

    func processGone(_ peer: NodeID) {
        node.logger.warning("process gone", metadata: ["peer": "\(peer)"])
        actors.membership.onLoop { $0.handle(.exitProof(peer)) }
    }

    func peerEvent(_ event: PeerEvent) { node.logger.debug("link event", metadata: ["event": "\(event)"]) }
}

extension Limits {
    /// Tasks of one grant.
    static let stolenAssignments = 4096
}
