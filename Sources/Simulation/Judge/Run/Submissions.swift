import Primitives
import Service
import TaskLedger

/// What clients have sent, and what they were told about it: the truth that the cluster is held to.
///
/// `@unchecked`: only touched by the world's thread.
final class Submissions: @unchecked Sendable {
    /// A change of settings that was neither made nor refused when it was answered, if it was, may still be made for so long,
    /// and so after the next one: the node that was asked goes on for 8 s, and a voter holds what it was told until the next view.
    static let changeDoubt = Duration.seconds(20)

    /// What became of one task of one request.
    enum Fate {
        /// No answer yet, or none ever: it may be there or not, under an id that nobody was told.
        case unknown
        case accepted(TaskID)
        /// It may be there or not.
        case unconfirmed(TaskID)
        /// It must not be there.
        case refused
    }

    struct Sent {
        let task: PlannedTask
        let at: Instant
        var fate = Fate.unknown
    }

    /// What is known of a task whose id is known.
    struct Known {
        let serial: String
        let task: PlannedTask
        /// When the request was sent.
        let sentAt: Instant
        /// When the client was told that it is accepted.
        var acceptedAt: Instant?
        var isCancelAsked = false
        /// Changes that clients have asked for.
        var changesAsked = 0
        var firstChangeAskedAt: Instant?
        /// Not to be started before, as the only change that was ever asked for says.
        var notBefore: Instant?
        var isRetryAsked = false
        var isPurgeAsked = false
        /// When a client was told that it is forgotten.
        var purgedAt: Instant?
        /// What a client was told to have set, if that was the only change that was ever asked for, and when.
        var priority: (value: Priority, at: Instant)?
        /// The latest run that a client was told of, and when.
        var run: UInt32 = 1
        var runToldAt: Instant?
        /// The first outcome of each run that any client was told. Never iterated.
        var told: [UInt32: (outcome: ToldOutcome, at: Instant)] = [:]
    }

    /// Those that clients have submitted.
    let workflows = SubmittedWorkflows()

    let schedules = SubmittedSchedules()

    let topics = SubmittedTopics()
    let pauses = SubmittedPauses()

    /// Serial numbers that were used. Never iterated.
    private(set) var sent: [String: Sent] = [:]
    private var known: [TaskID: Known] = [:]
    /// Under which each was accepted first, by an answer or a run. Never iterated.
    private var idOf: [String: TaskID] = [:]
    /// Tasks with the same ordering key, in the order in which they became known.
    private var ordered: [String: [TaskID]] = [:]
    /// In the order in which they became known.
    private(set) var ids: [TaskID] = []
    private(set) var accepted: [TaskID] = []

    /// One that is sent again under its idempotency key is the same one.
    func send(_ serial: String, _ task: PlannedTask, at now: Instant) {
        if sent[serial] == nil { sent[serial] = Sent(task: task, at: now) }
    }

    func ids(orderedBy key: String) -> [TaskID] { ordered[key] ?? [] }

    /// Under which a submission was accepted first.
    func id(of serial: String) -> TaskID? { idOf[serial] }

    func settle(_ serial: String, _ fate: Fate, at now: Instant) {
        guard sent[serial] != nil else { return }
        sent[serial]?.fate = fate
        switch fate {
        case .accepted(let id):
            learn(id, serial)
            if idOf[serial] == nil { idOf[serial] = id }
            if known[id]?.acceptedAt == nil { accepted.append(id) }
            known[id]?.acceptedAt = now
        case .unconfirmed(let id): learn(id, serial)
        case .refused, .unknown: break
        }
    }

    private func learn(_ id: TaskID, _ serial: String) {
        guard known[id] == nil, let sent = sent[serial] else { return }
        known[id] = Known(serial: serial, task: sent.task, sentAt: sent.at)
        if let key = sent.task.spec.orderingKey { ordered[key, default: []].append(id) }
        ids.append(id)
    }

