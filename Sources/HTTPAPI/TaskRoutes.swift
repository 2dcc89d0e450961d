import APIModel
import HTTPTypes
import Hummingbird
import Primitives
import Service
import TaskLedger

extension API {
    /// `POST /api/tasks`
    func submit(_ request: APIRequest) async throws -> Response {
        let query = try request.query(["wait"])
        let wait = try Wait.parse(query: query["wait"], prefer: request.headers[values: .prefer])
        let key = try idempotencyKey(request)
        _ = try BodyFormat.of(request.headers, allowsLines: false)
        let spec = try await request.withBody(bodies) { try parse($0, key) }
        let outcomes = await service.submit([spec])
        guard case .accepted(let accepted) = outcomes.first else {
            guard case .refused(let refusal) = outcomes.first else {
                throw Problem(.internalError, "the task got no answer")
            }
            throw problem(of: refusal, taskType: spec.type)
        }
        var headers: HTTPFields = [.location: "/api/tasks/\(accepted.id)"]
        wait?.apply(to: &headers)
        if accepted.isRepeated { headers[.idempotentReplayed] = "true" }
        if let wait {
            switch await lookUp(accepted.id, wait, request) {
            case .found(let task) where task.status.isFinal:
                return json(TaskDocument(task), headers: headers, reserving: size(of: task))
            case .archived(let document): return try archived(document, accepted.id, headers)
            // Accepted it is, whatever cannot be said of it now.
            case .found, .unknown, .expired, .unavailable: break
            }
        }
        guard accepted.isRepeated else {
            return json(AcceptedDocument(accepted, of: spec), status: .accepted, headers: headers)
        }
        var repeated = accepted
        switch await service.task(accepted.id, wait: nil) {
        case .found(let task) where task.status.isFinal:
            return json(TaskDocument(task), headers: headers, reserving: size(of: task))
        case .found(let task): repeated.status = task.status
        case .archived(let document): return try archived(document, accepted.id, headers)
        // Accepted it was, whatever cannot be said of it now.
        case .unknown, .expired, .unavailable: break
        }
        return json(AcceptedDocument(repeated, of: spec), headers: headers)
    }

    /// A structured string (RFC 9651), as the draft of the header wants it, or the bare key that most clients send.
    func idempotencyKey(_ request: APIRequest) throws(Problem) -> String? {
        guard var key = request.headers[.idempotencyKey] else { return nil }
        if key.utf8.count >= 2, key.hasPrefix("\""), key.hasSuffix("\"") { key = String(key.dropFirst().dropLast()) }
        guard (1...Limits.keyBytes).contains(key.utf8.count) else {
            throw Problem.invalid("Idempotency-Key", "must be 1...\(Limits.keyBytes) bytes, got \(key.utf8.count)")
        }
        return key
    }

    private func parse(_ body: [UInt8], _ key: String?) throws(Problem) -> TaskSpec {
        let outcome: SubmissionParser.Outcome
        do {
            var parser = JSONPullParser(body)
            outcome = try SubmissionParser.parse(&parser, now: clock(), key: key, settings: service.settings)
            try parser.finish()
        } catch {
            throw Problem.malformed(error)
        }
        switch outcome {
        case .spec(let spec): return spec
        case .invalid(let errors): throw Problem.invalid(errors)
        }
    }

    func refuseIdempotencyKey(_ request: APIRequest) throws(Problem) {
        guard request.headers[.idempotencyKey] == nil else {
            throw Problem.invalid(
                "Idempotency-Key", "is for one task: give each task of the batch its own \"idempotency_key\"")
        }
    }

    func problem(of refusal: SubmissionRefusal, taskType: String) -> Problem {
        switch refusal {
        case .full(let retryAfter):
            Problem(
                .full, "no node has room for more tasks; try again in \(retryAfter) seconds",
                headers: [.retryAfter: String(retryAfter)])
        case .diskFull(let disks):
            Problem(
                .diskFull,
                "no node has room on its disk for more tasks; free space in "
                    + disks.map { "\($0.folder) of \($0.node)" }.joined(separator: ", ")
                    + ": the cluster takes tasks again by itself. What it has taken is safe and goes on")
        case .queueFull(let queue, let limit, let retryAfter):
            Problem(
                .full,
                "the queue \(quoted(queue)) may hold \(limit.text), and no node has room for more of them; try again "
                    + "in \(retryAfter) seconds", headers: [.retryAfter: String(retryAfter)])
        case .unavailable(let reason): .unavailable(reason)
        case .unknownTaskType(let nearest): .unknownTaskType(taskType, nearest: nearest, at: "/task_type")
        case .unknownParents(let positions):
            Problem(
                .invalidInput, "it depends on tasks that do not exist; nothing was accepted",
                errors: positions.map { position in
                    ProblemDocument.Item(
                        pointer: "/depends_on/\(position)",
                        detail: "there is no such task, or it ended and its result_ttl is over")
                })
        case .keyConflict(let id):
            Problem(
                .keyConflict,
                "this idempotency key was used for another request: task \(id); nothing was accepted. Use a new key for "
                    + "a new task", id: id, headers: [.location: "/api/tasks/\(id)"])
        case .callbackUnsigned: .callbackUnsigned
        case .keyPending:
            Problem(
                .keyPending,
                "a request with this idempotency key may just be accepted; send the same request again in a second",
                headers: [.retryAfter: "1"])
        case .unconfirmed(let id):
            Problem(
                .unconfirmed,
                "the node that decides did not answer in time; ask for /api/tasks/\(id) before trying again",
                id: id, headers: [.location: "/api/tasks/\(id)"])
        }
    }

