import Primitives

/// What faults do to the network, added up: a path is cut as long as any effect cuts it.
struct NetworkWeather {
    /// What one fault does.
    struct Effect {
        /// Who may be taken for gone on account of it.
        let nodes: [Int]
        fileprivate var isOn = true
        private let cuts: (_ from: Int, _ to: Int) -> Bool
        private let change: (inout PathSettings) -> Void

        init(_ fault: Fault, victim: Int, nodes count: Int) {
            let all = Array(0..<count)
            // Of two each is alone without the other.
            let one = count == 2 ? all : [victim]
            switch fault.kind {
            case .split, .flapping:
                let side = Set(fault.members)
                nodes = all
                cuts = { side.contains($0) != side.contains($1) }
            case .isolate, .comeback:
                nodes = one
                cuts = { $0 == victim || $1 == victim }
            case .oneWay:
                nodes = one
                cuts = fault.amount.isMultiple(of: 2) ? { from, _ in from == victim } : { _, to in to == victim }
            case .cutLink:
                let pair = [victim, fault.other]
                nodes = pair
                cuts = { pair.contains($0) && pair.contains($1) }
            default:
                nodes = all
                cuts = { _, _ in false }
            }
            let part = Double(fault.amount) / 1000
            switch fault.kind {
            case .dropping: change = { $0.loss = max($0.loss, part) }
            case .delaying: change = { $0.jitter += .milliseconds(Int64(fault.amount)) }
            case .duplicating: change = { $0.duplication = max($0.duplication, part) }
            case .reordering: change = { $0.reordering = max($0.reordering, part) }
            default: change = { _ in }
            }
        }

        fileprivate func isCut(_ from: Int, _ to: Int) -> Bool { isOn && cuts(from, to) }
        fileprivate func apply(to path: inout PathSettings) { if isOn { change(&path) } }
    }

    private let network: VirtualNetwork
    private let base: PathSettings
    private var nodes: Int
    private var effects: [(number: Int, effect: Effect)] = []
    private var last = 0
    var beforeChange: () -> Void = {}

    init(_ network: VirtualNetwork, base: PathSettings, nodes: Int) {
        self.network = network
        self.base = base
        self.nodes = nodes
    }

    /// A node that came later is touched by what goes on as well.
    mutating func grow(to nodes: Int) {
        guard nodes > self.nodes else { return }
        self.nodes = nodes
        apply()
    }

    mutating func add(_ effect: Effect) -> Int {
        last += 1
        effects.append((last, effect))
        apply()
        return last
    }

    mutating func remove(_ number: Int) {
        effects.removeAll { $0.number == number }
        apply()
    }

    mutating func toggle(_ number: Int) {
        guard let index = effects.firstIndex(where: { $0.number == number }) else { return }
        effects[index].effect.isOn.toggle()
        apply()
    }

    mutating func clear() { effects = [] }

    private func apply() {
        beforeChange()
        for from in 0..<nodes {
            for to in 0..<nodes where from != to {
                if effects.contains(where: { $0.effect.isCut(from, to) }) {
                    network.cut(from: from, to: to)
                } else {
                    network.heal(from: from, to: to)
                }
                var path = base
                for (_, effect) in effects { effect.apply(to: &path) }
                network.setPath(from: from, to: to, path)
            }
        }
    }
}
