/// What can go wrong.
package enum FaultKind: String, CaseIterable, Sendable {
    // Processes and machines
    case crash
    case powerLoss = "power-loss"
    case massacre
    case blackout
    case rolling
    case pause
    case sleep
    case leave
    case join
    // Disks
    case diskLoss = "disk-loss"
    case tornTail = "torn-tail"
    case bitFlip = "bit-flip"
    case rot
    case slowDisk = "slow-disk"
    case fullDisk = "full-disk"
    case diskError = "disk-error"
    // Network
    case split
    case isolate
    case comeback
    case oneWay = "one-way"
    case cutLink = "cut-link"
    case flapping
    case dropping
    case delaying
    case duplicating
    case reordering
    case reset
    // Clocks
    case clockJump = "clock-jump"
    case clockDrift = "clock-drift"
    // Redis
    case redisDown = "redis-down"
    case redisEmpty = "redis-empty"
    case redisSlow = "redis-slow"
    case redisFlush = "redis-flush"
    case redisCut = "redis-cut"

    package var meaning: String {
        switch self {
        case .crash: "a process is killed (kill -9), and started again"
        case .powerLoss: "a machine loses its power: unsynced writes are lost, or torn"
        case .massacre: "all processes are killed at once, and started in any order"
        case .blackout: "all machines lose their power at once"
        case .rolling: "each process is killed and started, one after the other"
        case .pause: "a process is stopped and goes on later"
        case .sleep: "a machine sleeps and wakes up"
        case .leave: "a node leaves in order; some come back"
        case .join: "a new node joins"
        case .diskLoss: "a machine comes back with an empty disk"
        case .tornTail: "a machine loses its power, and a bit of what was not synced is flipped"
        case .bitFlip: "a bit of what was durable flips while the machine is off"
        case .rot: "a bit of a large result flips, unseen"
        case .slowDisk: "a disk takes its time"
        case .fullDisk: "a disk is full"
        case .diskError: "an operation of a disk fails"
        case .split: "the network falls apart into two"
        case .isolate: "a node reaches nobody"
        case .comeback: "a node with requests reaches nobody, and then others that have just been started"
        case .oneWay: "what a node sends arrives nowhere, or nothing arrives there"
        case .cutLink: "two nodes do not reach each other"
        case .flapping: "two parts lose each other again and again"
        case .dropping: "packets are lost"
        case .delaying: "packets take long"
        case .duplicating: "datagrams come twice"
        case .reordering: "datagrams overtake each other"
        case .reset: "connections between two nodes are reset"
        case .clockJump: "a wall clock is set"
        case .clockDrift: "a clock runs at another speed"
        case .redisDown: "Redis is down, and comes back as it was"
        case .redisEmpty: "Redis is down, and comes back empty"
        case .redisSlow: "Redis is slow"
        case .redisFlush: "Redis is flushed"
        case .redisCut: "a node does not reach Redis"
        }
    }

    /// How likely among those that a run has.
    var weight: Int {
        switch self {
        case .crash: 24
        case .powerLoss: 14
        case .pause, .isolate: 12
        case .comeback: 10
        case .split, .cutLink, .oneWay: 8
        case .massacre, .blackout, .rolling, .leave, .join, .diskLoss, .tornTail, .dropping, .reset: 5
        case .sleep, .bitFlip, .rot, .slowDisk, .fullDisk, .diskError, .flapping, .delaying: 4
        case .duplicating, .reordering, .clockJump, .clockDrift: 3
        case .redisDown, .redisEmpty, .redisSlow, .redisFlush, .redisCut: 4
        }
    }

    /// How long it lasts, in milliseconds.
    var length: ClosedRange<Int> {
        switch self {
        case .crash, .powerLoss, .massacre, .blackout, .tornTail: 50...25_000
        case .diskLoss, .bitFlip: 50...15_000
        case .rolling: 2000...40_000
        case .pause, .sleep: 500...15_000
        case .leave: 1000...30_000
        case .join: 1...2
        case .slowDisk, .fullDisk, .diskError: 500...15_000
        case .split, .isolate, .oneWay, .cutLink: 300...25_000
        case .comeback: 2000...12_000
        case .flapping: 4000...25_000
        case .dropping, .delaying, .duplicating, .reordering: 1000...25_000
        case .rot, .reset, .redisFlush, .clockJump: 1...2
        case .clockDrift: 1000...40_000
        case .redisDown, .redisEmpty, .redisSlow, .redisCut: 300...25_000
        }
    }

    /// It strikes one node, so it may as well wait for one that something has just happened to.
    var hasVictim: Bool {
        switch self {
        case .crash, .powerLoss, .pause, .sleep, .diskLoss, .tornTail, .isolate, .oneWay: true
        default: false
        }
    }

    var harmsDisks: Bool {
        switch self {
        case .powerLoss, .blackout, .tornTail, .diskLoss, .bitFlip: true
        default: false
        }
    }

    var needsRedis: Bool {
        switch self {
        case .redisDown, .redisEmpty, .redisSlow, .redisFlush, .redisCut: true
        default: false
        }
    }
}

