import Primitives

/// Carries out the faults of a plan, and heals what they did.
///
/// What lasts is counted, not switched: a node that two faults hold down comes back when both are over, a path is whole when
/// no fault cuts it. Nothing that would destroy the last good copy of a ledger, or the majority of the voters, is done
/// unless the plan says `beyond`.
///
/// `@unchecked`: only touched by the world's thread.
final class FaultInjector: @unchecked Sendable {
    let world: World
    let stage: Stage
    let plan: SimulationPlan
    let chronicle: Chronicle
    var random: SeededGenerator
    private(set) var isHealed = false
    /// Faults that have struck, and those that had to be left out or made milder, by kind.
    private(set) var struck: [FaultKind: Int] = [:]
    var spared: [FaultKind: Int] = [:]
    private var armed: [Fault] = []
    /// How many faults hold a node down, or stopped.
    private var down: [Int]
    private var stopped: [Int]
    private var weather: NetworkWeather
    let diskSettings: DiskSettings
    private let redisLatency: Duration
    private var redisHolds = 0
    private var isRedisEmptied = false
    /// Everything is looked at before a process ends.
    var beforeCrash: () -> Void = {}
    /// Who can reach whom is about to change.
    var beforeChange: () -> Void = {} {
        didSet { weather.beforeChange = beforeChange }
    }

    init(_ plan: SimulationPlan, stage: Stage, chronicle: Chronicle) {
        self.plan = plan
        self.stage = stage
        self.chronicle = chronicle
        world = stage.world
        random = SeededGenerator(seed: plan.seed, for: "what faults draw")
        down = Array(repeating: 0, count: world.nodes.count)
        stopped = down
        weather = NetworkWeather(world.network, base: world.settings.network.path, nodes: world.nodes.count)
        diskSettings = world.settings.disk
        redisLatency = world.redis?.latency ?? .zero
    }

    /// Whether a handler of this task takes its node down.
    var killsPoisoned: Bool { !isHealed }

    func begin() {
        for fault in plan.faults {
            world.after(.milliseconds(Int64(fault.at))) { [self] in
                guard !isHealed else { return }
                if fault.trigger == .none {
                    strike(fault, fault.node)
                } else {
                    armed.append(fault)
                    watchForInstalls()
                }
            }
        }
    }

    // MARK: Triggers

    func happened(_ trigger: Fault.Trigger, at node: Int) {
        guard let index = armed.firstIndex(where: { $0.trigger == trigger }), !isHealed else { return }
        let fault = armed.remove(at: index)
        watchForInstalls()
        world.after(.microseconds(Int64(fault.delay))) { [self] in
            if !isHealed { strike(fault, fault.isAimed ? fault.node : node) }
        }
    }

    /// Only as long as a fault waits for a view: it costs a look after every event.
    private func watchForInstalls() {
        guard armed.contains(where: { $0.trigger == .installed }) else {
            world.afterEvent = nil
            return
        }
        guard world.afterEvent == nil else { return }
        var seen = world.nodes.map { $0.look { $0.view?.number ?? 0 } ?? 0 }
        world.afterEvent = { [self] in
            for node in world.nodes where node.index < seen.count {
                let number = node.look { $0.view?.number ?? 0 } ?? 0
                defer { seen[node.index] = max(number, seen[node.index]) }
                if number > seen[node.index] { happened(.installed, at: node.index) }
            }
        }
    }

    // MARK: Striking