    /// `GET /api/tasks/{id}`
    func get(_ request: APIRequest) async throws -> Response {
        let id = try taskID(request)
        let query = try request.query(["wait", "at"])
        if let time = query["at"] { return try await get(id, at: time, mayWait: query["wait"] == nil) }
        let wait = try Wait.parse(query: query["wait"], prefer: request.headers[values: .prefer])
        switch await lookUp(id, wait, request) {
        case .found(let task):
            var headers: HTTPFields = [:]
            wait?.apply(to: &headers)
            let document = TaskDocument(task, told: await delivery(of: task)?.name)
            return json(document, headers: headers, reserving: size(of: task))
        case .archived(let document):
            var headers: HTTPFields = [:]
            wait?.apply(to: &headers)
            return try archived(document, id, headers)
        case .unknown: throw unknownTask(id)
        case .expired:
            throw Problem(
                .resultExpired,
                "task \(id) has ended, and is not kept any more: its result_ttl is over, or it was purged, or had to make room",
                id: id)
        case .unavailable(let reason): throw Problem.unavailable(reason)
        }
    }

    /// How far those are told who are to be told of its end.
    private func delivery(of task: TaskSnapshot) async -> TaskStatus? {
        guard let id = task.deliveryID, case .found(let delivery) = await service.task(id, wait: nil) else {
            return nil
        }
        return delivery.status
    }

    private func lookUp(_ id: TaskID, _ wait: Wait?, _ request: APIRequest) async -> TaskLookup {
        guard let wait else { return await service.task(id, wait: nil) }
        return await untilClientLeaves(request.channel) { [service] in await service.task(id, wait: wait.duration) }
    }

    /// A document as the registry kept it. What comes from there is not trusted to be JSON.
    func archived(_ document: [UInt8], _ id: TaskID, _ headers: HTTPFields) throws(Problem) -> Response {
        do {
            var parser = JSONPullParser(document, maximumDepth: 4 * Limits.jsonDepth)
            try parser.skipValue()
            try parser.finish()
        } catch {
            logger.error(
                "the registry keeps what is not JSON", metadata: ["task": "\(id)", "offset": "\(error.offset)"])
            throw Problem(.internalError, "the registry's document of task \(id) is damaged", id: id)
        }
        return json(RawJSON(document), headers: headers, reserving: document.count)
    }

    /// About how many bytes its document takes.
    private func size(of task: TaskSnapshot) -> Int { 1024 + task.spec.payload.count + (task.result?.count ?? 0) }

    /// `GET /api/tasks`
    func list(_ request: APIRequest) async throws -> Response {
        let parameters = try request.query(["status", "queue", "task_type", "schedule", "limit", "cursor"])
        var query = TaskQuery(queue: parameters["queue"], taskType: parameters["task_type"])
        if let name = parameters["schedule"] {
            guard NodeName.isValid(name) else {
                throw Problem.invalid("?schedule", "must match [a-z0-9][a-z0-9._-]{0,62}, got \(quoted(name))")
            }
            query.schedule = name
        }
        for name in parameters["status"]?.split(separator: ",", omittingEmptySubsequences: false) ?? [] {
            guard let status = TaskStatus(name: name) else {
                let names = TaskStatus.allCases.map(\.name).joined(separator: ", ")
                throw Problem.invalid("?status", "must be some of \(names), got \(quoted(name))")
            }
            query.statuses.insert(status)
        }
        try readPage(parameters, into: &query)
        let page = await service.tasks(query)
        return json(TaskListDocument(page), reserving: 256 + 1024 * page.tasks.count)
    }

    func readPage(_ parameters: [String: String], into query: inout TaskQuery) throws(Problem) {
        if let limit = parameters["limit"] {
            guard let limit = Int(limit), (1...Limits.pageTasks).contains(limit) else {
                throw Problem.invalid("?limit", "must be 1...\(Limits.pageTasks), got \(quoted(limit))")
            }
            query.limit = limit
        }
        if let cursor = parameters["cursor"] {
            guard let id = TaskID(cursor) else {
                throw Problem.invalid("?cursor", "must be the next_cursor of an earlier page, got \(quoted(cursor))")
            }
            query.before = id
        }
    }

    /// `DELETE /api/tasks/{id}`
    func cancel(_ request: APIRequest) async throws -> Response {
        let id = try taskID(request)
        switch await service.cancel(id) {
        case .cancelled(let task): return json(TaskDocument(task), reserving: size(of: task))
        case .requested(let task): return json(TaskDocument(task), status: .accepted, reserving: size(of: task))
        case .finished(let task):
            throw Problem(.alreadyFinished, "task \(id) is \(task.status.name): nothing is left to cancel", id: id)
        case .archived: throw Problem(.alreadyFinished, "task \(id) has ended: nothing is left to cancel", id: id)
        case .unknown: throw unknownTask(id)
        case .unavailable(let reason): throw Problem.unavailable(reason)
        }
    }
}

extension QueueBounds {
    fileprivate var text: String {
        let parts = [length.map { "\($0) open tasks" }, bytes.map { "\($0) bytes of open tasks" }].compactMap { $0 }
        return parts.isEmpty ? "no more tasks" : parts.joined(separator: " and ")
    }
}
