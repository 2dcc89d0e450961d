import APIModel
import Foundation
import Primitives
import Testing

@testable import Command

/// What `schedule` sends and prints.
struct ScheduleVerbTests {
    private func body(_ arguments: String...) throws -> JSONValue {
        let verb = try Schedule.SetSchedule.parse(arguments)
        return try JSONDecoder().decode(JSONValue.self, from: Data(try verb.body()))
    }

    @Test func whatIsNotSaidIsLeftToTheServer() throws {
        #expect(
            try body("tick", "noop", "--every", "30s")
                == ["interval": 30, "paused": false, "task": ["task_type": "noop"]])
        #expect(
            try body(
                "r", "echo", "[1]", "--cron", "@daily", "--time-zone", "Europe/Zurich", "--jitter", "2m", "--overlap",
                "queue", "--catch-up", "all", "--paused", "--queue", "q", "--priority", "9", "--retries", "1")
                == [
                    "cron": "@daily", "time_zone": "Europe/Zurich", "jitter": 120, "overlap": "queue",
                    "catch_up": "all", "paused": true,
                    "task": [
                        "task_type": "echo", "payload": [1], "priority": 9, "queue": "q", "max_retries": 1,
                    ],
                ])
    }

    @Test(arguments: [("30", 30.0), ("30s", 30), ("1.5m", 90), ("2h", 7200), ("1d", 86_400)])
    func timesHaveUnits(text: String, seconds: Double) throws {
        #expect(try Schedule.SetSchedule.seconds(text, "--every") == seconds)
    }

    @Test(arguments: ["", "s", "-5s", "5 weeks", "nan", "inf"]) func whatIsNoTimeIsRefused(text: String) {
        #expect(throws: (any Error).self) { try Schedule.SetSchedule.seconds(text, "--every") }
    }

    @Test func aPayloadThatIsNoJSONIsRefusedBeforeItIsSent() {
        #expect(throws: CommandFailure.self) { try body("a", "echo", "{", "--every", "1") }
    }
}
