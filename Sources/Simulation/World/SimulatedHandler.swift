import Primitives
package import TaskExecution

/// The one handler of simulated nodes: does what the payload says (`HandlerScript`), on the virtual clock, and writes
/// down that it did.
///
/// `@unchecked`: only touched by the world's thread, where the pool of a simulated process runs.
package final class SimulatedHandler: TaskHandler, @unchecked Sendable {
    package static let taskType = "simulated"

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

    package var taskType: String { Self.taskType }

    package func run(_ attempt: TaskAttempt) async throws -> [UInt8] {
        guard process.isAlive else { throw CancellationError() }
        let run = observations.began(attempt.id, attempt.token, node: node, start: start)
        guard let script = HandlerScript(attempt.payload) else {
            end(run, .failed(isRetryable: false))
            throw HandlerError.invalidPayload("the payload is no script of the simulator")
        }
        let length = script.outcome == .hangs ? Duration.seconds(1_000_000) : .milliseconds(Int64(script.milliseconds))
        do {
            try await process.sleep(for: length, isCancellable: script.outcome != .ignoresCancellation)
        } catch {
            end(run, .cancelled)
            throw error
        }
        let isFailing = attempt.token.attempt <= script.failures
        switch script.outcome {
        case .completes where !isFailing, .ignoresCancellation where !isFailing, .hangs:
            end(run, .completed)
            return [UInt8](repeating: UInt8(ascii: "1"), count: max(1, Int(script.resultBytes)))
        case .completes, .ignoresCancellation, .fails:
            end(run, .failed(isRetryable: true))
            throw HandlerError(type: "scripted", message: "the script says so", isRetryable: true)
        case .failsForGood:
            end(run, .failed(isRetryable: isFailing))
            throw HandlerError(type: "scripted", message: "the script says so", isRetryable: isFailing)
        }
    }

    /// What a dying process does is seen by nobody.
    private func end(_ run: Int, _ end: Observations.End) { if process.isAlive { observations.ended(run, end) } }
}
