import Primitives

/// Something about a run that is drawn from its seed, and that can be forced: `nodes=3`, `crash=0`.
///
/// Each option has a generator of its own, so forcing one leaves what is drawn for the others as it was.
package struct PlanOption: Sendable {
    package let name: String
    package let meaning: String
    /// What is drawn, with its weight.
    package let values: [(value: Int, weight: Int)]
    /// What may be forced.
    package let range: ClosedRange<Int>
    /// Names of the values from 0 on; none: they are numbers.
    package var names: [String] = []

    package static let all: [PlanOption] = scale + machines + network + work + faults

    package static func named(_ name: String) -> PlanOption? { all.first { $0.name == name } }

    private init(
        _ name: String, _ meaning: String, _ values: [(Int, Int)], in range: ClosedRange<Int>, names: [String] = []
    ) {
        self.name = name
        self.meaning = meaning
        self.values = values.map { (value: $0.0, weight: $0.1) }
        self.range = range
        self.names = names
    }

    func draw(seed: UInt64) -> Int {
        var random = SeededGenerator(seed: seed, for: name)
        return random.pick(values.map { (value: $0.value, weight: $0.weight) })
    }

    package func text(_ value: Int) -> String { names.indices.contains(value) ? names[value] : String(value) }

    /// Nil: not a value of this option.
    func value(_ text: some StringProtocol) -> Int? {
        if let index = names.firstIndex(where: { $0 == text }) { return index }
        return Int(text).flatMap { range.contains($0) ? $0 : nil }
    }

    // MARK: The options

    private static let scale = [
        PlanOption("nodes", "nodes at the beginning", [(2, 18), (3, 50), (4, 14), (5, 12), (6, 3), (7, 3)], in: 1...7),
        PlanOption("copies", "copies of each task", [(1, 8), (2, 62), (3, 30)], in: 1...5),
        PlanOption("seconds", "virtual seconds of the whole run", [(360, 1)], in: 20...36_000),
        PlanOption("share", "percent of the time in which there are faults", [(60, 1)], in: 0...90),
        PlanOption(
            "early", "1: faults from the first moment on, 0: once the cluster is formed", [(0, 9), (1, 1)], in: 0...1),
        PlanOption(
            "intensity", "faults in ten minutes", [(5, 10), (20, 25), (50, 35), (90, 20), (160, 10)], in: 0...2000),
        PlanOption("fence", "1: rule R3 is checked", [(1, 1)], in: 0...1),
        PlanOption("beyond", "1: more copies may be destroyed than the promise allows", [(0, 97), (1, 3)], in: 0...1),
    ]

    private static let machines = [
        PlanOption("slots", "slots of each node", [(1, 15), (2, 25), (4, 40), (8, 20)], in: 1...64),
        PlanOption("room", "open tasks that a node takes", [(10_000, 80), (400, 10), (60, 10)], in: 1...1_000_000),
        PlanOption("redis", "1: there is a Redis, 0: static seeds", [(0, 35), (1, 65)], in: 0...1),
        PlanOption(
            "sync", "when an entry counts as durable", [(0, 70), (1, 15), (2, 15)], in: 0...2,
            names: ["always", "interval", "never"]),
        PlanOption(
            "segment", "bytes of a journal segment", [(8 << 10, 30), (64 << 10, 40), (1 << 20, 30)],
            in: 1024...(64 << 20)),
        PlanOption(
            "inline", "bytes of a result that a ledger holds itself", [(64 << 10, 50), (1000, 40), (4, 10)],
            in: 0...(64 << 10)),
        PlanOption(
            "disk", "microseconds of a disk's sync", [(80, 30), (300, 40), (2000, 20), (12_000, 10)],
            in: 1...10_000_000),
        PlanOption(
            "drift", "greatest deviation of a node's clock, in millionths", [(0, 30), (100, 30), (10_000, 40)],
            in: 0...10_000),
        PlanOption(
            "yield", "chance in thousand that a loop lets others go first", [(0, 20), (50, 60), (300, 20)], in: 0...900),
    ]

    private static let network = [
        PlanOption(
            "latency", "microseconds of the fastest packet", [(60, 40), (500, 30), (3000, 20), (20_000, 10)],
            in: 1...1_000_000),
        PlanOption(
            "jitter", "mean of what comes on top, in percent of the latency", [(10, 30), (50, 50), (200, 20)],
            in: 0...1000),
        PlanOption(
            "loss", "chance in thousand that a packet is lost", [(0, 75), (5, 10), (30, 10), (100, 5)], in: 0...500),
        PlanOption("copying", "chance in thousand that a datagram comes twice", [(0, 80), (30, 20)], in: 0...900),
        PlanOption("overtaking", "chance in thousand that a datagram is held back", [(0, 80), (100, 20)], in: 0...900),
    ]

    private static let work =
        [
            PlanOption(
                "load", "tasks a minute", [(10, 35), (30, 38), (80, 22), (400, 4), (1200, 1)], in: 0...100_000),
            PlanOption(
                "wishes", "changes, retries, purges and histories a minute", [(0, 30), (4, 40), (20, 30)],
                in: 0...10_000),
            PlanOption("workflows", "workflows a minute", [(0, 50), (3, 35), (12, 15)], in: 0...10_000),
            PlanOption(
                "growing", "percent of the workflows to which tasks are added while they run",
                [(0, 40), (40, 40), (100, 20)], in: 0...100),
            PlanOption(
                "keyed", "tasks under idempotency keys a minute, each sent several times",
                [(0, 40), (4, 40), (20, 20)], in: 0...10_000),
            PlanOption(
                "ordered", "percent of the small submissions of quick tasks that have ordering keys",
                [(0, 40), (20, 40), (60, 20)], in: 0...100),
            PlanOption(
                "queues", "queues that tasks are spread over, with their settings and fairness keys",
                [(1, 50), (4, 50)], in: 1...20),
            PlanOption(
                "settings", "changes of queue settings a minute, if there are queues", [(0, 30), (3, 50), (20, 20)],
                in: 0...1000),
            PlanOption(
                "schedules", "schedules that clients make, change and delete", [(0, 60), (2, 25), (5, 15)], in: 0...20),
            PlanOption(
                "topics", "messages a minute, to subscriptions that clients make, change and end",
                [(0, 50), (3, 35), (8, 15)], in: 0...10_000),
            PlanOption(
                "callbacks", "percent of the tasks whose ends somebody is told of", [(0, 50), (20, 30), (100, 20)],
                in: 0...100),
            PlanOption(
                "pasts", "questions a minute for the state of a task at an earlier time", [(0, 50), (5, 35), (20, 15)],
                in: 0...10_000),
            PlanOption("looks", "lookups, waits and cancellations a minute", [(10, 40), (30, 60)], in: 0...10_000),
        ]
        + TaskStyle.allCases.map { style in
            PlanOption(style.rawValue, "weight of tasks: \(style.meaning)", style.weights, in: 0...1000)
        }

    /// A run has about half of the kinds: together they would hide each other's effects (swarm testing: Groce et al.,
    /// ISSTA 2012).
    private static let faults = FaultKind.allCases.map { kind in
        PlanOption(
            kind.rawValue, "weight of a fault: \(kind.meaning)", [(0, 1), (kind.weight, 1)], in: 0...1000)
    }
}