    /// A task that is in a ledger: `spec` tells which one it is.
    /// - Returns: a violation if nobody can have submitted it.
    func found(
        _ id: TaskID, _ spec: TaskSpec, at now: Instant, isCommitted: Bool = true,
        isExcused: (TaskID) -> Bool = { _ in false }
    ) -> Violation? {
        if let part = spec.workflow {
            topics.found(id, spec, at: now)
            return workflows.found(id, part, at: now)
        }
        if let firing = spec.firing {
            return schedules.found(id, firing, at: now, isCommitted: isCommitted, isExcused: isExcused)
        }
        // Of what it tells is judged in the end: the task that it tells of may become known later.
        if spec.isDelivery { return nil }
        guard let serial = PlannedTask.serial(of: spec), let request = sent[serial] else {
            return Violation(.resurrected, "\(id) is in a ledger, and nobody has submitted it", at: now)
        }
        if case .refused = request.fate {
            return Violation(.refusedButAccepted, "\(id) (\(serial)) is in a ledger; its client was told 503", at: now)
        }
        if request.task.spec.idempotency != nil, isCommitted, let other = idOf[serial], other != id {
            guard isExcused(other) else {
                return Violation(.keyTwice, "\(serial) is in ledgers as \(other) and as \(id)", at: now)
            }
        } else if request.task.spec.idempotency == nil, case .accepted(let other) = request.fate, other != id {
            return Violation(.resurrected, "\(serial) is in ledgers as \(other) and as \(id)", at: now)
        }
        if isCommitted, idOf[serial] == nil { idOf[serial] = id }
        learn(id, serial)
        guard let known = known[id] else { return nil }
        var submitted = known.task.spec
        if known.changesAsked > 0 { submitted.priority = spec.priority }
        if known.isRetryAsked || lastSweep != nil, spec.expiry == nil { submitted.expiry = nil }
        guard submitted == spec else {
            return Violation(.impossibleOutcome, "\(id) is not what was submitted: \(spec)", at: now)
        }
        return nil
    }

    subscript(id: TaskID) -> Known? { known[id] }

    /// When the request was sent first by which this came, be it a task, a workflow or a message.
    func whenSent(_ id: TaskID) -> Instant? {
        known[id]?.sentAt ?? workflows[id]?.sentAt ?? topics.whenSent(id)
    }

    func askedToCancel(_ id: TaskID) { known[id]?.isCancelAsked = true }

    // MARK: Wishes

    /// When clients have last asked for dead letters to be run again, all of them.
    private(set) var lastSweep: Instant?
    /// When a client has last asked for any change.
    private(set) var lastWish: Instant?
    /// Tasks that somebody was told have ended without success, in the order in which that became known.
    private(set) var letters: [TaskID] = []

    func asked(_ wish: TaskWish, for id: TaskID, at now: Instant) {
        lastWish = now
        switch wish {
        case .change:
            known[id]?.changesAsked += 1
            if known[id]?.firstChangeAskedAt == nil { known[id]?.firstChangeAskedAt = now }
            known[id]?.notBefore = nil
            known[id]?.priority = nil
        case .retry: known[id]?.isRetryAsked = true
        case .purge: known[id]?.isPurgeAsked = true
        }
    }

    /// Of which queues somebody has asked to run all dead letters again, or to forget them; nil: of all.
    private var swept: (retried: Set<String?>, purged: Set<String?>) = ([], [])

    func asked(_ sweep: LetterSweep, at now: Instant) {
        lastWish = now
        if sweep.isPurge {
            swept.purged.insert(sweep.queue)
        } else {
            lastSweep = now
            swept.retried.insert(sweep.queue)
        }
    }

    /// Whether a client has wanted the dead letters of this queue to be run again.
    private func isSwept(_ queue: String) -> Bool { swept.retried.contains(nil) || swept.retried.contains(queue) }

    /// Whether a client has wanted those of this queue to be forgotten; nil: those of any.
    func isPurged(_ queue: String?) -> Bool {
        guard let queue else { return !swept.purged.isEmpty }
        return swept.purged.contains(nil) || swept.purged.contains(queue)
    }

