import Glibc
import Node
import Primitives

/// The network between the machines of a world: paths from each to each other, datagrams, and connections.
///
/// A cut path swallows everything. Datagrams are gone; a connection keeps what was sent, and sends it again when the
/// path is back, as TCP does, unless one of its ends gave it up in the meantime. Acknowledgements come on the other
/// path: when that is cut a connection still gets data across for 200 ms.
///
/// What a machine answers for a process that is not there: a datagram to a closed port comes back as unreachable, a
/// connection is refused, a connection to a process that was killed is closed without a goodbye. A machine without
/// power answers nothing; once it is back it resets what it does not know.
///
/// `@unchecked`: only touched by the world's thread.
package final class VirtualNetwork: @unchecked Sendable {
    /// How long data still arrives when no acknowledgement comes back.
    static let unacknowledged = Duration.milliseconds(200)
    /// How long an idle connection to a machine that has vanished stands: keep-alive, as the real links have it.
    static let keepAlive = Duration.seconds(60)
    /// The first retransmission.
    static let retransmission = Duration.milliseconds(200)
    /// Datagrams that a paused process's socket holds.
    static let receiveBuffer = 128

    let timeline: Timeline
    package internal(set) var counters = NetworkCounters()
    var random: SeededGenerator
    private var settings: NetworkSettings
    private var hosts: [Host] = []
    /// From one to another: `from * stride + to`.
    private var paths: [Path] = []
    private var stride = 0

    /// What a machine looks like from outside.
    struct Host {
        var isPowered = true
        var process: VirtualProcess?
        var transport: VirtualTransport?
        var gossip: VirtualDatagramChannel?
        /// Connections that this machine's kernel has a part in.
        var connections: [VirtualConnection] = []
    }

    init(timeline: Timeline, settings: NetworkSettings, seed: UInt64) {
        self.timeline = timeline
        self.settings = settings
        random = SeededGenerator(seed: seed)
    }

    // MARK: Machines

    static func gossipAddress(_ node: Int) -> Address { address(node, 20_000) }
    static func peerAddress(_ node: Int) -> Address { address(node, 30_000) }
    static func httpAddress(_ node: Int) -> Address { address(node, 40_000) }

    private static func address(_ node: Int, _ port: Int) -> Address {
        Address(host: "10.0.\(node / 250).\(node % 250 + 1)", port: UInt16(port + node))
    }

    /// Machines are added in the order of their numbers.
    func addHost() {
        hosts.append(Host())
        let old = (paths, stride)
        stride = max(hosts.count, 2 * stride)
        guard stride != old.1 else { return }
        paths = Array(repeating: Path(settings: settings.path), count: stride * stride)
        for from in 0..<old.1 {
            for to in 0..<old.1 { paths[from * stride + to] = old.0[from * old.1 + to] }
        }
    }

    /// The machine whose gossip or peer port this is; nil if there is none.
    func host(of address: Address, port base: UInt16) -> Int? {
        guard address.port >= base, Int(address.port - base) < hosts.count else { return nil }
        return Int(address.port - base)
    }

    func host(_ node: Int) -> Host { hosts[node] }

    func processStarted(_ process: VirtualProcess, on node: Int) { hosts[node].process = process }

    func listen(_ transport: VirtualTransport, on node: Int) { hosts[node].transport = transport }

    func stopListening(_ transport: VirtualTransport, on node: Int) {
        if hosts[node].transport === transport { hosts[node].transport = nil }
    }

    func open(_ channel: VirtualDatagramChannel, on node: Int) { hosts[node].gossip = channel }

    func close(_ channel: VirtualDatagramChannel, on node: Int) {
        if hosts[node].gossip === channel { hosts[node].gossip = nil }
    }

    func add(_ connection: VirtualConnection, on node: Int) { hosts[node].connections.append(connection) }

    func remove(_ connection: VirtualConnection, on node: Int) {
        hosts[node].connections.removeAll { $0 === connection }
    }

    /// The process is gone. The kernel closes what it had, if it still runs.
    func processEnded(on node: Int, isPowered: Bool) {
        hosts[node].isPowered = isPowered
        // First the kernel's part: a process that was killed says nothing any more.
        let connections = hosts[node].connections
        hosts[node].connections = []
        for connection in connections { connection.abandon(isPowered: isPowered) }
        hosts[node].transport = nil
        hosts[node].gossip?.close()
        hosts[node].process = nil
        guard !isPowered else { return }
        let others = hosts.indices.filter { $0 != node }.flatMap { hosts[$0].connections }
        for connection in others where connection.remote == node { connection.expire(after: Self.keepAlive) }
    }

    /// The machine runs again. It resets the connections that others think they have with it as soon as they say
    /// something.
    func powerOn(_ node: Int) {
        guard !hosts[node].isPowered else { return }
        hosts[node].isPowered = true
        for other in hosts.indices where other != node {
            for connection in hosts[other].connections where connection.remote == node { connection.remoteIsBack() }
        }
    }

    // MARK: Paths

    /// What one path does; `from` and `to` are positions in `World.nodes`.
    package func setPath(from: Int, to: Int, _ settings: PathSettings) { paths[from * stride + to].settings = settings }

    package func path(from: Int, to: Int) -> PathSettings { paths[from * stride + to].settings }

    /// All paths, also of nodes that come later.
    package func setAllPaths(_ settings: PathSettings) {
        self.settings.path = settings
        for index in paths.indices { paths[index].settings = settings }
    }

    /// Cuts one direction.
    package func cut(from: Int, to: Int) {
        guard from != to, paths[from * stride + to].cutSince == nil else { return }
        let since = timeline.now
        paths[from * stride + to].cutSince = since
        // Keep-alive: who is idle notices in the end.
        timeline.schedule(after: Self.keepAlive) { [self] in
            guard paths[from * stride + to].cutSince == since else { return }
            for connection in hosts[from].connections where connection.remote == to { connection.reset() }
            for connection in hosts[to].connections where connection.remote == from { connection.reset() }
        }
    }

    package func heal(from: Int, to: Int) {
        guard let since = paths[from * stride + to].cutSince else { return }
        paths[from * stride + to].cutSince = nil
        let length = timeline.now - since
        for connection in hosts[from].connections where connection.remote == to { connection.healed(after: length) }
        for connection in hosts[to].connections where connection.remote == from { connection.healed(after: length) }
    }

    /// Cuts every path between nodes of different groups; nodes that no group names are a group of their own each.
    package func partition(_ groups: [[Int]]) {
        for from in hosts.indices {
            for to in hosts.indices
            where from != to && !groups.contains(where: { $0.contains(from) && $0.contains(to) }) {
                cut(from: from, to: to)
            }
        }
    }

    package func isCut(from: Int, to: Int) -> Bool { paths[from * stride + to].cutSince != nil }

    /// Heals every cut (not loss and latency: `setAllPaths` does).
    package func healAll() {
        for from in hosts.indices {
            for to in hosts.indices { heal(from: from, to: to) }
        }
    }

    /// Resets every connection between the two nodes, whoever dialled it, as a middlebox may.
    package func resetConnections(between a: Int, and b: Int) {
        for connection in hosts[a].connections where connection.remote == b { connection.reset() }
        for connection in hosts[b].connections where connection.remote == a { connection.reset() }
    }

    /// Whether a connection gets data from one machine to the other.
    func carries(from: Int, to: Int) -> Bool {
        guard !isCut(from: from, to: to), hosts[to].isPowered else { return false }
        guard let since = paths[to * stride + from].cutSince else { return true }
        return timeline.now - since < Self.unacknowledged
    }

    func drawLatency(from: Int, to: Int) -> Duration {
        let path = paths[from * stride + to].settings
        if from == to { return .microseconds(20) }
        return path.latency + random.exponential(path.jitter)
    }

    /// What losses cost a segment.
    func drawRetransmissions(from: Int, to: Int) -> Duration {
        let loss = paths[from * stride + to].settings.loss
        guard loss > 0 else { return .zero }
        var delay = Duration.zero
        var wait = Self.retransmission
        while random.chance(loss), wait < .seconds(60) {
            delay += wait
            wait = wait * 2
            counters.segmentsDelayed += 1
        }
        return delay
    }

    /// Whether a packet that is not repeated gets through.
    func drawsArrival(from: Int, to: Int) -> Bool {
        let path = paths[from * stride + to]
        return path.cutSince == nil && !random.chance(path.settings.loss)
    }

    // MARK: Datagrams

    func send(_ bytes: [UInt8], from node: Int, to address: Address) {
        counters.datagrams += 1
        counters.datagramBytes += bytes.count
        guard let target = host(of: address, port: 20_000), drawsArrival(from: node, to: target) else {
            counters.datagramsDropped += 1
            return
        }
        let path = paths[node * stride + target].settings
        var copies = 1
        if random.chance(path.duplication) {
            copies = 2
            counters.datagramsDuplicated += 1
        }
        for _ in 0..<copies {
            var delay = drawLatency(from: node, to: target)
            if random.chance(path.reordering) {
                delay += .nanoseconds(Int64(random.next() % 10_000_000))
                counters.datagramsReordered += 1
            }
            timeline.schedule(
                .datagram, for: nil, node: target, at: timeline.now + delay,
                detail: UInt64(truncatingIfNeeded: bytes.count)
            ) { [self] in arrived(bytes, from: node, at: target) }
        }
    }

    private func arrived(_ bytes: [UInt8], from node: Int, at target: Int) {
        guard hosts[target].isPowered else { return }
        guard let process = hosts[target].process, let channel = hosts[target].gossip else {
            return comeBack(to: node, from: target)
        }
        guard process.parkedDatagrams < Self.receiveBuffer else {
            counters.datagramsDropped += 1
            return
        }
        process.deliver(.datagram) { channel.receive(bytes[...], Self.gossipAddress(node)) }
    }

    /// ICMP: nobody listens there.
    private func comeBack(to node: Int, from target: Int) {
        guard drawsArrival(from: target, to: node), let process = hosts[node].process else { return }
        counters.unreachables += 1
        timeline.schedule(
            .unreachable, for: process, at: timeline.now + drawLatency(from: target, to: node)
        ) { [self] in hosts[node].gossip?.unreachable(Self.gossipAddress(target)) }
    }
}

/// The gossip socket of one process. `@unchecked`: only touched by the world's thread.
final class VirtualDatagramChannel: DatagramChannel, @unchecked Sendable {
    private let network: VirtualNetwork
    private let node: Int
    let receive: @Sendable (ArraySlice<UInt8>, Address) -> Void
    let unreachable: @Sendable (Address) -> Void
    private var isClosed = false

    init(
        _ process: VirtualProcess, on node: Int, network: VirtualNetwork,
        receive: @escaping @Sendable (ArraySlice<UInt8>, Address) -> Void,
        unreachable: @escaping @Sendable (Address) -> Void
    ) {
        self.node = node
        self.network = network
        self.receive = receive
        self.unreachable = unreachable
        // The dying open nothing.
        isClosed = !process.isAlive
        if !isClosed { network.open(self, on: node) }
    }

    func send(_ bytes: [UInt8], to address: Address) {
        if !isClosed { network.send(bytes, from: node, to: address) }
    }

    /// Also when its process dies.
    func close() {
        isClosed = true
        network.close(self, on: node)
    }
}
