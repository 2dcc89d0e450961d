import Primitives

@testable import TaskLedger

/// Several nodes on a virtual clock, with the real machines, links that break, processes that die and views that change.
///
/// Everything that happens is drawn from one seed. After every step the promises are checked (`SimulationChecks`); the
/// first one that is broken ends the run with a sentence in `fault`.
final class Simulation {
    struct Settings {
        var nodes = 4
        var copies = 2
        /// How long clients submit and faults happen.
        var trouble = Duration.seconds(3)
        var crashes = 2
        var suspicions = 1
        var breaks = 4
        var drains = 1
        var payload = 1000
        /// In percent of the restarts.
        var lostDisks = 40
    }

    enum Event {
        case tick(Int)
        case upkeep(Int)
        case deliver(SimulatedMessage, from: Int, to: Int, version: Int)
        case ended(Int, process: Int, AttemptID, AttemptOutcome)
        case archived(Int, process: Int, TaskID, Token)
        case requestFailed(Int, process: Int, LedgerID, NodeName, epoch: UInt32)
        case synced(Int, process: Int, upTo: Int)
        case decide
        case install(Int, process: Int, SimulatedView)
        case submit
        case cancel
        case crash(Int), restart(Int), suspect(Int), trust(Int), cut(Int, Int), join(Int, Int), drain(Int)
        case heal
    }

    private struct Item {
        var at: Instant
        var order: UInt64
        var event: Event
    }

    let settings: Settings
    var random: SeededGenerator
    var now = Instant(nanoseconds: 1_000_000_000)
    var nodes: [SimulatedNode] = []
    var authority = SimulatedAuthority()
    var ghost = SimulationGhost()
    var isHealing = false
    var fault: String?
    /// Filled only when one run is looked at.
    var trace: [String] = []
    var isTracing = false
    private(set) var steps = 0

    /// Latest first.
    private var agenda: [Item] = []
    private var order: UInt64 = 0
    var isCut: Set<Int> = []
    private var versions: [Int: Int] = [:]
    private var lastDelivery: [Int: Instant] = [:]
    var lastRequest: UInt64 = 0
    private var lastStore: UInt64 = 0

    init(seed: UInt64, settings: Settings = Settings()) {
        self.settings = settings
        random = SeededGenerator(seed: seed)
        for index in 0..<settings.nodes {
            guard let name = NodeName("n\(index)") else { preconditionFailure() }
            nodes.append(SimulatedNode(name: name))
            start(index)
            schedule(.tick(index), after: .milliseconds(index))
            schedule(.upkeep(index), after: .milliseconds(50 + index))
        }
        schedule(.decide, after: .zero)
        schedule(.submit, after: .milliseconds(400))
        schedule(.cancel, after: .milliseconds(500))
        plan()
        schedule(.heal, after: .milliseconds(500) + settings.trouble)
    }

    private func plan() {
        func moment(_ random: inout SeededGenerator) -> Duration {
            .milliseconds(500) + .nanoseconds(Int64.random(in: 0...settings.trouble.nanoseconds, using: &random))
        }
        let count = nodes.count
        for _ in 0..<settings.crashes {
            schedule(.crash(.random(in: 0..<count, using: &random)), after: moment(&random))
        }
        for _ in 0..<settings.suspicions {
            schedule(.suspect(.random(in: 0..<count, using: &random)), after: moment(&random))
        }
        for _ in 0..<settings.drains {
            schedule(.drain(.random(in: 0..<count, using: &random)), after: moment(&random))
        }
        for _ in 0..<settings.breaks {
            let pair = (Int.random(in: 0..<count, using: &random), Int.random(in: 0..<count, using: &random))
            if pair.0 != pair.1 { schedule(.cut(pair.0, pair.1), after: moment(&random)) }
        }
    }

    // MARK: Time

