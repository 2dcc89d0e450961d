import Primitives
import Views

/// The registry: a store of names that can be away, forget, and answer late.
struct SimulatedRegistry {
    /// In some runs there is none.
    var exists = false
    /// It is emptied now and then.
    var isForgetful = false
    var isUp = true
    var run: UInt64 = 1
    var names: [UInt64: NodeName] = [:]
}

/// What one process knows of it.
struct RegistryLink {
    /// Not cut off from it.
    var isReachable = true
    /// As the process was told.
    var isConnected = false
    var run: UInt64?
}

enum RegistryStep {
    case ask(TieBreaker.Query)
    case answer(TieBreaker.Query, NodeName?)
    /// Somebody has noticed that the store was emptied.
    case emptied

    /// It reaches the store although the process that sent it may be gone.
    var isUnderWay: Bool { if case .ask = self { true } else { false } }
}

extension SimulatedCluster {
    mutating func tell(_ event: TieBreaker.Event, to index: Int) throws(Violation) {
        var effects: [TieBreaker.Effect] = []
        nodes[index].tie.handle(event, at: now, into: &effects)
        let process = nodes[index].process
        for effect in effects {
            switch effect {
            case .ask(let query):
                log("\(nodes[index].name) asks the registry for \(query.key) as \(query.name)")
                queue.add(.registry(.ask(query), of: index, process: process), at: now + registryDelay())
            case .granted(let number):
                log("\(nodes[index].name) is given \(number)")
                if nodes[index].machine?.record.view?.number == number - 1 {
                    try ghosts.grants(number, to: nodes[index].name)
                }
                try handle(.claimGranted(number: number), by: index)
            case .taken(let number, let name): log("\(nodes[index].name) sees that \(name) has \(number)")
            case .changed: break
            }
        }
    }

    private mutating func registryDelay() -> Duration {
        isHealed ? milliseconds(1...5) : chance(10) ? milliseconds(1...1500) : milliseconds(1...40)
    }

    mutating func carryOut(_ step: RegistryStep, of index: Int, process: Int) throws(Violation) {
        switch step {
        case .ask(let query):
            guard registry.isUp, nodes[index].link.isReachable || nodes[index].process != process else {
                queue.add(.registry(.answer(query, nil), of: index, process: process), at: now + registryDelay())
                return
            }
            let name = registry.names[query.key] ?? query.name
            if flaw == .outside(.reusedMark), query.key >= 1 << 63 {
                // It is written again instead of being found to be missing.
                registry.names[query.key] = NodeName("mark")
                return queue.add(
                    .registry(.answer(query, NodeName("mark")), of: index, process: process), at: now + registryDelay())
            }
            registry.names[query.key] = name
            // An answer may be given up before it comes.
            let answer = chance(isHealed ? 0 : 10) ? nil : name
            queue.add(.registry(.answer(query, answer), of: index, process: process), at: now + registryDelay())
        case .answer(let query, let name):
            if flaw == .outside(.unmarkedClaim), query.key < 1 << 63, name == nodes[index].name {
                try ghosts.grants(query.key, to: nodes[index].name)
                return try handle(.claimGranted(number: query.key), by: index)
            }
            try tell(.answered(query, name), to: index)
        case .emptied:
            if nodes[index].link.isConnected { try tell(.connected(isFresh: true), to: index) }
        }
    }

    /// A process sees sooner or later whether it reaches the registry.
    mutating func noticeRegistry(_ index: Int) throws(Violation) {
        guard registry.exists, nodes[index].isUp else { return }
        let isConnected = registry.isUp && nodes[index].link.isReachable
        let run = registry.run
        let link = nodes[index].link
        guard isConnected != link.isConnected || isConnected && link.run != run else { return }
        nodes[index].link.isConnected = isConnected
        if link.isConnected { try tell(.disconnected, to: index) }
        guard isConnected else { return }
        nodes[index].link.run = run
        try tell(.connected(isFresh: link.run.map { $0 != run } ?? false), to: index)
    }

    mutating func disturbRegistry(_ index: Int) {
        switch Int.random(in: 0..<6, using: &random) {
        case 0...1:
            registry.isUp.toggle()
            // It has kept what it had, or not.
            if registry.isUp { registry.run += 1 }
            if registry.isUp, registry.isForgetful, chance(50) { registry.names.removeAll() }
        case 2: emptyRegistry()
        case 3...5: nodes[index].link.isReachable.toggle()
        default: break
        }
        noticeRegistryLater()
    }

    mutating func emptyRegistry() {
        guard registry.isForgetful, registry.isUp else { return }
        log("the registry is emptied")
        registry.names.removeAll()
        for node in nodes.indices {
            queue.add(.registry(.emptied, of: node, process: nodes[node].process), at: now + milliseconds(1...1500))
        }
    }

    mutating func healRegistry() {
        registry.isUp = registry.isUp || chance(70)
        if !registry.isUp { log("the registry stays away") }
        for index in nodes.indices { nodes[index].link.isReachable = true }
        noticeRegistryLater()
    }

    private mutating func noticeRegistryLater() {
        for index in nodes.indices { queue.add(.link(index), at: now + milliseconds(1...300)) }
    }
}
