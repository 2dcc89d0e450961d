import APIModel
import Primitives
import TaskLedger
import Views

extension Schemas {
    static let retry: JSONValue = [
        "type": ["object", "null"], "additionalProperties": false,
        "properties": [
            "backoff": words(RetryPolicy.Backoff.allCases.map(\.name)),
            "base": seconds("The rest before the first retry.", upTo: APILimits.retryRestSeconds),
            "max": seconds("The longest rest.", upTo: APILimits.retryRestSeconds),
            "jitter": ["type": ["number", "null"], "minimum": 0, "maximum": 1],
        ],
    ]

    private static func whole(_ range: ClosedRange<Int>, _ description: String) -> JSONValue {
        [
            "type": ["integer", "null"], "minimum": .integer(Int64(range.lowerBound)),
            "maximum": .integer(Int64(range.upperBound)), "description": .string(description),
        ]
    }

    static let queueChange: JSONValue = [
        "type": "object", "additionalProperties": false, "minProperties": 1,
        "description": "What is not named stays as it is; null takes a setting back.",
        "properties": [
            "paused": described(nullable(boolean), "Nothing of it starts anywhere; what runs goes on."),
            "max_length": whole(
                0...Int(UInt32.max),
                "Open tasks in the whole cluster, split evenly between the nodes; beyond it submissions are refused."),
            "max_bytes": whole(
                0...Int(Limits.queueBytes),
                "About how many bytes those may take, payloads above all, split likewise. One task is taken in any case."
            ),
            "max_retries": whole(0...Limits.retries, "Of tasks that do not name their own."),
            "retry": described(retry, "Of tasks that do not name their own."),
            "timeout": seconds("Of tasks that do not name their own.", upTo: Limits.timeoutSeconds),
            "weight": whole(
                1...Int(Limits.queueWeight), "Its share of the starts among queues with ready tasks of one priority."),
            "rate_limit": [
                "type": ["number", "null"], "minimum": .number(0.001),
                "maximum": .integer(Int64(Limits.queueRate / 1000)),
                "description": "Starts a second in the whole cluster; a tenth of a second's may come at once.",
            ],
            "concurrency": whole(1...Int(UInt32.max), "Tasks that run at the same time in the whole cluster."),
        ],
    ]

    private static let times = object(["p50": nullable(number), "p95": nullable(number), "p99": nullable(number)])

    static let queues = object([
        "queues": array(reference("Queue")),
        "aging_seconds": described(number, "After so long a task counts as one of the next higher priority."),
        "overtaken_at_most_seconds": described(
            number, "A task is overtaken only by tasks that came at most so much later."),
    ])

    static let queueSettings: [String: JSONValue] = [
        "paused": boolean, "max_length": nullable(count), "max_bytes": nullable(count),
        "max_retries": nullable(count),
        "retry": nullable(object(["backoff": string, "base": number, "max": number, "jitter": number])),
        "timeout": nullable(number), "weight": count, "rate_limit": nullable(number), "concurrency": nullable(count),
    ]

    static let queue = object(
        [
            "name": string,
            "depth": object(Dictionary(uniqueKeysWithValues: TaskStatus.allCases.map { ($0.name, count) })),
            "oldest_age_seconds": nullable(number), "settings": reference("QueueSettings"),
            "recent": described(
                object([
                    "seconds": described(number, "How long was measured."),
                    "arrival_rate": described(number, "Tasks a second."), "completion_rate": number,
                    "wait": described(times, "Seconds until the first start."),
                    "run": described(times, "Seconds of attempts that completed or failed."),
                ]), "What was measured in the last minute; times to 6 %."), "missing": missing,
        ])
}
