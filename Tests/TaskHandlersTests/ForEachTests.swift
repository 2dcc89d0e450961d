import Foundation
import Primitives
import Synchronization
import TaskExecution
import Testing

@testable import TaskHandlers

@Suite(.timeLimit(.minutes(1))) struct ForEachTests {
    private static let workflow = TaskID(high: 0x0199_0000_0000_7000, low: 1 << 63)
    private static let parent = TaskID(high: 0x0199_0000_0000_7000, low: 1 << 63 | 1)
    let work: Workspace

    init() throws { work = try Workspace() }

    /// Runs the handler as the step `split` of a workflow. Returns what it has added.
    private func run(
        _ payload: String, after result: String? = nil, parents: Int = 1, failing failure: HandlerError? = nil
    ) async throws -> (added: [ChildTask], result: String) {
        let added = Mutex<[ChildTask]>([])
        let plain = try work.attempt(Array(payload.utf8))
        let access = WorkflowAccess(id: Self.workflow, ref: "split") { tasks throws(HandlerError) in
            if let failure { throw failure }
            added.withLock { $0 += tasks }
            return tasks.indices.map { TaskID(high: 1, low: UInt64($0)) }
        }
        let all = (0..<(result == nil ? 0 : parents)).map { number in
            ParentTask(
                id: TaskID(high: Self.parent.high, low: Self.parent.low + UInt64(number)), status: "completed",
                result: result.map { Array($0.utf8) }, resultBytes: result?.utf8.count ?? 0)
        }
        let attempt = TaskAttempt(
            id: plain.id, payload: plain.payload, token: plain.token, workDirectory: plain.workDirectory,
            node: plain.node, parents: all, workflow: access)
        let bytes = try await ForEachHandler().run(attempt)
        return (added.withLock { $0 }, String(decoding: bytes, as: UTF8.self))
    }

    @Test func aTaskIsAddedForEachItem() async throws {
        let (added, result) = try await run(#"{"task_type":"echo","items":[{"b":1.50,"a":2},"x",null]}"#)
        #expect(added.map(\.ref) == ["split-0", "split-1", "split-2"])
        #expect(added.allSatisfy { $0.taskType == "echo" && $0.dependsOn.isEmpty })
        #expect(added.map { String(decoding: $0.payload, as: UTF8.self) }.last == "null")
        #expect(result.hasPrefix(#"{"added":["00000000-0000-0001-"#))
    }

    @Test(arguments: [
        (#"{"task_type":"echo"}"#, "[1,2]"), (#"{"task_type":"echo","from":"rows"}"#, #"{"rows":[1,2]}"#),
    ])
    func theItemsMayBeTheResultOfTheParent(payload: String, result: String) async throws {
        let (added, _) = try await run(payload, after: result)
        #expect(added.map { String(decoding: $0.payload, as: UTF8.self) } == ["1", "2"])
    }

    @Test func oneMoreTaskGetsTheResultsOfAll() async throws {
        let (added, _) = try await run(#"{"task_type":"echo","items":[1,2],"then":"gather"}"#)
        #expect(
            added.last
                == ChildTask(
                    ref: "split-then", taskType: "gather", payload: Array("null".utf8), dependsOn: [0, 1]))
        let (alone, _) = try await run(#"{"task_type":"echo","items":[],"then":"gather"}"#)
        #expect(alone.map(\.ref) == ["split-then"], "of nothing as well")
        #expect(try await run(#"{"task_type":"echo","items":[]}"#).result == #"{"added":[]}"#)
    }

    @Test(
        arguments: [
            ("{}", nil, "task_type is missing"),
            (#"{"task_type":"echo"}"#, nil, "depends on 0 tasks"),
            (#"{"task_type":"echo","items":1}"#, nil, "payload.items is a number, expected an array"),
            (#"{"task_type":"echo","items":[],"from":"a"}"#, nil, "together with \"items\""),
            (#"{"task_type":"echo"}"#, "{}", "is an object, expected an array"),
            (#"{"task_type":"echo","from":"a"}"#, #"{"b":[]}"#, "no member \"a\""),
            (#"{"task_type":"echo","item":[]}"#, nil, "did you mean \"items\""),
        ] as [(String, String?, String)])
    func otherPayloadsAreRefused(payload: String, result: String?, message: String) async throws {
        let failure = await #expect(throws: HandlerError.self) { try await run(payload, after: result) }
        #expect(failure?.message.contains(message) == true, "\(failure?.message ?? "")")
        #expect(failure?.isRetryable == false)
    }

    @Test func itHasLimits() async throws {
        func items(_ count: Int) -> String { "[" + Array(repeating: "1", count: count).joined(separator: ",") + "]" }
        let many = await #expect(throws: HandlerError.self) {
            try await run(#"{"task_type":"echo","items":\#(items(1000))}"#)
        }
        #expect(many?.message.contains("1000 items") == true)
        #expect(try await run(#"{"task_type":"echo","items":\#(items(999))}"#).added.count == 999)
        let wide = await #expect(throws: HandlerError.self) {
            try await run(#"{"task_type":"echo","items":\#(items(101)),"then":"gather"}"#)
        }
        #expect(wide?.message.contains("at most 100 tasks") == true)
        let two = await #expect(throws: HandlerError.self) {
            try await run(#"{"task_type":"echo"}"#, after: "[1]", parents: 2)
        }
        #expect(two?.message.contains("depends on 2 tasks") == true)
    }

    @Test func whatTheWorkflowRefusesFailsTheAttempt() async throws {
        let refusal = HandlerError(type: "workflow_full", message: "m", isRetryable: true)
        let failure = await #expect(throws: HandlerError.self) {
            try await run(#"{"task_type":"echo","items":[1]}"#, failing: refusal)
        }
        #expect(failure == refusal)
    }

    @Test func outsideOfAWorkflowItFails() async throws {
        let attempt = try work.attempt(Array(#"{"task_type":"echo","items":[1]}"#.utf8))
        let failure = await #expect(throws: HandlerError.self) { try await ForEachHandler().run(attempt) }
        #expect(failure?.type == "not_in_workflow")
        #expect(failure?.isRetryable == false)
    }
}