    private func strike(_ fault: Fault, _ victim: Int) {
        let node = world.nodes[victim]
        let length = Duration.milliseconds(Int64(fault.length))
        // What was reached until now counts.
        beforeChange()
        // What is true now decides how far a fault may go.
        if fault.kind.harmsDisks { beforeCrash() }
        struck[fault.kind, default: 0] += 1
        chronicle.note(world.now, "fault \(fault.description)" + (fault.trigger == .none ? "" : " (node \(victim))"))
        switch fault.kind {
        case .crash: takeDown(victim, for: length, fault) { node.crash(.kill) }
        case .powerLoss: takeDown(victim, for: length, fault) { self.cutPower(victim, fault) }
        case .tornTail:
            takeDown(victim, for: length, fault) { self.cutPower(victim, fault) }
        case .massacre, .blackout:
            for other in world.nodes.indices {
                let own = length * Int.random(in: 20...100, using: &random) / 100
                takeDown(other, for: own, fault) {
                    if fault.kind == .massacre {
                        self.world.nodes[other].crash(.kill)
                    } else {
                        self.cutPower(other, fault)
                    }
                }
            }
        case .rolling:
            let count = world.nodes.count
            for step in 0..<count {
                after(length * step / count) { [self] in
                    let other = (victim + step) % count
                    takeDown(other, for: length / (2 * count), fault) { self.world.nodes[other].crash(.kill) }
                }
            }
        case .pause, .sleep: pause(victim, fault.kind == .pause ? .stopped : .asleep, for: length)
        case .leave: leave(victim, returnsAfter: fault.amount.isMultiple(of: 2) ? length : nil)
        case .join: join()
        case .diskLoss: loseDisk(victim, for: length, fault)
        case .bitFlip: flipBit(victim, for: length, fault)
        case .rot: rot(victim)
        case .slowDisk, .fullDisk, .diskError: troubleDisk(victim, for: length, fault)
        case .split, .isolate, .oneWay, .cutLink, .flapping, .dropping, .delaying, .duplicating, .reordering, .reset:
            disturb(fault, victim, for: length)
        case .comeback: comeBack(fault, victim, after: length)
        case .clockJump: node.clock.jumpWall(by: .seconds(Int64(fault.amount - 10_000)))
        case .clockDrift:
            let before = node.clock.drift
            node.clock.setDrift(Int64(fault.amount - 10_000))
            after(length) { node.clock.setDrift(before) }
        case .redisDown, .redisEmpty, .redisSlow, .redisFlush, .redisCut: troubleRedis(fault, victim, for: length)
        }
    }

    /// Unless all is healed by then.
    func after(_ delay: Duration, _ action: @escaping @Sendable () -> Void) {
        world.after(delay) { [self] in if !isHealed { action() } }
    }

    // MARK: Processes

    func takeDown(_ node: Int, for length: Duration, _ fault: Fault, _ action: () -> Void) {
        grow()
        // What it knew to be committed is known to nobody else, perhaps.
        beforeCrash()
        down[node] += 1
        stage.troubleBegins([node])
        action()
        after(length) { [self] in
            stage.troubleEnds([node])
            down[node] -= 1
            startIfMay(node)
        }
    }

    private func startIfMay(_ node: Int) {
        grow()
        guard down[node] == 0, !stage.machines[node].isAway, case .down = world.nodes[node].life else { return }
        start(node)
    }

    /// With an empty disk, a Redis that was emptied, and nobody to talk to it could only begin a cluster of its own: the operator
    /// waits for somebody who knows better.
    private func isStranded(_ node: Int) -> Bool {
        guard plan.hasRedis, world.nodes[node].disk.files.isEmpty, stage.view != nil,
            struck[.redisFlush] != nil || struck[.redisEmpty] != nil
        else { return false }
        return !world.nodes.contains { other in
            other.index != node && other.isUp && !other.isPaused && other.look { $0.view != nil } == true
                && !world.network.isCut(from: node, to: other.index)
                && !world.network.isCut(from: other.index, to: node)
        }
    }

    private func start(_ node: Int) {
        guard !isStranded(node) else {
            world.after(.seconds(1)) { [self] in startIfMay(node) }
            return
        }
        stopped[node] = 0
        if world.nodes[node].disk.files.isEmpty { setClock(of: world.nodes[node]) }
        world.nodes[node].start()
        chronicle.note(world.now, "node \(node) starts")
        happened(.started, at: node)
    }

