import Primitives
import TaskLedger

extension SimulationPlan {
    // MARK: Faults

    mutating func drawFaults() {
        var random = SeededGenerator(seed: seed, for: "faults of the run")
        let kinds = FaultKind.allCases.filter { hasRedis || !$0.needsRedis }.filter { nodes > 1 || $0 == .crash }
        let choices = kinds.map { (value: $0, weight: options[$0.rawValue]) }
        guard choices.contains(where: { $0.weight > 0 }), faultTime > 1000 else { return }
        let expected = options["intensity"] * faultTime / 600_000
        let count = expected == 0 ? 0 : Int.random(in: max(1, expected / 2)...expected * 3 / 2, using: &random)
        let joins = min(8 - nodes, 3)
        var joined = 0
        var times = (0..<count).map { _ in Int.random(in: 0..<faultTime, using: &random) }
        // Often one comes on top of another.
        for index in times.indices.dropFirst() where random.chance(25) {
            times[index] = min(faultTime - 1, times[index - 1] + random.logarithmic(1...2000))
        }
        times.sort()
        for (number, at) in times.enumerated() {
            let kind = random.pick(choices)
            if kind == .join {
                joined += 1
                if joined > joins { continue }
            }
            faults.append(drawFault(kind, number, at, &random))
        }
    }

    private func drawFault(
        _ kind: FaultKind, _ number: Int, _ at: Int, _ random: inout SeededGenerator
    ) -> Fault {
        let node = Int.random(in: 0..<nodes, using: &random)
        let other = nodes > 1 ? (node + Int.random(in: 1..<nodes, using: &random)) % nodes : 0
        let sides = nodes > 1 ? Int.random(in: 1..<(1 << nodes - 1), using: &random) : 0
        let amount =
            switch kind {
            case .dropping: random.logarithmic(20...400)
            case .delaying: random.logarithmic(20...1500)
            case .duplicating, .reordering: random.logarithmic(20...600)
            case .redisSlow: random.logarithmic(20...4000)
            case .slowDisk: random.logarithmic(20...3000)
            // 10,000 stands for none.
            case .clockJump:
                10_000 + random.logarithmic(1...9000) * (random.chance(50) ? 1 : -1)
            case .clockDrift: Int.random(in: 0...20_000, using: &random)
            case .diskError: random.logarithmic(1...200)
            default: Int.random(in: 0...999, using: &random)
            }
        var fault = Fault(
            number: number, kind: kind, at: at, length: random.logarithmic(kind.length), node: node, other: other,
            side: sides, amount: amount)
        if kind.hasVictim, random.chance(40) {
            let triggers = Fault.Trigger.allCases.dropFirst()
            fault.trigger = triggers[triggers.startIndex + Int.random(in: 0..<triggers.count, using: &random)]
            fault.delay = random.chance(30) ? 0 : random.logarithmic(1...20_000)
            fault.isAimed = random.chance(30)
        }
        return fault
    }

    // MARK: Operations

