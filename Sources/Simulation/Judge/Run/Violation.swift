package import Primitives

/// What must never be, or must be in the end. The raw values are stable: shrinking compares them.
package enum Property: String, CaseIterable, Sendable {
    // What clients see
    case lost
    case denied
    case refusedButAccepted = "refused-but-accepted"
    case falseReceipt = "false-receipt"
    case twoOutcomes = "two-outcomes"
    case wishUndone = "wish-undone"
    case impossibleOutcome = "impossible-outcome"
    case resurrected
    case keyTwice = "key-twice"
    case firedTwice = "fired-twice"
    case notFired = "not-fired"
    case neverAnswered = "never-answered"
    // What handlers see
    case tokenTwice = "token-twice"
    case onceTwice = "once-twice"
    case lateStart = "late-start"
    case startedWhileCutOff = "started-while-cut-off"
    case startedTooSoon = "started-too-soon"
    case causelessDuplicate = "causeless-duplicate"
    case tooEarly = "too-early"
    case tooLate = "too-late"
    case startedBlocked = "started-blocked"
    case falseParent = "false-parent"
    case falseWorkflow = "false-workflow"
    case falseCallback = "false-callback"
    case falseMessage = "false-message"
    case falsePast = "false-past"
    case cancelIgnored = "cancel-ignored"
    case startedWhilePaused = "started-while-paused"
    case rateExceeded = "rate-exceeded"
    case concurrencyExceeded = "concurrency-exceeded"
    case inversion
    case outOfOrder = "out-of-order"
    case endlessPoison = "endless-poison"
    // Views and ledgers
    case twoContents = "two-contents"
    case settingsTwice = "settings-twice"
    case twoPrimaries = "two-primaries"
    case conflictingCommits = "conflicting-commits"
    case lemma
    case staleFailure = "stale-failure"
    case impossibleChange = "impossible-change"
    case registryDiffers = "registry-differs"
    case notArchived = "not-archived"
    case resultLost = "result-lost"
    // The node
    case stoppedItself = "stopped-itself"
    case refusedToStart = "refused-to-start"
    case unbounded
    case livesAgain = "lives-again"
    // In the end
    case notFormed = "not-formed"
    case disagreement
    case notDrained = "not-drained"
    // Found from outside
    case trapped
    case hung
    case notReproducible = "not-reproducible"

    /// It is one only if it is still so long after everything was healed.
    var healsInTime: Bool {
        switch self {
        case .disagreement, .notDrained, .notArchived, .resultLost: true
        default: false
        }
    }

    package var meaning: String {
        switch self {
        case .lost: "a task that was acknowledged is nowhere"
        case .denied: "a node answers that a task does not exist that was acknowledged"
        case .refusedButAccepted: "a task was refused to its client, and is there"
        case .falseReceipt: "a node that the receipt names as a holder does not have the task"
        case .twoOutcomes: "a run of a task has two outcomes"
        case .wishUndone: "a new run, or a change, that was acknowledged is not there, or nobody has asked for it"
        case .impossibleOutcome: "an outcome that nothing has brought about"
        case .resurrected: "a task is accepted again, or one is there that nobody submitted"
        case .keyTwice: "two tasks under one idempotency key"
        case .firedTwice: "a time of a schedule has two tasks"
        case .notFired: "a schedule has not fired though all is well"
        case .neverAnswered: "a client still waits for its answer"
        case .tokenTwice: "a token was granted, or started, twice"
        case .onceTwice: "a task that may start once has started twice"
        case .lateStart: "an attempt starts after a later one"
        case .startedWhileCutOff: "a node starts a task though it has not heard of a majority for longer than the fence"
        case .startedTooSoon: "a task starts while an earlier primary of its ledger may still start it"
        case .causelessDuplicate: "a task runs again, and nothing has happened to the node that had it"
        case .tooEarly: "a task starts before its time"
        case .tooLate: "a task starts after its time"
        case .startedBlocked: "a task starts before those have ended that it waits for"
        case .falseWorkflow: "a workflow is not what its tasks say, or what it was to undo"
        case .falseCallback: "the end of a task is told twice, or never, or another one is told"
        case .falsePast: "a node tells of an earlier time what cannot have been so then"
        case .falseMessage:
            "a message has other tasks than its topic has subscriptions, or one that shares another one's fate"
        case .falseParent: "a task was told another end of one that it waited for"
        case .cancelIgnored: "a task is given out again though it was to be cancelled"
        case .startedWhilePaused: "a task of a queue starts though it is paused, as the node knows, or as was answered"
        case .rateExceeded: "more tasks of a queue start than its rate allows"
        case .concurrencyExceeded: "more tasks of a queue run at the same time than may"
        case .inversion: "a task starts before a better one that was ready at the same node"
        case .outOfOrder: "tasks with one ordering key run at the same time, or not in their order"
        case .endlessPoison: "a task takes more nodes down than it may"
        case .twoContents: "a view has two contents"
        case .settingsTwice: "a change of settings was made twice"
        case .twoPrimaries: "two nodes commit in one term of a ledger"
        case .conflictingCommits: "two different entries are committed at one place"
        case .lemma: "a listed replica lacks what is committed"
        case .staleFailure: "an attempt that is not the current one decides about a task"
        case .impossibleChange: "a task is changed, or run again, in a state in which it cannot be"
        case .registryDiffers: "the registry has another outcome than the ledger"
        case .notArchived: "long after all is healed an outcome is not in the registry"
        case .resultLost: "a large result is not kept by the nodes that its ledger names, or by too few"
        case .stoppedItself: "a node has ended though nothing was wrong"
        case .refusedToStart: "a node refuses to start though nothing was wrong with its disk"
        case .livesAgain: "a generation lives again for a node that held it dead or gone"
        case .unbounded: "something has grown beyond its limit"
        case .notFormed: "the cluster does not form"
        case .disagreement: "long after all is healed the nodes are not in one complete view"
        case .notDrained: "long after all is healed tasks are still open"
        case .trapped: "the process has trapped"
        case .hung: "the process does not get anywhere"
        case .notReproducible: "the same seed has given another run"
        }
    }
}

package struct Violation: Sendable, Hashable {
    package var property: Property
    package var detail: String
    package var at: Instant

    package init(_ property: Property, _ detail: String, at: Instant) {
        self.property = property
        self.detail = detail
        self.at = at
    }
}