    func schedule(_ event: Event, after delay: Duration) {
        order += 1
        let item = Item(at: now + delay, order: order, event: event)
        var (low, high) = (0, agenda.count)
        while low < high {
            let middle = (low + high) / 2
            if (agenda[middle].at, agenda[middle].order) > (item.at, item.order) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        agenda.insert(item, at: low)
    }

    func milliseconds(_ range: ClosedRange<Int>) -> Duration { .milliseconds(Int.random(in: range, using: &random)) }
    func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
    var timestamp: Timestamp { Timestamp(milliseconds: now.nanoseconds / 1_000_000) }

    func log(_ text: @autoclosure () -> String) {
        if isTracing { trace.append("\(now.nanoseconds / 1_000_000) ms: \(text())") }
    }

    /// Runs until nothing is left to be done. Returns what went wrong, if anything did.
    func run() -> String? {
        let deadline = now + settings.trouble + .seconds(20)
        while fault == nil, let item = agenda.popLast() {
            now = item.at
            steps += 1
            handle(item.event)
            if isHealing, case .upkeep = item.event {
                guard let rest = unsettled() else { return nil }
                if now > deadline { fault = "it does not settle: \(rest)" }
            }
        }
        return fault
    }

    // MARK: Links

    private func pair(_ a: Int, _ b: Int) -> Int { min(a, b) * nodes.count + max(a, b) }

    func isLinked(_ a: Int, _ b: Int) -> Bool {
        a != b && nodes[a].isUp && nodes[b].isUp && !isCut.contains(pair(a, b))
    }
    func isLinked(_ a: Int, _ name: NodeName) -> Bool { index(of: name).map { isLinked(a, $0) } ?? false }
    func index(of name: NodeName) -> Int? { nodes.firstIndex { $0.name == name } }

    func send(_ message: SimulatedMessage, from: Int, to: Int) {
        guard isLinked(from, to) else { return }
        let direction = from * nodes.count + to
        let isSlow = chance(5)
        let at = max(lastDelivery[direction] ?? now, now + milliseconds(isSlow ? 20...60 : 1...4))
        lastDelivery[direction] = at
        schedule(.deliver(message, from: from, to: to, version: versions[pair(from, to), default: 0]), after: at - now)
    }

    /// What is on its way is lost; both ends notice.
    func breakLink(_ a: Int, _ b: Int) {
        versions[pair(a, b), default: 0] += 1
        for (here, there) in [(a, b), (b, a)] where nodes[here].isUp {
            let peer = nodes[there].name
            nodes[here].owner.linkDown(peer, at: now)
            for request in nodes[here].grantsUnderWay.keys.sorted()
            where nodes[here].grantsUnderWay[request]?.to == peer {
                if let attempts = nodes[here].grantsUnderWay.removeValue(forKey: request)?.attempts {
                    nodes[here].owner.grantFailed(attempts)
                }
            }
            turn(here)
        }
    }

    // MARK: Events

    private func handle(_ event: Event) {
        switch event {
        case .tick(let node): tick(node)
        case .upkeep(let node): upkeep(node)
        case .deliver(let message, let from, let to, let version):
            guard versions[pair(from, to), default: 0] == version, nodes[to].isUp else { return }
            receive(message, at: to, from: from)
        case .ended(let node, let process, let attempt, let outcome):
            guard nodes[node].process == process, nodes[node].isUp else { return }
            ended(attempt, outcome, at: node)
        case .archived(let node, let process, let id, let token):
            guard nodes[node].process == process, nodes[node].isUp else { return }
            nodes[node].owner.archived(id, under: token)
            turn(node)
        case .requestFailed(let node, let process, let ledger, let name, let epoch):
            guard nodes[node].process == process, nodes[node].isUp else { return }
            nodes[node].owner.requestFailed(of: ledger, to: name, epoch: epoch, at: now)
            turn(node)
        case .synced(let node, let process, let position):
            guard nodes[node].process == process, nodes[node].isUp else { return }
            for done in nodes[node].journal.sync(upTo: position) { done() }
            turn(node)
        case .decide: decide()
        case .install(let node, let process, let view):
            guard nodes[node].process == process, nodes[node].isUp else { return }
            install(view, at: node)
        case .submit: submit()
        case .cancel: cancel()
        case .crash(let node): crash(node)
        case .restart(let node):
            if !nodes[node].isUp { start(node) }
        case .suspect(let node):
            log("\(nodes[node].name) is suspected")
            nodes[node].isSuspected = true
            if chance(60) {
                for other in nodes.indices where other != node { handle(.cut(node, other)) }
            }
            let delay = milliseconds(200...1500)
            schedule(.trust(node), after: delay)
        case .trust(let node): nodes[node].isSuspected = false
        case .cut(let a, let b):
            guard !isCut.contains(pair(a, b)) else { return }
            log("link of \(nodes[a].name) and \(nodes[b].name) breaks")
            isCut.insert(pair(a, b))
            breakLink(a, b)
            let delay = milliseconds(chance(50) ? 1...100 : 100...2500)
            schedule(.join(a, b), after: delay)
        case .join(let a, let b): isCut.remove(pair(a, b))
        case .drain(let node):
            guard nodes[node].isUp, !isHealing else { return }
            log("\(nodes[node].name) drains")
            nodes[node].isDraining = true
            nodes[node].owner.isPaused = true
            var effects: [LeaseEffect] = []
            nodes[node].holder.release(into: &effects)
            turn(node)
        case .heal:
            log("healing")
            isHealing = true
            isCut = []
            for node in nodes.indices {
                nodes[node].isSuspected = false
                nodes[node].isDraining = false
                nodes[node].owner.isPaused = false
                if !nodes[node].isUp { start(node) }
            }
        }
    }

    private func start(_ node: Int) {
        var store = nodes[node].store
        if nodes[node].process == 0 || chance(settings.lostDisks) {
            lastStore += 1
            store = StoreID(lastStore)
        }
        nodes[node].start(
            generation: max(nodes[node].generation + 1, UInt64(now.nanoseconds / 1_000_000)), store: store,
            seed: random.next())
        complain(nodes[node].journal.damage)
        log("\(nodes[node].id) starts with store \(store)")
    }

    private func crash(_ node: Int) {
        guard nodes[node].isUp, !isHealing else { return }
        log("\(nodes[node].id) dies")
        nodes[node].isUp = false
        nodes[node].journal.crash(keeping: .random(in: 0...20, using: &random))
        nodes[node].goneAt = now + milliseconds(100...700)
        for id in ghost.running.keys.sorted() { ghost.running[id]?.removeAll { $0.node == node } }
        for other in nodes.indices where other != node { breakLink(node, other) }
        let delay = milliseconds(chance(50) ? 50...400 : 400...3000)
        schedule(.restart(node), after: delay)
    }

    private func decide() {
        let news = nodes.map { node in
            let condition: SimulatedAuthority.Condition =
                node.isUp ? (node.isSuspected ? .gone : .alive) : (now > node.goneAt ? .gone : .suspect)
            return SimulatedAuthority.News(
                id: node.id, store: node.store, condition: condition, isDraining: node.isDraining)
        }
        if let view = authority.decide(news, copies: settings.copies, using: &random) {
            log("view \(view.number): \(view.ledgers.map { "\($0.id)/\($0.term) \($0.primary) \($0.backups)" })")
            for node in nodes.indices where nodes[node].isUp {
                let delay = nodes[node].isSuspected ? milliseconds(5...1200) : milliseconds(1...80)
                schedule(.install(node, process: nodes[node].process, view), after: delay)
            }
        }
        let delay = milliseconds(10...80)
        schedule(.decide, after: delay)
    }
}
