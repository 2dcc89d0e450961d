package import Membership
import Primitives

/// Measures failure detection: membership machines alone, on a virtual clock and a virtual network.
///
/// - **False deaths**: members that live and are declared dead. With `slowness`, some members of each cluster do their
///   input and output late, in bursts, as in the experiments of the Lifeguard paper (Dadgar, Phillips, Currey 2017,
///   section V): in a burst what arrives waits, and so does what is to be sent; then all of it is done at once. Timers
///   go on. What counts are deaths of the *healthy* members that a healthy member believes in.
/// - **Crashes**: the time from a member's end until the first of the others, and until all of them, know of it.
///
/// The network: a datagram is lost or delayed, each independently, so that order is not kept. The full states of a
/// push-pull go by TCP: delayed, never lost. A killed process leaves a host behind: datagrams to it come back as an
/// unreachable port, and its links end. TCP's part under loss is modelled after Linux: a lost FIN is sent again after
/// 200 ms, and a dial whose first packet or its refusal is lost proves nothing any more, as `Peers` has it. An
/// unplugged one is silent.
///
/// One seed and one set of parameters give the same run, and the same `Report.trace`, in every build.
package enum MembershipExperiment {
    /// How some members are slow.
    package struct Slowness: Hashable, Sendable {
        /// One of so many members is slow, at least one.
        package var oneOf = 4
        /// How long input and output wait in a burst.
        package var burst: ClosedRange<Duration> = .milliseconds(500) ... .seconds(3)
        /// How long all is well in between.
        package var pause: ClosedRange<Duration> = .milliseconds(500) ... .seconds(5)
        /// The whole process stops in a burst, its timers too, as if it had no processor.
        package var stopsTimers = false

        package init() {}
    }

    package enum Crash: Hashable, Sendable, CaseIterable {
        /// `kill -9`: the others get proof.
        case killed
        /// A pulled cable, a lost machine: silence.
        case unplugged
    }

    package struct Parameters: Hashable, Sendable {
        /// Each size in turn, for the same number of node-hours, or of crashes.
        package var members: ClosedRange<Int> = 5...10
        /// Virtual time, summed over the members.
        package var nodeHours = 1.0
        /// Before anything is counted: joining costs more than living.
        package var warmUp = Duration.zero
        package var loss = 0.0
        /// One way, uniform.
        package var delay: ClosedRange<Duration> = .microseconds(50) ... .microseconds(500)
        package var slowness: Slowness?
        /// Crashes instead of hours: so many, one after another.
        package var crashes = 0
        package var crash = Crash.killed
        package var settings = Membership.Settings()

        package init() {}
    }

    package struct Report: Hashable, Sendable {
        package var nodeHours = 0.0
        /// Members that were neither slow nor gone, declared dead by whomever, and dead to a healthy member.
        package var falseDeaths = 0
        /// The same, but dead to slow members alone.
        package var falseDeathsAtSlowMembers = 0
        /// Slow members declared dead.
        package var deathsOfSlowMembers = 0
        /// A member began to suspect a living, healthy one.
        package var falseSuspicions = 0
        package var datagrams: UInt64 = 0
        package var datagramBytes: UInt64 = 0
        package var ticks: UInt64 = 0
        package var events: UInt64 = 0
        /// From each crash until the first of the others held the member dead.
        package var firstKnown: [Duration] = []
        /// From each crash until all of the others did.
        package var allKnown: [Duration] = []
        /// From each crash until its exit was proven to all of the others.
        package var allProven: [Duration] = []
        /// Crashes that somebody did not know of within a minute.
        package var undetected = 0
        /// Kills that loss kept from everybody's links: nobody had proof. They are in none of the three.
        package var unwitnessed = 0
        /// A fingerprint of everything that happened.
        package var trace: UInt64 = 0xCBF2_9CE4_8422_2325

        package init() {}

        /// The `share` of the durations that are at most so long; nil without any.
        package static func quantile(_ share: Double, of durations: [Duration]) -> Duration? {
            guard !durations.isEmpty else { return nil }
            return durations.sorted()[min(durations.count - 1, Int(Double(durations.count) * share))]
        }
    }

    package static func run(_ parameters: Parameters, seed: UInt64) -> Report {
        precondition(parameters.members.lowerBound >= 2, "a cluster")
        var random = SeededGenerator(seed: seed)
        var report = Report()
        let sizes = Array(parameters.members)
        for (index, size) in sizes.enumerated() {
            var cluster = DetectionCluster(size, parameters, seed: random.next(), report: report)
            if parameters.crashes > 0 {
                let count = parameters.crashes * (index + 1) / sizes.count - parameters.crashes * index / sizes.count
                cluster.crashAndReturn(count)
            } else {
                cluster.live(for: .seconds(parameters.nodeHours * 3600 / Double(sizes.count * size)))
            }
            report = cluster.report
        }
        return report
    }
}

