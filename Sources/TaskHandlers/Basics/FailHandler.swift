import Primitives
import TaskExecution

/// `fail`: fails, for tests of retries and dead letters: `{"message", "retryable", "times", "retry_after"}`, all
/// optional, and perhaps `count_file` (`RunRecord`). `retry_after` is in seconds.
///
/// With `times` only the first so many attempts fail, and later ones return `{"attempt": n}`. The attempt is the one of
/// the token: it counts attempts that began in this run of the task as far as its owner knows, interrupted ones
/// included, and starts anew with a manual retry. It may start anew when another node takes the task over: then more
/// attempts fail than asked for, never fewer of one count.
struct FailHandler: TaskHandler {
    let taskType = "fail"

    func run(_ attempt: TaskAttempt) async throws -> [UInt8] {
        let payload = try JSONParser.parse(attempt.payload)
        let fields = try Fields(
            payload == .null ? .object([]) : payload, at: "payload",
            known: ["message", "retryable", "times", "retry_after", RunRecord.fieldName])
        let message = try fields.string("message") ?? "asked to fail"
        guard message.utf8.count <= Limits.errorBytes else {
            throw fields.failure("message", "is longer than \(Limits.errorBytes) bytes")
        }
        let isRetryable = try fields.boolean("retryable") ?? true
        let times = try fields.integer("times", in: 0...HandlerLimits.failures)
        let rest = try fields.number("retry_after", in: 0...Double(Limits.retryAfterMilliseconds) / 1000)
        try await RunRecord.write(attempt, to: try fields.string(RunRecord.fieldName))
        if let times, Int(attempt.token.attempt) > times {
            return JSONValue.object([.init("attempt", .integer(Int64(attempt.token.attempt)))]).bytes
        }
        throw HandlerError(
            type: "asked_to_fail", message: message, isRetryable: isRetryable,
            retryAfter: rest.map { .milliseconds(Int64(($0 * 1000).rounded())) })
    }
}
