import Peers
import Primitives

/// A frame on its way, and what it is.
struct VirtualEnvelope {
    enum Kind { case hello(VirtualHello), goodbye, message, request, response }

    let kind: Kind
    var number: UInt32 = 0
    var frame = Frame(0, [])
}

/// What travels at once over a connection.
struct VirtualSegment {
    var envelopes: [VirtualEnvelope] = []
    /// Nothing comes after it.
    var isLast = false
}

/// One end of a TCP connection: what the kernel does, and what `Peers.Connection` does on top of it. The rules are those of
/// that type; only the bytes are missing, since frames are bytes already.
///
/// As a kernel's socket: connecting -> established -> closed. What is sent arrives in order, or not at all, if an end is gone.
///
/// As a link: connecting -> greeting -> open -> ended.
///
/// `@unchecked`: only touched by the world's thread.
final class VirtualConnection: @unchecked Sendable {
    enum Role {
        case dialled(expecting: NodeID?, VirtualLane?)
        case accepted
    }
    private enum State { case connecting, greeting, open, ended }

    /// Sweeps are no closer together, and deadlines no more exact.
    static let sweepInterval = Duration.milliseconds(5)

    let number: UInt64
    let role: Role
    let transport: VirtualTransport
    /// The other machine.
    let remote: Int
    private var owner: (any VirtualConnectionOwner)?
    private var state = State.connecting
    private(set) var peer: VirtualHello?
    private(set) var isEstablished = false
    private var timer: VirtualTimer?

    // The socket.
    private var other: VirtualConnection?
    private var isSocketOpen = true
    private var hasSentLast = false
    /// Its process has died.
    private var isAbandoned = false
    private var lastArrival = Instant.zero
    /// Sent, and swallowed by a cut.
    private var held: [VirtualSegment] = []
    private var heldBytes = 0

    // The link.
    private var outgoing: [VirtualEnvelope] = []
    private var outgoingBytes = 0
    private var isFlushDue = false
    private var requests = VirtualRequests()
    private var waiting: [(number: UInt32, frame: Frame)] = []
    private var sweep: (timer: VirtualTimer, at: Instant)?
    private var silence = VirtualSilence()
    private var unanswered: Set<UInt32> = []

    private var network: VirtualNetwork { transport.network }
    private var process: VirtualProcess { transport.process }
    private var node: Int { transport.node }

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
    private var lane: VirtualLane? { if case .dialled(_, let lane) = role { lane } else { nil } }

    // MARK: Connecting

    /// SYN, SYN-ACK: one round trip. Without an answer it fails after `connectTimeout`.
    func dial() {
        network.add(self, on: node)
        network.counters.connections += 1
        timer = process.schedule(.connect, after: transport.tuning.connectTimeout) { [self] in
            network.counters.connectionsTimedOut += 1
            closeSocket()
            finish(.unreachable("connect timeout"))
        }
        guard network.drawsArrival(from: node, to: remote) else { return }
        let arrival = network.timeline.now + network.drawLatency(from: node, to: remote)
        network.timeline.schedule(.connect, for: nil, node: remote, at: arrival) { [self] in reachedHost() }
    }

    /// The SYN is there.
    private func reachedHost() {
        guard isSocketOpen, network.host(remote).isPowered, network.drawsArrival(from: remote, to: node) else { return }
        let accepted = network.host(remote).transport?.accept(from: node)
        accepted?.other = self
        let arrival = network.timeline.now + network.drawLatency(from: remote, to: node)
        accepted?.lastArrival = arrival
        network.timeline.schedule(.connect, for: process, at: arrival) { [self] in
            guard state == .connecting, isSocketOpen else {
                accepted?.reset()
                return
            }
            timer?.cancel()
            guard let accepted else {
                network.counters.connectionsRefused += 1
                closeSocket()
                return finish(.connectionRefused)
            }
            other = accepted
            greet()
            if case .dialled(let expected, _) = role { say(transport.hello(expecting: expected)) }
        }
        accepted?.accepted()
    }

