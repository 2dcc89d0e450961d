public import Primitives

/// What the home of schedules has to consider, and when: for each schedule that is at home here, up to where its times are
/// decided, and when to look again.
///
/// - One that is new here, because it was made or changed, or since its home has just come here, is looked at at once: from the
///   last time on that is known to be decided, or from `since`, but not from farther back than a home looks (`LookingBack`). A
///   time in the future was decided by a clock that was wrong: nothing is known to have been missed then.
/// - Its times are decided one after the other. One that cannot be decided now stops the others of its schedule, and is tried
///   again after `Limits.firingRetry`; which times there are is then asked anew, so what has become too late meanwhile is
///   treated as the catch-up policy says.
/// - A schedule that is paused, or whose times this node cannot tell, is not looked at. The pause is a version of its own, which
///   begins when it ends: what would have come while it lasted is not missed.
public struct Timetable: Sendable {
    /// A schedule, as a view has it.
    public struct Plan: Hashable, Sendable {
        public var name: String
        public var version: UInt64
        /// The term in which its home is served: in another one nothing is known of it any more.
        public var term: UInt64
        /// Nothing before this time fires.
        public var since: Timestamp
        public var catchUp: CatchUpPolicy
        public var isPaused: Bool

        public init(
            name: String, version: UInt64, term: UInt64, since: Timestamp, catchUp: CatchUpPolicy, isPaused: Bool
        ) {
            self.name = name
            self.version = version
            self.term = term
            self.since = since
            self.catchUp = catchUp
            self.isPaused = isPaused
        }
    }

    /// Something to be decided now.
    public struct Due: Hashable, Sendable {
        public var name: String
        public var version: UInt64
        public var time: Timestamp
    }

    /// What is known of a schedule here.
    public struct State: Hashable, Sendable {
        public var name: String
        public var version: UInt64
        /// The newest last: at most `Limits.recentFirings`.
        public var recent: [PastFiring]
        /// Why its next firing is late, or there is none.
        public var problem: String?
    }

    private struct Row: Sendable {
        let plan: Plan
        /// Nil: not known here.
        let timing: ScheduleTiming?
        /// Everything up to here is decided.
        var considered: Timestamp
        /// Nil: there is nothing to come.
        var lookAt: Timestamp?
        /// What the last look has found and is not decided yet.
        var pending: ArraySlice<Timestamp> = []
        /// Up to here nothing else has to be decided.
        var horizon: Timestamp
        var recent: [PastFiring] = []
        var problem: String?
    }

    /// Ascending by name.
    private var rows: [Row] = []

    public init() {}

    /// When to look next.
    public var nextLook: Timestamp? { rows.lazy.compactMap(\.lookAt).min() }

    /// The schedules that are at home here, ascending by name.
    ///
    /// - Parameter look: asked of those that are new here: when they fire, and up to when that is decided; nil: nothing is
    ///   known to be.
    public mutating func install(
        _ plans: [Plan], at now: Timestamp,
        _ look: (Plan) throws(ScheduleError) -> (timing: ScheduleTiming, decided: Timestamp?)
    ) {
        let known = Dictionary(rows.map { ($0.plan.name, $0) }, uniquingKeysWith: { first, _ in first })
        rows = plans.map { plan in
            if let row = known[plan.name], row.plan == plan { return row }
            var row: Row
            do throws(ScheduleError) {
                let (timing, decided) = try look(plan)
                let considered = max(plan.since, min(decided ?? plan.since, now))
                row = Row(plan: plan, timing: timing, considered: considered, horizon: considered)
                if !plan.isPaused { row.lookAt = considered }
            } catch {
                row = Row(plan: plan, timing: nil, considered: plan.since, horizon: plan.since)
                row.problem = error.description
            }
            return row
        }
    }

    /// What to decide next. To be followed by `decided` or `failed`, until there is nothing more.
    public mutating func next(at now: Timestamp) -> Due? {
        for index in rows.indices {
            while let lookAt = rows[index].lookAt, lookAt <= now, let timing = rows[index].timing {
                if let time = rows[index].pending.first {
                    return Due(name: rows[index].plan.name, version: rows[index].plan.version, time: time)
                }
                look(index, timing, at: now)
            }
        }
        return nil
    }

    private mutating func look(_ index: Int, _ timing: ScheduleTiming, at now: Timestamp) {
        let catchUp = rows[index].plan.catchUp
        let due = DueFirings(
            timing, after: timing.beginning(after: rows[index].considered, at: now, catchUp: catchUp), at: now,
            catchUp: catchUp)
        rows[index].pending = due.times[...]
        rows[index].horizon = due.considered
        if due.times.isEmpty { settle(index, timing) }
    }

    /// Everything that the last look has found is decided.
    private mutating func settle(_ index: Int, _ timing: ScheduleTiming) {
        rows[index].considered = max(rows[index].considered, rows[index].horizon)
        rows[index].problem = nil
        rows[index].lookAt = timing.next(after: rows[index].considered)
    }

    /// It is decided, though perhaps not committed yet.
    public mutating func decided(_ due: Due) {
        guard let index = index(of: due), rows[index].pending.first == due.time else { return }
        rows[index].pending.removeFirst()
        rows[index].considered = max(rows[index].considered, due.time)
        if rows[index].pending.isEmpty, let timing = rows[index].timing { settle(index, timing) }
    }

    /// It cannot be decided now.
    public mutating func failed(_ due: Due, _ problem: String, at now: Timestamp) {
        guard let index = index(of: due) else { return }
        rows[index].pending = []
        rows[index].problem = problem
        rows[index].lookAt = Timestamp(milliseconds: now.milliseconds + Limits.firingRetry)
    }

    /// What became of it is committed.
    public mutating func happened(_ firing: PastFiring, to due: Due) {
        guard let index = index(of: due) else { return }
        rows[index].recent.append(firing)
        rows[index].recent.removeFirst(max(0, rows[index].recent.count - Limits.recentFirings))
    }

    private func index(of due: Due) -> Int? {
        var (low, high) = (0, rows.count)
        while low < high {
            let middle = (low + high) / 2
            if rows[middle].plan.name < due.name { low = middle + 1 } else { high = middle }
        }
        let isIt = low < rows.count && rows[low].plan.name == due.name && rows[low].plan.version == due.version
        return isIt ? low : nil
    }

    /// Of one schedule, or of all that are at home here.
    public func states(of name: String?) -> [State] {
        rows.filter { name == nil || $0.plan.name == name }.map {
            State(name: $0.plan.name, version: $0.plan.version, recent: $0.recent, problem: $0.problem)
        }
    }
}

extension Limits {
    /// Milliseconds after which a firing is tried again that could not be decided.
    public static let firingRetry: Int64 = 250
}
