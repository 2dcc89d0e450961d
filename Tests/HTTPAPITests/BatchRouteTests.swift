import APIModel
import HTTPTypes
import Primitives
import Service
import Testing

@testable import HTTPAPI

private let lines: HTTPFields = [.contentType: "application/x-ndjson"]

@Suite struct BatchRouteTests {
    let api = Routes()

    @Test(arguments: [
        (#"[{"task_type":"a"}, {"task_type":"b"}]"#, false, 2), ("[]", false, 0),
        ("{\"task_type\":\"a\"}\n\n  \r\n{\"task_type\":\"b\"}", true, 2), ("{\"task_type\":\"a\"}\n", false, 1),
        ("", true, 0),
    ])
    func wholeBatchesAreAccepted(body: String, isLines: Bool, count: Int) async throws {
        let answer = try await api.submit(body, to: "/api/tasks/batch", headers: isLines ? lines : [:])
        #expect(answer.status == 202)
        let batch = try answer.decoded(as: BatchDocument.self)
        #expect(batch.accepted == count)
        #expect(api.service.submitted.count == count)
        #expect(batch.rejected == 0)
        #expect(batch.durability == (batch.accepted > 0 ? "replicated" : nil))
    }

    @Test(arguments: ["", " \n "]) func nothingIsNoBatch(body: String) async throws {
        let answer = try await api.submit(body, to: "/api/tasks/batch")
        #expect(answer.status == 400)
    }

    @Test func eachTaskIsRefusedOnItsOwn() async throws {
        let body = #"[{"task_type":"a"},{"task_type":"a","priority":0},7,{"task_type":"unknown"},{"task_type":"b"}]"#
        let answer = try await api.submit(body, to: "/api/tasks/batch")
        #expect(answer.status == 207)
        let batch = try answer.decoded(as: BatchDocument.self)
        #expect(batch.accepted == 2)
        #expect(batch.rejected == 3)
        #expect(api.service.submitted.map(\.type) == ["a", "b"])
        guard case .rejected(let invalid) = batch.results[1], case .rejected(let unknown) = batch.results[3] else {
            Issue.record("not in order: \(batch.results)")
            return
        }
        #expect(invalid.errors.map(\.pointer) == ["/priority"])
        #expect(unknown.type == "/docs#unknown-task-type")
    }

    @Test func aLineThatIsNotJSONIsRefusedAlone() async throws {
        let answer = try await api.submit(
            "{\"task_type\":\"a\"}\n{\"tas\n{\"task_type\":\"b\"} 1\n", to: "/tasks/batch", headers: lines)
        #expect(answer.status == 207)
        let batch = try answer.decoded(as: BatchDocument.self)
        #expect(batch.accepted == 1)
        guard case .rejected(let second) = batch.results[1], case .rejected(let third) = batch.results[2] else {
            Issue.record("not in order: \(batch.results)")
            return
        }
        #expect(second.offset == 23)
        #expect(third.offset == 42)
    }

    @Test func anArrayThatIsNotJSONIsRefusedAsAWhole() async throws {
        let answer = try await api.submit(#"[{"task_type":"a"},{"task_type":"b"},]"#, to: "/api/tasks/batch")
        #expect(answer.status == 400)
        #expect(try answer.problem().offset == 37)
        #expect(api.service.submitted.isEmpty)
    }

    @Test(arguments: [true, false])
    func aBatchIsBounded(isLines: Bool) async throws {
        func body(_ count: Int) -> String {
            let tasks = repeatElement(#"{"task_type":"a"}"#, count: count)
            return isLines ? tasks.joined(separator: "\n") : "[" + tasks.joined(separator: ",") + "]"
        }
        let tooLarge = try await api.submit(
            body(Limits.batchTasks + 1), to: "/api/tasks/batch", headers: isLines ? lines : [:])
        #expect(tooLarge.status == 413)
        _ = try tooLarge.problem()
        #expect(api.service.submitted.isEmpty)
        let full = try await api.submit(body(Limits.batchTasks), to: "/api/tasks/batch", headers: isLines ? lines : [:])
        #expect(full.status == 202)
        #expect(api.service.submitted.count == Limits.batchTasks)
    }

    @Test func fewErrorsAreToldOfEachTask() async throws {
        let fields = (0..<50).map { "\"z\($0)\":0" }.joined(separator: ",")
        let answer = try await api.submit("[{\(fields)}]", to: "/api/tasks/batch")
        guard case .rejected(let problem) = try answer.decoded(as: BatchDocument.self).results.first else {
            Issue.record("was not rejected")
            return
        }
        #expect(problem.errors.count == APILimits.reportedBatchErrors)
    }

    @Test(arguments: [
        (SubmissionRefusal.full(retryAfter: 7), 503, "7" as String?), (.unavailable("no majority"), 503, "1"),
        (.diskFull([FullDisk(node: Samples.node(1), folder: "/var/a")]), 507, nil),
        (.unconfirmed(Samples.id), 504, nil),
    ])
    func whatTheClusterRefusesIsToldOfEachTask(
        refusal: SubmissionRefusal, status: Int, retryAfter: String?
    ) async throws {
        api.service.update { $0.refusal = refusal }
        let answer = try await api.submit(#"[{"task_type":"a"},{"task_type":"b"}]"#, to: "/api/tasks/batch")
        #expect(answer.status == 207)
        #expect(answer.headers[.retryAfter] == retryAfter)
        let results = try answer.decoded(as: BatchDocument.self).results
        let statuses = results.map { if case .rejected(let problem) = $0 { problem.status } else { 0 } }
        #expect(statuses == [status, status])
    }

    @Test func theWeakestDurabilityIsTold() async throws {
        api.service.update { $0.durability = .degraded }
        let answer = try await api.submit(#"[{"task_type":"a"}]"#, to: "/api/tasks/batch")
        #expect(try answer.decoded(as: BatchDocument.self).durability == "degraded")
    }
}

@Suite struct BodyBudgetTests {
    @Test func largeBodiesAreBoundedTogetherAndSmallOnesAreNot() async throws {
        let budget = BodyBudget(bytes: 1 << 20)
        try await budget.reserve(1 << 19) {
            try await budget.reserve(1 << 19) {
                await #expect(throws: Problem.self) { try await budget.reserve(1 << 17) {} }
                try await budget.reserve(APILimits.smallBodyBytes) {}
            }
            try await budget.reserve(1 << 19) {}
        }
        await #expect(throws: CancellationError.self) {
            try await budget.reserve(1 << 20) { throw CancellationError() }
        }
        try await budget.reserve(1 << 20) {}
    }
}
