import Primitives
import Service
import TaskLedger
import Views

/// The subscriptions that clients have asked for and the messages that they have published, and what they were told.
///
/// One client looks after each subscription: it asks for the next change when the last one is answered. So what a
/// subscription is at some time is known, unless a change of it is under way then, or it was never told what became of the
/// last one, or of one shortly before that.
///
/// - A message has one task for each subscription that was there, and fits its topic, from when it was sent until it was
///   answered; none for one that was not there in that time, or does not fit; for others it may have one.
/// - Under one key there is one message, also if nobody has subscribed.
///
/// `@unchecked`: only touched by the world's thread.
final class SubmittedTopics: @unchecked Sendable {
    struct Subscribed: Equatable {
        let pattern: TopicPattern
        /// Unique in the run.
        let version: String
    }

    private struct Change {
        let askedAt: Instant
        var answeredAt: Instant?
        /// What it leads to; nil: there is no subscription.
        let subscribed: Subscribed?
        /// It has been made.
        var isCertain = false
    }

    struct Message {
        let isKeyed: Bool
        let script: HandlerScript
        let sentAt: Instant
        var id: TaskID?
        /// By subscription, as the first answer told it.
        var tasks: [String: TaskID]?
    }

    /// The metadata of a task that tell by which version of a subscription it came.
    static let versionKey = "version"

    /// By name; in the order in which they were asked for.
    private var changes: [String: [Change]] = [:]
    /// By topic: each has one of its own.
    private var messages: [String: Message] = [:]
    /// In the order in which they were sent.
    private(set) var topics: [String] = []
    private var topicOf: [TaskID: String] = [:]
    /// When each message was first seen in a ledger, by the id of its workflow.
    private var seen: [TaskID: Instant] = [:]

    var taskCount: Int { topics.reduce(0) { $0 + (messages[$1]?.tasks?.count ?? 0) } }

    subscript(topic: String) -> Message? { messages[topic] }

    /// Of the message, or the task of a message, with this id.
    func whenSent(_ id: TaskID) -> Instant? { topicOf[id].flatMap { messages[$0]?.sentAt } }

    func whenSeen(_ id: TaskID) -> Instant? { seen[id] }

    // MARK: Subscriptions

    func isChanging(_ name: String) -> Bool { changes[name]?.last.map { $0.answeredAt == nil } ?? false }

    func asked(_ name: String, _ subscribed: Subscribed?, at now: Instant) {
        changes[name, default: []].append(Change(askedAt: now, subscribed: subscribed))
    }

    func answered(_ name: String, _ outcome: SettingsOutcome?, at now: Instant) {
        guard var all = changes[name], var last = all.popLast() else { return }
        switch outcome {
        case .refused, .unavailable: break
        case .done:
            last.isCertain = true
            fallthrough
        case .unconfirmed, nil:
            last.answeredAt = now
            all.append(last)
        }
        changes[name] = all
    }

    private enum Standing {
        case known(Subscribed?)
        case unsure
    }

    /// What a subscription was, in all of that time.
    private func standing(_ name: String, from begin: Instant, to end: Instant) -> Standing {
        var standing = Standing.known(nil)
        var doubtedUntil = Instant.zero
        for change in changes[name] ?? [] where change.askedAt <= end {
            guard change.isCertain, let at = change.answeredAt, at < begin else {
                standing = .unsure
                doubtedUntil = (change.answeredAt ?? end) + Submissions.changeDoubt
                continue
            }
            standing = change.askedAt < doubtedUntil ? .unsure : .known(change.subscribed)
        }
        return standing
    }

    /// Why a message cannot have tasks for just these versions of subscriptions; nil: it can.
    ///
    /// - Parameter excused: what was settled up to then may have been lost.
    func problem(
        of topic: String, _ versions: [String: String?], from begin: Instant, to end: Instant, excused: Instant?
    ) -> String? {
        if let stranger = versions.keys.sorted().first(where: { changes[$0] == nil }) {
            return "has a task for \(stranger), which nobody has asked for"
        }
        for name in changes.keys.sorted() {
            if let excused, changes[name]?.contains(where: { $0.askedAt <= excused }) == true { continue }
            guard case .known(let subscribed) = standing(name, from: begin, to: end) else { continue }
            let wanted = subscribed.flatMap { $0.pattern.matches(topic) ? $0 : nil }
            switch (wanted, versions[name]) {
            case (nil, nil): continue
            case (let wanted?, let version??) where wanted.version == version: continue
            case (let wanted?, nil): return "has no task for \(name), which is for \(wanted.pattern.text)"
            case (let wanted?, let version?):
                return "has a task for the version \(version ?? "none") of \(name), which is \(wanted.version) since"
            case (nil, _?):
                return "has a task for \(name), which is "
                    + (subscribed.map { "for \($0.pattern.text)" } ?? "no more, or not yet")
            }
        }
        return nil
    }

