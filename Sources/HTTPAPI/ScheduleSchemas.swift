import APIModel
import Primitives
import TaskLedger

extension Schemas {
    /// What `Submission` has, but for what each firing has by itself.
    private static let scheduledTask: JSONValue = {
        guard case .object(var members) = submission, case .object(var properties)? = members["properties"] else {
            return submission
        }
        for field in SubmissionField.allCases where !field.isOfSchedules {
            for name in field.names { properties[name] = nil }
        }
        members["properties"] = .object(properties)
        members["description"] = .string(
            "A submission, without keys, times and dependencies; its payload may have "
                + "\(Limits.scheduledPayloadBytes) bytes.")
        return .object(members)
    }()

    static let scheduleDraft: JSONValue = [
        "type": "object", "additionalProperties": false, "required": ["task"],
        "description": "Either cron or interval is given.",
        "properties": [
            "cron": described(
                nullable(string),
                "minute hour day month weekday, or with the second before them; or @daily and the like."),
            "interval": [
                "type": ["number", "null"], "minimum": .integer(Limits.scheduleInterval / 1000),
                "maximum": .integer(Limits.longestInterval / 1000),
                "description": "Seconds between two firings, counted from the last change of the schedule.",
            ],
            "time_zone": described(nullable(string), "Of the cron expression, such as Europe/Zurich; UTC by default."),
            "jitter": seconds(
                "Each firing's task starts up to so much later, as if at random.",
                upTo: Int(Limits.scheduleJitter / 1000)),
            "overlap": described(
                nullable(words(OverlapPolicy.allCases.map(\.name))),
                "While a task of an earlier firing is open: skip leaves the firing out (the default), queue has its task wait, "
                    + "replace cancels the open one."),
            "catch_up": described(
                nullable(words(CatchUpPolicy.allCases.map(\.name))),
                "Of firings that are over \(Limits.scheduleGrace / 1000) seconds late, since the cluster was away: none (the "
                    + "default), the last one, or all are made up for; \(Limits.caughtUpFirings) of them and "
                    + "\(Limits.scheduleMemory / 86_400_000) days at most."),
            "paused": described(nullable(boolean), "It does not fire, and what would have fired is not made up for."),
            "task": scheduledTask,
        ],
    ]

    static let schedule = object([
        "name": string, "cron": nullable(string), "time_zone": nullable(string), "interval": nullable(number),
        "jitter": number, "overlap": words(OverlapPolicy.allCases.map(\.name)),
        "catch_up": words(CatchUpPolicy.allCases.map(\.name)), "paused": boolean,
        "task": object([
            "task_type": string, "payload": [:], "priority": count, "queue": string,
            "max_retries": described(
                nullable(count), "Null: as its queue says when it fires. Likewise retry, timeout."),
            "retry": nullable(object(["backoff": string, "base": number, "max": number, "jitter": number])),
            "timeout": nullable(number), "expires_in": nullable(number),
            "delivery": words(TaskSpec.Delivery.allCases.map(\.name)), "result_ttl": number,
            "metadata": ["type": "object", "additionalProperties": string], "fairness_key": nullable(string),
        ]),
        "version": described(count, "Rises with every change."), "created_at": time,
        "changed_at": described(time, "What was due before does not fire any more."),
        "next": described(array(time), "When it fires next, without jitter; empty while it is paused."),
        "home": described(nullable(string), "The node that decides about its firings."),
        "recent": described(
            array(
                object([
                    "time": time, "outcome": words(["fired", "left_out"]),
                    "task_id": described(uuid, "Its task; or, if it was left out, the one that was still open."),
                ])), "The last firings that its home knows of, the newest first."),
        "problem": described(nullable(string), "Why the next firing is late, or there is none."),
    ])
}