    /// The kernel has accepted it; the process takes it when it runs.
    private func accepted() {
        network.add(self, on: node)
        process.deliver(.connect) { [self] in if state == .connecting { greet() } }
    }

    private func greet() {
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

    private func finish(_ end: LinkEnd) {
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

    // MARK: The socket

    private func closeSocket() {
        guard isSocketOpen else { return }
        isSocketOpen = false
        network.remove(self, on: node)
        other = nil
    }

    private func send(_ segment: VirtualSegment) {
        guard isSocketOpen, !hasSentLast, other != nil else { return }
        hasSentLast = segment.isLast
        guard network.carries(from: node, to: remote), held.isEmpty else {
            network.counters.segmentsHeld += 1
            held.append(segment)
            heldBytes += segment.countedBytes
            return
        }
        lane?.released(segment.countedBytes)
        transmit(segment)
    }

    private func transmit(_ segment: VirtualSegment) {
        guard let other else { return }
        network.counters.segments += 1
        let delay = network.drawLatency(from: node, to: remote) + network.drawRetransmissions(from: node, to: remote)
        lastArrival = max(network.timeline.now + delay, lastArrival + .nanoseconds(1))
        network.timeline.schedule(
            .segment, for: nil, node: remote, at: lastArrival, detail: segment.digest
        ) { [self] in other.arrived(segment, from: self) }
    }

    private func arrived(_ segment: VirtualSegment, from sender: VirtualConnection) {
        guard network.host(node).isPowered else { return }
        guard isSocketOpen else {
            // The kernel knows no such connection.
            if !segment.isLast, network.drawsArrival(from: node, to: remote) { sender.reset(after: .milliseconds(1)) }
            return
        }
        process.deliver(.segment) { [self] in received(segment) }
    }

    /// The path is back: TCP tries again, after as long as it has been waiting at most.
    func healed(after length: Duration) {
        guard isSocketOpen else { return }
        let wait = min(length, .seconds(60)) * network.random.unit()
        // The other end has closed it while nothing came through: its kernel goes on saying so.
        if other?.isAbandoned == true { return reset(after: wait) }
        guard !held.isEmpty else { return }
        network.timeline.schedule(.segment, for: nil, node: node, at: network.timeline.now + wait) { [self] in
            guard isSocketOpen, network.carries(from: node, to: remote) else { return }
            let segments = held
            held = []
            lane?.released(heldBytes)
            heldBytes = 0
            for segment in segments { transmit(segment) }
        }
    }

    /// An RST comes in from the network.
    func reset(after delay: Duration = .zero) {
        network.timeline.schedule(.segment, for: nil, node: node, at: network.timeline.now + delay) { [self] in
            guard isSocketOpen else { return }
            network.counters.connectionsReset += 1
            closeSocket()
            held = []
            if process.life == .alive || process.life == .paused {
                process.deliver(.segment) { [self] in finish(.lost) }
            }
        }
    }

    /// The process that had this end is gone. Its kernel closes it, unless the power is off.
    func abandon(isPowered: Bool) {
        isSocketOpen = false
        isAbandoned = true
        held = []
        guard isPowered else { return }
        if let other, network.carries(from: node, to: remote) {
            let arrival = network.timeline.now + network.drawLatency(from: node, to: remote)
            lastArrival = max(arrival, lastArrival + .nanoseconds(1))
            network.timeline.schedule(.segment, for: nil, node: remote, at: lastArrival) { other.remoteClosed() }
        }
    }

    /// A FIN, or an RST: nothing more will come.
    private func remoteClosed() {
        guard isSocketOpen else { return }
        closeSocket()
        process.deliver(.segment) { [self] in finish(.lost) }
    }

    /// The other machine lost its power: it is noticed in the end, if nothing is said before.
    func expire(after delay: Duration) {
        let remote = remote
        network.timeline.schedule(.segment, for: nil, node: node, at: network.timeline.now + delay) { [self] in
            if isSocketOpen, !network.host(remote).isPowered || other?.isSocketOpen != true { reset() }
        }
    }

    /// The other machine is back, and does not know this connection: it says so when it hears of it.
    func remoteIsBack() {
        guard other?.isSocketOpen != true else { return }
        let wait = held.isEmpty ? Duration.seconds(30) : .seconds(1)
        reset(after: wait * network.random.unit())
    }

    // MARK: Reading

    private func received(_ segment: VirtualSegment) {
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

    private func say(_ hello: VirtualHello) {
        outgoing.append(VirtualEnvelope(kind: .hello(hello)))
        flush()
    }

    private func enqueue(_ kind: VirtualEnvelope.Kind, number: UInt32, _ frame: Frame) {
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

    // MARK: The dialler's side

    func request(_ frame: Frame, deadline: Instant, _ asker: VirtualAsker) {
        let now = process.now
        guard let number = requests.add(asker, deadline: deadline, sentAt: isOpen ? now : nil) else {
            lane?.released(frame.countedBytes)
            return transport.answer(asker, .failure(.overloaded), from: self)
        }
        if isOpen {
            enqueue(.request, number: number, frame)
        } else {
            waiting.append((number, frame))
        }
        sweepNoLater(than: deadline, now: now)
    }

    func send(_ frame: Frame) {
        if isOpen {
            enqueue(.message, number: 0, frame)
        } else {
            waiting.append((0, frame))
        }
    }

    private func sendWaiting() {
        let now = process.now
        for (number, frame) in waiting {
            if number == 0 {
                enqueue(.message, number: 0, frame)
            } else if requests.markSent(number, at: now) {
                enqueue(.request, number: number, frame)
            } else {
                lane?.released(frame.countedBytes)
            }
        }
        waiting = []
        flush()
    }

    private func answered(_ envelope: VirtualEnvelope) {
        guard let entry = requests.take(envelope.number) else { return }
        transport.answer(entry.asker, .success(envelope.frame), from: self)
    }

    private func sweepNoLater(than deadline: Instant, now: Instant) {
        let at = max(deadline, now + Self.sweepInterval)
        if let sweep {
            guard at < sweep.at else { return }
            sweep.timer.cancel()
        }
        sweep = (process.schedule(.connect, after: at - now) { [self] in sweepDeadlines() }, at)
    }

    private func sweepDeadlines() {
        sweep = nil
        let now = process.now
        for entry in requests.expire(at: now) {
            if let sentAt = entry.sentAt { silence.expired(sentAt: sentAt) }
            transport.answer(entry.asker, .failure(.timedOut(sent: entry.sentAt != nil)), from: self)
        }
        guard state != .ended else { return }
        var next = requests.earliestDeadline
        if let since = silence.since {
            let end = since + transport.tuning.silence
            guard now < end else { return close(.silent) }
            next = min(next ?? end, end)
        }
        if let next { sweepNoLater(than: next, now: now) }
    }

    // MARK: The acceptor's side

    /// A second answer to one request goes nowhere.
    func answer(_ frame: Frame, number: UInt32) {
        guard isOpen, unanswered.remove(number) != nil else { return }
        enqueue(.response, number: number, frame)
        if queuedBytes > transport.tuning.queueBytes { close(.violation(.answersNotTaken)) }
    }
}

extension Frame {
    /// What it takes in a queue.
    var countedBytes: Int { body.count + 16 }
}

extension VirtualSegment {
    var countedBytes: Int {
        envelopes.reduce(0) { sum, envelope in
            switch envelope.kind {
            case .hello, .goodbye: sum
            case .message, .request, .response: sum + envelope.frame.countedBytes
            }
        }
    }

    /// For the trace: how many frames, of which tags, how long.
    var digest: UInt64 {
        var digest = UInt64(envelopes.count)
        for envelope in envelopes {
            digest = digest &* 31 &+ UInt64(envelope.frame.tag) << 20 ^ UInt64(truncatingIfNeeded: envelope.frame.body.count)
        }
        return digest & 0xFFFF_FFFF
    }
}
