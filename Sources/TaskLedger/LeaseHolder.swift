import DequeModule
public import Primitives

/// What the executor side of a node wants done.
public enum LeaseEffect: Hashable, Sendable {
    /// Call the handler now.
    case run(Assignment)
    /// Stop the handler: cancelled, or superseded.
    case stop(AttemptID)
    /// Tell the owners, now.
    case reportsReady
}

/// The executor's machine: what this node's slots run, hold, and have to report (rule R6).
///
/// An assignment comes from an owner, this node's own or another's; it waits for a slot (`held`), runs (`running`), and
/// its outcome is kept (`finished`) until an owner says that it is settled: reports go to whoever the view names as the
/// ledger's primary, again and again.
///
/// A bar refuses one token of a task and all lower ones: it is set when an owner asks about a grant that never came, so
/// that the grant, should it come late, is not run.
///
/// A task that may be poison runs alone: it waits until all slots are free, and nothing starts beside it.
public struct LeaseHolder: Sendable {
    public struct Running: Sendable, Hashable {
        public var assignment: Assignment
        public var slot: Int
        public var since: Timestamp
        /// The owner does not want it any more.
        public var isStopped = false
        /// Its outcome was reported without it: it did not return when its time was up. It still has its slot.
        public var isGivenUp = false
    }

    public let slots: Int
    /// Nothing begins: the node has no leave to start tasks (rule R3). What waits stays, or is released.
    public private(set) var isFenced = false
    /// By slot; nil: free.
    public private(set) var running: [Running?]
    private var held: Deque<Assignment> = []
    private var finished: [AttemptID: AttemptReport] = [:]
    /// Those that were not handed out yet, in the order in which they ended.
    private var fresh: [AttemptReport] = []
    private var bars: [TaskID: Token] = [:]
    private var barOrder: Deque<TaskID> = []

    public init(slots: Int) {
        precondition(slots > 0)
        self.slots = slots
        running = Array(repeating: nil, count: slots)
    }

    public var runningCount: Int { running.indices.count { running[$0] != nil } }
    public var heldCount: Int { held.count }
    /// The types of the tasks that wait for a slot.
    public var heldTypes: some Collection<String> { held.lazy.map(\.spec.type) }
    /// Slots that neither run a task nor have one waiting for them.
    public var freeSlots: Int { isAlone ? 0 : max(0, slots - runningCount - held.count) }
    private var isAlone: Bool { running.indices.contains { running[$0]?.assignment.isSolitary == true } }

    /// Outcomes that are not settled.
    public var unsettled: [AttemptReport] {
        finished.values.sorted { ($0.attempt.id, $0.attempt.token) < ($1.attempt.id, $1.attempt.token) }
    }

    /// Outcomes that have come since the last call.
    public mutating func takeFresh() -> [AttemptReport] {
        defer { fresh.removeAll(keepingCapacity: true) }
        return fresh
    }

    private mutating func finish(_ attempt: AttemptID, _ outcome: AttemptOutcome, _ effects: inout [LeaseEffect]) {
        let report = AttemptReport(attempt: attempt, outcome: outcome)
        finished[attempt] = report
        fresh.append(report)
        effects.append(.reportsReady)
    }

    public var isIdle: Bool { runningCount == 0 && held.isEmpty && finished.isEmpty }

    /// Takes assignments. Those that are barred, or held already, are ignored.
    public mutating func take(_ assignments: [Assignment], timestamp: Timestamp, into effects: inout [LeaseEffect]) {
        for assignment in assignments where !holds(assignment.attempt) && !isBarred(assignment.attempt) {
            held.append(assignment)
        }
        fill(timestamp, &effects)
    }

    private func isBarred(_ attempt: AttemptID) -> Bool { bars[attempt.id].map { attempt.token <= $0 } ?? false }

    public func holds(_ attempt: AttemptID) -> Bool {
        running.contains { $0?.assignment.attempt == attempt } || held.contains { $0.attempt == attempt }
            || finished[attempt] != nil
    }

