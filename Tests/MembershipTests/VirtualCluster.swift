import Primitives

@testable import Membership

/// Machines on a virtual network: a clock that jumps from event to event, datagrams with delay and loss, links that can
/// be cut in either direction. The same seed gives the same run.
struct VirtualCluster {
    struct Node {
        var machine: Membership
        var isRunning = false
        /// Stopped, not dead: what arrives waits.
        var isPaused = false
        var backlog: [Membership.Event] = []
        var effects: [(at: Instant, effect: Membership.Effect)] = []
        var generation: UInt64 = 1
    }

    private enum Arrival {
        case datagram(GossipMessage, from: Int)
        case event(Membership.Event)
    }

    var nodes: [Node]
    var now = Instant.zero
    var random: SeededGenerator
    var loss = 0.0
    var delay: ClosedRange<Int64> = 50_000...500_000
    /// Whether a datagram to a dead process comes back as an unreachable port.
    var reportsUnreachable = false
    private var cut: [[Bool]]
    private var arrivals: [(at: Instant, order: Int, to: Int, what: Arrival)] = []
    private var nextOrder = 0
    /// A fingerprint of everything that happened.
    private(set) var trace: UInt64 = 0xCBF2_9CE4_8422_2325
    private(set) var datagrams = 0
    /// Changes of what anybody believes; conditions are asked again only after one.
    private var beliefs = 0
    private(set) var greatestDatagram = 0

    private static let texts = (0..<100).map { "n\($0 < 10 ? "0" : "")\($0)" }
    static func text(_ index: Int) -> String { texts[index] }
    private static let indices = Dictionary(uniqueKeysWithValues: texts.enumerated().map { ($1, $0) })
    static func node(_ index: Int, _ generation: UInt64 = 1) -> NodeID { id(text(index), generation) }

    init(_ count: Int, seed: UInt64) {
        random = SeededGenerator(seed: seed)
        nodes = []
        for index in 0..<count {
            nodes.append(
                Node(
                    machine: Membership(
                        myself: Self.node(index), profile: profile(Self.text(index)), seed: random.next())))
        }
        cut = Array(repeating: Array(repeating: false, count: count), count: count)
    }

    // MARK: What a test does to it

    mutating func start(_ index: Int, seeds: [Int]) {
        nodes[index].isRunning = true
        tell(.join(seeds: seeds.map { address(Self.text($0)) }), to: index)
    }

    /// All, with node 0 for a seed, and runs until they know each other.
    mutating func startAll() {
        for index in nodes.indices { start(index, seeds: index == 0 ? [] : [0]) }
        _ = run(for: .seconds(5)) { $0.isConverged(on: Array($0.nodes.indices)) }
    }

    /// `kill -9`. Each witness sees its connection reset and a new one refused within 1 to 3 ms.
    mutating func kill(_ index: Int, witnesses: [Int] = []) {
        nodes[index].isRunning = false
        let id = nodes[index].machine.myself
        for witness in witnesses {
            let after = Int64.random(in: 1_000_000...3_000_000, using: &random)
            schedule(.event(.exitProof(id)), to: witness, after: .nanoseconds(after))
        }
    }

    /// A new process of the same name.
    mutating func revive(_ index: Int, seeds: [Int]) {
        nodes[index].generation += 1
        nodes[index].machine = Membership(
            myself: Self.node(index, nodes[index].generation), profile: profile(Self.text(index)),
            seed: random.next())
        start(index, seeds: seeds)
    }

    mutating func pause(_ index: Int) { nodes[index].isPaused = true }

    mutating func resume(_ index: Int) {
        nodes[index].isPaused = false
        let backlog = nodes[index].backlog
        nodes[index].backlog = []
        for event in backlog { tell(event, to: index) }
    }

    mutating func cutLinks(from senders: [Int], to receivers: [Int]) { setLinks(senders, receivers, isCut: true) }

    mutating func partition(_ left: [Int], _ right: [Int]) {
        setLinks(left, right, isCut: true)
        setLinks(right, left, isCut: true)
    }

    mutating func heal() { setLinks(Array(nodes.indices), Array(nodes.indices), isCut: false) }

    private mutating func setLinks(_ senders: [Int], _ receivers: [Int], isCut: Bool) {
        for sender in senders { for receiver in receivers { cut[sender][receiver] = isCut } }
    }

    // MARK: What a test asks

    func state(of index: Int, at observer: Int) -> MemberState? {
        guard let record = nodes[observer].machine.member(name(Self.text(index))),
            record.id.generation.rawValue == nodes[index].generation
        else { return nil }
        return record.state
    }

    func isExitProven(of index: Int, at observer: Int) -> Bool {
        nodes[observer].machine.member(name(Self.text(index)))?.isExitProven == true
    }