    /// A client was told that its change was made.
    func changed(_ id: TaskID, priority: Priority?, delay: UInt64?, asked: Instant, at now: Instant) {
        guard known[id]?.changesAsked == 1 else { return }
        if let priority { known[id]?.priority = (priority, now) }
        if let delay { known[id]?.notBefore = asked + .milliseconds(Int64(delay)) }
    }

    /// A client was told that a dead letter is forgotten.
    func purged(_ id: TaskID, at now: Instant) { known[id]?.purgedAt = now }

    /// A node tells of the task, out of a ledger.
    /// - Returns: a violation if it was purged before this was asked for, or its change is not seen, or a later run was told
    ///   before, or nobody has wished for this one.
    func tell(_ id: TaskID, run: UInt32, priority: Priority, asked: Instant, at now: Instant) -> Violation? {
        guard let known = known[id] else { return nil }
        if let at = known.purgedAt, at < asked {
            return Violation(.wishUndone, "\(id) was purged, and is there", at: now)
        }
        if let (value, at) = known.priority, at < asked, priority != value {
            return Violation(
                .wishUndone, "\(id) was given the priority \(value.rawValue), and has \(priority.rawValue)", at: now)
        }
        if let at = known.runToldAt, at < asked, run < known.run {
            return Violation(.wishUndone, "\(id) is told to be in run \(run), and was in run \(known.run)", at: now)
        }
        guard run > known.run else { return nil }
        guard known.isRetryAsked || isSwept(known.task.spec.queue) else {
            return Violation(.wishUndone, "\(id) is in run \(run), and nobody has asked for that", at: now)
        }
        self.known[id]?.run = run
        self.known[id]?.runToldAt = now
        return nil
    }

    /// - Returns: a violation if another outcome of the same run was told before.
    func tell(_ id: TaskID, _ outcome: ToldOutcome, at now: Instant) -> Violation? {
        guard let before = known[id]?.told[outcome.run]?.outcome else {
            known[id]?.told[outcome.run] = (outcome, now)
            if outcome.status != .completed, known[id] != nil { letters.append(id) }
            return nil
        }
        guard before.contradicts(outcome) else { return nil }
        return Violation(.twoOutcomes, "\(id) was told as \(before), and now as \(outcome)", at: now)
    }
}

/// An outcome as a client sees it.
struct ToldOutcome: Sendable, CustomStringConvertible {
    let run: UInt32
    let status: TaskStatus
    let finishedAt: Int64?
    let failure: String?
    /// Nil as well if it was not looked at.
    let resultBytes: Int?

    /// Each run has an outcome of its own.
    func contradicts(_ other: ToldOutcome) -> Bool {
        guard run == other.run else { return false }
        if let mine = resultBytes, let theirs = other.resultBytes, mine != theirs { return true }
        return status != other.status || finishedAt != other.finishedAt || failure != other.failure
    }

    var description: String {
        (run > 1 ? "run \(run): " : "") + "\(status.name) at \(finishedAt.map(String.init) ?? "no time")"
            + (failure.map { " (\($0))" } ?? "")
            + (resultBytes.map { " with \($0) bytes" } ?? "")
    }
}

extension ToldOutcome {
    /// Nil: it has not ended.
    init?(_ snapshot: TaskSnapshot) {
        guard snapshot.status.isFinal else { return nil }
        self.init(
            run: snapshot.run, status: snapshot.status, finishedAt: snapshot.finishedAt?.milliseconds,
            failure: snapshot.failure?.type,
            resultBytes: snapshot.result?.count ?? snapshot.detached.map { Int($0.byteCount) })
    }

    init?(_ record: TaskRecord) {
        guard record.status.isFinal else { return nil }
        self.init(
            run: record.run, status: record.status, finishedAt: record.finishedAt?.milliseconds,
            failure: record.failure?.type,
            resultBytes: record.result?.byteCount)
    }
}
