import Peers
import Primitives
import Schedules
import Service
import TaskLedger
import Views
import Wire

/// Schedules: made and changed as settings of the cluster, with what their homes know of them.
extension NodeService {
    func setSchedule(_ draft: ScheduleDraft) async -> ScheduleOutcome {
        let known = taskTypes
        guard known.contains(draft.task.type) else {
            return .unknownTaskType(nearest: nearestName(to: draft.task.type, among: known))
        }
        guard draft.task.callbackURL == nil || signsCallbacks else { return .callbackUnsigned }
        let now = Timestamp(milliseconds: min(max(node.timestamp.milliseconds, 0), Limits.scheduleTimes))
        let schedule = ScheduleSettings(
            name: draft.name, timing: draft.timing, jitter: draft.jitter, overlap: draft.overlap,
            catchUp: draft.catchUp, isPaused: draft.isPaused, inherited: draft.inherited, task: draft.task.encoded,
            since: now)
        do throws(ScheduleError) {
            var zones: [String: TimeZoneRules] = [:]
            _ = try ScheduleTiming(schedule, zones: &zones)
        } catch {
            return .unknownTimeZone(error.description)
        }
        let isNew = settings?.schedule(draft.name) == nil
        switch await change(.schedule(schedule)) {
        case .done(let settings):
            var zones: [String: TimeZoneRules] = [:]
            guard let made = settings.schedule(draft.name), let report = report(made, zones: &zones) else {
                return .unconfirmed("\(draft.name) was made, and is gone again")
            }
            return isNew ? .made(report) : .changed(report)
        case .refused(let refusal): return .refused(refusal)
        case .unavailable(let reason): return .unavailable(reason)
        case .unconfirmed(let reason): return .unconfirmed(reason)
        }
    }

    func deleteSchedule(_ name: String) async -> ScheduleOutcome {
        switch await change(.deleteSchedule(name)) {
        case .done: .deleted
        case .refused(let refusal): .refused(refusal)
        case .unavailable(let reason): .unavailable(reason)
        case .unconfirmed(let reason): .unconfirmed(reason)
        }
    }

    func schedules(_ name: String?) async -> [ScheduleReport] {
        guard let view = await actors.views.view else { return [] }
        let wanted = view.settings.schedules.filter { name == nil || $0.name == name }
        guard !wanted.isEmpty else { return [] }
        let mine = await actors.queue.schedules(name)
        let (answers, _) = await askAll(
            Frame(.schedules, at: node.now) { $0.scheduleName(name) }, within: Limits.statusPatience
        ) { reader throws(WireError) in
            try reader.array(upTo: Limits.schedules, "schedules") { reader throws(WireError) in
                try reader.scheduleStatus()
            }
        }
        var zones: [String: TimeZoneRules] = [:]
        return wanted.compactMap { schedule in
            guard var report = report(schedule, zones: &zones) else { return nil }
            guard let home = view.home(ofSchedule: schedule.name), isAvailable(home, view) else {
                report.problem = "no copy of the ledger that decides about it is here"
                return report
            }
            report.home = home.primary.name
            let statuses = home.primary.name == node.name ? mine : answers[home.primary.name] ?? []
            guard let status = statuses.first(where: { $0.name == schedule.name && $0.version == schedule.version })
            else {
                report.problem = "\(home.primary.name), its home, does not tell of it"
                return report
            }
            report.recent = status.recent
            report.problem = status.problem
            return report
        }
    }

    /// What every node knows. Nil: the schedule's task cannot be read, which no view that was checked has.
    private func report(
        _ schedule: ScheduleSettings, zones: inout [String: TimeZoneRules]
    ) -> ScheduleReport? {
        guard let task = try? TaskSpec(encoded: schedule.task) else { return nil }
        var next: [Timestamp] = []
        if !schedule.isPaused, let timing = try? ScheduleTiming(schedule, zones: &zones) {
            var last = max(node.timestamp, schedule.since)
            while next.count < Limits.nextFirings, let time = timing.next(after: last) {
                next.append(time)
                last = time
            }
        }
        return ScheduleReport(
            draft: ScheduleDraft(
                name: schedule.name, timing: schedule.timing, jitter: schedule.jitter, overlap: schedule.overlap,
                catchUp: schedule.catchUp, isPaused: schedule.isPaused, task: task, inherited: schedule.inherited),
            version: schedule.version, createdAt: schedule.createdAt, changedAt: schedule.since, next: next, home: nil)
    }
}

extension Limits {
    /// Times to come that a report of a schedule tells.
    static let nextFirings = 5
}