/// One thing that goes wrong in a run, for a while. Each is whole in itself, so that any of them can be left out.
package struct Fault: Hashable, Sendable {
    /// What it waits for before it strikes, at its time or later.
    package enum Trigger: String, CaseIterable, Sendable {
        case none
        /// A node has told a client that its tasks are accepted.
        case accepted
        /// A handler has begun.
        case began
        /// A handler has ended.
        case ended
        /// A node has installed a view.
        case installed
        /// A node was started.
        case started
    }

    /// Its position among those that were drawn: what `faults=` names.
    package var number: Int
    package var kind: FaultKind
    /// Milliseconds after the first fault may come.
    package var at: Int
    /// Milliseconds.
    package var length: Int
    package var node: Int
    package var other: Int
    /// One bit a node: which of them are on one side.
    package var side: Int
    /// What it means depends on the kind.
    package var amount: Int
    package var trigger = Trigger.none
    /// Microseconds between the trigger and the fault.
    package var delay = 0
    /// Strikes `node`, and not the one that the trigger happened to.
    package var isAimed = false

    package var description: String {
        var text = "#\(number) \(Self.seconds(at))"
        if trigger != .none {
            text += ", \(delay) us after the next `\(trigger.rawValue)`\(isAimed ? "" : ", where that happens"),"
        }
        text += " for \(Self.seconds(length)): \(kind.rawValue)"
        switch kind {
        case .massacre, .blackout, .redisDown, .redisEmpty, .redisFlush, .join: break
        case .split, .flapping: text += " nodes \(members) from the others"
        case .comeback: text += " node \(node), \(restarted.map { "nodes \($0)" } ?? "the others") are started"
        case .cutLink, .reset: text += " \(node) - \(other)"
        case .oneWay: text += " node \(node) \(amount.isMultiple(of: 2) ? "sends" : "hears") nothing"
        case .dropping: text += " \(amount) in a thousand"
        case .delaying: text += " \(amount) ms"
        case .duplicating, .reordering: text += " \(amount) in a thousand"
        case .redisSlow: text += " \(amount) ms"
        case .slowDisk: text += " of node \(node), \(amount) ms"
        case .clockJump: text += " of node \(node) by \(amount - 10_000) s"
        case .clockDrift: text += " of node \(node), \(amount - 10_000) millionths"
        case .diskError: text += " of node \(node), after \(amount) operations"
        case .crash, .powerLoss, .pause, .sleep, .diskLoss, .tornTail, .isolate:
            if trigger == .none || isAimed { text += " node \(node)" }
        case .rolling, .leave, .bitFlip, .rot, .fullDisk, .redisCut: text += " node \(node)"
        }
        return text
    }

    /// Of a comeback: who is started again; nil: all others.
    var restarted: [Int]? { amount.isMultiple(of: 2) ? nil : members.filter { $0 != node } }

    /// The nodes on its side, ascending.
    var members: [Int] { (0..<16).filter { side >> $0 & 1 == 1 } }

    static func seconds(_ milliseconds: Int) -> String {
        "\(milliseconds / 1000).\(String(1000 + milliseconds % 1000).dropFirst()) s"
    }
}
