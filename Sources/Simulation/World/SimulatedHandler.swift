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
        let isCancellable = script.outcome != .ignoresCancellation
        do {
            if script.children > 0, let workflow = attempt.workflow {
                try await process.sleep(for: length / 2, isCancellable: isCancellable)
                try await grow(workflow, by: script, attempt.id)
                try await process.sleep(for: length / 2, isCancellable: isCancellable)
            } else {
                try await process.sleep(for: length, isCancellable: isCancellable)
            }
        } catch let error as HandlerError {
            end(run, .failed(isRetryable: error.isRetryable))
            throw error
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

    /// Every attempt adds all of them again, some of them twice at the same time; each waits for the one before it.
    private func grow(_ workflow: WorkflowAccess, by script: HandlerScript, _ task: TaskID) async throws {
        let refs = script.childRefs(of: workflow.ref)
        let children = zip(refs, script.childScripts).enumerated().map { place, child in
            ChildTask(
                ref: child.0, taskType: Self.taskType, payload: child.1.payload,
                dependsOn: place > 0 ? [place - 1] : [])
        }
        func add() async throws {
            let ids = try await workflow.add(children)
            guard process.isAlive else { throw CancellationError() }
            observations.added(to: workflow.id, refs, ids, by: task)
        }
        guard script.milliseconds % 2 == 0 else { return try await add() }
        async let other: Void = add()
        try await add()
        try await other
    }

    /// What a dying process does is seen by nobody.
    private func end(_ run: Int, _ end: Observations.End) { if process.isAlive { observations.ended(run, end) } }
}
