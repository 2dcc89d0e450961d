import TaskExecution

/// `sleep`: `{"seconds": 0.05}` or `{"milliseconds": 50}`, and perhaps `count_file` (`RunRecord`). Ends early when it
/// is cancelled. The result is `{"slept": seconds}`.
struct SleepHandler: TaskHandler {
    let taskType = "sleep"

    func run(_ attempt: TaskAttempt) async throws -> [UInt8] {
        let fields = try Fields(
            try JSONParser.parse(attempt.payload), at: "payload",
            known: ["seconds", "milliseconds", RunRecord.fieldName])
        let inSeconds = try fields.number("seconds", in: 0...HandlerLimits.sleepSeconds)
        let inMilliseconds = try fields.number("milliseconds", in: 0...HandlerLimits.sleepSeconds * 1000)
        let seconds: Double
        switch (inSeconds, inMilliseconds) {
        case (let value?, nil): seconds = value
        case (nil, let value?): seconds = value / 1000
        case (nil, nil), (.some, .some):
            throw HandlerError.invalidPayload("payload must have either \"seconds\" or \"milliseconds\"")
        }
        try await RunRecord.write(attempt, to: try fields.string(RunRecord.fieldName))
        try await Task.sleep(for: .seconds(seconds))
        return JSONValue.object([.init("slept", .number(seconds))]).bytes
    }
}
