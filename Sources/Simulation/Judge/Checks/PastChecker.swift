import Primitives
import Service
import TaskLedger

/// Judges what a node tells of the state of a task at an earlier time, by what was seen at that time.
///
/// The question is for a time by a clock that is right. Nodes answer by the times that their owners have noted, each by its own
/// clock: what is near to that time, as near as any clock was ever wrong, may have been before or after it.
///
/// - A task is not there before it was sent, and is there once its client was told.
/// - Its outcome is what clients were told of it, from the time on that they were told with it, and not before; later, if a clock
///   ahead of that had noted what came before it.
/// - Nothing has completed before a handler has.
/// - It has the priority that it was submitted with, until somebody asks for another one; and that, once it was told to have it.
/// - In quiet times, when nothing was wrong with any node since it was sent: it is `processing`, there, while a handler runs it,
///   and as many attempts have begun as were seen to.
struct PastChecker {
    /// Until an owner has noted what an executor does, if nothing is wrong.
    private static let lag = Duration.seconds(2)

    let id: TaskID
    let known: Submissions.Known
    let time: Instant
    let world: World
    let stage: Stage

    /// The time that was asked for.
    var timestamp: Timestamp { VirtualClock.rightTimestamp(time) }
    /// Surely before the time, and surely after it, whatever clocks say.
    private var before: Instant { time - stage.clockError - .milliseconds(20) }
    private var after: Instant { time + stage.clockError + .milliseconds(20) }

    var isQuiet: Bool {
        world.nodes.allSatisfy {
            !stage.wasInTrouble($0.index, since: known.sentAt) && !stage.mayStop($0.index, since: known.sentAt)
        }
    }

    /// Nil: nothing is wrong with the answer.
    func problem(of lookup: EarlierLookup, mayBeRetried: Bool) -> String? {
        switch lookup {
        case .notAccepted(let at):
            if timestamp >= at { return "was accepted later, at \(at.milliseconds)" }
            guard let accepted = known.acceptedAt, accepted < before else { return nil }
            return "was not accepted yet; its client was told at \(accepted)"
        case .notKept(let since):
            return timestamp < since ? nil : "is not kept before \(since.milliseconds)"
        case .found(let state):
            if known.sentAt > after { return "was there; it was sent at \(known.sentAt)" }
            if state.run > 1, !mayBeRetried { return "was in run \(state.run), and nobody has asked for that" }
            return outcomeProblem(state) ?? priorityProblem(state) ?? attemptProblem(state)
        case .archived, .unknown, .expired, .unavailable: return nil
        }
    }

    private func outcomeProblem(_ state: TaskSnapshot) -> String? {
        for run in 1...max(known.run, state.run) {
            guard let told = known.told[run]?.outcome, let end = told.finishedAt else { continue }
            let isBefore = timestamp.milliseconds < end
            let hasEnded = timestamp.milliseconds >= end + 2 * stage.clockError.milliseconds && !wasRecordedLate(run)
            if state.run < run, hasEnded { return "was in run \(state.run); a later one was told to be \(told)" }
            if state.run > run, isBefore { return "was in run \(state.run); an earlier one was told to be \(told)" }
            guard state.run == run else { continue }
            if hasEnded {
                let isSame =
                    state.status == told.status && state.finishedAt?.milliseconds == end
                    && (told.status == .completed || state.failure?.type == told.failure)
                if !isSame { return "was \(text(state)); it was told to be \(told)" }
            } else if isBefore, state.status.isFinal {
                return "was \(text(state)) already; it was told to be \(told)"
            }
        }
        let runs = world.observations.runs(of: id).filter { $0.token.run == state.run }
        if state.status == .completed,
            !runs.contains(where: { $0.end == .completed && ($0.ended ?? .distantFuture) < after })
        {
            return "had completed; no handler had"
        }
        return nil
    }

    /// Whether somebody has taken the ledger over since the attempts of the run began: he may have voided the lease before he
    /// heard of the end, and then it was at work until he did.
    private func wasRecordedLate(_ run: UInt32) -> Bool {
        let ledger = stage.view?.ledgers.first { TaskID.tag(of: $0.id) == id.ledgerTag }
        return world.observations.runs(of: id).contains {
            $0.token.run == run && $0.token.term < ledger?.term ?? $0.token.term.next
        }
    }

    private func priorityProblem(_ state: TaskSnapshot) -> String? {
        let priority = state.spec.priority
        if known.firstChangeAskedAt.map({ $0 > after }) ?? true, priority != known.task.spec.priority {
            return
                "had the priority \(priority.rawValue), and not yet another one than \(known.task.spec.priority.rawValue)"
        }
        if let (value, at) = known.priority, at < before, priority != value {
            return "had the priority \(priority.rawValue); it was told to have \(value.rawValue)"
        }
        return nil
    }

    private func attemptProblem(_ state: TaskSnapshot) -> String? {
        guard isQuiet, state.interruptions == 0 else { return nil }
        let runs = world.observations.runs(of: id).filter { $0.token.run == state.run }
        let most = runs.count { $0.began < after }
        let least = runs.count { $0.began + Self.lag < before }
        // The last one may be about to begin, or wait for its commit on a slow disk; or have been cancelled, or given back by
        // whoever had it, before that.
        let isBeginning = [.processing, .cancelled, .pending].contains(state.status)
        guard (least...max(least, most + (isBeginning ? 1 : 0))).contains(Int(state.attempt)) else {
            return "was \(text(state)) and had begun \(state.attempt) attempts; \(least) to \(most) were seen"
        }
        let present = runs.first { $0.began + Self.lag < before && ($0.ended ?? world.now) > after && !wasTimeUp($0) }
        if let present, state.status != .processing || state.worker != world.nodes[present.node].name {
            return "was \(text(state)); node \(present.node) ran it from \(present.began) on"
        }
        return nil
    }

    /// Whether the attempt may have failed by then, though its handler goes on.
    private func wasTimeUp(_ run: Observations.Run) -> Bool {
        after - run.began > .milliseconds(Int64(known.task.spec.timeout) * 97 / 100)
    }

    private func text(_ state: TaskSnapshot) -> String {
        "\(state.status.name) in run \(state.run)"
            + (state.finishedAt.map { ", ended at \($0.milliseconds)" } ?? "")
            + (state.failure.map { ", by \($0.type)" } ?? "") + (state.worker.map { ", at \($0)" } ?? "")
    }
}
