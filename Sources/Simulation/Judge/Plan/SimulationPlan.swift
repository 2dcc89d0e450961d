import Primitives

/// All that a run does to its cluster, drawn beforehand from a seed: the same seed and the same forced options make the same
/// plan, in every build.
///
/// The time of faults is the first part of the run; faults and operations are timed from its beginning, which is when the
/// cluster is formed (or at once, if `early`). Then everything is healed, and what is left of the run is for the cluster to
/// show that it is well again.
package struct SimulationPlan: Sendable {
    package let seed: UInt64
    package let forced: [String: Int]
    package let filter: PlanFilter
    package let options: PlanOptions
    package internal(set) var faults: [Fault] = []
    package internal(set) var operations: [Operation] = []
    /// Nodes at the beginning.
    package internal(set) var nodes: Int
    /// Milliseconds in which there are faults.
    package internal(set) var faultTime: Int
    /// Milliseconds after that.
    package internal(set) var healedTime: Int
    /// Handlers take so many percent of what was drawn for them.
    var workPercent = 100

    /// - Parameters:
    ///   - forced: options that are not drawn, by name.
    ///   - filter: what to leave out of what was drawn.
    package init(seed: UInt64, forced: [String: Int] = [:], filter: PlanFilter = PlanFilter()) {
        self.seed = seed
        self.forced = forced
        self.filter = filter
        options = PlanOptions(seed: seed, forced: forced)
        nodes = options["nodes"]
        let total = options["seconds"] * 1000
        faultTime = total * options["share"] / 100
        healedTime = total - faultTime
        drawFaults()
        drawOperations()
        filter.apply(to: &self)
    }

    package var copies: Int { options["copies"] }
    package var hasRedis: Bool { options["redis"] == 1 }
    package var isBeyond: Bool { options["beyond"] == 1 }

    /// What the whole run is made of, a line each.
    package var description: [String] {
        ["options: " + options.lines.joined(separator: " ")]
            + ["\(faults.count) faults in \(Fault.seconds(faultTime)), then \(Fault.seconds(healedTime)) without:"]
            + faults.map { "  " + $0.description }
            + ["\(operations.count) operations, \(operations.reduce(0) { $0 + $1.count }) tasks"]
    }

    /// The arguments that make the same plan again.
    package var arguments: [String] {
        ["--seed", String(seed)] + forced.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" } + filter.arguments
    }
}

/// One thing that a client does.
package struct Operation: Hashable, Sendable {
    package enum Kind: String, CaseIterable, Sendable {
        case submit
        /// Submits one task, and waits for its end.
        case submitAndWait
        /// Submits one task under an idempotency key, at one node or two, until it is accepted, and perhaps once more.
        case submitKeyed
        case look
        /// A long poll.
        case wait
        case cancel
        case status
        /// Changes priority or time of a task.
        case change
        /// Runs a task again.
        case retry
        case purge
        /// Runs dead letters again, all of a kind.
        case sweep
        /// The history of a task, and why it does not run.
        case story
        /// The state of a task at an earlier time.
        case past
        /// Submits a workflow, looks at it, and cancels some.
        case workflow
        /// Changes a setting of a queue.
        case set
        /// Pauses a queue, and resumes it after a while.
        case pause
        /// Makes, changes or deletes a schedule.
        case schedule
        /// Makes, changes or ends a subscription.
        case subscribe
        /// Publishes a message.
        case publish
        /// Limits the rate, or the concurrency, of a queue for a while.
        case limit
    }

    /// Its position among those that were drawn: what `operations=` names.
    package var number: Int
    package var at: Int
    package var kind: Kind
    /// Whom to ask first.
    package var node: Int
    /// Tasks.
    package var count = 0
    package var style = TaskStyle.brief
    /// The number of the queue that all of it is about; nil: each task has its own.
    package var queue: Int?
    /// Whether the tasks of a batch are of all styles.
    package var isMixed = false
    package var isPrioritized = false
    /// For all that is drawn when it is carried out.
    package var salt: UInt64
}

