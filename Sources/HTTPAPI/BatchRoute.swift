import APIModel
import HTTPTypes
import Hummingbird
import Service
import TaskLedger

extension API {
    private static let multiStatus = HTTPResponse.Status(code: 207, reasonPhrase: "Multi-Status")

    /// `POST /api/tasks/batch`: 202 if every task was accepted, else 207.
    func submitBatch(_ request: APIRequest) async throws -> Response {
        _ = try request.query([])
        try refuseIdempotencyKey(request)
        let format = try BodyFormat.of(request.headers, allowsLines: true)
        // The media type decides; `application/json` may be one of the many clients that send NDJSON by that name.
        return try await request.withBody(bodies) { body in
            try await submit(
                try BatchParser.parse(
                    body, isLines: format == .lines ? true : nil, now: clock(), settings: service.settings))
        }
    }

    private func submit(_ items: [BatchParser.Item]) async throws -> Response {
        var specs: [TaskSpec] = []
        specs.reserveCapacity(items.count)
        for case .task(.spec(let spec)) in items { specs.append(spec) }
        let outcomes = specs.isEmpty ? [] : await service.submit(specs)
        guard outcomes.count == specs.count else { throw Problem(.internalError, "some tasks got no answer") }
        let document = answer(to: items, specs, outcomes)
        return json(
            document, status: document.rejected == 0 ? .accepted : Self.multiStatus, headers: retryAfter(outcomes),
            reserving: 64 + 48 * items.count)
    }

    /// When what was refused for lack of room, or of a majority, is worth sending again.
    private func retryAfter(_ outcomes: [SubmissionOutcome]) -> HTTPFields {
        for case .refused(let refusal) in outcomes {
            if let wait = problem(of: refusal, taskType: "").headers[.retryAfter] { return [.retryAfter: wait] }
        }
        return [:]
    }

    private func answer(
        to items: [BatchParser.Item], _ specs: [TaskSpec], _ outcomes: [SubmissionOutcome]
    ) -> BatchDocument {
        var results: [BatchDocument.Result] = []
        results.reserveCapacity(items.count)
        var weakest: AcceptedTask.Durability?
        var next = 0
        for item in items {
            switch item {
            case .malformed(let error): results.append(.rejected(Problem.malformed(error).document))
            case .task(.invalid(let errors)): results.append(.rejected(Problem.invalid(errors).document))
            case .task(.spec):
                switch outcomes[next] {
                case .accepted(let task):
                    weakest = weaker(weakest, task.durability)
                    results.append(.accepted(task.id))
                case .refused(let refusal):
                    results.append(.rejected(problem(of: refusal, taskType: specs[next].type).document))
                }
                next += 1
            }
        }
        return BatchDocument(results: results, durability: weakest?.rawValue)
    }

    private func weaker(_ a: AcceptedTask.Durability?, _ b: AcceptedTask.Durability) -> AcceptedTask.Durability {
        let ascending: [AcceptedTask.Durability] = [.local, .degraded, .replicated]
        return ascending.first { $0 == a || $0 == b } ?? b
    }
}
