import EventLoop
import Primitives
import Schedules
import TaskLedger
import Views
import Wire

/// The schedules whose home this node is: the primary of the ledger that has the slot of their tasks' ordering key.
///
/// `Timetable` says which time is to be decided next; `TaskOwner.fire` decides, as an entry of that ledger. They fire by this
/// node's wall clock: an alarm comes when the next is due, and at least every `Limits.scheduleAlarm`, since that clock may be
/// set.
extension LocalQueue {
    func installSchedules(of view: View) {
        let me = StoreHolder(name: node.name, store: node.profile.store)
        var plans: [Timetable.Plan] = []
        if view.member(node.identity) != nil {
            for schedule in view.settings.schedules {
                guard let ledger = view.home(ofSchedule: schedule.name), ledger.primary == me else { continue }
                plans.append(
                    Timetable.Plan(
                        name: schedule.name, version: schedule.version, term: ledger.term.rawValue,
                        since: schedule.since, catchUp: schedule.catchUp, isPaused: schedule.isPaused))
            }
        }
        var zones: [String: TimeZoneRules] = [:]
        timetable.install(plans, at: node.timestamp) { plan throws(ScheduleError) in
            guard let schedule = view.settings.schedule(plan.name), let home = view.home(ofSchedule: plan.name) else {
                throw ScheduleError("it is not there")
            }
            return (
                try ScheduleTiming(schedule, zones: &zones),
                owner.lastFiring(of: plan.name, version: plan.version, in: home.id)
            )
        }
        setScheduleAlarm()
    }

    private func setScheduleAlarm() {
        guard let at = timetable.nextLook else {
            scheduleAlarm?.cancel()
            scheduleAlarmAt = nil
            return
        }
        if let scheduleAlarmAt, scheduleAlarmAt <= at { return }
        scheduleAlarm?.cancel()
        scheduleAlarmAt = at
        let rest = Duration.milliseconds(at.milliseconds - node.timestamp.milliseconds)
        let wait = min(max(rest, .microseconds(100)), Limits.scheduleAlarm)
        scheduleAlarm = node.scheduler.schedule(after: wait) { [self] in onLoop { $0.fireDue() } }
    }

    private func fireDue() {
        scheduleAlarmAt = nil
        let now = node.timestamp
        // The others in a turn of their own.
        for _ in 0..<Limits.firingsPerTurn {
            guard let due = timetable.next(at: now) else { break }
            if let problem = fire(due) {
                timetable.failed(due, problem, at: now)
            } else {
                timetable.decided(due)
            }
        }
        turn()
        setScheduleAlarm()
    }

    /// Returns what is in the way; nil: it is decided.
    private func fire(_ due: Timetable.Due) -> String? {
        guard let view, let schedule = view.settings.schedule(due.name), let home = view.home(ofSchedule: due.name)
        else { return "it is not known any more" }
        guard !isDraining else { return "\(node.name) is draining" }
        guard !owner.isPaused else { return "\(node.name) may accept nothing, since it hears of no majority" }
        let (isDiskFull, isCongested) = node.colleagues.ledgers.onLoop { ($0.isFull, $0.isCongested) }
        guard !isDiskFull else { return "the disk of \(node.name) is full" }
        guard !isCongested else { return "the disk of \(node.name) is too slow" }
        var spec: TaskSpec
        do throws(WireError) { spec = try TaskSpec(encoded: schedule.task) } catch {
            return "its task cannot be read: \(error)"
        }
        view.settings.queue(spec.queue).fill(schedule.inherited, of: &spec)
        let jitter = DueFirings.jitter(
            of: due.time, schedule: due.name, version: due.version, upTo: UInt64(schedule.jitter))
        // Of what is late only what is left.
        let late = UInt64(max(0, node.timestamp.milliseconds - due.time.milliseconds))
        spec = spec.task(
            of: Firing(schedule: due.name, version: due.version, time: due.time),
            delay: jitter > late ? jitter - late : 0)
        guard let id = owner.makeIDs(for: home.id, count: 1, microseconds: node.scheduler.microsecondsSince1970).first
        else {
            return "no id could be made"
        }
        let decided = FiringInQuestion()
        let number = request { [self] isCommitted in
            onLoop { queue in
                guard isCommitted, let outcome = decided.outcome else { return }
                queue.timetable.happened(PastFiring(time: due.time, outcome: outcome), to: due)
            }
        }
        do throws(KeyedRefusal) {
            let decision = try owner.fire(
                spec, id: id, overlap: schedule.overlap, home: home.id, request: number, at: node.now,
                timestamp: node.timestamp, into: &effects)
            switch decision {
            case .decided(let outcome):
                decided.outcome = outcome
                return nil
            case .queueFull:
                forget(number)
                return "the queue \(spec.queue) is full"
            }
        } catch {
            forget(number)
            switch error {
            case .notHome: return "\(node.name) is not its home any more, or not yet"
            case .moving: return "it is moving to another home"
            case .full: return "\(node.name) has no room for more tasks"
            }
        }
    }

    /// Of one schedule, or of all whose home this is.
    func schedules(_ name: String?) -> [ScheduleStatus] {
        timetable.states(of: name).map {
            ScheduleStatus(name: $0.name, version: $0.version, recent: $0.recent, problem: $0.problem)
        }
    }
}

/// Filled in by the call that makes a request, read when the request is answered. Only on the loop.
private final class FiringInQuestion: @unchecked Sendable { var outcome: PastFiring.Outcome? }

extension View {
    /// The ledger whose primary decides about a schedule's firings.
    func home(ofSchedule name: String) -> LedgerAssignment? {
        let slot = KeySlot(of: TaskSpec.lane(of: name), in: .ordering)
        return ledger(slots[Int(slot.rawValue)])
    }
}

extension Limits {
    /// How late it may be noticed that the wall clock was set.
    static let scheduleAlarm = Duration.seconds(10)
    /// Firings that one turn of the loop decides.
    static let firingsPerTurn = 256
}
