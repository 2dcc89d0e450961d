import Primitives
import Service

/// What clients have asked of the pauses of queues, and what they were told: any of them may pause a queue, or resume it.
///
/// That a queue is paused is certain from when that was answered until somebody asks for its end, if every earlier wish for its
/// end was answered before: what was not answered may still be done, for a while.
///
/// `@unchecked`: only touched by the world's thread.
final class SubmittedPauses: @unchecked Sendable {
    private struct Wish {
        let isPaused: Bool
        let askedAt: Instant
        var answeredAt: Instant?
        /// It has been made, or never will be.
        var isSettled = false
        var isDone = false
    }

    /// By queue, in the order in which they were asked for.
    private var wishes: [String: [Wish]] = [:]
    /// Called when it is answered that a queue is paused.
    var observer: ((String) -> Void)?

    /// - Returns: what to call the wish when it is answered.
    func asked(_ queue: String, isPaused: Bool, at now: Instant) -> Int {
        wishes[queue, default: []].append(Wish(isPaused: isPaused, askedAt: now))
        return (wishes[queue]?.count ?? 1) - 1
    }

    func answered(_ queue: String, _ index: Int, _ outcome: SettingsOutcome?, at now: Instant) {
        wishes[queue]?[index].answeredAt = now
        switch outcome {
        case .done:
            wishes[queue]?[index].isSettled = true
            wishes[queue]?[index].isDone = true
        case .refused, .unavailable: wishes[queue]?[index].isSettled = true
        case .unconfirmed, nil: break
        }
        if outcome != nil, wishes[queue]?[index].isPaused == true, certain(queue)?.answeredAt == now {
            observer?(queue)
        }
    }

    /// Since when it is certain that the queue is paused; nil: it is not, or is not certain.
    func pausedSince(_ queue: String) -> Instant? { certain(queue)?.answeredAt }

    private func certain(_ queue: String) -> Wish? {
        guard let all = wishes[queue] else { return nil }
        var begin = Instant.zero
        for end in all where !end.isPaused {
            guard let answered = end.answeredAt else { return nil }
            begin = max(begin, end.isSettled ? answered : answered + Submissions.changeDoubt)
        }
        return all.filter { $0.isPaused && $0.isDone && $0.askedAt >= begin }
            .min { ($0.answeredAt ?? .zero) < ($1.answeredAt ?? .zero) }
    }
}
