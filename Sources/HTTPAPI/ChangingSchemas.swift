import APIModel
import Primitives
import Service
import TaskLedger

extension Schemas {
    static let change: JSONValue = [
        "type": "object", "additionalProperties": false, "minProperties": 1,
        "properties": [
            "priority": [
                "description": "1...10, 10 first.",
                "anyOf": [
                    ["type": "integer", "minimum": 1, "maximum": 10], words(["low", "normal", "high", "critical"]),
                    ["type": "null"],
                ],
            ],
            "run_at": described(nullable(time), "Not started before; null: at once."),
        ],
    ]

    static let letterFilter: JSONValue = [
        "type": "object", "additionalProperties": false,
        "description": "All that is given has to fit; nothing given: all dead letters.",
        "properties": [
            "queue": nullable(["type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,62}$"]),
            "task_type": nullable(["type": "string", "minLength": 1]),
            "age": seconds("Failed so long ago, or earlier.", upTo: Limits.horizonSeconds),
            "error": described(nullable(string), "The type of the error, or a part of its message."),
        ],
    ]

    static let events = object([
        "id": uuid, "status": status,
        "events": array(
            object([
                "at": time, "event": words(TaskTransition.Kind.allCases.map(\.rawValue)),
                "node": described(nullable(string), "Null: the owner of that time decided it by itself."), "run": count,
                "attempt": nullable(count),
                "term": described(nullable(count), "Of the ledger, when the attempt was granted."),
                "priority": described(nullable(count), "What a change has set."),
                "counts": described(nullable(boolean), "Whether an interruption counts towards poison."),
                "error": nullable(object(["type": string, "message": string, "retryable": boolean])),
            ])),
        "cut": described(count, "Earlier attempts, changes and runs that are not kept any more."),
    ])

    static let why = object([
        "id": uuid, "status": described(nullable(status), "Null: its owner cannot be asked."), "node": nullable(string),
        "reason": words(Explanation.Reason.allCases.map(\.rawValue)), "detail": string,
        "ahead": described(nullable(count), "Ready tasks that come first."),
        "until": described(nullable(time), "When the reason is over, if that is known."),
        "waits_for": described(array(uuid), "The tasks whose end it waits for."),
    ])

    static let sweep = object([
        "action": words(["retried", "purged"]), "count": count,
        "left": described(count, "Others that fit, for which there is no room now."),
        "missing": described(array(string), "Nodes that did not answer: some of theirs may have been dealt with."),
    ])

    static let letters = object([
        "count": count, "bytes": count, "oldest": described(nullable(time), "When the oldest one failed."),
        "dropped": described(count, "Given up for the bounds, since the nodes' processes began."),
    ])
}