/// One cluster of the experiment.
private struct DetectionCluster {
    struct Node {
        var machine: Membership
        var generation: UInt64 = 1
        /// Counts processes: what was meant for an earlier one does not reach a later one.
        var life = 0
        var isRunning = true
        var isPlugged = true
        let isSlow: Bool
        /// The burst that goes on or comes next.
        var burst: Range<Instant>
    }

    struct Belief: Hashable {
        var generation: UInt64 = 0
        var state: MemberState?
        var isProven = false
    }

    struct Arrival {
        let event: Membership.Event
        let to: Int
        /// Of the process that it is meant for; nil: a datagram, for whoever is there.
        var life: Int?
    }

    let parameters: MembershipExperiment.Parameters
    var report: MembershipExperiment.Report
    var nodes: [Node] = []
    /// When each node wants its next tick.
    var deadlines: [Instant]
    /// What each (row) believes of each (column).
    var beliefs: [Belief]
    /// Raised by every change of a belief.
    var changes = 0
    /// Generations of each node that were declared dead by mistake: not counted again.
    var mourned: [Set<UInt64>]
    var now = Instant.zero
    var random: SeededGenerator
    var arrivals = EventHeap(empty: Arrival(event: .tick, to: 0))
    let delay: ClosedRange<Int64>
    var effects: [Membership.Effect] = []

    init(
        _ count: Int, _ parameters: MembershipExperiment.Parameters, seed: UInt64, report: MembershipExperiment.Report
    ) {
        self.parameters = parameters
        self.report = report
        random = SeededGenerator(seed: seed)
        delay = parameters.delay.lowerBound.nanoseconds...parameters.delay.upperBound.nanoseconds
        deadlines = Array(repeating: .zero, count: count)
        beliefs = Array(repeating: Belief(), count: count * count)
        mourned = Array(repeating: [], count: count)
        let slow = parameters.slowness.map { max(1, count / $0.oneOf) } ?? 0
        for index in 0..<count {
            nodes.append(
                Node(
                    machine: Self.machine(index, 1, parameters, &random), isSlow: index < slow,
                    burst: Instant.distantFuture..<Instant.distantFuture))
        }
        for index in 0..<slow { planBurst(of: index) }
        start(Array(nodes.indices))
    }

    static func identity(_ index: Int, _ generation: UInt64) -> NodeID {
        guard let name = NodeName("n\(index)") else { preconditionFailure("a name") }
        return NodeID(name: name, generation: Generation(generation))
    }

    static func address(_ index: Int) -> Address { Address(host: "10.0.0.1", port: UInt16(index)) }

    static func machine(
        _ index: Int, _ generation: UInt64, _ parameters: MembershipExperiment.Parameters,
        _ random: inout SeededGenerator
    ) -> Membership {
        let profile = MemberProfile(
            gossip: address(index), peer: address(index), http: address(index), disk: StoreID(UInt64(index)),
            store: StoreID(UInt64(index)), slots: 4)
        return Membership(
            myself: identity(index, generation), profile: profile, settings: parameters.settings, seed: random.next())
    }

    // MARK: What is done to it

    mutating func live(for duration: Duration) {
        let before = report
        wait(parameters.warmUp)
        (report.datagrams, report.datagramBytes) = (before.datagrams, before.datagramBytes)
        wait(duration)
        report.nodeHours += duration.secondsValue / 3600 * Double(nodes.count)
    }

    mutating func crashAndReturn(_ times: Int) {
        for _ in 0..<times {
            // Not with every event: each looks at all pairs.
            let limit = now + .seconds(60)
            while now < limit, !isConverged { wait(.milliseconds(50)) }
            wait(.milliseconds(Int64.random(in: 3000..<13_000, using: &random)))
            let victim = Int.random(in: nodes.indices, using: &random)
            measureCrash(of: victim)
            wait(.seconds(3))
            revive(victim)
        }
    }

