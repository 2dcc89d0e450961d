import Primitives

/// What the kernels do for a connection: SYN and SYN-ACK, segments in order, FIN and RST, and sending again what a cut has
/// swallowed.
extension VirtualConnection {
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

    // MARK: The socket

    func closeSocket() {
        guard isSocketOpen else { return }
        isSocketOpen = false
        network.remove(self, on: node)
        other = nil
    }

    func send(_ segment: VirtualSegment) {
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
}
