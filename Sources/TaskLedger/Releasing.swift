import DequeModule
import HeapModule
public import Primitives

/// Waiting for other tasks, whoever owns them.
///
/// A task that depends on others is accepted as `blocked`, in the ledger that would have it anyway. Its owner finds out
/// about its parents; what it has found out is an entry of the child's ledger (`dependencyEnded`), and the last of them
/// releases the child, or ends it, as its policy says. A start of such a task waits for the commit of its lease, and
/// so for all of these entries.
///
/// 1. A parent that this node owns is looked at here: when the child is accepted, and when the parent's end is committed.
/// 2. Any other is asked after (`parentsToAsk`): the owner of the ledger that the id hints at. It answers with the end, if
///    that is committed; or notes who has asked, and tells when it comes. What it has noted is in no ledger: it is lost
///    with the owner, or with a message. So the child's owner asks again, every `Limits.parentInterval`, and at every
///    view. A lost message delays a child, and blocks none.
/// 3. Whoever is not the owner (any more), or has forgotten the parent, says so. Then everybody is asked, and the registry:
///    the outcome may be there only. If nobody knows it, `Limits.unknownAnswers` times in a row, its time is up: the parent
///    is `lost`, which is no success. When somebody who may know is away nothing is decided.
/// 4. A takeover knows the blocked tasks from the ledger, and asks anew. What one primary has recorded of a parent, and
///    could not commit, is asked for again: it is never adopted from a tail.
///
/// The parent's ledger holds nothing of its children, and does not wait for them. So a parent whose `result_ttl` ends
/// while its child's owner is cut off is lost to the child, which says so.
///
/// A parent that failed and is run again, after its child was told, does not change what the child knows. A new run of the
/// child asks again after every parent that had not completed. A cycle cannot be: a task names only tasks that were accepted before it.
extension TaskOwner {
    /// A task of somebody that tasks of this node wait for.
    struct Awaited: Sendable {
        var children: Set<TaskID> = []
        /// When it is asked for again. A question for another time has lapsed.
        var askAt: Instant
        /// How often in a row nobody has known it.
        var unknownAnswers = 0
    }

    struct Question: Sendable, Comparable {
        var at: Instant
        var parent: TaskID

        static func < (a: Question, b: Question) -> Bool { (a.at, a.parent) < (b.at, b.parent) }
    }

    /// The task is blocked: its parents are asked for at once.
    mutating func awaitParents(of record: TaskRecord) {
        for parent in record.openParents {
            if awaited[parent] == nil {
                awaited[parent] = Awaited(askAt: .zero)
                questions.insert(Question(at: .zero, parent: parent))
            }
            awaited[parent]?.children.insert(record.id)
        }
    }

    /// Asks for everything at once, since others may have it now.
    mutating func askAllAgain() {
        for parent in awaited.keys.sorted() { ask(parent, at: .zero) }
    }

    private mutating func ask(_ parent: TaskID, at: Instant) {
        awaited[parent]?.askAt = at
        questions.insert(Question(at: at, parent: parent))
    }

    /// A task has ended here, committed: its children are told in the next turn.
    mutating func endedHere(_ id: TaskID) { if awaited[id] != nil { ask(id, at: .zero) } }

    /// Whether `parentsToAsk` has something to do.
    public func hasQuestions(at now: Instant) -> Bool { questions.min.map { $0.at <= now } ?? false }

    /// Tells children of parents that have ended here. Returns the parents to ask others for, each of which will be due again later.
    public mutating func parentsToAsk(at now: Instant, timestamp: Timestamp) -> [TaskID] {
        var asked: [TaskID] = []
        while let question = questions.min, question.at <= now, asked.count < Limits.askedParents {
            questions.removeMin()
            let parent = question.parent
            guard let waiting = awaited[parent], waiting.askAt == question.at else { continue }
            guard waiting.children.contains(where: { isWaiting($0, for: parent) }) else {
                awaited[parent] = nil
                continue
            }
            if let record = task(parent) {
                if isTellable(record), let outcome = record.outcome {
                    dependencyEnded(parent, outcome, timestamp: timestamp)
                    continue
                }
            } else {
                asked.append(parent)
            }
            ask(parent, at: now + Limits.parentInterval)
        }
        return asked
    }

    private func isWaiting(_ child: TaskID, for parent: TaskID) -> Bool {
        task(child)?.openParents.contains(parent) ?? false
    }

    /// A parent has ended: all that wait for it here are told.
    public mutating func dependencyEnded(_ parent: TaskID, _ outcome: ParentOutcome, timestamp: Timestamp) {
        guard let waiting = awaited.removeValue(forKey: parent) else { return }
        for child in waiting.children.sorted() where isWaiting(child, for: parent) {
            guard let index = index(of: child) else { continue }
            record(.dependencyEnded(child, parent, outcome, at: timestamp), in: index)
            guard let record = ledgers[index].primary.state[child], record.status.isFinal else { continue }
            uncommittedEnds.insert(child)
            whenTellable(.ended(child), in: index)
        }
    }

    /// Nobody knows the parent, and everybody who might was asked.
    public mutating func parentUnknown(_ parent: TaskID, at now: Instant, timestamp: Timestamp) {
        guard let waiting = awaited[parent], task(parent) == nil else { return }
        guard waiting.unknownAnswers + 1 >= Limits.unknownAnswers else {
            awaited[parent]?.unknownAnswers += 1
            return ask(parent, at: now + Limits.unknownInterval)
        }
        dependencyEnded(parent, ParentOutcome(end: .lost), timestamp: timestamp)
    }

    /// Somebody has it, or may have it.
    public mutating func parentExists(_ parent: TaskID) { awaited[parent]?.unknownAnswers = 0 }
}

extension TaskRecord {
    /// As those that wait for it are told; nil: it has not ended.
    public var outcome: ParentOutcome? { ParentOutcome(status, result: result, failure: failure) }
}

extension Limits {
    /// How often the owner of a task that others wait for is asked: what it has noted may be lost.
    public static let parentInterval = Duration.seconds(5)
    /// Tasks that are asked for in one message.
    public static let askedParents = 1000
    /// So often nobody has to know a task before it is given up: it may be on its way from one owner to another.
    public static let unknownAnswers = 3
    public static let unknownInterval = Duration.seconds(1)
}
