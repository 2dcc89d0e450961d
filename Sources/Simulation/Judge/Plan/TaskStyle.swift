import Primitives
import TaskLedger

/// What a simulated task is like.
package enum TaskStyle: String, CaseIterable, Sendable {
    case brief
    case flaky
    case failing
    case hopeless
    case long
    case once
    case delayed
    case expiring
    case hanging
    case stubborn
    case poison
    case dependent

    var meaning: String {
        switch self {
        case .brief: "completes soon"
        case .flaky: "fails a few times, then completes"
        case .failing: "fails as often as it is tried"
        case .hopeless: "fails, and says that no retry helps"
        case .long: "takes seconds"
        case .once: "at_most_once"
        case .delayed: "may not start before some time"
        case .expiring: "may not start after some time"
        case .hanging: "never ends by itself"
        case .stubborn: "does not listen when it is told to end"
        case .poison: "takes its node's process down"
        case .dependent: "waits for tasks that were accepted before"
        }
    }

    var weights: [(Int, Int)] {
        switch self {
        case .brief: [(40, 1)]
        case .long: [(0, 1), (15, 2)]
        case .once: [(0, 1), (12, 2), (60, 1)]
        case .flaky, .delayed: [(0, 1), (10, 2)]
        case .dependent: [(0, 1), (25, 3)]
        case .failing, .expiring: [(0, 1), (6, 2)]
        case .hopeless, .hanging, .stubborn: [(0, 2), (2, 1)]
        case .poison: [(0, 5), (1, 1)]
        }
    }
}

/// A task as a client of a run submits it.
struct PlannedTask {
    let style: TaskStyle
    let script: HandlerScript
    var spec: TaskSpec

    mutating func order(by key: String) { spec.orderingKey = key }

    mutating func tell() { spec.callbackURL = "https://receiver.example/\(Self.serial(of: spec) ?? "")" }

    mutating func bind(to key: String, body: BodyDigest) {
        spec.idempotency = TaskSpec.Idempotency(key: key, body: body)
    }
}

extension PlannedTask {
    /// The key under which the serial number of a submission is kept in the task's metadata: how a checker knows it again
    /// wherever it turns up.
    static let serialKey = "serial"

    /// Waits for some of the tasks that were acknowledged before, the newest first: they may not have ended.
    mutating func dependOn(_ accepted: [TaskID], using random: inout SeededGenerator) {
        for _ in 0..<(random.chance(60) ? 1 : Int.random(in: 2...5, using: &random)) where !accepted.isEmpty {
            let back = Int.random(in: 0..<min(accepted.count, random.chance(80) ? 8 : 200), using: &random)
            let parent = accepted[accepted.count - 1 - back]
            if !spec.dependencies.parents.contains(parent) { spec.dependencies.parents.append(parent) }
        }
        let count = spec.dependencies.parents.count
        if count == 0 { spec.dependencies = .none }
        if count > 1, random.chance(30) {
            spec.dependencies.needed = UInt16.random(in: 1...UInt16(count), using: &random)
        }
    }

    /// The queues of a run: the first is the default one.
    static func queue(_ number: Int) -> String { number == 0 ? "default" : "queue-\(number)" }

    mutating func spread(over queues: Int, using random: inout SeededGenerator) {
        guard queues > 1 else { return }
        spec.queue = Self.queue(Int.random(in: 0..<queues, using: &random))
        if random.chance(50) { spec.fairnessKey = "key-\(Int.random(in: 0..<3, using: &random))" }
    }

    static func serial(of spec: TaskSpec) -> String? { spec.metadata.first { $0.key == serialKey }?.value }

    /// - Parameters:
    ///   - serial: unique in the run.
    ///   - percent: handlers take so much of what was drawn, so that the cluster can do the work.
    init(
        _ style: TaskStyle, serial: String, percent: Int, isPrioritized: Bool, hasRedis: Bool,
        using random: inout SeededGenerator
    ) {
        var script = HandlerScript(milliseconds: UInt32(random.logarithmic(1...200)))
        script.resultBytes = UInt32(random.chance(5) ? random.logarithmic(100...20_000) : 8)
        var spec = TaskSpec(
            type: SimulatedHandler.taskType,
            priority: Priority(isPrioritized ? Int.random(in: 1...10, using: &random) : 5) ?? .normal,
            retry: RetryPolicy(maxRetries: 3, base: 200, maximum: 2000), timeout: 60_000,
            // The longest run has to fit: an outcome whose time is up may be forgotten.
            resultTTL: 86_400_000, metadata: [TaskSpec.Label(key: Self.serialKey, value: serial)])
        switch style {
        case .brief: break
        case .flaky: script.failures = UInt32.random(in: 1...3, using: &random)
        case .failing:
            script.outcome = .fails
            spec.retry.maxRetries = UInt16.random(in: 0...3, using: &random)
        case .hopeless: script.outcome = .failsForGood
        case .long: script.milliseconds = UInt32(random.logarithmic(1000...15_000))
        case .once:
            spec.delivery = .atMostOnce
            if random.chance(50) { script.milliseconds = UInt32(random.logarithmic(100...4000)) }
            if random.chance(20) { script.outcome = .fails }
        case .delayed: spec.delay = UInt64(random.logarithmic(10...60_000))
        case .expiring:
            spec.expiry = UInt64(random.logarithmic(5...20_000))
            if random.chance(30) { spec.delay = UInt64(random.logarithmic(5...20_000)) }
        case .hanging:
            script.outcome = .hangs
            spec.timeout = UInt32(random.logarithmic(200...3000))
            spec.retry.maxRetries = UInt16.random(in: 0...1, using: &random)
        case .stubborn:
            script.outcome = .ignoresCancellation
            script.milliseconds = UInt32(random.logarithmic(1000...8000))
            spec.timeout = UInt32(random.logarithmic(200...3000))
            spec.retry.maxRetries = UInt16.random(in: 0...1, using: &random)
        case .poison: script.milliseconds = 20_000
        case .dependent:
            // For which tasks it waits is known when it is submitted.
            spec.dependencies.onFailure = random.pick([(value: .fail, weight: 1), (.run, 2), (.cancel, 1)])
            if random.chance(20) { spec.delay = UInt64(random.logarithmic(10...10_000)) }
            if random.chance(10) { spec.expiry = spec.delay + UInt64(random.logarithmic(5...20_000)) }
            if random.chance(10) { script.outcome = .failsForGood }
        }
        if style != .poison { script.milliseconds = max(1, script.milliseconds * UInt32(percent) / 100) }
        spec.payload = script.payload
        self.style = style
        self.script = script
        self.spec = spec
    }
}
