import APIModel
import Foundation
import HTTPTypes
import Primitives
import Service
import TaskLedger
import Testing
import Views

@testable import HTTPAPI

/// Workflows as clients send them.
@Suite struct WorkflowParserTests {
    private func parse(_ body: String) throws(Problem) -> WorkflowDraft {
        try WorkflowParser.parse(Array(body.utf8), now: Samples.time)
    }

    private func errors(_ body: String) -> [ProblemDocument.Item] {
        do {
            _ = try parse(body)
            return []
        } catch {
            return error.document.errors
        }
    }

    @Test func aGraphIsRead() throws {
        let draft = try parse(
            #"""
            {"name":"order","on_task_failure":"continue","tasks":[
              {"ref":"pay","task_type":"echo","payload":{"a":1.50},"depends_on":["pick"],
               "compensate":{"task_type":"noop","priority":9}},
              {"ref":"pick","task_type":"sleep","priority":7},
              {"ref":"send","task_type":"noop","depends_on":["pay","01900000-0000-7000-8000-000000000001"],
               "on_dependency_failure":"run"}],
             "on_success":{"task_type":"noop"},"always":{"task_type":"echo","payload":[1]}}
            """#)
        #expect(draft.name == "order")
        #expect(draft.plan.stopsOnFailure == false)
        #expect(draft.plan.callbacks.map(\.occasion) == [.success, .always])
        #expect(draft.steps.map(\.ref) == ["pay", "pick", "send"])
        #expect(draft.steps.map(\.parents) == [[1], [], [0]])
        #expect(draft.steps[0].spec.payload == Array(#"{"a":1.50}"#.utf8))
        #expect(draft.steps[0].spec.dependencies.onFailure == .cancel)
        #expect(draft.steps[0].compensation?.priority.rawValue == 9)
        #expect(draft.steps[2].spec.dependencies.onFailure == .run)
        #expect(draft.steps[2].spec.dependencies.parents.count == 1)
        let ids = (1...4).map { TaskID(high: 1, low: $0) }
        let specs = draft.specs(ids: ids)
        #expect(specs.count == 4 && specs[0].isWorkflow)
        #expect(specs[1].dependencies.parents == [ids[2]])
        #expect(specs[3].dependencies.parents.first == ids[1])
        #expect(specs.dropFirst().allSatisfy { $0.workflow?.workflow == ids[0] && $0.workflow?.isStep == true })
    }

    @Test func aChainIsAListOfTasksThatWait() throws {
        let draft = try parse(#"{"chain":[{"task_type":"a"},{"ref":"x","task_type":"b"},{"task_type":"c"}]}"#)
        #expect(draft.steps.map(\.ref) == ["1", "x", "3"])
        #expect(draft.steps.map(\.parents) == [[], [0], [1]])
    }

    @Test(arguments: [(#""any""#, 1 as UInt16?), (#""all""#, nil), ("2", 2)])
    func aGatherWaitsForTheLastTasks(policy: String, needed: UInt16?) throws {
        let draft = try parse(
            #"{"tasks":[{"ref":"a","task_type":"t"},{"ref":"b","task_type":"t","depends_on":["a"]},"#
                + #"{"ref":"c","task_type":"t"}],"gather":{"task_type":"gather","policy":\#(policy)}}"#)
        #expect(draft.steps.last?.ref == "gather")
        #expect(draft.steps.last?.parents == [1, 2])
        #expect(draft.steps.last?.spec.dependencies.needed == needed)
    }

    @Test(
        arguments: [
            ("[]", "", "must be an object with \"tasks\", got an array"),
            ("{}", "/tasks", "must have at least one task"),
            (#"{"tasks":[{"task_type":"t"}]}"#, "/tasks/0/ref", "is required"),
            (#"{"tasks":[{"ref":"a"}]}"#, "/tasks/0/task_type", "is required"),
            (#"{"tasks":[{"ref":"a","task_type":"t","priority":11}]}"#, "/tasks/0/priority", nil),
            (
                #"{"tasks":[{"ref":"a","task_type":"t"},{"ref":"a","task_type":"t"}]}"#, "/tasks/1/ref",
                #"two tasks are called "a""#
            ),
            (
                #"{"tasks":[{"ref":"alpha","task_type":"t"},{"ref":"b","task_type":"t","depends_on":["alpa"]}]}"#,
                "/tasks/1/depends_on/0", #"no task of this workflow is called "alpa", did you mean "alpha"?"#
            ),
            (
                #"{"tasks":[{"ref":"a","task_type":"t","depends_on":["c"]},{"ref":"b","task_type":"t","depends_on":["a"]},"#
                    + #"{"ref":"c","task_type":"t","depends_on":["b"]},{"ref":"d","task_type":"t","depends_on":["c"]}]}"#,
                "/tasks/0/depends_on", "a cycle: a -> b -> c -> a"
            ),
            (
                #"{"tasks":[{"ref":"a","task_type":"t","depends_on":["a"]}]}"#, "/tasks/0/depends_on",
                "a cycle: a -> a"
            ),
            (#"{"tasks":[{"ref":"a","task_type":"t"}],"on_sucess":{}}"#, "/on_sucess", nil),
            (
                #"{"tasks":[{"ref":"a","task_type":"t","compensate":{"task_type":"t","delay":1}}]}"#,
                "/tasks/0/compensate", nil
            ),
            (
                #"{"tasks":[{"ref":"a","task_type":"t","gather":"any"}]}"#, "/tasks/0/gather",
                "\"depends_on\" names no task"
            ),
            (#"{"tasks":[{"ref":"a","task_type":"t"}],"chain":[{"task_type":"t"}]}"#, "/chain", nil),
            (#"{"tasks":[{"ref":"a","task_type":"t"}],"gather":{"task_type":"t","policy":2}}"#, "/gather/gather", nil),
            (#"{"chain":[{"task_type":"t"},{"task_type":"t","depends_on":["1"]}]}"#, "/chain/1/depends_on", nil),
        ] as [(String, String, String?)])
    func whatIsWrongIsNamed(body: String, pointer: String, detail: String?) {
        let errors = errors(body)
        #expect(errors.map(\.pointer) == [pointer], "\(errors)")
        if let detail { #expect(errors.first?.detail == detail) }
    }

    @Test func itsSizeIsBounded() {
        func tasks(_ count: Int) -> String {
            "{\"tasks\":[" + (0..<count).map { "{\"ref\":\"r\($0)\",\"task_type\":\"t\"}" }.joined(separator: ",")
                + "]}"
        }
        #expect(errors(tasks(Limits.workflowTasks)).isEmpty)
        #expect(errors(tasks(Limits.workflowTasks + 1)).map(\.pointer) == ["/tasks"])
        let large = String(repeating: "x", count: Limits.payloadBytes - 2)
        let five = (0..<5).map { "{\"ref\":\"r\($0)\",\"task_type\":\"t\",\"payload\":\"\(large)\"}" }
        #expect(errors("{\"tasks\":[\(five.joined(separator: ","))]}").map(\.pointer) == ["/tasks"])
    }

    @Test func aKeyStandsForTheSameBytes() throws {
        let body = #"{"tasks":[{"ref":"a","task_type":"t"}],"idempotency_key":"k","idempotency_window":60}"#
        let draft = try parse(body)
        #expect(draft.idempotency?.key == "k" && draft.idempotency?.window == 60_000)
        #expect(try parse(body + " ").idempotency?.body != draft.idempotency?.body)
        let plain = #"{"tasks":[{"ref":"a","task_type":"t"}]}"#
        #expect(try parse(plain).idempotency == nil)
        #expect(try WorkflowParser.parse(Array(plain.utf8), now: Samples.time, key: "h").idempotency?.key == "h")
        #expect(
            errors(#"{"tasks":[{"ref":"a","task_type":"t"}],"idempotency_window":60}"#).map(\.pointer) == [
                "/idempotency_window"
            ])
        #expect(
            errors(#"{"tasks":[{"ref":"a","task_type":"t"}],"idempotency_key":""}"#).map(\.pointer) == [
                "/idempotency_key"
            ])
    }

    /// The tasks of a workflow go by the settings of their queues like any others.
    @Test func queuesSettleWhatItsTasksLeaveOpen() throws {
        var settings = ClusterSettings()
        settings = try settings.applying(.queue("mail", [.maxRetries(9), .timeout(1500)]), in: 7)
        let body = #"{"tasks":[{"ref":"a","task_type":"t","queue":"mail"},{"ref":"b","task_type":"t"}]}"#
        let draft = try WorkflowParser.parse(Array(body.utf8), now: Samples.time, settings: settings)
        #expect(draft.steps.map(\.spec.retry.maxRetries) == [9, 3])
        #expect(draft.steps.map(\.spec.timeout) == [1500, 300_000])
    }

    @Test func aRepeatedRequestIsAnsweredWithItsWorkflow() async throws {
        let api = Routes()
        let id = try #require(TaskID("01980000-0000-7000-8000-000000000001"))
        var root = TaskSpec(type: WorkflowDraft.taskType)
        root.workflow = WorkflowPart(workflow: id, ref: "", role: .root(WorkflowPlan()))
        let snapshot = TaskSnapshot(
            id: id, spec: root, status: .blocked, owner: Samples.node(1), createdAt: Samples.time)
        api.service.update { state in
            state.workflowSubmission = .repeated(id)
            state.workflow = .found(WorkflowSnapshot(root: snapshot, tasks: [], failedBy: nil))
        }
        let headers: HTTPFields = [.contentType: "application/json", .idempotencyKey: "\"k\""]
        let body = #"{"tasks":[{"ref":"a","task_type":"t"}]}"#
        let answer = try await api(.post, "/api/workflows", headers: headers, body: body)
        #expect(answer.status == 200 && answer.headers[.idempotentReplayed] == "true")
        #expect(try answer.decoded(as: WorkflowDocument.self).id == id)
        api.service.update { $0.workflow = .unavailable("nobody is there") }
        let later = try await api(.post, "/api/workflows", headers: headers, body: body)
        #expect(later.status == 503 && later.headers[.location] == "/api/workflows/\(id)")
        api.service.update { $0.workflowSubmission = .refused(.keyConflict(id), step: nil) }
        #expect(try await api(.post, "/api/workflows", headers: headers, body: body).status == 422)
    }
}