    private mutating func measureCrash(of victim: Int) {
        let start = now
        let witnesses = crash(victim)
        if parameters.crash == .killed, witnesses == 0 {
            report.unwitnessed += 1
            return wait(.seconds(60))
        }
        let others = nodes.indices.filter { $0 != victim }
        func knows(_ cluster: DetectionCluster, _ observer: Int) -> Bool {
            let belief = cluster.beliefs[observer * cluster.nodes.count + victim]
            return belief.state == .dead && belief.generation == cluster.nodes[victim].generation
        }
        guard
            run(for: .seconds(60), until: { cluster in others.contains { knows(cluster, $0) } })
        else { return report.undetected += 1 }
        report.firstKnown.append(now - start)
        guard run(for: .seconds(60), until: { cluster in others.allSatisfy { knows(cluster, $0) } }) else {
            return report.undetected += 1
        }
        report.allKnown.append(now - start)
        guard parameters.crash == .killed else { return }
        let isProven = run(for: .seconds(3)) { cluster in
            others.allSatisfy { cluster.beliefs[$0 * cluster.nodes.count + victim].isProven }
        }
        if isProven { report.allProven.append(now - start) }
    }

    /// How many get proof.
    private mutating func crash(_ victim: Int) -> Int {
        nodes[victim].isRunning = false
        nodes[victim].isPlugged = parameters.crash == .killed
        nodes[victim].life += 1
        deadlines[victim] = .distantFuture
        guard parameters.crash == .killed else { return 0 }
        var witnesses = 0
        let id = nodes[victim].machine.myself
        for witness in nodes.indices where witness != victim {
            var delay = drawDelay() + .microseconds(Int64.random(in: 500...2500, using: &random))
            while isLost() { delay += .milliseconds(200) }
            guard !isLost(), !isLost() else { continue }
            delay += drawDelay() + drawDelay()
            schedule(.exitProof(id), to: witness, after: delay)
            witnesses += 1
        }
        return witnesses
    }

    private mutating func revive(_ index: Int) {
        nodes[index].generation += 1
        nodes[index].machine = Self.machine(index, nodes[index].generation, parameters, &random)
        nodes[index].isRunning = true
        nodes[index].isPlugged = true
        for other in nodes.indices { beliefs[index * nodes.count + other] = Belief() }
        start([index])
    }

    private mutating func start(_ indices: [Int]) {
        let seeds = nodes.indices.map(Self.address)
        for index in indices { handle(.join(seeds: seeds), by: index) }
    }

    /// Whether each running node holds each other alive, and no other.
    private var isConverged: Bool {
        nodes.indices.allSatisfy { observer in
            nodes.indices.allSatisfy { subject in
                let belief = beliefs[observer * nodes.count + subject]
                return observer == subject
                    || belief.state == .alive && belief.generation == nodes[subject].generation
            }
        }
    }

    // MARK: The run

    private mutating func wait(_ duration: Duration) {
        let end = now + duration
        while step(notAfter: end) {}
        now = end
    }

    /// Whether `condition` came true within `duration`; the clock stops when it does.
    @discardableResult
    private mutating func run(for duration: Duration, until condition: (DetectionCluster) -> Bool) -> Bool {
        let end = now + duration
        if condition(self) { return true }
        var asked = changes
        while step(notAfter: end) {
            if changes == asked { continue }
            asked = changes
            if condition(self) { return true }
        }
        now = end
        return false
    }

    private mutating func step(notAfter end: Instant) -> Bool {
        var next = Instant.distantFuture
        var ticking = 0
        for index in deadlines.indices where deadlines[index] < next { (next, ticking) = (deadlines[index], index) }
        let isArrival = arrivals.earliest.map { $0 <= next } ?? false
        if isArrival, let earliest = arrivals.earliest { next = earliest }
        guard next <= end else { return false }
        now = max(now, next)
        if isArrival {
            arrive(arrivals.pop())
        } else if parameters.slowness?.stopsTimers == true, isBlocked(ticking) {
            deadlines[ticking] = nodes[ticking].burst.upperBound
        } else {
            report.ticks += 1
            handle(.tick, by: ticking)
        }
        return true
    }

    private mutating func arrive(_ arrival: consuming Arrival) {
        let index = arrival.to
        if nodes[index].isRunning, isBlocked(index) {
            arrivals.push(arrival, at: nodes[index].burst.upperBound)
        } else if nodes[index].isRunning {
            if arrival.life ?? nodes[index].life == nodes[index].life { handle(arrival.event, by: index) }
        } else if case .received(_, let sender) = arrival.event, nodes[index].isPlugged, !isLost() {
            schedule(.portUnreachable(Self.address(index)), to: Int(sender.port), after: drawDelay())
        }
    }

    private mutating func handle(_ event: Membership.Event, by index: Int) {
        report.events += 1
        nodes[index].machine.handle(event, at: now, into: &effects)
        deadlines[index] = nodes[index].machine.nextDeadline
        // Moved, not copied: that would take a tenth of the time.
        if effects.count > 1 { effects.reverse() }
        while let effect = effects.popLast() { carryOut(effect, of: index) }
    }

