import Primitives
import Service
import TaskLedger

/// The workflows that clients have submitted, and what they were told about them.
///
/// `@unchecked`: only touched by the world's thread.
final class SubmittedWorkflows: @unchecked Sendable {
    struct Known {
        let draft: WorkflowDraft
        let sentAt: Instant
        var acceptedAt: Instant?
        var isCancelAsked = false
        var told: TaskStatus?
        /// Steps that clients want to add: how they are called.
        var addable: Set<String> = []
    }

    /// What was sent, by name. Never iterated.
    private var sent: [String: (draft: WorkflowDraft, at: Instant, mayBe: Bool)] = [:]
    private var known: [TaskID: Known] = [:]
    /// The first that was acknowledged, by name. Never iterated.
    private var ids: [String: TaskID] = [:]
    /// Those that were acknowledged, in that order.
    private(set) var accepted: [TaskID] = []

    subscript(id: TaskID) -> Known? { known[id] }

    /// The same one may be sent again, if it has a key.
    func send(_ draft: WorkflowDraft, at now: Instant) {
        let name = draft.name ?? ""
        sent[name] = (draft, sent[name]?.at ?? now, true)
    }

    /// The workflow that was acknowledged under this name.
    func id(of name: String) -> TaskID? { ids[name] }

    func settle(_ draft: WorkflowDraft, _ submission: WorkflowSubmission?, at now: Instant) {
        guard let request = sent[draft.name ?? ""] else { return }
        switch submission {
        case .accepted(let tasks): if let id = tasks.first?.id { accept(id, draft, request.at, now) }
        case .repeated(let id): accept(id, draft, request.at, now)
        case .refused(.unconfirmed, _), .refused(.keyPending, _), nil: break
        case .refused, .unknownTaskTypes: sent[draft.name ?? ""]?.mayBe = false
        }
    }

    private func accept(_ id: TaskID, _ draft: WorkflowDraft, _ sentAt: Instant, _ now: Instant) {
        guard known[id] == nil else { return }
        known[id] = Known(draft: draft, sentAt: sentAt, acceptedAt: now)
        accepted.append(id)
        if ids[draft.name ?? ""] == nil { ids[draft.name ?? ""] = id }
    }

    /// What clients were told to have added, in that order.
    private(set) var additions: [Observations.Addition] = []

    func askedToAdd(_ refs: [String], to id: TaskID) { known[id]?.addable.formUnion(refs) }

    func added(_ addition: Observations.Addition) { additions.append(addition) }

    func askedToCancel(_ id: TaskID) { known[id]?.isCancelAsked = true }

    /// Whether somebody has submitted what is in a ledger. Only the workflow itself has its name.
    func found(_ id: TaskID, _ part: WorkflowPart, at now: Instant) -> Violation? { nil }

    /// - Returns: a violation if another end was told before.
    func tell(_ id: TaskID, _ status: TaskStatus, at now: Instant) -> Violation? {
        guard let told = known[id]?.told else {
            known[id]?.told = status
            return nil
        }
        guard told != status else { return nil }
        return Violation(
            .twoOutcomes, "the workflow \(id) was told to be \(told.name), and now \(status.name)", at: now)
    }
}
