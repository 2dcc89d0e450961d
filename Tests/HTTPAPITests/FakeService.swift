import Primitives
import Service
import Synchronization
import TaskLedger
import Testing
import Views

/// A cluster that remembers what it is asked, and answers what a test tells it to.
final class FakeService: ClusterService {
    struct State {
        var submitted: [TaskSpec] = []
        var tasks: [TaskID: TaskSnapshot] = [:]
        var lookups: [TaskID: TaskLookup] = [:]
        var cancels: [TaskID: CancelOutcome] = [:]
        var wishes: [TaskID: WishOutcome] = [:]
        var wished: [TaskWish] = []
        var sweeps: [LetterSweep] = []
        var drafts: [WorkflowDraft] = []
        var workflow = WorkflowLookup.unknown
        var workflowSubmission: WorkflowSubmission?
        var workflowExtension: WorkflowExtension?
        var sweep = SweepOutcome(done: 3, left: 1, missing: [])
        var story = StoryLookup.unknown
        var earlier: [Timestamp: EarlierLookup] = [:]
        /// Instead of accepting.
        var refusal: SubmissionRefusal?
        var durability = AcceptedTask.Durability.replicated
        var queries: [TaskQuery] = []
        var page = TaskPage(tasks: [], next: nil, missing: [])
        var report = Samples.cluster
        var isLive = true
        var unreadiness: String?
        var recovery: Service.RecoveryReport? = Samples.recovery
        var recoveryOutcome = RecoveryOutcome.forced(viewNumber: 1_500_000, Samples.recovery)
        var settings: ClusterSettings? = ClusterSettings()
        /// Instead of changing the settings.
        var scheduleOutcome: ScheduleOutcome?
        var schedules: [String: ScheduleReport] = [:]
        var settingsOutcome: SettingsOutcome?
        var signsCallbacks = true
        var drains: [Bool] = []
        var waiters: [TaskID: [Int: CheckedContinuation<Void, Never>]] = [:]
        var waits = 0
        var generator = TaskIDGenerator(seed: 7)
    }

    let nodeName = Samples.node(1)
    let taskTypes = ["a", "echo", "email", "t"]
    var signsCallbacks: Bool { update { $0.signsCallbacks } }
    private let state = Mutex(State())

    func update<Value: Sendable>(_ change: @Sendable (inout State) -> Value) -> Value { state.withLock { change(&$0) } }

    var submitted: [TaskSpec] { update { $0.submitted } }

    /// Ends a task, and the long polls for it.
    func finish(_ id: TaskID, result: String) {
        let waiters = update { state in
            state.tasks[id]?.status = .completed
            state.tasks[id]?.result = Array(result.utf8)
            state.tasks[id]?.finishedAt = Samples.time
            return state.waiters.removeValue(forKey: id)
        }
        for waiter in waiters?.values ?? [:].values { waiter.resume() }
    }

    func submit(_ specs: [TaskSpec]) async -> [SubmissionOutcome] {
        update { state in
            specs.map { spec in
                if let refusal = state.refusal { return .refused(refusal) }
                if spec.type == "unknown" { return .refused(.unknownTaskType(nearest: "echo")) }
                let id = state.generator.next(for: LedgerID(1), microseconds: 1_800_000_000_000_000)
                state.submitted.append(spec)
                state.tasks[id] = TaskSnapshot(
                    id: id, spec: spec, status: .pending, owner: Samples.node(1), createdAt: Samples.time)
                return .accepted(
                    AcceptedTask(
                        id: id, status: .pending, owner: Samples.node(1), durability: state.durability,
                        holders: [Samples.node(1), Samples.node(2)], createdAt: Samples.time))
            }
        }
    }

    func submit(_ workflow: WorkflowDraft) async -> WorkflowSubmission {
        update { state in
            state.drafts.append(workflow)
            if let submission = state.workflowSubmission { return submission }
            return .accepted(
                (0...workflow.steps.count).map { _ in
                    AcceptedTask(
                        id: state.generator.next(for: LedgerID(1), microseconds: 1_800_000_000_000_000),
                        status: .blocked, owner: Samples.node(1), durability: .replicated,
                        holders: [Samples.node(1), Samples.node(2)], createdAt: Samples.time)
                })
        }
    }

