import TaskExecution

/// `noop`: does nothing, whatever the payload; the result is null. A payload with `count_file` is recorded
/// (`RunRecord`).
struct NoopHandler: TaskHandler {
    let taskType = "noop"

    func run(_ attempt: TaskAttempt) async throws -> [UInt8] {
        try await RunRecord.write(attempt)
        return JSONValue.null.bytes
    }
}
