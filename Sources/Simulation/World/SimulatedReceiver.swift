import Primitives
import TaskExecution
import TaskLedger

/// Delivers callbacks in simulated nodes: what each attempt would have sent is written down, whether or not it was told
/// that it arrived. Some fail once or twice, by what their ids say.
///
/// `@unchecked`: only touched by the world's thread, where the pool of a simulated process runs.
final class SimulatedReceiver: TaskHandler, @unchecked Sendable {
    private let process: VirtualProcess
    private let observations: Observations
    private let node: Int
    private let start: Int

    init(process: VirtualProcess, observations: Observations, node: Int, start: Int) {
        self.process = process
        self.observations = observations
        self.node = node
        self.start = start
    }

    var taskType: String { TaskSpec.deliveryType }

    func run(_ attempt: TaskAttempt) async throws -> [UInt8] {
        guard process.isAlive else { throw CancellationError() }
        let run = observations.began(attempt.id, attempt.token, node: node, start: start)
        observations.told(attempt.id, attempt.payload)
        do {
            try await process.sleep(for: .milliseconds(Int64(1 + attempt.id.low % 20)), isCancellable: true)
        } catch {
            end(run, .cancelled)
            throw error
        }
        let failures: UInt32 = attempt.id.low % 64 == 0 ? 2 : attempt.id.low % 8 == 0 ? 1 : 0
        guard attempt.token.attempt > failures else {
            end(run, .failed(isRetryable: true))
            throw HandlerError(type: "scripted", message: "the receiver is away", isRetryable: true)
        }
        end(run, .completed)
        return Array("1".utf8)
    }

    /// What a dying process does is seen by nobody.
    private func end(_ run: Int, _ end: Observations.End) { if process.isAlive { observations.ended(run, end) } }
}
