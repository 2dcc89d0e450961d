import TaskExecution

/// `echo`: the payload is the result, byte for byte. A payload with `count_file` is recorded (`RunRecord`).
struct EchoHandler: TaskHandler {
    let taskType = "echo"

    func run(_ attempt: TaskAttempt) async throws -> [UInt8] {
        try await RunRecord.write(attempt)
        return attempt.payload
    }
}