    /// Whether each of `group` knows exactly the group to live, all of it alive.
    func isConverged(on group: [Int]) -> Bool {
        group.allSatisfy { observer in
            nodes[observer].machine.livingOthers.count == group.count - 1
                && group.allSatisfy { $0 == observer || state(of: $0, at: observer) == .alive }
        }
    }

    func changes(at observer: Int) -> [Change] { nodes[observer].effects.map(\.effect).changes }

    // MARK: The run

    /// Whether `condition` came true within `duration`; the clock stops when it does.
    mutating func run(for duration: Duration, until condition: (VirtualCluster) -> Bool = { _ in false }) -> Bool {
        let end = now + duration
        if condition(self) { return true }
        var asked = beliefs
        while step(notAfter: end) {
            if beliefs == asked { continue }
            asked = beliefs
            if condition(self) { return true }
        }
        now = end
        return false
    }

    private mutating func step(notAfter end: Instant) -> Bool {
        var next = Instant.distantFuture
        var ticking: Int?
        for index in nodes.indices where nodes[index].isRunning && !nodes[index].isPaused {
            let deadline = max(nodes[index].machine.nextDeadline, now)
            if deadline < next { (next, ticking) = (deadline, index) }
        }
        if let arrival = arrivals.last, arrival.at <= next { (next, ticking) = (arrival.at, nil) }
        guard next <= end else { return false }
        now = next
        if let ticking {
            tell(.tick, to: ticking)
        } else if let arrival = arrivals.popLast() {
            switch arrival.what {
            case .event(let event): tell(event, to: arrival.to)
            case .datagram(let message, let sender):
                if nodes[arrival.to].isRunning {
                    tell(.received(message, from: address(Self.text(sender))), to: arrival.to)
                } else if reportsUnreachable {
                    schedule(
                        .event(.portUnreachable(address(Self.text(arrival.to)))), to: sender,
                        after: .microseconds(100))
                }
            }
        }
        return true
    }

    private mutating func schedule(_ what: Arrival, to index: Int, after delay: Duration) {
        let at = now + delay
        nextOrder += 1
        // Latest first; of the same instant the one scheduled first is last.
        var low = 0
        var high = arrivals.count
        while low < high {
            let middle = (low + high) / 2
            if arrivals[middle].at <= at { high = middle } else { low = middle + 1 }
        }
        arrivals.insert((at, nextOrder, index, what), at: low)
    }

    mutating func tell(_ event: Membership.Event, to index: Int) {
        guard nodes[index].isRunning else { return }
        guard !nodes[index].isPaused else {
            nodes[index].backlog.append(event)
            return
        }
        var effects: [Membership.Effect] = []
        nodes[index].machine.handle(event, at: now, into: &effects)
        for effect in effects {
            carryOut(effect, of: index)
            nodes[index].effects.append((now, effect))
        }
    }

    private mutating func carryOut(_ effect: Membership.Effect, of index: Int) {
        switch effect {
        case .send(let message, let target):
            guard let receiver = Self.indices[target.host], receiver < nodes.count else { return }
            datagrams += 1
            greatestDatagram = max(greatestDatagram, message.encodedBytes)
            note([
                now.nanoseconds, Int64(index), Int64(receiver), Int64(message.encodedBytes),
                Int64(message.rumors.count),
            ])
            let isLost = Double.random(in: 0..<1, using: &random) < loss
            let delay = Int64.random(in: delay, using: &random)
            guard !isLost, !cut[index][receiver] else { return }
            schedule(.datagram(message, from: index), to: receiver, after: .nanoseconds(delay))
        case .pushPull(let peer):
            guard let other = nodes.indices.first(where: { nodes[$0].machine.myself == peer }),
                nodes[other].isRunning, !cut[index][other], !cut[other][index]
            else { return }
            let mine = nodes[index].machine
            let theirs = nodes[other].machine
            schedule(.event(.merge(mine.fullState(), from: mine.myself)), to: other, after: .milliseconds(1))
            schedule(.event(.merge(theirs.fullState(), from: theirs.myself)), to: index, after: .milliseconds(2))
        case .declaredDead:
            beliefs += 1
            nodes[index].generation += 1
            schedule(
                .event(.restart(Self.node(index, nodes[index].generation))), to: index, after: .milliseconds(5))
        case .outlived: preconditionFailure("generations only rise here")
        case .left: nodes[index].isRunning = false
        case .memberChanged(let record, _):
            beliefs += 1
            note([now.nanoseconds, Int64(index), Int64(record.state.rawValue), Int64(record.id.generation.rawValue)])
        case .loadChanged, .nameTaken: break
        }
    }

    private mutating func note(_ facts: [Int64]) {
        for fact in facts { trace = (trace ^ UInt64(bitPattern: fact)) &* 0x100_0000_01B3 }
    }
}
