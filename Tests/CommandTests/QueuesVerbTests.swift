import APIModel
import Testing

@testable import Command

@Suite struct QueuesVerbTests {
    @Test(arguments: [
        (["paused=true"], ["paused": JSONValue.bool(true)]),
        (["rate_limit=2.5", "concurrency=4"], ["rate_limit": .number(2.5), "concurrency": .integer(4)]),
        (["timeout="], ["timeout": .null]),
        (["backoff=fixed"], ["retry": .object(["backoff": .string("fixed")])]),
        (["backoff="], ["retry": .null]),
        (["max_length=x=y"], ["max_length": .string("x=y")]),
    ])
    func settingsAreReadAsTheServerWantsThem(given: [String], expected: [String: JSONValue]) throws {
        #expect(try Queues.SetQueue.fields(of: given) == expected)
    }

    @Test(arguments: [[], ["paused"], ["=3"]] as [[String]]) func whatIsNoSettingIsRefused(given: [String]) {
        #expect(throws: (any Error).self) { try Queues.SetQueue.fields(of: given) }
    }
}
