import Primitives
import Service
import TaskLedger

/// One value of everything, with every optional part there.
enum Samples {
    /// 2027-01-15T08:00:00Z
    static let time = Timestamp(milliseconds: 1_800_000_000_000)

    static func node(_ number: Int) -> NodeName {
        guard let name = NodeName("node-\(number)") else { preconditionFailure("a valid name") }
        return name
    }

    static let id = TaskID(high: 0x0190_0000_0000_7000, low: 0x8000_0000_0000_0001)

    static let spec = TaskSpec(
        type: "echo", payload: Array(#"{"b" : 1,  "a":[1.50, "\u00e9"]}"#.utf8), priority: .high, queue: "mail",
        timeout: 1500, delay: 250, expiry: 60_000, delivery: .atMostOnce,
        metadata: [TaskSpec.Label(key: "a\"b", value: "c\n"), TaskSpec.Label(key: "k", value: "v")])

    static let task = TaskSnapshot(
        id: id, spec: spec, status: .failed, owner: node(1), attempt: 2, interruptions: 1, worker: node(2),
        stolenBy: node(2), createdAt: time, startedAt: time, finishedAt: time, dueAt: time,
        result: Array("[ 1 ]".utf8),
        failure: TaskFailure(type: "timeout", message: "too \"slow\"\t", isRetryable: true),
        isCancelRequested: true, duplicatesDiscarded: 3)

    static let story = TaskStory(
        task: task,
        transitions: TaskTransition.Kind.allCases.map {
            TaskTransition(
                kind: $0, at: time, node: node(2), run: 1, attempt: 2, term: Term(3), failure: task.failure,
                priority: .high, isBlamed: true)
        } + [TaskTransition(kind: .accepted, at: time, run: 1)],
        cut: 4,
        explanation: Explanation(reason: .behind, detail: "others come first", ahead: 7, until: time))

    static let workflow: WorkflowSnapshot = {
        var root = task
        root.spec.workflow = WorkflowPart(workflow: id, ref: "", role: .root(WorkflowPlan()))
        var step = task
        step.spec.workflow = WorkflowPart(workflow: id, ref: "a", role: .step)
        var undo = task
        undo.spec.workflow = WorkflowPart(workflow: id, ref: "a", role: .compensation(id))
        undo.spec.dependencies.parents = [id]
        return WorkflowSnapshot(root: root, tasks: [step, undo], failedBy: id)
    }()

    static let accepted = AcceptedTask(
        id: id, status: .pending, owner: node(1), durability: .degraded, holders: [node(1)], createdAt: time)

    static let workers = [
        NodeWorkers(
            node: node(1), isReachable: true,
            slots: [
                .init(index: 0, task: id, taskType: "echo", queue: "mail", owner: node(2), since: time),
                .init(index: 1),
            ], taskTypes: ["echo", "sleep"]), NodeWorkers(node: node(2), isReachable: false, slots: [], taskTypes: []),
    ]

    static let queues = [
        QueueSummary(
            name: "mail", depth: [.pending: 3, .failed: 1], oldestAge: .milliseconds(1500), missing: [node(2)])
    ]

    static func schedule(
        _ draft: ScheduleDraft = ScheduleDraft(
            name: "nightly", timing: .cron("0 3 * * *", timeZone: "Europe/Zurich"), task: TaskSpec(type: "echo"),
            inherited: [.timeout])
    ) -> ScheduleReport {
        ScheduleReport(
            draft: draft, version: 7, createdAt: time, changedAt: time, next: draft.isPaused ? [] : [time],
            home: node(2),
            recent: [
                PastFiring(time: Timestamp(milliseconds: 1000), outcome: .fired(id)),
                PastFiring(time: Timestamp(milliseconds: 2000), outcome: .leftOut(id)),
            ], problem: "the queue mail is full")
    }

    static let health = NodeHealth(
        status: .healthy, node: node(1), members: 2, workers: 8, pendingTasks: 5, completedTasks: 6, timestamp: time)

    static func member(_ number: Int, _ state: ClusterReport.MemberState = .alive) -> ClusterReport.MemberReport {
        let address = Address(host: "127.0.0.1", port: UInt16(9000 + number))
        return ClusterReport.MemberReport(
            name: node(number), state: state, since: time, generation: Generation(9), incarnation: Incarnation(1),
            profile: MemberProfile(
                gossip: address, peer: address, http: address, disk: StoreID(1), store: StoreID(2), slots: 4),
            load: LoadDigest(ready: 1, open: 2, headPriority: 8, isDraining: false, freeSlots: 3, oldestAge: 15),
            busySlots: 1, completed: 2, failed: 3, duplicatesDiscarded: 4, stolen: 5, viewNumber: 6, viewDigest: .max,
            isVoter: true, dataAge: .milliseconds(20), isRegistryConnected: true, unwrittenResults: 7,
            disk: ClusterReport.Disk(
                journalBytes: 123_456_789, isFull: true, sync: "interval:100ms", sinceSync: .milliseconds(1500),
                worstSync: .microseconds(2345)),
            mayStart: false, reachesMajority: true, unreadiness: "it waits")
    }

    static let cluster = ClusterReport(
        name: "c", id: ClusterID(high: 1, low: 2), answeredBy: node(1), viewNumber: 6, viewDigest: 0xAB,
        viewsAgree: true,
        voters: [node(1), node(2)], copies: 2, members: [member(1), member(2, .left)],
        ledgers: [
            .init(
                id: LedgerID(1), term: Term(2), primary: node(1), backups: [node(2)], founder: node(1),
                isAvailable: true, isFullyReplicated: true, openTasks: 4)
        ],
        takeovers: [
            .init(ledger: LedgerID(1), term: Term(2), from: node(2), to: node(1), at: time, recovered: 10),
            .init(ledger: LedgerID(3), term: Term(2), from: node(2), to: node(1), at: time, recovered: 5),
        ], losses: [.init(ledger: LedgerID(4), primary: node(3), view: 7, tasks: 2)],
        letters: .init(count: 5, bytes: 6000, oldest: time, dropped: 1), warnings: [])

    static let recovery = RecoveryReport(
        answeredBy: node(1), viewNumber: 6, voters: 3, majority: 2,
        missingVoters: [
            .init(name: node(2), hasOtherDisk: false), .init(name: node(3), hasOtherDisk: true),
        ],
        lostLedgers: [
            .init(id: LedgerID(3), founder: node(3), primary: node(3), replicas: [node(3), node(2)], living: [])
        ],
        keptLedgers: [
            .init(id: LedgerID(1), founder: node(1), primary: node(1), replicas: [node(1), node(2)], living: [node(1)])
        ], isNeeded: true)
}