    /// Which of these it has; the others are barred from now on.
    public mutating func answer(_ attempts: [AttemptID]) -> (held: [AttemptID], missing: [AttemptID]) {
        var present: [AttemptID] = []
        var missing: [AttemptID] = []
        for attempt in attempts {
            if holds(attempt) {
                present.append(attempt)
            } else {
                bar(attempt)
                missing.append(attempt)
            }
        }
        return (present, missing)
    }

    private mutating func bar(_ attempt: AttemptID) {
        #if PLANTED_BUGS
        if PlantedBug.isActive(.barForgotten) { return }
        #endif
        if let old = bars[attempt.id], old >= attempt.token { return }
        if bars.updateValue(attempt.token, forKey: attempt.id) == nil { barOrder.append(attempt.id) }
        while barOrder.count > Limits.bars, let oldest = barOrder.popFirst() { bars[oldest] = nil }
    }

    private mutating func fill(_ timestamp: Timestamp, _ effects: inout [LeaseEffect]) {
        guard !isFenced else { return }
        while let next = held.first, !isAlone, let slot = running.firstIndex(where: { $0 == nil }) {
            if next.isSolitary, runningCount > 0 { return }
            held.removeFirst()
            running[slot] = Running(assignment: next, slot: slot, since: timestamp)
            effects.append(.run(next))
        }
    }

    /// The handler returned, threw, was cancelled or timed out.
    public mutating func ended(
        _ attempt: AttemptID, _ outcome: AttemptOutcome, timestamp: Timestamp, into effects: inout [LeaseEffect]
    ) {
        guard let slot = running.firstIndex(where: { $0?.assignment.attempt == attempt }) else { return }
        let isReported = running[slot]?.isGivenUp == true
        running[slot] = nil
        if !isReported { finish(attempt, outcome, &effects) }
        fill(timestamp, &effects)
    }

    /// The handler was told to end and does not: its outcome is reported now, its slot stays taken until it returns.
    public mutating func giveUp(_ attempt: AttemptID, _ outcome: AttemptOutcome, into effects: inout [LeaseEffect]) {
        guard let slot = running.firstIndex(where: { $0?.assignment.attempt == attempt }),
            running[slot]?.isGivenUp == false
        else { return }
        running[slot]?.isGivenUp = true
        finish(attempt, outcome, &effects)
    }

    /// The owner wants it stopped: what waits is given back, what runs is told. What is not here (its grant, or its start,
    /// is on the way) is barred, and said to be stopped: its owner waits for that.
    public mutating func stop(_ attempt: AttemptID, timestamp: Timestamp, into effects: inout [LeaseEffect]) {
        if let index = held.firstIndex(where: { $0.attempt == attempt }) {
            held.remove(at: index)
            finish(attempt, .stopped, &effects)
            fill(timestamp, &effects)
        } else if let slot = running.firstIndex(where: { $0?.assignment.attempt == attempt }) {
            running[slot]?.isStopped = true
            effects.append(.stop(attempt))
        } else if !holds(attempt) {
            bar(attempt)
            finish(attempt, .stopped, &effects)
        }
    }

    /// The owner has it, or will never want it.
    public mutating func settled(_ attempts: [AttemptID]) {
        for attempt in attempts { finished[attempt] = nil }
    }

    /// The leave to start tasks has come, or gone.
    public mutating func setFenced(_ isFenced: Bool, timestamp: Timestamp, into effects: inout [LeaseEffect]) {
        self.isFenced = isFenced
        fill(timestamp, &effects)
    }

    /// Gives back what has not begun: all of it, since the node drains or is fenced, or what is over.
    public mutating func release(
        into effects: inout [LeaseEffect], where isOver: (Assignment) -> Bool = { _ in true }
    ) {
        for assignment in held where isOver(assignment) { finish(assignment.attempt, .released, &effects) }
        held.removeAll(where: isOver)
    }

    /// Gives assignments back that were never taken.
    public mutating func decline(_ assignments: [Assignment], into effects: inout [LeaseEffect]) {
        for assignment in assignments where !holds(assignment.attempt) {
            bar(assignment.attempt)
            finish(assignment.attempt, .released, &effects)
        }
    }
}

extension Limits {
    /// Tokens that an executor remembers to refuse.
    public static let bars = 100_000
}