    mutating func drawOperations() {
        var random = SeededGenerator(seed: seed, for: "operations of the run")
        // Some come in the healed time as well.
        let time = faultTime + healedTime / 4
        let wanted = options["load"] * time / 60_000
        let styles = TaskStyle.allCases.map { (value: $0, weight: $0 == .poison ? 0 : options[$0.rawValue]) }
        let hasStyles = styles.contains { $0.weight > 0 }
        var tasks = 0
        var work = 0.0
        while tasks < wanted, hasStyles {
            var operation = drawOperation(.submit, time, &random)
            let size = Int.random(in: 0..<100, using: &random)
            operation.count =
                size < 60 ? 1 : size < 85 ? random.logarithmic(2...10) : size < 96 ? random.logarithmic(11...50) : 200
            operation.count = min(operation.count, max(1, wanted - tasks))
            operation.style = random.pick(styles)
            operation.isMixed = random.chance(30)
            operation.isPrioritized = random.chance(50)
            if operation.count == 1, random.chance(25) { operation.kind = .submitAndWait }
            tasks += operation.count
            work += Double(operation.count) * Self.meanSeconds(operation.style)
            operations.append(operation)
        }
        // Each takes its node down several times. With one copy nobody else counts that, so it is always looked at.
        let poison = TaskStyle.poison.rawValue
        if options[poison] > 0 || copies == 1 && forced[poison] == nil {
            for _ in 0..<Int.random(in: 1...2, using: &random) {
                var operation = drawOperation(.submit, faultTime * 2 / 3, &random)
                operation.count = 1
                operation.style = .poison
                operations.append(operation)
            }
        }
        let looks = options["looks"] * time / 60_000
        let kinds: [(value: Operation.Kind, weight: Int)] = [(.look, 10), (.wait, 5), (.cancel, 4), (.status, 1)]
        for _ in 0..<looks { operations.append(drawOperation(random.pick(kinds), time, &random)) }
        drawWishes(time)
        drawKeyed(time)
        drawSettings()
        drawSchedules()
        drawTopics(time)
        drawPasts(time)
        drawOpenRequests()
        operations.sort { ($0.at, $0.salt) < ($1.at, $1.salt) }
        for index in operations.indices { operations[index].number = index }
        // A third of what the cluster could do.
        let capacity = Double(nodes * options["slots"]) * Double(time) / 1000 / 3
        workPercent = min(100, max(1, Int(100 * capacity / max(work, 1))))
    }

    /// With a generator of its own, so that runs are otherwise what they were without wishes.
    private mutating func drawWishes(_ time: Int) {
        var random = SeededGenerator(seed: seed, for: "wishes of the run")
        let kinds: [(value: Operation.Kind, weight: Int)] = [
            (.change, 8), (.retry, 6), (.story, 4), (.sweep, 1), (.purge, 1),
        ]
        for _ in 0..<options["wishes"] * time / 60_000 {
            operations.append(drawOperation(random.pick(kinds), time, &random))
        }
        var others = SeededGenerator(seed: seed, for: "workflows of the run")
        for _ in 0..<options["workflows"] * time / 60_000 {
            operations.append(drawOperation(.workflow, time, &others))
        }
    }

    private mutating func drawKeyed(_ time: Int) {
        var random = SeededGenerator(seed: seed, for: "keys of the run")
        for _ in 0..<options["keyed"] * time / 60_000 {
            var operation = drawOperation(.submitKeyed, time, &random)
            operation.count = 1
            operation.style = random.pick([(.brief, 8), (.flaky, 2), (.once, 2), (.failing, 1), (.delayed, 1)])
            operations.append(operation)
        }
    }

    private mutating func drawSettings() {
        guard options["queues"] > 1 else { return }
        var random = SeededGenerator(seed: seed, for: "settings of the run")
        let kinds: [(value: Operation.Kind, weight: Int)] = [(.pause, 3), (.set, 2), (.limit, 4)]
        for _ in 0..<options["settings"] * faultTime / 60_000 {
            var operation = drawOperation(random.pick(kinds), faultTime, &random)
            operation.queue = Int.random(in: 0..<options["queues"], using: &random)
            operations.append(operation)
            guard operation.kind == .limit, random.chance(40) else { continue }
            // What it holds back: without that, a limit is seldom reached.
            var burst = drawOperation(.submit, faultTime, &random)
            burst.at = min(faultTime - 1, operation.at + random.logarithmic(300...4000))
            burst.queue = operation.queue
            burst.style = .long
            burst.count = Int.random(in: 4...12, using: &random)
            operations.append(burst)
        }
    }

    /// About one change of each in every minute.
    private mutating func drawSchedules() {
        var random = SeededGenerator(seed: seed, for: "schedules of the run")
        for _ in 0..<options["schedules"] * (1 + faultTime / 60_000) {
            operations.append(drawOperation(.schedule, faultTime, &random))
        }
    }

    private mutating func drawPasts(_ time: Int) {
        var random = SeededGenerator(seed: seed, for: "pasts of the run")
        for _ in 0..<options["pasts"] * time / 60_000 { operations.append(drawOperation(.past, time, &random)) }
    }

