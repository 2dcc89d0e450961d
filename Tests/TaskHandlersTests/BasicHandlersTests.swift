import Foundation
import Primitives
import TaskExecution
import Testing

@testable import TaskHandlers

@Suite(.timeLimit(.minutes(1))) struct BasicHandlersTests {
    let work: Workspace

    init() throws { work = try Workspace() }

    @Test func everyTypeIsServedOnce() {
        #expect(
            BuiltinHandlers.all(http: work.http).map(\.taskType).sorted() == [
                "apus.callback", "data", "echo", "email", "fail", "for_each", "gather", "http", "image", "noop",
                "process",
                "send_email", "sleep",
            ])
    }

    @Test(arguments: [
        "null", " { \"b\" : 1.50, \"a\": \"\\u00e9\" } ", "[1e400]", "{\"count_file\":\"runs\", \"x\" : 1}",
    ])
    func echoReturnsEveryByte(payload: String) async throws {
        let result = try await EchoHandler().run(try work.attempt(Array(payload.utf8)))
        #expect(result == Array(payload.utf8))
    }

    @Test func gatherReturnsWhatItsParentsDid() async throws {
        let ids = (1...4).map { TaskID(high: 0x0199_0000_0000_7000, low: 1 << 63 | $0) }
        let parents = [
            ParentTask(id: ids[0], status: "completed", result: Array("[1.50]".utf8), resultBytes: 6),
            ParentTask(id: ids[1], status: "failed", result: nil, resultBytes: 0, failure: ("e", "m")),
            ParentTask(id: ids[2], status: "completed", result: nil, resultBytes: 7),
            ParentTask(id: ids[3], status: nil, result: nil, resultBytes: 0),
        ]
        let plain = try work.attempt([])
        func attempt(_ fetched: [UInt8]?) -> TaskAttempt {
            TaskAttempt(
                id: plain.id, payload: [], token: plain.token, workDirectory: plain.workDirectory, node: plain.node,
                parents: parents, fetch: { id in id == ids[2] ? fetched : nil })
        }
        let text = String(decoding: try await GatherHandler().run(attempt(Array("\"large\"".utf8))), as: UTF8.self)
        #expect(
            text == #"{"parents":[{"id":"\#(ids[0])","status":"completed","result":[1.50]},"#
                + #"{"id":"\#(ids[1])","status":"failed","result":null},"#
                + #"{"id":"\#(ids[2])","status":"completed","result":"large"},"#
                + #"{"id":"\#(ids[3])","status":"open","result":null}]}"#)
        let failure = await #expect(throws: HandlerError.self) { try await GatherHandler().run(attempt(nil)) }
        #expect(failure?.type == "parent_result_unavailable")
        #expect(failure?.isRetryable == true)
    }

    @Test func noopReturnsNull() async throws {
        #expect(try await work.run("noop", "{\"anything\": [1, 2]}") == .null)
    }

    @Test(arguments: [("{\"seconds\": 0.002}", 0.002), ("{\"milliseconds\": 2}", 0.002), ("{\"seconds\": 0}", 0)])
    func sleepTakesItsTime(payload: String, seconds: Double) async throws {
        let start = ContinuousClock.now
        #expect(try await work.run("sleep", payload) == .object([.init("slept", .number(seconds))]))
        #expect(ContinuousClock.now - start >= .seconds(seconds))
    }

    @Test(arguments: [
        ("null", "payload is null"), ("{}", "either \"seconds\" or \"milliseconds\""),
        ("{\"seconds\":1,\"milliseconds\":1}", "either"), ("{\"seconds\":-1}", "from 0.0 to 86400.0"),
        ("{\"seconds\":86401}", "from 0.0 to 86400.0"), ("{\"seconds\":\"1\"}", "is a string"),
        ("{\"second\":1}", "did you mean \"seconds\""),
    ])
    func sleepRefusesOtherPayloads(payload: String, message: String) async throws {
        let error = try await work.failure("sleep", payload)
        #expect(error.type == "invalid_payload")
        #expect(error.message.contains(message), "\(error.message)")
        #expect(!error.isRetryable)
    }

    @Test func sleepEndsWhenItIsCancelled() async throws {
        let task = Task { try await work.run("sleep", "{\"seconds\": 86400}") }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test(arguments: [
        ("", 0, 0, 0, 0), ("one", 1, 1, 3, 3), ("one two\nthree\n", 2, 3, 14, 14), ("  a\r\n\r\nb ", 3, 2, 7, 9),
        ("e\u{301} \u{1F1E9}\u{1F1EA}", 1, 2, 3, 12),
    ])
    func processCountsText(text: String, lines: Int64, words: Int64, characters: Int64, bytes: Int64) async throws {
        #expect(
            try await work.run("process", quoted(text))
                == .object([
                    .init("lines", .integer(lines)), .init("words", .integer(words)),
                    .init("characters", .integer(characters)), .init("bytes", .integer(bytes)),
                ]))
    }

    @Test func processTakesTheQueriesOfData() async throws {
        let query =
            #"{"input": {"rows": [{"a": 1}, {"a": 2}]}, "aggregate": [{"op": "sum", "column": "a", "as": "sum"}]}"#
        let result = try await work.run("process", query)
        #expect(result == (try await work.run("data", query)))
        #expect(result["input_rows"] == .integer(2))
        #expect(try await work.failure("process", "7").type == "invalid_payload")
    }

    @Test func failDescribesItsFailure() async throws {
        let plain = try await work.failure("fail", "null")
        #expect(plain == HandlerError(type: "asked_to_fail", message: "asked to fail", isRetryable: true))
        let other = try await work.failure("fail", "{\"message\":\"broken\",\"retryable\":false}")
        #expect(other == HandlerError(type: "asked_to_fail", message: "broken", isRetryable: false))
    }

    @Test(arguments: [(UInt32(1), false), (2, false), (3, true), (9, true)])
    func failSucceedsAfterSoManyAttempts(attempt: UInt32, succeeds: Bool) async throws {
        if succeeds {
            let result = try await work.run("fail", "{\"times\": 2}", attempt: attempt)
            #expect(result["attempt"]?.count == Int(attempt))
        } else {
            await #expect(throws: HandlerError.self) {
                try await work.run("fail", "{\"times\": 2}", attempt: attempt)
            }
        }
    }

    @Test(arguments: [
        "{\"times\": 1001}", "{\"times\": -1}", "{\"times\": 1.5}", "{\"retryable\": 1}", "[]", "{\"reason\": \"\"}",
    ])
    func failRefusesOtherPayloads(payload: String) async throws {
        #expect(try await work.failure("fail", payload).type == "invalid_payload")
    }

    @Test func failRefusesAMessageBeyondItsLimit() async throws {
        let long = String(repeating: "x", count: Limits.errorBytes)
        #expect(try await work.failure("fail", "{\"message\":\"\(long)\"}").message == long)
        #expect(try await work.failure("fail", "{\"message\":\"\(long)x\"}").type == "invalid_payload")
    }

    @Test func everyRunIsRecordedInALineOfItsOwn() async throws {
        let work = work
        await withTaskGroup(of: Void.self) { group in
            for id in 0..<100 as Range<UInt64> {
                group.addTask {
                    // What the handlers return is the business of other tests.
                    _ = try? await work.run("noop", "{\"count_file\":\"runs/all\"}", id: id)
                    _ = try? await work.run("echo", "{\"count_file\":\"runs/all\"}", id: id)
                    _ = try? await work.run("sleep", "{\"count_file\":\"runs/all\",\"seconds\":0}", id: id)
                    _ = try? await work.run("fail", "{\"count_file\":\"runs/all\"}", id: id)
                }
            }
        }
        let lines = String(decoding: try work.contents(of: "runs/all"), as: UTF8.self).split(separator: "\n")
        #expect(lines.count == 400)
        #expect(Set(lines).count == 100)
        #expect(Set(lines).contains("01990000-0000-7000-8000-000000000007 1.1.1 node-1"))
    }

    @Test func runRecordsMeetTheirLimits() async throws {
        let line = "01990000-0000-7000-8000-000000000001 1.1.1 node-1\n".utf8.count
        try work.write(
            [UInt8](repeating: 0x0A, count: HandlerLimits.recordFileBytes - line), to: "runs")
        _ = try await work.run("noop", "{\"count_file\":\"runs\"}")
        #expect(try work.contents(of: "runs").count == HandlerLimits.recordFileBytes)
        #expect(try await work.failure("noop", "{\"count_file\":\"runs\"}").type == "too_large")
        #expect(try await work.failure("noop", "{\"count_file\":\"../runs\"}").type == "invalid_payload")
        #expect(try await work.failure("echo", "{\"count_file\":7}").type == "invalid_payload")
    }
}
