import APIModel
import HTTPTypes
import Hummingbird
import Primitives
import Service
import TaskLedger

extension API {
    /// `POST /api/workflows`
    func submitWorkflow(_ request: APIRequest) async throws -> Response {
        _ = try request.query([])
        let key = try idempotencyKey(request)
        _ = try BodyFormat.of(request.headers, allowsLines: false)
        let draft = try await request.withBody(bodies) {
            try WorkflowParser.parse($0, now: clock(), key: key, settings: service.settings)
        }
        switch await service.submit(draft) {
        case .accepted(let accepted):
            guard let document = AcceptedWorkflowDocument(accepted, of: draft) else {
                throw Problem(.internalError, "some tasks of the workflow got no answer")
            }
            return json(
                document, status: .accepted, headers: [.location: "/api/workflows/\(document.id)"],
                reserving: 256 + 128 * draft.steps.count)
        case .repeated(let id): return try await repeated(id)
        case .refused(.unknownParents(let positions), let step):
            let shift = step.map { draft.steps[$0].parents.count } ?? 0
            throw Problem(
                .invalidInput, "a task depends on tasks that do not exist; nothing was accepted",
                errors: positions.map { position in
                    ProblemDocument.Item(
                        pointer: "/tasks/\(step ?? 0)/depends_on/\(position + shift)",
                        detail: "neither a task of this workflow nor one that exists")
                })
        case .refused(.unconfirmed(let id), _):
            throw Problem(
                .unconfirmed,
                "the node that decides did not answer in time; ask for /api/workflows/\(id) before trying again",
                id: id,
                headers: [.location: "/api/workflows/\(id)"])
        case .refused(let refusal, _): throw problem(of: refusal, taskType: "")
        case .unknownTaskTypes(let types, let nearest):
            throw unknownTypes(types, nearest)
        }
    }

    /// The workflow that was accepted for the same request before.
    private func repeated(_ id: TaskID) async throws -> Response {
        let headers: HTTPFields = [.location: "/api/workflows/\(id)", .idempotentReplayed: "true"]
        switch await service.workflow(id) {
        case .found(let workflow):
            return json(WorkflowDocument(workflow), headers: headers, reserving: 512 + 512 * workflow.tasks.count)
        case .archived(let document): return try archived(document, id, headers)
        case .expired:
            throw Problem(
                .resultExpired, "this request was accepted before as workflow \(id), whose result_ttl is over", id: id)
        case .unknown, .unavailable:
            throw Problem(
                .unavailable,
                "this request was accepted before as workflow \(id), of which nothing can be told now", id: id,
                headers: [.location: "/api/workflows/\(id)", .retryAfter: "1"])
        }
    }

    /// `POST /api/workflows/{id}/tasks`: tasks that it has already, by their refs, are answered and not added again.
    func extendWorkflow(_ request: APIRequest) async throws -> Response {
        let id = try taskID(request)
        _ = try request.query([])
        _ = try BodyFormat.of(request.headers, allowsLines: false)
        let workflow: WorkflowSnapshot
        switch await service.workflow(id) {
        case .found(let found): workflow = found
        case .archived, .expired:
            throw Problem(.alreadyFinished, "workflow \(id) has ended: it takes no more tasks", id: id)
        case .unknown: throw Problem(.notFound, "there is no workflow \(id)", id: id)
        case .unavailable(let reason): throw Problem.unavailable(reason)
        }
        let steps = workflow.tasks.filter { $0.spec.workflow?.isStep == true }
        let known = Dictionary(
            steps.map { ($0.spec.workflow?.ref ?? "", $0.id) }, uniquingKeysWith: { first, _ in first })
        let draft = try await request.withBody(bodies) {
            try WorkflowParser.parse($0, now: clock(), settings: service.settings, known: known)
        }
        var all = known
        // Also if none is new: what is there may not be committed, and is once this is answered.
        switch await service.extend(id, with: draft) {
        case .accepted(let ids): for (step, task) in zip(draft.steps, ids) { all[step.ref] = task }
        case .refused(.unknownParents, _):
            throw Problem.invalid("/tasks", "a task depends on tasks that do not exist; nothing was added")
        case .refused(let refusal, _): throw problem(of: refusal, taskType: "")
        case .unknownTaskTypes(let types, let nearest): throw unknownTypes(types, nearest)
        case .over:
            throw Problem(
                .wrongState, "workflow \(id) is about to end, or has ended: it takes no more tasks", id: id)
        case .taken:
            throw Problem(.wrongState, "another task was given one of these refs just now: try again", id: id)
        case .unknown: throw Problem(.notFound, "there is no workflow \(id)", id: id)
        case .unavailable(let reason): throw Problem.unavailable(reason)
        case .unconfirmed(let reason): throw Problem(.unconfirmed, reason, id: id)
        }
        return json(ExtendedWorkflowDocument(id: id, refs: all), status: .accepted, reserving: 128 * (all.count + 1))
    }

    private func unknownTypes(_ types: [String], _ nearest: String?) -> Problem {
        Problem(
            .unknownTaskType,
            "no node has a handler for \(types.map { quoted($0) }.joined(separator: ", "))"
                + (nearest.map { ", did you mean \"\($0)\"?" } ?? ""),
            errors: [ProblemDocument.Item(pointer: "/tasks", detail: "unknown task types")])
    }

    /// `GET /api/workflows/{id}`
    func workflow(_ request: APIRequest) async throws -> Response {
        let id = try taskID(request)
        _ = try request.query([])
        switch await service.workflow(id) {
        case .found(let workflow):
            return json(WorkflowDocument(workflow), reserving: 512 + 512 * workflow.tasks.count)
        case .archived(let document): return try archived(document, id, [:])
        case .unknown: throw Problem(.notFound, "there is no workflow \(id)", id: id)
        case .expired: throw Problem(.resultExpired, "workflow \(id) ended, and its result_ttl is over", id: id)
        case .unavailable(let reason): throw Problem.unavailable(reason)
        }
    }

    /// `GET /api/workflows`
    func workflows(_ request: APIRequest) async throws -> Response {
        var query = TaskQuery()
        query.isOfWorkflows = true
        try readPage(try request.query(["limit", "cursor"]), into: &query)
        let page = await service.tasks(query)
        return json(WorkflowListDocument(page), reserving: 256 + 256 * page.tasks.count)
    }

    /// `DELETE /api/workflows/{id}`
    func cancelWorkflow(_ request: APIRequest) async throws -> Response {
        let id = try taskID(request)
        _ = try request.query([])
        switch await service.workflow(id) {
        case .found: break
        case .archived: throw Problem(.alreadyFinished, "workflow \(id) has ended: nothing is left to cancel", id: id)
        case .unknown: throw Problem(.notFound, "there is no workflow \(id)", id: id)
        case .expired: throw Problem(.alreadyFinished, "workflow \(id) has ended: nothing is left to cancel", id: id)
        case .unavailable(let reason): throw Problem.unavailable(reason)
        }
        switch await service.cancel(id) {
        case .cancelled, .requested:
            guard case .found(let workflow) = await service.workflow(id) else {
                throw Problem.unavailable("workflow \(id) is cancelled; what is left of it cannot be told now")
            }
            return json(
                WorkflowDocument(workflow), status: .accepted, reserving: 512 + 512 * workflow.tasks.count)
        case .finished, .archived:
            throw Problem(.alreadyFinished, "workflow \(id) has ended: nothing is left to cancel", id: id)
        case .unknown: throw Problem(.notFound, "there is no workflow \(id)", id: id)
        case .unavailable(let reason): throw Problem.unavailable(reason)
        }
    }
}