    /// What a node has been asked that is then cut off: it goes by its permit for a while, and its requests wait longer.
    private mutating func drawOpenRequests() {
        var random = SeededGenerator(seed: seed, for: "requests before comebacks")
        for fault in faults where fault.kind == .comeback {
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                var operation = drawOperation(.submit, faultTime, &random)
                operation.at = min(faultTime - 1, fault.at + random.logarithmic(1...2500))
                operation.node = fault.node
                operation.count = 1
                operations.append(operation)
            }
        }
    }

    /// Some subscriptions are made at the beginning: most messages are for somebody.
    private mutating func drawTopics(_ time: Int) {
        guard options["topics"] > 0 else { return }
        var random = SeededGenerator(seed: seed, for: "topics of the run")
        let messages = max(1, options["topics"] * time / 60_000)
        for number in 0..<4 + messages / 3 {
            operations.append(drawOperation(.subscribe, number < 4 ? min(10_000, time) : time, &random))
        }
        for _ in 0..<messages { operations.append(drawOperation(.publish, time, &random)) }
    }

    private func drawOperation(
        _ kind: Operation.Kind, _ time: Int, _ random: inout SeededGenerator
    ) -> Operation {
        Operation(
            number: 0, at: Int.random(in: 0..<max(1, time), using: &random), kind: kind,
            node: Int.random(in: 0..<nodes, using: &random), salt: random.next())
    }

    /// About how long a task of a style keeps a slot.
    private static func meanSeconds(_ style: TaskStyle) -> Double {
        switch style {
        case .long: 4
        case .stubborn, .hanging: 2
        case .once: 0.5
        case .flaky, .failing: 0.15
        case .brief, .hopeless, .delayed, .expiring, .dependent: 0.04
        case .poison: 20
        }
    }

    // MARK: Tasks

    /// What an operation submits; each attempt at it has serial numbers of its own.
    func tasks(of operation: Operation, attempt: Int) -> [PlannedTask] {
        var random = SeededGenerator(seed: operation.salt)
        let styles = TaskStyle.allCases.map { (value: $0, weight: $0 == .poison ? 0 : options[$0.rawValue]) }
        return (0..<operation.count).map { index in
            let style = operation.isMixed ? random.pick(styles) : operation.style
            var own = random.fork()
            var task = PlannedTask(
                style, serial: "\(operation.number).\(attempt).\(index)", percent: workPercent,
                isPrioritized: operation.isPrioritized, hasRedis: hasRedis, using: &own)
            if operation.count <= 10, let key = orderingKey(style, of: operation, &own) { task.order(by: key) }
            task.spread(over: options["queues"], using: &own)
            if let queue = operation.queue { task.spec.queue = PlannedTask.queue(queue) }
            if own.chance(options["callbacks"]) { task.tell() }
            return task
        }
    }

    /// What comes under an idempotency key: the same however often it is sent.
    func keyedTask(of operation: Operation, isOther: Bool = false) -> PlannedTask {
        var random = SeededGenerator(seed: operation.salt)
        var task = PlannedTask(
            operation.style, serial: "\(operation.number).\(isOther ? "other" : "key").0", percent: workPercent,
            isPrioritized: operation.isPrioritized, hasRedis: hasRedis, using: &random)
        let orderingKey = orderingKey(operation.style, of: operation, &random)
        if let orderingKey { task.order(by: orderingKey) }
        if random.chance(options["callbacks"]) { task.tell() }
        task.bind(to: "key \(operation.number)", body: BodyDigest(high: operation.salt, low: isOther ? 1 : 0))
        return task
    }

    /// Few keys, so that tasks wait for each other. Those before them have to end in time.
    private func orderingKey(
        _ style: TaskStyle, of operation: Operation, _ random: inout SeededGenerator
    ) -> String? {
        guard [.brief, .flaky, .failing, .once].contains(style), random.chance(options["ordered"]) else { return nil }
        return "order \(operation.salt % 6)"
    }
}
