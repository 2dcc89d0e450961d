import APIModel
import HTTPTypes
import Hummingbird
import Primitives
import Service
import Views

extension Route {
    static let schedules: [Route] = [
        Route(
            method: .get, path: "/api/schedules",
            operation: Operation(
                id: "listSchedules", summary: "Every schedule of the cluster.",
                answers: [.init(status: 200, description: "Ascending by name.", schema: "Schedules")]),
            handler: { try await $0.schedules($1) }),
        Route(
            method: .get, path: "/api/schedules/{schedule}",
            operation: Operation(
                id: "getSchedule", summary: "One schedule: when it fires next, and what became of its last firings.",
                parameters: [.schedule],
                answers: [.init(status: 200, description: "The schedule.", schema: "Schedule")], problems: [.notFound]),
            handler: { try await $0.schedule($1) }),
        Route(
            method: .put, path: "/api/schedules/{schedule}",
            operation: Operation(
                id: "putSchedule",
                summary: "Makes a schedule, or changes it: what is not given is as in a new one.",
                parameters: [.schedule], body: "ScheduleDraft",
                answers: [
                    .init(status: 201, description: "Made.", schema: "Schedule"),
                    .init(status: 200, description: "It was there; this is how it is now.", schema: "Schedule"),
                ],
                problems: [
                    .malformedJSON, .contentTooLarge, .unsupportedMediaType, .invalidInput, .tooManySchedules,
                    .unavailable,
                ]),
            handler: { try await $0.putSchedule($1) }),
        Route(
            method: .delete, path: "/api/schedules/{schedule}",
            operation: Operation(
                id: "deleteSchedule", summary: "Ends a schedule. Tasks that it has submitted go on.",
                parameters: [.schedule],
                answers: [.init(status: 204, description: "It is gone.", schema: nil)],
                problems: [.notFound, .unavailable]),
            handler: { try await $0.deleteSchedule($1) }),
    ]
}

extension API {
    /// `GET /api/schedules`
    func schedules(_ request: APIRequest) async throws -> Response {
        _ = try request.query([])
        let reports = await service.schedules(nil)
        return json(SchedulesDocument(reports), reserving: 256 + 1024 * reports.count)
    }

    /// `GET /api/schedules/{schedule}`
    func schedule(_ request: APIRequest) async throws -> Response {
        _ = try request.query([])
        guard NodeName.isValid(request.parameter), let report = await service.schedules(request.parameter).first else {
            throw unknownSchedule(request)
        }
        return json(ScheduleDocument(report), reserving: 2048)
    }

    /// `PUT /api/schedules/{schedule}`
    func putSchedule(_ request: APIRequest) async throws -> Response {
        let name = request.parameter
        _ = try request.query([])
        _ = try BodyFormat.of(request.headers, allowsLines: false)
        guard NodeName.isValid(name) else {
            throw Problem.invalid("schedule", "must match [a-z0-9][a-z0-9._-]{0,62}, got \(quoted(name))")
        }
        let now = clock()
        let draft = try await request.withBody(bodies) { try ScheduleParser.parse($0, name: name, now: now) }
        switch await service.setSchedule(draft) {
        case .made(let report):
            return json(
                ScheduleDocument(report), status: .created, headers: [.location: "/api/schedules/\(name)"],
                reserving: 2048)
        case .changed(let report): return json(ScheduleDocument(report), reserving: 2048)
        case .unknownTimeZone(let reason): throw Problem.invalid("/time_zone", reason)
        case .callbackUnsigned: throw Problem.callbackUnsigned
        case .unknownTaskType(let nearest):
            throw Problem.unknownTaskType(draft.task.type, nearest: nearest, at: "/task/task_type")
        case .deleted: throw Problem(.internalError, "the schedule was deleted, and not made")
        case .refused(let refusal): throw problem(of: refusal, request)
        case .unavailable(let reason): throw Problem.unavailable("\(reason); nothing was changed")
        case .unconfirmed(let reason): throw Problem.unavailable("\(reason); it may still be changed", retryAfter: 2)
        }
    }

    /// `DELETE /api/schedules/{schedule}`
    func deleteSchedule(_ request: APIRequest) async throws -> Response {
        _ = try request.query([])
        guard NodeName.isValid(request.parameter) else { throw unknownSchedule(request) }
        switch await service.deleteSchedule(request.parameter) {
        case .deleted, .made, .changed: return Response(status: .noContent)
        case .refused(let refusal): throw problem(of: refusal, request)
        case .callbackUnsigned: throw Problem.callbackUnsigned
        case .unknownTimeZone(let reason), .unavailable(let reason):
            throw Problem.unavailable("\(reason); nothing was changed")
        case .unknownTaskType: throw Problem(.internalError, "a schedule is deleted whatever it submits")
        case .unconfirmed(let reason): throw Problem.unavailable("\(reason); it may still be deleted", retryAfter: 2)
        }
    }

    private func problem(of refusal: SettingsRefusal, _ request: APIRequest) -> Problem {
        switch refusal {
        case .unknownSchedule: unknownSchedule(request)
        case .tooManySchedules:
            Problem(.tooManySchedules, "there are \(Limits.schedules) schedules: delete one before you make another")
        case .schedulesTooLarge:
            Problem(
                .tooManySchedules,
                "all schedules together may take \(Limits.schedulesBytes) bytes: delete some, or make their tasks smaller"
            )
        case .invalid, .tooManyQueues, .tooManySubscriptions:
            .invalid("", "the schedule would break a rule; nothing was changed")
        }
    }

    private func unknownSchedule(_ request: APIRequest) -> Problem {
        Problem(.notFound, "there is no schedule \(quoted(request.parameter))")
    }
}