    /// Without its disk a node knows its last generation only by its clock: one that was set back would have it come back as an
    /// earlier start of itself, which the others refuse until the time has passed.
    private func setClock(of node: SimulatedNode) {
        let wall = Int64(clamping: node.clock.microsecondsSince1970)
        let right = VirtualClock.epoch + world.now.nanoseconds / 1000
        if wall < right { node.clock.jumpWall(by: .microseconds(right - wall)) }
    }

    private func pause(_ victim: Int, _ kind: PauseKind, for length: Duration) {
        grow()
        stopped[victim] += 1
        stage.troubleBegins([victim])
        world.nodes[victim].pause(kind)
        after(length) { [self] in
            stage.troubleEnds([victim])
            // A process that was started in the meantime was never stopped.
            stopped[victim] = max(0, stopped[victim] - 1)
            guard stopped[victim] == 0 else { return }
            chronicle.note(world.now, "node \(victim) goes on")
            world.nodes[victim].resume()
        }
    }

    private func leave(_ victim: Int, returnsAfter length: Duration?) {
        grow()
        // Without a registry nobody but the first seed founds the cluster.
        guard length != nil || plan.hasRedis || victim > 0 || stage.view != nil else {
            spared[.leave, default: 0] += 1
            return
        }
        stage.machines[victim].isAway = true
        world.nodes[victim].leave()
        guard let length else { return }
        after(length) { [self] in
            stage.machines[victim].isAway = false
            startIfMay(victim)
        }
    }

    private func join() {
        // Who has left for good is of no use to it, as long as there are others.
        let others = world.nodes.map(\.index).filter { !stage.machines[$0].isAway }
        guard plan.hasRedis ? stage.isClusterRegistered : !others.isEmpty else { return }
        let away = world.nodes.map(\.index).filter { stage.machines[$0].isAway }
        let node = world.addNode(seeds: Array((others + away).prefix(3)))
        grow()
        start(node.index)
    }

    func grow() {
        stage.adopt()
        while down.count < world.nodes.count {
            down.append(0)
            stopped.append(0)
        }
        weather.grow(to: world.nodes.count)
    }

    /// Before or after its start is on any disk; each time the same.
    func poisonDelay(of id: TaskID) -> Duration {
        var random = SeededGenerator(seed: plan.seed, for: "poison \(id)")
        return .microseconds(Int64(random.logarithmic(1...3000)))
    }

    /// A handler that takes its process down.
    func poisoned(_ node: Int) {
        guard !isHealed else { return }
        let fault = Fault(number: -1, kind: .crash, at: 0, length: 0, node: node, other: 0, side: 0, amount: 0)
        let length = Duration.milliseconds(Int64(random.logarithmic(200...3000)))
        chronicle.note(world.now, "poison takes node \(node) down")
        takeDown(node, for: length, fault) { world.nodes[node].crash(.kill) }
    }

    /// Starts again what has ended by itself. Every half a second.
    /// - Returns: a violation if it had no reason to end.
    func supervise() -> Violation? {
        grow()
        for node in world.nodes {
            guard case .down(let downfall) = node.life, down[node.index] == 0, !stage.machines[node.index].isAway
            else { continue }
            switch downfall {
            case .neverStarted, .crashed:
                break
            case .ended(let reason):
                let wasAsked = reason == "stopping" || reason == "asked to leave"
                if !wasAsked, !stage.mayStop(node.index) {
                    return Violation(.stoppedItself, "node \(node.index): \(reason)", at: world.now)
                }
            case .refused(let reason):
                chronicle.note(world.now, "node \(node.index) refuses to start: \(reason)")
                if stage.machines[node.index].isFlipped {
                    repair(node)
                } else if !stage.mayStop(node.index) {
                    return Violation(.refusedToStart, "node \(node.index): \(reason)", at: world.now)
                }
            }
            startIfMay(node.index)
        }
        return nil
    }

    // MARK: Network and Redis

