import APIModel
import Hummingbird
import Primitives
import Service
import TaskLedger

extension API {
    /// `PATCH /api/tasks/{id}`: `priority` and `run_at` of a task that waits.
    func change(_ request: APIRequest) async throws -> Response {
        let id = try taskID(request)
        _ = try request.query([])
        _ = try BodyFormat.of(request.headers, allowsLines: false)
        let wish = try await request.withBody(bodies) { try ChangeParser.parse($0, now: clock()) }
        return try answer(await service.carryOut(wish, for: id), to: wish, id)
    }

    /// `POST /api/tasks/{id}/retry`: a new run of a task that ended without success.
    func retry(_ request: APIRequest) async throws -> Response {
        let id = try taskID(request)
        _ = try request.query([])
        return try answer(await service.carryOut(.retry, for: id), to: .retry, id)
    }

    func answer(_ outcome: WishOutcome, to wish: TaskWish, _ id: TaskID) throws(Problem) -> Response {
        switch outcome {
        case .done(let task?): return json(TaskDocument(task), reserving: 1024 + task.spec.payload.count)
        case .done(nil): return json(PurgedDocument(id: id))
        case .refused(let decision, let task): throw problem(of: decision, task, id)
        case .archived where wish == .purge:
            throw Problem(.notFound, "task \(id) is no dead letter any more: no ledger keeps it", id: id)
        case .archived:
            throw Problem(
                .alreadyFinished, "task \(id) has ended, and no ledger keeps it any more: submit it again", id: id)
        case .unknown: throw unknownTask(id)
        case .unavailable(let reason): throw Problem.unavailable(reason)
        case .unconfirmed(let reason): throw Problem(.unconfirmed, reason, id: id)
        }
    }

    private func problem(of decision: WishDecision, _ task: TaskSnapshot?, _ id: TaskID) -> Problem {
        let status = task?.status.name ?? "not there"
        switch decision {
        case .running:
            return Problem(.wrongState, "task \(id) is processing: only one that waits can be changed", id: id)
        case .ended:
            return Problem(.alreadyFinished, "task \(id) is \(status): only one that waits can be changed", id: id)
        case .notEnded:
            return Problem(
                .wrongState, "task \(id) is \(status): it has not ended. PATCH its run_at to start it earlier", id: id)
        case .completed:
            return Problem(
                .alreadyFinished, "task \(id) has completed: to have it run again, submit it again", id: id)
        case .noLetter: return Problem(.wrongState, "task \(id) is \(status): it is no dead letter", id: id)
        case .inWorkflow:
            return Problem(
                .wrongState, "task \(id) is a workflow, or belongs to one that is not over: submit it again", id: id)
        case .wouldExpire:
            return Problem(
                .invalidInput, "/run_at: task \(id) would expire before it may start",
                errors: [ProblemDocument.Item(pointer: "/run_at", detail: "it would expire before it may start")],
                id: id)
        case .full:
            return Problem(
                .full, "the node that owns task \(id) has no room for another open task", id: id,
                headers: [.retryAfter: "1"])
        case .done, .unknown, .unsettled: return Problem.unavailable("task \(id) is changing: try again")
        }
    }

    // MARK: Histories

    /// `GET /api/tasks/{id}?at=`
    func get(_ id: TaskID, at text: String, mayWait: Bool) async throws -> Response {
        guard mayWait else { throw Problem.invalid("?wait", "nothing is left to wait for at an earlier time") }
        // A plus sign that was not escaped has become a space.
        guard let time = Timestamp(rfc3339: text) ?? Timestamp(rfc3339: text.replacing(" ", with: "+")) else {
            throw Problem.invalid(
                "?at", "must be a date and time of RFC 3339, such as \(clock().rfc3339), got \(quoted(text))")
        }
        guard time <= clock() else { throw Problem.invalid("?at", "must not lie ahead; it is \(clock().rfc3339) now") }
        switch await service.task(id, at: time) {
        case .found(let task): return json(TaskDocument(task), reserving: 1024 + task.spec.payload.count)
        case .notAccepted(let first):
            throw Problem(.notFound, "task \(id) was accepted at \(first.rfc3339), later than that", id: id)
        case .notKept(let since):
            throw Problem(
                .resultExpired, "the history of task \(id) is kept from \(since.rfc3339) on only", id: id)
        case .archived, .expired:
            throw Problem(
                .resultExpired,
                "task \(id) ended long ago: no ledger keeps its history any more. What is left is at /api/tasks/\(id)",
                id: id)
        case .unknown: throw unknownTask(id)
        case .unavailable(let reason): throw Problem.unavailable(reason)
        }
    }

    /// `GET /api/tasks/{id}/events`
    func events(_ request: APIRequest) async throws -> Response {
        let id = try taskID(request)
        _ = try request.query([])
        switch await service.story(of: id) {
        case .found(let story): return json(EventsDocument(story), reserving: 256 + 256 * story.transitions.count)
        case .archived, .expired:
            throw Problem(
                .resultExpired,
                "task \(id) ended long ago: no ledger keeps its history any more. What is left is at /api/tasks/\(id)",
                id: id)
        case .unknown: throw unknownTask(id)
        case .unavailable(let reason): throw Problem.unavailable(reason)
        }
    }

    /// `GET /api/tasks/{id}/why`
    func why(_ request: APIRequest) async throws -> Response {
        let id = try taskID(request)
        _ = try request.query([])
        switch await service.story(of: id) {
        case .found(let story): return json(WhyDocument(story))
        case .archived, .expired:
            return json(
                WhyDocument(
                    id, Explanation(reason: .ended, detail: "it ended long ago: /api/tasks/\(id) shows what is left")))
        case .unknown: throw unknownTask(id)
        // The very thing that is asked for.
        case .unavailable(let reason):
            return json(WhyDocument(id, Explanation(reason: .ownerUnreachable, detail: reason)))
        }
    }
}

/// A dead letter was forgotten.
struct PurgedDocument: JSONWritable {
    var id: TaskID

    private enum CodingKeys: String, CodingKey { case id, action }

    func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.id, id)
            object.put(.action, "purged")
        }
    }
}