    func extend(_ id: TaskID, with more: WorkflowDraft) async -> WorkflowExtension {
        update { state in
            state.drafts.append(more)
            return state.workflowExtension
                ?? .accepted(
                    more.steps.map { _ in state.generator.next(for: LedgerID(1), microseconds: 1_800_000_000_000_000) })
        }
    }

    func workflow(_ id: TaskID) async -> WorkflowLookup { update { $0.workflow } }

    func task(_ id: TaskID, wait: Duration?) async -> TaskLookup {
        if wait != nil, update({ $0.tasks[id].map { !$0.status.isFinal } ?? false }) { await waitForEnd(of: id) }
        return update { state in
            if let lookup = state.lookups[id] { return lookup }
            return state.tasks[id].map { .found($0) } ?? .unknown
        }
    }

    /// Without a time limit: a test that gets past it was cancelled or saw the end.
    private func waitForEnd(of id: TaskID) async {
        let number = update { state in
            state.waits += 1
            return state.waits
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = update { state in
                    if state.tasks[id]?.status.isFinal == true || Task.isCancelled { return true }
                    state.waiters[id, default: [:]][number] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            let waiter = update { $0.waiters[id]?.removeValue(forKey: number) }
            waiter?.resume()
        }
    }

    func tasks(_ query: TaskQuery) async -> TaskPage {
        update { state in
            state.queries.append(query)
            return state.page
        }
    }

    func cancel(_ id: TaskID) async -> CancelOutcome { update { $0.cancels[id] ?? .unknown } }
    func carryOut(_ wish: TaskWish, for id: TaskID) async -> WishOutcome {
        update { state in
            state.wished.append(wish)
            return state.wishes[id] ?? .unknown
        }
    }

    func sweepLetters(_ sweep: LetterSweep) async -> SweepOutcome {
        update { state in
            state.sweeps.append(sweep)
            return state.sweep
        }
    }

    func task(_ id: TaskID, at time: Timestamp) async -> EarlierLookup { update { $0.earlier[time] ?? .unknown } }
    func story(of id: TaskID) async -> StoryLookup { update { $0.story } }
    var settings: ClusterSettings? { update { $0.settings } }
    func currentSettings() async -> ClusterSettings? { settings }
    func change(_ operation: SettingsOperation) async -> SettingsOutcome {
        update { state in
            if let outcome = state.settingsOutcome { return outcome }
            do throws(SettingsRefusal) {
                let settings = try (state.settings ?? ClusterSettings()).applying(operation, in: 7)
                state.settings = settings
                return .done(settings)
            } catch {
                return .refused(error)
            }
        }
    }
    func setSchedule(_ draft: ScheduleDraft) async -> ScheduleOutcome {
        update { state in
            if let outcome = state.scheduleOutcome { return outcome }
            let report = Samples.schedule(draft)
            return state.schedules.updateValue(report, forKey: draft.name) == nil ? .made(report) : .changed(report)
        }
    }
    func deleteSchedule(_ name: String) async -> ScheduleOutcome {
        update { state in
            if let outcome = state.scheduleOutcome { return outcome }
            return state.schedules.removeValue(forKey: name) == nil ? .refused(.unknownSchedule) : .deleted
        }
    }
    func schedules(_ name: String?) async -> [ScheduleReport] {
        update { state in
            state.schedules.values.filter { name == nil || $0.draft.name == name }.sorted {
                $0.draft.name < $1.draft.name
            }
        }
    }
    func workers() async -> [NodeWorkers] { Samples.workers }
    func queues() async -> [QueueSummary] { Samples.queues }
    func cluster() async -> ClusterReport { update { $0.report } }
    func health() async -> NodeHealth { Samples.health }
    func isLive() async -> Bool { update { $0.isLive } }
    func unreadiness() async -> String? { update { $0.unreadiness } }
    func recovery() async -> Service.RecoveryReport? { update { $0.recovery } }
    func recover() async -> RecoveryOutcome { update { $0.recoveryOutcome } }
    func drain(leave: Bool) async { update { $0.drains.append(leave) } }
}
