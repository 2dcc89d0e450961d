import Peers
import Primitives

/// The link that a node keeps to one peer: dials, dials again, and finds out whether a lost peer's process has ended.
/// The rules are those of `Peers.OutboundLink`.
final class VirtualOutbound: VirtualConnectionOwner {
    private enum State {
        case connected(VirtualConnection)
        case waiting(LinkEnd, VirtualTimer)
        case ended
    }

    let lane: VirtualLane
    private let transport: VirtualTransport
    private var state = State.ended
    private var redial: VirtualRedial
    private var openedAt: Instant?
    private var proofUntil: Instant?
    private var reportedFailure: LinkEnd?

    init(lane: VirtualLane, transport: VirtualTransport, seed: UInt64) {
        self.lane = lane
        self.transport = transport
        redial = VirtualRedial(seed: seed)
        // The first dial of the series is now.
        _ = redial.next()
        dial()
    }

    private var now: Instant { transport.process.now }

    func request(_ frame: Frame, deadline: Instant, _ completion: @escaping PeerCompletion) {
        switch state {
        case .connected(let connection): connection.request(frame, deadline: deadline, .peer(completion))
        case .waiting(let reason, _): drop(frame, completion, reason)
        case .ended: drop(frame, completion, .closed)
        }
    }

    func send(_ frame: Frame) {
        switch state {
        case .connected(let connection): connection.send(frame)
        case .waiting, .ended: lane.released(frame.countedBytes)
        }
    }

    private func drop(_ frame: Frame, _ completion: @escaping PeerCompletion, _ reason: LinkEnd) {
        lane.released(frame.countedBytes)
        transport.put { _ in completion(.failure(.unreachable(reason))) }
    }

    private func dial() {
        guard let remote = transport.network.host(of: lane.peer.address, port: 30_000) else {
            preconditionFailure("A peer outside of the world: \(lane.peer.address)")
        }
        let connection = transport.makeConnection(
            .dialled(expecting: lane.peer.id, lane), remote: remote, owner: self)
        state = .connected(connection)
        lane.isOpen = true
        connection.dial()
    }

    /// Our identity has changed: the peer has to hear the new one.
    func dialAgain() {
        guard case .connected(let connection) = state else { return }
        connection.close(.closed)
    }

    func reconsider() {
        guard case .connected(let connection) = state else { return }
        connection.reconsider()
    }

    func end() {
        let last = state
        state = .ended
        lane.isOpen = false
        switch last {
        case .connected(let connection):
            connection.close(.closed)
            if openedAt != nil { transport.put { [lane] in $0?.linkDown(lane.peer.id, .closed) } }
            openedAt = nil
        case .waiting(_, let timer): timer.cancel()
        case .ended: break
        }
    }

    // MARK: VirtualConnectionOwner

    func opened(_ connection: VirtualConnection, version: UInt16) {
        openedAt = now
        proofUntil = nil
        reportedFailure = nil
        transport.put { [lane] in $0?.linkUp(lane.peer.id, version: version) }
    }

    func received(_ envelope: VirtualEnvelope, on connection: VirtualConnection) {}

    func ended(_ connection: VirtualConnection, _ end: LinkEnd) {
        guard case .connected(let current) = state, current === connection else { return }
        let now = now
        let wasOpen = openedAt != nil
        if let openedAt {
            redial.linkEnded(after: now - openedAt)
            self.openedAt = nil
            transport.put { [lane] in $0?.linkDown(lane.peer.id, end) }
        }
        judge(end, wasOpen: wasOpen, now: now)
        lane.isOpen = false
        let delay = redial.next()
        // Never from here: the connection is still ending.
        let timer = transport.process.schedule(.connect, after: max(delay, .nanoseconds(1))) { [self] in
            guard case .waiting = state else { return }
            dial()
        }
        state = .waiting(end, timer)
    }

    private func judge(_ end: LinkEnd, wasOpen: Bool, now: Instant) {
        if wasOpen {
            proofUntil = end == .lost ? now + transport.tuning.proof : nil
            return
        }
        if end != reportedFailure {
            reportedFailure = end
            transport.put { [lane] in $0?.peerEvent(.dialFailed(lane.peer, end)) }
        }
        if end == .connectionRefused, let limit = proofUntil {
            proofUntil = nil
            if now <= limit { transport.put { [lane] in $0?.processGone(lane.peer.id) } }
        }
    }
}
