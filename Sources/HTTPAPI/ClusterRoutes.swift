import APIModel
import Hummingbird
import Service

extension API {
    /// `GET /api/workers`
    func workers(_ request: APIRequest) async throws -> Response { json(WorkersDocument(await service.workers())) }

    /// `GET /api/cluster`
    func cluster(_ request: APIRequest) async throws -> Response {
        json(ClusterDocument(await service.cluster()), reserving: 8192)
    }

    /// `GET /api/cluster/recovery`
    func recovery(_ request: APIRequest) async throws -> Response {
        guard let report = await service.recovery() else {
            throw Problem.unavailable("\(service.nodeName) knows of no cluster yet: there is nothing to go on from")
        }
        return json(RecoveryDocument(report), reserving: 4096)
    }

    /// `POST /api/cluster/recover`
    func recover(_ request: APIRequest) async throws -> Response {
        switch await service.recover() {
        case .forced(let view, let report): return json(RecoveryDocument(report, forcedView: view), reserving: 4096)
        case .refused(let reason): throw Problem(.notNeeded, reason)
        case .unavailable(let reason): throw Problem.unavailable(reason)
        }
    }

    /// `POST /api/cluster/drain`
    func drain(_ request: APIRequest) async throws -> Response { drain(leave: false, status: "draining") }

    /// `POST /api/cluster/leave`
    func leave(_ request: APIRequest) async throws -> Response { drain(leave: true, status: "leaving") }

    private func drain(leave: Bool, status: String) -> Response {
        // Not awaited: it takes as long as the node's tasks do, and the client learns the rest from `/api/cluster`.
        Task { [service] in await service.drain(leave: leave) }
        return json(StatusDocument(status: status, node: service.nodeName.rawValue), status: .accepted)
    }

    /// `GET /health`: for people. Probes ask `/livez` and `/readyz`.
    func health(_ request: APIRequest) async throws -> Response { json(HealthDocument(await service.health())) }

    /// `GET /livez`
    func live(_ request: APIRequest) async throws -> Response {
        guard await service.isLive() else { throw Problem.unavailable("the node's loop has not turned for a second") }
        return json(StatusDocument(status: "live", node: service.nodeName.rawValue))
    }

    /// `GET /readyz`
    func ready(_ request: APIRequest) async throws -> Response {
        if let reason = await service.unreadiness() { throw Problem.unavailable(reason) }
        return json(StatusDocument(status: "ready", node: service.nodeName.rawValue))
    }
}