    private func disturb(_ fault: Fault, _ victim: Int, for length: Duration) {
        grow()
        if fault.kind == .reset {
            stage.troubleBegins([victim, fault.other])
            stage.troubleEnds([victim, fault.other])
            return world.network.resetConnections(between: victim, and: fault.other)
        }
        let effect = NetworkWeather.Effect(fault, victim: victim, nodes: world.nodes.count)
        stage.troubleBegins(effect.nodes)
        let number = weather.add(effect)
        if fault.kind == .flapping { flap(number, until: world.now + length) }
        let touched = effect.nodes
        after(length) { [self] in
            weather.remove(number)
            stage.troubleEnds(touched)
        }
    }

    /// Whom it reaches first may know less of what has happened since than he did before.
    private func comeBack(_ fault: Fault, _ victim: Int, after length: Duration) {
        disturb(fault, victim, for: length)
        let last = Duration.milliseconds(Int64(min(fault.length, random.logarithmic(100...2000))))
        for other in world.nodes.indices where other != victim && fault.restarted?.contains(other) ?? true {
            let late = Duration.milliseconds(Int64(random.logarithmic(1...300) - 1))
            after(length - last) { [self] in
                takeDown(other, for: last + late, fault) { world.nodes[other].crash(.kill) }
            }
        }
    }

    private func flap(_ number: Int, until end: Instant) {
        after(.milliseconds(Int64(random.logarithmic(100...3000)))) { [self] in
            guard world.now < end else { return }
            weather.toggle(number)
            flap(number, until: end)
        }
    }

    private func troubleRedis(_ fault: Fault, _ victim: Int, for length: Duration) {
        guard let redis = world.redis else { return }
        switch fault.kind {
        case .redisFlush:
            guard stage.everybodyKnowsOfTheCluster else { return spared[fault.kind, default: 0] += 1 }
            redis.flush()
        case .redisDown, .redisEmpty:
            redisHolds += 1
            if fault.kind == .redisEmpty { isRedisEmptied = true }
            redis.stop()
            after(length) { [self] in
                redisHolds -= 1
                if redisHolds == 0 { startRedis() }
            }
        case .redisSlow:
            redis.latency = .milliseconds(Int64(fault.amount))
            after(length) { [self] in redis.latency = redisLatency }
        default:
            redis.setReachable(false, from: victim)
            after(length) { redis.setReachable(true, from: victim) }
        }
    }

    private func startRedis() {
        let isEmpty = isRedisEmptied && stage.everybodyKnowsOfTheCluster
        if isRedisEmptied, !isEmpty { spared[.redisEmpty, default: 0] += 1 }
        world.redis?.start(empty: isEmpty)
        isRedisEmptied = false
    }

    // MARK: Healing

    /// Every link is whole, every disk works, every process runs, except those that have left for good.
    func heal() {
        grow()
        isHealed = true
        armed = []
        world.afterEvent = nil
        chronicle.note(world.now, "all is healed")
        weather.clear()
        var clean = world.settings.network.path
        clean.loss = 0
        world.network.setAllPaths(clean)
        world.network.healAll()
        if let redis = world.redis {
            if !redis.isUp { startRedis() }
            redis.latency = redisLatency
            for node in world.nodes.indices { redis.setReachable(true, from: node) }
        }
        for node in world.nodes {
            let index = node.index
            let machine = stage.machines[index]
            if machine.troubles > 0 { stage.troubleEnds(Array(repeating: index, count: machine.troubles)) }
            if machine.diskTroubles > 0 { stage.machines[index].lastDiskTrouble = world.now }
            stage.machines[index].diskTroubles = 0
            node.disk.settings = diskSettings
            node.disk.failNoMore()
            down[index] = 0
            if node.isPaused { node.resume() }
            // Whoever has left and is still counted on comes back: his operator would see to that.
            if let view = stage.view,
                (view.ledgers.flatMap(\.replicas) + view.voters).contains(where: { $0.name == node.name })
            {
                stage.machines[index].isAway = false
            }
            startIfMay(index)
        }
    }
}