    private mutating func carryOut(_ effect: consuming Membership.Effect, of index: Int) {
        switch consume effect {
        case .send(let message, let address):
            let receiver = Int(address.port)
            let bytes = message.encodedBytes
            report.datagrams += 1
            report.datagramBytes += UInt64(bytes)
            note(UInt64(bitPattern: now.nanoseconds), UInt64(index << 32 | receiver << 16 | bytes))
            let delay = Int64.random(in: delay, using: &random)
            if isLost() { return }
            // What is sent in a burst leaves at its end.
            let departure = isBlocked(index) ? nodes[index].burst.upperBound : now
            let event = Membership.Event.received(message, from: Self.address(index))
            arrivals.push(
                Arrival(event: event, to: receiver), at: Instant(nanoseconds: departure.nanoseconds + delay))
        case .pushPull(let peer):
            guard let other = nodes.indices.first(where: { nodes[$0].machine.myself == peer }), nodes[other].isRunning
            else { return }
            let mine = Membership.Event.merge(nodes[index].machine.fullState(), from: nodes[index].machine.myself)
            let theirs = Membership.Event.merge(nodes[other].machine.fullState(), from: peer)
            schedule(mine, to: other, after: drawDelay())
            schedule(theirs, to: index, after: drawDelay() + drawDelay())
        case .declaredDead:
            nodes[index].generation += 1
            schedule(.restart(Self.identity(index, nodes[index].generation)), to: index, after: .milliseconds(5))
        case .memberChanged(let record, let was): believe(record, was: was, by: index)
        case .loadChanged, .nameTaken, .outlived, .left: break
        }
    }

    private mutating func believe(_ record: MemberRecord, was: MemberState?, by observer: Int) {
        changes += 1
        let subject = Int(record.profile.gossip.port)
        let generation = record.id.generation.rawValue
        beliefs[observer * nodes.count + subject] = Belief(
            generation: generation, state: record.state, isProven: record.isExitProven)
        note(
            UInt64(bitPattern: now.nanoseconds), UInt64(observer << 16 | subject << 8) | UInt64(record.state.rawValue))
        guard nodes[subject].isRunning, generation == nodes[subject].machine.myself.generation.rawValue else { return }
        if record.state == .suspect, !nodes[subject].isSlow { report.falseSuspicions += 1 }
        guard record.state == .dead, was != .dead else { return }
        mourn(subject, generation, by: observer)
    }

    /// Somebody holds a living member dead.
    private mutating func mourn(_ subject: Int, _ generation: UInt64, by observer: Int) {
        let isKnown = mourned[subject].contains(generation << 1)
        if nodes[subject].isSlow {
            if !isKnown { report.deathsOfSlowMembers += 1 }
            mourned[subject].insert(generation << 1)
        } else if nodes[observer].isSlow {
            if !isKnown, mourned[subject].insert(generation << 1 | 1).inserted { report.falseDeathsAtSlowMembers += 1 }
        } else if mourned[subject].insert(generation << 1).inserted {
            report.falseDeaths += 1
            if mourned[subject].remove(generation << 1 | 1) != nil { report.falseDeathsAtSlowMembers -= 1 }
        }
    }

    // MARK: The network

    /// For the process that is there now.
    private mutating func schedule(_ event: Membership.Event, to index: Int, after delay: Duration) {
        arrivals.push(Arrival(event: event, to: index, life: nodes[index].life), at: now + delay)
    }

    private mutating func isLost() -> Bool {
        parameters.loss > 0 && Double.random(in: 0..<1, using: &random) < parameters.loss
    }

    private mutating func drawDelay() -> Duration { .nanoseconds(Int64.random(in: delay, using: &random)) }

    private mutating func draw(_ range: ClosedRange<Duration>) -> Duration {
        .nanoseconds(
            Int64.random(in: range.lowerBound.nanoseconds...range.upperBound.nanoseconds, using: &random))
    }

    private mutating func isBlocked(_ index: Int) -> Bool {
        guard nodes[index].isSlow else { return false }
        while nodes[index].burst.upperBound <= now { planBurst(of: index) }
        return nodes[index].burst.contains(now)
    }

    private mutating func planBurst(of index: Int) {
        guard let slowness = parameters.slowness else { return }
        let last = nodes[index].burst.upperBound
        let start = (last == .distantFuture ? now : last) + draw(slowness.pause)
        nodes[index].burst = start..<start + draw(slowness.burst)
    }

    private mutating func note(_ first: UInt64, _ second: UInt64) {
        report.trace = (report.trace ^ first) &* 0x100_0000_01B3
        report.trace = (report.trace ^ second) &* 0x100_0000_01B3
    }
}
