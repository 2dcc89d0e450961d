import APIModel
import Foundation
import NIOCore
import Primitives

/// Carries a drill out: submits to all nodes of a local cluster, breaks and mends them as the plan says, and writes down
/// what it is told. Only processes of the cluster's state file are touched.
actor DrillRun {
    struct Settings: Sendable {
        var seed: UInt64
        var interval: Duration
        /// How long one task sleeps.
        var task = Duration.milliseconds(50)
        /// Of the cluster's slots, how much the ordinary load keeps busy.
        var share = 0.3
        /// Seconds of work for the whole cluster that a node is given before it is killed.
        var burstSeconds = 1.5
    }

    private let settings: Settings
    private let faults: LocalFaults
    private let nodes: [ClusterState.Node]
    private let slots: Int
    private let workFolder: String
    private let runFile: String
    private let tell: @Sendable (String) async -> Void
    private var plan: DrillPlan
    private var record = DrillRecord()
    private var isOver = false
    private var unchecked: [TaskID] = []

    /// - Parameters:
    ///   - slots: of all nodes together.
    ///   - tell: is given a line for every fault.
    init(
        _ settings: Settings, home: ClusterHome, nodes: [ClusterState.Node], slots: Int,
        tell: @escaping @Sendable (String) async -> Void
    ) {
        self.settings = settings
        faults = LocalFaults(home: home)
        self.nodes = nodes
        self.slots = slots
        workFolder = home.workFolder
        runFile = "drill-\(getpid())-\(Timestamp.now.milliseconds).txt"
        plan = DrillPlan(seed: settings.seed, interval: settings.interval)
        self.tell = tell
    }

    /// What was accepted and what has ended so far.
    var progress: (accepted: Int, ended: Int) {
        (record.tasks.count, record.tasks.values.count { !$0.outcomes.isEmpty })
    }

    /// No more load, no more faults.
    func stop() { isOver = true }
    var isStopping: Bool { isOver }

    /// Load and faults until `stop`, or for as long as it is told.
    func run(for duration: Duration) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<Self.lanes {
                group.addTask { try await self.submitAll() }
                group.addTask { try await self.checkAll() }
            }
            group.addTask { try await self.breakThings() }
            group.addTask {
                try await self.rest(duration); await self.stop()
            }
            try await group.waitForAll()
        }
    }

    /// Looks at every task at every node, once all nodes are back.
    /// - Parameter patience: gives up when nothing has ended for so long.
    func finish(patience: Duration) async throws -> DrillReport {
        var last = (count: record.unfinished.count, at: ContinuousClock.now)
        while last.count > 0, ContinuousClock.now - last.at < patience {
            try await look(at: record.unfinished, from: nodes.randomElement().map { [$0] } ?? [])
            let count = record.unfinished.count
            if count < last.count { last = (count, .now) }
            if count > 0 { try await Task.sleep(for: .milliseconds(200)) }
        }
        try await look(at: record.tasks.keys.sorted(), from: nodes)
        let path = workFolder + "/" + runFile
        if FileManager.default.fileExists(atPath: path) {
            try record.readRuns(try String(contentsOfFile: path, encoding: .utf8))
            try FileManager.default.removeItem(atPath: path)
        }
        return DrillReport(record)
    }

    private static let lanes = 4
    private static let batch = 10

    /// In slices, so that `stop` is not waited for.
    private func rest(_ duration: Duration) async throws {
        let end = ContinuousClock.now + duration
        while !isOver, ContinuousClock.now < end {
            try await Task.sleep(for: min(.milliseconds(50), end - ContinuousClock.now))
        }
    }

    // MARK: Mending

    /// Lets go on what is paused, and starts what does not run. A node that has ended by itself is remembered: nobody has
    /// asked it to.
    /// - Parameter only: nodes in another condition are left as they are.
    func mend(only: ClusterState.Node.Condition? = nil) async throws {
        for node in try faults.home.require().nodes where only == nil || node.condition == only {
            switch node.condition {
            case .running: break
            case .paused: _ = try await faults.resume(node.index)
            case .killed, .stopped: _ = try await faults.start(node.index)
            case .ended:
                record.ended.append(node.name)
                await tell(
                    "          \(node.name) has ended by itself; its log ends with\n" + lastLines(of: log(node), 5))
                _ = try await faults.start(node.index)
            }
        }
    }

    private func log(_ node: ClusterState.Node) -> String { faults.home.log(node) }

    // MARK: Load

    private func submitAll() async throws {
        let perSecond = settings.share * Double(slots) / (settings.task / .seconds(1))
        let pause = Duration.seconds(Double(Self.lanes * Self.batch) / max(1, perSecond))
        while !isOver {
            let begin = ContinuousClock.now
            _ = try await submit(Self.batch, to: nodes[plan.target(of: nodes.count)])
            try await rest(pause - (ContinuousClock.now - begin))
        }
    }

    private func submit(_ count: Int, to node: ClusterState.Node) async throws -> [TaskID] {
        let payload = #"{"milliseconds":\#(settings.task.milliseconds),"count_file":"\#(runFile)"}"#
        let task = SubmissionDocument(taskType: "sleep", payload: RawJSON(Array(payload.utf8)))
        let body = JSONWriter.bytes(of: Array(repeating: task, count: count))
        let now = Timestamp.now
        let answer: ClusterClient.Answer
        do {
            answer = try await ClusterClient.exchange(
                .POST, "/api/tasks/batch", with: node.url, body: body, limit: .seconds(5))
        } catch let silence as ClusterClient.NoAnswer {
            if silence.mayHaveArrived { record.unanswered += count } else { record.unreached += count }
            return []
        }
        guard (200..<300).contains(answer.status) else {
            if answer.status == 503 || answer.status == 507 { record.refused += count } else { throw answer.problem }
            return []
        }
        var ids: [TaskID] = []
        for result in try answer.document(as: BatchDocument.self).results {
            switch result {
            case .accepted(let id): ids.append(id)
            case .rejected(let problem) where problem.status == 504: record.unanswered += 1
            case .rejected: record.refused += 1
            }
        }
        record.accepted(ids, at: now)
        unchecked += ids
        return ids
    }

    // MARK: Looking

    /// Asks now and then, so that an outcome that changes later is seen.
    private func checkAll() async throws {
        while !isOver {
            let ids = unchecked.prefix(Self.batch)
            unchecked.removeFirst(ids.count)
            for id in ids {
                let hasEnded = try await check(id, at: nodes[plan.target(of: nodes.count)])
                if !hasEnded { unchecked.append(id) }
            }
            try await rest(.milliseconds(50))
        }
    }

    /// Whether it has ended. A node that cannot say counts as one that does not know.
    private func check(_ id: TaskID, at node: ClusterState.Node) async throws -> Bool {
        let answer: ClusterClient.Answer
        do {
            answer = try await ClusterClient.exchange(.GET, "/api/tasks/\(id)", with: node.url, limit: .seconds(2))
        } catch is ClusterClient.NoAnswer {
            return false
        }
        guard answer.status == 200 else { return false }
        let document = try answer.document(as: TaskDocument.self)
        record.tasks[id]?.heard(document)
        return isFinal(document.status)
    }

    private func look(at ids: [TaskID], from nodes: [ClusterState.Node]) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<2 * Self.lanes {
                group.addTask {
                    for index in stride(from: lane, to: ids.count, by: 2 * Self.lanes) {
                        for node in nodes { _ = try await self.check(ids[index], at: node) }
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    // MARK: Faults

    private func breakThings() async throws {
        let begin = ContinuousClock.now
        var count = 0
        try await rest(settings.interval / 2)
        while !isOver {
            count += 1
            try await mend(only: .ended)
            let running = try faults.home.require().nodes.filter { $0.condition == .running }.map(\.index)
            if let fault = plan.next(running: running), let node = nodes.first(where: { $0.index == fault.node }) {
                switch fault {
                case .kill(_, let rest): try await kill(node, startAfter: rest, since: begin)
                case .pause(_, let time): try await pause(node, for: time, since: begin)
                }
            }
            try await rest(settings.interval * (Double(count) + 0.5) - (ContinuousClock.now - begin))
        }
    }

    private func kill(
        _ node: ClusterState.Node, startAfter time: Duration, since begin: ContinuousClock.Instant
    ) async throws {
        let size = Double(slots) * settings.burstSeconds / (settings.task / .seconds(1))
        let burst = try await submit(max(1, Int(size)), to: node)
        try await rest(.milliseconds(100))
        let at = Timestamp(try await faults.kill(node.index).at)
        let place = record.faults.count
        record.faults.append(DrillRecord.Fault(node: node.name, at: at, isKill: true, burst: burst))
        let killed = ContinuousClock.now
        await tell("\(shown(killed - begin).leftPadded(8))  killed \(node.name)")
        let others = ClusterClient(nodes: nodes.filter { $0.index != node.index }.map(\.url))
        while ContinuousClock.now - killed < time {
            if record.faults[place].takeover == nil {
                record.faults[place].takeover = try await takeover(from: node.name, since: at, others)
            }
            // Also when the drill is over: a node that is started too early was never missed.
            try await Task.sleep(for: .milliseconds(50))
        }
        _ = try await faults.start(node.index)
        record.faults[place].until = .now
        await tell("\(shown(ContinuousClock.now - begin).leftPadded(8))  started \(node.name) again")
    }

    private func takeover(
        from node: String, since time: Timestamp, _ others: ClusterClient
    ) async throws -> Timestamp? {
        guard !others.nodes.isEmpty else { return nil }
        let answer: ClusterClient.Answer
        do {
            answer = try await others.first("/api/cluster") { $0.status == 200 }
        } catch let failure as CommandFailure where failure.code == 2 {
            return nil
        }
        guard answer.status == 200 else { return nil }
        return try answer.document(as: ClusterDocument.self).takeovers.filter { $0.from == node && $0.at >= time }
            .map(\.at).min()
    }

    private func pause(
        _ node: ClusterState.Node, for time: Duration, since begin: ContinuousClock.Instant
    ) async throws {
        _ = try await faults.pause(node.index)
        let place = record.faults.count
        record.faults.append(DrillRecord.Fault(node: node.name, at: .now, isKill: false))
        await tell("\(shown(ContinuousClock.now - begin).leftPadded(8))  paused \(node.name) for \(shown(time))")
        try await Task.sleep(for: time)
        _ = try await faults.resume(node.index)
        record.faults[place].until = .now
    }
}

extension Timestamp {
    static var now: Timestamp { Timestamp(.now) }

    init(_ date: Date) { self.init(milliseconds: Int64(date.timeIntervalSince1970 * 1000)) }
}

extension String {
    func leftPadded(_ width: Int) -> String { String(repeating: " ", count: max(0, width - count)) + self }
}