/// Leaves things out of what was drawn, so that a failure is shrunk without being drawn anew.
package struct PlanFilter: Hashable, Sendable {
    /// Nil: all.
    package var faults: [Int]?
    package var operations: [Int]?
    /// Only the first nodes, with what concerns them.
    package var firstNodes: Int?
    /// Milliseconds after which there are no more faults and operations.
    package var until: Int?
    /// Milliseconds of the healed time.
    package var healed: Int?

    package init() {}

    package static let names = ["faults", "operations", "first-nodes", "until", "healed"]

    /// - Returns: false if `text` is not a value of `name`, or `name` is not one of `names`.
    package mutating func set(_ name: String, _ text: String) -> Bool {
        switch name {
        case "faults":
            faults = Self.numbers(text)
            return faults != nil
        case "operations":
            operations = Self.numbers(text)
            return operations != nil
        case "first-nodes": firstNodes = Int(text)
        case "until": until = Int(text)
        case "healed": healed = Int(text)
        default: return false
        }
        return Int(text).map { $0 > 0 } ?? false
    }

    package var arguments: [String] {
        var all: [String] = []
        if let faults { all.append("faults=\(Self.text(faults))") }
        if let operations { all.append("operations=\(Self.text(operations))") }
        if let firstNodes { all.append("first-nodes=\(firstNodes)") }
        if let until { all.append("until=\(until)") }
        if let healed { all.append("healed=\(healed)") }
        return all
    }

    func apply(to plan: inout SimulationPlan) {
        if let faults {
            let kept = Set(faults)
            plan.faults.removeAll { !kept.contains($0.number) }
        }
        if let operations {
            let kept = Set(operations)
            plan.operations.removeAll { !kept.contains($0.number) }
        }
        if let until, until < plan.faultTime {
            plan.faultTime = until
            plan.faults.removeAll { $0.at >= until }
            plan.operations.removeAll { $0.at >= until }
        }
        if let healed { plan.healedTime = min(plan.healedTime, healed) }
        guard let firstNodes, firstNodes < plan.nodes else { return }
        plan.nodes = firstNodes
        plan.faults.removeAll { $0.node >= firstNodes || $0.other >= firstNodes }
        for index in plan.faults.indices { plan.faults[index].side &= 1 << firstNodes - 1 }
        plan.faults.removeAll {
            ($0.kind == .split || $0.kind == .flapping) && ($0.side == 0 || $0.side == 1 << firstNodes - 1)
        }
        for index in plan.operations.indices { plan.operations[index].node %= firstNodes }
    }

    /// `1,4-7`; `none` for an empty list.
    private static func numbers(_ text: String) -> [Int]? {
        if text == "none" { return [] }
        var all: [Int] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard let first = ends.first.flatMap({ $0 }), let last = ends.last.flatMap({ $0 }), ends.count <= 2,
                first >= 0, first <= last, last < 1_000_000
            else { return nil }
            all += Array(first...last)
        }
        return all
    }

    private static func text(_ numbers: [Int]) -> String {
        guard !numbers.isEmpty else { return "none" }
        var parts: [String] = []
        var first = 0
        for index in numbers.indices where index + 1 == numbers.count || numbers[index + 1] != numbers[index] + 1 {
            parts.append(first == index ? "\(numbers[index])" : "\(numbers[first])-\(numbers[index])")
            first = index + 1
        }
        return parts.joined(separator: ",")
    }
}

/// What the command line says after the flags: `name=value` each.
package struct PlanSettings: Sendable {
    package private(set) var forced: [String: Int] = [:]
    package private(set) var filter = PlanFilter()

    /// What is wrong, and what is known.
    package struct Unknown: Error, CustomStringConvertible {
        package let description: String
    }

    package init(_ arguments: [String]) throws(Unknown) {
        for argument in arguments {
            guard let sign = argument.firstIndex(of: "=") else {
                throw Unknown(description: "\"\(argument)\": write name=value")
            }
            let name = String(argument[..<sign])
            let text = String(argument[argument.index(after: sign)...])
            if PlanFilter.names.contains(name) {
                guard filter.set(name, text) else {
                    throw Unknown(description: "\(name) cannot be \"\(text)\": write numbers, such as 1,4-7 or 120000")
                }
                continue
            }
            guard let option = PlanOption.named(name) else {
                let nearest = nearestName(to: name, among: PlanOption.all.map(\.name) + PlanFilter.names)
                throw Unknown(
                    description: "there is no option \"\(name)\"" + (nearest.map { ": is \($0) meant?" } ?? ""))
            }
            guard let value = option.value(text) else {
                let known = option.names.isEmpty ? "\(option.range)" : option.names.joined(separator: ", ")
                throw Unknown(description: "\(name) cannot be \"\(text)\": it is one of \(known)")
            }
            forced[name] = value
        }
    }
}
