import APIModel
import Hummingbird
import Primitives
import Service
import TaskLedger

/// The dead letters: tasks that have failed for good.
extension API {
    /// `GET /api/dead-letters`
    func letters(_ request: APIRequest) async throws -> Response {
        let parameters = try request.query(["queue", "task_type", "age", "error", "limit", "cursor"])
        var query = TaskQuery(statuses: [.failed], queue: parameters["queue"], taskType: parameters["task_type"])
        if let age = parameters["age"] {
            guard let seconds = Double(age), (0...Double(Limits.horizonSeconds)).contains(seconds) else {
                throw Problem.invalid("?age", "must be 0...\(Limits.horizonSeconds) seconds, got \(quoted(age))")
            }
            query.age = .milliseconds(Int64((seconds * 1000).rounded()))
        }
        if let error = parameters["error"] {
            guard error.utf8.count <= Limits.errorFilterBytes else {
                throw Problem.invalid("?error", "must be at most \(Limits.errorFilterBytes) bytes")
            }
            query.error = error
        }
        try readPage(parameters, into: &query)
        let page = await service.tasks(query)
        return json(TaskListDocument(page), reserving: 256 + 1024 * page.tasks.count)
    }

    /// `GET /api/dead-letters/{id}`
    func letter(_ request: APIRequest) async throws -> Response {
        let id = try taskID(request)
        _ = try request.query([])
        switch await service.task(id, wait: nil) {
        case .found(let task) where task.status == .failed:
            return json(TaskDocument(task), reserving: 1024 + task.spec.payload.count)
        case .found(let task):
            throw Problem(.notFound, "task \(id) is \(task.status.name): it is no dead letter", id: id)
        case .archived, .expired:
            throw Problem(.notFound, "task \(id) is no dead letter any more: no ledger keeps it", id: id)
        case .unknown: throw unknownTask(id)
        case .unavailable(let reason): throw Problem.unavailable(reason)
        }
    }

    /// `POST /api/dead-letters/{id}/retry`
    func retryLetter(_ request: APIRequest) async throws -> Response {
        let id = try taskID(request)
        _ = try request.query([])
        // What ended otherwise is no dead letter, though it could be run again.
        if case .found(let task) = await service.task(id, wait: nil), task.status.isFinal, task.status != .failed {
            throw Problem(.wrongState, "task \(id) is \(task.status.name): it is no dead letter", id: id)
        }
        return try answer(await service.carryOut(.retry, for: id), to: .retry, id)
    }

    /// `POST /api/dead-letters/{id}/purge`
    func purgeLetter(_ request: APIRequest) async throws -> Response {
        let id = try taskID(request)
        _ = try request.query([])
        return try answer(await service.carryOut(.purge, for: id), to: .purge, id)
    }

    /// `POST /api/dead-letters/retry`
    func retryLetters(_ request: APIRequest) async throws -> Response { try await sweep(request, isPurge: false) }

    /// `POST /api/dead-letters/purge`
    func purgeLetters(_ request: APIRequest) async throws -> Response { try await sweep(request, isPurge: true) }

    private func sweep(_ request: APIRequest, isPurge: Bool) async throws -> Response {
        _ = try request.query([])
        _ = try BodyFormat.of(request.headers, allowsLines: false)
        let sweep = try await request.withBody(bodies) { try LetterFilterParser.parse($0, isPurge: isPurge) }
        return json(SweepDocument(await service.sweepLetters(sweep), isPurge: isPurge))
    }
}
