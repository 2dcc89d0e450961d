import APIModel
import Foundation
import Primitives
import Synchronization

@testable import Command

/// Submits tasks to every node all the time, whatever happens to the nodes, and remembers which were accepted.
///
/// Every task is a short `sleep` that writes down that it began; they come four at a time, and fill about half of the
/// slots of three nodes. What was not answered may have been accepted or not: it is counted, and nothing is expected
/// of it.
final class Load: Sendable {
    private let cluster: LocalCluster
    private let state = Mutex(State())

    private struct State {
        var accepted: [TaskID] = []
        /// The first outcome that was told of each task; all that are told later have to be the same.
        var told: [TaskID: TaskDocument] = [:]
        var contradictions: [String] = []
        var counts: [String: Int] = [:]
        var isOver = false
    }

    init(_ cluster: LocalCluster) { self.cluster = cluster }

    /// Goes on while `body` does, and a little longer. Returns all that was accepted.
    func whileIt<Value>(_ body: () async throws -> Value) async throws -> Value {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for node in cluster.nodes {
                group.addTask { await self.submit(to: node) }
                group.addTask { await self.look(at: node) }
            }
            do {
                let value = try await body()
                end()
                try await group.waitForAll()
                return value
            } catch {
                end()
                throw error
            }
        }
    }

    private func end() { state.withLock { $0.isOver = true } }
    private var isOver: Bool { state.withLock { $0.isOver } }

    var accepted: [TaskID] { state.withLock { $0.accepted } }
    /// Two answers that told different outcomes of one task.
    var contradictions: [String] { state.withLock { $0.contradictions } }
    var told: [TaskID: TaskDocument] { state.withLock { $0.told } }
    var summary: String {
        state.withLock { state in
            state.counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        }
    }

    // MARK: Submitting

    private static let milliseconds = 60
    private static let batch: [UInt8] = {
        let task =
            #"{"task_type": "sleep", "payload": {"milliseconds": \#(milliseconds), "count_file": "runs.txt"}}"#
        return Array(("[" + Array(repeating: task, count: 4).joined(separator: ",") + "]").utf8)
    }()

    private func submit(to node: TestNode) async {
        while !isOver {
            let kind: String
            do {
                let answer = try await ClusterClient.send(
                    .POST, "/api/tasks/batch", to: node.url, body: Self.batch, limit: .seconds(5))
                if (200..<300).contains(answer.status) {
                    let ids = try answer.document(as: BatchDocument.self).results.compactMap { result in
                        if case .accepted(let id) = result { id } else { nil as TaskID? }
                    }
                    state.withLock { $0.accepted += ids }
                    kind = ids.isEmpty ? "refused" : "accepted"
                } else {
                    kind = "answered \(answer.status)"
                }
            } catch {
                kind = "not answered"
            }
            state.withLock { $0.counts[kind, default: 0] += 1 }
            // A client at rest between two requests; longer where nobody answers.
            let pause = Duration.milliseconds(kind == "accepted" ? 80 : 150)
            // Cancelled means over.
            try? await Task.sleep(for: pause)
        }
    }

    // MARK: Looking

    private func look(at node: TestNode) async {
        while !isOver {
            if let id = state.withLock({ $0.accepted.suffix(200).randomElement() }) {
                // Whoever does not answer, or not yet, is asked again later.
                let task = try? await ClusterClient.send(
                    .GET, "/api/tasks/\(id)", to: node.url, limit: .seconds(5)
                ).document(as: TaskDocument.self)
                if let task, isFinal(task.status) { tell(task, by: node.name) }
            }
            try? await Task.sleep(for: .milliseconds(100))
        }
    }

    /// Notes an outcome, and whether it is another one than was told before.
    func tell(_ task: TaskDocument, by teller: String) {
        state.withLock { state in
            if let before = state.told[task.id] {
                guard !isSameOutcome(before, task) else { return }
                state.contradictions.append(
                    "\(task.id): first \(outcome(before)), then, by \(teller), \(outcome(task))")
            } else {
                state.told[task.id] = task
            }
        }
    }
}

func isSameOutcome(_ one: TaskDocument, _ other: TaskDocument) -> Bool {
    one.status == other.status && one.finishedAt == other.finishedAt && one.worker == other.worker
        && one.result == other.result && one.attempt == other.attempt
}

func outcome(_ task: TaskDocument) -> String {
    "\(task.status) at \(task.finishedAt?.milliseconds ?? 0) by \(task.worker ?? "-"), attempt \(task.attempt), "
        + "interruptions \(task.interruptions), discarded \(task.duplicatesDiscarded)"
}