    static func version(of spec: TaskSpec) -> String? { spec.metadata.first { $0.key == versionKey }?.value }

    // MARK: Messages

    /// The same one may be sent again, if it has a key.
    func send(_ topic: String, isKeyed: Bool, _ script: HandlerScript, at now: Instant) {
        guard messages[topic] == nil else { return }
        messages[topic] = Message(isKeyed: isKeyed, script: script, sentAt: now)
        topics.append(topic)
    }

    /// A part of a workflow is in a ledger.
    func found(_ id: TaskID, _ spec: TaskSpec, at now: Instant) {
        guard let topic = Self.topic(of: spec), messages[topic] != nil else { return }
        topicOf[id] = topic
        if spec.isWorkflow, seen[id] == nil { seen[id] = now }
    }

    /// Of the message that the task, or the workflow, is of.
    static func topic(of spec: TaskSpec) -> String? {
        let key = spec.isWorkflow ? WorkflowDraft.nameLabel : TopicMessage.topicLabel
        return spec.metadata.first { $0.key == key }?.value
    }

    /// A client was told what came of a message.
    func take(
        _ publication: Publication, _ topic: String, by node: Int, sent: Instant, at now: Instant, excused: Instant?,
        isExcused: (TaskID, Instant?) -> Bool
    ) -> Violation? {
        guard let message = messages[topic] else { return nil }
        func other(_ told: String) -> Violation? {
            guard let first = message.id, told != "\(first)", !isExcused(first, message.sentAt) else { return nil }
            return Violation(.keyTwice, "\(topic) was published as \(first), and is \(told) at node \(node)", at: now)
        }
        switch publication {
        case .unwanted:
            if message.isKeyed { return other("wanted by nobody") ?? unkept(topic, by: node, at: now) }
            return judge(topic, [:], by: node, sent: sent, at: now, excused)
        case .repeated(let id):
            if message.id != nil { return other("\(id)") }
            messages[topic]?.id = id
            topicOf[id] = topic
            return nil
        case .accepted(let accepted, let draft):
            guard let id = accepted.first?.id, accepted.count == draft.steps.count + 1 else {
                return Violation(
                    .falseMessage, "\(topic) has \(draft.steps.count) tasks, and \(accepted.count) answers", at: now)
            }
            if let violation = other("\(id)") { return violation }
            let tasks = zip(draft.steps.map(\.ref), accepted.dropFirst().map(\.id))
            messages[topic]?.id = id
            messages[topic]?.tasks = Dictionary(tasks, uniquingKeysWith: { first, _ in first })
            for task in accepted { topicOf[task.id] = topic }
            let versions = draft.steps.map { ($0.ref, Self.version(of: $0.spec)) }
            return judge(
                topic, Dictionary(versions, uniquingKeysWith: { first, _ in first }), by: node, sent: sent, at: now,
                excused)
        case .unreadable, .tooLarge, .unknownTaskTypes:
            return Violation(.falseMessage, "\(topic) is refused at node \(node): \(publication)", at: now)
        case .refused, .unavailable: return nil
        }
    }

    private func unkept(_ topic: String, by node: Int, at now: Instant) -> Violation {
        Violation(.falseMessage, "\(topic) has a key, and node \(node) does not keep it", at: now)
    }

    private func judge(
        _ topic: String, _ versions: [String: String?], by node: Int, sent: Instant, at now: Instant,
        _ excused: Instant?
    ) -> Violation? {
        problem(of: topic, versions, from: sent, to: now, excused: excused).map { problem in
            Violation(.falseMessage, "\(topic), published at node \(node), \(problem)", at: now)
        }
    }
}