/// A value for every option.
package struct PlanOptions: Sendable, Hashable {
    private var values: [Int]

    /// - Parameter forced: values that are not drawn.
    package init(seed: UInt64, forced: [String: Int] = [:]) {
        values = PlanOption.all.map { forced[$0.name] ?? $0.draw(seed: seed) }
    }

    subscript(name: String) -> Int {
        guard let index = PlanOption.all.firstIndex(where: { $0.name == name }) else {
            preconditionFailure("no option is called \(name)")
        }
        return values[index]
    }

    /// `name=value`, in the order of `PlanOption.all`.
    package var lines: [String] {
        zip(PlanOption.all, values).map { "\($0.name)=\($0.text($1))" }
    }
}

extension SeededGenerator {
    /// Of its own for each label.
    init(seed: UInt64, for label: String) {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in label.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        self.init(seed: seed &* 0x9E37_79B9_7F4A_7C15 ^ hash)
    }

    /// At least one weight has to be above zero.
    mutating func pick<Value>(_ choices: [(value: Value, weight: Int)]) -> Value {
        let total = choices.reduce(0) { $0 + $1.weight }
        precondition(total > 0, "nothing to choose from")
        var rest = Int.random(in: 0..<total, using: &self)
        for choice in choices {
            rest -= choice.weight
            if rest < 0 { return choice.value }
        }
        preconditionFailure("the weights were added up wrongly")
    }

    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }

    /// Between the bounds, small ones as likely as great ones: each octave has the same chance.
    mutating func logarithmic(_ range: ClosedRange<Int>) -> Int {
        precondition(range.lowerBound > 0)
        var low = range.lowerBound
        var octaves: [ClosedRange<Int>] = []
        while low <= range.upperBound {
            octaves.append(low...min(range.upperBound, low * 2 - 1))
            low *= 2
        }
        return Int.random(in: octaves[Int.random(in: octaves.indices, using: &self)], using: &self)
    }
}
