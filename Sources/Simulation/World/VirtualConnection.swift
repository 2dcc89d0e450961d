import Peers
import Primitives

/// One end of a TCP connection: what the kernel does, and what `Peers.Connection` does on top of it. The rules are
/// those of that type; only the bytes are missing, since frames are bytes already.
///
/// As a kernel's socket: connecting -> established -> closed. What is sent arrives in order, or not at all, if an end
/// is gone.
///
/// As a link: connecting -> greeting -> open -> ended.
///
/// `@unchecked`: only touched by the world's thread.
final class VirtualConnection: @unchecked Sendable {
    enum Role {
        case dialled(expecting: NodeID?, VirtualLane?)
        case accepted
    }
    enum State { case connecting, greeting, open, ended }

    /// Sweeps are no closer together, and deadlines no more exact.
    static let sweepInterval = Duration.milliseconds(5)

    let number: UInt64
    let role: Role
    let transport: VirtualTransport
    /// The other machine.
    let remote: Int
    var owner: (any VirtualConnectionOwner)?
    var state = State.connecting
    private(set) var peer: VirtualHello?
    private(set) var isEstablished = false
    var timer: VirtualTimer?

    // The socket.
    var other: VirtualConnection?
    var isSocketOpen = true
    var hasSentLast = false
    /// Its process has died.
    var isAbandoned = false
    var lastArrival = Instant.zero
    /// Sent, and swallowed by a cut.
    var held: [VirtualSegment] = []
    var heldBytes = 0

    // The link.
    private var outgoing: [VirtualEnvelope] = []
    var outgoingBytes = 0
    private var isFlushDue = false
    var requests = VirtualRequests()
    var waiting: [(number: UInt32, frame: Frame)] = []
    var sweep: (timer: VirtualTimer, at: Instant)?
    var silence = VirtualSilence()
    private var unanswered: Set<UInt32> = []

    var network: VirtualNetwork { transport.network }
    var process: VirtualProcess { transport.process }
    var node: Int { transport.node }

    init(
        number: UInt64, role: Role, remote: Int, owner: any VirtualConnectionOwner, transport: VirtualTransport
    ) {
        self.number = number
        self.role = role
        self.remote = remote
        self.owner = owner
        self.transport = transport
    }

    var isOpen: Bool { state == .open }
    var lane: VirtualLane? { if case .dialled(_, let lane) = role { lane } else { nil } }

    func greet() {
        state = .greeting
        timer = process.schedule(.connect, after: transport.tuning.helloTimeout) { [self] in close(.noHello) }
    }

    // MARK: Ending

    /// Ends it. A peer to which the link was open hears a goodbye if this is our wish and not its fault.
    func close(_ end: LinkEnd) {
        let isRefused = if case .refused = end { true } else { false }
        let saysGoodbye = state == .open && (end == .closed || end == .silent || isRefused)
        finish(end)
        if saysGoodbye { outgoing.append(VirtualEnvelope(kind: .goodbye)) }
        flush(isLast: true)
        if saysGoodbye || isRefused {
            timer = process.schedule(.connect, after: transport.tuning.goodbye) { [self] in closeSocket() }
        } else {
            closeSocket()
        }
    }

    func finish(_ end: LinkEnd) {
        guard state != .ended else { return }
        state = .ended
        timer?.cancel()
        timer = nil
        lane?.released(outgoingBytes + heldBytes)
        outgoingBytes = 0
        heldBytes = 0
        sweep?.timer.cancel()
        sweep = nil
        for (_, frame) in waiting { lane?.released(frame.countedBytes) }
        waiting = []
        for entry in requests.removeAll() {
            let error: PeerError = entry.sentAt == nil ? .unreachable(end) : .linkLost(end)
            transport.answer(entry.asker, .failure(error), from: self)
        }
        owner?.ended(self, end)
        owner = nil
    }

    /// We have learnt which cluster is ours: a link that began in ignorance may lead to another one.
    func reconsider() {
        guard isOpen, let peer, case .failure(let refusal) = transport.hello(expecting: peer.node).judge(peer) else {
            return
        }
        close(.refused(refusal))
    }

    // MARK: Reading

    func received(_ segment: VirtualSegment) {
        if state != .ended { silence.received(at: process.now) }
        for envelope in segment.envelopes where state != .ended { take(envelope) }
        if segment.isLast {
            closeSocket()
            finish(.lost)
        }
    }

    private func take(_ envelope: VirtualEnvelope) {
        switch (state, role, envelope.kind) {
        case (.greeting, _, .hello(let hello)): greeted(hello)
        case (.open, _, .goodbye): close(.goodbye)
        case (.open, .dialled, .response): answered(envelope)
        case (.open, .accepted, .request):
            guard unanswered.count < Limits.requestsInFlight, unanswered.insert(envelope.number).inserted else {
                return close(.violation(.tooManyRequests))
            }
            owner?.received(envelope, on: self)
        case (.open, .accepted, .message): owner?.received(envelope, on: self)
        default: preconditionFailure("The simulated transport has broken its own protocol.")
        }
    }

    private func greeted(_ theirs: VirtualHello) {
        peer = theirs
        let mine: VirtualHello
        switch role {
        case .dialled(let expected, _): mine = transport.hello(expecting: expected)
        case .accepted:
            mine = transport.hello(expecting: theirs.node)
            say(mine)
        }
        switch mine.judge(theirs) {
        case .failure(let refusal): close(.refused(refusal))
        case .success(let version):
            state = .open
            isEstablished = true
            timer?.cancel()
            timer = nil
            owner?.opened(self, version: version)
            sendWaiting()
        }
    }

    // MARK: Writing

    func say(_ hello: VirtualHello) {
        outgoing.append(VirtualEnvelope(kind: .hello(hello)))
        flush()
    }

    func enqueue(_ kind: VirtualEnvelope.Kind, number: UInt32, _ frame: Frame) {
        outgoing.append(VirtualEnvelope(kind: kind, number: number, frame: frame))
        outgoingBytes += frame.countedBytes
        network.counters.frames += 1
        network.counters.frameBytes += frame.body.count
        guard !isFlushDue else { return }
        isFlushDue = true
        transport.flushLater(self)
    }

    func flush(isLast: Bool = false) {
        isFlushDue = false
        guard !outgoing.isEmpty || isLast else { return }
        let segment = VirtualSegment(envelopes: outgoing, isLast: isLast)
        outgoing = []
        outgoingBytes = 0
        send(segment)
    }

    private var queuedBytes: Int { outgoingBytes + heldBytes }

    // MARK: The acceptor's side

    /// A second answer to one request goes nowhere.
    func answer(_ frame: Frame, number: UInt32) {
        guard isOpen, unanswered.remove(number) != nil else { return }
        enqueue(.response, number: number, frame)
        if queuedBytes > transport.tuning.queueBytes { close(.violation(.answersNotTaken)) }
    }
}
