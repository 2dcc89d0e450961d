import NIOCore
import Primitives

/// The link that we keep to one peer: dials, dials again, and finds out whether a lost peer's process has ended.
///
/// - connected: there is a `Connection`, open or on its way. Frames go to it; it keeps them until it opens.
/// - waiting: between two dials. Frames fail at once, with the reason of the last failure.
/// - ended: wanted no more.
///
/// Proof that the process has ended: an open connection was lost (reset or closed without a goodbye), and a dial within
/// `LinkTuning.proof` of that is refused. A process listens as long as it lives, and says goodbye when it ends in
/// order, so only a killed one shows both.
final class OutboundLink: ConnectionOwner {
    private enum State {
        case connected(Connection)
        case waiting(LinkEnd, Scheduled<Void>)
        case ended
    }

    let lane: Lane
    private let links: Links
    private var state = State.ended
    private var redial: Redial
    /// When the link opened; nil if it is not open.
    private var openedAt: NIODeadline?
    private var proofUntil: NIODeadline?
    private var reportedFailure: LinkEnd?

    init(lane: Lane, links: Links, seed: UInt64) {
        self.lane = lane
        self.links = links
        redial = Redial(seed: seed)
        // The first dial of the series is now.
        _ = redial.next()
        dial()
    }

    func request(_ frame: Frame, deadline: NIODeadline, _ completion: @escaping PeerCompletion) {
        switch state {
        case .connected(let connection): connection.request(frame, deadline: deadline, .peer(completion))
        case .waiting(let reason, _): drop(frame, completion, reason)
        case .ended: drop(frame, completion, .closed)
        }
    }

    func send(_ frame: Frame) {
        switch state {
        case .connected(let connection): connection.send(frame)
        case .waiting, .ended:
            lane.released(frame.queuedBytes)
            links.counters.droppedMessages += 1
        }
    }

    private func drop(_ frame: Frame, _ completion: @escaping PeerCompletion, _ reason: LinkEnd) {
        lane.released(frame.queuedBytes)
        links.inbox.put(.answer(completion, .failure(.unreachable(reason))))
    }

    private func dial() {
        let connection = links.makeConnection(.dialled(expecting: lane.peer.id, lane), owner: self)
        state = .connected(connection)
        lane.isOpen.store(true, ordering: .relaxed)
        links.connect(connection, to: lane.peer.address)
    }

    /// Our identity has changed: the peer has to hear the new one.
    func dialAgain() {
        guard case .connected(let connection) = state else { return }
        connection.close(.closed)
    }

    /// We have learnt our cluster's id.
    func reconsider() {
        guard case .connected(let connection) = state else { return }
        connection.reconsider()
    }

    func end() {
        let last = state
        state = .ended
        lane.isOpen.store(false, ordering: .relaxed)
        switch last {
        case .connected(let connection):
            connection.close(.closed)
            if openedAt != nil { links.inbox.put(.linkDown(lane.peer.id, .closed)) }
            openedAt = nil
        case .waiting(_, let timer): timer.cancel()
        case .ended: break
        }
    }

    // MARK: ConnectionOwner

    func opened(_ connection: Connection, version: UInt16) {
        openedAt = .now()
        proofUntil = nil
        reportedFailure = nil
        links.inbox.put(.linkUp(lane.peer.id, version))
    }

    /// Diallers are asked nothing: `Connection` treats it as a violation.
    func received(_ envelope: Envelope, on connection: Connection) {}

    func ended(_ connection: Connection, _ end: LinkEnd) {
        guard case .connected(let current) = state, current === connection else { return }
        let now = NIODeadline.now()
        let wasOpen = openedAt != nil
        if let openedAt {
            redial.linkEnded(after: .nanoseconds((now - openedAt).nanoseconds))
            self.openedAt = nil
            links.inbox.put(.linkDown(lane.peer.id, end))
        }
        judge(end, wasOpen: wasOpen, now: now)
        lane.isOpen.store(false, ordering: .relaxed)
        let delay = redial.next()
        // Never from here: the connection is still ending.
        state = .waiting(
            end,
            links.schedule(after: delay) {
                guard case .waiting = self.state else { return }
                self.dial()
            })
    }

    private func judge(_ end: LinkEnd, wasOpen: Bool, now: NIODeadline) {
        if wasOpen {
            proofUntil = end == .lost ? now + TimeAmount(links.tuning.proof) : nil
            return
        }
        if end != reportedFailure {
            reportedFailure = end
            links.inbox.put(.event(.dialFailed(lane.peer, end)))
        }
        if end == .connectionRefused, let limit = proofUntil {
            proofUntil = nil
            if now <= limit { links.inbox.put(.processGone(lane.peer.id)) }
        }
    }
}
